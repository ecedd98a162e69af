/* CONV by one product: patches of the input gathered into rows, times the weights. */
#include <string.h>

#include "kernels/cpu/conv/conv.h"

/* Floats of patches that a thread multiplies at a time: they stay in its second-level cache. */
#define BLOCK_FLOATS ((size_t)256 * 1024)
#define BLOCK_ROWS ((size_t)128) /* fewer make the product slow */

/* One run of a patch: floats [begin, end) of the picture row that starts at row, of which [0, width) exist.
 */
static float *copy_run(const float *row, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t width, float *to) {
    if (begin >= 0 && end <= width) {
        memcpy(to, row + begin, (size_t)(end - begin) * sizeof *to);
    } else {
        for (ptrdiff_t i = begin; i < end; i++) {
            to[i - begin] = i >= 0 && i < width ? row[i] : 0.0f;
        }
    }
    return to + (end - begin);
}

/* Taps [t0, t1) of kernel row ky lie side by side in the picture unless groups separate them; each run is one
 * tap's channels, or all taps at once. */
static float *gather_kernel_row(const struct fg_conv_shape *s, const float *image, size_t group, ptrdiff_t iy,
                                ptrdiff_t ix, size_t k0, size_t k1, float *to) {
    if (iy < 0 || iy >= (ptrdiff_t)s->h) {
        memset(to, 0, (k1 - k0) * sizeof *to);
        return to + (k1 - k0);
    }
    const float *row = image + (size_t)iy * s->w * s->c;
    ptrdiff_t width = (ptrdiff_t)(s->w * s->c);
    if (s->groups == 1) {
        ptrdiff_t start = ix * (ptrdiff_t)s->c;
        return copy_run(row, start + (ptrdiff_t)k0, start + (ptrdiff_t)k1, width, to);
    }
    for (size_t k = k0; k < k1;) {
        size_t tap = k / s->gc, channel = k % s->gc;
        size_t end = (tap + 1) * s->gc < k1 ? (tap + 1) * s->gc : k1;
        ptrdiff_t x = ix + (ptrdiff_t)tap;
        size_t count = end - k;
        if (x < 0 || x >= (ptrdiff_t)s->w) {
            memset(to, 0, count * sizeof *to);
        } else {
            memcpy(to, row + (size_t)x * s->c + group * s->gc + channel, count * sizeof *to);
        }
        to += count;
        k = end;
    }
    return to;
}

void fg_conv_gather(const struct fg_conv_shape *s, const float *x, size_t group, size_t r0, size_t r1,
                    size_t k0, size_t k1, float *patches) {
    const size_t line = s->kernel * s->gc;
    const ptrdiff_t pad = (ptrdiff_t)(s->kernel / 2);
    for (size_t r = r0; r < r1; r++) {
        size_t ox = r % s->ow, oy = r / s->ow % s->oh, i = r / s->ow / s->oh;
        const float *image = x + i * s->h * s->w * s->c;
        ptrdiff_t iy = (ptrdiff_t)(oy * s->stride) - pad, ix = (ptrdiff_t)(ox * s->stride) - pad;
        for (size_t ky = k0 / line; ky * line < k1; ky++) {
            size_t begin = k0 > ky * line ? k0 - ky * line : 0;
            size_t end = k1 < (ky + 1) * line ? k1 - ky * line : line;
            patches = gather_kernel_row(s, image, group, iy + (ptrdiff_t)ky, ix, begin, end, patches);
        }
    }
}

/* How a forward is shared out. The longer side of the product is split: rows into blocks, or, where the
 * picture is small and the weights are many, columns. */
struct split {
    bool by_columns;
    size_t block;   /* rows of a block */
    uint32_t tasks; /* blocks, or slices of a group's columns */
};

static struct split split_product(const struct fg_backend *backend, const struct fg_conv_shape *s) {
    const uint32_t threads = fg_cpu_threads(backend);
    if (s->goc > s->rows) {
        return (struct split){.by_columns = true, .block = s->rows, .tasks = threads};
    }
    size_t block = BLOCK_FLOATS / (fg_conv_pointwise(s) ? s->gc + s->goc : s->depth);
    block = block < BLOCK_ROWS ? BLOCK_ROWS : block;
    size_t tasks = (s->rows + block - 1) / block;
    tasks = (tasks + threads - 1) / threads * threads;
    tasks = tasks > s->rows ? s->rows : tasks;
    block = (s->rows + tasks - 1) / tasks;
    return (struct split){.block = block, .tasks = (uint32_t)tasks};
}

/* Floats of one group's packed weights. */
static size_t count_matrix(const struct fg_conv_shape *s) {
    return fg_gemm_packed(s->goc, s->depth);
}

size_t fg_direct_weight_bytes(const struct fg_conv_shape *s) {
    return s->groups * count_matrix(s) * sizeof(float);
}

/* Packs one of pieces of the columns of every group. */
static void pack_weights(const struct fg_conv_shape *s, const float *weight, uint32_t pieces, uint32_t piece,
                         float *packed) {
    const struct fg_cpu_range columns = fg_conv_columns(s->goc, pieces, piece);
    for (size_t g = 0; g < s->groups; g++)
        fg_gemm_pack(weight + g * s->goc * s->depth, s->depth, true, s->goc, s->depth, columns.begin,
                     columns.end, packed + g * count_matrix(s));
}

void fg_direct_weights(const struct fg_conv_shape *s, const float *weight, float *packed) {
    pack_weights(s, weight, 1, 0, packed);
}

size_t fg_direct_workspace(const struct fg_backend *backend, const struct fg_conv_shape *s, bool prepared) {
    const size_t weights = prepared ? 0 : fg_direct_weight_bytes(s);
    if (fg_conv_pointwise(s)) {
        return weights;
    }
    struct split split = split_product(backend, s);
    size_t blocks = split.by_columns ? s->groups : fg_cpu_threads(backend);
    return weights + blocks * split.block * s->depth * sizeof(float);
}

struct direct {
    struct fg_conv_shape shape;
    struct split split;
    const float *x;        /* {n, h, w, c} */
    const float *weight;   /* {oc, kernel, kernel, gc} */
    float *packed;         /* of each group */
    const float *bias;     /* [oc]; NULL: none */
    const float *residual; /* {n, oh, ow, oc}; NULL: none */
    float *out;            /* {n, oh, ow, oc} */
    float *patches;        /* each thread's block of rows, or all of them, depth long */
    bool relu;
    uint32_t pieces; /* tasks of the packing and of the gathering phase */
};

static void pack_piece(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct direct *d = argument;
    pack_weights(&d->shape, d->weight, d->pieces, task, d->packed);
}

/* Rows [r0, r1) by columns [c0, c1) of one group, from its patches; c0 is a panel's first. */
static void multiply_patches(const struct direct *d, size_t group, size_t r0, size_t r1, size_t c0, size_t c1,
                             const float *patches, size_t stride) {
    const struct fg_conv_shape *s = &d->shape;
    const size_t column = group * s->goc + c0, at = r0 * s->oc + column;
    fg_gemm(&(struct fg_gemm){.rows = r1 - r0,
                              .columns = c1 - c0,
                              .depth = s->depth,
                              .a = patches,
                              .a_stride = stride,
                              .b = d->packed + group * count_matrix(s) + c0 * s->depth,
                              .b_packed = true,
                              .bias = d->bias ? d->bias + column : NULL,
                              .residual = d->residual ? d->residual + at : NULL,
                              .relu = d->relu,
                              .c = d->out + at,
                              .c_stride = s->oc});
}

static void multiply_rows(void *argument, uint32_t task, uint32_t thread) {
    const struct direct *d = argument;
    const struct fg_conv_shape *s = &d->shape;
    struct fg_cpu_range rows = fg_cpu_share(s->rows, d->split.tasks, task);
    for (size_t g = 0; g < s->groups; g++) {
        if (fg_conv_pointwise(s)) {
            multiply_patches(d, g, rows.begin, rows.end, 0, s->goc, d->x + rows.begin * s->c + g * s->gc,
                             s->c);
        } else {
            float *patches = d->patches + thread * d->split.block * s->depth;
            fg_conv_gather(s, d->x, g, rows.begin, rows.end, 0, s->depth, patches);
            multiply_patches(d, g, rows.begin, rows.end, 0, s->goc, patches, s->depth);
        }
    }
}

static void gather_rows(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct direct *d = argument;
    const struct fg_conv_shape *s = &d->shape;
    struct fg_cpu_range rows = fg_cpu_share(s->rows, d->pieces, task);
    for (size_t g = 0; g < s->groups; g++) {
        fg_conv_gather(s, d->x, g, rows.begin, rows.end, 0, s->depth,
                       d->patches + (g * s->rows + rows.begin) * s->depth);
    }
}

static void multiply_columns(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct direct *d = argument;
    const struct fg_conv_shape *s = &d->shape;
    struct fg_cpu_range columns = fg_conv_columns(s->goc, d->split.tasks, task);
    if (columns.begin == columns.end) {
        return;
    }
    for (size_t g = 0; g < s->groups; g++) {
        if (fg_conv_pointwise(s)) {
            multiply_patches(d, g, 0, s->rows, columns.begin, columns.end, d->x + g * s->gc, s->c);
        } else {
            multiply_patches(d, g, 0, s->rows, columns.begin, columns.end,
                             d->patches + g * s->rows * s->depth, s->depth);
        }
    }
}

void fg_direct_forward(struct fg_backend *backend, const struct fg_step *step,
                       const struct fg_memory *memory) {
    struct direct d = {.shape = fg_conv_shape(step),
                       .x = fg_cpu_values(step->in[0], memory),
                       .residual = fg_cpu_values(step->in[1], memory),
                       .weight = fg_cpu_values(step->param[0], memory),
                       .bias = fg_cpu_values(step->param[1], memory),
                       .out = fg_cpu_values(step->out[0], memory),
                       .relu = step->relu,
                       .pieces = fg_cpu_threads(backend)};
    d.split = split_product(backend, &d.shape);
    float *workspace = fg_cpu_workspace(step, memory);
    if (step->prepared_bytes > 0) {
        d.packed = (float *)((char *)memory->segment[FG_SEGMENT_PREPARED] + step->prepared);
        d.patches = workspace;
    } else {
        d.packed = workspace;
        d.patches = workspace + d.shape.groups * count_matrix(&d.shape);
        fg_cpu_parallel(backend, step, d.pieces, pack_piece, &d);
    }
    if (!d.split.by_columns) {
        fg_cpu_parallel(backend, step, d.split.tasks, multiply_rows, &d);
        return;
    }
    if (!fg_conv_pointwise(&d.shape)) {
        fg_cpu_parallel(backend, step, d.pieces, gather_rows, &d);
    }
    fg_cpu_parallel(backend, step, d.split.tasks, multiply_columns, &d);
}
