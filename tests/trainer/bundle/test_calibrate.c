/* The threshold's rule and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "trainer/bundle/calibrate.h"

static struct fg_calibration calibration;
static struct fg_message message;

static void refused(const float *scores, uint32_t count, const char *expected) {
    assert_int_equal(fg_calibrate_scores(scores, count, 0.001f, &calibration, &message), FG_INPUT);
    if (!strstr(message.text, expected))
        fail_msg("\"%s\" does not say \"%s\"", message.text, expected);
}

/* Scores whose logarithms are -1, 0, 1, 0: mean 0, deviation sqrt(2/3). The normal distribution leaves 0.1 %
 * above 3.0902 and 10 % above 1.2816 deviations (tables). */
static void test_tail(void **state) {
    (void)state;
    const float scores[] = {expf(-1), 1, expf(1), 1};
    assert_int_equal(fg_calibrate_scores(scores, 4, 0.001f, &calibration, &message), FG_OK);
    assert_true(fabs(log((double)calibration.tail_quantile) - 3.0902 * sqrt(2.0 / 3)) < 1e-3);
    assert_true(calibration.threshold == calibration.tail_quantile);
    assert_true(calibration.rate_bound == 0.75f);
    assert_int_equal(calibration.pictures, 4);
    /* At 10 % the tail is 2.85; at 30 % it is below the largest score, which then decides. */
    assert_int_equal(fg_calibrate_scores(scores, 4, 0.1f, &calibration, &message), FG_OK);
    assert_true(fabs(log((double)calibration.tail_quantile) - 1.2816 * sqrt(2.0 / 3)) < 1e-3);
    assert_int_equal(fg_calibrate_scores(scores, 4, 0.3f, &calibration, &message), FG_OK);
    assert_true(calibration.tail_quantile < scores[2]);
    assert_true(calibration.threshold == scores[2]);
}

static void test_refused(void **state) {
    (void)state;
    const float few[] = {1, 2, 3}, same[] = {2, 2, 2, 2}, nan_score[] = {1, 2, NAN, 3}, zero[] = {1, 2, 0, 3},
                infinite[] = {1, 2, INFINITY, 3};
    refused(few, 3, "at least 4");
    refused(same, 4, "the same");
    /* However the mean of many equal scores is rounded. */
    float many[64];
    for (uint32_t n = 4; n <= 64; n++) {
        for (uint32_t i = 0; i < n; i++)
            many[i] = 0.1f + 0.037f * (float)n;
        refused(many, n, "the same");
    }
    refused(nan_score, 4, "picture 3");
    refused(zero, 4, "picture 3");
    refused(infinite, 4, "picture 3");
}

static void test_sentence(void **state) {
    (void)state;
    const float scores[] = {0.5f, 0.6f, 0.7f, 0.8f, 0.9f, 1.0f};
    char text[512];
    assert_int_equal(fg_calibrate_scores(scores, 6, 0.001f, &calibration, &message), FG_OK);
    fg_calibration_sentence(&calibration, text, sizeof text);
    assert_non_null(strstr(text, "from 6 good pictures"));
    assert_non_null(strstr(text, "below 50.0 %"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tail),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
