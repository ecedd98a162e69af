/* The training loop: the recipe of runtime/network/network.h on a set of pictures, an epoch at a time,
 * resumable bit for bit. After every epoch the held-out loss is taken with batch norm in inference mode and
 * without masks: it alone is reported, compared and stopped on.
 *
 * Errors: FG_ENVIRONMENT for memory and disk, FG_DEVICE_LOST for the device, FG_INPUT for what is wrong with
 * pictures, loss or state file. Owner: who opens a trainer closes it; what the getters give lives as long as
 * it. Thread: one at a time. NULL: a message, a step function, and a trainer that is closed. */
#ifndef FG_TRAINER_LOOP_TRAIN_H
#define FG_TRAINER_LOOP_TRAIN_H

#include "runtime/bundle/bundle.h"
#include "trainer/loop/graph.h"

#define FG_TRAINING_WORKSPACE_MIB 256 /* MiB of workspace for training on a GPU's one lane */

/* The recipe's defaults, for programs and for the command line. */
#define FG_TRAINING_PATIENCE 20
#define FG_TRAINING_BATCH 16
#define FG_TRAINING_RATE 1e-3
#define FG_TRAINING_L2 1e-5
#define FG_TRAINING_MASK_RATE 0.4
#define FG_TRAINING_CACHE_MIB 1024

/* The recipe. Zeroed fields are not defaults: fg_training_defaults gives those. */
struct fg_training {
    uint32_t epochs;     /* exact limit; 0: the larger of 200 and the epochs that 1,500 steps need */
    uint32_t patience;   /* epochs without 0.1 % improvement that end training after 1,000 steps */
    uint32_t batch;      /* 2 to FG_MAX_BATCH */
    float learning_rate; /* > 0 */
    float l2;            /* lambda_R of the paper's equation 14; 0 turns it off */
    struct fg_recipe recipe;
    uint64_t seed;
    uint32_t cache_mib; /* most MiB of kept features (trainer/loop/features.h); no bit depends on it */
    /* {FG_NETWORK_PARAMS}, borrowed: the teacher's int8 weights, for a backend that computes them; NULL: the
     * teacher is float. */
    const struct fg_quantised *teacher;
};

struct fg_training fg_training_defaults(void);

/* Pictures of the network's size: some to train with, some to validate with. All is borrowed. */
struct fg_pictures {
    const uint8_t *pixels; /* {count, height, width, 3} */
    uint32_t count;
    const uint32_t *train;    /* {trains}: indices of pictures, which the draws of order and masks use */
    uint32_t trains;          /* 2 or more for each device */
    const uint32_t *held_out; /* {held_outs}: indices */
    uint32_t held_outs;       /* 1 or more */
};

/* Where training stands. Everything here is in NAME.state. */
struct fg_trainer_counters {
    uint32_t epoch;       /* epochs done */
    uint64_t step;        /* Adam's t */
    float loss;           /* the last epoch's held-out loss: sum over levels, mean over pictures */
    float best_loss;      /* the smallest held-out loss so far */
    uint32_t best_epoch;  /* the epoch (from 1) that had it and whose weights are kept */
    float reference_loss; /* the last loss that was 0.1 % better than the one before */
    uint32_t stale;       /* epochs since the reference loss */
    uint32_t limit;       /* epochs that training may take */
    bool finished;
};

struct fg_trainer;

/* Opens training on count backends, which are a group where there are several: each has an equal share of a
 * batch, two pictures or more. A device with memory of its own keeps the pictures there if they fit, and
 * else reads the host's. Training starts with the given weights, which the trainer takes over. */
FG_MUST_USE enum fg_status fg_trainer_open(const struct fg_training *training, struct fg_weights *weights,
                                           const struct fg_pictures *pictures,
                                           struct fg_backend *const *backends, uint32_t count,
                                           struct fg_trainer **trainer, struct fg_message *message);
void fg_trainer_close(struct fg_trainer *trainer);

/* Called after each step. pictures: number of this epoch's pictures that have been trained with. */
typedef void fg_step_function(void *argument, uint32_t pictures);

/* Trains one epoch and validates; then the counters say whether training has finished. FG_INPUT: the loss
 * is not finite. */
FG_MUST_USE enum fg_status fg_trainer_epoch(struct fg_trainer *trainer, fg_step_function *step,
                                            void *argument, struct fg_message *message);

const struct fg_trainer_counters *fg_trainer_counters(const struct fg_trainer *trainer);

/* Bytes of memory that training takes, without the pictures. */
size_t fg_trainer_memory(const struct fg_trainer *trainer);

/* The best epoch's weights; before the first epoch, those that training starts with. */
const struct fg_weights *fg_trainer_best(const struct fg_trainer *trainer);

/* Writes everything that the next epoch depends on, or restores it. data_hash: the pictures' hash
 * {FG_HASH_SIZE}. A state of other pictures, another network or another recipe is refused with a sentence
 * that names what differs. */
FG_MUST_USE enum fg_status fg_trainer_save(const struct fg_trainer *trainer, const char *path,
                                           const uint8_t *data_hash, struct fg_message *message);
FG_MUST_USE enum fg_status fg_trainer_resume(struct fg_trainer *trainer, const char *path,
                                             const uint8_t *data_hash, struct fg_message *message);

#endif
