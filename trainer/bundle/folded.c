/* Folds a network's weights into one block, or loads a bundle's, parameter behind parameter. */
#include "trainer/bundle/folded.h"

#include <stdlib.h>
#include <string.h>

/* Takes the block, and gives each folded parameter its place. place: {FG_NETWORK_PARAMS}, NULL where folding
 * took the parameter up; they point into tensor. */
static enum fg_status take_block(struct fg_folded *folded, const struct fg_network *network,
                                 struct fg_tensor *tensor, const struct fg_tensor **place,
                                 struct fg_message *message) {
    memset(folded, 0, sizeof *folded);
    size_t bytes = 0;
    for (uint32_t i = 0; i < network->params; i++) {
        if (!fg_param_folded(&network->param[i]))
            continue;
        tensor[i] = fg_param_tensor(&network->param[i]);
        tensor[i].segment = FG_SEGMENT_FROZEN;
        tensor[i].offset = bytes;
        bytes += fg_size_align(fg_tensor_bytes(&tensor[i]));
        place[i] = &tensor[i];
    }
    folded->block = aligned_alloc(FG_ALIGNMENT, bytes);
    if (!folded->block)
        return fg_fail(message, FG_ENVIRONMENT, "no memory for %zu MiB of weights", bytes >> 20);
    const struct fg_memory memory = {.segment = {[FG_SEGMENT_FROZEN] = folded->block}};
    for (uint32_t i = 0; i < network->params; i++)
        if (place[i])
            folded->value[i] = fg_tensor_data(place[i], &memory);
    return FG_OK;
}

enum fg_status fg_folded_open(struct fg_folded *folded, const struct fg_weights *weights,
                              struct fg_message *message) {
    struct fg_tensor tensor[FG_NETWORK_PARAMS];
    const struct fg_tensor *place[FG_NETWORK_PARAMS] = {NULL};
    enum fg_status status = take_block(folded, weights->network, tensor, place, message);
    if (status == FG_OK)
        fg_weights_fold(weights, place, -1, folded->block);
    return status;
}

enum fg_status fg_folded_load(struct fg_folded *folded, const struct fg_bundle *bundle,
                              struct fg_message *message) {
    struct fg_tensor tensor[FG_NETWORK_PARAMS];
    const struct fg_tensor *place[FG_NETWORK_PARAMS] = {NULL};
    enum fg_status status = take_block(folded, fg_bundle_network(bundle), tensor, place, message);
    if (status != FG_OK)
        return status;
    void *scratch = malloc(fg_bundle_scratch());
    if (!scratch)
        status = fg_fail(message, FG_ENVIRONMENT, "no memory to load weights");
    for (uint32_t i = 0; i < fg_bundle_tensors(bundle) && status == FG_OK; i++) {
        float *values = (float *)((char *)folded->block + place[fg_bundle_tensor(bundle, i)->param]->offset);
        status = fg_bundle_load(bundle, i, values, scratch, message);
    }
    free(scratch);
    if (status != FG_OK)
        fg_folded_close(folded);
    return status;
}

void fg_folded_close(struct fg_folded *folded) {
    free(folded->block);
    memset(folded, 0, sizeof *folded);
}
