/* All parameters of a network as training has them: float32, NHWC, batch norm unfolded, in one block.
 *
 * Order: trained convolution weights (which l2 decays), the other trained ones, running statistics, the
 * frozen teacher. The first three are FG_SEGMENT_TRAINED of the training program; gradients and moments are
 * laid out like the first two, so that Adam is one step over both. */
#ifndef FG_TRAINER_LOOP_WEIGHTS_H
#define FG_TRAINER_LOOP_WEIGHTS_H

#include "runtime/network/forward.h"

struct fg_weights {
    const struct fg_network *network;
    struct fg_tensor param[FG_NETWORK_PARAMS]; /* segment TRAINED, offset in the block */
    size_t decayed, trained, moving, bytes;    /* ends of the sections, in bytes */
    unsigned char *block;                      /* bytes long, FG_ALIGNMENT-aligned, owned */
};

/* Lays out and takes a zeroed block. The network must outlive it. */
FG_MUST_USE enum fg_status fg_weights_open(struct fg_weights *weights, const struct fg_network *network,
                                           struct fg_message *message);
void fg_weights_close(struct fg_weights *weights);

/* First value of a parameter. */
float *fg_weights_values(const struct fg_weights *weights, uint32_t param);

/* Initialises by runtime/network/network.h, section 7: normal with std sqrt(2 / (d0 kh kw)), biases 0, batch
 * and group norm 1 and 0, variance 1. The teacher is drawn too when asked for (--teacher random). */
void fg_weights_draw(struct fg_weights *weights, uint64_t seed, bool teacher);

/* Folds every batch norm into its convolution and writes the folded parameters to where a forward pass has
 * them (forward->frozen, in the given FG_SEGMENT_FROZEN). module limits it to one module; -1 means all. */
void fg_weights_fold(const struct fg_weights *weights, const struct fg_tensor *const *frozen, int module,
                     void *segment);

#endif
