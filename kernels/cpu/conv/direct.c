/* CONV by one product of the input, read where it lies, and the weights. */
#include <string.h>

#include "kernels/cpu/conv/conv.h"

/* A row of the product is a patch, and lies in runs: one tap's channels are a run, or, where these are few
 * and no group lies between, all taps of a kernel row. A run in the picture is read there. One outside is a
 * run of zeros, which all share; one that crosses the edge is copied. */
#define FEW_CHANNELS ((size_t)16)

/* How a forward is shared out. The longer side of the product is split: rows into blocks, or, where the
 * picture is small and the weights are many, columns. */
struct split {
    bool by_columns;
    size_t block;   /* rows of a block */
    uint32_t tasks; /* blocks, or slices of a group's columns */
};

static struct split split_product(const struct fg_backend *backend, const struct fg_conv_shape *s) {
    const uint32_t threads = fg_cpu_threads(backend);
    if (s->goc > s->rows)
        return (struct split){.by_columns = true, .block = s->rows, .tasks = threads};
    size_t tasks = (s->rows + FG_GEMM_BLOCK_ROWS - 1) / FG_GEMM_BLOCK_ROWS;
    tasks = (tasks + threads - 1) / threads * threads;
    tasks = tasks > s->rows ? s->rows : tasks;
    return (struct split){.block = (s->rows + tasks - 1) / tasks, .tasks = (uint32_t)tasks};
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

/* Taps of a run. */
static size_t count_taps(const struct fg_conv_shape *s) {
    return s->groups == 1 && s->gc < FEW_CHANNELS ? s->kernel : 1;
}

/* Runs of a patch. */
static size_t count_runs(const struct fg_conv_shape *s) {
    return s->kernel * s->kernel / count_taps(s);
}

/* What a thread has of the workspace, in bytes: where the runs of a block begin; then the zeros and the
 * copies. */
static size_t count_places(const struct fg_conv_shape *s, size_t block) {
    return fg_size_align(count_runs(s) * block * sizeof(float *));
}

static size_t count_scratch(const struct fg_conv_shape *s, size_t block) {
    const size_t copies = count_taps(s) > 1 ? block * s->kernel : 0;
    return count_places(s, block) + fg_size_align((1 + copies) * count_taps(s) * s->gc * sizeof(float));
}

size_t fg_direct_workspace(const struct fg_backend *backend, const struct fg_conv_shape *s, bool prepared) {
    const size_t weights = prepared ? 0 : fg_size_align(fg_direct_weight_bytes(s));
    return weights + fg_cpu_threads(backend) * count_scratch(s, split_product(backend, s).block);
}

/* The runs of one block's patches while they are looked for. */
struct search {
    const struct fg_conv_shape *shape;
    const float **place; /* of the next run */
    const float *zeros;  /* a run of them */
    float *copy;         /* of the next run that crosses the edge */
};

/* Looks for one run of each patch of output positions [ox, end) of a line. row is the picture's row that they
 * see, from the group's first channel on; first is the picture's column where the run of position 0
 * begins. */
static void find_runs(struct search *f, const float *row, ptrdiff_t first, size_t ox, size_t end) {
    const struct fg_conv_shape *s = f->shape;
    const ptrdiff_t taps = (ptrdiff_t)count_taps(s), stride = (ptrdiff_t)s->stride, c = (ptrdiff_t)s->c,
                    w = (ptrdiff_t)s->w, inside = (w - taps - first) / stride + 1;
    for (ptrdiff_t o = (ptrdiff_t)ox; o < (ptrdiff_t)end;) {
        const ptrdiff_t x = o * stride + first;
        if (x >= 0 && x + taps <= w) {
            const ptrdiff_t last = inside < (ptrdiff_t)end ? inside : (ptrdiff_t)end;
            const float *from = row + x * c;
            for (; o < last; o++, from += stride * c)
                *f->place++ = from;
            continue;
        }
        if (x + taps <= 0 || x >= w) {
            *f->place++ = f->zeros;
        } else {
            *f->place++ = f->copy;
            for (ptrdiff_t i = x * c; i < (x + taps) * c; i++)
                *f->copy++ = i >= 0 && i < w * c ? row[i] : 0.0f;
        }
        o++;
    }
}

/* Looks for the runs of rows [r0, r1) of one group's patches. */
static void find_patches(struct search *f, const float *x, size_t group, size_t r0, size_t r1) {
    const struct fg_conv_shape *s = f->shape;
    const size_t pad = s->kernel / 2, taps = count_taps(s);
    for (size_t tap = 0; tap < s->kernel * s->kernel; tap += taps) {
        for (size_t r = r0, end; r < r1; r = end) {
            const size_t line = r / s->ow, ox = r % s->ow;
            const size_t y = line % s->oh * s->stride + tap / s->kernel - pad;
            end = r - ox + s->ow < r1 ? r - ox + s->ow : r1;
            if (y < s->h) { /* unsigned: before the first is beyond the last */
                find_runs(f, x + (line / s->oh * s->h + y) * s->w * s->c + group * s->gc,
                          (ptrdiff_t)(tap % s->kernel) - (ptrdiff_t)pad, ox, ox + end - r);
            } else {
                for (size_t i = r; i < end; i++)
                    *f->place++ = f->zeros;
            }
        }
    }
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
    char *scratch;         /* each thread's */
    bool relu;
    uint32_t pieces; /* tasks of the packing */
};

static void pack_piece(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct direct *d = argument;
    pack_weights(&d->shape, d->weight, d->pieces, task, d->packed);
}

/* Rows [r0, r1) by columns [c0, c1) of each group; c0 is a panel's first. */
static void multiply_part(const struct direct *d, size_t r0, size_t r1, size_t c0, size_t c1,
                          uint32_t thread) {
    const struct fg_conv_shape *s = &d->shape;
    char *scratch = d->scratch + thread * count_scratch(s, d->split.block);
    float *zeros = (float *)(scratch + count_places(s, d->split.block));
    const size_t run = count_taps(s) * s->gc;
    memset(zeros, 0, run * sizeof *zeros);
    for (size_t g = 0; g < s->groups; g++) {
        const size_t column = g * s->goc + c0, at = r0 * s->oc + column;
        struct search search = {s, (const float **)scratch, zeros, zeros + run};
        find_patches(&search, d->x, g, r0, r1);
        fg_gemm(&(struct fg_gemm){.rows = r1 - r0,
                                  .columns = c1 - c0,
                                  .depth = s->depth,
                                  .a_runs = (const float *const *)scratch,
                                  .runs = count_runs(s),
                                  .a_stride = r1 - r0,
                                  .b = d->packed + g * count_matrix(s) + c0 * s->depth,
                                  .b_packed = true,
                                  .bias = d->bias ? d->bias + column : NULL,
                                  .residual = d->residual ? d->residual + at : NULL,
                                  .relu = d->relu,
                                  .c = d->out + at,
                                  .c_stride = s->oc});
    }
}

static void multiply_rows(void *argument, uint32_t task, uint32_t thread) {
    const struct direct *d = argument;
    const struct fg_cpu_range rows = fg_cpu_share(d->shape.rows, d->split.tasks, task);
    multiply_part(d, rows.begin, rows.end, 0, d->shape.goc, thread);
}

static void multiply_columns(void *argument, uint32_t task, uint32_t thread) {
    const struct direct *d = argument;
    const struct fg_cpu_range columns = fg_conv_columns(d->shape.goc, d->split.tasks, task);
    if (columns.begin < columns.end)
        multiply_part(d, 0, d->shape.rows, columns.begin, columns.end, thread);
}

void fg_direct_forward(struct fg_backend *backend, const struct fg_step *step,
                       const struct fg_memory *memory) {
    struct direct d = {.shape = fg_conv_shape(step),
                       .x = fg_cpu_values(step->in[0], memory),
                       .residual = fg_cpu_values(step->in[1], memory),
                       .weight = fg_cpu_values(step->param[0], memory),
                       .bias = fg_cpu_values(step->param[1], memory),
                       .out = fg_cpu_values(step->out[0], memory),
                       .scratch = (char *)fg_cpu_workspace(step, memory),
                       .relu = step->relu,
                       .pieces = fg_cpu_threads(backend)};
    d.split = split_product(backend, &d.shape);
    if (step->prepared_bytes > 0) {
        d.packed = (float *)((char *)memory->segment[FG_SEGMENT_PREPARED] + step->prepared);
    } else {
        d.packed = (float *)d.scratch;
        d.scratch += fg_size_align(fg_direct_weight_bytes(&d.shape));
        fg_cpu_parallel(backend, step, d.pieces, pack_piece, &d);
    }
    fg_cpu_parallel(backend, step, d.split.tasks, d.split.by_columns ? multiply_columns : multiply_rows, &d);
}
