/* MAX_POOL: 3x3, stride 2, padding 1. A NaN wins over every number. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu.h"

struct max_pool {
    size_t h, w, c, oh, ow;
    const float *x; /* {n, h, w, c} */
    const float *g; /* {n, oh, ow, c} */
    float *y;       /* {n, oh, ow, c} */
    float *d_x;     /* {n, h, w, c} */
    bool add;
};

/* Finds what of the window around output place o lies inside: places [begin, end). */
static struct fg_cpu_range find_window(size_t o, size_t length) {
    const size_t begin = o ? 2 * o - 1 : 0, end = 2 * o + 2;
    return (struct fg_cpu_range){begin, end < length ? end : length};
}

FG_CPU_CLONES static void keep_larger(float *best, const float *x, size_t c) {
    for (size_t k = 0; k < c; k++)
        best[k] = x[k] > best[k] || x[k] != x[k] ? x[k] : best[k];
}

static void run_forward_row(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct max_pool *p = argument;
    const size_t n = task / p->oh, oy = task % p->oh;
    const float *image = p->x + n * p->h * p->w * p->c;
    float *y = p->y + task * p->ow * p->c;
    const struct fg_cpu_range rows = find_window(oy, p->h);
    for (size_t ox = 0; ox < p->ow; ox++, y += p->c) {
        const struct fg_cpu_range columns = find_window(ox, p->w);
        memcpy(y, image + (rows.begin * p->w + columns.begin) * p->c, p->c * sizeof *y);
        for (size_t iy = rows.begin; iy < rows.end; iy++)
            for (size_t ix = columns.begin; ix < columns.end; ix++)
                keep_larger(y, image + (iy * p->w + ix) * p->c, p->c);
    }
}

/* The gradient goes to the first place of each window that holds its maximum. */
static void run_backward_image(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct max_pool *p = argument;
    const size_t size = p->h * p->w * p->c;
    const float *x = p->x + task * size, *y = p->y + task * p->oh * p->ow * p->c,
                *g = p->g + task * p->oh * p->ow * p->c;
    float *d_x = p->d_x + task * size;
    if (!p->add)
        memset(d_x, 0, size * sizeof *d_x);
    for (size_t o = 0; o < p->oh * p->ow; o++, y += p->c, g += p->c) {
        const struct fg_cpu_range rows = find_window(o / p->ow, p->h), columns = find_window(o % p->ow, p->w);
        for (size_t k = 0; k < p->c; k++) {
            bool found = false;
            for (size_t iy = rows.begin; iy < rows.end && !found; iy++)
                for (size_t ix = columns.begin; ix < columns.end && !found; ix++) {
                    const size_t i = (iy * p->w + ix) * p->c + k;
                    found = x[i] == y[k];
                    if (found)
                        d_x[i] += g[k];
                }
        }
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0], *y = step->out[0];
    return x && y && x->dtype == FG_F32 && y->n == x->n && y->h == (x->h + 1) / 2 && y->w == (x->w + 1) / 2 &&
           y->c == x->c;
}

static struct max_pool describe_step(const struct fg_step *step, const struct fg_memory *memory) {
    const struct fg_tensor *x = step->in[0], *y = step->out[0];
    return (struct max_pool){.h = (size_t)x->h,
                             .w = (size_t)x->w,
                             .c = (size_t)x->c,
                             .oh = (size_t)y->h,
                             .ow = (size_t)y->w,
                             .x = fg_cpu_values(x, memory),
                             .y = fg_cpu_values(y, memory)};
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct max_pool p = describe_step(step, memory);
    fg_cpu_parallel(backend, step, (uint32_t)(step->out[0]->n * step->out[0]->h), run_forward_row, &p);
    return FG_OK;
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct max_pool p = describe_step(step, memory);
    p.g = fg_cpu_values(step->d_out[0], memory);
    p.d_x = fg_cpu_values(step->d_in[0], memory);
    p.add = step->accumulate & 1;
    if (p.d_x)
        fg_cpu_parallel(backend, step, (uint32_t)step->in[0]->n, run_backward_image, &p);
    return FG_OK;
}

const struct fg_kernel fg_cpu_max_pool = {.supports = supports, .forward = forward, .backward = backward};
