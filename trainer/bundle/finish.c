#include "trainer/bundle/finish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/network/forward.h"

enum fg_status fg_folded_open(struct fg_folded *folded, const struct fg_weights *weights,
                              struct fg_message *message) {
    memset(folded, 0, sizeof *folded);
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
    folded->block = aligned_alloc(FG_ALIGNMENT, bytes);
    if (folded->block) {
        const struct fg_memory memory = {.segment = {[FG_SEGMENT_FROZEN] = folded->block}};
        fg_weights_fold(weights, forward.frozen, -1, folded->block);
        for (uint32_t i = 0; i < weights->network->params; i++)
            if (forward.frozen[i])
                folded->value[i] = fg_tensor_data(forward.frozen[i], &memory);
    } else {
        status = fg_fail(message, FG_ENVIRONMENT, "no memory for %zu MiB of weights", bytes >> 20);
    }
    fg_plan_close(plan);
    return status;
}

void fg_folded_close(struct fg_folded *folded) {
    free(folded->block);
    memset(folded, 0, sizeof *folded);
}

enum fg_status fg_finish_write(const char *path, const struct fg_weights *weights,
                               const struct fg_bundle_header *header, struct fg_message *message) {
    struct fg_folded folded;
    enum fg_status status = fg_folded_open(&folded, weights, message);
    if (status != FG_OK)
        return fg_fail_in(message, status, path);
    status = fg_bundle_write(path, header, folded.value, NULL, NULL, message);
    fg_folded_close(&folded);
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
