/* A network's judging program with its memory on any backend, for measuring and checking the device:
 * random pixels, a batch of any size, weights that can be changed one by one. What serves parts is the
 * engine. */
#ifndef FG_TOOLS_BENCH_JUDGING_H
#define FG_TOOLS_BENCH_JUDGING_H

#include "runtime/network/inference.h"
#include "trainer/bundle/folded.h"

struct fg_judging {
    struct fg_backend *backend;
    struct fg_inference inference;
    struct fg_memory memory;
};

/* Frames are RGB of the network's size. The network must outlive it; folded may end after. */
FG_MUST_USE enum fg_status fg_judging_open(struct fg_judging *judging, struct fg_backend *backend,
                                           const struct fg_network *network, const struct fg_folded *folded,
                                           int32_t batch, struct fg_message *message);
/* Is to be called after a failed open too. */
void fg_judging_close(struct fg_judging *judging);

/* Puts other values, float32 and as many as the folded parameter has, in place of a parameter's. */
FG_MUST_USE enum fg_status fg_judging_weight(struct fg_judging *judging, uint32_t param, const float *values,
                                             struct fg_message *message);

/* Runs the program once; score and map are then those of the batch. */
FG_MUST_USE enum fg_status fg_judging_run(struct fg_judging *judging, struct fg_message *message);
const float *fg_judging_score(const struct fg_judging *judging);
const float *fg_judging_map(const struct fg_judging *judging);

#endif
