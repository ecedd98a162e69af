/* Tails against tables and against counting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "trainer/bundle/tail.h"

static void expect_near(double value, double expected, double share) {
    if (!(fabs(value - expected) <= share * expected))
        fail_msg("%.6f, not %.6f", value, expected);
}

/* Student's t in printed tables, times the widening of a mean of k values. */
static void test_normal(void **state) {
    (void)state;
    expect_near(fg_tail_normal(&(struct fg_tail_sample){.count = {4}}, 0.001), 10.2145 * sqrt(1.25), 1e-5);
    expect_near(fg_tail_normal(&(struct fg_tail_sample){.count = {11}}, 0.01), 2.76377 * sqrt(12.0 / 11),
                1e-5);
    expect_near(fg_tail_normal(&(struct fg_tail_sample){.count = {25, 6}, .located = 1}, 0.05),
                1.69913 * sqrt(7.0 / 6), 1e-5);
    /* Many values: the normal distribution. */
    expect_near(fg_tail_normal(&(struct fg_tail_sample){.count = {1000000}}, 0.001), 3.09023, 1e-4);
    expect_near(fg_tail_normal(&(struct fg_tail_sample){.count = {1000000}}, 1e-9), 5.99781, 1e-4);
}

/* A generator of the test's own (xorshift64*). */
static double draw_uniform(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return ((double)((*state * 0x2545F4914F6CDD1DULL) >> 11) + 0.5) / 9007199254740992.0;
}

static double draw_gumbel(uint64_t *state) {
    return -log(-log(draw_uniform(state)));
}

/* Of new values as many exceed m + K s as was asked for, whatever the sample. */
static void test_gumbel(void **state) {
    (void)state;
    static const struct fg_tail_sample SAMPLE[] = {
        {.count = {4}}, {.count = {27, 4}, .located = 1}, {.count = {0, 180, 20}, .located = 2}};
    uint64_t seed = 88172645463325252u;
    for (size_t n = 0; n < sizeof SAMPLE / sizeof *SAMPLE; n++) {
        const double rate = 0.02, k = fg_tail_gumbel(&SAMPLE[n], rate);
        uint32_t exceeding = 0, trials = 40000;
        for (uint32_t t = 0; t < trials; t++) {
            double squares = 0, located = 0;
            uint32_t values = 0, groups = 0;
            for (int g = 0; g < FG_TAIL_GROUPS; g++) {
                double x[200], mean = 0;
                const uint32_t count = SAMPLE[n].count[g];
                for (uint32_t i = 0; i < count; i++)
                    mean += (x[i] = draw_gumbel(&seed)) / count;
                for (uint32_t i = 0; i < count; i++)
                    squares += (x[i] - mean) * (x[i] - mean);
                if ((uint32_t)g == SAMPLE[n].located)
                    located = mean;
                values += count;
                groups += count > 0;
            }
            exceeding += draw_gumbel(&seed) > located + k * sqrt(squares / (values - groups));
        }
        expect_near((double)exceeding / trials, rate, 0.15); /* 800 of 40,000: four deviations are 14 % */
    }
    /* Many values: the distribution's own quantile. */
    const double own = -(sqrt(6) / 3.14159265358979) * (0.57721566490153 + log(-log1p(-0.001)));
    expect_near(fg_tail_gumbel(&(struct fg_tail_sample){.count = {100000}}, 0.001), own, 0.02);
}

/* Bounds in printed tables; 0 of n is 1 - 0.05^(1/n). */
static void test_bound(void **state) {
    (void)state;
    expect_near(fg_tail_bound(0, 20), 1 - pow(0.05, 1.0 / 20), 1e-9);
    expect_near(fg_tail_bound(1, 10), 0.394163, 1e-5);
    expect_near(fg_tail_bound(2, 100), 0.061621, 1e-3);
    assert_true(fg_tail_bound(0, 0) == 1 && fg_tail_bound(3, 3) == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal),
        cmocka_unit_test(test_gumbel),
        cmocka_unit_test(test_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
