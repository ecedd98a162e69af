/* Puts together the program that judges, and aims it at a frame. */
#include "runtime/network/inference.h"

#include <string.h>

/* Where a node makes one of the teacher's features: measures it for the scene's descriptor. */
static void add_moments(struct fg_inference *inference, const struct fg_network *network,
                        const struct fg_forward *forward, const struct fg_node *node, int32_t batch) {
    for (int i = 0; i < FG_NETWORK_LEVELS; i++) {
        if (node->out[0] != network->feature[i])
            continue;
        const struct fg_tensor *feature = forward->value[network->feature[i]];
        inference->moments[i] =
            fg_plan_tensor(inference->plan, FG_SEGMENT_IO, FG_F32, batch, 1, 1, 2 * feature->c);
        fg_plan_step(inference->plan,
                     &(struct fg_step){.op = FG_MOMENTS, .in = {feature}, .out = {inference->moments[i]}},
                     node->branch);
    }
}

enum fg_status fg_inference_open(struct fg_inference *inference, const struct fg_network *network,
                                 const struct fg_reading *reading, const struct fg_backend *backend,
                                 int32_t batch, int32_t max_frame_height, int32_t max_frame_width,
                                 struct fg_message *message) {
    const int32_t height = network->spec.height, width = network->spec.width;
    memset(inference, 0, sizeof *inference);
    enum fg_status status =
        fg_plan_open(FG_FORWARD_TENSORS, FG_FORWARD_STEPS, backend->device.lanes, &inference->plan, message);
    if (status != FG_OK)
        return status;
    struct fg_plan *plan = inference->plan;
    struct fg_forward forward;
    status = fg_forward_begin(&forward, plan, network, batch, backend->compute,
                              backend->quantised ? reading : NULL, message);
    if (status != FG_OK) {
        fg_inference_close(inference);
        return status;
    }
    memcpy(inference->frozen, forward.frozen, sizeof inference->frozen);
    memcpy(inference->scale, forward.scale, sizeof inference->scale);

    const size_t pitch = fg_size_align((size_t)max_frame_width * 3);
    inference->frame =
        fg_plan_tensor(plan, FG_SEGMENT_FRAME, FG_U8, batch, max_frame_height, max_frame_width, 3);
    inference->frame_bytes =
        ((size_t)batch * (size_t)max_frame_height - 1) * pitch + (size_t)max_frame_width * 3;
    const struct fg_tensor *picture =
        fg_plan_tensor(plan, FG_SEGMENT_ACTIVATIONS, FG_U8, batch, height, width, 3);
    inference->resize = fg_plan_step(
        plan,
        &(struct fg_step){
            .op = FG_RESIZE, .pitch = pitch, .format = FG_RGB8, .in = {inference->frame}, .out = {picture}},
        0);
    fg_forward_picture(&forward, picture, NULL);

    for (uint32_t n = 0; n < network->nodes; n++) {
        const struct fg_node *node = &network->node[n];
        fg_forward_node(&forward, node);
        add_moments(inference, network, &forward, node, batch);
        const int32_t l = fg_forward_level(network, node);
        if (l < 0)
            continue;
        const struct fg_tensor *teacher = forward.value[network->teacher[l]];
        inference->level[l] =
            fg_plan_tensor(plan, FG_SEGMENT_ACTIVATIONS, FG_F32, batch, teacher->h, teacher->w, 1);
        fg_plan_keep(plan, inference->level[l]);
        fg_plan_step(plan,
                     &(struct fg_step){.op = FG_COSINE,
                                       .in = {teacher, forward.value[network->student[l]]},
                                       .out = {inference->level[l]}},
                     node->branch);
    }
    inference->anomaly = fg_anomaly_add(plan, inference->level, height, width, network->spec.score);
    status = fg_plan_finish(plan, backend, &inference->program, &inference->report, message);
    if (status != FG_OK)
        fg_inference_close(inference);
    return status;
}

void fg_inference_close(struct fg_inference *inference) {
    fg_plan_close(inference->plan);
    inference->plan = NULL;
}

void fg_inference_set_frame(struct fg_inference *inference, struct fg_memory *memory,
                            const struct fg_frame *frame) {
    fg_plan_set_frame(inference->plan, inference->frame, frame->height, frame->width,
                      fg_pixel_channels(frame->format));
    inference->resize->format = frame->format;
    inference->resize->pitch = frame->pitch;
    inference->resize->region = frame->region;
    inference->resize->rotation = frame->rotation;
    memory->segment[FG_SEGMENT_FRAME] = (void *)(uintptr_t)frame->pixels;
}
