/* flawgate bundle export: writes the weights of a bundle or of a training under PyTorch's names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/json.h"
#include "runtime/bundle/bundle.h"
#include "runtime/weights/safetensors.h"
#include "tools/commands/bundle_command.h"
#include "trainer/loop/state.h"

static bool ends_in(const char *path, const char *ending) {
    const size_t length = strlen(path), end = strlen(ending);
    return length > end && !strcmp(path + length - end, ending);
}

static enum fg_status export_bundle(const char *path, const char *out, bool quiet,
                                    struct fg_message *message) {
    struct fg_progress progress;
    fg_progress_begin(&progress, "reading tensor", quiet);
    float *values[FG_NETWORK_PARAMS] = {NULL};
    void *scratch = malloc(fg_bundle_scratch());
    struct fg_bundle *bundle = NULL;
    enum fg_status status = fg_bundle_open(path, &bundle, message);
    if (status != FG_OK)
        goto out;
    const struct fg_network *network = fg_bundle_network(bundle);
    for (uint32_t i = 0; i < fg_bundle_tensors(bundle) && status == FG_OK; i++) {
        const uint32_t param = fg_bundle_tensor(bundle, i)->param;
        const struct fg_tensor t = fg_param_tensor(&network->param[param]);
        values[param] = malloc(fg_tensor_bytes(&t));
        if (!scratch || !values[param]) {
            status = fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory for its weights", path);
            break;
        }
        status = fg_bundle_load(bundle, i, values[param], scratch, message);
        fg_progress_count(&progress, i + 1, fg_bundle_tensors(bundle));
    }
    fg_progress_clear(&progress);
    if (status == FG_OK)
        status = fg_safetensors_write(out, network, (const float *const *)values, message);
out:
    for (uint32_t i = 0; i < FG_NETWORK_PARAMS; i++)
        free(values[i]);
    free(scratch);
    fg_bundle_close(bundle);
    return status;
}

/* Writes the best epoch's weights, of which the bundle was made. */
static enum fg_status write_best(const struct fg_weights *weights, const unsigned char *best, const char *out,
                                 struct fg_message *message) {
    memcpy(weights->block, best, weights->moving);
    const float *values[FG_NETWORK_PARAMS];
    for (uint32_t i = 0; i < weights->network->params; i++)
        values[i] = fg_weights_values(weights, i);
    return fg_safetensors_write(out, weights->network, values, message);
}

static enum fg_status export_state(const char *path, const char *out, struct fg_message *message) {
    struct fg_state state;
    struct fg_weights weights = {0};
    struct fg_state_contents contents = {.weights = &weights};
    struct fg_network *network = calloc(1, sizeof *network);
    enum fg_status status = network ? fg_state_peek(path, &state, message)
                                    : fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory to read it", path);
    if (status == FG_OK) {
        const struct fg_network_spec spec = fg_state_spec(&state);
        status = fg_network_init(network, &spec, message);
        if (status != FG_OK)
            fg_say_in(message, path);
    }
    if (status == FG_OK)
        status = fg_weights_open(&weights, network, message);
    if (status != FG_OK)
        goto out;
    contents.best = malloc(weights.moving);
    contents.moments = malloc(2 * weights.trained);
    if (!contents.best || !contents.moments) {
        status = fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory to read it", path);
        goto out;
    }
    status = fg_state_read(path, &state, &contents, message);
    if (status == FG_OK)
        status = write_best(&weights, contents.best, out, message);
out:
    free(contents.best);
    free(contents.moments);
    fg_weights_close(&weights);
    free(network);
    return status;
}

enum fg_status fg_bundle_export(const char *path, const char *out, const struct fg_common *common,
                                struct fg_message *message) {
    enum fg_status status =
        !ends_in(out, ".safetensors")
            ? fg_fail(message, FG_USAGE, "%.300s: the output's name must end in .safetensors", out)
        : ends_in(path, FG_BUNDLE_ENDING) ? export_bundle(path, out, common->quiet, message)
        : ends_in(path, FG_STATE_ENDING)
            ? export_state(path, out, message)
            : fg_fail(message, FG_USAGE, "%.300s: must be a NAME.fgb or a NAME.state", path);
    if (status != FG_OK)
        return status;
    if (common->json) {
        printf("{\"file\": ");
        fg_json_text(stdout, path);
        printf(", \"written\": ");
        fg_json_text(stdout, out);
        puts("}");
    }
    fg_common_remark(common, "%s is written.", out);
    return FG_OK;
}
