/* Emits the steps of training: the forward pass unfolded, then each step backward in reverse order. */
#include "trainer/loop/graph.h"

#include <assert.h>
#include <string.h>

/* Room for forward and backward steps, with a gradient beside each value and parameter. */
#define TRAINING_TENSORS (6 * FG_NETWORK_PARAMS)
#define TRAINING_STEPS (6 * FG_NETWORK_NODES)

/* The training program while it grows. Each forward step is recorded, and the backward steps follow in
 * reverse order. */
struct builder {
    struct fg_forward forward;
    struct fg_graph *graph;
    const struct fg_weights *weights;
    const struct fg_recipe *recipe;
    const struct fg_tensor *trained[FG_NETWORK_PARAMS], *gradient[FG_NETWORK_PARAMS];
    struct record {
        struct fg_step *step;
        int32_t in[FG_MAX_IN], out[FG_MAX_OUT];         /* indices in of[]; -1: no gradient */
    } record[2 * FG_NETWORK_NODES + FG_NETWORK_LEVELS]; /* at most two steps for a node, one for a level */
    uint32_t records;
    /* Values with a gradient, and the gradients d: the network's values, then outputs of convolutions before
     * their batch norm. */
    const struct fg_tensor *of[FG_NETWORK_VALUES + FG_NETWORK_NODES],
        *d[FG_NETWORK_VALUES + FG_NETWORK_NODES];
    uint32_t values;
};

static const struct fg_tensor *add_activation(struct builder *b, const struct fg_tensor *t) {
    return fg_plan_tensor(b->graph->plan, FG_SEGMENT_ACTIVATIONS, FG_F32, t->n, t->h, t->w, t->c);
}

static const struct fg_tensor *add_trained(struct builder *b, int32_t param) {
    if (param < 0)
        return NULL;
    if (!b->trained[param]) {
        struct fg_tensor t = b->weights->param[param];
        b->trained[param] = fg_plan_tensor_at(b->graph->plan, &t);
        t.segment = FG_SEGMENT_GRADIENTS;
        if (t.offset < b->weights->trained)
            b->gradient[param] = fg_plan_tensor_at(b->graph->plan, &t);
    }
    return b->trained[param];
}

static struct record *emit_step(struct builder *b, const struct fg_step *step) {
    struct record *r = &b->record[b->records++];
    *r = (struct record){
        .step = fg_plan_step(b->graph->plan, step, 0), .in = {-1, -1, -1}, .out = {-1, -1, -1}};
    return r;
}

/* Emits a convolution without its batch norm; it has bias and ReLU only where there is no batch norm. */
static void emit_conv(struct builder *b, const struct fg_node *node) {
    const struct fg_tensor *const *value = b->forward.value;
    const struct fg_tensor *y = value[node->out[0]];
    struct fg_step conv = {.op = node->op, .stride = node->stride, .groups = node->groups};
    conv.in[0] = value[node->in[0]];
    conv.param[0] = add_trained(b, node->weight);
    conv.param[1] = add_trained(b, node->bias);
    int32_t out = node->out[0];
    if (node->bn >= 0) {
        out = (int32_t)b->values++;
        b->of[out] = add_activation(b, y);
    } else {
        conv.relu = node->relu;
        conv.in[1] = node->residual >= 0 ? value[node->residual] : NULL;
    }
    conv.out[0] = b->of[out];
    struct record *r = emit_step(b, &conv);
    r->in[0] = node->in[0];
    r->out[0] = out;
    if (node->bn < 0) {
        r->in[1] = node->residual;
        return;
    }
    struct fg_step norm = {.op = FG_BATCH_NORM, .relu = node->relu};
    norm.in[0] = b->of[out];
    norm.in[1] = node->residual >= 0 ? value[node->residual] : NULL;
    for (int32_t i = 0; i < 4; i++)
        norm.param[i] = add_trained(b, node->bn + i);
    norm.out[0] = y;
    norm.out[1] = fg_plan_tensor(b->graph->plan, FG_SEGMENT_ACTIVATIONS, FG_F32, 1, 1, 2, y->c);
    r = emit_step(b, &norm);
    r->in[0] = out;
    r->in[1] = node->residual;
    r->out[0] = node->out[0];
}

static void emit_node(struct builder *b, const struct fg_node *node) {
    const struct fg_network *network = b->forward.network;
    for (int i = 0; i < FG_MAX_OUT; i++) {
        if (node->out[i] < 0)
            continue;
        const struct fg_value *v = &network->value[node->out[i]];
        b->of[node->out[i]] = b->forward.value[node->out[i]] =
            fg_plan_tensor(b->graph->plan, FG_SEGMENT_ACTIVATIONS, FG_F32, b->graph->batch, v->h, v->w, v->c);
    }
    if (fg_node_is_convolution(node)) {
        emit_conv(b, node);
        return;
    }
    struct fg_step step = {.op = node->op, .soft_gate = network->spec.soft_gate};
    for (int i = 0; i < FG_MAX_IN; i++)
        step.in[i] = node->in[i] >= 0 ? b->forward.value[node->in[i]] : NULL;
    if (node->op == FG_MASK) {
        step.in[1] = b->graph->draw;
        step.mask_rate = b->recipe->mask_rate;
        step.level = node->level;
    }
    step.param[0] = add_trained(b, node->weight);
    step.param[1] = add_trained(b, node->bias);
    for (int i = 0; i < FG_MAX_OUT; i++)
        step.out[i] = node->out[i] >= 0 ? b->forward.value[node->out[i]] : NULL;
    struct record *r = emit_step(b, &step);
    memcpy(r->in, node->in, sizeof r->in);
    memcpy(r->out, node->out, sizeof r->out);
}

static void emit_distill(struct builder *b, uint32_t l) {
    const struct fg_network *network = b->forward.network;
    struct fg_step step = {.op = FG_DISTILL, .global_loss = b->recipe->global_loss};
    step.in[0] = b->forward.value[network->teacher[l]];
    step.in[1] = b->forward.value[network->student[l]];
    step.out[0] = b->graph->loss[l] =
        fg_plan_tensor(b->graph->plan, FG_SEGMENT_IO, FG_F32, b->graph->batch, 1, 1, 1);
    struct record *r = emit_step(b, &step);
    r->in[1] = network->student[l];
}

/* Adds a target, which the caller gives, for each level whose teacher value no node of the program makes. */
static void add_targets(struct fg_graph *graph, struct fg_forward *forward) {
    const struct fg_network *network = forward->network;
    for (uint32_t l = 0; l < network->levels; l++) {
        const int32_t v = network->teacher[l];
        bool made = false;
        for (uint32_t n = 0; n < network->nodes && graph->pictures; n++)
            made = made || network->node[n].out[0] == v;
        if (!made)
            forward->value[v] = graph->target[l] =
                fg_plan_tensor(graph->plan, FG_SEGMENT_IO, FG_F32, graph->batch, network->value[v].h,
                               network->value[v].w, network->value[v].c);
    }
}

/* Emits the backward step of one forward step. In reverse order the first consumer of a value writes its
 * gradient, and the others add to it. */
static void emit_backward(struct builder *b, const struct record *r) {
    struct fg_step back = *r->step;
    back.pass = FG_BACKWARD;
    back.waits = 0;
    for (int i = 0; i < FG_MAX_OUT; i++)
        back.d_out[i] = r->out[i] >= 0 ? b->d[r->out[i]] : NULL;
    for (int i = 0; i < FG_MAX_IN; i++) {
        const int32_t v = r->in[i];
        if (v < 0 || !b->of[v]) /* the teacher's values are not in of[]: nothing flows into it */
            continue;
        if (b->d[v])
            back.accumulate |= 1u << i;
        else
            b->d[v] = add_activation(b, b->of[v]);
        back.d_in[i] = b->d[v];
    }
    for (int i = 0; i < FG_MAX_PARAM; i++)
        for (uint32_t k = 0; k < b->forward.network->params && back.param[i]; k++)
            if (b->trained[k] == back.param[i])
                back.d_param[i] = b->gradient[k];
    fg_plan_step(b->graph->plan, &back, 0);
}

static enum fg_status open_graph(struct fg_graph *graph, struct fg_forward *forward,
                                 const struct fg_network *network, const struct fg_reading *reading,
                                 uint32_t tensors, uint32_t steps, uint32_t pictures, int32_t batch,
                                 struct fg_message *message) {
    memset(graph, 0, sizeof *graph);
    graph->batch = batch;
    enum fg_status status = fg_plan_open(tensors, steps, 1, &graph->plan, message);
    if (status != FG_OK)
        return status;
    status = fg_forward_begin(forward, graph->plan, network, batch, FG_F32, reading, message);
    if (status != FG_OK)
        return status;
    memcpy(graph->frozen, forward->frozen, sizeof graph->frozen);
    memcpy(graph->scale, forward->scale, sizeof graph->scale);
    graph->draw = fg_plan_tensor(graph->plan, FG_SEGMENT_IO, FG_U8, 1, 1, 1, (int32_t)sizeof(struct fg_draw));
    if (!pictures)
        return FG_OK;
    graph->pictures = fg_plan_tensor(graph->plan, FG_SEGMENT_PICTURES, FG_U8, (int32_t)pictures,
                                     network->spec.height, network->spec.width, 3);
    fg_forward_picture(forward, graph->pictures, graph->draw);
    return FG_OK;
}

/* Says whether a program of that many pictures has a node. The teacher's part behind the last used level is
 * there for the scene, which training does not measure. */
static bool has_node(const struct fg_network *network, const struct fg_node *node, uint32_t pictures) {
    return node->module != FG_TEACHER || (pictures && node->out[0] <= network->teacher[network->levels - 1]);
}

enum fg_status fg_graph_training(struct fg_graph *graph, const struct fg_weights *weights,
                                 const struct fg_recipe *recipe, const struct fg_backend *backend,
                                 const struct fg_reading *reading, uint32_t pictures, int32_t batch,
                                 struct fg_message *message) {
    const struct fg_network *network = weights->network;
    struct builder b = {.graph = graph, .weights = weights, .recipe = recipe, .values = network->values};
    enum fg_status status = open_graph(graph, &b.forward, network, reading, TRAINING_TENSORS, TRAINING_STEPS,
                                       pictures, batch, message);
    if (status != FG_OK)
        return status;
    add_targets(graph, &b.forward);
    for (uint32_t n = 0; n < network->nodes; n++) {
        const struct fg_node *node = &network->node[n];
        if (!has_node(network, node, pictures))
            continue;
        if (node->module == FG_TEACHER)
            fg_forward_node(&b.forward, node);
        else
            emit_node(&b, node);
        const int32_t l = fg_forward_level(network, node);
        if (l >= 0)
            emit_distill(&b, (uint32_t)l);
    }
    while (b.records)
        emit_backward(&b, &b.record[--b.records]);
    return fg_plan_finish(graph->plan, backend, &graph->program, &graph->report, message);
}

enum fg_status fg_graph_validation(struct fg_graph *graph, const struct fg_network *network,
                                   const struct fg_recipe *recipe, const struct fg_backend *backend,
                                   const struct fg_reading *reading, uint32_t pictures, int32_t batch,
                                   struct fg_message *message) {
    struct fg_forward forward;
    enum fg_status status = open_graph(graph, &forward, network, reading, FG_FORWARD_TENSORS,
                                       FG_FORWARD_STEPS, pictures, batch, message);
    if (status != FG_OK)
        return status;
    add_targets(graph, &forward);
    for (uint32_t n = 0; n < network->nodes; n++) {
        const struct fg_node *node = &network->node[n];
        if (!has_node(network, node, pictures))
            continue;
        fg_forward_node(&forward, node);
        const int32_t l = fg_forward_level(network, node);
        if (l < 0)
            continue;
        graph->loss[l] = fg_plan_tensor(graph->plan, FG_SEGMENT_IO, FG_F32, batch, 1, 1, 1);
        fg_plan_step(
            graph->plan,
            &(struct fg_step){.op = FG_DISTILL,
                              .global_loss = recipe->global_loss,
                              .in = {forward.value[network->teacher[l]], forward.value[network->student[l]]},
                              .out = {graph->loss[l]}},
            0);
    }
    return fg_plan_finish(graph->plan, backend, &graph->program, &graph->report, message);
}

enum fg_status fg_graph_teacher(struct fg_graph *graph, const struct fg_network *network,
                                const struct fg_backend *backend, const struct fg_reading *reading,
                                uint32_t pictures, struct fg_message *message) {
    struct fg_forward forward;
    enum fg_status status = open_graph(graph, &forward, network, reading, FG_FORWARD_TENSORS,
                                       FG_FORWARD_STEPS, pictures, 1, message);
    if (status != FG_OK)
        return status;
    for (uint32_t n = 0; n < network->nodes; n++)
        if (network->node[n].module == FG_TEACHER && has_node(network, &network->node[n], pictures))
            fg_forward_node(&forward, &network->node[n]);
    for (uint32_t l = 0; l < network->levels; l++) {
        graph->target[l] = forward.value[network->teacher[l]];
        fg_plan_keep(graph->plan, graph->target[l]);
    }
    return fg_plan_finish(graph->plan, backend, &graph->program, &graph->report, message);
}

enum fg_status fg_graph_adam(struct fg_graph *graph, const struct fg_weights *weights,
                             const struct fg_backend *backend, const struct fg_tensor **schedule,
                             struct fg_message *message) {
    memset(graph, 0, sizeof *graph);
    enum fg_status status = fg_plan_open(8, 1, 1, &graph->plan, message);
    if (status != FG_OK)
        return status;
    *schedule = fg_plan_tensor(graph->plan, FG_SEGMENT_IO, FG_F32, 1, 1, 1, 4);
    struct fg_tensor t = {.dtype = FG_F32,
                          .n = 1,
                          .h = 1,
                          .w = 1,
                          .c = (int32_t)(weights->trained / sizeof(float)),
                          .segment = FG_SEGMENT_TRAINED};
    struct fg_step step = {.op = FG_ADAM, .decayed = weights->decayed / sizeof(float), .in = {*schedule}};
    step.param[0] = fg_plan_tensor_at(graph->plan, &t);
    t.segment = FG_SEGMENT_GRADIENTS;
    step.d_param[0] = fg_plan_tensor_at(graph->plan, &t);
    /* The first moments come before the second ones. */
    t.segment = FG_SEGMENT_MOMENTS;
    step.param[1] = fg_plan_tensor_at(graph->plan, &t);
    t.offset = weights->trained;
    step.param[2] = fg_plan_tensor_at(graph->plan, &t);
    fg_plan_step(graph->plan, &step, 0);
    return fg_plan_finish(graph->plan, backend, &graph->program, &graph->report, message);
}

void fg_graph_close(struct fg_graph *graph) {
    fg_plan_close(graph->plan);
    graph->plan = NULL;
}
