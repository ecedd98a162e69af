/* CRU's fusion (runtime/network/network.h, section 3; the paper's equations 6 to 8): two maps weighed per
 * channel by the softmax of their spatial means. One task a block of channels of one image; a block lies in P
 * or in L. */
#include <math.h>

#include "kernels/cpu/cpu.h"

#define BLOCK 32 /* channels */

struct cru {
    size_t positions, c;
    size_t split; /* channels of P, 3/4 of c */
    uint32_t first_blocks, blocks;
    const float *y1, *g; /* {n, positions, c} */
    const float *p;      /* {n, positions, split} */
    const float *l;      /* {n, positions, c - split} */
    float *y, *d_y1;     /* {n, positions, c} */
    float *d_p;          /* {n, positions, split} */
    float *d_l;          /* {n, positions, c - split} */
    uint32_t accumulate;
};

/* Where a block's channels lie: in tensors of c channels, and in P or L, which is Y2 there. */
struct block {
    size_t width, at, second_at, second_stride;
    bool in_l;
};

static struct block find_block(const struct cru *a, uint32_t task) {
    const size_t image = task / a->blocks, b = task % a->blocks, rows = image * a->positions;
    struct block k = {.in_l = b >= a->first_blocks};
    const size_t channel = (k.in_l ? b - a->first_blocks : b) * BLOCK;
    k.second_stride = k.in_l ? a->c - a->split : a->split;
    k.second_at = rows * k.second_stride + channel;
    k.at = rows * a->c + channel + (k.in_l ? a->split : 0);
    k.width = k.second_stride - channel < BLOCK ? k.second_stride - channel : BLOCK;
    return k;
}

/* Sums over the positions of (y1 - y2), or of g (y1 - y2) where g is given. */
FG_CPU_CLONES static void sum_differences(const float *y1, size_t stride, const float *y2,
                                          size_t second_stride, const float *g, size_t rows, size_t width,
                                          double *sum) {
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < width; k++) {
            const double d = (double)y1[r * stride + k] - (double)y2[r * second_stride + k];
            sum[k] += g ? (double)g[r * stride + k] * d : d;
        }
}

/* beta1 of each channel of a block; beta2 = 1 - beta1. */
static void find_shares(const struct cru *a, const struct block *b, const float *y2, double *share) {
    double sum[BLOCK] = {0};
    sum_differences(a->y1 + b->at, a->c, y2, b->second_stride, NULL, a->positions, b->width, sum);
    for (size_t k = 0; k < b->width; k++)
        share[k] = 1 / (1 + exp(-sum[k] / (double)a->positions));
}

FG_CPU_CLONES static void mix_maps(const float *y1, size_t stride, const float *y2, size_t second_stride,
                                   const double *share, size_t rows, size_t width, float *y) {
    float first[BLOCK], second[BLOCK];
    for (size_t k = 0; k < width; k++) {
        first[k] = (float)share[k];
        second[k] = (float)(1 - share[k]);
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < width; k++)
            y[r * stride + k] = first[k] * y1[r * stride + k] + second[k] * y2[r * second_stride + k];
}

static void run_forward_block(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct cru *a = argument;
    const struct block b = find_block(a, task);
    const float *y2 = (b.in_l ? a->l : a->p) + b.second_at;
    double share[BLOCK];
    find_shares(a, &b, y2, share);
    mix_maps(a->y1 + b.at, a->c, y2, b.second_stride, share, a->positions, b.width, a->y + b.at);
}

/* d = factor g + each, written or added. */
FG_CPU_CLONES static void give_gradient(const float *g, size_t g_stride, const double *factor,
                                        const double *each, size_t rows, size_t width, bool add, float *d,
                                        size_t stride) {
    for (size_t r = 0; r < rows; r++) {
        float value[BLOCK];
        for (size_t k = 0; k < width; k++)
            value[k] = (float)factor[k] * g[r * g_stride + k] + (float)each[k];
        fg_cpu_give(value, width, add, d + r * stride);
    }
}

static void run_backward_block(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct cru *a = argument;
    const struct block b = find_block(a, task);
    const float *y2 = (b.in_l ? a->l : a->p) + b.second_at, *g = a->g + b.at;
    double share[BLOCK], rest[BLOCK], each[BLOCK], opposite[BLOCK], d_share[BLOCK] = {0};
    find_shares(a, &b, y2, share);
    sum_differences(a->y1 + b.at, a->c, y2, b.second_stride, g, a->positions, b.width, d_share);
    /* Through the softmax and the means: the same to every position, with opposite signs. */
    for (size_t k = 0; k < b.width; k++) {
        rest[k] = 1 - share[k];
        each[k] = d_share[k] * share[k] * rest[k] / (double)a->positions;
        opposite[k] = -each[k];
    }
    if (a->d_y1)
        give_gradient(g, a->c, share, each, a->positions, b.width, a->accumulate & 1, a->d_y1 + b.at, a->c);
    float *d_second = b.in_l ? a->d_l : a->d_p;
    if (d_second)
        give_gradient(g, a->c, rest, opposite, a->positions, b.width, a->accumulate >> (b.in_l ? 2 : 1) & 1,
                      d_second + b.second_at, b.second_stride);
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *y1 = step->in[0], *p = step->in[1], *l = step->in[2];
    return y1 && p && l && step->out[0] && y1->dtype == FG_F32 && p->c + l->c == y1->c &&
           fg_tensor_count(p) + fg_tensor_count(l) == fg_tensor_count(y1) &&
           fg_tensor_count(step->out[0]) == fg_tensor_count(y1);
}

static struct cru describe_step(const struct fg_step *step, const struct fg_memory *memory) {
    const struct fg_tensor *y1 = step->in[0];
    const uint32_t first_blocks = ((uint32_t)step->in[1]->c + BLOCK - 1) / BLOCK;
    return (struct cru){.positions = (size_t)y1->h * (size_t)y1->w,
                        .c = (size_t)y1->c,
                        .split = (size_t)step->in[1]->c,
                        .first_blocks = first_blocks,
                        .blocks = first_blocks + ((uint32_t)step->in[2]->c + BLOCK - 1) / BLOCK,
                        .y1 = fg_cpu_values(y1, memory),
                        .p = fg_cpu_values(step->in[1], memory),
                        .l = fg_cpu_values(step->in[2], memory),
                        .accumulate = step->accumulate};
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct cru a = describe_step(step, memory);
    a.y = fg_cpu_values(step->out[0], memory);
    fg_cpu_parallel(backend, step, (uint32_t)step->in[0]->n * a.blocks, run_forward_block, &a);
    return FG_OK;
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct cru a = describe_step(step, memory);
    a.g = fg_cpu_values(step->d_out[0], memory);
    a.d_y1 = fg_cpu_values(step->d_in[0], memory);
    a.d_p = fg_cpu_values(step->d_in[1], memory);
    a.d_l = fg_cpu_values(step->d_in[2], memory);
    fg_cpu_parallel(backend, step, (uint32_t)step->in[0]->n * a.blocks, run_backward_block, &a);
    return FG_OK;
}

const struct fg_kernel fg_cpu_cru = {.supports = supports, .forward = forward, .backward = backward};
