/* The states: the table against what line.md says of it, each transition on a running line, and what is shown
 * in each state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/line/states.h"
#include "tests/runtime/line/running.h"

#define FACTS 32 /* sets of facts */

static int make(void **state) {
    make_folder(state);
    make_bundle("one", SIDE, 4, 1);
    make_bundle("two", SIDE, 4, 2);
    return 0;
}

/* ---- The table ---- */

/* Where a line ends up that is in no particular state, by the facts alone. */
static enum fg_state expect_state(uint32_t facts) {
    if (facts & FG_FACT_STOPPED)
        return FG_STATE_ERROR;
    if (!(facts & FG_FACT_SERVING))
        return FG_STATE_PREOPERATIONAL;
    if (facts & FG_FACT_BUSY)
        return FG_STATE_SINGLE_EXECUTION;
    if (facts & FG_FACT_LEAVING)
        return FG_STATE_HALTED;
    return facts & FG_FACT_READY ? FG_STATE_READY : FG_STATE_INITIALIZED;
}

/* Facts that cannot be in a state: serving does not end, and no part is made while the line is halted by
 * offline. */
static bool can_be(enum fg_state from, uint32_t facts) {
    const bool began = from != FG_STATE_PREOPERATIONAL && from != FG_STATE_ERROR;
    return (!began || facts & FG_FACT_SERVING) &&
           !(from == FG_STATE_HALTED && facts & FG_FACT_BUSY && facts & FG_FACT_LEAVING);
}

static void test_every_state_with_all_facts(void **state) {
    (void)state;
    for (enum fg_state from = 0; from < FG_STATE_COUNT; from++)
        for (uint32_t facts = 0; facts < FACTS; facts++)
            if (can_be(from, facts))
                assert_int_equal(fg_state_settle(from, facts), expect_state(facts));
}

/* None is hidden behind an earlier one of its state. */
static void test_every_transition_is_taken(void **state) {
    (void)state;
    uint32_t count;
    const struct fg_transition *t = fg_transitions(&count);
    for (uint32_t i = 0; i < count; i++) {
        bool taken = false;
        for (uint32_t facts = 0; facts < FACTS; facts++)
            taken |= can_be(t[i].from, facts) && fg_state_step(t[i].from, facts) == t[i].to;
        assert_true(taken);
    }
}

/* ---- A running line ---- */

static bool is_as(enum fg_shown shown, bool seen) {
    return shown == FG_SHOWN_EITHER || seen == (shown == FG_SHOWN_1);
}

static void wait_ready_output(bool level) {
    const int64_t patience_ends = fg_clock_ns() + PATIENCE;
    while (test_board_level(board, READY_OUT) != level) {
        assert_true(fg_clock_ns() < patience_ends);
        sched_yield();
    }
}

/* Waits for a state, in which everything is as the table says. */
static void expect(enum fg_state state) {
    WAIT(now.state == state);
    const struct fg_state_row *row = &fg_states[state];
    const bool enabled = now.coils & FG_COIL_TRIGGER_ENABLE;
    const bool trigger_ready = now.able && enabled && !(now.coils & FG_COIL_OFFLINE);
    assert_true(is_as(row->online, now.online));
    assert_true(is_as(row->trigger_ready, trigger_ready));
    assert_true(is_as(row->busy, now.busy));
    assert_true(is_as(row->fault, now.fault));
    wait_ready_output(enabled && now.online && (trigger_ready || now.busy));
}

static void set_coil(enum fg_coil coil, bool level) {
    assert_int_equal(apply_command(FG_COMMAND_COILS, FG_WRITTEN_COILS(coil, level ? coil : 0)),
                     FG_MODBUS_DONE);
}

static void clear_fault(void) {
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
}

static void begin_one(void) {
    add_bundle(0, "one");
    add_bundle(0, "two");
    begin_line();
    set_threshold(0, ALL_PASS);
}

/* READY, a part, READY; disabled and enabled; offline and back, during a part too. */
static void test_operation(void **state) {
    (void)state;
    begin_one();
    expect(FG_STATE_READY);
    close_gate();
    pulse_trigger();
    expect(FG_STATE_SINGLE_EXECUTION);
    set_coil(FG_COIL_TRIGGER_ENABLE, false); /* the output ready is 0, though a part is under way */
    expect(FG_STATE_SINGLE_EXECUTION);
    set_coil(FG_COIL_TRIGGER_ENABLE, true);
    open_gate();
    wait_result(1);
    expect(FG_STATE_READY);
    set_coil(FG_COIL_TRIGGER_ENABLE, false);
    expect(FG_STATE_INITIALIZED);
    set_coil(FG_COIL_OFFLINE, true);
    expect(FG_STATE_HALTED);
    set_coil(FG_COIL_OFFLINE, false);
    expect(FG_STATE_INITIALIZED);
    /* Enabled and triggered by one write. */
    const uint32_t both = FG_COIL_TRIGGER_ENABLE | FG_COIL_TRIGGER;
    const struct fg_commands commands = {
        .count = 2, .command = {{FG_COMMAND_COILS, FG_WRITTEN_COILS(both, both)}, {FG_COMMAND_TRIGGER, 0}}};
    close_gate();
    assert_int_equal(fg_line_apply(line, &commands), FG_MODBUS_DONE);
    expect(FG_STATE_SINGLE_EXECUTION);
    set_coil(FG_COIL_OFFLINE, true); /* the part is finished first */
    expect(FG_STATE_SINGLE_EXECUTION);
    open_gate();
    expect(FG_STATE_HALTED);
    wait_result(2);
    set_coil(FG_COIL_OFFLINE, false);
    expect(FG_STATE_READY);
    set_coil(FG_COIL_OFFLINE, true);
    expect(FG_STATE_HALTED);
    /* A job change, offline. */
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 1), FG_MODBUS_DONE);
    WAIT(now.outcome == FG_OUTCOME_DONE);
    expect(FG_STATE_HALTED);
    set_coil(FG_COIL_OFFLINE, false);
    expect(FG_STATE_READY);
}

/* With a queue the next part can be taken while one is judged. */
static void test_operation_with_a_queue(void **state) {
    (void)state;
    config.trigger.queue = 2;
    config.results.buffer = true;
    begin_one();
    close_gate();
    trigger_part();
    WAIT(now.exposure_complete && now.able);
    expect(FG_STATE_SINGLE_EXECUTION);
    trigger_part();
    WAIT(!now.able);
    expect(FG_STATE_SINGLE_EXECUTION);
    open_gate();
    expect(FG_STATE_READY);
}

/* The PLC's watchdog stands still: from READY, from INITIALIZED, from HALTED and during a part. */
static void expect_stop(void) {
    expect(FG_STATE_ERROR);
    assert_int_equal(now.error, FG_FAULT_WATCHDOG);
}

static void test_stops(void **state) {
    (void)state;
    config.plc_watchdog_ms = 200;
    begin_one();
    expect(FG_STATE_INITIALIZED); /* until it has changed */
    assert_int_equal(apply_command(FG_COMMAND_WATCHDOG, 1), FG_MODBUS_DONE);
    expect_stop();
    set_coil(FG_COIL_TRIGGER_ENABLE, false);
    clear_fault();
    expect_stop();
    set_coil(FG_COIL_OFFLINE, true);
    clear_fault();
    expect_stop();
    set_coil(FG_COIL_OFFLINE, false);
    set_coil(FG_COIL_TRIGGER_ENABLE, true);
    close_gate();
    do {
        clear_fault();
        apply_command(FG_COMMAND_TRIGGER, 0);
    } while (!read_snapshot()->counters.triggers);
    expect_stop();
    assert_true(now.busy);
    open_gate();
    expect_result(1, FG_PASS, FG_REASON_NONE);
    expect(FG_STATE_ERROR);
}

/* A camera that is gone: no stop, but no trigger is taken either. */
static void test_not_ready(void **state) {
    (void)state;
    begin_one();
    expect(FG_STATE_READY);
    test_camera_vanish(camera[0]);
    expect(FG_STATE_INITIALIZED);
    test_camera_return(camera[0]);
    expect(FG_STATE_READY);
    assert_true(now.fault);
    clear_fault();
    expect(FG_STATE_READY);
    assert_false(now.degraded);
}

/* While the first bundle is loaded, edges are parts that are rejected, and a fault stops the line as ever. */
static void test_start(void **state) {
    (void)state;
    close_gate(); /* the load's self-test waits */
    add_bundle(0, "one");
    launch_line(false);
    expect(FG_STATE_PREOPERATIONAL);
    pulse_trigger();
    expect_result(1, FG_INOPERATIVE, FG_REASON_NOT_READY);
    test_board_break(board, HEARTBEAT, true);
    expect(FG_STATE_ERROR);
    assert_int_equal(now.error, FG_FAULT_OUTPUT);
    test_board_break(board, HEARTBEAT, false);
    clear_fault();
    expect(FG_STATE_PREOPERATIONAL);
    set_coil(FG_COIL_OFFLINE, true); /* HALTED only once the start is over */
    expect(FG_STATE_PREOPERATIONAL);
    open_gate();
    expect(FG_STATE_HALTED);
    set_coil(FG_COIL_OFFLINE, false);
    expect(FG_STATE_READY);
}

/* on_inoperative = pass lets parts without a verdict pass, which a person should know. */
static void test_pass_is_degraded(void **state) {
    (void)state;
    config.on_inoperative = FG_INOPERATIVE_PASS;
    begin_one();
    assert_true(read_snapshot()->degraded);
    expect(FG_STATE_READY);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, reset_config, end_line)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_state_with_all_facts),
        cmocka_unit_test(test_every_transition_is_taken),
        TEST(test_operation),
        TEST(test_operation_with_a_queue),
        TEST(test_stops),
        TEST(test_not_ready),
        TEST(test_start),
        TEST(test_pass_is_degraded),
    };
    return cmocka_run_group_tests(tests, make, remove_folder);
}
