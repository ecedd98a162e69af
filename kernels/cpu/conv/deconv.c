/* DECONV: the 2 x 2 transposed convolution with stride 2. No two outputs share an input's product. Two
 * neighbouring outputs of a line lie side by side, so forward is two products of x by half of the weight,
 * {c, 2, oc}: one for even output lines and one for odd ones. Backward takes the gradient's rows in the order
 * of one product by all of the weight. */
#include <string.h>

#include "kernels/cpu/conv/conv.h"

struct deconv {
    size_t n, h, w, c, oc;
    size_t rows;    /* n * h * w */
    size_t columns; /* 4 * oc */
    uint32_t tasks;
    const float *x;      /* {n, h, w, c} */
    const float *weight; /* {c, 2, 2, oc} */
    const float *bias;   /* [oc]; NULL: none */
    const float *g;      /* {n, 2h, 2w, oc} */
    float *out;          /* {n, 2h, 2w, oc} */
    float *packed;       /* the weight's two halves, then the bias for two outputs */
    float *scratch;      /* [rows][columns] */
    float *d_x;          /* {n, h, w, c} */
    float *d_weight;     /* {c, 2, 2, oc} */
    bool relu, add;
};

static struct deconv find_shape(const struct fg_backend *backend, const struct fg_step *step) {
    const struct fg_tensor *x = step->in[0], *out = step->out[0];
    struct deconv d = {.n = (size_t)x->n,
                       .h = (size_t)x->h,
                       .w = (size_t)x->w,
                       .c = (size_t)x->c,
                       .oc = (size_t)out->c,
                       .relu = step->relu,
                       .add = step->accumulate & 1};
    d.rows = d.n * d.h * d.w;
    d.columns = 4 * d.oc;
    d.tasks = fg_cpu_threads(backend);
    return d;
}

static bool deconv_supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0], *weight = step->param[0], *bias = step->param[1],
                           *out = step->out[0];
    if (!x || !weight || !out || weight->n != x->c || weight->h != 2 || weight->w != 2 ||
        weight->c != out->c || out->n != x->n || out->h != 2 * x->h || out->w != 2 * x->w ||
        (bias && (bias->dtype != FG_F32 || fg_tensor_count(bias) != (size_t)out->c))) {
        return false;
    }
    if (fg_conv_int8(step)) {
        return !step->in[1] && fg_int8_supports(step);
    }
    return x->dtype == FG_F32 && weight->dtype == FG_F32 && out->dtype == FG_F32;
}

/* Floats of a packed half of the weight, and of all that is packed. */
static size_t count_half(const struct deconv *d) {
    return fg_gemm_packed(2 * d->oc, d->c);
}

static size_t count_packed(const struct deconv *d) {
    return 2 * count_half(d) + 2 * d->oc;
}

/* Asked before the step says how much was prepared. */
static bool can_prepare(const struct fg_step *step) {
    return step->pass == FG_FORWARD && step->param[0]->segment == FG_SEGMENT_FROZEN &&
           (!step->param[1] || step->param[1]->segment == FG_SEGMENT_FROZEN);
}

static size_t deconv_prepared(const struct fg_backend *backend, const struct fg_step *step) {
    if (fg_conv_int8(step)) {
        return fg_int8_prepared(step);
    }
    struct deconv d = find_shape(backend, step);
    return can_prepare(step) ? count_packed(&d) * sizeof(float) : 0;
}

/* Forward: the packed weight. Backward: the gradient as the product's rows. */
static size_t deconv_workspace(const struct fg_backend *backend, const struct fg_step *step) {
    if (fg_conv_int8(step)) {
        return fg_int8_workspace(backend, step);
    }
    struct deconv d = find_shape(backend, step);
    if (step->pass == FG_BACKWARD) {
        return d.rows * d.columns * sizeof(float);
    }
    return can_prepare(step) ? 0 : count_packed(&d) * sizeof(float);
}

/* Packs one of tasks shares of the columns of both halves; the first one takes the bias too. */
static void pack_share(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct deconv *d = argument;
    const struct fg_cpu_range columns = fg_conv_columns(2 * d->oc, fg_gemm_panel(), d->tasks, task);
    for (size_t dy = 0; dy < 2; dy++) {
        fg_gemm_pack(d->weight + dy * 2 * d->oc, d->columns, false, 2 * d->oc, d->c, columns.begin,
                     columns.end, d->packed + dy * count_half(d));
        if (d->bias && task == 0) {
            memcpy(d->packed + 2 * count_half(d) + dy * d->oc, d->bias, d->oc * sizeof *d->bias);
        }
    }
}

static enum fg_status deconv_prepare(struct fg_backend *backend, const struct fg_step *step,
                                     const struct fg_memory *memory, struct fg_message *message) {
    if (fg_conv_int8(step)) {
        return fg_int8_prepare(step, memory, message);
    }
    struct deconv d = find_shape(backend, step);
    d.weight = fg_cpu_values(step->param[0], memory);
    d.bias = fg_cpu_values(step->param[1], memory);
    d.packed = (float *)((char *)memory->segment[FG_SEGMENT_PREPARED] + step->prepared);
    d.tasks = 1;
    pack_share(&d, 0, 0);
    return FG_OK;
}

/* A share of the lines of x, or where there are more columns than rows, of the columns. */
static void multiply_share(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct deconv *d = argument;
    const bool by_columns = 2 * d->oc > d->rows;
    const struct fg_cpu_range lines =
                                  fg_cpu_share(d->n * d->h, by_columns ? 1 : d->tasks, by_columns ? 0 : task),
                              columns = fg_conv_columns(2 * d->oc, fg_gemm_panel(), by_columns ? d->tasks : 1,
                                                        by_columns ? task : 0);
    if (lines.begin == lines.end || columns.begin == columns.end) {
        return;
    }
    for (size_t dy = 0; dy < 2; dy++) {
        fg_gemm(&(struct fg_gemm){
            .rows = (lines.end - lines.begin) * d->w,
            .columns = columns.end - columns.begin,
            .depth = d->c,
            .line = d->w,
            .a = d->x + lines.begin * d->w * d->c,
            .a_stride = d->c,
            .b = d->packed + dy * count_half(d) + columns.begin * d->c,
            .b_packed = true,
            .bias = d->bias ? d->packed + 2 * count_half(d) + columns.begin : NULL,
            .relu = d->relu,
            .c = d->out + (2 * lines.begin + dy) * 2 * d->w * d->oc + columns.begin,
            .c_stride = 2 * d->oc,
            .c_line = 4 * d->w * d->oc,
        });
    }
}

static enum fg_status deconv_forward(struct fg_backend *backend, const struct fg_step *step,
                                     const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    if (fg_conv_int8(step)) {
        fg_int8_forward(backend, step, memory);
        return FG_OK;
    }
    struct deconv d = find_shape(backend, step);
    d.x = fg_cpu_values(step->in[0], memory);
    d.weight = fg_cpu_values(step->param[0], memory);
    d.bias = fg_cpu_values(step->param[1], memory);
    d.out = fg_cpu_values(step->out[0], memory);
    if (step->prepared_bytes > 0) {
        d.packed = (float *)((char *)memory->segment[FG_SEGMENT_PREPARED] + step->prepared);
    } else {
        d.packed = fg_cpu_workspace(step, memory);
        fg_cpu_parallel(backend, step, d.tasks, pack_share, &d);
    }
    fg_cpu_parallel(backend, step, d.tasks, multiply_share, &d);
    return FG_OK;
}

static struct fg_way deconv_way(const struct fg_backend *backend, const struct fg_step *step) {
    const struct deconv d = find_shape(backend, step);
    return (struct fg_way){fg_conv_int8(step) ? "int8" : "transposed", (double)(d.rows * d.c * d.columns)};
}

/* Row r of the product holds, for dy = 0 and 1, two neighbouring output pixels. Gives where the first one
 * lies. */
static size_t find_output(const struct deconv *d, size_t r, size_t dy) {
    size_t x = r % d->w, line = r / d->w; /* line counts through all images, as output lines do */
    return ((2 * line + dy) * 2 * d->w + 2 * x) * d->oc;
}

FG_CPU_CLONES
static void copy_masked(const float *restrict d_out, const float *restrict out, float *restrict to,
                        size_t count) {
    for (size_t i = 0; i < count; i++) {
        to[i] = out[i] <= 0.0f ? 0.0f : d_out[i];
    }
}

/* The output's gradient, in the product's order, and from it the input's. */
static void run_backward_block(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct deconv *d = argument;
    const struct fg_cpu_range rows = fg_cpu_share(d->rows, d->tasks, task);
    for (size_t r = rows.begin; r < rows.end; r++) {
        for (size_t dy = 0; dy < 2; dy++) {
            size_t from = find_output(d, r, dy);
            float *to = d->scratch + r * d->columns + dy * 2 * d->oc;
            if (d->relu) {
                copy_masked(d->g + from, d->out + from, to, 2 * d->oc);
            } else {
                memcpy(to, d->g + from, 2 * d->oc * sizeof(float));
            }
        }
    }
    if (d->d_x && rows.begin < rows.end) {
        fg_gemm(&(struct fg_gemm){.rows = rows.end - rows.begin,
                                  .columns = d->c,
                                  .depth = d->columns,
                                  .a = d->scratch + rows.begin * d->columns,
                                  .a_stride = d->columns,
                                  .b = d->weight,
                                  .b_stride = d->columns,
                                  .b_transposed = true,
                                  .add = d->add,
                                  .c = d->d_x + rows.begin * d->c,
                                  .c_stride = d->c});
    }
}

/* d_W = x^T g for a slice of its columns. */
static void make_weight_slice(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct deconv *d = argument;
    struct fg_cpu_range slice = fg_cpu_share(d->columns, d->tasks, task);
    if (slice.begin < slice.end) {
        fg_gemm(&(struct fg_gemm){.rows = d->c,
                                  .columns = slice.end - slice.begin,
                                  .depth = d->rows,
                                  .a = d->x,
                                  .a_stride = d->c,
                                  .a_transposed = true,
                                  .b = d->scratch + slice.begin,
                                  .b_stride = d->columns,
                                  .c = d->d_weight + slice.begin,
                                  .c_stride = d->columns});
    }
}

static enum fg_status deconv_backward(struct fg_backend *backend, const struct fg_step *step,
                                      const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct deconv d = find_shape(backend, step);
    d.x = fg_cpu_values(step->in[0], memory);
    d.weight = fg_cpu_values(step->param[0], memory);
    d.out = fg_cpu_values(step->out[0], memory);
    d.g = fg_cpu_values(step->d_out[0], memory);
    d.d_x = fg_cpu_values(step->d_in[0], memory);
    d.d_weight = fg_cpu_values(step->d_param[0], memory);
    d.scratch = fg_cpu_workspace(step, memory);
    fg_cpu_parallel(backend, step, d.tasks, run_backward_block, &d);
    if (step->d_param[0]) {
        fg_cpu_parallel(backend, step, d.tasks, make_weight_slice, &d);
    }
    if (step->d_param[1]) {
        fg_conv_sum_rows(backend, step, d.scratch, 4 * d.rows, d.oc, fg_cpu_values(step->d_param[1], memory));
    }
    return FG_OK;
}

const struct fg_kernel fg_cpu_deconv = {.supports = deconv_supports,
                                        .workspace = deconv_workspace,
                                        .prepared = deconv_prepared,
                                        .prepare = deconv_prepare,
                                        .way = deconv_way,
                                        .forward = deconv_forward,
                                        .backward = deconv_backward};
