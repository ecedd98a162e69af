/* DECONV: the 2 x 2 transposed convolution with stride 2, as one product whose rows are scattered. */
#include <string.h>

#include "kernels/cpu/conv/conv.h"

/* Transposed convolution, 2x2 stride 2: no two outputs share an input's product, so it is one product of
 * x (rows) by the weight {c, 2, 2, oc} (columns), whose rows are then laid into the picture. */

struct deconv {
    size_t n, h, w, c, oc;
    size_t rows;    /* n * h * w */
    size_t columns; /* 4 * oc */
    size_t block;   /* rows of one task */
    uint32_t tasks;
    const float *x;      /* {n, h, w, c} */
    const float *weight; /* {c, 2, 2, oc} */
    const float *bias;   /* [oc]; NULL: none */
    const float *g;      /* {n, 2h, 2w, oc} */
    float *out;          /* {n, 2h, 2w, oc} */
    float *scratch;      /* [threads][block][columns] */
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
    const size_t threads = fg_cpu_threads(backend);
    d.rows = d.n * d.h * d.w;
    d.columns = 4 * d.oc;
    size_t block = FG_CONV_BLOCK_FLOATS / d.columns;
    block = block < FG_CONV_BLOCK_ROWS ? FG_CONV_BLOCK_ROWS : block;
    size_t tasks = (d.rows + block - 1) / block;
    tasks = (tasks + threads - 1) / threads * threads;
    tasks = tasks > d.rows ? d.rows : tasks;
    d.block = (d.rows + tasks - 1) / tasks;
    d.tasks = (uint32_t)tasks;
    return d;
}

static bool deconv_supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0], *weight = step->param[0], *bias = step->param[1],
                           *out = step->out[0];
    return x && weight && out && x->dtype == FG_F32 && weight->dtype == FG_F32 && out->dtype == FG_F32 &&
           weight->n == x->c && weight->h == 2 && weight->w == 2 && weight->c == out->c && out->n == x->n &&
           out->h == 2 * x->h && out->w == 2 * x->w &&
           (!bias || (bias->dtype == FG_F32 && fg_tensor_count(bias) == (size_t)out->c));
}

/* Forward: a block of products for each thread. Backward: the gradient as the product's rows, all of it. */
static size_t deconv_workspace(const struct fg_backend *backend, const struct fg_step *step) {
    struct deconv d = find_shape(backend, step);
    size_t rows = step->pass == FG_BACKWARD ? d.rows : fg_cpu_threads(backend) * d.block;
    return rows * d.columns * sizeof(float);
}

/* Row r of the product holds, for dy = 0 and 1, two neighbouring output pixels. Gives where the first one
 * lies. */
static size_t find_output(const struct deconv *d, size_t r, size_t dy) {
    size_t x = r % d->w, line = r / d->w; /* line counts through all images, as output lines do */
    return ((2 * line + dy) * 2 * d->w + 2 * x) * d->oc;
}

static void run_forward_block(void *argument, uint32_t task, uint32_t thread) {
    const struct deconv *d = argument;
    const struct fg_cpu_range rows = fg_cpu_share(d->rows, d->tasks, task);
    float *block = d->scratch + thread * d->block * d->columns;
    fg_conv_product(false, false, rows.end - rows.begin, d->columns, d->c, d->x + rows.begin * d->c, d->c,
                    d->weight, d->columns, 0.0f, block, d->columns);
    fg_conv_finish(block, d->oc, 4 * (rows.end - rows.begin), d->oc, d->bias, NULL, d->relu);
    for (size_t r = rows.begin; r < rows.end; r++, block += d->columns) {
        for (size_t dy = 0; dy < 2; dy++) {
            memcpy(d->out + find_output(d, r, dy), block + dy * 2 * d->oc, 2 * d->oc * sizeof(float));
        }
    }
}

static enum fg_status deconv_forward(struct fg_backend *backend, const struct fg_step *step,
                                     const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct deconv d = find_shape(backend, step);
    d.x = fg_cpu_values(step->in[0], memory);
    d.weight = fg_cpu_values(step->param[0], memory);
    d.bias = fg_cpu_values(step->param[1], memory);
    d.out = fg_cpu_values(step->out[0], memory);
    d.scratch = fg_cpu_workspace(step, memory);
    fg_cpu_parallel(backend, step, d.tasks, run_forward_block, &d);
    return FG_OK;
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
    if (d->d_x) {
        fg_conv_product(false, true, rows.end - rows.begin, d->c, d->columns,
                        d->scratch + rows.begin * d->columns, d->columns, d->weight, d->columns,
                        d->add ? 1.0f : 0.0f, d->d_x + rows.begin * d->c, d->c);
    }
}

/* d_W = x^T g for a slice of its columns. */
static void make_weight_slice(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct deconv *d = argument;
    struct fg_cpu_range slice = fg_cpu_share(d->columns, d->tasks, task);
    if (slice.begin < slice.end) {
        fg_conv_product(true, false, d->c, slice.end - slice.begin, d->rows, d->x, d->c,
                        d->scratch + slice.begin, d->columns, 0.0f, d->d_weight + slice.begin, d->columns);
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
        d.tasks = fg_cpu_threads(backend);
        fg_cpu_parallel(backend, step, d.tasks, make_weight_slice, &d);
    }
    if (step->d_param[1]) {
        fg_conv_sum_rows(backend, step, d.scratch, 4 * d.rows, d.oc, fg_cpu_values(step->d_param[1], memory));
    }
    return FG_OK;
}

const struct fg_kernel fg_cpu_deconv = {.supports = deconv_supports,
                                        .workspace = deconv_workspace,
                                        .forward = deconv_forward,
                                        .backward = deconv_backward};
