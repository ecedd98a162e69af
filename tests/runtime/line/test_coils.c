/* Coils, edges, counters and thresholds, on a line in this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/runtime/line/running.h"

static int make(void **state) {
    make_folder(state);
    make_bundle("one", SIDE, 4, 1);
    make_bundle("two", SIDE, 4, 2);
    return 0;
}

static void begin_one(void) {
    add_bundle(0, "one");
    begin_line();
    set_threshold(0, ALL_PASS);
}

/* Writes coils as the map asks for it, with the commands of the edges among them. */
static enum fg_modbus_exception write_coils(bool single, uint32_t written, uint32_t levels) {
    static const struct {
        enum fg_coil coil;
        enum fg_command_kind kind;
    } EDGES[] = {
        {FG_COIL_TRIGGER, FG_COMMAND_TRIGGER},
        {FG_COIL_RESULT_ACK, FG_COMMAND_RESULT_ACK},
        {FG_COIL_CLEAR_FAULT, FG_COMMAND_CLEAR_FAULT},
        {FG_COIL_RESET_COUNTERS, FG_COMMAND_RESET_COUNTERS},
    };
    struct fg_commands commands = {
        .single = single, .count = 1, .command = {{FG_COMMAND_COILS, FG_WRITTEN_COILS(written, levels)}}};
    for (size_t i = 0; i < sizeof EDGES / sizeof *EDGES; i++)
        if (written & levels & EDGES[i].coil)
            commands.command[commands.count++] = (struct fg_command){EDGES[i].kind, 0};
    const enum fg_modbus_exception exception = fg_line_apply(line, &commands);
    read_snapshot();
    return exception;
}

static void set_coil(enum fg_coil coil, bool level) {
    assert_int_equal(write_coils(true, coil, level ? coil : 0), FG_MODBUS_DONE);
}

/* ---- Edges ---- */

/* Before the PLC has written coil 0 each edge is a part that is rejected; what else it writes changes nothing
 * of it. */
static void test_edges_before_coil_0_is_written(void **state) {
    (void)state;
    config.trigger.enable_at_start = false;
    begin_one();
    WAIT(now.able);
    pulse_trigger();
    expect_result(1, FG_INOPERATIVE, FG_REASON_NOT_READY);
    assert_true(now.missed_trigger);
    set_coil(FG_COIL_CLEAR_FAULT, true);
    set_coil(FG_COIL_OFFLINE, false);
    set_coil(FG_COIL_TRIGGER, true); /* ignored, as it always is where coil 0 is 0 */
    assert_false(now.missed_trigger);
    assert_int_equal(now.counters.triggers, 1);
    pulse_trigger();
    expect_result(2, FG_INOPERATIVE, FG_REASON_NOT_READY);
    assert_int_equal(now.counters.missed_triggers, 2);
    set_coil(FG_COIL_TRIGGER_ENABLE, true);
    pulse_trigger();
    expect_result(3, FG_PASS, FG_REASON_NONE);
}

/* Once the PLC itself has forbidden them, edges make no part, whatever else is wrong. */
static void test_edges_that_the_plc_forbids(void **state) {
    (void)state;
    begin_one();
    WAIT(now.able);
    set_coil(FG_COIL_TRIGGER_ENABLE, false);
    pulse_trigger();
    set_coil(FG_COIL_TRIGGER, true); /* edges that came before a request are taken before it */
    set_coil(FG_COIL_TRIGGER_ENABLE, true);
    set_coil(FG_COIL_OFFLINE, true);
    pulse_trigger();
    set_coil(FG_COIL_TRIGGER, true);
    set_coil(FG_COIL_OFFLINE, false);
    assert_int_equal(now.counters.triggers, 0);
    assert_false(now.missed_trigger);
    trigger_part();
    expect_result(1, FG_PASS, FG_REASON_NONE);
}

/* ---- Coils that read 0 again ---- */

static void test_coils_reset(void **state) {
    (void)state;
    config.trigger.coil_resets = true;
    begin_one();
    for (uint32_t part = 1; part <= 3; part++) {
        WAIT(now.able);
        set_coil(FG_COIL_TRIGGER, true);
        assert_int_equal(now.coils, FG_COIL_TRIGGER_ENABLE);
        wait_result(part);
        set_coil(FG_COIL_RESULT_ACK, true);
        assert_false(now.result_valid);
    }
    set_coil(FG_COIL_RESET_COUNTERS, true);
    set_coil(FG_COIL_CLEAR_FAULT, true);
    assert_int_equal(now.coils, FG_COIL_TRIGGER_ENABLE);
    /* One that is ignored leaves no level either, which would swallow the next one. */
    set_coil(FG_COIL_TRIGGER_ENABLE, false);
    set_coil(FG_COIL_TRIGGER, true);
    assert_int_equal(now.coils, 0);
    /* Levels stay. */
    set_coil(FG_COIL_TRIGGER_ENABLE, true);
    set_coil(FG_COIL_OFFLINE, true);
    assert_int_equal(now.coils, FG_COIL_TRIGGER_ENABLE | FG_COIL_OFFLINE);
    set_coil(FG_COIL_OFFLINE, false);
    /* Function 15 acts by edges. */
    const uint32_t both = FG_COIL_TRIGGER_ENABLE | FG_COIL_TRIGGER;
    assert_int_equal(write_coils(false, both, both), FG_MODBUS_DONE);
    assert_int_equal(now.coils, both);
    wait_result(4);
    WAIT(now.able);
    assert_int_equal(write_coils(false, both, both), FG_MODBUS_DONE);
    assert_int_equal(now.counters.triggers, 1);
}

static void test_coils_that_do_not_reset(void **state) {
    (void)state;
    begin_one();
    WAIT(now.able);
    set_coil(FG_COIL_TRIGGER, true);
    wait_result(1);
    WAIT(now.able);
    set_coil(FG_COIL_TRIGGER, true);
    assert_int_equal(now.coils, FG_COIL_TRIGGER_ENABLE | FG_COIL_TRIGGER);
    assert_int_equal(now.counters.triggers, 1);
    set_coil(FG_COIL_TRIGGER, false);
    set_coil(FG_COIL_TRIGGER, true);
    wait_result(2);
}

/* ---- Counters ---- */

static void expect_counted(uint32_t pass, uint32_t inoperative) {
    WAIT(!now.busy);
    assert_int_equal(now.counters.pass, pass);
    assert_int_equal(now.counters.defect, 0);
    assert_int_equal(now.counters.inoperative, inoperative);
    assert_int_equal(now.counters.triggers, pass + inoperative);
}

/* Parts whose verdict is still to come are triggers of the new count, refused ones too. */
static void test_counters_reset_during_parts(void **state) {
    (void)state;
    config.trigger.queue = 2;
    config.results.buffer = true;
    begin_one();
    trigger_part();
    wait_result(1);
    close_gate();
    trigger_part();
    trigger_part();
    pulse_trigger();
    WAIT(now.counters.triggers == 4);
    set_coil(FG_COIL_RESET_COUNTERS, true);
    assert_int_equal(now.counters.triggers, 3);
    assert_int_equal(now.counters.pass + now.counters.missed_triggers, 0);
    open_gate();
    expect_counted(2, 1);
    set_coil(FG_COIL_RESET_COUNTERS, false);
    set_coil(FG_COIL_RESET_COUNTERS, true);
    expect_counted(0, 0);
}

/* Nor does a part count whose result was dropped, and with it its place. */
static void test_counters_reset_with_all_places_taken(void **state) {
    (void)state;
    begin_one();
    test_camera_plan(camera[0], TEST_DELAYED);
    trigger_part();
    for (uint32_t i = 2; i <= FG_REJECTS + 5; i++) {
        pulse_trigger();
        WAIT(now.counters.triggers == i);
    }
    assert_int_equal(now.counters.inoperative, 5);
    set_coil(FG_COIL_RESET_COUNTERS, true);
    assert_int_equal(now.counters.triggers, FG_REJECTS);
    test_camera_deliver(camera[0]);
    expect_counted(1, FG_REJECTS - 1);
}

/* ---- Thresholds ---- */

/* A change of bundles sets every view's threshold to 0, also one that waits; a part under way keeps
 * its own. */
static void test_thresholds_end_with_their_bundles(void **state) {
    (void)state;
    config.views = 2;
    for (uint32_t v = 0; v < 2; v++) {
        add_bundle(v, "one");
        add_bundle(v, "two");
        snprintf(config.view[v].name, sizeof config.view[v].name, "%u", v);
    }
    begin_line();
    set_threshold(0, ALL_PASS);
    set_threshold(1, ALL_PASS);
    close_gate();
    trigger_part();
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 1), FG_MODBUS_DONE);
    read_snapshot();
    assert_int_equal(now.holding.threshold[0] | now.holding.threshold[1], 0);
    set_threshold(1, ALL_DEFECT); /* the new bundle's */
    open_gate();
    expect_result(1, FG_PASS, FG_REASON_NONE);
    assert_true(now.result.view[1].threshold == ALL_PASS / 10000.0f);
    WAIT(now.outcome == FG_OUTCOME_DONE);
    assert_int_equal(now.holding.threshold[0], 0);
    assert_int_equal(now.holding.threshold[1], ALL_DEFECT);
    trigger_part();
    expect_result(2, FG_DEFECT, FG_REASON_NONE);
    /* Bundles that cannot be loaded change nothing: what was meant for them is forgotten. */
    snprintf(config.view[1].bundle[0], sizeof config.view[1].bundle[0], "%s/none.fgb", folder);
    close_gate();
    trigger_part();
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 0), FG_MODBUS_DONE);
    set_threshold(0, ALL_PASS);
    set_threshold(1, ALL_PASS);
    open_gate();
    WAIT(now.outcome == FG_FAULT_JOB);
    assert_int_equal(now.holding.threshold[0], 0);
    assert_int_equal(now.holding.threshold[1], ALL_DEFECT);
}

/* A threshold of the bundle in use stays within limits that change while another bundle is tried. */
static void test_limits_change_during_a_job_change(void **state) {
    (void)state;
    static struct fg_config next;
    config.threshold.max = 10;
    add_bundle(0, "one");
    add_bundle(0, "one");
    begin_line();
    WAIT(now.able);
    snprintf(config.view[0].bundle[1], sizeof config.view[0].bundle[1], "%s/none.fgb", folder);
    set_threshold(0, ALL_PASS);
    close_gate();
    trigger_part();
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 1), FG_MODBUS_DONE);
    next = config;
    next.threshold.max = 1;
    assert_int_equal(fg_line_adopt(line, &next), FG_MODBUS_DONE);
    open_gate();
    WAIT(now.outcome == FG_FAULT_JOB);
    assert_int_equal(now.holding.threshold[0], 0);
}

/* A job that could not be loaded is tried again once the fault is cleared, not by each cycle of a PLC that
 * writes its whole block; meanwhile the bundle in use judges. */
static void test_failed_job_is_asked_for_again(void **state) {
    (void)state;
    add_bundle(0, "one");
    add_bundle(0, "one");
    begin_line();
    WAIT(now.able);
    snprintf(config.view[0].bundle[1], sizeof config.view[0].bundle[1], "%s/none.fgb", folder);
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 1), FG_MODBUS_DONE);
    WAIT(now.outcome == FG_FAULT_JOB);
    snprintf(config.view[0].bundle[1], sizeof config.view[0].bundle[1], "%s/one.fgb", folder);
    for (uint32_t part = 1; part <= 3; part++) {
        assert_int_equal(apply_command(FG_COMMAND_SLOT, 1), FG_MODBUS_DONE);
        trigger_part();
        expect_result(part, FG_PASS, FG_REASON_NONE);
        assert_true(now.active_slot == 0 && now.outcome == FG_FAULT_JOB);
    }
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    WAIT(now.able);
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 1), FG_MODBUS_DONE);
    WAIT(now.outcome == FG_OUTCOME_DONE && now.active_slot == 1);
}

/* A PLC that writes its whole block in a cycle asks again for a job that could not be loaded. No load begins
 * once the end was asked for, which would wait for it. */
static void test_no_job_change_at_the_end(void **state) {
    (void)state;
    add_bundle(0, "one");
    add_bundle(0, "one");
    begin_line();
    WAIT(now.able);
    snprintf(config.view[0].bundle[1], sizeof config.view[0].bundle[1], "%s/none.fgb", folder);
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 1), FG_MODBUS_DONE);
    WAIT(now.outcome == FG_FAULT_JOB);
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    WAIT(now.able && !now.fault);                                        /* the cameras are tested again */
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 1), FG_MODBUS_DONE); /* it is tried again */
    WAIT(now.fault);
    close_gate();
    trigger_part();
    fg_event_signal(run.stop);
    WAIT(now.updating);
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 1),
                     FG_MODBUS_DONE); /* its block has other registers too */
    assert_int_equal(read_snapshot()->outcome, FG_FAULT_JOB);
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 0), FG_MODBUS_BUSY);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, reset_config, end_line)
    const struct CMUnitTest tests[] = {
        TEST(test_edges_before_coil_0_is_written),
        TEST(test_edges_that_the_plc_forbids),
        TEST(test_coils_reset),
        TEST(test_coils_that_do_not_reset),
        TEST(test_counters_reset_during_parts),
        TEST(test_counters_reset_with_all_places_taken),
        TEST(test_thresholds_end_with_their_bundles),
        TEST(test_limits_change_during_a_job_change),
        TEST(test_failed_job_is_asked_for_again),
        TEST(test_no_job_change_at_the_end),
    };
    return cmocka_run_group_tests(tests, make, remove_folder);
}
