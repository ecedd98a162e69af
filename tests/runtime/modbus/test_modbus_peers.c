/* The Modbus server as programs that are not ours see it: mbpoll and pymodbus, from Debian. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/runtime/modbus/modbus_bench.h"

/* Runs a command, keeps what it prints; returns its exit status. */
static int run(const char *command, char *output, size_t size) {
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t used = fread(output, 1, size - 1, pipe);
    output[used] = 0;
    return pclose(pipe);
}

static void need(const char *command, const char *name) {
    if (system(command) != 0) {
        print_message("skipped: %s is not installed\n", name);
        skip();
    }
}

static void expect_mbpoll(const struct bench *bench, const char *arguments, const char *shown) {
    char command[256], output[8192];
    snprintf(command, sizeof command, "mbpoll -m tcp -p %u -a %d -1 %s 2>&1",
             (unsigned)fg_modbus_server_port(bench->server), UNIT, arguments);
    int status = run(command, output, sizeof output);
    if (!strstr(output, shown))
        fail_msg("%s: status %d, no \"%s\" in:\n%s", command, status, shown, output);
}

static void mbpoll_reads_and_writes(void **state) {
    (void)state;
    need("command -v mbpoll >/dev/null", "mbpoll");
    struct bench bench = bench_make();
    bench.now.counters.pass = 70000;
    bench_start(&bench);
    expect_mbpoll(&bench, "-t 3:hex -r 5 -c 2 127.0.0.1", "[5]: \t0x1234\n[6]: \t0x5678");
    expect_mbpoll(&bench, "-t 3:float -B -r 7 -c 1 127.0.0.1", "[7]: \t1\n");
    expect_mbpoll(&bench, "-t 3:int -B -r 51 -c 1 127.0.0.1", "[51]: \t70000");
    expect_mbpoll(&bench, "-t 1 -r 1 -c 4 127.0.0.1", "[1]: \t1\n[2]: \t1\n[3]: \t0\n[4]: \t0");
    expect_mbpoll(&bench, "-t 4 -r 4 127.0.0.1 41", "Written 1 references");
    expect_mbpoll(&bench, "-t 4 -r 4 127.0.0.1", "[4]: \t41");
    expect_mbpoll(&bench, "-t 4 -r 5 127.0.0.1 1", "Illegal data value");
    expect_mbpoll(&bench, "-t 4 -r 33 127.0.0.1", "Illegal data address");
    expect_mbpoll(&bench, "-t 0 -r 2 127.0.0.1 1", "Written 1 references");
    expect_mbpoll(&bench, "-t 1 -r 2 -c 2 127.0.0.1", "[2]: \t0\n[3]: \t1");
    bench_stop(&bench);
}

static void pymodbus_reads_and_writes(void **state) {
    (void)state;
    need("${FG_PYTHON:-/usr/bin/python3} -c 'import pymodbus' 2>/dev/null", "python3-pymodbus");
    struct bench bench = bench_make();
    bench_start(&bench);
    char command[128], output[4096];
    snprintf(command, sizeof command, "${FG_PYTHON:-/usr/bin/python3} tests/runtime/modbus/peer.py %u 2>&1",
             (unsigned)fg_modbus_server_port(bench.server));
    int status = run(command, output, sizeof output);
    if (status != 0 || strncmp(output, "ok ", 3) != 0)
        fail_msg("status %d: %s", status, output);
    bench_stop(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mbpoll_reads_and_writes),
        cmocka_unit_test(pymodbus_reads_and_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
