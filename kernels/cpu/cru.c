/* CRU's fusion (network.md section 3; the paper's equations 6 to 8): two maps weighed per channel by the
 * softmax of their spatial means. One task an image. */
#include <math.h>

#include "kernels/cpu/cpu.h"

struct cru {
    size_t positions, c, split; /* split: channels of P, 3/4 of c */
    const float *y1, *p, *l, *g;
    float *y, *d_y1, *d_p, *d_l;
    uint32_t accumulate;
};

/* Channel k of Y2 = concat(P, L) at one position of one image. */
static float second(const struct cru *a, size_t row, size_t k) {
    return k < a->split ? a->p[row * a->split + k] : a->l[row * (a->c - a->split) + k - a->split];
}

/* beta1 of a channel; beta2 = 1 - beta1. */
static double first_share(const struct cru *a, size_t image, size_t k) {
    double difference = 0;
    for (size_t i = 0; i < a->positions; i++) {
        const size_t row = image * a->positions + i;
        difference += (double)a->y1[row * a->c + k] - (double)second(a, row, k);
    }
    return 1 / (1 + exp(-difference / (double)a->positions));
}

static void forward_image(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct cru *a = argument;
    for (size_t k = 0; k < a->c; k++) {
        const float share = (float)first_share(a, task, k);
        for (size_t i = 0; i < a->positions; i++) {
            const size_t row = task * a->positions + i;
            a->y[row * a->c + k] = share * a->y1[row * a->c + k] + (1 - share) * second(a, row, k);
        }
    }
}

static void put(float *d, size_t i, double value, bool add) {
    if (d)
        d[i] = add ? d[i] + (float)value : (float)value;
}

static void backward_image(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct cru *a = argument;
    for (size_t k = 0; k < a->c; k++) {
        const double share = first_share(a, task, k);
        double d_share = 0;
        for (size_t i = 0; i < a->positions; i++) {
            const size_t row = task * a->positions + i;
            d_share +=
                (double)a->g[row * a->c + k] * ((double)a->y1[row * a->c + k] - (double)second(a, row, k));
        }
        /* Through the softmax and the means: the same to every position, with opposite signs. */
        const double each = d_share * share * (1 - share) / (double)a->positions;
        for (size_t i = 0; i < a->positions; i++) {
            const size_t row = task * a->positions + i;
            const double g = (double)a->g[row * a->c + k], d_second = (1 - share) * g - each;
            put(a->d_y1, row * a->c + k, share * g + each, a->accumulate & 1);
            if (k < a->split)
                put(a->d_p, row * a->split + k, d_second, a->accumulate >> 1 & 1);
            else
                put(a->d_l, row * (a->c - a->split) + k - a->split, d_second, a->accumulate >> 2 & 1);
        }
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *y1 = step->in[0], *p = step->in[1], *l = step->in[2];
    return y1 && p && l && step->out[0] && y1->dtype == FG_F32 && p->c + l->c == y1->c &&
           fg_tensor_count(p) + fg_tensor_count(l) == fg_tensor_count(y1) &&
           fg_tensor_count(step->out[0]) == fg_tensor_count(y1);
}

static struct cru describe(const struct fg_step *step, const struct fg_memory *memory) {
    const struct fg_tensor *y1 = step->in[0];
    return (struct cru){.positions = (size_t)y1->h * (size_t)y1->w,
                        .c = (size_t)y1->c,
                        .split = (size_t)step->in[1]->c,
                        .y1 = fg_cpu_values(y1, memory),
                        .p = fg_cpu_values(step->in[1], memory),
                        .l = fg_cpu_values(step->in[2], memory),
                        .accumulate = step->accumulate};
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct cru a = describe(step, memory);
    a.y = fg_cpu_values(step->out[0], memory);
    fg_cpu_parallel(backend, step, (uint32_t)step->in[0]->n, forward_image, &a);
    return FG_OK;
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct cru a = describe(step, memory);
    a.g = fg_cpu_values(step->d_out[0], memory);
    a.d_y1 = fg_cpu_values(step->d_in[0], memory);
    a.d_p = fg_cpu_values(step->d_in[1], memory);
    a.d_l = fg_cpu_values(step->d_in[2], memory);
    fg_cpu_parallel(backend, step, (uint32_t)step->in[0]->n, backward_image, &a);
    return FG_OK;
}

const struct fg_kernel fg_cpu_cru = {.supports = supports, .forward = forward, .backward = backward};
