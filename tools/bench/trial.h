/* The trial: a network's judging program with its memory on any backend, for measuring and checking the
 * device. It has random pixels, a batch of any size, and weights that can be changed one by one. What serves
 * parts is the engine.
 *
 * Errors: FG_ENVIRONMENT for memory, FG_DEVICE_LOST for the device. Owner: who opens a trial closes it; score
 * and map live as long as it. Thread: one at a time. NULL: never. */
#ifndef FG_TOOLS_BENCH_TRIAL_H
#define FG_TOOLS_BENCH_TRIAL_H

#include "runtime/network/inference.h"
#include "trainer/bundle/folded.h"

struct fg_trial {
    struct fg_backend *backend;
    struct fg_inference inference;
    struct fg_memory memory;
};

/* Frames are RGB of the network's size. What is quantised is int8 where the backend computes that. The
 * network must outlive it; folded may end after. */
FG_MUST_USE enum fg_status fg_trial_open(struct fg_trial *trial, struct fg_backend *backend,
                                         const struct fg_network *network, const struct fg_folded *folded,
                                         int32_t batch, struct fg_message *message);
/* Is to be called after a failed open too. */
void fg_trial_close(struct fg_trial *trial);

/* Puts other values, float32 and as many as the folded parameter has, in place of a parameter's
 * that is not int8. */
FG_MUST_USE enum fg_status fg_trial_weight(struct fg_trial *trial, uint32_t param, const float *values,
                                           struct fg_message *message);

/* Runs the program once; score and map are then those of the batch. */
FG_MUST_USE enum fg_status fg_trial_run(struct fg_trial *trial, struct fg_message *message);
const float *fg_trial_score(const struct fg_trial *trial);
const float *fg_trial_map(const struct fg_trial *trial);

#endif
