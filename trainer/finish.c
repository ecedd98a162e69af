#include "trainer/finish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/forward.h"

enum fg_status fg_finish_write(const char *path, const struct fg_weights *weights,
                               const struct fg_bundle_header *header, struct fg_message *message) {
    struct fg_plan *plan;
    enum fg_status status = fg_plan_open(FG_FORWARD_TENSORS, 1, 1, &plan, message);
    if (status != FG_OK)
        return status;
    /* The layout of folded parameters is the forward pass's. */
    struct fg_forward forward;
    fg_forward_begin(&forward, plan, weights->network, 1, FG_F32);
    size_t bytes = 0;
    for (uint32_t i = 0; i < weights->network->params; i++)
        if (forward.frozen[i])
            bytes = forward.frozen[i]->offset + fg_size_align(fg_tensor_bytes(forward.frozen[i]));
    struct fg_memory memory = {.region = {[FG_REGION_FROZEN] = aligned_alloc(FG_ALIGNMENT, bytes)}};
    if (!memory.region[FG_REGION_FROZEN]) {
        status =
            fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory for %zu MiB of weights", path, bytes >> 20);
        goto out;
    }
    fg_weights_fold(weights, forward.frozen, -1, memory.region[FG_REGION_FROZEN]);
    const float *values[FG_NETWORK_PARAMS] = {NULL};
    for (uint32_t i = 0; i < weights->network->params; i++)
        if (forward.frozen[i])
            values[i] = fg_tensor_data(forward.frozen[i], &memory);
    status = fg_bundle_write(path, header, values, NULL, NULL, message);
out:
    free(memory.region[FG_REGION_FROZEN]);
    fg_plan_close(plan);
    return status;
}

enum fg_status fg_finish(const char *path, const struct fg_weights *weights,
                         const struct fg_bundle_header *header, const char *const *held_out,
                         uint32_t held_outs, float false_rejects, struct fg_backend *backend,
                         fg_calibrate_function *progress, void *argument, struct fg_calibration *calibration,
                         struct fg_message *message) {
    char uncalibrated[4096];
    if ((size_t)snprintf(uncalibrated, sizeof uncalibrated, "%s.uncalibrated", path) >= sizeof uncalibrated)
        return fg_fail(message, FG_USAGE, "%.100s...: the path is too long", path);
    enum fg_status status = fg_finish_write(uncalibrated, weights, header, message);
    if (status != FG_OK)
        return status;
    status = fg_calibrate_bundle(uncalibrated, path, held_out, held_outs, false_rejects, backend, progress,
                                 argument, NULL, calibration, message);
    unlink(uncalibrated);
    return status;
}
