/* The configuration: what is read, what is refused, and that all of it is told at once with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/keys.h"

#define EXAMPLE "config/example.conf"
/* The least that is a configuration. */
#define LEAST "bundles = { a.fgb }\ncamera { path = p }\n"

static struct fg_config config;
static struct fg_report report;
static char path[64];

static int forget(void **state) {
    (void)state;
    fg_report_free(&report);
    unlink(path);
    return 0;
}

static enum fg_status read_text(const char *text) {
    fg_report_free(&report);
    snprintf(path, sizeof path, "/tmp/flawgate-test-%d.conf", (int)getpid());
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    return fg_config_read(path, &config, &report);
}

/* Refused, with exactly so many lines, one of which begins at a line of the file (0: at none) and has a text.
 */
static void refused(const char *text, uint32_t lines, int line, const char *what) {
    assert_int_equal(read_text(text), FG_INPUT);
    if (report.lines != lines)
        fail_msg("%u lines, not %u:\n%s", report.lines, lines, report.text);
    char begin[96];
    snprintf(begin, sizeof begin, line ? "%s:%d: " : "%s: ", path, line);
    for (char *at = report.text; (at = strstr(at, begin)); at++) {
        const char *found = strstr(at, what);
        if (found && found < strchr(at, '\n'))
            return;
    }
    fail_msg("no \"%s%s\" in:\n%s", begin, what, report.text);
}

static void accepted(const char *text) {
    if (read_text(text) != FG_OK)
        fail_msg("%s", report.text);
}

static void test_defaults(void **state) {
    (void)state;
    accepted(LEAST);
    assert_int_equal(config.view[0].bundles, 1);
    assert_string_equal(config.view[0].bundle[0], "/tmp/a.fgb");
    assert_string_equal(config.camera[0].path, "/tmp/p");
    assert_string_equal(config.modbus.bind, "127.0.0.1");
    assert_int_equal(config.modbus.writers, 0);
    assert_int_equal(config.reject.delay, 10000);
    assert_int_equal(config.on_inoperative, FG_INOPERATIVE_REJECT);
    assert_int_equal(config.missed_reject, FG_MISSED_STOP);
    assert_true(config.camera[0].cycle);
    assert_false(config.trigger.enable_at_start);
    assert_true(config.threshold.max == 6.5535f);
    assert_string_equal(config.io[FG_IO_TRIGGER].name, "");
}

static void test_values(void **state) {
    (void)state;
    accepted("bundles = { /a.fgb, \"b c.fgb\" } // two\ncamera { path = p cycle = false }\n"
             "line reject { name = R active_low = true }\nline trigger { name = T }\nfail_safe = reject-all\n"
             "reject { delay_ms = 700.3 lead_ms = 0.2 }\non_inoperative = stop # or not\n"
             "modbus { writers = { 10.0.0.1, \"::1\" } word_order = low-first }\nthreshold { min = 0.25 }\n");
    assert_int_equal(config.view[0].bundles, 2);
    assert_string_equal(config.view[0].bundle[0], "/a.fgb");
    assert_string_equal(config.view[0].bundle[1], "/tmp/b c.fgb");
    assert_false(config.camera[0].cycle);
    assert_string_equal(config.io[FG_IO_REJECT].name, "R");
    assert_true(config.io[FG_IO_REJECT].active_low);
    assert_string_equal(config.io[FG_IO_TRIGGER].name, "T");
    assert_false(config.io[FG_IO_TRIGGER].active_low);
    assert_int_equal(config.reject.delay, 7003);
    assert_int_equal(config.reject.lead, 2);
    assert_int_equal(config.on_inoperative, FG_INOPERATIVE_STOP);
    assert_int_equal(config.modbus.writers, 2);
    assert_string_equal(config.modbus.writer[1], "::1");
    assert_int_equal(config.modbus.word_order, FG_LOW_FIRST);
    assert_true(config.threshold.min == 0.25f);
}

/* CRC-32 of "123456789" is 0xcbf43926 by every description of it; here behind text that is a configuration.
 */
static void test_checksum(void **state) {
    (void)state;
    assert_int_equal(read_text("123456789"), FG_INPUT);
    assert_int_equal(config.checksum, 0xcbf43926u);
    accepted(LEAST);
    const uint32_t first = config.checksum;
    accepted(LEAST " ");
    assert_int_not_equal(config.checksum, first);
}

static void test_each_value_is_bounded(void **state) {
    (void)state;
    refused(LEAST "modbus {\n port = 65536 }\n", 1, 4, "modbus.port = \"65536\"");
    refused(LEAST "modbus { port = 0 }\n", 1, 3, "from 1 to 65535");
    refused(LEAST "modbus { port = 502x }\n", 1, 3, "whole number");
    refused(LEAST "modbus { port = 10.5 }\n", 1, 3, "whole number");
    refused(LEAST "modbus { port = nan }\n", 1, 3, "whole number");
    refused(LEAST "deadline_ms = 1e300\n", 1, 3, "whole number");
    refused(LEAST "reject { delay_ms = 600.05 }\n", 1, 3, "multiple of 0.1");
    refused(LEAST "threshold { max = inf }\n", 1, 3, "number");
    refused(LEAST "modbus { bind = localhost }\n", 1, 3, "numeric");
    refused(LEAST "trigger { enable_at_start = yes }\n", 1, 3, "true or false");
    refused(LEAST "fail_safe = never\n", 1, 3, "stop-line|reject-all");
    refused(LEAST "line trigger { name = a123456789012345678901234567890123456789 }\n", 1, 3, "at most 31");
    refused("camera { path = p }\nbundles = {0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16}\n", 1, 2, "full");
}

static void test_unknown_is_refused(void **state) {
    (void)state;
    refused(LEAST "colour = red\n", 1, 3, "colour");
    refused("camera { path = p colour = red }\n\nbundles = {a}", 1, 1, "colour");
    refused(LEAST "line nozzle { name = N }\n", 1, 3, "nozzle");
    refused(LEAST "camera { memory_mib = 1\nmemory_mib = 2 }\n", 1, 4, "twice");
    refused(LEAST "bundles = {b}\n", 1, 3, "twice");
    refused(LEAST "bundles = {b, c}\n", 1, 3, "twice");
    refused("camera { path = p }\nbundles = {a, b}\nbundles = {c}\n", 1, 3, "twice");
}

/* Errors of syntax and of values, in sections, behind comments, before and after each other: each is told. */
static void test_all_errors_are_told(void **state) {
    (void)state;
    const char *text = "bundles = { a.fgb } # colour = 1\n"
                       "/* port = 1\n */ colour = 3\n"
                       "camera { path = p max_width = 5 shape = { \"}\", 2 } max_height = 6 }\n"
                       "lens wide { focus {\n a = 1 }\n}\n"
                       "deadline_ms = soon\n"
                       "threshold { min = 2 max = 1 }\n";
    refused(text, 7, 3, "colour");
    refused(text, 7, 4, "shape");
    refused(text, 7, 4, "camera.max_width = \"5\"");
    refused(text, 7, 4, "camera.max_height = \"6\"");
    refused(text, 7, 5, "lens");
    refused(text, 7, 8, "deadline_ms");
    refused(text, 7, 0, "threshold.min = 2 is above threshold.max = 1");
}

static void test_what_must_agree(void **state) {
    (void)state;
    refused("", 2, 0, "bundles is missing");
    refused("", 2, 0, "camera.path is missing");
    refused(LEAST "deadline_ms = 1000\nreject { lead_ms = 0.1 }\n", 1, 0, "reject.delay_ms");
    accepted(LEAST "deadline_ms = 999\nreject { lead_ms = 1 }\n");
    refused(LEAST "job { slot = 1 }\n", 1, 0, "job.slot");
    refused(LEAST "line trigger { name = A }\nline ready { name = A }\n", 1, 0, "same name");
    refused(LEAST "fail_safe = reject-all\n", 1, 0, "active_low");
    refused(LEAST "line reject { name = R active_low = true }\n", 1, 0, "reject-all");
    refused(LEAST "line ready { name = R active_low = true }\n", 1, 0, "ready");
    refused(LEAST "line pass { name = R active_low = true }\n", 1, 0, "pass");
}

static void test_hostile_text(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{",   "}}}{{{=", "camera {",         "camera { path = \"x", "= = =",
        "x y", "/*",      "bundles = { a, ,", "line line line",      "\xff\xfe"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(read_text(texts[i]), FG_INPUT);
        assert_true(report.lines > 0);
    }
    static char many[200 * 8 + 1];
    for (int i = 0; i < 200; i++)
        memcpy(many + i * 8, "no = 1 \n", 8);
    assert_int_equal(read_text(many), FG_INPUT);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (uint32_t i = 0; i <= FG_CONFIG_MAX_BYTES; i++)
        fputc(' ', file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(fg_config_read(path, &config, &report), FG_ENVIRONMENT);
    assert_int_equal(fg_config_read("/nowhere/line.conf", &config, &report), FG_ENVIRONMENT);
}

/* Every key stands in the example, in its section, and the example is a configuration. */
static void test_example(void **state) {
    (void)state;
    if (fg_config_read(EXAMPLE, &config, &report) != FG_OK)
        fail_msg("%s", report.text);
    static char text[FG_CONFIG_MAX_BYTES];
    FILE *file = fopen(EXAMPLE, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    for (size_t i = 0; i < FG_KEY_TOTAL; i++) {
        const struct fg_key *key = &FG_KEYS[i];
        char begin[64], name[64];
        snprintf(begin, sizeof begin, "\n%s ", key->section);
        snprintf(name, sizeof name, *key->section ? "\n    %s = " : "\n%s = ", key->name);
        const char *section = *key->section ? strstr(text, begin) : text;
        const char *found = section ? strstr(section, name) : NULL;
        if (!found || (*key->section && found > strstr(section, "\n}")))
            fail_msg("%s does not explain %s.%s", EXAMPLE, key->section, key->name);
    }
    /* And what it says is the default, but where there is none. */
    static struct fg_config defaults;
    accepted(LEAST);
    defaults = config;
    fg_report_free(&report);
    assert_int_equal(fg_config_read(EXAMPLE, &config, &report), FG_OK);
    memcpy(defaults.path, config.path, sizeof config.path);
    memcpy(defaults.view[0].bundle, config.view[0].bundle, sizeof config.view[0].bundle);
    memcpy(defaults.camera[0].path, config.camera[0].path, sizeof config.camera[0].path);
    memcpy(defaults.io, config.io, sizeof config.io);
    defaults.checksum = config.checksum;
    assert_memory_equal(&config, &defaults, sizeof config);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_defaults, forget),
        cmocka_unit_test_teardown(test_values, forget),
        cmocka_unit_test_teardown(test_checksum, forget),
        cmocka_unit_test_teardown(test_each_value_is_bounded, forget),
        cmocka_unit_test_teardown(test_unknown_is_refused, forget),
        cmocka_unit_test_teardown(test_all_errors_are_told, forget),
        cmocka_unit_test_teardown(test_what_must_agree, forget),
        cmocka_unit_test_teardown(test_hostile_text, forget),
        cmocka_unit_test_teardown(test_example, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
