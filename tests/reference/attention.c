/* SRU, CRU and SIMAM (runtime/network/network.h, section 3), and MOMENTS (section 11). */
#include <math.h>

#include "tests/reference/operators.h"

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

/* Group norm of one image before gamma and beta: the group's mean and 1 / sqrt(var + eps). */
static void measure_group(struct array x, int32_t n, int32_t group, double *mean, double *inverse) {
    const int32_t size = x.c / FG_GROUP_NORM_GROUPS;
    const double count = (double)x.h * x.w * size;
    double var = 0;
    *mean = 0;
    for (int32_t y = 0; y < x.h; y++)
        for (int32_t i = 0; i < x.w; i++)
            for (int32_t k = group * size; k < (group + 1) * size; k++)
                *mean += *at(x, n, y, i, k) / count;
    for (int32_t y = 0; y < x.h; y++)
        for (int32_t i = 0; i < x.w; i++)
            for (int32_t k = group * size; k < (group + 1) * size; k++)
                var += pow(*at(x, n, y, i, k) - *mean, 2) / count;
    *inverse = 1 / sqrt(var + FG_EPSILON);
}

/* The shares of a value that X1 and X2 get; a gate that is not a number leaves none of it. */
static void split(double r, bool soft, double *first, double *second) {
    if (isnan(r)) {
        *first = *second = r;
    } else if (soft) {
        *first = r > 0.5 ? 1 : r;
        *second = r > 0.5 ? 0 : r;
    } else {
        *first = r > 0.5 ? 1 : 0;
        *second = 1 - *first;
    }
}

/* Channel k of x pairs with this channel of either half. */
static int32_t in_half(int32_t k, int32_t half) {
    return k < half ? k : k - half;
}

static double sum_of(struct array v) {
    double sum = *entry(v, 0);
    for (int32_t k = 1; k < v.c; k++)
        sum += *entry(v, k);
    return sum;
}

static enum fg_status sru_forward(struct fg_backend *backend, const struct fg_step *step,
                                  const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const struct array x = array_of(step->in[0], memory), gamma = array_of(step->param[0], memory),
                       beta = array_of(step->param[1], memory);
    const double gamma_sum = sum_of(gamma);
    const struct array upper = gradient_of(step->out[0], false, memory),
                       lower = gradient_of(step->out[1], false, memory);
    for (int32_t n = 0; n < x.n; n++)
        for (int32_t k = 0; k < x.c; k++) {
            double mean, inverse;
            measure_group(x, n, k / (x.c / FG_GROUP_NORM_GROUPS), &mean, &inverse);
            /* Upper: X1 of the first half and X2 of the second; lower: the other two. */
            const struct array informative = k < upper.c ? upper : lower, rest = k < upper.c ? lower : upper;
            for (int32_t y = 0; y < x.h; y++)
                for (int32_t i = 0; i < x.w; i++) {
                    const double value = *at(x, n, y, i, k);
                    const double norm = (value - mean) * inverse * *entry(gamma, k) + *entry(beta, k);
                    double first, second;
                    split(sigmoid(*entry(gamma, k) / gamma_sum * norm), step->soft_gate, &first, &second);
                    give(informative, n, y, i, in_half(k, upper.c), first * value);
                    give(rest, n, y, i, in_half(k, upper.c), second * value);
                }
        }
    return FG_OK;
}

/* What one value's gate passes back: to gamma and beta, to w_c and to the normalised value. */
struct gate_slopes {
    double gamma, beta, weight, normal;
};

static struct gate_slopes slopes_of(double value, double normal, double gamma, double beta, double weight,
                                    double g) {
    const double norm = normal * gamma + beta, r = sigmoid(weight * norm);
    const double d_r = r > 0.5 ? 0 : value * g; /* both shares are r below the switch */
    const double d_z = d_r * r * (1 - r), d_norm = d_z * weight;
    return (struct gate_slopes){d_norm * normal, d_norm, d_z * norm, d_norm * gamma};
}

/* The soft gate's gradient: gamma and beta directly, w_c into d_w, and x through group norm. */
static void soft_backward(const struct fg_step *step, const struct fg_memory *memory, struct array d_x,
                          struct array d_gamma, struct array d_beta, double *d_w) {
    const struct array x = array_of(step->in[0], memory), gamma = array_of(step->param[0], memory),
                       beta = array_of(step->param[1], memory), d_upper = array_of(step->d_out[0], memory),
                       d_lower = array_of(step->d_out[1], memory);
    const double gamma_sum = sum_of(gamma);
    const int32_t size = x.c / FG_GROUP_NORM_GROUPS;
    for (int32_t n = 0; n < x.n; n++)
        for (int32_t group = 0; group < FG_GROUP_NORM_GROUPS; group++) {
            double mean, inverse, sum = 0, product = 0;
            const double count = (double)x.h * x.w * size;
            measure_group(x, n, group, &mean, &inverse);
            for (int round = 0; round < 2; round++) /* sums over the group, then what needs them */
                for (int32_t y = 0; y < x.h; y++)
                    for (int32_t i = 0; i < x.w; i++)
                        for (int32_t k = group * size; k < (group + 1) * size; k++) {
                            const double value = *at(x, n, y, i, k), normal = (value - mean) * inverse;
                            const struct gate_slopes s =
                                slopes_of(value, normal, *entry(gamma, k), *entry(beta, k),
                                          *entry(gamma, k) / gamma_sum,
                                          *at(d_upper, n, y, i, in_half(k, d_upper.c)) +
                                              *at(d_lower, n, y, i, in_half(k, d_upper.c)));
                            if (round == 0) {
                                sum += s.normal;
                                product += s.normal * normal;
                                give(d_gamma, 0, 0, 0, k, s.gamma);
                                give(d_beta, 0, 0, 0, k, s.beta);
                                d_w[k] += s.weight;
                            } else {
                                give(d_x, n, y, i, k,
                                     inverse * (s.normal - sum / count - normal * product / count));
                            }
                        }
        }
}

static enum fg_status sru_backward(struct fg_backend *backend, const struct fg_step *step,
                                   const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const struct array x = array_of(step->in[0], memory), gamma = array_of(step->param[0], memory),
                       beta = array_of(step->param[1], memory), d_upper = array_of(step->d_out[0], memory),
                       d_lower = array_of(step->d_out[1], memory), d_x = d_in(step, 0, memory),
                       d_gamma = d_param(step, 0, memory), d_beta = d_param(step, 1, memory);
    const double gamma_sum = sum_of(gamma);
    for (int32_t n = 0; n < x.n; n++)
        for (int32_t k = 0; k < x.c; k++) {
            double mean, inverse;
            measure_group(x, n, k / (x.c / FG_GROUP_NORM_GROUPS), &mean, &inverse);
            const struct array informative = k < d_upper.c ? d_upper : d_lower,
                               rest = k < d_upper.c ? d_lower : d_upper;
            for (int32_t y = 0; y < x.h; y++)
                for (int32_t i = 0; i < x.w; i++) {
                    const double norm =
                        (*at(x, n, y, i, k) - mean) * inverse * *entry(gamma, k) + *entry(beta, k);
                    double first, second;
                    split(sigmoid(*entry(gamma, k) / gamma_sum * norm), step->soft_gate, &first, &second);
                    give(d_x, n, y, i, k,
                         first * *at(informative, n, y, i, in_half(k, d_upper.c)) +
                             second * *at(rest, n, y, i, in_half(k, d_upper.c)));
                }
        }
    if (!step->soft_gate)
        return FG_OK;
    double d_w[4096] = {0}; /* gradient of w_c = gamma_c / sum of gamma; no network has more channels */
    soft_backward(step, memory, d_x, d_gamma, d_beta, d_w);
    for (int32_t k = 0; k < x.c; k++)
        for (int32_t c = 0; c < x.c; c++) /* d w_c / d gamma_k */
            give(d_gamma, 0, 0, 0, k,
                 d_w[c] * ((c == k ? 1 / gamma_sum : 0) - *entry(gamma, c) / (gamma_sum * gamma_sum)));
    return FG_OK;
}

const struct fg_kernel fg_reference_sru = {
    .supports = fg_reference_supports, .forward = sru_forward, .backward = sru_backward};

/* Channel k of Y2 = concat(P, L): which of the two holds it, and as which channel. */
static struct array find_input(struct array p, struct array l, int32_t k, int32_t *channel) {
    *channel = k < p.c ? k : k - p.c;
    return k < p.c ? p : l;
}

static double mean_of(struct array a, int32_t n, int32_t k) {
    double mean = 0;
    for (int32_t y = 0; y < a.h; y++)
        for (int32_t i = 0; i < a.w; i++)
            mean += *at(a, n, y, i, k) / ((double)a.h * a.w);
    return mean;
}

static double first_share(struct array y1, struct array y2, int32_t n, int32_t k, int32_t k2) {
    const double s1 = exp(mean_of(y1, n, k)), s2 = exp(mean_of(y2, n, k2));
    return s1 / (s1 + s2);
}

static enum fg_status cru_forward(struct fg_backend *backend, const struct fg_step *step,
                                  const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const struct array y1 = array_of(step->in[0], memory), p = array_of(step->in[1], memory),
                       l = array_of(step->in[2], memory), out = array_of(step->out[0], memory);
    for (int32_t n = 0; n < out.n; n++)
        for (int32_t k = 0; k < out.c; k++) {
            int32_t k2;
            const struct array y2 = find_input(p, l, k, &k2);
            const double share = first_share(y1, y2, n, k, k2);
            for (int32_t y = 0; y < out.h; y++)
                for (int32_t i = 0; i < out.w; i++)
                    *at(out, n, y, i, k) = share * *at(y1, n, y, i, k) + (1 - share) * *at(y2, n, y, i, k2);
        }
    return FG_OK;
}

static enum fg_status cru_backward(struct fg_backend *backend, const struct fg_step *step,
                                   const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const struct array y1 = array_of(step->in[0], memory), p = array_of(step->in[1], memory),
                       l = array_of(step->in[2], memory), d_out = array_of(step->d_out[0], memory),
                       d_y1 = d_in(step, 0, memory), d_p = d_in(step, 1, memory), d_l = d_in(step, 2, memory);
    for (int32_t n = 0; n < y1.n; n++)
        for (int32_t k = 0; k < y1.c; k++) {
            int32_t k2;
            const struct array y2 = find_input(p, l, k, &k2), d_y2 = k < p.c ? d_p : d_l;
            const double share = first_share(y1, y2, n, k, k2);
            double d_share = 0;
            for (int32_t y = 0; y < y1.h; y++)
                for (int32_t i = 0; i < y1.w; i++)
                    d_share += *at(d_out, n, y, i, k) * (*at(y1, n, y, i, k) - *at(y2, n, y, i, k2));
            const double d_mean = d_share * share * (1 - share), positions = (double)y1.h * y1.w;
            for (int32_t y = 0; y < y1.h; y++)
                for (int32_t i = 0; i < y1.w; i++) {
                    const double g = *at(d_out, n, y, i, k);
                    give(d_y1, n, y, i, k, share * g + d_mean / positions);
                    give(d_y2, n, y, i, k2, (1 - share) * g - d_mean / positions);
                }
        }
    return FG_OK;
}

const struct fg_kernel fg_reference_cru = {
    .supports = fg_reference_supports, .forward = cru_forward, .backward = cru_backward};

/* 4 (v + lambda) of one channel of one image. */
static double simam_scale(struct array x, int32_t n, int32_t k, double mean) {
    double sum = 0;
    for (int32_t y = 0; y < x.h; y++)
        for (int32_t i = 0; i < x.w; i++)
            sum += pow(*at(x, n, y, i, k) - mean, 2);
    return 4 * (sum / ((double)x.h * x.w - 1) + FG_SIMAM_LAMBDA);
}

static enum fg_status simam_forward(struct fg_backend *backend, const struct fg_step *step,
                                    const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const struct array x = array_of(step->in[0], memory), out = array_of(step->out[0], memory);
    for (int32_t n = 0; n < x.n; n++)
        for (int32_t k = 0; k < x.c; k++) {
            const double mean = mean_of(x, n, k), scale = simam_scale(x, n, k, mean);
            for (int32_t y = 0; y < x.h; y++)
                for (int32_t i = 0; i < x.w; i++) {
                    const double value = *at(x, n, y, i, k);
                    *at(out, n, y, i, k) = value * sigmoid(pow(value - mean, 2) / scale + 0.5);
                }
        }
    return FG_OK;
}

static enum fg_status simam_backward(struct fg_backend *backend, const struct fg_step *step,
                                     const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const struct array x = array_of(step->in[0], memory), d_out = array_of(step->d_out[0], memory),
                       d_x = d_in(step, 0, memory);
    const double count = (double)x.h * x.w;
    for (int32_t n = 0; n < x.n; n++)
        for (int32_t k = 0; k < x.c; k++) {
            const double mean = mean_of(x, n, k), scale = simam_scale(x, n, k, mean);
            double d_scale = 0, d_mean = 0;
            for (int round = 0; round < 3; round++) /* the variance's gradient, the mean's, the value's */
                for (int32_t y = 0; y < x.h; y++)
                    for (int32_t i = 0; i < x.w; i++) {
                        const double value = *at(x, n, y, i, k), g = *at(d_out, n, y, i, k);
                        const double far = value - mean, share = sigmoid(far * far / scale + 0.5);
                        const double d_exponent = g * value * share * (1 - share);
                        const double d_far = 2 * far * (d_exponent / scale + d_scale * 4 / (count - 1));
                        if (round == 0)
                            d_scale -= d_exponent * far * far / (scale * scale);
                        else if (round == 1)
                            d_mean -= d_far;
                        else
                            give(d_x, n, y, i, k, g * share + d_far + d_mean / count);
                    }
        }
    return FG_OK;
}

const struct fg_kernel fg_reference_simam = {
    .supports = fg_reference_supports, .forward = simam_forward, .backward = simam_backward};

static enum fg_status moments_forward(struct fg_backend *backend, const struct fg_step *step,
                                      const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const struct array x = array_of(step->in[0], memory), out = array_of(step->out[0], memory);
    for (int32_t n = 0; n < x.n; n++)
        for (int32_t k = 0; k < x.c; k++) {
            double squares = 0;
            const double mean = mean_of(x, n, k);
            for (int32_t y = 0; y < x.h; y++)
                for (int32_t i = 0; i < x.w; i++)
                    squares += pow(*at(x, n, y, i, k) - mean, 2);
            *at(out, n, 0, 0, k) = mean;
            *at(out, n, 0, 0, x.c + k) = sqrt(squares / ((double)x.h * x.w));
        }
    return FG_OK;
}

const struct fg_kernel fg_reference_moments = {.supports = fg_reference_supports, .forward = moments_forward};
