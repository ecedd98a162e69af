/* CONCAT: two or three tensors side by side along their channels. */
#include <string.h>

#include "kernels/cpu/cpu.h"

struct concat {
    size_t rows, channels; /* what the whole has */
    uint32_t tasks;
    size_t slice[FG_MAX_IN]; /* channels of each input; 0 where there is none */
    float *in[FG_MAX_IN];    /* [rows][slice[i]] */
    float *whole;            /* [rows][channels] */
    uint32_t accumulate;
};

static void gather_inputs(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct concat *a = argument;
    const struct fg_cpu_range range = fg_cpu_share(a->rows, a->tasks, task);
    for (size_t r = range.begin; r < range.end; r++) {
        float *to = a->whole + r * a->channels;
        for (int i = 0; i < FG_MAX_IN; to += a->slice[i], i++)
            if (a->slice[i])
                memcpy(to, a->in[i] + r * a->slice[i], a->slice[i] * sizeof *to);
    }
}

static void scatter_gradient(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct concat *a = argument;
    const struct fg_cpu_range range = fg_cpu_share(a->rows, a->tasks, task);
    for (size_t r = range.begin; r < range.end; r++) {
        const float *from = a->whole + r * a->channels;
        for (int i = 0; i < FG_MAX_IN; from += a->slice[i], i++) {
            if (a->in[i])
                fg_cpu_give(from, a->slice[i], a->accumulate >> i & 1, a->in[i] + r * a->slice[i]);
        }
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *out = step->out[0];
    int32_t channels = 0;
    for (int i = 0; i < FG_MAX_IN; i++) {
        const struct fg_tensor *in = step->in[i];
        if (!in)
            continue;
        if (in->dtype != FG_F32 || in->n != out->n || in->h != out->h || in->w != out->w)
            return false;
        channels += in->c;
    }
    return out->dtype == FG_F32 && channels == out->c;
}

static struct concat describe_step(struct fg_backend *backend, const struct fg_step *step) {
    struct concat a = {.channels = (size_t)step->out[0]->c,
                       .tasks = fg_cpu_threads(backend),
                       .accumulate = step->accumulate};
    a.rows = fg_tensor_count(step->out[0]) / a.channels;
    for (int i = 0; i < FG_MAX_IN; i++)
        a.slice[i] = step->in[i] ? (size_t)step->in[i]->c : 0;
    return a;
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct concat a = describe_step(backend, step);
    a.whole = fg_cpu_values(step->out[0], memory);
    for (int i = 0; i < FG_MAX_IN; i++)
        a.in[i] = fg_cpu_values(step->in[i], memory);
    fg_cpu_parallel(backend, step, a.tasks, gather_inputs, &a);
    return FG_OK;
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct concat a = describe_step(backend, step);
    a.whole = fg_cpu_values(step->d_out[0], memory);
    for (int i = 0; i < FG_MAX_IN; i++)
        a.in[i] = fg_cpu_values(step->d_in[i], memory);
    fg_cpu_parallel(backend, step, a.tasks, scatter_gradient, &a);
    return FG_OK;
}

const struct fg_kernel fg_cpu_concat = {.supports = supports, .forward = forward, .backward = backward};
