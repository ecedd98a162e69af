/* Rejecting by permission and the result block, as functions of time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/line/rejects.h"
#include "runtime/line/results.h"

#define MS ((int64_t)1000000)

static struct fg_rejects rejects;
static struct fg_actuation actuation;

static int fresh(void **state) {
    (void)state;
    rejects = (struct fg_rejects){0};
    actuation = (struct fg_actuation){0};
    return 0;
}

static void at(int64_t now, enum fg_inoperative_rule rule) {
    fg_rejects_decide(&rejects, rule, now, &actuation);
}

static void test_pass_in_time_is_left_alone(void **state) {
    (void)state;
    const int32_t place = fg_rejects_add(&rejects, 100 * MS, 10 * MS, 0);
    assert_true(fg_rejects_permit(&rejects, place, FG_PASS, true));
    at(99 * MS, FG_RULE_REJECT);
    assert_int_equal(actuation.next_ns, 100 * MS);
    at(100 * MS, FG_RULE_REJECT);
    assert_false(actuation.reject);
    assert_int_equal(actuation.next_ns, INT64_MAX);
}

static void test_all_else_rejects(void **state) {
    (void)state;
    const enum fg_verdict verdicts[] = {FG_DEFECT, FG_INOPERATIVE};
    for (int i = 0; i < 3; i++) {
        fresh(state);
        const int32_t place = fg_rejects_add(&rejects, 100 * MS, 10 * MS, 0);
        if (i < 2)
            assert_true(fg_rejects_permit(&rejects, place, verdicts[i], true));
        at(100 * MS, FG_RULE_REJECT);
        assert_true(actuation.reject);
        assert_false(actuation.stop);
        assert_int_equal(actuation.next_ns, 110 * MS);
        at(110 * MS, FG_RULE_REJECT);
        assert_false(actuation.reject);
    }
}

static void test_late_verdict_changes_nothing(void **state) {
    (void)state;
    const int32_t place = fg_rejects_add(&rejects, 100 * MS, 10 * MS, 0);
    at(100 * MS, FG_RULE_REJECT);
    assert_true(actuation.reject);
    assert_false(fg_rejects_permit(&rejects, place, FG_PASS, true));
    at(101 * MS, FG_RULE_REJECT);
    assert_true(actuation.reject);
}

static void test_rules_for_inoperative(void **state) {
    (void)state;
    int32_t place = fg_rejects_add(&rejects, 100 * MS, 10 * MS, 0);
    fg_rejects_permit(&rejects, place, FG_INOPERATIVE, true);
    at(100 * MS, FG_RULE_PASS);
    assert_false(actuation.reject);
    place = fg_rejects_add(&rejects, 200 * MS, 10 * MS, 150 * MS);
    fg_rejects_permit(&rejects, place, FG_DEFECT, true);
    at(200 * MS, FG_RULE_PASS);
    assert_true(actuation.reject);
    fresh(state);
    place = fg_rejects_add(&rejects, 100 * MS, 10 * MS, 0);
    fg_rejects_permit(&rejects, place, FG_INOPERATIVE, true);
    at(100 * MS, FG_RULE_STOP);
    assert_true(actuation.stop && actuation.reject);
    at(101 * MS, FG_RULE_STOP);
    assert_false(actuation.stop);
    /* Reasons that on_inoperative = pass does not cover. */
    static const enum fg_reason untrusted[] = {FG_REASON_NOT_FINITE, FG_REASON_NOT_VERIFIED,
                                               FG_REASON_DEVICE_LOST, FG_REASON_UNLIKE_TRAINING};
    for (size_t i = 0; i < sizeof untrusted / sizeof *untrusted; i++) {
        fresh(state);
        place = fg_rejects_add(&rejects, 100 * MS, 10 * MS, 0);
        fg_rejects_permit(&rejects, place, FG_INOPERATIVE, fg_rejects_covers(untrusted[i]));
        at(100 * MS, FG_RULE_PASS);
        assert_true(actuation.reject && !actuation.stop);
    }
}

static void test_pulses_merge(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++)
        fg_rejects_permit(&rejects, fg_rejects_add(&rejects, (100 + 6 * i) * MS, 10 * MS, 0), FG_DEFECT,
                          true);
    for (int64_t t = 100; t < 122; t++) {
        at(t * MS, FG_RULE_REJECT);
        assert_true(actuation.reject);
    }
    at(122 * MS, FG_RULE_REJECT);
    assert_false(actuation.reject);
}

/* A PLC may shorten the pulse between two parts: the longer one is not cut. */
static void test_short_pulse_inside_a_long_one(void **state) {
    (void)state;
    fg_rejects_permit(&rejects, fg_rejects_add(&rejects, 100 * MS, 50 * MS, 0), FG_DEFECT, true);
    fg_rejects_permit(&rejects, fg_rejects_add(&rejects, 110 * MS, 5 * MS, 0), FG_DEFECT, true);
    at(100 * MS, FG_RULE_REJECT);
    at(110 * MS, FG_RULE_REJECT);
    at(149 * MS, FG_RULE_REJECT);
    assert_true(actuation.reject);
    at(150 * MS, FG_RULE_REJECT);
    assert_false(actuation.reject);
}

/* A thread that sleeps over a reject point still pulses for the whole width, and a point that is long past is
 * told. */
static void test_late_call(void **state) {
    (void)state;
    fg_rejects_permit(&rejects, fg_rejects_add(&rejects, 100 * MS, 20 * MS, 0), FG_DEFECT, true);
    at(119 * MS, FG_RULE_REJECT);
    assert_true(actuation.reject && actuation.decided);
    assert_int_equal(actuation.missed, 0);
    assert_int_equal(actuation.next_ns, 139 * MS);
    at(139 * MS, FG_RULE_REJECT);
    assert_false(actuation.reject || actuation.decided);
    fg_rejects_permit(&rejects, fg_rejects_add(&rejects, 200 * MS, 20 * MS, 0), FG_DEFECT, true);
    fg_rejects_permit(&rejects, fg_rejects_add(&rejects, 200 * MS, 20 * MS, 0), FG_PASS, true);
    at(230 * MS, FG_RULE_REJECT);
    assert_true(actuation.reject);
    assert_int_equal(actuation.missed, 1);
    assert_int_equal(actuation.next_ns, 250 * MS);
    at(250 * MS, FG_RULE_REJECT);
    assert_int_equal(actuation.missed, 0);
}

static void test_missed(void **state) {
    (void)state;
    assert_int_equal(fg_rejects_add(&rejects, 100 * MS, 10 * MS, 100 * MS), -1);
    for (int i = 0; i < FG_REJECTS; i++)
        assert_int_equal(fg_rejects_add(&rejects, 100 * MS, 10 * MS, 0), i);
    assert_int_equal(fg_rejects_add(&rejects, 100 * MS, 10 * MS, 0), -1);
    assert_false(fg_rejects_room(&rejects));
    /* Places come back only once both sides are done with them. */
    at(100 * MS, FG_RULE_REJECT);
    assert_int_equal(fg_rejects_add(&rejects, 200 * MS, 10 * MS, 101 * MS), -1);
    fg_rejects_permit(&rejects, 5, FG_PASS, true);
    assert_true(fg_rejects_room(&rejects));
    assert_int_equal(fg_rejects_add(&rejects, 200 * MS, 10 * MS, 101 * MS), 5);
}

static struct fg_result numbered(uint32_t id) {
    return (struct fg_result){.id = id, .verdict = FG_PASS};
}

static void put(struct fg_results *r, uint32_t id, bool overrun) {
    const struct fg_result result = numbered(id);
    assert_int_equal(fg_results_put(r, &result, 0), overrun);
}

static void test_block_replaced(void **state) {
    (void)state;
    struct fg_results r = {.ack_timeout_ns = 50 * MS};
    put(&r, 1, false);
    put(&r, 2, false);
    assert_true(r.valid && r.block.id == 2 && r.sequence == 2 && !r.queued);
    assert_int_equal(fg_results_deadline(&r), INT64_MAX);
    fg_results_trigger(&r);
    assert_false(r.valid);
}

static void test_block_buffered(void **state) {
    (void)state;
    struct fg_results r = {.buffer = true, .ack_timeout_ns = 50 * MS};
    for (uint32_t id = 1; id <= 9; id++)
        put(&r, id, false);
    fg_results_trigger(&r);
    assert_true(r.valid && r.block.id == 1 && r.queued == 8);
    put(&r, 10, true); /* 2, the oldest waiting, is dropped */
    for (uint32_t id = 3; id <= 10; id++) {
        fg_results_acknowledge(&r, 0);
        assert_true(r.valid && r.block.id == id);
    }
    fg_results_acknowledge(&r, 0);
    assert_false(r.valid);
}

static void test_block_expires(void **state) {
    (void)state;
    struct fg_results r = {.buffer = true, .ack_timeout_ns = 50 * MS};
    put(&r, 1, false);
    assert_false(fg_results_expire(&r, 49 * MS));
    assert_true(fg_results_expire(&r, 50 * MS));
    assert_true(r.expired && r.valid);
    assert_false(fg_results_expire(&r, 51 * MS));
    put(&r, 2, false);
    fg_results_acknowledge(&r, 60 * MS);
    assert_true(r.valid && !r.expired && r.block.id == 2);
    assert_int_equal(fg_results_deadline(&r), 110 * MS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_pass_in_time_is_left_alone, fresh),
        cmocka_unit_test_setup(test_all_else_rejects, fresh),
        cmocka_unit_test_setup(test_late_verdict_changes_nothing, fresh),
        cmocka_unit_test_setup(test_rules_for_inoperative, fresh),
        cmocka_unit_test_setup(test_pulses_merge, fresh),
        cmocka_unit_test_setup(test_short_pulse_inside_a_long_one, fresh),
        cmocka_unit_test_setup(test_late_call, fresh),
        cmocka_unit_test_setup(test_missed, fresh),
        cmocka_unit_test(test_block_replaced),
        cmocka_unit_test(test_block_buffered),
        cmocka_unit_test(test_block_expires),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
