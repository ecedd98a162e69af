/* BATCH_NORM: training's batch norm with the residual and ReLU behind it. Each task sums over its share of
 * the rows in blocks that float32 holds exactly enough, and the blocks in double. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu.h"

#define BLOCK 64  /* rows that are summed in float32 */
#define TASKS 16u /* shares of the rows that are summed, whatever the number of threads: sums stay the same */

struct batch_norm {
    size_t rows, channels;
    uint32_t threads;
    const float *x, *residual, *out, *g; /* [rows][channels]; residual NULL: none */
    const float *gamma;                  /* [channels] */
    const float *mean, *inverse;         /* [channels] the batch's */
    float *y, *d_x, *d_residual;         /* [rows][channels] */
    double *first, *second;              /* [TASKS][channels] */
    float *scale, *shift, *slope;        /* [channels] */
    float *lines;                        /* [TASKS][2 * channels] sums of a block */
    bool relu, add, add_residual;
};

FG_CPU_CLONES static void add_block(const float *x, const float *mean, size_t rows, size_t channels,
                                    float *sum) {
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < channels; k++)
            sum[k] += x[r * channels + k] - mean[k];
}

FG_CPU_CLONES static void add_squares(const float *x, const float *mean, size_t rows, size_t channels,
                                      float *sum) {
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < channels; k++) {
            const float d = x[r * channels + k] - mean[k];
            sum[k] += d * d;
        }
}

static void sum_rows(const struct batch_norm *b, uint32_t task,
                     void (*add)(const float *, const float *, size_t, size_t, float *), const float *mean,
                     double *sums) {
    const struct fg_cpu_range range = fg_cpu_share(b->rows, TASKS, task);
    float *line = b->lines + (size_t)task * 2 * b->channels;
    double *sum = sums + (size_t)task * b->channels;
    memset(sum, 0, b->channels * sizeof *sum);
    for (size_t r = range.begin; r < range.end; r += BLOCK) {
        const size_t rows = range.end - r < BLOCK ? range.end - r : BLOCK;
        memset(line, 0, b->channels * sizeof *line);
        add(b->x + r * b->channels, mean, rows, b->channels, line);
        for (size_t k = 0; k < b->channels; k++)
            sum[k] += (double)line[k];
    }
}

/* Sums of x less its first row, so that a large mean costs no digits. */
static void sum_values(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct batch_norm *b = argument;
    sum_rows(b, task, add_block, b->x, b->first);
}

static void sum_squares(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct batch_norm *b = argument;
    sum_rows(b, task, add_squares, b->mean, b->second);
}

FG_CPU_CLONES static void normalise_rows(const float *x, const float *residual, const float *scale,
                                         const float *shift, bool relu, size_t rows, size_t channels,
                                         float *y) {
    for (size_t r = 0; r < rows; r++, x += channels, y += channels) {
        for (size_t k = 0; k < channels; k++)
            y[k] = x[k] * scale[k] + shift[k];
        if (residual)
            for (size_t k = 0; k < channels; k++)
                y[k] += residual[r * channels + k];
        if (relu)
            for (size_t k = 0; k < channels; k++)
                y[k] = y[k] < 0 ? 0 : y[k];
    }
}

static void normalise_share(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct batch_norm *b = argument;
    const struct fg_cpu_range range = fg_cpu_share(b->rows, b->threads, task);
    const size_t at = range.begin * b->channels;
    normalise_rows(b->x + at, b->residual ? b->residual + at : NULL, b->scale, b->shift, b->relu,
                   range.end - range.begin, b->channels, b->y + at);
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0], *y = step->out[0], *statistics = step->out[1];
    bool right = x && y && statistics && x->dtype == FG_F32 && fg_tensor_count(x) == fg_tensor_count(y) &&
                 x->c == y->c && fg_tensor_count(statistics) == 2 * (size_t)x->c;
    for (int i = 0; i < 4; i++)
        right = right && step->param[i] && fg_tensor_count(step->param[i]) == (size_t)x->c;
    return right && (!step->in[1] || fg_tensor_count(step->in[1]) == fg_tensor_count(x));
}

/* Two sums a task, one block's sums a task, three vectors. */
static size_t workspace(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const size_t channels = (size_t)step->in[0]->c;
    return channels * (TASKS * 2 * sizeof(double) + (TASKS * 2 + 3) * sizeof(float));
}

static struct batch_norm describe_step(const struct fg_backend *backend, const struct fg_step *step,
                                       const struct fg_memory *memory) {
    struct batch_norm b = {.channels = (size_t)step->in[0]->c,
                           .threads = fg_cpu_threads(backend),
                           .x = fg_cpu_values(step->in[0], memory),
                           .residual = fg_cpu_values(step->in[1], memory),
                           .gamma = fg_cpu_values(step->param[0], memory),
                           .relu = step->relu};
    b.rows = fg_tensor_count(step->in[0]) / b.channels;
    b.first = (double *)(void *)fg_cpu_workspace(step, memory);
    b.second = b.first + TASKS * b.channels;
    b.lines = (float *)(b.second + TASKS * b.channels);
    b.scale = b.lines + TASKS * 2 * b.channels;
    b.shift = b.scale + b.channels;
    b.slope = b.shift + b.channels;
    return b;
}

static double sum_tasks(const double *sums, const struct batch_norm *b, size_t channel) {
    double sum = 0;
    for (uint32_t t = 0; t < TASKS; t++)
        sum += sums[t * b->channels + channel];
    return sum;
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct batch_norm b = describe_step(backend, step, memory);
    const float *beta = fg_cpu_values(step->param[1], memory);
    float *running_mean = fg_cpu_values(step->param[2], memory);
    float *running_var = fg_cpu_values(step->param[3], memory);
    float *mean = fg_cpu_values(step->out[1], memory), *inverse = mean + b.channels;
    b.y = fg_cpu_values(step->out[0], memory);
    b.mean = mean;
    const double rows = (double)b.rows;
    fg_cpu_parallel(backend, step, TASKS, sum_values, &b);
    for (size_t k = 0; k < b.channels; k++)
        mean[k] = (float)((double)b.x[k] + sum_tasks(b.first, &b, k) / rows);
    fg_cpu_parallel(backend, step, TASKS, sum_squares, &b);
    for (size_t k = 0; k < b.channels; k++) {
        const double var = sum_tasks(b.second, &b, k) / rows;
        const double unbiased = b.rows > 1 ? var * rows / (rows - 1) : var;
        inverse[k] = (float)(1 / sqrt(var + FG_EPSILON));
        b.scale[k] = b.gamma[k] * inverse[k];
        b.shift[k] = beta[k] - mean[k] * b.scale[k];
        running_mean[k] = (float)((1 - FG_BN_MOMENTUM) * running_mean[k] + FG_BN_MOMENTUM * mean[k]);
        running_var[k] = (float)((1 - FG_BN_MOMENTUM) * running_var[k] + FG_BN_MOMENTUM * unbiased);
    }
    fg_cpu_parallel(backend, step, b.threads, normalise_share, &b);
    return FG_OK;
}

/* What a ReLU lets through. Both values come as arguments, so that there is no branch: a loop of these
 * becomes vectors. */
static inline float mask_gradient(float g, float out, bool relu) {
    return (int)relu & (out <= 0) ? 0 : g;
}

/* Sums of the gradient and of its product with the normalised x, for the rows of a block. */
FG_CPU_CLONES static void add_gradients(const float *g, const float *out, const float *x, const float *mean,
                                        const float *inverse, bool relu, size_t rows, size_t channels,
                                        float *restrict sum, float *restrict product) {
    for (size_t r = 0; r < rows; r++, g += channels, out += channels, x += channels) {
        for (size_t k = 0; k < channels; k++) {
            const float v = mask_gradient(g[k], out[k], relu);
            sum[k] += v;
            product[k] += v * (x[k] - mean[k]) * inverse[k];
        }
    }
}

static void sum_gradients(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct batch_norm *b = argument;
    const struct fg_cpu_range range = fg_cpu_share(b->rows, TASKS, task);
    const size_t channels = b->channels;
    float *line = b->lines + (size_t)task * 2 * channels;
    double *first = b->first + (size_t)task * channels, *second = b->second + (size_t)task * channels;
    memset(first, 0, channels * sizeof *first);
    memset(second, 0, channels * sizeof *second);
    for (size_t r = range.begin; r < range.end; r += BLOCK) {
        const size_t rows = range.end - r < BLOCK ? range.end - r : BLOCK, at = r * channels;
        memset(line, 0, 2 * channels * sizeof *line);
        add_gradients(b->g + at, b->out + at, b->x + at, b->mean, b->inverse, b->relu, rows, channels, line,
                      line + channels);
        for (size_t k = 0; k < channels; k++) {
            first[k] += (double)line[k];
            second[k] += (double)line[channels + k];
        }
    }
}

/* d_x = scale * (g - mean of g - xhat * mean of g xhat) = scale * g + slope * x + shift. */
FG_CPU_CLONES static void apply_gradients(const struct batch_norm *b, size_t begin, size_t end) {
    const size_t channels = b->channels;
    const bool relu = b->relu, add = b->add, add_residual = b->add_residual;
    const float *scale = b->scale, *slope = b->slope, *shift = b->shift;
    for (size_t r = begin; r < end; r++) {
        const size_t at = r * channels;
        const float *g = b->g + at, *x = b->x + at, *out = b->out + at;
        float *d_x = b->d_x ? b->d_x + at : NULL, *d_residual = b->d_residual ? b->d_residual + at : NULL;
        for (size_t k = 0; k < channels; k++) {
            const float v = mask_gradient(g[k], out[k], relu);
            const float d = scale[k] * v + slope[k] * x[k] + shift[k];
            if (d_x)
                d_x[k] = add ? d_x[k] + d : d;
            if (d_residual)
                d_residual[k] = add_residual ? d_residual[k] + v : v;
        }
    }
}

static void write_gradients(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct batch_norm *b = argument;
    const struct fg_cpu_range range = fg_cpu_share(b->rows, b->threads, task);
    apply_gradients(b, range.begin, range.end);
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct batch_norm b = describe_step(backend, step, memory);
    b.out = fg_cpu_values(step->out[0], memory);
    b.g = fg_cpu_values(step->d_out[0], memory);
    b.mean = fg_cpu_values(step->out[1], memory);
    b.inverse = b.mean + b.channels;
    b.d_x = fg_cpu_values(step->d_in[0], memory);
    b.d_residual = fg_cpu_values(step->d_in[1], memory);
    b.add = step->accumulate & 1;
    b.add_residual = step->accumulate >> 1 & 1;
    float *d_gamma = fg_cpu_values(step->d_param[0], memory),
          *d_beta = fg_cpu_values(step->d_param[1], memory);
    fg_cpu_parallel(backend, step, TASKS, sum_gradients, &b);
    for (size_t k = 0; k < b.channels; k++) {
        const double sum = sum_tasks(b.first, &b, k), product = sum_tasks(b.second, &b, k),
                     rows = (double)b.rows;
        const double scale = (double)b.gamma[k] * b.inverse[k];
        if (d_beta)
            d_beta[k] = (float)sum;
        if (d_gamma)
            d_gamma[k] = (float)product;
        b.scale[k] = (float)scale;
        b.slope[k] = (float)(-scale * product / rows * b.inverse[k]);
        b.shift[k] = (float)(-scale * (sum / rows - product / rows * b.inverse[k] * b.mean[k]));
    }
    fg_cpu_parallel(backend, step, b.threads, write_gradients, &b);
    return FG_OK;
}

const struct fg_kernel fg_cpu_batch_norm = {
    .supports = supports, .workspace = workspace, .forward = forward, .backward = backward};
