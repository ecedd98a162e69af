/* flawgated as a PLC sees it: edges at the start, the order of results, coils that reset, thresholds, faults
 * and the log of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/runtime/daemon/appliance.h"

static int make_bundles(void **state) {
    make_folder(state);
    make_bundle("one", SIDE, 4, 1);
    make_bundle("two", SIDE, 4, 2);
    make_bundle("slow", 512, 8, 3);
    return 0;
}

/* After a start that does not enable triggers, what passes is rejected until the PLC has had its say: by the
 * program, at the reject point, with a whole pulse. */
static void test_edges_before_the_plc_is_there(void **state) {
    (void)state;
    start_appliance("one.fgb", "}\n" REJECT "trigger { min_interval_ms = 0 }\n"
                               "deadline_ms = 100\nreject { delay_ms = 200 }\n");
    const int64_t trigger = pulse_trigger();
    const struct block block = wait_result(1);
    assert_int_equal(block.verdict, FG_INOPERATIVE);
    assert_int_equal(block.reason, FG_REASON_NOT_READY);
    assert_true(read_status_bit(MISSED));
    assert_false(read_status_bit(READY));
    const struct fg_simulated_change on = wait_change("REJECT"), off = wait_change("REJECT");
    assert_true(on.level && on.time_ns >= trigger + 200 * FG_MS && off.time_ns - on.time_ns >= 10 * FG_MS);
    assert_int_equal(read_input_u32(56), 1);
    assert_int_equal(read_input_u32(54), 1);
    write_coil(0, true);
    wait_bit(READY, true);
    stop_appliance();
}

/* Every result of parts that came while one was judged, in the order of their triggers. */
static void test_results_in_the_order_of_triggers(void **state) {
    (void)state;
    start_appliance("slow.fgb", "}\n" ENABLED "results { buffer = true }\n");
    for (uint32_t pair = 0; pair < 4; pair += 2) {
        wait_bit(READY, true);
        pulse_trigger();
        pulse_trigger(); /* while the first one is judged */
        while (read_input_u32(54) != pair / 2 + 1)
            ;
        for (uint32_t id = pair + 1; id <= pair + 2; id++) {
            const struct block block = wait_result(id);
            assert_int_equal(block.reason, id % 2 ? FG_REASON_NONE : FG_REASON_NOT_READY);
            pulse_coil(2);
        }
        assert_false(read_status_bit(RESULT_VALID));
    }
    stop_appliance();
}

/* A threshold was for the bundle in use: on the next one the PLC's old limit lets no defect pass. */
static void test_threshold_ends_with_its_bundle(void **state) {
    (void)state;
    start_appliance("one.fgb, two.fgb", "}\n" ENABLED);
    wait_bit(READY, true);
    write_holding(1, ALL_PASS);
    uint16_t threshold[2];
    write_holding(0, 1);
    wait_bit(READY, true);
    assert_int_equal(read_input(44), 1);
    assert_int_equal(modbus_read_registers(plc, 16, 2, threshold), 2);
    assert_int_equal(threshold[0] | threshold[1], 0);
    pulse_trigger();
    wait_result(1);
    assert_true(read_input_u32(22) < ALL_PASS);
    /* The slot in use, written again, is no change; a threshold that comes with its slot is that bundle's. */
    write_holding(1, ALL_DEFECT);
    write_holding(0, 1);
    assert_int_equal(modbus_read_registers(plc, 1, 1, threshold), 1);
    assert_int_equal(threshold[0], ALL_DEFECT);
    const uint16_t block[] = {0, ALL_PASS};
    assert_int_equal(modbus_write_registers(plc, 0, 2, block), 2);
    wait_bit(READY, true);
    assert_int_equal(modbus_read_registers(plc, 1, 1, threshold), 1);
    assert_int_equal(threshold[0], ALL_PASS);
    stop_appliance();
}

/* A PLC that writes 1 by function 5 again and again triggers each time; by function 15 only an edge does. */
static void test_coils_reset_themselves(void **state) {
    (void)state;
    start_appliance("one.fgb", "}\n" ENABLED);
    uint8_t level = 1;
    for (uint32_t part = 1; part <= 3; part++) {
        wait_bit(READY, true);
        write_coil(1, true);
        wait_result(part);
        assert_int_equal(modbus_read_bits(plc, 1, 1, &level), 1);
        assert_int_equal(level, 0);
    }
    for (int round = 0; round < 2; round++) {
        wait_bit(READY, true);
        level = 1;
        assert_int_equal(modbus_write_bits(plc, 1, 1, &level), 1);
        wait_result(4);
        assert_int_equal(modbus_read_bits(plc, 1, 1, &level), 1);
        assert_int_equal(level, 1);
    }
    assert_int_equal(read_input_u32(48), 4);
    write_holding(2, 1);
    write_coil(6, true);
    assert_int_equal(modbus_read_bits(plc, 6, 1, &level), 1);
    assert_int_equal(level, 0);
    stop_appliance();
}

/* The second fault and those after it are logged like the first, and so is their end; what stops the line,
 * and what releases it, has a line of its own. */
static void test_every_fault_is_logged(void **state) {
    (void)state;
    start_appliance("one.fgb", "cycle = false }\n" TRIGGERS REJECT
                               "deadline_ms = 2000\nreject { delay_ms = 2000 }\non_inoperative = stop\n");
    for (uint32_t i = 1; i <= PICTURES + 1; i++) {
        wait_bit(READY, true);
        pulse_trigger();
        wait_result(i);
    }
    wait_log("fault 16: ");
    assert_int_equal(read_input(1), FG_FAULT_CAMERA);
    wait_log("fault 19: ");
    wait_log("line stopped, because on_inoperative = stop met a part");
    wait_bit(0, false);
    assert_int_equal(read_input(1), FG_FAULT_CAMERA);
    pulse_coil(3);
    wait_log("fault 16 is cleared");
    wait_log("fault 19 is cleared");
    wait_log("line released");
    assert_int_equal(read_input(1), 0);
    write_coil(4, true);
    wait_log("state HALTED"); /* what a write does comes before its answer, and that before its line */
    wait_log("changed coil 4 (offline) from 0 to 1");
    write_coil(4, false);
    wait_log("state OPERATIONAL: READY");
    wait_log("changed coil 4 (offline) from 1 to 0");
    stop_appliance();
}

/* Parts that take longer to judge than they may are known before the first one comes. */
static void test_judging_time_is_logged(void **state) {
    (void)state;
    start_appliance("slow.fgb, one.fgb", "}\n" TRIGGERS "deadline_ms = 1\nreject { delay_ms = 50 }\n");
    wait_log("to judge, but deadline_ms less exposure is");
    stop_appliance();
    start_appliance("one.fgb, slow.fgb", "}\n" ENABLED);
    wait_log("to judge, and deadline_ms less exposure is");
    write_holding(0, 1);
    wait_log("slot 1: a part takes ");
    stop_appliance();
}

/* A first bundle that cannot be loaded is a fault that the PLC reads; parts are rejected, another slot
 * serves. */
static void test_first_bundle_cannot_be_loaded(void **state) {
    (void)state;
    char path[128];
    make_bundle("hurt", SIDE, 4, 4);
    snprintf(path, sizeof path, "%s/hurt.fgb", folder);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    const long middle = ftell(file) / 2;
    assert_int_equal(fseek(file, middle, SEEK_SET), 0);
    const int byte = fgetc(file);
    assert_int_equal(fseek(file, middle, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 1, file), byte ^ 1);
    assert_int_equal(fclose(file), 0);
    launch_daemon("flawgated", "hurt.fgb, one.fgb", "}\n" ENABLED);
    wait_log("fault 21: ");
    wait_log("no trigger is taken, because no bundle is loaded");
    assert_int_equal(read_input(1), FG_FAULT_JOB);
    assert_int_equal(read_input(45), FG_FAULT_JOB);
    assert_false(read_status_bit(READY));
    pulse_trigger();
    assert_int_equal(wait_result(1).reason, FG_REASON_NOT_VERIFIED);
    write_holding(0, 1);
    wait_bit(READY, true);
    pulse_trigger();
    assert_int_equal(wait_result(2).reason, FG_REASON_NONE);
    stop_appliance();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_edges_before_the_plc_is_there, kill_appliance),
        cmocka_unit_test_teardown(test_results_in_the_order_of_triggers, kill_appliance),
        cmocka_unit_test_teardown(test_threshold_ends_with_its_bundle, kill_appliance),
        cmocka_unit_test_teardown(test_coils_reset_themselves, kill_appliance),
        cmocka_unit_test_teardown(test_every_fault_is_logged, kill_appliance),
        cmocka_unit_test_teardown(test_judging_time_is_logged, kill_appliance),
        cmocka_unit_test_teardown(test_first_bundle_cannot_be_loaded, kill_appliance),
    };
    return cmocka_run_group_tests(tests, make_bundles, remove_folder);
}
