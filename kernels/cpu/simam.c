/* SIMAM (network.md section 3; the paper's equation 9): attention from each value's distance to its channel's
 * mean. One task an image; a channel at a time. */
#include <math.h>

#include "kernels/cpu/cpu.h"

struct simam {
    size_t positions, c;
    const float *x, *g;
    float *y, *d_x;
    bool add;
};

/* Mean, and 4 (v + lambda), of one channel of one image. */
static void measure(const struct simam *s, const float *x, double *mean, double *scale) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < s->positions; i++)
        sum += (double)x[i * s->c];
    *mean = sum / (double)s->positions;
    for (size_t i = 0; i < s->positions; i++) {
        const double d = (double)x[i * s->c] - *mean;
        squares += d * d;
    }
    *scale = 4 * (squares / (double)(s->positions - 1) + FG_SIMAM_LAMBDA);
}

static void forward_image(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct simam *s = argument;
    for (size_t k = 0; k < s->c; k++) {
        const float *x = s->x + task * s->positions * s->c + k;
        float *y = s->y + task * s->positions * s->c + k;
        double mean, scale;
        measure(s, x, &mean, &scale);
        for (size_t i = 0; i < s->positions; i++) {
            const float d = (float)((double)x[i * s->c] - mean);
            y[i * s->c] = x[i * s->c] / (1 + expf(-(d * d / (float)scale + 0.5f)));
        }
    }
}

/* With q_j = g_j x_j s_j (1 - s_j) and d_j = (x_j - mean)^2, the exponent's derivative by x_i has three
 * parts: x_i's own distance, the mean, and the variance. */
static void backward_image(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct simam *s = argument;
    const double count = (double)s->positions;
    for (size_t k = 0; k < s->c; k++) {
        const size_t at = task * s->positions * s->c + k;
        const float *x = s->x + at, *g = s->g + at;
        float *d_x = s->d_x + at;
        double mean, scale, along_mean = 0, along_variance = 0;
        measure(s, x, &mean, &scale);
        /* The first round sums over j, the second writes each i. */
        for (int round = 0; round < 2; round++)
            for (size_t i = 0; i < s->positions; i++) {
                const double value = (double)x[i * s->c], d = value - mean;
                const double share = 1 / (1 + exp(-(d * d / scale + 0.5)));
                const double q = (double)g[i * s->c] * value * share * (1 - share);
                if (round == 0) {
                    along_mean += q * d;
                    along_variance += q * d * d;
                    continue;
                }
                const double gradient = (double)g[i * s->c] * share + 2 * q * d / scale -
                                        2 * along_mean / (scale * count) -
                                        8 * d * along_variance / (scale * scale * (count - 1));
                d_x[i * s->c] = s->add ? d_x[i * s->c] + (float)gradient : (float)gradient;
            }
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0], *y = step->out[0];
    return x && y && x->dtype == FG_F32 && x->c == y->c && fg_tensor_count(x) == fg_tensor_count(y) &&
           x->h * x->w > 1;
}

static struct simam describe(const struct fg_step *step, const struct fg_memory *memory) {
    const struct fg_tensor *x = step->in[0];
    return (struct simam){.positions = (size_t)x->h * (size_t)x->w,
                          .c = (size_t)x->c,
                          .x = fg_cpu_values(x, memory),
                          .add = step->accumulate & 1};
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct simam s = describe(step, memory);
    s.y = fg_cpu_values(step->out[0], memory);
    fg_cpu_parallel(backend, step, (uint32_t)step->in[0]->n, forward_image, &s);
    return FG_OK;
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct simam s = describe(step, memory);
    s.g = fg_cpu_values(step->d_out[0], memory);
    s.d_x = fg_cpu_values(step->d_in[0], memory);
    if (s.d_x)
        fg_cpu_parallel(backend, step, (uint32_t)step->in[0]->n, backward_image, &s);
    return FG_OK;
}

const struct fg_kernel fg_cpu_simam = {.supports = supports, .forward = forward, .backward = backward};
