/* flawgated from the outside: edges in, verdicts over Modbus, rejects on an io, jobs, faults and ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "tests/runtime/daemon/appliance.h"

static int make_bundles(void **state) {
    make_folder(state);
    make_bundle("one", SIDE, 4, 1);
    make_bundle("two", SIDE, 4, 2);
    make_bundle("slow", 512, 8, 3);
    make_drifting_bundle("one", "low", 1000);
    return 0;
}

/* A part by the hardware io; a defect is rejected at trigger + delay for the pulse's width, a good part is
 * left alone. */
static void test_verdicts_and_rejects(void **state) {
    (void)state;
    start_appliance("one.fgb, two.fgb",
                    "}\n" TRIGGERS REJECT "deadline_ms = 2000\nreject { delay_ms = 2000 pulse_ms = 20 }\n");
    wait_bit(READY, true);
    write_holding(1, ALL_PASS);
    pulse_trigger();
    struct block block = wait_result(1);
    assert_int_equal(block.verdict, FG_PASS);
    assert_int_equal(block.w, 0);
    assert_true(read_status_bit(PASS));
    write_holding(1, ALL_DEFECT);
    wait_bit(READY, true);
    const int64_t trigger = pulse_trigger();
    block = wait_result(2);
    assert_int_equal(block.verdict, FG_DEFECT);
    assert_true(block.w > 0 && block.h > 0);
    assert_true(block.score > ALL_DEFECT);
    const struct fg_simulated_change on = wait_change("REJECT"), off = wait_change("REJECT");
    assert_true(on.level && !off.level);
    assert_true(on.time_ns >= trigger + 2000 * FG_MS);
    assert_true(off.time_ns >= trigger + 2020 * FG_MS);
    assert_int_equal(read_input_u32(48), 2);
    assert_int_equal(read_input_u32(50), 1);
    assert_int_equal(read_input_u32(52), 1);
    assert_int_equal(read_input_u32(42), 2);
    stop_appliance();
}

static void test_trigger_by_coil(void **state) {
    (void)state;
    start_appliance("one.fgb", "}\n" PATIENT);
    assert_false(read_status_bit(READY)); /* triggers are not enabled */
    pulse_coil(1);
    assert_int_equal(read_input_u32(48), 0);
    write_coil(0, false);
    pulse_trigger();
    assert_int_equal(read_input_u32(48), 0);
    write_coil(0, true);
    wait_bit(READY, true);
    write_coil(1, true);
    assert_int_equal(wait_result(1).reason, 0);
    write_coil(1, false);
    assert_int_equal(read_input_u32(48), 1);
    write_coil(4, true); /* offline */
    assert_false(read_status_bit(READY) || read_status_bit(0));
    pulse_trigger();
    pulse_coil(1);
    assert_int_equal(read_input_u32(48), 1);
    assert_false(read_status_bit(MISSED));
    stop_appliance();
}

static void test_bounce_makes_no_part(void **state) {
    (void)state;
    start_appliance("one.fgb", "}\ntrigger { enable_at_start = true min_interval_ms = 60000 }\n" PATIENT);
    pulse_trigger();
    pulse_trigger();
    pulse_trigger();
    assert_int_equal(wait_result(1).id, 1);
    assert_int_equal(read_input_u32(48), 1);
    assert_int_equal(read_input_u32(56), 0);
    stop_appliance();
}

/* Past the deadline the part is INOPERATIVE, its late verdict is thrown away, and a part meanwhile is refused
 * but rejected like any. */
static void test_deadline(void **state) {
    (void)state;
    start_appliance("slow.fgb", "}\n" TRIGGERS REJECT "deadline_ms = 1\nreject { delay_ms = 50 }\n");
    wait_bit(READY, true);
    pulse_trigger();
    struct block block = wait_result(1);
    assert_int_equal(block.verdict, FG_INOPERATIVE);
    assert_int_equal(block.reason, FG_REASON_DEADLINE);
    assert_int_equal(block.score, UINT32_MAX);
    assert_false(read_status_bit(READY));
    assert_int_equal(modbus_write_bit(plc, 1, true), -1);
    assert_int_equal(errno, EMBXSBUSY);
    assert_true(read_status_bit(MISSED));
    assert_int_equal(read_input_u32(48), 1);
    pulse_trigger();
    block = wait_result(2);
    assert_int_equal(block.reason, FG_REASON_NOT_READY);
    assert_true(wait_change("REJECT").level);
    wait_bit(READY, true); /* the late judgement has ended */
    assert_int_equal(read_block().id, 2);
    assert_int_equal(read_input_u32(54), 2);
    assert_int_equal(read_input_u32(50) + read_input_u32(52), 0);
    assert_int_equal(read_input_u32(56), 2);
    stop_appliance();
}

#define HURRIED 8 /* parts during one job change; all of a test's fit into the reject queue */

/* Every part so far has its verdict. */
static void wait_verdicts(uint32_t parts) {
    const int64_t end = fg_clock_ns() + PATIENCE;
    while (read_input_u32(50) + read_input_u32(52) + read_input_u32(54) != parts)
        if (fg_clock_ns() > end)
            fail_msg("%u triggers of %u, verdicts %u pass, %u defect, %u inoperative", read_input_u32(48),
                     parts, read_input_u32(50), read_input_u32(52), read_input_u32(54));
}

/* The slot changes between parts; each verdict names the slot that gave it; every edge is a part. */
static void test_job_change_under_triggers(void **state) {
    (void)state;
    start_appliance("one.fgb, two.fgb", "}\n" ENABLED "missed_reject = count\n");
    wait_bit(READY, true);
    uint32_t parts = 0;
    for (int change = 0; change < 4; change++) {
        const uint16_t slot = change % 2 ? 0 : 1;
        pulse_trigger();
        parts++;
        const uint16_t block[] = {slot, ALL_PASS};
        assert_int_equal(modbus_write_registers(plc, 0, 2, block), 2);
        uint16_t seen_at_once[45]; /* the change may end between two requests */
        assert_int_equal(modbus_read_input_registers(plc, 0, 45, seen_at_once), 45);
        assert_true(seen_at_once[44] == slot || !(seen_at_once[0] >> READY & 1));
        int hurried = 0;
        do { /* a PLC that repeats its block, and a machine that does not wait */
            assert_int_equal(modbus_write_registers(plc, 0, 2, block), 2);
            if (hurried++ >= HURRIED)
                continue;
            pulse_trigger();
            parts++;
        } while (read_input(45) == FG_OUTCOME_RUNNING);
        assert_int_equal(read_input(45), FG_OUTCOME_DONE);
        assert_int_equal(read_input(44), slot);
        wait_verdicts(parts);
        wait_bit(READY, true);
        pulse_trigger();
        const struct block result = wait_result(++parts);
        assert_int_equal(result.slot, slot);
        assert_int_equal(result.verdict, FG_PASS);
    }
    assert_int_equal(read_input_u32(48), parts);
    assert_int_equal(read_input_u32(50) + read_input_u32(52) + read_input_u32(54), parts);
    stop_appliance();
}

/* A bundle that was good at the start and is damaged when it is wanted: the old one stays in use. */
static void test_job_change_that_fails(void **state) {
    (void)state;
    char from[128], to[128];
    snprintf(from, sizeof from, "%s/two.fgb", folder);
    snprintf(to, sizeof to, "%s/gone.fgb", folder);
    assert_int_equal(link(from, to), 0);
    start_appliance("one.fgb, gone.fgb", "}\n" ENABLED);
    wait_bit(READY, true);
    assert_int_equal(unlink(to), 0);
    write_holding(0, 1);
    wait_bit(FAULT, true);
    assert_true(read_input(45) >= 16);
    assert_int_equal(read_input(44), 0);
    assert_true(read_status_bit(13)); /* degraded */
    wait_bit(READY, true);
    pulse_trigger();
    assert_int_equal(wait_result(1).slot, 0);
    write_holding(0, 0);
    assert_int_equal(read_input(45), FG_OUTCOME_DONE);
    assert_false(read_status_bit(13));
    stop_appliance();
}

static void test_self_test(void **state) {
    (void)state;
    start_appliance("one.fgb", "}\n" ENABLED);
    wait_bit(READY, true);
    write_holding(2, 1);
    write_coil(6, true);
    while (read_input(45) == FG_OUTCOME_RUNNING)
        ;
    assert_int_equal(read_input(45), FG_OUTCOME_DONE);
    stop_appliance();
}

static void test_results_wait_for_acknowledgement(void **state) {
    (void)state;
    start_appliance("one.fgb", "}\n" ENABLED "results { buffer = true }\n");
    for (uint16_t i = 0; i < 3; i++) {
        wait_bit(READY, true);
        pulse_trigger();
        while (read_input_u32(42) != i + 1u || read_status_bit(BUSY))
            ;
        assert_int_equal(read_input(8), i);
    }
    for (uint32_t i = 1; i <= 3; i++) {
        assert_true(read_status_bit(RESULT_VALID));
        assert_int_equal(read_block().id, i);
        pulse_coil(2);
    }
    assert_false(read_status_bit(RESULT_VALID));
    stop_appliance();
}

/* The last picture was shown: the camera fails, the part is INOPERATIVE, the fault stays until it is cleared.
 */
static void test_camera_without_pictures(void **state) {
    (void)state;
    start_appliance("one.fgb", "cycle = false }\n" ENABLED);
    for (uint32_t i = 1; i <= PICTURES; i++) {
        wait_bit(READY, true);
        pulse_trigger();
        assert_int_equal(wait_result(i).reason, 0);
    }
    wait_bit(READY, true);
    pulse_trigger();
    assert_int_equal(wait_result(PICTURES + 1).reason, FG_REASON_NO_FRAME);
    assert_true(read_status_bit(FAULT));
    assert_true(wait_change("FAULT").level);
    assert_int_equal(read_input_u32(60), 1);
    pulse_coil(3);
    assert_false(read_status_bit(FAULT));
    assert_int_equal(read_input(1), 0);
    assert_false(wait_change("FAULT").level);
    stop_appliance();
}

/* The scores of good parts are higher than those of the calibration: registers and log say so until coil 3,
 * and the line goes on. */
static void test_drift(void **state) {
    (void)state;
    start_appliance("low.fgb", "}\n" ENABLED);
    wait_bit(READY, true);
    write_holding(1, ALL_PASS);
    assert_int_equal(read_input(75), FG_DRIFT_AS_CALIBRATED);
    for (uint32_t part = 1; read_input(75) != FG_DRIFT_DRIFTED; part++) {
        assert_true(part < 64 && read_input(74) < 5000);
        wait_bit(READY, true);
        pulse_trigger();
        assert_int_equal(wait_result(part).verdict, FG_PASS);
    }
    wait_log("drift: the scores of good parts have risen");
    assert_true(read_input(74) >= 5000);
    assert_false(read_status_bit(FAULT));
    wait_bit(READY, true);
    pulse_coil(3);
    assert_int_equal(read_input(75), FG_DRIFT_AS_CALIBRATED);
    assert_int_equal(read_input(74), 0);
    wait_log("drift: the watch begins anew");
    stop_appliance();
}

/* The PLC names the slot, even the one in use, before anything is judged. */
static void test_job_required(void **state) {
    (void)state;
    start_appliance("one.fgb", "}\n" ENABLED "job { require = true }\n");
    assert_false(read_status_bit(READY));
    pulse_trigger();
    assert_int_equal(wait_result(1).reason, FG_REASON_NOT_READY);
    write_holding(0, 0);
    wait_bit(READY, true);
    pulse_trigger();
    assert_int_equal(wait_result(2).reason, 0);
    stop_appliance();
}

static void test_inoperative_stops_the_line(void **state) {
    (void)state;
    start_appliance("slow.fgb", "}\n" TRIGGERS REJECT
                                "deadline_ms = 1\nreject { delay_ms = 50 }\non_inoperative = stop\n");
    wait_bit(READY, true);
    pulse_trigger();
    wait_bit(FAULT, true);
    assert_int_equal(wait_result(1).reason, FG_REASON_DEADLINE);
    assert_false(read_status_bit(0));
    /* The part itself is rejected, by a whole pulse. */
    const struct fg_simulated_change on = wait_change("REJECT"), off = wait_change("REJECT");
    assert_true(on.level && !off.level && off.time_ns - on.time_ns >= 10 * FG_MS);
    while (fg_simulated_level(board, find_io("READY")))
        wait_change("READY");
    pulse_coil(3);
    wait_bit(READY, true);
    stop_appliance();
}

/* A trigger and a self-test in one request: both or none. */
static void test_trigger_and_command_at_once(void **state) {
    (void)state;
    start_appliance("one.fgb", "}\n" ENABLED);
    wait_bit(READY, true);
    write_holding(2, 1);
    const uint8_t coils[] = {1, 0, 0, 0, 0, 1}; /* 1 to 6 */
    assert_int_equal(modbus_write_bits(plc, 1, 6, coils), -1);
    assert_int_equal(errno, EMBXSBUSY);
    assert_int_equal(read_input_u32(48), 0);
    assert_true(read_status_bit(READY));
    write_coil(1, true);
    assert_int_equal(wait_result(1).reason, 0);
    stop_appliance();
}

/* 64 parts are on their way to the reject point: the line is not ready, and one that comes all the same is a
 * part without verdict and a missed reject. */
static void test_missed_reject_stops_the_line(void **state) {
    (void)state;
    start_appliance("one.fgb", "}\n" TRIGGERS REJECT "deadline_ms = 20000\nreject { delay_ms = 600000 }\n");
    for (uint32_t part = 1; part <= 64; part++) {
        wait_bit(READY, true);
        pulse_trigger();
        assert_int_equal(wait_result(part).reason, 0);
    }
    assert_false(read_status_bit(READY) || read_status_bit(FAULT));
    assert_int_equal(modbus_write_bit(plc, 1, true), -1);
    assert_int_equal(errno, EMBXSBUSY);
    assert_int_equal(read_input_u32(48), 64);
    pulse_trigger();
    assert_int_equal(wait_result(65).reason, FG_REASON_NOT_READY);
    assert_true(read_status_bit(FAULT));
    assert_int_equal(read_input(1), 18);
    assert_false(read_status_bit(0));
    assert_int_equal(read_input_u32(58), 1);
    stop_appliance();
}

static void test_heartbeat(void **state) {
    (void)state;
    start_appliance("one.fgb", "}\n");
    const struct fg_simulated_change first = wait_change("HEARTBEAT"), second = wait_change("HEARTBEAT");
    assert_int_not_equal(first.level, second.level);
    wait_bit(15, true);
    wait_bit(15, false);
    stop_appliance();
}

/* SIGTERM in the middle of a part: it still gets its verdict. */
static void test_end_finishes_the_part(void **state) {
    (void)state;
    start_appliance("slow.fgb", "}\n" TRIGGERS "deadline_ms = 60000\nreject { delay_ms = 60000 }\n");
    wait_bit(READY, true);
    pulse_trigger();
    while (read_input_u32(42) != 1)
        ;
    kill(appliance, SIGTERM);
    wait_log("part 1: ");
    assert_int_equal(wait_end(appliance), 0);
    close_connections();
}

static void test_plc_watchdog_stops_the_line(void **state) {
    (void)state;
    start_appliance("one.fgb", "}\n" ENABLED "plc_watchdog_ms = 2000\n");
    /* It is watched from its first change on; until then the line is not ready, which is no fault. */
    assert_false(read_status_bit(READY) || read_status_bit(FAULT));
    write_holding(3, 0);
    assert_false(read_status_bit(READY));
    write_holding(3, 1);
    assert_true(read_status_bit(READY));
    wait_bit(FAULT, true);
    assert_int_equal(read_input(1), FG_FAULT_WATCHDOG);
    assert_false(read_status_bit(READY) || read_status_bit(0));
    pulse_coil(3);
    assert_true(read_status_bit(READY));
    stop_appliance();
}

/* An active-low reject, whose released state rejects: inverted on the wire, and safe at the end. */
static void test_end_leaves_outputs_safe(void **state) {
    (void)state;
    start_appliance("one.fgb", "}\n" ENABLED
                               "line reject { name = REJECT active_low = true }\nfail_safe = reject-all\n");
    while (!fg_simulated_level(board, find_io("REJECT")) || !fg_simulated_level(board, find_io("READY")))
        wait_change("READY");
    kill(appliance, SIGTERM);
    assert_int_equal(wait_end(appliance), 0);
    expect_released();
    close_connections();
}

/* While the line is halted everything is rejected, and the PLC is told so. */
static void test_halt_rejects_all(void **state) {
    (void)state;
    start_appliance("one.fgb",
                    "}\n" ENABLED "line reject { name = REJECT active_low = true }\nfail_safe = reject-all\n"
                    "plc_watchdog_ms = 2000\n");
    assert_false(read_status_bit(14));
    write_holding(3, 1);
    wait_bit(FAULT, true);
    wait_bit(14, true);
    assert_false(fg_simulated_level(board, find_io("REJECT"))); /* the wire */
    assert_false(fg_simulated_level(board, find_io("READY")));
    pulse_coil(3);
    wait_bit(14, false);
    stop_appliance();
}

/* systemd and an operator may both end it, more than once. */
static void test_ended_more_than_once(void **state) {
    (void)state;
    for (int round = 0; round < 8; round++) {
        start_appliance("one.fgb", "}\n" ENABLED);
        siginfo_t gone = {0};
        do {
            kill(appliance, round % 2 ? SIGTERM : SIGINT);
            waitid(P_PID, (id_t)appliance, &gone, WEXITED | WNOHANG | WNOWAIT);
        } while (!gone.si_pid);
        assert_int_equal(wait_end(appliance), 0);
        close_connections();
    }
}

static void test_crash_leaves_outputs_safe(void **state) {
    (void)state;
    start_appliance("one.fgb", "}\n" ENABLED);
    while (!fg_simulated_level(board, find_io("READY")))
        wait_change("READY");
    kill(appliance, SIGSEGV);
    assert_int_equal(wait_end(appliance), 128 + SIGSEGV);
    expect_released();
    close_connections();
}

/* SIGKILL leaves the outputs as they are; the unit's ExecStopPost= makes them safe. */
static void test_safe_after_kill(void **state) {
    (void)state;
    start_appliance("one.fgb", "}\n" ENABLED);
    while (!fg_simulated_level(board, find_io("READY")))
        wait_change("READY");
    kill(appliance, SIGKILL);
    assert_int_equal(wait_end(appliance), 128 + SIGKILL);
    assert_true(fg_simulated_level(board, find_io("READY")));
    char path[128];
    snprintf(path, sizeof path, "%s/line.conf", folder);
    assert_int_equal(wait_end(spawn_program("flawgate", "line", path, "--safe", -1)), 0);
    expect_released();
    close_connections();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_verdicts_and_rejects, kill_appliance),
        cmocka_unit_test_teardown(test_trigger_by_coil, kill_appliance),
        cmocka_unit_test_teardown(test_bounce_makes_no_part, kill_appliance),
        cmocka_unit_test_teardown(test_deadline, kill_appliance),
        cmocka_unit_test_teardown(test_job_change_under_triggers, kill_appliance),
        cmocka_unit_test_teardown(test_job_change_that_fails, kill_appliance),
        cmocka_unit_test_teardown(test_self_test, kill_appliance),
        cmocka_unit_test_teardown(test_results_wait_for_acknowledgement, kill_appliance),
        cmocka_unit_test_teardown(test_camera_without_pictures, kill_appliance),
        cmocka_unit_test_teardown(test_drift, kill_appliance),
        cmocka_unit_test_teardown(test_job_required, kill_appliance),
        cmocka_unit_test_teardown(test_inoperative_stops_the_line, kill_appliance),
        cmocka_unit_test_teardown(test_trigger_and_command_at_once, kill_appliance),
        cmocka_unit_test_teardown(test_missed_reject_stops_the_line, kill_appliance),
        cmocka_unit_test_teardown(test_heartbeat, kill_appliance),
        cmocka_unit_test_teardown(test_end_finishes_the_part, kill_appliance),
        cmocka_unit_test_teardown(test_plc_watchdog_stops_the_line, kill_appliance),
        cmocka_unit_test_teardown(test_end_leaves_outputs_safe, kill_appliance),
        cmocka_unit_test_teardown(test_halt_rejects_all, kill_appliance),
        cmocka_unit_test_teardown(test_ended_more_than_once, kill_appliance),
        cmocka_unit_test_teardown(test_crash_leaves_outputs_safe, kill_appliance),
        cmocka_unit_test_teardown(test_safe_after_kill, kill_appliance),
    };
    return cmocka_run_group_tests(tests, make_bundles, remove_folder);
}
