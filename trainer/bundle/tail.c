/* Tails of distributions with estimated mean and spread: Student's t, a simulated Gumbel, and a binomial's
 * bound. */
#include "trainer/bundle/tail.h"

#include <assert.h>
#include <math.h>

#include "kernels/philox.h"

#define HALVINGS 100       /* of an interval: more than a double can tell apart */
#define SAMPLES 4000       /* simulated Gumbel samples; each counts with its whole tail, not with one value */
#define MOST_SIMULATED 400 /* values of a group: more of them estimate hardly better, and cost time */

static uint32_t count_values(const struct fg_tail_sample *sample, uint32_t *groups) {
    uint32_t values = 0;
    *groups = 0;
    for (int g = 0; g < FG_TAIL_GROUPS; g++) {
        values += sample->count[g];
        *groups += sample->count[g] > 0;
    }
    assert(values > *groups && sample->count[sample->located]);
    return values;
}

/* Finds where a falling function of x crosses level. */
static double solve_falling(double low, double high, double level, double (*f)(double, const void *),
                            const void *argument) {
    for (int i = 0; i < HALVINGS; i++) {
        const double x = (low + high) / 2;
        if (f(x, argument) > level)
            low = x;
        else
            high = x;
    }
    return (low + high) / 2;
}

/* The regularised incomplete beta function I_x(a, b): its continued fraction, by Lentz's method (Abramowitz
 * and Stegun 26.5.8). */
static double find_beta(double a, double b, double x) {
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;
    if (x > (a + 1) / (a + b + 2)) /* there the fraction of the other side converges faster */
        return 1 - find_beta(b, a, 1 - x);
    const double tiny = 1e-300;
    const double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a;
    double c = 1, d = 0, fraction = 1;
    for (int i = 0; i < 10000; i++) {
        const int m = i / 2;
        const double term = i == 0       ? 1
                            : i % 2 == 0 ? m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
                                         : -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 + term * d;
        d = 1 / (fabs(d) < tiny ? tiny : d);
        c = 1 + term / c;
        c = fabs(c) < tiny ? tiny : c;
        fraction *= c * d;
        if (i && fabs(c * d - 1) < 1e-15)
            break;
    }
    return front * (fraction - 1);
}

/* P(T > t), t >= 0. */
static double find_student(double t, const void *degrees) {
    const double n = *(const double *)degrees;
    return 0.5 * find_beta(n / 2, 0.5, n / (n + t * t));
}

double fg_tail_normal(const struct fg_tail_sample *sample, double rate) {
    uint32_t groups;
    const double degrees = count_values(sample, &groups) - groups;
    double high = 1;
    while (find_student(high, &degrees) > rate)
        high *= 2;
    return solve_falling(0, high, rate, find_student, &degrees) *
           sqrt(1 + 1.0 / sample->count[sample->located]);
}

/* Means and spreads of simulated samples of a Gumbel distribution at 0 with scale 1. */
struct simulation {
    double mean[SAMPLES], spread[SAMPLES];
};

/* Draws value i of a group of simulated sample r. */
static double draw_gumbel(uint32_t r, int group, uint32_t i) {
    const struct fg_philox word = fg_philox(0, i, (uint32_t)group, r, 0);
    const double uniform = (word.word[0] + 0.5) / 4294967296.0;
    return -log(-log(uniform));
}

static void simulate(const struct fg_tail_sample *sample, struct simulation *s) {
    for (uint32_t r = 0; r < SAMPLES; r++) {
        double squares = 0;
        uint32_t values = 0, groups = 0;
        for (int g = 0; g < FG_TAIL_GROUPS; g++) {
            const uint32_t count = sample->count[g] < MOST_SIMULATED ? sample->count[g] : MOST_SIMULATED;
            double mean = 0;
            for (uint32_t i = 0; i < count; i++) { /* Welford's update */
                const double x = draw_gumbel(r, g, i), away = x - mean;
                mean += away / (i + 1);
                squares += away * (x - mean);
            }
            if ((uint32_t)g == sample->located)
                s->mean[r] = mean;
            values += count;
            groups += count > 0;
        }
        s->spread[r] = sqrt(squares / (values - groups));
    }
}

/* P(x > m + K s), the mean over the samples. */
static double find_gumbel(double k, const void *simulation) {
    const struct simulation *s = simulation;
    double sum = 0;
    for (uint32_t r = 0; r < SAMPLES; r++)
        sum -= expm1(-exp(-(s->mean[r] + k * s->spread[r])));
    return sum / SAMPLES;
}

double fg_tail_gumbel(const struct fg_tail_sample *sample, double rate) {
    static _Thread_local struct simulation s;
    uint32_t groups;
    count_values(sample, &groups);
    simulate(sample, &s);
    double high = 1;
    while (find_gumbel(high, &s) > rate)
        high *= 2;
    return solve_falling(-1, high, rate, find_gumbel, &s);
}

struct binomial {
    double seen, count;
};

/* P(at most seen of count exceed) where each does at a rate. */
static double find_binomial(double rate, const void *binomial) {
    const struct binomial *b = binomial;
    return find_beta(b->count - b->seen, b->seen + 1, 1 - rate);
}

double fg_tail_bound(uint32_t seen, uint32_t count) {
    if (seen >= count)
        return 1;
    return solve_falling(0, 1, 0.05, find_binomial, &(struct binomial){seen, count});
}
