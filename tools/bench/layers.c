/* Times a program's steps, and gathers them into layers. */
#include "tools/bench/layers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/peak.h"
#include "runtime/base/clock.h"
#include "tools/bench/floor.h"

#define WARM_UP 3
#define LEAST_ROUNDS 10
#define TRIADS 10

/* A measurement under way: what is measured, and the shortest times so far. */
struct meter {
    struct fg_trial *trial;
    const struct fg_network *network;
    struct fg_peak *peak;
    double step_ms[FG_FORWARD_STEPS];
    struct fg_layers *layers;
};

static void keep_shorter(double *ms, int64_t begin) {
    *ms = fmin(*ms, (double)(fg_clock_ns() - begin) / 1e6);
}

static void keep_higher(double *rate, double measured) {
    *rate = fmax(*rate, measured);
}

/* Runs the steps in the program's order, so that each finds in the caches what it finds when judging. */
static enum fg_status time_steps(struct meter *m, struct fg_message *message) {
    struct fg_backend *backend = m->trial->backend;
    const struct fg_program *program = m->trial->inference.program;
    enum fg_status status = FG_OK;
    for (uint32_t s = 0; s < program->steps && status == FG_OK; s++) {
        const struct fg_step *step = &program->step[s];
        const int64_t begin = fg_clock_ns();
        status = backend->kernel[step->op].forward(backend, step, &m->trial->memory, message);
        keep_shorter(&m->step_ms[s], begin);
    }
    return status;
}

static enum fg_status time_round(struct meter *m, struct fg_message *message) {
    keep_higher(&m->layers->multiply_adds, fg_peak_multiply_adds(m->peak));
    keep_higher(&m->layers->int8_multiply_adds, fg_peak_int8_multiply_adds(m->peak));
    const int64_t begin = fg_clock_ns();
    enum fg_status status = fg_trial_run(m->trial, message);
    keep_shorter(&m->layers->whole_ms, begin);
    return status == FG_OK ? time_steps(m, message) : status;
}

static enum fg_status time_rounds(struct meter *m, int64_t budget_ns, struct fg_message *message) {
    enum fg_status status = FG_OK;
    for (int i = 0; i < TRIADS; i++)
        keep_higher(&m->layers->bytes, fg_peak_bytes(m->peak));
    for (int i = 0; i < WARM_UP && status == FG_OK; i++)
        status = fg_trial_run(m->trial, message);
    const int64_t end = fg_clock_ns() + budget_ns;
    while (status == FG_OK && (m->layers->rounds < LEAST_ROUNDS || fg_clock_ns() < end)) {
        status = time_round(m, message);
        m->layers->rounds++;
    }
    return status;
}

static bool is_convolution(const struct fg_step *step) {
    return step->op == FG_CONV || step->op == FG_DECONV;
}

/* A convolution has the name of its weight, without the ending. */
static void name_layer(const struct meter *m, const struct fg_step *step, struct fg_layer *layer) {
    if (!is_convolution(step)) {
        snprintf(layer->name, sizeof layer->name, "%s", fg_operator_name(step->op));
        return;
    }
    for (uint32_t i = 0; i < m->network->params; i++)
        if (m->trial->inference.frozen[i] == step->param[0]) {
            const char *name = m->network->param[i].name;
            snprintf(layer->name, sizeof layer->name, "%.*s", (int)(strrchr(name, '.') - name), name);
        }
    const struct fg_tensor *out = step->out[0], *weight = step->param[0];
    snprintf(layer->shape, sizeof layer->shape, "%dx%d/%d %d to %d, %dx%d", weight->h, weight->w,
             step->op == FG_CONV ? step->stride : 2, step->in[0]->c, out->c, out->h, out->w);
}

/* Finds the layer that a step belongs to: that of its operator, or a new one. */
static struct fg_layer *find_layer(const struct meter *m, const struct fg_step *step) {
    struct fg_layers *layers = m->layers;
    for (uint32_t i = 0; i < layers->layers && !is_convolution(step); i++)
        if (!strcmp(layers->layer[i].name, fg_operator_name(step->op)))
            return &layers->layer[i];
    struct fg_layer *layer = &layers->layer[layers->layers++];
    layer->way = "";
    name_layer(m, step, layer);
    return layer;
}

/* Counts prepared weights in place of those that they were prepared from. */
static double count_bytes(const struct fg_step *step) {
    const double bytes = fg_floor_bytes(step, 0);
    return step->prepared_bytes
               ? bytes - (double)fg_tensor_bytes(step->param[0]) + (double)step->prepared_bytes
               : bytes;
}

static void gather_layers(const struct meter *m) {
    const struct fg_backend *backend = m->trial->backend;
    const struct fg_program *program = m->trial->inference.program;
    for (uint32_t s = 0; s < program->steps; s++) {
        const struct fg_step *step = &program->step[s];
        struct fg_layer *layer = find_layer(m, step);
        const struct fg_kernel *kernel = &backend->kernel[step->op];
        if (kernel->way) {
            const struct fg_way way = kernel->way(backend, step);
            layer->way = way.name;
            layer->done = way.multiply_adds;
        }
        layer->int8 = is_convolution(step) && step->param[0]->dtype == FG_I8;
        layer->steps++;
        layer->ms += m->step_ms[s];
        layer->multiply_adds += fg_floor_multiply_adds(step);
        layer->bytes += count_bytes(step);
    }
}

enum fg_status fg_layers_measure(struct fg_trial *trial, const struct fg_network *network, int64_t budget_ns,
                                 struct fg_layers *layers, struct fg_message *message) {
    const uint32_t steps = trial->inference.program->steps;
    *layers = (struct fg_layers){.layer = calloc(steps, sizeof *layers->layer), .whole_ms = INFINITY};
    struct meter m = {.trial = trial, .network = network, .layers = layers};
    for (uint32_t s = 0; s < steps; s++)
        m.step_ms[s] = INFINITY;
    enum fg_status status = layers->layer
                                ? fg_peak_open(trial->backend->device.threads, &m.peak, message)
                                : fg_fail(message, FG_ENVIRONMENT, "no memory for %u layers", steps);
    if (status == FG_OK)
        status = time_rounds(&m, budget_ns, message);
    if (status == FG_OK)
        gather_layers(&m);
    else
        fg_layers_free(layers);
    fg_peak_close(m.peak);
    return status;
}

void fg_layers_free(struct fg_layers *layers) {
    free(layers->layer);
    layers->layer = NULL;
}
