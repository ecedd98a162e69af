/* The configuration: the example says every key and its default; everything wrong is said at once, with its
 * place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "config/keys.h"

static struct fg_config config, other;
static struct fg_report report;
static char path[64];

static int set_up(void **state) {
    (void)state;
    snprintf(path, sizeof path, "/tmp/flawgate-test-%d.conf", (int)getpid());
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    fg_report_free(&report);
    return 0;
}

static enum fg_status read_text(const char *text, struct fg_config *into) {
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    fg_report_free(&report);
    return fg_config_read(path, into, &report);
}

static void test_example_parses(void **state) {
    (void)state;
    fg_report_free(&report);
    if (fg_config_read("config/example.conf", &config, &report) != FG_OK)
        fail_msg("%s", report.text);
    assert_int_equal(config.bundles, 1);
    assert_string_equal(config.bundle[0], "/var/lib/flawgate/part.fgb");
    assert_string_equal(config.line[FG_LINE_REJECT].name, "REJECT");
}

/* "KEY = " stands in the example for every key of the schema, and what it says is the default. */
static void test_example_says_every_default(void **state) {
    (void)state;
    FILE *file = fopen("config/example.conf", "r");
    static char text[65536];
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    for (size_t i = 0; i < FG_KEY_TOTAL; i++) {
        char assignment[64];
        snprintf(assignment, sizeof assignment, "%s = ", FG_KEYS[i].name);
        if (!strstr(text, assignment))
            fail_msg("%s.%s is not in the example", FG_KEYS[i].section, FG_KEYS[i].name);
    }
    fg_report_free(&report);
    assert_int_equal(fg_config_read("config/example.conf", &config, &report), FG_OK);
    assert_int_equal(read_text("bundles = { \"/var/lib/flawgate/part.fgb\" }\n"
                               "camera { path = \"/var/lib/flawgate/pictures\" }\n",
                               &other),
                     FG_OK);
    /* What has no default. */
    memcpy(other.line, config.line, sizeof other.line);
    memcpy(other.path, config.path, sizeof other.path);
    other.checksum = config.checksum;
    assert_memory_equal(&config, &other, sizeof config);
}

static void expect(const char *text, const char *expected) {
    assert_int_equal(read_text(text, &config), FG_INPUT);
    if (!report.text || !strstr(report.text, expected))
        fail_msg("\"%s\" does not say \"%s\"", report.text ? report.text : "", expected);
}

#define GOOD "bundles = { \"a.fgb\" }\ncamera { path = \"p\" }\n"

static void test_wrong(void **state) {
    (void)state;
    expect(GOOD "modbus { port = 70000 }\n", "modbus.port");
    expect(GOOD "on_inoperative = \"maybe\"\n", "reject|pass|stop");
    expect(GOOD "reject { delay_ms = 100 }\n", "reject.delay_ms");
    expect(GOOD "threshold { min = 2 max = 1 }\n", "threshold.min");
    expect(GOOD "job { slot = 1 }\n", "job.slot");
    expect(GOOD "line trigger { name = \"X\" }\nline reject { name = \"X\" }\n", "same name");
    expect(GOOD "line laser { name = \"X\" }\n", "laser");
    expect(GOOD "nonsense = 1\n", "nonsense");
    expect("camera { path = \"p\" }\n", "bundles");
    expect("bundles = { \"a.fgb\" }\n", "camera.path");
}

static void test_everything_at_once(void **state) {
    (void)state;
    assert_int_equal(read_text(GOOD "deadline_ms = 0\nmodbus { port = 0 unit = 300 }\n", &config), FG_INPUT);
    assert_int_equal(report.lines, 3);
    assert_non_null(strstr(report.text, ".conf:4: modbus.unit"));
}

static void test_paths_are_relative_to_the_file(void **state) {
    (void)state;
    assert_int_equal(read_text(GOOD, &config), FG_OK);
    assert_string_equal(config.bundle[0], "/tmp/a.fgb");
    assert_string_equal(config.camera.path, "/tmp/p");
}

static void test_checksum(void **state) {
    (void)state;
    assert_int_equal(read_text(GOOD, &config), FG_OK);
    assert_int_equal(read_text(GOOD "#\n", &other), FG_OK);
    assert_int_not_equal(config.checksum, other.checksum);
}

static void test_unreadable(void **state) {
    (void)state;
    fg_report_free(&report);
    assert_int_equal(fg_config_read("/nowhere/flawgate.conf", &config, &report), FG_ENVIRONMENT);
    assert_non_null(strstr(report.text, "/nowhere/flawgate.conf"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_parses),
        cmocka_unit_test(test_example_says_every_default),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_everything_at_once),
        cmocka_unit_test(test_paths_are_relative_to_the_file),
        cmocka_unit_test(test_checksum),
        cmocka_unit_test(test_unreadable),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
