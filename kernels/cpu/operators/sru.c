/* SRU (runtime/network/network.h, section 3; the paper's equations 2 to 5): group norm, gate, and the two
 * halves crossed over. One task a group of one image and the group of the other half that it is crossed with.
 */
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/operators/sigmoid.h"

#define GROUPS FG_GROUP_NORM_GROUPS
#define PAIRS (GROUPS / 2)
#define LANES 16 /* partial sums */
#define BLOCK 64 /* channels of a position whose gates are kept */

struct sru {
    size_t positions, c, half;
    size_t size; /* channels of a group */
    bool soft, add;
    const float *x;                 /* {n, positions, c} */
    const float *gamma, *beta;      /* [c] */
    const float *d_upper, *d_lower; /* {n, positions, half} */
    float *upper, *lower;           /* {n, positions, half} */
    float *d_x;                     /* {n, positions, c} */
    double gamma_sum;
    float *weight; /* [c]: w_c */
    double *sums;  /* [n][IMAGE_SUMS * c] in backward */
};

/* What one group of one image has. */
struct norm {
    double mean, inverse;
};

/* Sum of (x - shift)^power, power 1 or 2. Lanes of partial sums let gcc vectorise without reordering what we
 * wrote. */
FG_CPU_CLONES static double sum_group(const float *x, size_t rows, size_t stride, size_t size, double shift,
                                      bool square) {
    double lane[LANES] = {0}, sum = 0;
    for (size_t r = 0; r < rows; r++, x += stride)
        for (size_t k = 0; k < size; k += LANES) {
            const size_t end = size - k < LANES ? size - k : LANES;
            for (size_t i = 0; i < end; i++) {
                const double d = (double)x[k + i] - shift;
                lane[i] += square ? d * d : d;
            }
        }
    for (size_t i = 0; i < LANES; i++)
        sum += lane[i];
    return sum;
}

/* x begins at the group's first channel. */
static struct norm measure_norm(const struct sru *s, const float *x) {
    const double count = (double)(s->positions * s->size);
    const double mean = sum_group(x, s->positions, s->c, s->size, 0, false) / count;
    const double var = sum_group(x, s->positions, s->c, s->size, mean, true) / count;
    return (struct norm){mean, 1 / sqrt(var + FG_EPSILON)};
}

/* What the gate of one channel is computed from. */
struct gate {
    float mean, inverse, gamma, beta, weight;
};

static inline struct gate make_gate(const struct sru *s, struct norm norm, size_t k) {
    return (struct gate){(float)norm.mean, (float)norm.inverse, s->gamma[k], s->beta[k], s->weight[k]};
}

/* r = sigmoid(w_c * GN(x)) in float32, the type in which every backend compares it with 0.5. */
static inline float find_gate_value(struct gate g, float x) {
    return fg_cpu_sigmoid(g.weight * ((x - g.mean) * g.inverse * g.gamma + g.beta));
}

/* The shares of x that go to X1 and to X2, of some channels of one position. */
struct shares {
    float first[BLOCK], second[BLOCK];
};

/* A gate that is NaN makes no choice: both shares are NaN, by an r - r that is 0 otherwise. */
static inline void find_shares(const struct sru *s, struct norm norm, const float *x, size_t begin,
                               size_t width, struct shares *shares) {
    /* A closed gate leaves r to both when it is soft. */
    const float slope = s->soft ? 1 : 0, rest = s->soft ? 0 : 1;
    for (size_t k = 0; k < width; k++) {
        const float r = find_gate_value(make_gate(s, norm, begin + k), x[begin + k]);
        const float open = r > 0.5f ? 1 : 0, closed = 1 - open;
        shares->first[k] = open + closed * slope * r + (r - r);
        shares->second[k] = closed * (slope * r + rest) + (r - r);
    }
}

/* Channels k and half + k of every position: upper = X1[k] + X2[half + k], lower the other two. */
FG_CPU_CLONES static void cross_halves(const struct sru *s, size_t image, struct fg_cpu_range group,
                                       struct norm a_norm, struct norm b_norm) {
    const size_t half = s->half;
    for (size_t p = image * s->positions; p < (image + 1) * s->positions; p++) {
        const float *x = s->x + p * s->c;
        for (size_t begin = group.begin; begin < group.end; begin += BLOCK) {
            const size_t width = group.end - begin < BLOCK ? group.end - begin : BLOCK;
            struct shares a, b;
            find_shares(s, a_norm, x, begin, width, &a);
            find_shares(s, b_norm, x, half + begin, width, &b);
            const float *x_a = x + begin, *x_b = x_a + half;
            float *upper = s->upper + p * half + begin, *lower = s->lower + p * half + begin;
            for (size_t k = 0; k < width; k++)
                upper[k] = a.first[k] * x_a[k] + b.second[k] * x_b[k];
            for (size_t k = 0; k < width; k++)
                lower[k] = b.first[k] * x_b[k] + a.second[k] * x_a[k];
        }
    }
}

static void run_forward_pair(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct sru *s = argument;
    const size_t image = task / PAIRS;
    const struct fg_cpu_range group = fg_cpu_share(s->half, PAIRS, task % PAIRS);
    const float *x = s->x + image * s->positions * s->c + group.begin;
    cross_halves(s, image, group, measure_norm(s, x), measure_norm(s, x + s->half));
}

/* The gradient of one half's values: d = first * its own output's + second * the other's. */
static inline void give_gradient(const struct shares *shares, const float *own, const float *other,
                                 size_t width, bool add, float *d) {
    float value[BLOCK];
    for (size_t k = 0; k < width; k++)
        value[k] = shares->first[k] * own[k] + shares->second[k] * other[k];
    fg_cpu_give(value, width, add, d);
}

/* The gradient by x with the gates held. */
FG_CPU_CLONES static void cross_halves_back(const struct sru *s, size_t image, struct fg_cpu_range group,
                                            struct norm a_norm, struct norm b_norm) {
    const size_t half = s->half;
    for (size_t p = image * s->positions; p < (image + 1) * s->positions; p++) {
        const float *x = s->x + p * s->c;
        for (size_t begin = group.begin; begin < group.end; begin += BLOCK) {
            const size_t width = group.end - begin < BLOCK ? group.end - begin : BLOCK;
            struct shares a, b;
            find_shares(s, a_norm, x, begin, width, &a);
            find_shares(s, b_norm, x, half + begin, width, &b);
            const float *d_upper = s->d_upper + p * half + begin, *d_lower = s->d_lower + p * half + begin;
            float *d_x = s->d_x + p * s->c + begin;
            give_gradient(&a, d_upper, d_lower, width, s->add, d_x);
            give_gradient(&b, d_lower, d_upper, width, s->add, d_x + half);
        }
    }
}

/* Per channel and image, for the soft gate: sums of dy xhat and dy, and of dz y (the gradient of w_c). */
enum { SUM_GAMMA, SUM_BETA, SUM_WEIGHT, IMAGE_SUMS };

/* The soft gate's own gradient for one group: through r, w_c, the affine and the normalisation. */
static void give_soft_gradient(const struct sru *s, size_t image, size_t begin, struct norm norm) {
    double group_sum = 0, group_product = 0, *sums = s->sums + image * IMAGE_SUMS * s->c;
    const double count = (double)(s->positions * s->size);
    /* The first round sums, the second, which needs the group's sums, adds to d_x. */
    for (int round = 0; round < 2; round++)
        for (size_t p = image * s->positions; p < (image + 1) * s->positions; p++)
            for (size_t k = begin; k < begin + s->size; k++) {
                const size_t i = p * s->c + k, j = p * s->half + k % s->half;
                const double r = (double)find_gate_value(make_gate(s, norm, k), s->x[i]);
                const double normal = ((double)s->x[i] - norm.mean) * norm.inverse;
                const double y = normal * (double)s->gamma[k] + (double)s->beta[k];
                const double d_r =
                    r > 0.5 ? 0 : (double)s->x[i] * ((double)s->d_upper[j] + (double)s->d_lower[j]);
                const double d_z = d_r * r * (1 - r), d_y = d_z * (double)s->weight[k],
                             d_normal = d_y * (double)s->gamma[k];
                if (round == 0) {
                    sums[SUM_GAMMA * s->c + k] += d_y * normal;
                    sums[SUM_BETA * s->c + k] += d_y;
                    sums[SUM_WEIGHT * s->c + k] += d_z * y;
                    group_sum += d_normal;
                    group_product += d_normal * normal;
                } else if (s->d_x) {
                    s->d_x[i] +=
                        (float)(norm.inverse * (d_normal - (group_sum + normal * group_product) / count));
                }
            }
}

static void run_backward_pair(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct sru *s = argument;
    const size_t image = task / PAIRS;
    const struct fg_cpu_range group = fg_cpu_share(s->half, PAIRS, task % PAIRS);
    const float *x = s->x + image * s->positions * s->c + group.begin;
    const struct norm a = measure_norm(s, x), b = measure_norm(s, x + s->half);
    if (s->d_x)
        cross_halves_back(s, image, group, a, b);
    if (s->soft) {
        give_soft_gradient(s, image, group.begin, a);
        give_soft_gradient(s, image, s->half + group.begin, b);
    }
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

/* Sums of each image in backward, and w_c. */
static size_t workspace(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const size_t c = (size_t)step->in[0]->c, images = (size_t)step->in[0]->n;
    return (step->pass == FG_BACKWARD ? images * IMAGE_SUMS * c * sizeof(double) : 0) + c * sizeof(float);
}

static struct sru describe_step(const struct fg_step *step, const struct fg_memory *memory) {
    const struct fg_tensor *x = step->in[0];
    struct sru s = {.positions = (size_t)x->h * (size_t)x->w,
                    .c = (size_t)x->c,
                    .half = (size_t)x->c / 2,
                    .size = (size_t)x->c / GROUPS,
                    .soft = step->soft_gate,
                    .add = step->accumulate & 1,
                    .x = fg_cpu_values(x, memory),
                    .gamma = fg_tensor_data(step->param[0], memory),
                    .beta = fg_tensor_data(step->param[1], memory)};
    const size_t sums = step->pass == FG_BACKWARD ? (size_t)x->n * IMAGE_SUMS * s.c : 0;
    s.sums = (double *)(void *)fg_cpu_workspace(step, memory);
    memset(s.sums, 0, sums * sizeof *s.sums);
    s.weight = (float *)(s.sums + sums);
    for (size_t k = 0; k < s.c; k++)
        s.gamma_sum += (double)s.gamma[k];
    for (size_t k = 0; k < s.c; k++)
        s.weight[k] = (float)((double)s.gamma[k] / s.gamma_sum);
    return s;
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct sru s = describe_step(step, memory);
    s.upper = fg_cpu_values(step->out[0], memory);
    s.lower = fg_cpu_values(step->out[1], memory);
    fg_cpu_parallel(backend, step, (uint32_t)step->in[0]->n * PAIRS, run_forward_pair, &s);
    return FG_OK;
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct sru s = describe_step(step, memory);
    s.d_upper = fg_cpu_values(step->d_out[0], memory);
    s.d_lower = fg_cpu_values(step->d_out[1], memory);
    s.d_x = fg_cpu_values(step->d_in[0], memory);
    const size_t images = (size_t)step->in[0]->n;
    fg_cpu_parallel(backend, step, (uint32_t)images * PAIRS, run_backward_pair, &s);

    /* w_c = gamma_c / sum of gamma: every gamma changes every w. */
    double along = 0;
    for (size_t n = 0; n < images; n++)
        for (size_t k = 0; k < s.c; k++)
            along += s.sums[(n * IMAGE_SUMS + SUM_WEIGHT) * s.c + k] * s.gamma[k];
    float *d_gamma = fg_cpu_values(step->d_param[0], memory),
          *d_beta = fg_cpu_values(step->d_param[1], memory);
    for (size_t k = 0; k < s.c; k++) {
        double sum[IMAGE_SUMS] = {0};
        for (size_t n = 0; n < images; n++)
            for (size_t i = 0; i < IMAGE_SUMS; i++)
                sum[i] += s.sums[(n * IMAGE_SUMS + i) * s.c + k];
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
