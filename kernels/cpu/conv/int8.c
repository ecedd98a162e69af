/* CONV and DECONV with weights of 8 bits: products of the input's elements, read where they lie. A float32
 * input is quantised first. */
#include <math.h>

#include "kernels/cpu/conv/conv.h"
#include "kernels/cpu/gemm/gemm8.h"

/* CONV has a product for each group. DECONV has two as its float32 way (deconv.c), one for even output lines
 * and one for odd ones, whose columns are two neighbouring outputs. */
struct int8 {
    const struct fg_step *step;
    struct fg_conv_shape shape;
    struct fg_conv_split split; /* of CONV */
    uint32_t threads;
    const float *values;  /* {n, h, w, c}: what is quantised first; NULL: nothing is */
    uint8_t *elements;    /* {n, h, w, c} */
    const char *prepared; /* each product's packed weights */
    char *scratch;        /* each thread's */
    const void *residual;
    void *out;
};

static bool is_transposed(const struct fg_step *step) {
    return step->op == FG_DECONV;
}

static size_t count_channels(const struct fg_step *step) {
    return (size_t)step->out[0]->c;
}

/* CONV's shape; of DECONV that of one of its products, over the positions of x. */
static struct fg_conv_shape find_shape(const struct fg_step *step) {
    if (!is_transposed(step))
        return fg_conv_shape(step);
    const struct fg_tensor *x = step->in[0];
    struct fg_conv_shape s = {.n = (size_t)x->n,
                              .h = (size_t)x->h,
                              .w = (size_t)x->w,
                              .c = (size_t)x->c,
                              .gc = (size_t)x->c,
                              .goc = 2 * count_channels(step),
                              .kernel = 1,
                              .groups = 1};
    s.rows = s.n * s.h * s.w;
    s.depth = s.c;
    return s;
}

static size_t count_products(const struct fg_step *step) {
    return is_transposed(step) ? 2 : (size_t)step->groups;
}

static struct fg_gemm8_form find_form(const struct fg_tensor *t) {
    return (struct fg_gemm8_form){.bytes = t->dtype == FG_U8, .scale = t->scale, .zero = t->zero};
}

static bool is_quantised(const struct fg_tensor *t) {
    return (t->dtype == FG_F32 || t->dtype == FG_U8) && t->scale > 0 && isfinite(t->scale) && t->zero >= 0 &&
           t->zero <= 255;
}

static bool is_result(const struct fg_tensor *t) {
    return t->dtype == FG_F32 || is_quantised(t);
}

/* Whether a run can be read with what lies behind it, up to a whole run of a product. */
static bool is_readable(const struct fg_tensor *x, const struct fg_conv_shape *s) {
    return s->gc % FG_GEMM8_DEPTH == 0 || x->dtype == FG_F32; /* whose elements have room behind them */
}

static bool is_frozen_row(const struct fg_tensor *t, size_t count) {
    return t->dtype == FG_F32 && t->segment == FG_SEGMENT_FROZEN && fg_tensor_count(t) == count;
}

bool fg_int8_supports(const struct fg_step *step) {
    const struct fg_tensor *bias = step->param[1], *scale = step->param[2];
    const size_t channels = count_channels(step);
    if (step->pass != FG_FORWARD || step->param[0]->segment != FG_SEGMENT_FROZEN || !scale ||
        !is_frozen_row(scale, channels) || (bias && !is_frozen_row(bias, channels)))
        return false;
    const struct fg_conv_shape s = find_shape(step);
    return is_readable(step->in[0], &s) && s.depth <= FG_GEMM8_MOST_DEPTH && is_quantised(step->in[0]) &&
           is_result(step->out[0]) && (!step->in[1] || is_result(step->in[1]));
}

/* Numbers of a run, before it is filled up. */
static size_t count_run(const struct fg_conv_shape *s) {
    return s->depth / fg_conv_runs(s);
}

/* The depth of a product, whose runs are filled up. */
static size_t count_depth(const struct fg_conv_shape *s) {
    return fg_conv_runs(s) * fg_gemm8_run(count_run(s));
}

/* Bytes of one product's packed weights. */
static size_t count_packed(const struct fg_conv_shape *s) {
    return fg_gemm8_bytes(s->goc, count_depth(s));
}

size_t fg_int8_prepared(const struct fg_step *step) {
    const struct fg_conv_shape s = find_shape(step);
    return count_products(step) * count_packed(&s);
}

static enum fg_status check_channels(const struct fg_step *step, const float *scale, const float *bias,
                                     struct fg_message *message) {
    for (size_t c = 0; c < count_channels(step); c++)
        if (!isfinite(step->in[0]->scale * scale[c]) || (bias && !isfinite(bias[c])))
            return fg_fail(
                message, FG_INPUT,
                "an int8 convolution has scale %g and bias %g in output channel %zu, which must be "
                "finite numbers; the bundle is damaged or training went wrong, make it again",
                (double)scale[c], bias ? (double)bias[c] : 0, c);
    return FG_OK;
}

/* An element cannot say that a value is no number, so what would make such values is refused. */
enum fg_status fg_int8_prepare(const struct fg_step *step, const struct fg_memory *memory,
                               struct fg_message *message) {
    const struct fg_conv_shape s = find_shape(step);
    const int8_t *weight = fg_tensor_data(step->param[0], memory);
    const float *scale = fg_cpu_values(step->param[2], memory), *bias = fg_cpu_values(step->param[1], memory);
    char *to = (char *)memory->segment[FG_SEGMENT_PREPARED] + step->prepared;
    const enum fg_status status = check_channels(step, scale, bias, message);
    for (size_t i = 0; i < count_products(step) && status == FG_OK; i++, to += count_packed(&s)) {
        struct fg_gemm8_weights w = {.columns = s.goc,
                                     .runs = fg_conv_runs(&s),
                                     .run = count_run(&s),
                                     .a = find_form(step->in[0]),
                                     .scale = scale,
                                     .bias = bias};
        if (is_transposed(step)) {
            w.b = weight + i * s.goc;
            w.b_stride = 2 * s.goc;
            w.channels = s.goc / 2;
        } else {
            w.b = weight + i * s.goc * s.depth;
            w.b_stride = s.depth;
            w.b_transposed = true;
            w.channels = s.goc;
            w.scale += i * s.goc;
            w.bias = bias ? bias + i * s.goc : NULL;
        }
        fg_gemm8_pack(&w, to);
    }
    return status;
}

/* Bytes of the workspace that hold the quantised input, with room to fill up the last run. */
static size_t count_elements(const struct fg_step *step) {
    return step->in[0]->dtype == FG_U8 ? 0 : fg_size_align(fg_tensor_count(step->in[0]) + FG_GEMM8_DEPTH);
}

/* Bytes of a thread's scratch: runs of so many rows, with room to fill up the last copy. */
static size_t count_scratch(const struct fg_conv_shape *s, size_t rows) {
    return fg_conv_runs_bytes(s, rows, sizeof(uint8_t)) + fg_size_align(FG_GEMM8_DEPTH);
}

size_t fg_int8_workspace(const struct fg_backend *backend, const struct fg_step *step) {
    if (is_transposed(step))
        return count_elements(step);
    const struct fg_conv_shape s = fg_conv_shape(step);
    return count_elements(step) +
           fg_cpu_threads(backend) * count_scratch(&s, fg_conv_split(backend, &s).block);
}

static void quantise_share(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct int8 *i = argument;
    const struct fg_tensor *x = i->step->in[0];
    const struct fg_gemm8_form form = find_form(x);
    const struct fg_cpu_range share = fg_cpu_share(fg_tensor_count(x), i->threads, task);
    fg_gemm8_quantise(i->values + share.begin, share.end - share.begin, &form, i->elements + share.begin);
}

/* The place of a value of the output, or of a tensor like it. */
static void *find_place(const struct fg_tensor *t, const void *values, size_t at) {
    return values ? (char *)values + at * fg_dtype_size(t->dtype) : NULL;
}

/* What is the same for all parts of one of the products, from a column and an output on. */
static struct fg_gemm8 begin_product(const struct int8 *i, size_t product, size_t column, size_t at) {
    const struct fg_step *step = i->step;
    const struct fg_conv_shape *s = &i->shape;
    return (struct fg_gemm8){
        .depth = count_depth(s),
        .b = fg_gemm8_find(i->prepared + product * count_packed(s), s->goc, count_depth(s), column),
        .residual = find_place(step->in[1], i->residual, at),
        .residual_form = step->in[1] ? find_form(step->in[1]) : (struct fg_gemm8_form){.bytes = false},
        .c = find_place(step->out[0], i->out, at),
        .c_form = find_form(step->out[0]),
        .relu = step->relu};
}

static void multiply_part(void *argument, uint32_t task, uint32_t thread) {
    const struct int8 *i = argument;
    const struct fg_conv_shape *s = &i->shape;
    const struct fg_conv_part part = fg_conv_part(s, &i->split, fg_gemm8_panel(), task);
    const struct fg_conv_values values = {
        .x = i->elements, .size = sizeof *i->elements, .zero = (uint8_t)i->step->in[0]->zero};
    const size_t rows = part.rows.end - part.rows.begin, columns = part.columns.end - part.columns.begin;
    char *scratch = i->scratch + thread * count_scratch(s, i->split.block);
    for (size_t g = 0; g < s->groups && rows > 0 && columns > 0; g++) {
        struct fg_gemm8 product = begin_product(i, g, part.columns.begin,
                                                part.rows.begin * s->oc + g * s->goc + part.columns.begin);
        product.rows = rows;
        product.columns = columns;
        product.a_runs = (const uint8_t *const *)fg_conv_find_runs(s, &values, g, part.rows, scratch);
        product.runs = fg_conv_runs(s);
        product.a_stride = rows;
        product.c_stride = s->oc;
        fg_gemm8(&product);
    }
}

/* A share of the lines of x, or where there are more columns than rows, of the columns. */
static void multiply_lines(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct int8 *i = argument;
    const struct fg_conv_shape *s = &i->shape;
    const bool by_columns = s->goc > s->rows;
    const struct fg_cpu_range lines = fg_cpu_share(s->n * s->h, by_columns ? 1 : i->threads,
                                                   by_columns ? 0 : task),
                              columns = fg_conv_columns(s->goc, fg_gemm8_panel(), by_columns ? i->threads : 1,
                                                        by_columns ? task : 0);
    const size_t line = s->w * s->goc; /* values of an output line */
    for (size_t dy = 0; dy < 2 && lines.begin < lines.end && columns.begin < columns.end; dy++) {
        struct fg_gemm8 product =
            begin_product(i, dy, columns.begin, (2 * lines.begin + dy) * line + columns.begin);
        product.rows = (lines.end - lines.begin) * s->w;
        product.columns = columns.end - columns.begin;
        product.a = i->elements + lines.begin * s->w * s->c;
        product.a_stride = s->c;
        product.c_stride = s->goc;
        product.line = s->w;
        product.c_line = 2 * line;
        fg_gemm8(&product);
    }
}

void fg_int8_forward(struct fg_backend *backend, const struct fg_step *step, const struct fg_memory *memory) {
    const struct fg_tensor *x = step->in[0];
    struct int8 i = {.step = step,
                     .shape = find_shape(step),
                     .threads = fg_cpu_threads(backend),
                     .elements = fg_tensor_data(x, memory),
                     .prepared = (char *)memory->segment[FG_SEGMENT_PREPARED] + step->prepared,
                     .scratch = (char *)fg_cpu_workspace(step, memory),
                     .residual = fg_cpu_values(step->in[1], memory),
                     .out = fg_tensor_data(step->out[0], memory)};
    if (x->dtype == FG_F32) {
        i.values = fg_cpu_values(x, memory);
        i.elements = (uint8_t *)i.scratch;
        i.scratch += count_elements(step);
        fg_cpu_parallel(backend, step, i.threads, quantise_share, &i);
    }
    if (is_transposed(step)) {
        fg_cpu_parallel(backend, step, i.threads, multiply_lines, &i);
        return;
    }
    i.split = fg_conv_split(backend, &i.shape);
    fg_cpu_parallel(backend, step, i.split.tasks, multiply_part, &i);
}
