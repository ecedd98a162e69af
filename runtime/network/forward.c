/* Turns nodes into folded steps. */
#include "runtime/network/forward.h"

#include <assert.h>
#include <string.h>

/* Adds a value's tensor, with how int8 convolutions read it. */
static const struct fg_tensor *add_value(struct fg_forward *forward, int32_t value) {
    const struct fg_value *v = &forward->network->value[value];
    const struct fg_read_value *read = &forward->read[value];
    return fg_plan_tensor_at(forward->plan, &(struct fg_tensor){.dtype = read->kept ? FG_U8 : forward->dtype,
                                                                .n = forward->batch,
                                                                .h = v->h,
                                                                .w = v->w,
                                                                .c = v->c,
                                                                .segment = FG_SEGMENT_ACTIVATIONS,
                                                                .scale = read->reading.scale,
                                                                .zero = read->reading.zero});
}

enum fg_status fg_forward_begin(struct fg_forward *forward, struct fg_plan *plan,
                                const struct fg_network *network, int32_t batch, enum fg_dtype dtype,
                                const struct fg_reading *reading, struct fg_message *message) {
    memset(forward, 0, sizeof *forward);
    const enum fg_status status = fg_network_read(network, reading, forward->read, message);
    if (status != FG_OK)
        return status;
    forward->dtype = dtype;
    forward->plan = plan;
    forward->network = network;
    forward->batch = batch;
    for (uint32_t i = 0; i < network->params; i++) {
        if (!fg_param_folded(&network->param[i]))
            continue;
        const struct fg_tensor t = fg_param_tensor(&network->param[i]);
        const bool int8 = reading && reading[i].scale > 0;
        forward->frozen[i] = fg_plan_tensor(plan, FG_SEGMENT_FROZEN,
                                            int8                                      ? FG_I8
                                            : network->param[i].kind == FG_PARAM_CONV ? dtype
                                                                                      : FG_F32,
                                            t.n, t.h, t.w, t.c);
        if (int8)
            forward->scale[i] = fg_plan_tensor(plan, FG_SEGMENT_FROZEN, FG_F32, 1, 1, 1,
                                               fg_param_channels(&network->param[i]));
    }
    return FG_OK;
}

void fg_forward_picture(struct fg_forward *forward, const struct fg_tensor *picture,
                        const struct fg_tensor *draw) {
    const struct fg_tensor *x = add_value(forward, forward->network->input);
    forward->value[forward->network->input] = x;
    fg_plan_step(forward->plan, &(struct fg_step){.op = FG_NORMALISE, .in = {picture, draw}, .out = {x}}, 0);
}

void fg_forward_node(struct fg_forward *forward, const struct fg_node *node) {
    const struct fg_network *network = forward->network;
    if (node->op == FG_MASK) {
        forward->value[node->out[0]] = forward->value[node->in[0]];
        return;
    }
    struct fg_step step = {.op = node->op,
                           .stride = node->stride,
                           .groups = node->groups,
                           .relu = node->relu,
                           .soft_gate = network->spec.soft_gate};
    for (int i = 0; i < FG_MAX_IN; i++)
        if (node->in[i] >= 0)
            step.in[i] = forward->value[node->in[i]];
    if (node->residual >= 0)
        step.in[1] = forward->value[node->residual];
    if (node->weight >= 0) {
        step.param[0] = forward->frozen[node->weight];
        step.param[2] = forward->scale[node->weight];
    }
    if (node->bias >= 0)
        step.param[1] = forward->frozen[node->bias];
    if (node->bn >= 0)
        step.param[1] = forward->frozen[node->bn + 1];
    for (int i = 0; i < FG_MAX_OUT; i++)
        if (node->out[i] >= 0)
            step.out[i] = forward->value[node->out[i]] = add_value(forward, node->out[i]);
    fg_plan_step(forward->plan, &step, node->branch);
}

int32_t fg_forward_level(const struct fg_network *network, const struct fg_node *node) {
    for (uint32_t l = 0; l < network->levels; l++)
        if (node->out[0] == network->student[l])
            return (int32_t)l;
    return -1;
}
