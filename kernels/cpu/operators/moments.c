/* MOMENTS (runtime/network/network.h, section 11): mean and deviation of each channel over an image's
 * positions. One task a block of channels of one image. */
#include <math.h>

#include "kernels/cpu/cpu.h"

#define BLOCK 32 /* channels */

struct moments {
    size_t positions, c;
    uint32_t blocks; /* number of blocks of channels in an image */
    const float *x;  /* {n, positions, c} */
    float *y;        /* {n, 2c} */
};

/* stride: values from one position to the next; mean, deviation: {width}. */
FG_CPU_CLONES static void measure_block(const float *x, size_t rows, size_t stride, size_t width, float *mean,
                                        float *deviation) {
    double sum[BLOCK] = {0}, squares[BLOCK] = {0};
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < width; k++)
            sum[k] += (double)x[r * stride + k];
    for (size_t k = 0; k < width; k++)
        sum[k] /= (double)rows;
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < width; k++) {
            const double d = (double)x[r * stride + k] - sum[k];
            squares[k] += d * d;
        }
    for (size_t k = 0; k < width; k++) {
        mean[k] = (float)sum[k];
        deviation[k] = (float)sqrt(squares[k] / (double)rows);
    }
}

static void run_block(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct moments *m = argument;
    const size_t image = task / m->blocks, channel = (size_t)(task % m->blocks) * BLOCK;
    const size_t width = m->c - channel < BLOCK ? m->c - channel : BLOCK;
    float *mean = m->y + image * 2 * m->c + channel;
    measure_block(m->x + image * m->positions * m->c + channel, m->positions, m->c, width, mean, mean + m->c);
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0], *y = step->out[0];
    return x && y && x->dtype == FG_F32 && y->dtype == FG_F32 && y->n == x->n && y->c == 2 * x->c &&
           y->h == 1 && y->w == 1;
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    const struct fg_tensor *x = step->in[0];
    struct moments m = {.positions = (size_t)x->h * (size_t)x->w,
                        .c = (size_t)x->c,
                        .blocks = ((uint32_t)x->c + BLOCK - 1) / BLOCK,
                        .x = fg_cpu_values(x, memory),
                        .y = fg_cpu_values(step->out[0], memory)};
    fg_cpu_parallel(backend, step, (uint32_t)x->n * m.blocks, run_block, &m);
    return FG_OK;
}

const struct fg_kernel fg_cpu_moments = {.supports = supports, .forward = forward};
