/* Lays out, fills and runs a judging program of its own. */
#include "tools/bench/trial.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/half.h"

enum fg_status fg_trial_weight(struct fg_trial *trial, uint32_t param, const float *values,
                               struct fg_message *message) {
    const struct fg_tensor *t = trial->inference.frozen[param];
    const size_t count = fg_tensor_count(t), bytes = fg_tensor_bytes(t);
    struct fg_backend *backend = trial->backend;
    void *to = fg_tensor_data(t, &trial->memory);
    if (t->dtype == FG_F32)
        return backend->upload(backend, to, values, bytes, message);
    uint16_t *halves = malloc(bytes);
    if (!halves)
        return fg_fail(message, FG_ENVIRONMENT, "no memory for weights of %zu bytes", bytes);
    for (size_t i = 0; i < count; i++)
        halves[i] = fg_float_to_half(values[i]);
    enum fg_status status = backend->upload(backend, to, halves, bytes, message);
    free(halves);
    return status;
}

/* Puts a convolution's weights of 8 bits and their scales. */
static enum fg_status put_int8(struct fg_trial *trial, uint32_t param, const struct fg_quantised *quantised,
                               struct fg_message *message) {
    const struct fg_tensor *t = trial->inference.frozen[param], *scale = trial->inference.scale[param];
    struct fg_backend *backend = trial->backend;
    enum fg_status status = backend->upload(backend, fg_tensor_data(t, &trial->memory), quantised->weight,
                                            fg_tensor_bytes(t), message);
    return status == FG_OK ? backend->upload(backend, fg_tensor_data(scale, &trial->memory), quantised->scale,
                                             fg_tensor_bytes(scale), message)
                           : status;
}

static enum fg_status put_weights(struct fg_trial *trial, const struct fg_network *network,
                                  const struct fg_folded *folded, struct fg_message *message) {
    enum fg_status status = FG_OK;
    for (uint32_t i = 0; i < network->params && status == FG_OK; i++)
        if (trial->inference.scale[i])
            status = put_int8(trial, i, &folded->quantised[i], message);
        else if (trial->inference.frozen[i])
            status = fg_trial_weight(trial, i, folded->value[i], message);
    return status;
}

static enum fg_status take_memory(struct fg_trial *j, struct fg_message *message) {
    enum fg_status status = FG_OK;
    for (int r = 0; r < FG_SEGMENTS && status == FG_OK; r++) {
        const bool host = r == FG_SEGMENT_IO || r == FG_SEGMENT_FRAME;
        if (j->inference.program->bytes[r])
            status = j->backend->reserve(j->backend, host ? FG_STORE_HOST : FG_STORE_DEVICE,
                                         j->inference.program->bytes[r], &j->memory.segment[r], message);
    }
    return status;
}

enum fg_status fg_trial_open(struct fg_trial *trial, struct fg_backend *backend,
                             const struct fg_network *network, const struct fg_folded *folded, int32_t batch,
                             struct fg_message *message) {
    const int32_t height = network->spec.height, width = network->spec.width;
    struct fg_reading reading[FG_NETWORK_PARAMS];
    for (uint32_t i = 0; i < network->params; i++)
        reading[i] = folded->quantised[i].reading;
    memset(trial, 0, sizeof *trial);
    trial->backend = backend;
    enum fg_status status =
        fg_inference_open(&trial->inference, network, reading, backend, batch, height, width, message);
    if (status == FG_OK)
        status = take_memory(trial, message);
    if (status == FG_OK)
        status = put_weights(trial, network, folded, message);
    if (status != FG_OK)
        return status;
    uint8_t *pixels = trial->memory.segment[FG_SEGMENT_FRAME];
    for (size_t i = 0; i < (size_t)batch * (size_t)height * (size_t)width * 3; i++)
        pixels[i] = (uint8_t)(i * 2654435761u >> 13);
    fg_inference_set_frame(&trial->inference, &trial->memory,
                           &(struct fg_frame){.pixels = pixels,
                                              .width = width,
                                              .height = height,
                                              .format = FG_RGB8,
                                              .pitch = (size_t)width * 3});
    return backend->prepare(backend, trial->inference.program, &trial->memory, message);
}

void fg_trial_close(struct fg_trial *trial) {
    if (trial->inference.program)
        trial->backend->forget(trial->backend, trial->inference.program);
    for (int r = 0; r < FG_SEGMENTS; r++)
        if (trial->memory.segment[r])
            trial->backend->release(trial->backend, trial->memory.segment[r]);
    fg_inference_close(&trial->inference);
}

enum fg_status fg_trial_run(struct fg_trial *trial, struct fg_message *message) {
    return fg_backend_run(trial->backend, trial->inference.program, &trial->memory, message);
}

const float *fg_trial_score(const struct fg_trial *trial) {
    return fg_tensor_data(trial->inference.anomaly.score, &trial->memory);
}

const float *fg_trial_map(const struct fg_trial *trial) {
    return fg_tensor_data(trial->inference.anomaly.map, &trial->memory);
}
