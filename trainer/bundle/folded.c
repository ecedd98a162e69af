/* Folds a network's weights into one block, or loads a bundle's, parameter behind parameter. */
#include "trainer/bundle/folded.h"

#include <stdlib.h>
#include <string.h>

/* Where things are in the block while it is laid out. */
struct layout {
    struct fg_tensor tensor[FG_NETWORK_PARAMS];
    const struct fg_tensor *place[FG_NETWORK_PARAMS];           /* NULL where folding took the parameter up */
    size_t weight[FG_NETWORK_PARAMS], scale[FG_NETWORK_PARAMS]; /* of what is int8: offsets */
    size_t bytes;
};

/* Adds a piece, and gives where it is. */
static size_t add_piece(struct layout *layout, size_t bytes) {
    const size_t at = layout->bytes;
    layout->bytes += fg_size_align(bytes);
    return at;
}

static void lay_out_values(struct layout *layout, const struct fg_network *network) {
    memset(layout, 0, sizeof *layout);
    for (uint32_t i = 0; i < network->params; i++) {
        if (!fg_param_folded(&network->param[i]))
            continue;
        struct fg_tensor *t = &layout->tensor[i];
        *t = fg_param_tensor(&network->param[i]);
        t->segment = FG_SEGMENT_FROZEN;
        t->offset = add_piece(layout, fg_tensor_bytes(t));
        layout->place[i] = t;
    }
}

/* Adds the weights and scales of what the bundle holds as int8. */
static void lay_out_int8(struct layout *layout, const struct fg_bundle *bundle) {
    const struct fg_network *network = fg_bundle_network(bundle);
    for (uint32_t i = 0; i < fg_bundle_tensors(bundle); i++) {
        const struct fg_bundle_tensor *t = fg_bundle_tensor(bundle, i);
        if (t->dtype != FG_I8)
            continue;
        layout->weight[t->param] = add_piece(layout, fg_tensor_count(&layout->tensor[t->param]));
        layout->scale[t->param] =
            add_piece(layout, (size_t)fg_param_channels(&network->param[t->param]) * sizeof(float));
    }
}

/* Takes the block, and gives each folded parameter its place. */
static enum fg_status take_block(struct fg_folded *folded, const struct fg_network *network,
                                 const struct layout *layout, struct fg_message *message) {
    memset(folded, 0, sizeof *folded);
    folded->block = aligned_alloc(FG_ALIGNMENT, layout->bytes);
    if (!folded->block)
        return fg_fail(message, FG_ENVIRONMENT, "no memory for %zu MiB of weights", layout->bytes >> 20);
    const struct fg_memory memory = {.segment = {[FG_SEGMENT_FROZEN] = folded->block}};
    for (uint32_t i = 0; i < network->params; i++)
        if (layout->place[i])
            folded->value[i] = fg_tensor_data(layout->place[i], &memory);
    return FG_OK;
}

enum fg_status fg_folded_open(struct fg_folded *folded, const struct fg_weights *weights,
                              struct fg_message *message) {
    struct layout layout;
    lay_out_values(&layout, weights->network);
    enum fg_status status = take_block(folded, weights->network, &layout, message);
    if (status == FG_OK)
        fg_weights_fold(weights, layout.place, -1, folded->block);
    return status;
}

/* Takes the next weights of 8 bits. */
static enum fg_status put_weights(void *argument, size_t at, size_t count, const void *values,
                                  struct fg_message *message) {
    (void)message;
    memcpy((int8_t *)argument + at, values, count);
    return FG_OK;
}

/* Loads tensor i of the bundle as int8. */
static enum fg_status load_int8(struct fg_folded *folded, const struct layout *layout,
                                const struct fg_bundle *bundle, uint32_t i, void *scratch,
                                struct fg_message *message) {
    const struct fg_bundle_tensor *t = fg_bundle_tensor(bundle, i);
    const size_t channels = (size_t)fg_param_channels(&fg_bundle_network(bundle)->param[t->param]);
    char *block = folded->block;
    struct fg_quantised *to = &folded->quantised[t->param];
    *to = (struct fg_quantised){.weight = (int8_t *)(block + layout->weight[t->param]),
                                .scale = (float *)(block + layout->scale[t->param]),
                                .reading = t->reading};
    memcpy(to->scale, t->scale, channels * sizeof *to->scale);
    const struct fg_bundle_sink sink = {.dtype = FG_I8, .put = put_weights, .argument = to->weight};
    return fg_bundle_send(bundle, i, &sink, scratch, message);
}

enum fg_status fg_folded_load(struct fg_folded *folded, const struct fg_bundle *bundle,
                              struct fg_message *message) {
    struct layout layout;
    lay_out_values(&layout, fg_bundle_network(bundle));
    lay_out_int8(&layout, bundle);
    enum fg_status status = take_block(folded, fg_bundle_network(bundle), &layout, message);
    if (status != FG_OK)
        return status;
    void *scratch = malloc(fg_bundle_scratch());
    if (!scratch)
        status = fg_fail(message, FG_ENVIRONMENT, "no memory to load weights");
    for (uint32_t i = 0; i < fg_bundle_tensors(bundle) && status == FG_OK; i++) {
        const struct fg_bundle_tensor *t = fg_bundle_tensor(bundle, i);
        float *values = (float *)((char *)folded->block + layout.tensor[t->param].offset);
        status = fg_bundle_load(bundle, i, values, scratch, message);
        if (status == FG_OK && t->dtype == FG_I8)
            status = load_int8(folded, &layout, bundle, i, scratch, message);
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
