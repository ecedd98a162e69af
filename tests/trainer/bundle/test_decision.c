/* The threshold: what good pictures give, which are odd, what is refused, and that the stated rate is true.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/bundle/decision.h"
#include "trainer/bundle/tail.h"

#define MOST 400

static struct fg_good good[MOST];
static bool odd[MOST];
static struct fg_calibration calibration;
static struct fg_message message;

/* A generator of the test's own (xorshift64*). */
static uint64_t seed = 88172645463325252u;

static double draw_uniform(void) {
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return ((double)((seed * 0x2545F4914F6CDD1DULL) >> 11) + 0.5) / 9007199254740992.0;
}

static double draw_normal(void) {
    return sqrt(-2 * log(draw_uniform())) * cos(2 * 3.14159265358979 * draw_uniform());
}

/* A score of a good part: seen ones lie a little lower. */
static float draw_score(enum fg_tail_family family, bool seen) {
    const double place = seen ? 0.9 : 1;
    return (float)(family == FG_TAIL_GUMBEL ? place * (0.5 - 0.08 * log(-log(draw_uniform())))
                                            : place * 0.5 * exp(0.12 * draw_normal()));
}

static uint32_t draw_good(enum fg_tail_family family, uint32_t held_out, uint32_t training) {
    for (uint32_t i = 0; i < held_out + training; i++)
        good[i] = (struct fg_good){.group = i < held_out ? FG_GOOD_HELD_OUT : FG_GOOD_TRAINING,
                                   .score = draw_score(family, i >= held_out)};
    return held_out + training;
}

static void decide(uint32_t count, float false_rejects) {
    memset(odd, 0, sizeof odd);
    if (fg_decide(good, count, FG_SCORE_SUM, false_rejects, odd, &calibration, &message) != FG_OK)
        fail_msg("%s", message.text);
}

/* The share of unseen good parts above the threshold is about what was said, over many folders of a size, for
 * either family. In few pictures the likelier family is often the other one; the rate holds all the same. */
static void test_stated_rate_is_true(void **state) {
    (void)state;
    static const uint32_t SIZE[][2] = {{4, 27}, {10, 90}};
    for (int family = 0; family < FG_TAIL_FAMILIES; family++)
        for (size_t n = 0; n < sizeof SIZE / sizeof *SIZE; n++) {
            double expected = 0, above = 0;
            const uint32_t folders = 60, parts = 2000;
            for (uint32_t f = 0; f < folders; f++) {
                decide(draw_good((enum fg_tail_family)family, SIZE[n][0], SIZE[n][1]), 0.001f);
                expected += (double)calibration.expected * parts;
                for (uint32_t i = 0; i < parts; i++)
                    above += draw_score((enum fg_tail_family)family, false) > calibration.threshold;
            }
            if (!(above > 0.3 * expected && above < 2 * expected))
                fail_msg("family %d, %u pictures: %.0f false rejects, %.0f expected", family,
                         SIZE[n][0] + SIZE[n][1], above, expected);
        }
}

/* A local score has an arbitrary 0: moved by any distance, the threshold moves by the same. */
static void test_local_scores_move(void **state) {
    (void)state;
    const uint32_t count = draw_good(FG_TAIL_LOG_NORMAL, 10, 90);
    struct fg_calibration moved;
    assert_int_equal(fg_decide(good, count, FG_SCORE_SUM_LOCAL, 0.001f, odd, &calibration, &message), FG_OK);
    assert_int_equal(calibration.family, FG_TAIL_GUMBEL);
    for (uint32_t i = 0; i < count; i++)
        good[i].score += 0.25f;
    assert_int_equal(fg_decide(good, count, FG_SCORE_SUM_LOCAL, 0.001f, odd, &moved, &message), FG_OK);
    assert_true(fabsf(moved.threshold - calibration.threshold - 0.25f) < 1e-4f);
}

/* Logarithms -1, 0, 1, 0 and the same 0.5 lower, so the spread is that of both groups and the place that of
 * the first; the rate asked for is less than 8 pictures can show. */
static void test_groups(void **state) {
    (void)state;
    const double logs[] = {-1, 0, 1, 0};
    for (int i = 0; i < 8; i++)
        good[i] = (struct fg_good){.group = i < 4 ? FG_GOOD_HELD_OUT : FG_GOOD_TRAINING,
                                   .score = (float)exp(logs[i % 4] - (i < 4 ? 0 : 0.5))};
    decide(8, 0.001f);
    assert_int_equal(calibration.family, FG_TAIL_LOG_NORMAL);
    assert_true(fabs((double)calibration.location) < 1e-6);
    assert_true(fabs((double)calibration.spread - sqrt(4.0 / 6)) < 1e-6);
    assert_true(fabs((double)calibration.expected - 1.0 / 9) < 1e-6);
    const double t = fg_tail_normal(&(struct fg_tail_sample){.count = {4, 4}, .located = 1}, 1.0 / 9);
    assert_true(fabs(log((double)calibration.threshold) - t * sqrt(4.0 / 6)) < 1e-5);
    assert_true(calibration.doubtful < calibration.threshold);
    assert_int_equal(calibration.pictures, 8);
    assert_int_equal(calibration.unseen, 4);
    /* Pictures that were added later are the unseen ones from then on. */
    for (int i = 8; i < 12; i++)
        good[i] = (struct fg_good){.group = FG_GOOD_ADDED, .score = (float)exp(logs[i % 4] + 1)};
    decide(12, 0.2f);
    assert_true(fabs((double)calibration.location - 1) < 1e-6);
    assert_true(calibration.expected == 0.2f);
}

/* A defective part among the good ones is found and left out, in every group; ordinary ones are not. */
static void test_odd_pictures(void **state) {
    (void)state;
    uint32_t wrong = 0, mixed = 0;
    for (int f = 0; f < 100; f++) {
        const uint32_t count = draw_good(FG_TAIL_LOG_NORMAL, 4, 27);
        decide(count, 0.001f);
        wrong += calibration.odd;
        mixed += fg_decision_are_many(calibration.odd, count);
        good[f % 31].score = 10;
        const float before = calibration.threshold;
        decide(count, 0.001f);
        assert_true(odd[f % 31]);
        assert_true(calibration.threshold < 2 * before);
        assert_int_equal(calibration.pictures + calibration.odd, count);
    }
    assert_true(wrong < 100 * 31 / 100); /* of log-normal scores 0.004 % lie so far out; MAD is an estimate */
    assert_true(mixed < 10);
    const uint32_t count = draw_good(FG_TAIL_LOG_NORMAL, 4, 27);
    good[0].score = good[7].score = 10;
    decide(count, 0.001f);
    assert_true(fg_decision_are_many(calibration.odd, count));
    assert_true(!fg_decision_are_many(1, 4) && fg_decision_are_many(2, 30) && !fg_decision_are_many(2, 40));
}

/* Local scores have a Gumbel tail: its far end is not odd. */
static void test_odd_local_scores(void **state) {
    (void)state;
    uint32_t wrong = 0;
    for (int f = 0; f < 100; f++) {
        const uint32_t count = draw_good(FG_TAIL_GUMBEL, 10, 90);
        memset(odd, 0, sizeof odd);
        assert_int_equal(fg_decide(good, count, FG_SCORE_SUM_LOCAL, 0.01f, odd, &calibration, &message),
                         FG_OK);
        wrong += calibration.odd;
        good[f].score = 3;
        assert_int_equal(fg_decide(good, count, FG_SCORE_SUM_LOCAL, 0.01f, odd, &calibration, &message),
                         FG_OK);
        assert_true(odd[f]);
    }
    assert_true(wrong < 5); /* of Gumbel scores 0.01 % lie so far out */
}

/* Thirty-one pictures of flanges, as training scored them: half of them lie close together, the others far on
 * either side. The high ones are no more odd than the low ones. Without them the threshold rejected 18 % of
 * good parts where 3 % were stated. */
static void test_narrow_middle(void **state) {
    (void)state;
    static const double away[] = {-0.38, -1.63, 0.38,  0.66,  1.07, -0.10, -0.67, 1.11,  -0.35, 0.29,  0.21,
                                  -4.79, -0.68, -3.74, -2.77, 3.57, 0.13,  -0.52, -1.49, 0.31,  -0.99, 0.38,
                                  2.70,  0.31,  4.84,  0.33,  4.40, 0.00,  -4.40, -1.13, -0.26};
    enum { COUNT = sizeof away / sizeof *away };
    for (uint32_t i = 0; i < COUNT; i++)
        good[i] = (struct fg_good){.group = i < 4 ? FG_GOOD_HELD_OUT : FG_GOOD_TRAINING,
                                   .score = (float)exp(0.064 * away[i])};
    decide(COUNT, 0.001f);
    assert_int_equal(calibration.odd, 0);
    good[8].score = 2;
    decide(COUNT, 0.001f);
    assert_true(odd[8] && calibration.odd == 1);
}

/* One good score that lies far below the others does not hide a defective part. */
static void test_low_score(void **state) {
    (void)state;
    const uint32_t count = draw_good(FG_TAIL_LOG_NORMAL, 5, 46);
    decide(count, 0.001f);
    assert_false(odd[7]);
    good[6].score /= 8;
    good[7].score = 1;
    decide(count, 0.001f);
    assert_true(odd[7]);
}

/* A picture that was odd before does not count, whatever its score is now. */
static void test_marked_pictures(void **state) {
    (void)state;
    const uint32_t count = draw_good(FG_TAIL_LOG_NORMAL, 10, 90);
    decide(count, 0.001f);
    const uint32_t named = calibration.odd;
    const float threshold = calibration.threshold;
    uint32_t usual = 0;
    while (odd[usual])
        usual++;
    odd[usual] = true;
    assert_int_equal(fg_decide(good, count, FG_SCORE_SUM, 0.001f, odd, &calibration, &message), FG_OK);
    assert_int_equal(calibration.odd, named + 1);
    assert_true(odd[usual]);
    assert_true(calibration.threshold != threshold);
}

/* Scores that may be below 0, as those of position-calibrated maps. */
static void test_negative_scores(void **state) {
    (void)state;
    const uint32_t count = draw_good(FG_TAIL_GUMBEL, 10, 90);
    for (uint32_t i = 0; i < count; i++)
        good[i].score -= 0.5f;
    decide(count, 0.001f);
    assert_int_equal(calibration.family, FG_TAIL_GUMBEL);
    assert_true(calibration.threshold > 0.2f && calibration.threshold < 1);
}

/* Lower thresholds reject more; the first row is the threshold that was found. */
static void test_table(void **state) {
    (void)state;
    struct fg_decision_row row[FG_DECISION_ROWS];
    for (int family = 0; family < FG_TAIL_FAMILIES; family++) {
        const uint32_t count = draw_good((enum fg_tail_family)family, 20, 180);
        decide(count, 0.02f);
        assert_int_equal(fg_decision_table(good, count, odd, &calibration, row), 4);
        assert_true(row[0].threshold == calibration.threshold && row[0].expected == 0.02f);
        assert_int_equal(row[0].rejected, calibration.rejected);
        for (int i = 1; i < 4; i++) {
            assert_true(row[i].expected > row[i - 1].expected && row[i].threshold < row[i - 1].threshold);
            assert_true(row[i].rejected >= row[i - 1].rejected);
        }
        assert_true(row[3].expected == 0.3f && row[3].rejected > 0 && row[3].rejected < 15);
    }
}

static void expect_refused(uint32_t count, const char *expected) {
    assert_int_equal(fg_decide(good, count, FG_SCORE_SUM, 0.001f, odd, &calibration, &message), FG_INPUT);
    if (!strstr(message.text, expected))
        fail_msg("\"%s\" does not say \"%s\"", message.text, expected);
}

static void test_refused(void **state) {
    (void)state;
    draw_good(FG_TAIL_LOG_NORMAL, 3, 27);
    expect_refused(30, "3 good pictures that training did not see");
    draw_good(FG_TAIL_LOG_NORMAL, 4, 27);
    good[2].score = NAN;
    expect_refused(31, "good picture 3");
    good[2].score = INFINITY;
    expect_refused(31, "good picture 3");
    /* However the mean of many equal scores is rounded. */
    for (uint32_t n = 4; n <= 64; n++) {
        for (uint32_t i = 0; i < n; i++)
            good[i] = (struct fg_good){.group = FG_GOOD_HELD_OUT, .score = 0.1f + 0.037f * (float)n};
        expect_refused(n, "the same");
    }
}

static void test_sentences(void **state) {
    (void)state;
    char text[512];
    const uint32_t count = draw_good(FG_TAIL_LOG_NORMAL, 6, 25);
    decide(count, 0.001f);
    fg_decision_sentence(&calibration, text, sizeof text);
    assert_non_null(strstr(text, "about 3.1 % of good parts"));
    assert_non_null(strstr(text, "of 31 good pictures"));
    assert_non_null(strstr(text, "less than 39 %"));
    assert_non_null(strstr(text, "The wished 0.1 % takes 999 good pictures."));
    decide(count, 0.2f);
    fg_decision_sentence(&calibration, text, sizeof text);
    assert_null(strstr(text, "wished"));
    fg_decide_by_hand(good, count, 0.01f, &calibration);
    assert_true(calibration.threshold == 0.01f && calibration.rejected == 6 && calibration.bound == 1);
    fg_decision_sentence(&calibration, text, sizeof text);
    assert_non_null(strstr(text, "set by hand"));
    calibration = (struct fg_calibration){.threshold = 1};
    fg_decision_sentence(&calibration, text, sizeof text);
    assert_non_null(strstr(text, "older program"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stated_rate_is_true),
        cmocka_unit_test(test_local_scores_move),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_odd_pictures),
        cmocka_unit_test(test_odd_local_scores),
        cmocka_unit_test(test_narrow_middle),
        cmocka_unit_test(test_low_score),
        cmocka_unit_test(test_marked_pictures),
        cmocka_unit_test(test_negative_scores),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_sentences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
