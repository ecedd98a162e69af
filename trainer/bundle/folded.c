/* Folds a network's weights into one block, parameter behind parameter. */
#include "trainer/bundle/folded.h"

#include <stdlib.h>
#include <string.h>

enum fg_status fg_folded_open(struct fg_folded *folded, const struct fg_weights *weights,
                              struct fg_message *message) {
    const struct fg_network *network = weights->network;
    struct fg_tensor tensor[FG_NETWORK_PARAMS];
    const struct fg_tensor *place[FG_NETWORK_PARAMS] = {NULL};
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
    fg_weights_fold(weights, place, -1, folded->block);
    const struct fg_memory memory = {.segment = {[FG_SEGMENT_FROZEN] = folded->block}};
    for (uint32_t i = 0; i < network->params; i++)
        if (place[i])
            folded->value[i] = fg_tensor_data(place[i], &memory);
    return FG_OK;
}

void fg_folded_close(struct fg_folded *folded) {
    free(folded->block);
    memset(folded, 0, sizeof *folded);
}
