/* The training loop: runtime/network/network.h, section 7 on a set of pictures, an epoch at a time, resumable
 * bit for bit.
 *
 * One thread drives the backend. After every epoch the held-out loss is taken with batch norm in inference
 * mode and without masks: it alone is reported, compared and stopped on. */
#ifndef FG_TRAINER_LOOP_TRAIN_H
#define FG_TRAINER_LOOP_TRAIN_H

#include "trainer/loop/graph.h"

#define FG_TRAINING_WORKSPACE_MIB 256 /* of a GPU's one lane, for batches */

/* The recipe. Zeroed fields are not defaults: fg_training_defaults gives those. */
struct fg_training {
    uint32_t epochs;     /* exact limit; 0: 200, or as many as 1,500 steps need where that is more */
    uint32_t patience;   /* epochs without 0.1 % improvement, never before 1,000 steps */
    uint32_t batch;      /* 2 to FG_MAX_BATCH */
    float learning_rate; /* > 0 */
    float l2;            /* lambda_R of equation 14; 0 turns it off */
    struct fg_recipe recipe;
    uint64_t seed;
};

struct fg_training fg_training_defaults(void);

/* Pictures of the network's size, and which of them are for what. Borrowed. */
struct fg_pictures {
    const uint8_t *pixels; /* count * height * width * 3 bytes */
    uint32_t count;
    const uint32_t *train; /* indices; their numbers in the draw of order and masks */
    uint32_t trains;       /* 2 or more */
    const uint32_t *held_out;
    uint32_t held_outs; /* 1 or more */
};

/* Where training stands. Everything here is in NAME.state. */
struct fg_progress {
    uint32_t epoch;       /* epochs done */
    uint64_t step;        /* Adam's t */
    float loss;           /* held-out, of the last epoch; sum over levels, mean over pictures */
    float best_loss;      /* the smallest so far, */
    uint32_t best_epoch;  /* of this epoch (from 1), whose weights are kept */
    float reference_loss; /* last loss that improved by 0.1 % */
    uint32_t stale;       /* epochs since */
    uint32_t limit;       /* epochs that it may take */
    bool finished;
};

struct fg_trainer;

/* Data parallel on count backends, a group where that is more than one: each has an equal share of a batch,
 * of at least two pictures. Takes memory, lays out the graphs; a device with memory of its own keeps the
 * pictures where they fit, and reads them from the host's where not. The network's weights start as weights
 * holds them (moved in: the trainer owns them from here on). */
FG_MUST_USE enum fg_status fg_trainer_open(const struct fg_training *training, struct fg_weights *weights,
                                           const struct fg_pictures *pictures,
                                           struct fg_backend *const *backends, uint32_t count,
                                           struct fg_trainer **trainer, struct fg_message *message);
void fg_trainer_close(struct fg_trainer *trainer);

/* Called after each step with the pictures trained so far in this epoch. */
typedef void fg_step_function(void *argument, uint32_t pictures);

/* One epoch and its validation; then counters say whether training has finished. FG_INPUT: the loss is not
 * finite. */
FG_MUST_USE enum fg_status fg_trainer_epoch(struct fg_trainer *trainer, fg_step_function *step,
                                            void *argument, struct fg_message *message);

const struct fg_progress *fg_trainer_counters(const struct fg_trainer *trainer);

/* Bytes of memory that training takes, without the pictures. */
size_t fg_trainer_memory(const struct fg_trainer *trainer);

/* The best epoch's weights (the current ones before the first epoch). Owned by the trainer. */
const struct fg_weights *fg_trainer_best(const struct fg_trainer *trainer);

/* Writes or restores everything that the next epoch depends on. data_hash is the pictures' (32 bytes): a
 * state of other pictures, another network or another recipe is refused with a sentence that names what
 * differs. */
FG_MUST_USE enum fg_status fg_trainer_save(const struct fg_trainer *trainer, const char *path,
                                           const uint8_t *data_hash, struct fg_message *message);
FG_MUST_USE enum fg_status fg_trainer_resume(struct fg_trainer *trainer, const char *path,
                                             const uint8_t *data_hash, struct fg_message *message);

#endif
