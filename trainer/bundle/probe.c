/* Plans a judging program that keeps what convolutions read, and gives it memory of its own. */
#include "trainer/bundle/probe.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/network/anomaly.h"

struct fg_probe {
    struct fg_backend *backend;
    struct fg_plan *plan;
    const struct fg_program *program;
    struct fg_forward forward;
    const struct fg_tensor *picture; /* u8 {1, height, width, 3} in FG_SEGMENT_IO */
    const struct fg_tensor *map;     /* {1, height, width, 1} */
    struct fg_memory memory;
};

static enum fg_status make_program(struct fg_probe *probe, const struct fg_network *network,
                                   const struct fg_reading *reading, bool keeps, struct fg_message *message) {
    const int32_t height = network->spec.height, width = network->spec.width;
    struct fg_forward *forward = &probe->forward;
    enum fg_status status = fg_plan_open(FG_FORWARD_TENSORS, FG_FORWARD_STEPS, probe->backend->device.lanes,
                                         &probe->plan, message);
    if (status == FG_OK)
        status = fg_forward_begin(forward, probe->plan, network, 1, FG_F32, reading, message);
    if (status != FG_OK)
        return status;
    probe->picture = fg_plan_tensor(probe->plan, FG_SEGMENT_IO, FG_U8, 1, height, width, 3);
    fg_forward_picture(forward, probe->picture, NULL);
    const struct fg_tensor *level[FG_NETWORK_LEVELS] = {NULL};
    for (uint32_t n = 0; n < network->nodes; n++) {
        const struct fg_node *node = &network->node[n];
        fg_forward_node(forward, node);
        if (keeps && fg_node_is_convolution(node))
            fg_plan_keep(probe->plan, forward->value[node->in[0]]);
        const int32_t l = fg_forward_level(network, node);
        if (l < 0)
            continue;
        const struct fg_tensor *teacher = forward->value[network->teacher[l]];
        level[l] = fg_plan_tensor(probe->plan, FG_SEGMENT_ACTIVATIONS, FG_F32, 1, teacher->h, teacher->w, 1);
        fg_plan_step(probe->plan,
                     &(struct fg_step){.op = FG_COSINE,
                                       .in = {teacher, forward->value[network->student[l]]},
                                       .out = {level[l]}},
                     node->branch);
    }
    for (int i = 0; i < FG_NETWORK_LEVELS; i++)
        fg_plan_keep(probe->plan, forward->value[network->feature[i]]);
    probe->map = fg_anomaly_add(probe->plan, level, height, width, FG_SCORE_SUM).map;
    struct fg_plan_report report;
    return fg_plan_finish(probe->plan, probe->backend, &probe->program, &report, message);
}

static void put_weights(struct fg_probe *probe, const struct fg_folded *folded,
                        const struct fg_quantised *quantised) {
    const struct fg_network *network = probe->forward.network;
    for (uint32_t i = 0; i < network->params; i++) {
        const struct fg_tensor *t = probe->forward.frozen[i], *scale = probe->forward.scale[i];
        if (t)
            memcpy(fg_tensor_data(t, &probe->memory),
                   scale ? (const void *)quantised[i].weight : (const void *)folded->value[i],
                   fg_tensor_bytes(t));
        if (scale)
            memcpy(fg_tensor_data(scale, &probe->memory), quantised[i].scale, fg_tensor_bytes(scale));
    }
}

enum fg_status fg_probe_open(const struct fg_network *network, const struct fg_folded *folded,
                             const struct fg_quantised *quantised, bool keeps, struct fg_backend *backend,
                             struct fg_probe **probe, struct fg_message *message) {
    assert(backend->device.host_memory);
    struct fg_probe *p = calloc(1, sizeof *p);
    if (!p)
        return fg_fail(message, FG_ENVIRONMENT, "no memory to judge pictures with");
    p->backend = backend;
    struct fg_reading reading[FG_NETWORK_PARAMS] = {{0}};
    for (uint32_t i = 0; i < network->params && quantised; i++)
        if (quantised[i].weight)
            reading[i] = quantised[i].reading;
    enum fg_status status = make_program(p, network, reading, keeps, message);
    for (int s = 0; s < FG_SEGMENTS && status == FG_OK; s++)
        if (p->program->bytes[s])
            status = backend->reserve(backend, FG_STORE_DEVICE, p->program->bytes[s], &p->memory.segment[s],
                                      message);
    if (status == FG_OK) {
        put_weights(p, folded, quantised);
        status = backend->prepare(backend, p->program, &p->memory, message);
    }
    if (status != FG_OK) {
        fg_probe_close(p);
        return status;
    }
    *probe = p;
    return FG_OK;
}

void fg_probe_close(struct fg_probe *probe) {
    if (!probe)
        return;
    if (probe->program)
        probe->backend->forget(probe->backend, probe->program);
    for (int s = 0; s < FG_SEGMENTS; s++)
        if (probe->memory.segment[s])
            probe->backend->release(probe->backend, probe->memory.segment[s]);
    fg_plan_close(probe->plan);
    free(probe);
}

enum fg_status fg_probe_run(struct fg_probe *probe, const uint8_t *picture, struct fg_message *message) {
    memcpy(fg_tensor_data(probe->picture, &probe->memory), picture, fg_tensor_bytes(probe->picture));
    return fg_backend_run(probe->backend, probe->program, &probe->memory, message);
}

const float *fg_probe_value(const struct fg_probe *probe, int32_t value) {
    const struct fg_tensor *t = probe->forward.value[value];
    return t->dtype == FG_F32 ? fg_tensor_data(t, &probe->memory) : NULL;
}

const float *fg_probe_map(const struct fg_probe *probe) {
    return fg_tensor_data(probe->map, &probe->memory);
}
