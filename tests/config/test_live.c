/* What changes live: every key that differs is told, and the live ones alone are taken over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/live.h"
#include "runtime/line/setup.h"

#define BASE "bundles = { a.fgb }\ncamera { path = p }\n"

static struct fg_config config, next;
static char live[1024], restart[1024]; /* the keys that were told, each after a space */

static void read_text(const char *text, struct fg_config *to) {
    struct fg_report report = {0};
    char path[] = "/tmp/flawgate-live-XXXXXX";
    const int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, text, strlen(text)), (ssize_t)strlen(text));
    close(descriptor);
    if (fg_setup_read(path, to, &report) != FG_OK)
        fail_msg("%s", report.text);
    unlink(path);
}

static void note_key(void *argument, const char *key, bool is_live) {
    (void)argument;
    char *list = is_live ? live : restart;
    const size_t used = strlen(list);
    snprintf(list + used, sizeof live - used, " %s", key);
}

static void compare_with(const char *text) {
    *live = *restart = 0;
    read_text(BASE, &config);
    read_text(text, &next);
    fg_live_compare(&config, &next, note_key, NULL);
}

static void test_the_same(void **state) {
    (void)state;
    compare_with("# another text\n" BASE "deadline_ms = 500\n");
    assert_string_equal(live, "");
    assert_string_equal(restart, "");
    fg_live_adopt(&config, &next);
    assert_int_equal(config.checksum, next.checksum);
}

static void test_live_keys_are_taken_over(void **state) {
    (void)state;
    compare_with(BASE "deadline_ms = 400\nreject { delay_ms = 900 pulse_ms = 20 lead_ms = 5 }\n"
                      "trigger { min_interval_ms = 7 }\nmodbus { writers = { 10.0.0.1, 10.0.0.2 } }\n"
                      "threshold { min = 0.5 max = 2 }\nlock { code = 7 }\nresults { ack_timeout_ms = 9 }\n");
    assert_string_equal(live, " deadline_ms trigger.min_interval_ms results.ack_timeout_ms reject.delay_ms "
                              "reject.pulse_ms reject.lead_ms modbus.writers threshold.min threshold.max "
                              "lock.code");
    assert_string_equal(restart, "");
    fg_live_adopt(&config, &next);
    assert_int_equal(config.deadline_ms, 400);
    assert_int_equal(config.reject.delay, 9000);
    assert_int_equal(config.modbus.writers, 2);
    assert_string_equal(config.modbus.writer[1], "10.0.0.2");
    assert_true(config.threshold.max == 2);
    assert_int_equal(config.checksum, next.checksum);
    *live = 0;
    fg_live_compare(&config, &next, note_key, NULL);
    assert_string_equal(live, "");
}

static void test_the_rest_is_named(void **state) {
    (void)state;
    compare_with("bundles = { a.fgb, b.fgb }\ncamera { path = q max_width = 64 }\nline ready { name = R }\n"
                 "deadline_ms = 400\nmodbus { port = 1502 }\nresults { buffer = true }\n");
    assert_string_equal(live, " deadline_ms");
    assert_string_equal(restart, " camera.max_width bundles line ready.name results.buffer modbus.port "
                                 "job.require camera");
    const uint32_t checksum = config.checksum;
    fg_live_adopt(&config, &next);
    assert_int_equal(config.deadline_ms, 400);
    assert_int_equal(config.modbus.port, 502);
    assert_int_equal(config.view[0].bundles, 1);
    assert_int_equal(config.checksum, checksum);
}

static void test_more_views(void **state) {
    (void)state;
    compare_with("camera a { path = p }\ncamera b { path = p }\n"
                 "view x { camera = a bundles = { a.fgb } }\nview y { camera = b bundles = { a.fgb } }\n");
    assert_string_equal(live, "");
    assert_non_null(strstr(restart, " camera"));
    assert_non_null(strstr(restart, " view y.bundles"));
    assert_non_null(strstr(restart, " view"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same),
        cmocka_unit_test(test_live_keys_are_taken_over),
        cmocka_unit_test(test_the_rest_is_named),
        cmocka_unit_test(test_more_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
