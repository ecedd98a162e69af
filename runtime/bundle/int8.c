/* Reads what a bundle has beside its int8 weights: the scales of their channels, and how each reads its
 * input. */
#include <math.h>
#include <stdlib.h>

#include "runtime/bundle/file.h"

/* The readings as the file has them, in the order of the int8 weights. */
struct readings {
    float scale[FG_NETWORK_PARAMS];
    uint8_t zero[FG_NETWORK_PARAMS];
};

static enum fg_status check_scales(const struct fg_bundle *bundle, enum fg_annex annex, const float *scale,
                                   struct fg_message *message) {
    const struct fg_tensor t = fg_annex_tensor(bundle, &bundle->header, annex);
    for (size_t i = 0; i < fg_tensor_count(&t); i++)
        if (!(scale[i] > 0 && isfinite(scale[i])))
            return fg_fail(
                message, FG_INPUT,
                "%.250s: %s: scale %zu is %g, but must be above 0 and finite; copy the bundle again",
                bundle->path, fg_annex_name(annex), i + 1, (double)scale[i]);
    return FG_OK;
}

static enum fg_status read_annexes(const struct fg_bundle *bundle, struct readings *readings, void *scratch,
                                   struct fg_message *message) {
    enum fg_status status = fg_annex_read(bundle, FG_ANNEX_WEIGHT_SCALE, bundle->scale, scratch, message);
    if (status == FG_OK)
        status = check_scales(bundle, FG_ANNEX_WEIGHT_SCALE, bundle->scale, message);
    if (status == FG_OK)
        status = fg_annex_read(bundle, FG_ANNEX_INPUT_SCALE, readings->scale, scratch, message);
    if (status == FG_OK)
        status = check_scales(bundle, FG_ANNEX_INPUT_SCALE, readings->scale, message);
    return status == FG_OK ? fg_annex_read(bundle, FG_ANNEX_INPUT_ZERO, readings->zero, scratch, message)
                           : status;
}

/* Gives each int8 weight its part of what was read. */
static void hand_out(struct fg_bundle *bundle, const struct readings *readings) {
    const float *scale = bundle->scale;
    uint32_t k = 0;
    for (uint32_t i = 0; i < bundle->tensors; i++) {
        struct fg_bundle_tensor *tensor = &bundle->tensor[i];
        if (tensor->dtype != FG_I8)
            continue;
        tensor->reading = (struct fg_reading){readings->scale[k], readings->zero[k]};
        bundle->reading[tensor->param] = tensor->reading;
        tensor->scale = scale;
        scale += fg_param_channels(&bundle->network.param[tensor->param]);
        k++;
    }
}

/* Checks that the network can read its values so. */
static enum fg_status check_readings(const struct fg_bundle *bundle, struct fg_message *message) {
    struct fg_read_value value[FG_NETWORK_VALUES];
    const enum fg_status status = fg_network_read(&bundle->network, bundle->reading, value, message);
    return status == FG_OK ? FG_OK : fg_fail_in(message, status, bundle->path);
}

enum fg_status fg_bundle_load_int8(struct fg_bundle *bundle, struct fg_message *message) {
    if (!bundle->quantised)
        return FG_OK;
    struct readings readings;
    void *scratch = malloc(fg_bundle_scratch());
    bundle->scale = malloc(bundle->channels * sizeof *bundle->scale);
    enum fg_status status = FG_OK;
    if (!scratch || !bundle->scale)
        status = fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory for the scales of its int8 weights",
                         bundle->path);
    if (status == FG_OK)
        status = read_annexes(bundle, &readings, scratch, message);
    free(scratch);
    if (status != FG_OK)
        return status;
    hand_out(bundle, &readings);
    return check_readings(bundle, message);
}
