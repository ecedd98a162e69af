/* The gradients of CONV: which way each takes, and the direct one, by patches and products. */
#include "kernels/cpu/conv/conv.h"

/* Floats of patches that a thread of the weights' gradient multiplies at a time, and the fewest rows. */
#define BLOCK_FLOATS ((size_t)128 * 1024)
#define BLOCK_ROWS ((size_t)64)

struct elementwise {
    const float *out, *d_out; /* [count], or d_out [rows][columns] */
    float *g;                 /* [count], or [columns] */
    size_t count, rows, columns;
    bool add;
    uint32_t pieces;
};

FG_CPU_CLONES
static void mask_gradient(const float *restrict out, const float *restrict d_out, float *restrict g,
                          size_t count) {
    for (size_t i = 0; i < count; i++) {
        g[i] = out[i] <= 0.0f ? 0.0f : d_out[i];
    }
}

FG_CPU_CLONES
static void give_gradient(const float *restrict from, float *restrict to, size_t count, bool add) {
    for (size_t i = 0; i < count; i++) {
        to[i] = add ? to[i] + from[i] : from[i];
    }
}

static void mask_piece(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct elementwise *e = argument;
    struct fg_cpu_range r = fg_cpu_share(e->count, e->pieces, task);
    mask_gradient(e->out + r.begin, e->d_out + r.begin, e->g + r.begin, r.end - r.begin);
}

static void give_piece(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct elementwise *e = argument;
    struct fg_cpu_range r = fg_cpu_share(e->count, e->pieces, task);
    give_gradient(e->d_out + r.begin, e->g + r.begin, r.end - r.begin, e->add);
}

/* Columns of a bias gradient that a task sums: one cache line of float32. */
#define SUM_COLUMNS ((size_t)16)

static void sum_piece(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct elementwise *e = argument;
    size_t first = task * SUM_COLUMNS;
    size_t count = e->columns - first < SUM_COLUMNS ? e->columns - first : SUM_COLUMNS;
    double sum[SUM_COLUMNS] = {0};
    for (size_t r = 0; r < e->rows; r++) {
        for (size_t k = 0; k < count; k++) {
            sum[k] += (double)e->d_out[r * e->columns + first + k];
        }
    }
    for (size_t k = 0; k < count; k++) {
        e->g[first + k] = (float)sum[k];
    }
}

void fg_conv_sum_rows(struct fg_backend *backend, const struct fg_step *step, const float *g, size_t rows,
                      size_t columns, float *sum) {
    struct elementwise e = {.d_out = g, .g = sum, .rows = rows, .columns = columns};
    fg_cpu_parallel(backend, step, (uint32_t)((columns + SUM_COLUMNS - 1) / SUM_COLUMNS), sum_piece, &e);
}

struct gradient {
    struct fg_conv_shape shape;
    const float *x;        /* {n, h, w, c} */
    const float *weight;   /* {oc, kernel, kernel, gc} */
    const float *g;        /* {n, oh, ow, oc} */
    float *d_x;            /* {n, h, w, c} */
    float *d_weight;       /* {oc, kernel, kernel, gc} */
    float *scratch;        /* [threads][scratch_floats] */
    size_t scratch_floats; /* what one thread has of scratch */
    bool add;
    uint32_t pieces; /* row blocks, or slices of the weight's depth */
    uint32_t slices; /* channel slices of one image */
};

/* d_x = g W where the convolution is pointwise. */
static void multiply_rows(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct gradient *d = argument;
    const struct fg_conv_shape *s = &d->shape;
    struct fg_cpu_range rows = fg_cpu_share(s->rows, d->pieces, task);
    for (size_t g = 0; g < s->groups && rows.begin < rows.end; g++) {
        fg_gemm(&(struct fg_gemm){.rows = rows.end - rows.begin,
                                  .columns = s->gc,
                                  .depth = s->goc,
                                  .a = d->g + rows.begin * s->oc + g * s->goc,
                                  .a_stride = s->oc,
                                  .b = d->weight + g * s->goc * s->gc,
                                  .b_stride = s->gc,
                                  .add = d->add,
                                  .c = d->d_x + rows.begin * s->c + g * s->gc,
                                  .c_stride = s->c});
    }
}

/* Adds what one tap gives every output position, of channels [c0, c0 + count), to the inputs that it saw. */
FG_CPU_CLONES
static void scatter_tap(const struct fg_conv_shape *s, size_t tap, const float *from, size_t count,
                        float *image, size_t c0) {
    const size_t pad = s->kernel / 2;
    for (size_t oy = 0; oy < s->oh; oy++) {
        for (size_t ox = 0; ox < s->ow; ox++, from += count) {
            size_t iy = oy * s->stride + tap / s->kernel - pad, ix = ox * s->stride + tap % s->kernel - pad;
            if (iy < s->h && ix < s->w) { /* unsigned: before the first is beyond the last */
                float *to = image + (iy * s->w + ix) * s->c + c0;
                for (size_t k = 0; k < count; k++) {
                    to[k] += from[k];
                }
            }
        }
    }
}

/* One image and one slice of each group's channels: tap by tap, so that no two tasks add to one place. */
static void scatter_image(void *argument, uint32_t task, uint32_t thread) {
    const struct gradient *d = argument;
    const struct fg_conv_shape *s = &d->shape;
    const size_t image = task / d->slices, positions = s->oh * s->ow;
    const struct fg_cpu_range slice = fg_cpu_share(s->gc, d->slices, task % d->slices);
    const size_t count = slice.end - slice.begin;
    float *d_x = d->d_x + image * s->h * s->w * s->c, *scratch = d->scratch + thread * d->scratch_floats;
    for (size_t g = 0; g < s->groups && count > 0; g++) {
        size_t c0 = g * s->gc + slice.begin;
        for (size_t i = 0; i < s->h * s->w && !d->add; i++) {
            for (size_t k = 0; k < count; k++) {
                d_x[i * s->c + c0 + k] = 0.0f;
            }
        }
        for (size_t tap = 0; tap < s->kernel * s->kernel; tap++) {
            fg_gemm(&(struct fg_gemm){.rows = positions,
                                      .columns = count,
                                      .depth = s->goc,
                                      .a = d->g + image * positions * s->oc + g * s->goc,
                                      .a_stride = s->oc,
                                      .b = d->weight + g * s->goc * s->depth + tap * s->gc + slice.begin,
                                      .b_stride = s->depth,
                                      .c = scratch,
                                      .c_stride = count});
            scatter_tap(s, tap, scratch, count, d_x, c0);
        }
    }
}

/* d_W = g^T patches for a slice of the depth: each thread gathers its own columns, and no sums are shared. */
static void make_weight_slice(void *argument, uint32_t task, uint32_t thread) {
    const struct gradient *d = argument;
    const struct fg_conv_shape *s = &d->shape;
    const struct fg_cpu_range slice = fg_cpu_share(s->depth, d->pieces, task);
    const size_t columns = slice.end - slice.begin;
    if (columns == 0) {
        return;
    }
    const size_t block = fg_conv_pointwise(s) ? s->rows : d->scratch_floats / columns;
    float *patches = d->scratch + thread * d->scratch_floats;
    for (size_t g = 0; g < s->groups; g++) {
        for (size_t r = 0; r < s->rows; r += block) {
            size_t end = r + block < s->rows ? r + block : s->rows;
            const float *b = d->x + g * s->gc + slice.begin;
            if (!fg_conv_pointwise(s)) {
                fg_conv_gather(s, d->x, g, r, end, slice.begin, slice.end, patches);
                b = patches;
            }
            fg_gemm(&(struct fg_gemm){.rows = s->goc,
                                      .columns = columns,
                                      .depth = end - r,
                                      .a = d->g + r * s->oc + g * s->goc,
                                      .a_stride = s->oc,
                                      .a_transposed = true,
                                      .b = b,
                                      .b_stride = fg_conv_pointwise(s) ? s->c : columns,
                                      .add = r > 0,
                                      .c = d->d_weight + g * s->goc * s->depth + slice.begin,
                                      .c_stride = s->depth});
        }
    }
}

/* How the workspace is divided, in floats: the masked gradient, then what the largest phase needs. */
struct layout {
    size_t masked;  /* size of the masked gradient */
    size_t weight;  /* size of the transformed weights */
    size_t scratch; /* what one thread has */
    size_t total;
    bool winograd;
    uint32_t slices;
};

static size_t max(size_t a, size_t b) {
    return a > b ? a : b;
}

static struct layout make_layout(const struct fg_backend *backend, const struct fg_step *step) {
    const struct fg_conv_shape s = fg_conv_shape(step);
    const size_t threads = fg_cpu_threads(backend);
    struct layout l = {.masked = step->relu ? s.rows * s.oc : 0,
                       .winograd = fg_conv_winograd(&s, false) == FG_WINOGRAD_GRADIENT_SIDE};
    size_t phases = 0;
    if (step->d_in[0] && l.winograd) {
        l.weight = fg_winograd_weight_bytes(&s, FG_WINOGRAD_GRADIENT_SIDE, FG_BACKWARD) / sizeof(float);
        phases =
            l.weight + fg_winograd_workspace(backend, &(struct fg_winograd){.side = FG_WINOGRAD_GRADIENT_SIDE,
                                                                            .n = s.n,
                                                                            .h = s.h,
                                                                            .w = s.w,
                                                                            .src_c = s.oc,
                                                                            .dst_c = s.c,
                                                                            .groups = s.groups}) /
                           sizeof(float);
    } else if (step->d_in[0] && !fg_conv_pointwise(&s)) {
        l.slices = (uint32_t)((threads + s.n - 1) / s.n);
        l.scratch = s.oh * s.ow * ((s.gc + l.slices - 1) / l.slices);
    }
    if (step->d_param[0] && l.winograd) {
        phases = max(phases, fg_winograd_gradient_workspace(&s) / sizeof(float));
    } else if (step->d_param[0] && !fg_conv_pointwise(&s)) {
        size_t columns = (s.depth + threads - 1) / threads;
        l.scratch = max(l.scratch, max(BLOCK_FLOATS, BLOCK_ROWS * columns));
    }
    l.total = l.masked + max(phases, l.scratch * threads);
    return l;
}

size_t fg_conv_backward_workspace(const struct fg_backend *backend, const struct fg_step *step) {
    return make_layout(backend, step).total * sizeof(float);
}

static void make_input_gradient(struct fg_backend *backend, const struct fg_step *step, struct gradient *d,
                                const struct layout *l) {
    const struct fg_conv_shape *s = &d->shape;
    if (l->winograd) {
        struct fg_winograd run = {.side = FG_WINOGRAD_GRADIENT_SIDE,
                                  .n = s->n,
                                  .h = s->h,
                                  .w = s->w,
                                  .src_c = s->oc,
                                  .dst_c = s->c,
                                  .groups = s->groups,
                                  .src = d->g,
                                  .weight = d->scratch,
                                  .dst = d->d_x,
                                  .residual = d->add ? d->d_x : NULL,
                                  .workspace = d->scratch + l->weight};
        fg_winograd_all_weights(backend, step, s, FG_WINOGRAD_GRADIENT_SIDE, d->weight, FG_BACKWARD,
                                d->scratch);
        fg_winograd_run(backend, step, &run);
    } else if (fg_conv_pointwise(s)) {
        d->pieces = fg_cpu_threads(backend);
        fg_cpu_parallel(backend, step, d->pieces, multiply_rows, d);
    } else {
        d->slices = l->slices;
        fg_cpu_parallel(backend, step, (uint32_t)s->n * l->slices, scatter_image, d);
    }
}

enum fg_status fg_conv_backward(struct fg_backend *backend, const struct fg_step *step,
                                const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    const struct layout l = make_layout(backend, step);
    float *workspace = fg_cpu_workspace(step, memory);
    struct gradient d = {.shape = fg_conv_shape(step),
                         .x = fg_cpu_values(step->in[0], memory),
                         .weight = fg_cpu_values(step->param[0], memory),
                         .g = fg_cpu_values(step->d_out[0], memory),
                         .d_x = fg_cpu_values(step->d_in[0], memory),
                         .d_weight = fg_cpu_values(step->d_param[0], memory),
                         .scratch = workspace ? workspace + l.masked : NULL,
                         .scratch_floats = l.scratch,
                         .add = step->accumulate & 1};
    const struct fg_conv_shape *s = &d.shape;
    if (step->relu) {
        struct elementwise e = {.out = fg_cpu_values(step->out[0], memory),
                                .d_out = d.g,
                                .g = workspace,
                                .count = s->rows * s->oc,
                                .pieces = fg_cpu_threads(backend)};
        fg_cpu_parallel(backend, step, e.pieces, mask_piece, &e);
        d.g = workspace;
    }
    if (step->d_in[1]) {
        struct elementwise e = {.d_out = d.g,
                                .g = fg_cpu_values(step->d_in[1], memory),
                                .count = s->rows * s->oc,
                                .add = step->accumulate >> 1 & 1,
                                .pieces = fg_cpu_threads(backend)};
        fg_cpu_parallel(backend, step, e.pieces, give_piece, &e);
    }
    if (step->d_param[1]) {
        fg_conv_sum_rows(backend, step, d.g, s->rows, s->oc, fg_cpu_values(step->d_param[1], memory));
    }
    if (step->d_param[0] && l.winograd) {
        fg_winograd_weight_gradient(backend, step, s, d.x, d.g, d.d_weight, d.scratch);
    } else if (step->d_param[0]) {
        d.pieces = fg_cpu_threads(backend);
        fg_cpu_parallel(backend, step, d.pieces, make_weight_slice, &d);
    }
    if (step->d_in[0]) {
        make_input_gradient(backend, step, &d, &l);
    }
    return FG_OK;
}
