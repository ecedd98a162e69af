/* A network's folded parameters: what a bundle holds, and what tools that judge without a bundle load.
 *
 * Every batch norm is inside the convolution before it, in float32.
 *
 * Errors: FG_ENVIRONMENT without memory, and what a function says. Owner: who opens closes. Thread: any,
 * after opening. NULL: only a message may be. */
#ifndef FG_TRAINER_BUNDLE_FOLDED_H
#define FG_TRAINER_BUNDLE_FOLDED_H

#include "runtime/bundle/bundle.h"
#include "trainer/loop/weights.h"

struct fg_folded {
    /* {fg_param_tensor} by parameter index, NHWC; NULL where folding took the parameter up. */
    const float *value[FG_NETWORK_PARAMS];
    /* What a bundle holds as int8, by parameter index, as fg_bundle_make takes it; value is then what it
     * stands for. No weight: it is not int8. */
    struct fg_quantised quantised[FG_NETWORK_PARAMS];
    void *block; /* owned; holds all values, weights and scales */
};

/* Folds the weights, which may be closed after it. After a failure there is nothing to close, and closing
 * does no harm. */
FG_MUST_USE enum fg_status fg_folded_open(struct fg_folded *folded, const struct fg_weights *weights,
                                          struct fg_message *message);
/* Loads those that a bundle holds, int8 weights as such too. Errors: those of fg_bundle_load too. After a
 * failure as above. */
FG_MUST_USE enum fg_status fg_folded_load(struct fg_folded *folded, const struct fg_bundle *bundle,
                                          struct fg_message *message);
void fg_folded_close(struct fg_folded *folded);

#endif
