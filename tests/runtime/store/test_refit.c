/* A threshold from a line's scores: it is the one of its distribution, and defects move it little. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/store/refit.h"

#define SCORES 1000
#define MIDDLE (-3.0) /* of the logarithms */
#define SPREAD 0.15

static struct fg_message message;

static int compare(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* The score of which so many good parts have a smaller one: their distribution exactly, without chance. */
static double find_score(double share, bool local) {
    double low = -9, high = 9;
    for (int i = 0; i < 80; i++)
        *(erfc(-(low + high) / 2 * M_SQRT1_2) / 2 < share ? &low : &high) = (low + high) / 2;
    return local ? 2 - log(-log(share)) * 0.5 : exp(MIDDLE + SPREAD * low);
}

/* Scores of good parts, of which the last ones are defects', three times as high as any good one. */
static struct fg_calibration refit(uint32_t count, uint32_t defects, bool local, float rate) {
    float *score = malloc(count * sizeof *score);
    struct fg_calibration c = {.threshold = 0};
    assert_non_null(score);
    for (uint32_t i = 0; i < count; i++)
        score[i] = (float)(i < count - defects ? find_score((i + 0.5) / (count - defects), local)
                                               : 3 * find_score(0.9999, local));
    qsort(score, count, sizeof *score, compare);
    if (fg_refit(score, count, local, rate, &c, &message) != FG_OK)
        fail_msg("%s", message.text);
    free(score);
    return c;
}

static void the_threshold_is_that_of_the_distribution(void **state) {
    (void)state;
    for (int local = 0; local < 2; local++) {
        const struct fg_calibration c = refit(5000, 0, local, 0.001f);
        const double true_one = find_score(0.999, local);
        assert_int_equal(c.family, local ? FG_TAIL_GUMBEL : FG_TAIL_LOG_NORMAL);
        assert_true(fabs((double)c.threshold / true_one - 1) < 0.01);
        assert_true(c.expected == 0.001f && c.false_rejects == 0.001f);
        assert_true(fabs((double)c.doubtful / find_score(0.99, local) - 1) < 0.01);
    }
    const struct fg_calibration c = refit(5000, 0, false, 0.001f);
    assert_true(fabs((double)c.location - MIDDLE) < 1e-3 && fabs((double)c.spread - SPREAD) < 1e-3);
}

/* p_eff: 200 scores do not show one part in a thousand. */
static void few_scores_stand_for_a_larger_rate(void **state) {
    (void)state;
    const struct fg_calibration few = refit(200, 0, false, 0.001f), many = refit(5000, 0, false, 0.001f);
    assert_true(few.expected == (float)(1.0 / 201));
    assert_true(few.threshold < many.threshold);
    assert_true((double)few.threshold > find_score(1 - 1.0 / 201, false)); /* its spread is less certain */
}

static void one_defect_in_twenty_moves_it_little(void **state) {
    (void)state;
    for (int local = 0; local < 2; local++) {
        const double good = (double)refit(SCORES, 0, local, 0.001f).threshold,
                     mixed = (double)refit(SCORES, SCORES / 20, local, 0.001f).threshold;
        const double highest = find_score(0.9999, local);
        assert_true(mixed >= good);
        assert_true(mixed / good < 1.08);
        assert_true(mixed < 1.5 * highest); /* all defects are above it */
    }
}

static void too_few_or_equal_scores_are_refused(void **state) {
    (void)state;
    struct fg_calibration c = {.threshold = 0};
    float score[400];
    for (int i = 0; i < 400; i++)
        score[i] = 0.5f;
    assert_int_equal(fg_refit(score, 400, false, 0.001f, &c, &message), FG_INPUT);
    assert_non_null(strstr(message.text, "the same"));
    assert_int_equal(fg_refit(score, FG_REFIT_LEAST - 1, false, 0.001f, &c, &message), FG_INPUT);
    assert_non_null(strstr(message.text, "199"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_threshold_is_that_of_the_distribution),
        cmocka_unit_test(few_scores_stand_for_a_larger_rate),
        cmocka_unit_test(one_defect_in_twenty_moves_it_little),
        cmocka_unit_test(too_few_or_equal_scores_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
