/* flawgated with a PLC on a serial line beside one on TCP, and what it says when it cannot serve them. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "tests/runtime/daemon/appliance.h"
#include "tests/runtime/modbus/wire.h"

static int make_bundles(void **state) {
    make_folder(state);
    make_bundle("one", SIDE, 4, 1);
    return 0;
}

static void test_a_plc_on_a_serial_line(void **state) {
    (void)state;
    struct wire wire;
    char more[512];
    uint16_t block[25] = {0}, seen_by_tcp[25];
    wire_open(&wire);
    snprintf(more, sizeof more, "}\n" ENABLED "modbus_rtu { device = \"%s\" baud = 115200 }\n",
             wire.end[0].name);
    start_appliance("one.fgb", more);
    modbus_t *serial = modbus_new_rtu(wire.end[1].name, 115200, 'E', 8, 1);
    modbus_set_slave(serial, 1);
    modbus_set_response_timeout(serial, 60, 0);
    assert_int_equal(modbus_connect(serial), 0);
    wait_bit(READY, true);
    assert_int_equal(modbus_write_register(serial, 1, 5000), 1);
    wait_log(" changed the threshold x 10000 of view 0 from 0 to 5000");
    assert_int_equal(modbus_write_bit(serial, 1, 1), 1);
    wait_bit(RESULT_VALID, true);
    assert_int_equal(modbus_read_registers(serial, 1016, 25, block), 25); /* the input registers' copy */
    assert_int_equal(block[2], 1);
    assert_in_range(block[3], FG_PASS, FG_DEFECT);
    assert_int_equal(modbus_read_input_registers(plc, 16, 25, seen_by_tcp), 25);
    assert_memory_equal(block, seen_by_tcp, sizeof block);
    modbus_close(serial);
    modbus_free(serial);
    stop_appliance();
    wire_close(&wire);
}

/* Starts a daemon that cannot serve, and gives its exit status; what it said is in log. */
static int start_in_vain(const char *more, char *log, size_t size) {
    char path[128];
    int output[2];
    size_t used = 0;
    ssize_t got;
    write_config("one.fgb", more, find_free_port());
    snprintf(path, sizeof path, "%s/line.conf", folder);
    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    const pid_t child = spawn_program("flawgated", "-c", path, NULL, output[1]);
    close(output[1]);
    while ((got = read(output[0], log + used, size - 1 - used)) > 0)
        used += (size_t)got;
    log[used] = 0;
    close(output[0]);
    return wait_end(child);
}

static void test_a_serial_line_that_is_not_there(void **state) {
    (void)state;
    char log[8192];
    assert_int_equal(
        start_in_vain("}\n" PATIENT "modbus_rtu { device = \"/dev/no-such-port\" }\n", log, sizeof log), 3);
    if (!strstr(log,
                "Modbus RTU: cannot open the serial port /dev/no-such-port (is the adapter plugged in?)"))
        fail_msg("%s", log);
}

static void test_too_few_descriptors(void **state) {
    (void)state;
    char log[8192];
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit few = {.rlim_cur = 36, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    const int status = start_in_vain("}\n" PATIENT, log, sizeof log);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(status, 3);
    if (!strstr(log, "raise the limit"))
        fail_msg("%s", log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_plc_on_a_serial_line, kill_appliance),
        cmocka_unit_test(test_a_serial_line_that_is_not_there),
        cmocka_unit_test(test_too_few_descriptors),
    };
    return cmocka_run_group_tests(tests, make_bundles, remove_folder);
}
