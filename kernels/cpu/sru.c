/* SRU (network.md section 3; the paper's equations 2 to 5): group norm, gate, and the two halves crossed
 * over. One task an image: the maps are small, and sums in double cost nothing here. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu.h"

#define GROUPS FG_GROUP_NORM_GROUPS

struct sru {
    size_t positions, c;
    bool soft, add;
    const float *x, *gamma, *beta, *d_upper, *d_lower;
    float *upper, *lower, *d_x;
    double *work; /* [n][IMAGE_SUMS * c] in backward */
    double gamma_sum;
};

struct statistics {
    double mean[GROUPS], inverse[GROUPS];
};

static struct statistics statistics_of(const struct sru *s, const float *x) {
    struct statistics st;
    const size_t size = s->c / GROUPS;
    for (size_t g = 0; g < GROUPS; g++) {
        const double count = (double)(s->positions * size);
        double sum = 0, squares = 0;
        for (size_t p = 0; p < s->positions; p++)
            for (size_t k = g * size; k < (g + 1) * size; k++)
                sum += (double)x[p * s->c + k];
        st.mean[g] = sum / count;
        for (size_t p = 0; p < s->positions; p++)
            for (size_t k = g * size; k < (g + 1) * size; k++) {
                const double d = (double)x[p * s->c + k] - st.mean[g];
                squares += d * d;
            }
        st.inverse[g] = 1 / sqrt(squares / count + FG_EPSILON);
    }
    return st;
}

/* r = sigmoid(w_c * GN(x)) in float32, the type in which every backend compares it with 0.5. */
static float gate(const struct sru *s, const struct statistics *st, float x, size_t k) {
    const size_t g = k / (s->c / GROUPS);
    const float weight = (float)(s->gamma[k] / s->gamma_sum);
    const float normal = (float)((x - st->mean[g]) * st->inverse[g]) * s->gamma[k] + s->beta[k];
    return 1 / (1 + expf(-(weight * normal)));
}

/* The shares of x that go to X1 and X2; a gate that is NaN makes no choice, both are NaN. */
static void split(const struct sru *s, float r, float *first, float *second) {
    if (isnan(r)) {
        *first = *second = r;
        return;
    }
    const bool informative = r > 0.5f;
    *first = informative ? 1 : s->soft ? r : 0;
    *second = informative ? 0 : s->soft ? r : 1;
}

static void forward_image(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct sru *s = argument;
    const size_t half = s->c / 2;
    const float *x = s->x + task * s->positions * s->c;
    float *upper = s->upper + task * s->positions * half, *lower = s->lower + task * s->positions * half;
    const struct statistics st = statistics_of(s, x);
    for (size_t p = 0; p < s->positions; p++, x += s->c, upper += half, lower += half)
        for (size_t k = 0; k < half; k++) {
            float a1, a2, b1, b2;
            split(s, gate(s, &st, x[k], k), &a1, &a2);
            split(s, gate(s, &st, x[half + k], half + k), &b1, &b2);
            upper[k] = a1 * x[k] + b2 * x[half + k];
            lower[k] = b1 * x[half + k] + a2 * x[k];
        }
}

/* Per channel and image, for the soft gate: sums of dy xhat and dy, and of dz y (the gradient of w_c). */
enum { SUM_GAMMA, SUM_BETA, SUM_WEIGHT, IMAGE_SUMS };

/* The gate's own gradient: through r, w_c, the affine and the normalisation. */
static void soft_backward(const struct sru *s, const struct statistics *st, const float *x,
                          const float *d_upper, const float *d_lower, float *d_x, double *sums) {
    const size_t half = s->c / 2, size = s->c / GROUPS;
    double group_sum[GROUPS] = {0}, group_product[GROUPS] = {0};
    /* The first round sums, the second, which needs the groups' sums, adds to d_x. */
    for (int round = 0; round < 2; round++)
        for (size_t p = 0; p < s->positions; p++)
            for (size_t k = 0; k < s->c; k++) {
                const size_t i = p * s->c + k, g = k / size, j = p * half + k % half;
                const double r = (double)gate(s, st, x[i], k);
                const double normal = (x[i] - st->mean[g]) * st->inverse[g];
                const double weight = s->gamma[k] / s->gamma_sum, y = normal * s->gamma[k] + s->beta[k];
                const double d_r = r > 0.5 ? 0 : (double)x[i] * ((double)d_upper[j] + (double)d_lower[j]);
                const double d_z = d_r * r * (1 - r), d_y = d_z * weight, d_normal = d_y * s->gamma[k];
                if (round == 0) {
                    sums[SUM_GAMMA * s->c + k] += d_y * normal;
                    sums[SUM_BETA * s->c + k] += d_y;
                    sums[SUM_WEIGHT * s->c + k] += d_z * y;
                    group_sum[g] += d_normal;
                    group_product[g] += d_normal * normal;
                } else if (d_x) {
                    const double count = (double)(s->positions * size);
                    d_x[i] += (float)(st->inverse[g] *
                                      (d_normal - group_sum[g] / count - normal * group_product[g] / count));
                }
            }
}

static void backward_image(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct sru *s = argument;
    const size_t half = s->c / 2, size = s->positions * s->c;
    const float *x = s->x + task * size, *d_upper = s->d_upper + task * size / 2,
                *d_lower = s->d_lower + task * size / 2;
    float *d_x = s->d_x ? s->d_x + task * size : NULL;
    const struct statistics st = statistics_of(s, x);
    for (size_t p = 0; p < s->positions && d_x; p++)
        for (size_t k = 0; k < s->c; k++) {
            const size_t i = p * s->c + k, j = p * half + k % half;
            float first, second;
            split(s, gate(s, &st, x[i], k), &first, &second);
            const float d = k < half ? first * d_upper[j] + second * d_lower[j]
                                     : first * d_lower[j] + second * d_upper[j];
            d_x[i] = s->add ? d_x[i] + d : d;
        }
    double *sums = s->work + (size_t)task * IMAGE_SUMS * s->c;
    memset(sums, 0, IMAGE_SUMS * s->c * sizeof *sums);
    if (s->soft)
        soft_backward(s, &st, x, d_upper, d_lower, d_x, sums);
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0];
    bool right = x && x->dtype == FG_F32 && x->c % GROUPS == 0;
    for (int i = 0; i < 2; i++)
        right = right && step->out[i] && step->out[i]->c * 2 == x->c &&
                fg_tensor_count(step->out[i]) * 2 == fg_tensor_count(x) && step->param[i] &&
                fg_tensor_count(step->param[i]) == (size_t)x->c;
    return right;
}

static size_t workspace(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const size_t sums = (size_t)step->in[0]->n * IMAGE_SUMS * (size_t)step->in[0]->c;
    return step->pass == FG_BACKWARD ? sums * sizeof(double) : 0;
}

static struct sru describe(const struct fg_step *step, const struct fg_memory *memory) {
    const struct fg_tensor *x = step->in[0];
    struct sru s = {.positions = (size_t)x->h * (size_t)x->w,
                    .c = (size_t)x->c,
                    .soft = step->soft_gate,
                    .add = step->accumulate & 1,
                    .x = fg_cpu_values(x, memory),
                    .gamma = fg_tensor_data(step->param[0], memory),
                    .beta = fg_tensor_data(step->param[1], memory)};
    for (size_t k = 0; k < s.c; k++)
        s.gamma_sum += (double)s.gamma[k];
    return s;
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct sru s = describe(step, memory);
    s.upper = fg_cpu_values(step->out[0], memory);
    s.lower = fg_cpu_values(step->out[1], memory);
    fg_cpu_parallel(backend, step, (uint32_t)step->in[0]->n, forward_image, &s);
    return FG_OK;
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct sru s = describe(step, memory);
    s.d_upper = fg_cpu_values(step->d_out[0], memory);
    s.d_lower = fg_cpu_values(step->d_out[1], memory);
    s.d_x = fg_cpu_values(step->d_in[0], memory);
    s.work = (double *)(void *)fg_cpu_workspace(step, memory);
    const size_t images = (size_t)step->in[0]->n;
    fg_cpu_parallel(backend, step, (uint32_t)images, backward_image, &s);

    /* w_c = gamma_c / sum of gamma: every gamma has a part in every w. */
    double along = 0;
    for (size_t n = 0; n < images; n++)
        for (size_t k = 0; k < s.c; k++)
            along += s.work[(n * IMAGE_SUMS + SUM_WEIGHT) * s.c + k] * s.gamma[k];
    float *d_gamma = fg_cpu_values(step->d_param[0], memory),
          *d_beta = fg_cpu_values(step->d_param[1], memory);
    for (size_t k = 0; k < s.c; k++) {
        double sum[IMAGE_SUMS] = {0};
        for (size_t n = 0; n < images; n++)
            for (size_t i = 0; i < IMAGE_SUMS; i++)
                sum[i] += s.work[(n * IMAGE_SUMS + i) * s.c + k];
        if (d_gamma)
            d_gamma[k] =
                (float)(sum[SUM_GAMMA] + sum[SUM_WEIGHT] / s.gamma_sum - along / (s.gamma_sum * s.gamma_sum));
        if (d_beta)
            d_beta[k] = (float)sum[SUM_BETA];
    }
    return FG_OK;
}

const struct fg_kernel fg_cpu_sru = {
    .supports = supports, .workspace = workspace, .forward = forward, .backward = backward};
