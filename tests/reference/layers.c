/* BATCH_NORM, MAX_POOL, CONCAT and MASK. */
#include <math.h>

#include "kernels/philox.h"
#include "tests/reference/operators.h"

/* Mean and (biased) variance of one channel over the batch. */
static void measure(struct array x, int32_t k, double *mean, double *var) {
    const double rows = (double)x.n * x.h * x.w;
    *mean = *var = 0;
    for (int32_t n = 0; n < x.n; n++)
        for (int32_t y = 0; y < x.h; y++)
            for (int32_t i = 0; i < x.w; i++)
                *mean += *at(x, n, y, i, k) / rows;
    for (int32_t n = 0; n < x.n; n++)
        for (int32_t y = 0; y < x.h; y++)
            for (int32_t i = 0; i < x.w; i++)
                *var += pow(*at(x, n, y, i, k) - *mean, 2) / rows;
}

static enum fg_status batch_norm_forward(struct fg_backend *backend, const struct fg_step *step,
                                         const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const struct array x = array_of(step->in[0], memory), residual = array_of(step->in[1], memory),
                       gamma = array_of(step->param[0], memory), beta = array_of(step->param[1], memory),
                       running_mean = array_of(step->param[2], memory),
                       running_var = array_of(step->param[3], memory), out = array_of(step->out[0], memory),
                       statistics = array_of(step->out[1], memory);
    const double rows = (double)x.n * x.h * x.w;
    for (int32_t k = 0; k < x.c; k++) {
        double mean, var;
        measure(x, k, &mean, &var);
        const double inverse = 1 / sqrt(var + FG_EPSILON);
        for (int32_t n = 0; n < x.n; n++)
            for (int32_t y = 0; y < x.h; y++)
                for (int32_t i = 0; i < x.w; i++) {
                    double value = (*at(x, n, y, i, k) - mean) * inverse * *entry(gamma, k) + *entry(beta, k);
                    if (residual.value)
                        value += *at(residual, n, y, i, k);
                    *at(out, n, y, i, k) = rectified(value, step->relu);
                }
        *at(statistics, 0, 0, 0, k) = mean;
        *at(statistics, 0, 0, 1, k) = inverse;
        *entry(running_mean, k) += FG_BN_MOMENTUM * (mean - *entry(running_mean, k));
        const double unbiased = rows > 1 ? var * rows / (rows - 1) : var;
        *entry(running_var, k) += FG_BN_MOMENTUM * (unbiased - *entry(running_var, k));
    }
    return FG_OK;
}

/* Ioffe and Szegedy, ICML 2015, section 3: through the value, the variance and the mean. */
static enum fg_status batch_norm_backward(struct fg_backend *backend, const struct fg_step *step,
                                          const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const struct array x = array_of(step->in[0], memory), gamma = array_of(step->param[0], memory),
                       out = array_of(step->out[0], memory), d_out = array_of(step->d_out[0], memory),
                       d_x = d_in(step, 0, memory), d_residual = d_in(step, 1, memory),
                       d_gamma = d_param(step, 0, memory), d_beta = d_param(step, 1, memory);
    const double rows = (double)x.n * x.h * x.w;
    for (int32_t k = 0; k < x.c; k++) {
        double mean, var, sum = 0, product = 0;
        measure(x, k, &mean, &var);
        const double inverse = 1 / sqrt(var + FG_EPSILON);
        for (int round = 0; round < 2; round++) /* sums over the batch, then what needs them */
            for (int32_t n = 0; n < x.n; n++)
                for (int32_t y = 0; y < x.h; y++)
                    for (int32_t i = 0; i < x.w; i++) {
                        const double g = passed(*at(d_out, n, y, i, k), *at(out, n, y, i, k), step->relu);
                        const double normal = (*at(x, n, y, i, k) - mean) * inverse;
                        if (round == 0) {
                            sum += g;
                            product += g * normal;
                            give(d_residual, n, y, i, k, g);
                        } else {
                            give(d_x, n, y, i, k,
                                 *entry(gamma, k) * inverse * (g - sum / rows - normal * product / rows));
                        }
                    }
        give(d_gamma, 0, 0, 0, k, product);
        give(d_beta, 0, 0, 0, k, sum);
    }
    return FG_OK;
}

const struct fg_kernel fg_reference_batch_norm = {
    .supports = fg_reference_supports, .forward = batch_norm_forward, .backward = batch_norm_backward};

/* Where the largest value of a 3x3 window lies; the first of equal ones, and the first NaN before all. */
static void find_largest(struct array x, int32_t n, int32_t oy, int32_t ox, int32_t k, int32_t *y,
                         int32_t *i) {
    *y = *i = -1;
    for (int32_t iy = 2 * oy - 1; iy <= 2 * oy + 1; iy++)
        for (int32_t ix = 2 * ox - 1; ix <= 2 * ox + 1; ix++) {
            if (iy < 0 || iy >= x.h || ix < 0 || ix >= x.w)
                continue;
            const double value = *at(x, n, iy, ix, k);
            if (*y < 0 || (!isnan(*at(x, n, *y, *i, k)) && (isnan(value) || value > *at(x, n, *y, *i, k)))) {
                *y = iy;
                *i = ix;
            }
        }
}

static enum fg_status max_pool_forward(struct fg_backend *backend, const struct fg_step *step,
                                       const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const struct array x = array_of(step->in[0], memory), out = array_of(step->out[0], memory);
    for (int32_t n = 0; n < out.n; n++)
        for (int32_t oy = 0; oy < out.h; oy++)
            for (int32_t ox = 0; ox < out.w; ox++)
                for (int32_t k = 0; k < out.c; k++) {
                    int32_t y, i;
                    find_largest(x, n, oy, ox, k, &y, &i);
                    *at(out, n, oy, ox, k) = *at(x, n, y, i, k);
                }
    return FG_OK;
}

static enum fg_status max_pool_backward(struct fg_backend *backend, const struct fg_step *step,
                                        const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const struct array x = array_of(step->in[0], memory), d_out = array_of(step->d_out[0], memory),
                       d_x = d_in(step, 0, memory);
    for (int32_t n = 0; n < d_out.n; n++)
        for (int32_t oy = 0; oy < d_out.h; oy++)
            for (int32_t ox = 0; ox < d_out.w; ox++)
                for (int32_t k = 0; k < d_out.c; k++) {
                    int32_t y, i;
                    find_largest(x, n, oy, ox, k, &y, &i);
                    give(d_x, n, y, i, k, *at(d_out, n, oy, ox, k));
                }
    return FG_OK;
}

const struct fg_kernel fg_reference_max_pool = {
    .supports = fg_reference_supports, .forward = max_pool_forward, .backward = max_pool_backward};

static enum fg_status concat_forward(struct fg_backend *backend, const struct fg_step *step,
                                     const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const struct array out = array_of(step->out[0], memory);
    int32_t first = 0;
    for (int p = 0; p < FG_MAX_IN; p++) {
        const struct array input = array_of(step->in[p], memory);
        for (int32_t n = 0; n < input.n; n++)
            for (int32_t y = 0; y < input.h; y++)
                for (int32_t i = 0; i < input.w; i++)
                    for (int32_t k = 0; k < input.c; k++)
                        *at(out, n, y, i, first + k) = *at(input, n, y, i, k);
        first += input.c;
    }
    return FG_OK;
}

static enum fg_status concat_backward(struct fg_backend *backend, const struct fg_step *step,
                                      const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const struct array d_out = array_of(step->d_out[0], memory);
    int32_t first = 0;
    for (int p = 0; p < FG_MAX_IN; p++) {
        const struct array d_input = d_in(step, p, memory);
        for (int32_t n = 0; n < d_input.n; n++)
            for (int32_t y = 0; y < d_input.h; y++)
                for (int32_t i = 0; i < d_input.w; i++)
                    for (int32_t k = 0; k < d_input.c; k++)
                        give(d_input, n, y, i, k, *at(d_out, n, y, i, first + k));
        first += step->in[p] ? step->in[p]->c : 0;
    }
    return FG_OK;
}

const struct fg_kernel fg_reference_concat = {
    .supports = fg_reference_supports, .forward = concat_forward, .backward = concat_backward};

/* to += mask * from. */
static void add_masked(const struct fg_step *step, const struct fg_memory *memory, struct array from,
                       struct array to) {
    const struct fg_draw *draw = fg_tensor_data(step->in[1], memory);
    for (int32_t n = 0; n < from.n; n++)
        for (int32_t y = 0; y < from.h; y++)
            for (int32_t i = 0; i < from.w; i++) {
                const float keep = fg_philox_mask(draw->seed, draw->epoch, draw->image[n], step->level,
                                                  (uint32_t)(y * from.w + i), step->mask_rate);
                for (int32_t k = 0; k < from.c; k++)
                    give(to, n, y, i, k, (double)keep * *at(from, n, y, i, k));
            }
}

static enum fg_status mask_forward(struct fg_backend *backend, const struct fg_step *step,
                                   const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    add_masked(step, memory, array_of(step->in[0], memory), gradient_of(step->out[0], false, memory));
    return FG_OK;
}

static enum fg_status mask_backward(struct fg_backend *backend, const struct fg_step *step,
                                    const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    add_masked(step, memory, array_of(step->d_out[0], memory), d_in(step, 0, memory));
    return FG_OK;
}

const struct fg_kernel fg_reference_mask = {
    .supports = fg_reference_supports, .forward = mask_forward, .backward = mask_backward};
