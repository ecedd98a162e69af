/* The watch for drift, on scores whose distribution is known. Every draw has a fixed seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>

#include "kernels/philox.h"
#include "runtime/line/drift.h"

#define UNSEEN 30
#define TRAINED 10

static struct fg_drift drift;
static uint64_t seed;
static uint32_t drawn;

/* Draws from the normal distribution with mean 0 and deviation 1. */
static double draw_normal(void) {
    const struct fg_philox random = fg_philox(seed, drawn++, 0, 0, 0);
    const double radius = sqrt(-2 * log(1 - (double)fg_philox_uniform(random.word[0])));
    return radius * cos(2 * 3.14159265358979 * (double)fg_philox_uniform(random.word[1]));
}

/* A score of that many deviations; those of the Gumbel family may be negative. */
static float make_score(enum fg_tail_family family, double deviations) {
    return (float)(family == FG_TAIL_LOG_NORMAL ? exp(-3 + 0.2 * deviations) : 0.5 + 2 * deviations);
}

static struct fg_calibration make_calibration(enum fg_tail_family family) {
    return family == FG_TAIL_LOG_NORMAL
               ? (struct fg_calibration){.family = family, .location = -3, .spread = 0.2f}
               : (struct fg_calibration){.family = family, .location = 0.5f, .spread = 2};
}

/* Begins with pictures of which training saw some, and gave those lower scores. */
static void begin(enum fg_tail_family family, uint64_t of) {
    struct fg_good good[TRAINED + UNSEEN];
    const struct fg_calibration calibration = make_calibration(family);
    seed = of;
    drawn = 0;
    for (uint32_t i = 0; i < TRAINED + UNSEEN; i++)
        good[i] = i < TRAINED ? (struct fg_good){.group = FG_GOOD_TRAINING, .score = make_score(family, -4)}
                              : (struct fg_good){.group = FG_GOOD_HELD_OUT,
                                                 .score = make_score(family, draw_normal())};
    fg_drift_begin(&drift, &calibration, good, TRAINED + UNSEEN, seed);
    assert_int_equal(drift.state, FG_DRIFT_AS_CALIBRATED);
    assert_int_equal(drift.scores, UNSEEN);
}

/* Adds the scores of parts that lie so many deviations higher than those of the calibration, until the view
 * has drifted. Gives the number of parts that it took; most: it has not. */
static uint32_t add_parts(enum fg_tail_family family, double rise, uint32_t most) {
    uint32_t parts = 0;
    while (parts < most && !fg_drift_add(&drift, make_score(family, draw_normal() + rise)))
        parts++;
    return parts;
}

/* At least FG_DRIFT_ALARM parts lie between false alarms, on average. */
static void test_quiet_scores(void **state) {
    (void)state;
    enum { RUNS = 20, PARTS = 50000 };
    uint32_t alarms = 0;
    for (uint64_t run = 0; run < RUNS; run++) {
        const enum fg_tail_family family = run % 2 ? FG_TAIL_LOG_NORMAL : FG_TAIL_GUMBEL;
        begin(family, run);
        for (uint32_t left = PARTS; left; fg_drift_begin_anew(&drift)) {
            const uint32_t parts = add_parts(family, 0, left);
            alarms += parts < left;
            left -= parts < left ? parts + 1 : left;
        }
    }
    print_message("%u alarms in %d parts\n", alarms, RUNS * PARTS);
    assert_true(alarms <= RUNS * PARTS / FG_DRIFT_ALARM);
}

/* Where many parts came before, a rise by one deviation is seen some 60 parts later. */
static void test_rise(void **state) {
    (void)state;
    enum { RUNS = 20 };
    uint32_t sum = 0;
    for (uint64_t run = 0; run < RUNS; run++) {
        const enum fg_tail_family family = run % 2 ? FG_TAIL_LOG_NORMAL : FG_TAIL_GUMBEL;
        begin(family, 100 + run);
        assert_int_equal(add_parts(family, 0, 300), 300);
        assert_true(add_parts(family, 1, 300) < 300);
        begin(family, 200 + run);
        assert_int_equal(add_parts(family, 0, 2000), 2000);
        sum += add_parts(family, 1, 300);
    }
    print_message("a rise by one deviation is seen after %.1f parts\n", (double)sum / RUNS);
    assert_true(sum < 75 * RUNS);
}

/* Lower scores are no reason to look at the line. */
static void test_fall(void **state) {
    (void)state;
    begin(FG_TAIL_GUMBEL, 1);
    assert_int_equal(add_parts(FG_TAIL_GUMBEL, 0, 300), 300);
    assert_int_equal(add_parts(FG_TAIL_GUMBEL, -1, 300), 300);
    assert_true(fg_drift_level(&drift) < 2);
}

/* Equal scores are ranked at random: a line that shows the same part again and again does not drift. */
static void test_ties(void **state) {
    (void)state;
    for (uint32_t kinds = 1; kinds <= 3; kinds++) {
        struct fg_good good[6];
        const struct fg_calibration calibration = make_calibration(FG_TAIL_GUMBEL);
        for (uint32_t i = 0; i < 6; i++)
            good[i] = (struct fg_good){.group = FG_GOOD_HELD_OUT, .score = (float)(i % kinds)};
        fg_drift_begin(&drift, &calibration, good, 6, kinds);
        for (uint32_t i = 0; i < 20000; i++)
            assert_false(fg_drift_add(&drift, (float)(i % kinds)));
        assert_int_equal(drift.state, FG_DRIFT_AS_CALIBRATED);
        assert_int_equal(drift.scores, 20006);
    }
}

/* The alarm is told once and stays; then the watch begins anew with the bundle's own pictures. */
static void test_begin_anew(void **state) {
    (void)state;
    begin(FG_TAIL_LOG_NORMAL, 3);
    const struct fg_drift fresh = drift;
    assert_int_equal(add_parts(FG_TAIL_LOG_NORMAL, 0, 500), 500);
    assert_true(add_parts(FG_TAIL_LOG_NORMAL, 2, 300) < 300);
    assert_int_equal(drift.state, FG_DRIFT_DRIFTED);
    assert_true(fg_drift_level(&drift) >= 5);
    assert_int_equal(add_parts(FG_TAIL_LOG_NORMAL, 2, 10), 10);
    assert_int_equal(add_parts(FG_TAIL_LOG_NORMAL, -2, 5000), 5000);
    assert_true(fg_drift_level(&drift) < 5);
    assert_int_equal(drift.state, FG_DRIFT_DRIFTED);
    fg_drift_begin_anew(&drift);
    assert_int_equal(drift.state, FG_DRIFT_AS_CALIBRATED);
    assert_true(fg_drift_level(&drift) == 0 && drift.statistic == 0);
    assert_int_equal(drift.scores, UNSEEN);
    assert_memory_equal(drift.bin, fresh.bin, sizeof drift.bin);
    assert_int_equal(add_parts(FG_TAIL_LOG_NORMAL, 0, 500), 500);
    assert_true(add_parts(FG_TAIL_LOG_NORMAL, 2, 300) < 300);
}

static void test_what_is_not_finite_does_not_count(void **state) {
    (void)state;
    begin(FG_TAIL_GUMBEL, 4);
    add_parts(FG_TAIL_GUMBEL, 0, 10);
    const double statistic = drift.statistic;
    const float none[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++)
        assert_false(fg_drift_add(&drift, none[i]));
    assert_int_equal(drift.scores, UNSEEN + 10);
    assert_true(drift.statistic == statistic);
}

/* Any finite score counts, in an end bin if need be, and the level always has room in its register. */
static void test_far_scores(void **state) {
    (void)state;
    const float far[] = {FLT_MAX, -FLT_MAX, 0, FLT_MIN, -1};
    for (int family = 0; family < FG_TAIL_FAMILIES; family++) {
        begin((enum fg_tail_family)family, 5);
        for (int i = 0; i < 5; i++)
            fg_drift_add(&drift, far[i]);
        assert_int_equal(drift.scores, UNSEEN + 5);
        add_parts((enum fg_tail_family)family, 0, 20000);
        for (int i = 0; i < 3000; i++)
            fg_drift_add(&drift, FLT_MAX);
        assert_true(fabs((double)fg_drift_level(&drift) - 65) < 0.5);
    }
}

/* Pictures that calibration added replace those held out. */
static void test_added_pictures(void **state) {
    (void)state;
    struct fg_good good[20];
    const struct fg_calibration calibration = make_calibration(FG_TAIL_GUMBEL);
    for (uint32_t i = 0; i < 20; i++)
        good[i] = (struct fg_good){.group = i < 12 ? FG_GOOD_HELD_OUT : FG_GOOD_ADDED, .score = (float)i};
    fg_drift_begin(&drift, &calibration, good, 20, 0);
    assert_int_equal(drift.scores, 8);
}

/* A bundle of an older program has no pictures: its view is not watched. */
static void test_not_watched(void **state) {
    (void)state;
    struct fg_good good[FG_DRIFT_LEAST];
    struct fg_calibration calibration = make_calibration(FG_TAIL_GUMBEL);
    for (uint32_t i = 0; i < FG_DRIFT_LEAST; i++)
        good[i] = (struct fg_good){.group = FG_GOOD_HELD_OUT, .score = (float)i};
    fg_drift_begin(&drift, &calibration, good, FG_DRIFT_LEAST, 0);
    assert_int_equal(drift.state, FG_DRIFT_AS_CALIBRATED);
    fg_drift_begin(&drift, &calibration, good, FG_DRIFT_LEAST - 1, 0);
    assert_int_equal(drift.state, FG_DRIFT_NOT_WATCHED);
    calibration.spread = 0;
    fg_drift_begin(&drift, &calibration, good, FG_DRIFT_LEAST, 0);
    assert_int_equal(drift.state, FG_DRIFT_NOT_WATCHED);
    fg_drift_begin(&drift, &(struct fg_calibration){.threshold = 1}, NULL, 0, 0);
    for (uint32_t i = 0; i < 1000; i++)
        assert_false(fg_drift_add(&drift, (float)i));
    fg_drift_begin_anew(&drift);
    assert_int_equal(drift.state, FG_DRIFT_NOT_WATCHED);
    assert_true(fg_drift_level(&drift) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quiet_scores), cmocka_unit_test(test_rise),
        cmocka_unit_test(test_fall),         cmocka_unit_test(test_ties),
        cmocka_unit_test(test_begin_anew),   cmocka_unit_test(test_what_is_not_finite_does_not_count),
        cmocka_unit_test(test_far_scores),   cmocka_unit_test(test_added_pictures),
        cmocka_unit_test(test_not_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
