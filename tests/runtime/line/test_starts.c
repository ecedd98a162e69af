/* What a line does with what an earlier start has kept, and when it is well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/runtime/line/running.h"

static int make_bundles(void **state) {
    make_folder(state);
    make_bundle("one", SIDE, 4, 1);
    return 0;
}

/* Ids go on, also where they begin at 0 again. */
static void test_counts_go_on(void **state) {
    (void)state;
    kept = (struct fg_line_kept){.starts = 7, .last_id = UINT32_MAX - 1};
    add_bundle(0, "one");
    begin_line();
    assert_int_equal(read_snapshot()->start_counter, 7);
    for (uint32_t i = 0; i < 3; i++) {
        WAIT(now.able);
        pulse_trigger();
        wait_result(UINT32_MAX + i);
        assert_int_equal(now.result.reason, FG_REASON_NONE);
    }
    assert_int_equal(now.counters.triggers, 3);
}

static void test_unclean_end(void **state) {
    (void)state;
    kept = (struct fg_line_kept){.starts = 2, .last_id = 10, .unclean = true};
    add_bundle(0, "one");
    begin_line();
    read_snapshot();
    assert_int_equal(now.error, FG_FAULT_UNCLEAN_END);
    assert_true(now.fault);
    assert_false(now.able || now.online);
    pulse_trigger();
    expect_result(11, FG_INOPERATIVE, FG_REASON_NOT_READY);
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    WAIT(now.able && !now.fault && !now.error);
}

static void test_written_registers_are_awaited(void **state) {
    (void)state;
    kept = (struct fg_line_kept){.starts = 2, .written = FG_WRITTEN_REJECT | FG_WRITTEN_PULSE};
    add_bundle(0, "one");
    begin_line();
    assert_false(read_snapshot()->able);
    assert_int_equal(apply_command(FG_COMMAND_REJECT, 600000), FG_MODBUS_DONE);
    assert_false(read_snapshot()->able);
    assert_int_equal(apply_command(FG_COMMAND_PULSE, 100), FG_MODBUS_DONE);
    assert_true(read_snapshot()->able);
}

/* A server that stands still stops the heartbeat; the line itself goes on. */
static void test_server_that_stands_still(void **state) {
    (void)state;
    static _Atomic int64_t seen_ns;
    atomic_store(&seen_ns, INT64_MAX / 2); /* it turns */
    server_seen_ns = &seen_ns;
    add_bundle(0, "one");
    begin_line();
    const bool first = read_snapshot()->heartbeat;
    WAIT(now.heartbeat != first);
    atomic_store(&seen_ns, fg_clock_ns() - FG_S);
    const int64_t well_ns = fg_line_well_ns(line);
    const uint32_t uptime_s = read_snapshot()->uptime_s;
    WAIT(now.uptime_s > uptime_s);
    const bool last = now.heartbeat;
    WAIT(now.uptime_s > uptime_s + 2);
    assert_int_equal(now.heartbeat, last);
    assert_true(fg_line_well_ns(line) - well_ns < FG_S);
    trigger_part();
    atomic_store(&seen_ns, INT64_MAX / 2);
    WAIT(now.heartbeat != last);
}

/* The output's heartbeat stops in the turn that finds it, not a second after: a relay waits for it. */
static void test_output_stops_beating_at_once(void **state) {
    (void)state;
    static _Atomic int64_t seen_ns;
    atomic_store(&seen_ns, INT64_MAX / 2);
    server_seen_ns = &seen_ns;
    add_bundle(0, "one");
    begin_line();
    const bool first = test_board_level(board, HEARTBEAT);
    while (test_board_level(board, HEARTBEAT) == first)
        sched_yield();
    atomic_store(&seen_ns, fg_clock_ns() - FG_S);
    for (int turn = 0; turn < 2; turn++)
        assert_int_equal(apply_command(FG_COMMAND_CODE, 0), FG_MODBUS_DONE);
    const bool last = test_board_level(board, HEARTBEAT);
    const int64_t end = fg_clock_ns() + 900 * FG_MS; /* nearly two beats */
    while (fg_clock_ns() < end) {
        assert_int_equal(test_board_level(board, HEARTBEAT), last);
        sched_yield();
    }
    atomic_store(&seen_ns, INT64_MAX / 2);
    while (test_board_level(board, HEARTBEAT) == last)
        sched_yield();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_counts_go_on, reset_config, end_line),
        cmocka_unit_test_setup_teardown(test_unclean_end, reset_config, end_line),
        cmocka_unit_test_setup_teardown(test_written_registers_are_awaited, reset_config, end_line),
        cmocka_unit_test_setup_teardown(test_server_that_stands_still, reset_config, end_line),
        cmocka_unit_test_setup_teardown(test_output_stops_beating_at_once, reset_config, end_line),
    };
    return cmocka_run_group_tests(tests, make_bundles, remove_folder);
}
