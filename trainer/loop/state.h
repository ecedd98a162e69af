/* NAME.state: everything that the next epoch depends on, in one file, written whole or not at all.
 *
 * Layout, little-endian: struct fg_state; the weights' block (trained, running statistics, teacher); the best
 * epoch's weights and running statistics; Adam's first, then second moments; BLAKE2b-256 over all before it.
 * Sizes follow from the network alone, so a file of any other length is refused before it is read. */
#ifndef FG_TRAINER_LOOP_STATE_H
#define FG_TRAINER_LOOP_STATE_H

#include "trainer/loop/weights.h"

#define FG_STATE_ENDING ".state"

/* Fixed-width and without padding: it is the file's first bytes. */
struct fg_state {
    char magic[8]; /* "FGSTATE1" */
    uint64_t seed, step;
    uint32_t backbone, height, width, base, levels;
    uint32_t switches; /* bits: scconv, simam, fmm, soft gate, global loss, finished */
    uint32_t epochs, patience, batch, limit;
    float learning_rate, l2, mask_rate;
    float loss, best_loss, reference_loss;
    uint32_t epoch, best_epoch, stale, reserved;
    uint8_t data_hash[32];
};

enum {
    FG_STATE_SCCONV = 1,
    FG_STATE_SIMAM = 2,
    FG_STATE_FMM = 4,
    FG_STATE_SOFT_GATE = 8,
    FG_STATE_GLOBAL_LOSS = 16,
    FG_STATE_FINISHED = 32,
};

struct fg_network_spec fg_state_spec(const struct fg_state *state);

/* The parts behind the head. best holds weights->moving bytes, moments 2 * weights->trained. */
struct fg_state_parts {
    const struct fg_weights *weights;
    unsigned char *best, *moments;
};

FG_MUST_USE enum fg_status fg_state_write(const char *path, const struct fg_state *state,
                                          const struct fg_state_parts *parts, struct fg_message *message);

/* Reads the head alone: what network the file is of. */
FG_MUST_USE enum fg_status fg_state_peek(const char *path, struct fg_state *state,
                                         struct fg_message *message);

/* Reads all into parts whose network must be the file's. On failure parts' contents are undefined. */
FG_MUST_USE enum fg_status fg_state_read(const char *path, struct fg_state *state,
                                         const struct fg_state_parts *parts, struct fg_message *message);

#endif
