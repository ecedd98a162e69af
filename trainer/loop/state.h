/* NAME.state: everything that the next epoch depends on, in one file, written whole or not at all.
 *
 * Layout, little-endian: struct fg_state; the weights' block (trained, running statistics, teacher); the best
 * epoch's weights and running statistics; Adam's first, then second moments; BLAKE2b-256 over all before it.
 * Sizes follow from the network alone, so a file of any other length is refused before it is read.
 *
 * Errors: FG_INPUT for a file that is no state or is damaged, FG_ENVIRONMENT for the disk; messages name the
 * file. Owner: all memory is the caller's. Thread: any, as long as no other uses the same memory. NULL: only
 * a message may be. */
#ifndef FG_TRAINER_LOOP_STATE_H
#define FG_TRAINER_LOOP_STATE_H

#include "runtime/bundle/bundle.h"
#include "trainer/loop/weights.h"

#define FG_STATE_ENDING ".state"

/* The file's first bytes: fields of fixed width, without padding. */
struct fg_state {
    char magic[8]; /* "FGSTATE1" */
    uint64_t seed, step;
    uint32_t backbone, height, width, base, levels;
    uint32_t switches; /* bits FG_STATE_SCCONV to FG_STATE_INT8 */
    uint32_t epochs, patience, batch, limit;
    float learning_rate, l2, mask_rate;
    float loss, best_loss, reference_loss;
    uint32_t epoch, best_epoch, stale, reserved;
    uint8_t data_hash[FG_HASH_SIZE];
};

enum {
    FG_STATE_SCCONV = 1,
    FG_STATE_SIMAM = 2,
    FG_STATE_FMM = 4,
    FG_STATE_SOFT_GATE = 8,
    FG_STATE_GLOBAL_LOSS = 16,
    FG_STATE_FINISHED = 32,
    FG_STATE_INT8 = 64, /* the teacher was int8 */
};

/* Gives the network that was trained. */
struct fg_network_spec fg_state_spec(const struct fg_state *state);

/* The memory that is written behind the head. */
struct fg_state_contents {
    const struct fg_weights *weights;
    unsigned char *best;    /* {weights->moving bytes} */
    unsigned char *moments; /* {2 * weights->trained bytes} */
};

/* Writes a state to path, whole or not at all; the magic is set here. */
FG_MUST_USE enum fg_status fg_state_write(const char *path, const struct fg_state *state,
                                          const struct fg_state_contents *contents,
                                          struct fg_message *message);

/* Reads the head alone, which says which network was trained, and how far. */
FG_MUST_USE enum fg_status fg_state_peek(const char *path, struct fg_state *state,
                                         struct fg_message *message);

/* Reads the whole file; the network of contents must be the file's. After a failure the memory is
 * undefined. */
FG_MUST_USE enum fg_status fg_state_read(const char *path, struct fg_state *state,
                                         const struct fg_state_contents *contents,
                                         struct fg_message *message);

#endif
