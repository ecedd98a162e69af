/* SIMAM (runtime/network/network.h, section 3; the paper's equation 9): attention from each value's distance
 * to its channel's mean. One task a block of channels of one image. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/operators/sigmoid.h"

#define BLOCK 32 /* channels */

struct simam {
    size_t positions, c;
    uint32_t blocks;    /* number of blocks of channels in an image */
    const float *x, *g; /* {n, positions, c} */
    float *y, *d_x;     /* {n, positions, c} */
    bool add;
};

/* What each channel of a block has. */
struct measure {
    double mean[BLOCK];
    double scale[BLOCK]; /* 4 (v + lambda) */
};

FG_CPU_CLONES static void measure_block(const float *x, size_t rows, size_t stride, size_t width,
                                        struct measure *m) {
    double sum[BLOCK] = {0}, squares[BLOCK] = {0};
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < width; k++)
            sum[k] += (double)x[r * stride + k];
    for (size_t k = 0; k < width; k++)
        m->mean[k] = sum[k] / (double)rows;
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < width; k++) {
            const double d = (double)x[r * stride + k] - m->mean[k];
            squares[k] += d * d;
        }
    for (size_t k = 0; k < width; k++)
        m->scale[k] = 4 * (squares[k] / (double)(rows - 1) + FG_SIMAM_LAMBDA);
}

FG_CPU_CLONES static void attend_block(const float *x, size_t rows, size_t stride, size_t width,
                                       const struct measure *m, float *y) {
    float mean[BLOCK], inverse[BLOCK];
    for (size_t k = 0; k < width; k++) {
        mean[k] = (float)m->mean[k];
        inverse[k] = (float)(1 / m->scale[k]);
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < width; k++) {
            const float value = x[r * stride + k], d = value - mean[k];
            y[r * stride + k] = value * fg_cpu_sigmoid(d * d * inverse[k] + 0.5f);
        }
}

/* The first value of a task's block, and the block's width. */
static size_t find_block(const struct simam *s, uint32_t task, size_t *width) {
    const size_t channel = (size_t)(task % s->blocks) * BLOCK;
    *width = s->c - channel < BLOCK ? s->c - channel : BLOCK;
    return task / s->blocks * s->positions * s->c + channel;
}

static void run_forward_block(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct simam *s = argument;
    struct measure m;
    size_t width;
    const size_t at = find_block(s, task, &width);
    measure_block(s->x + at, s->positions, s->c, width, &m);
    attend_block(s->x + at, s->positions, s->c, width, &m, s->y + at);
}

/* With q_j = g_j x_j s_j (1 - s_j) and d_j = (x_j - mean)^2, the exponent's derivative by x_i has three
 * terms: x_i's own distance, the mean, and the variance. */
FG_CPU_CLONES static void attend_block_back(const float *x, const float *g, size_t rows, size_t stride,
                                            size_t width, const struct measure *m, bool add, float *d_x) {
    double along_mean[BLOCK] = {0}, along_variance[BLOCK] = {0};
    float mean[BLOCK], inverse[BLOCK], by_mean[BLOCK], by_variance[BLOCK];
    for (size_t k = 0; k < width; k++) {
        mean[k] = (float)m->mean[k];
        inverse[k] = (float)(1 / m->scale[k]);
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < width; k++) {
            const float value = x[r * stride + k], d = value - mean[k];
            const float share = fg_cpu_sigmoid(d * d * inverse[k] + 0.5f);
            const float q = g[r * stride + k] * value * share * (1 - share);
            along_mean[k] += (double)(q * d);
            along_variance[k] += (double)(q * d * d);
        }
    for (size_t k = 0; k < width; k++) {
        const double scale = m->scale[k], count = (double)rows;
        by_mean[k] = (float)(2 * along_mean[k] / (scale * count));
        by_variance[k] = (float)(8 * along_variance[k] / (scale * scale * (count - 1)));
    }
    for (size_t r = 0; r < rows; r++) {
        float gradient[BLOCK];
        for (size_t k = 0; k < width; k++) {
            const float value = x[r * stride + k], d = value - mean[k];
            const float share = fg_cpu_sigmoid(d * d * inverse[k] + 0.5f);
            const float q = g[r * stride + k] * value * share * (1 - share);
            gradient[k] =
                g[r * stride + k] * share + 2 * q * d * inverse[k] - by_mean[k] - d * by_variance[k];
        }
        fg_cpu_give(gradient, width, add, d_x + r * stride);
    }
}

static void run_backward_block(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct simam *s = argument;
    struct measure m;
    size_t width;
    const size_t at = find_block(s, task, &width);
    measure_block(s->x + at, s->positions, s->c, width, &m);
    attend_block_back(s->x + at, s->g + at, s->positions, s->c, width, &m, s->add, s->d_x + at);
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0], *y = step->out[0];
    return x && y && x->dtype == FG_F32 && x->c == y->c && fg_tensor_count(x) == fg_tensor_count(y) &&
           x->h * x->w > 1;
}

static struct simam describe_step(const struct fg_step *step, const struct fg_memory *memory) {
    const struct fg_tensor *x = step->in[0];
    return (struct simam){.positions = (size_t)x->h * (size_t)x->w,
                          .c = (size_t)x->c,
                          .blocks = ((uint32_t)x->c + BLOCK - 1) / BLOCK,
                          .x = fg_cpu_values(x, memory),
                          .add = step->accumulate & 1};
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct simam s = describe_step(step, memory);
    s.y = fg_cpu_values(step->out[0], memory);
    fg_cpu_parallel(backend, step, (uint32_t)step->in[0]->n * s.blocks, run_forward_block, &s);
    return FG_OK;
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct simam s = describe_step(step, memory);
    s.g = fg_cpu_values(step->d_out[0], memory);
    s.d_x = fg_cpu_values(step->d_in[0], memory);
    if (s.d_x)
        fg_cpu_parallel(backend, step, (uint32_t)step->in[0]->n * s.blocks, run_backward_block, &s);
    return FG_OK;
}

const struct fg_kernel fg_cpu_simam = {.supports = supports, .forward = forward, .backward = backward};
