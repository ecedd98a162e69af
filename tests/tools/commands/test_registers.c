/* flawgate registers: the documents in config/ are what it prints, and a wrong call is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

/* Runs the program's command with the rest of a shell's line behind it; returns the exit status. */
static int run_registers(const char *rest) {
    const char *build = getenv("FG_BUILD");
    char command[512];
    snprintf(command, sizeof command, "%s/flawgate registers %s", build ? build : "build/cpu", rest);
    const int status = system(command); /* NOLINT(cert-env33-c): the text is our own */
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void the_documents_are_what_it_prints(void **state) {
    (void)state;
    /* Where one differs: flawgate registers --markdown >config/modbus.md, --csv >config/modbus.csv. */
    assert_int_equal(run_registers("--markdown | diff config/modbus.md -"), 0);
    assert_int_equal(run_registers("--csv | diff config/modbus.csv -"), 0);
}

static void what_to_do_ends_with_the_reasons_and_the_faults_that_it_prints(void **state) {
    (void)state;
    /* Where it differs: cut the page before its line "## Reasons", and put there what flawgate registers
     * --markdown prints from that line on, up to the states. */
    assert_int_equal(
        run_registers("--markdown | sed -n '/^## Reasons/,/^## States/{/^## States/!p}' | { printed=$(cat); "
                      "[ -n \"$printed\" ] && [ \"$printed\" = "
                      "\"$(sed -n '/^## Reasons/,$p' config/what-to-do.md)\" ]; }"),
        0);
}

static void the_list_has_each_kind_of_line(void **state) {
    (void)state;
    assert_int_equal(run_registers("| grep -q '^  17-18 .* 30018 .* result_id '"), 0);
    assert_int_equal(run_registers("| grep -q '^  16-17 + 2 v .* 40017 .* view_threshold '"), 0);
    assert_int_equal(run_registers("| grep -q '^  9   device_lost: '"), 0);
    assert_int_equal(run_registers("| grep -q '^  16 .* the camera gave no frame in time; what to do: look'"),
                     0);
}

static void a_wrong_call_is_refused(void **state) {
    (void)state;
    assert_int_equal(run_registers("--what 2>/dev/null"), 2);
    assert_int_equal(run_registers("--csv --markdown 2>/dev/null"), 2);
    assert_int_equal(run_registers("--help >/dev/null"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documents_are_what_it_prints),
        cmocka_unit_test(what_to_do_ends_with_the_reasons_and_the_faults_that_it_prints),
        cmocka_unit_test(the_list_has_each_kind_of_line),
        cmocka_unit_test(a_wrong_call_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
