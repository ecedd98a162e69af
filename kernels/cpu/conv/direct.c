/* CONV by one product of the input, read where it lies, and the weights. */
#include "kernels/cpu/conv/conv.h"

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
    const struct fg_cpu_range columns = fg_conv_columns(s->goc, fg_gemm_panel(), pieces, piece);
    for (size_t g = 0; g < s->groups; g++)
        fg_gemm_pack(weight + g * s->goc * s->depth, s->depth, true, s->goc, s->depth, columns.begin,
                     columns.end, packed + g * count_matrix(s));
}

void fg_direct_weights(const struct fg_conv_shape *s, const float *weight, float *packed) {
    pack_weights(s, weight, 1, 0, packed);
}

size_t fg_direct_workspace(const struct fg_backend *backend, const struct fg_conv_shape *s, bool prepared) {
    const size_t weights = prepared ? 0 : fg_size_align(fg_direct_weight_bytes(s));
    return weights +
           fg_cpu_threads(backend) * fg_conv_runs_bytes(s, fg_conv_split(backend, s).block, sizeof(float));
}

struct direct {
    struct fg_conv_shape shape;
    struct fg_conv_split split;
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

static void multiply_part(void *argument, uint32_t task, uint32_t thread) {
    const struct direct *d = argument;
    const struct fg_conv_shape *s = &d->shape;
    const struct fg_conv_part part = fg_conv_part(s, &d->split, fg_gemm_panel(), task);
    const struct fg_conv_values values = {.x = d->x, .size = sizeof *d->x};
    const size_t rows = part.rows.end - part.rows.begin, columns = part.columns.end - part.columns.begin;
    char *scratch = d->scratch + thread * fg_conv_runs_bytes(s, d->split.block, sizeof *d->x);
    for (size_t g = 0; g < s->groups && rows > 0 && columns > 0; g++) {
        const size_t column = g * s->goc + part.columns.begin, at = part.rows.begin * s->oc + column;
        fg_gemm(&(struct fg_gemm){
            .rows = rows,
            .columns = columns,
            .depth = s->depth,
            .a_runs = (const float *const *)fg_conv_find_runs(s, &values, g, part.rows, scratch),
            .runs = fg_conv_runs(s),
            .a_stride = rows,
            .b = d->packed + g * count_matrix(s) + part.columns.begin * s->depth,
            .b_packed = true,
            .bias = d->bias ? d->bias + column : NULL,
            .residual = d->residual ? d->residual + at : NULL,
            .relu = d->relu,
            .c = d->out + at,
            .c_stride = s->oc});
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
                       .scratch = (char *)fg_cpu_workspace(step, memory),
                       .relu = step->relu,
                       .pieces = fg_cpu_threads(backend)};
    d.split = fg_conv_split(backend, &d.shape);
    if (step->prepared_bytes > 0) {
        d.packed = (float *)((char *)memory->segment[FG_SEGMENT_PREPARED] + step->prepared);
    } else {
        d.packed = (float *)d.scratch;
        d.scratch += fg_size_align(fg_direct_weight_bytes(&d.shape));
        fg_cpu_parallel(backend, step, d.pieces, pack_piece, &d);
    }
    fg_cpu_parallel(backend, step, d.split.tasks, multiply_part, &d);
}
