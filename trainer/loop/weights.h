/* All parameters of a network as training has them: float32, NHWC, batch norm unfolded, in one block.
 *
 * Order: trained convolution weights (which l2 decays), the other trained ones, running statistics, the
 * frozen teacher. The first three are FG_SEGMENT_TRAINED of the training program; gradients and moments are
 * laid out like the first two, so that Adam is one step over both.
 *
 * Errors: FG_ENVIRONMENT without memory. Owner: who opens weights closes them. Thread: any, as long as no
 * other changes the same weights. NULL: only a message may be. */
#ifndef FG_TRAINER_LOOP_WEIGHTS_H
#define FG_TRAINER_LOOP_WEIGHTS_H

#include "runtime/network/forward.h"

struct fg_weights {
    const struct fg_network *network;          /* borrowed */
    struct fg_tensor param[FG_NETWORK_PARAMS]; /* places in the block, in FG_SEGMENT_TRAINED */
    size_t decayed, trained, moving, bytes;    /* bytes at which the four sections end */
    unsigned char *block; /* {bytes}, aligned to FG_ALIGNMENT, owned; NULL: another owns it now */
};

/* Lays out all parameters and takes a zeroed block for them. The network must outlive the weights. */
FG_MUST_USE enum fg_status fg_weights_open(struct fg_weights *weights, const struct fg_network *network,
                                           struct fg_message *message);
void fg_weights_close(struct fg_weights *weights);

/* Gives a parameter's values {fg_param_tensor}. */
float *fg_weights_values(const struct fg_weights *weights, uint32_t param);

/* Initialises as runtime/network/network.h says: convolutions normal with deviation sqrt(2 / (d0 kh kw)),
 * biases 0, batch and group norm 1 and 0, variance 1. teacher: draws the teacher too, for --teacher
 * random. */
void fg_weights_draw(struct fg_weights *weights, uint64_t seed, bool teacher);

/* Folds every batch norm into its convolution and writes the folded parameters to segment, which is a
 * FG_SEGMENT_FROZEN. frozen: tensors by parameter index; NULL where folding takes the parameter up. Those of
 * int8 weights stay as they are. module: the module to fold; -1: all. */
void fg_weights_fold(const struct fg_weights *weights, const struct fg_tensor *const *frozen, int module,
                     void *segment);

#endif
