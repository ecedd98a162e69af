/* The configuration: what is read, what is refused, and that all of it is told at once with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "board/camera/directory.h"
#include "board/gpio/simulated.h"
#include "config/config.h"

/* The least that is a configuration. */
#define LEAST "bundles = { a.fgb }\ncamera { path = p }\n"

/* Another camera and another board, which have keys of their own. */
struct sensor {
    char device[16];
    float gain;
    char serial[8];
};
static const struct fg_option SENSOR[] = {
    {"device", FG_OPTION_PATH, offsetof(struct sensor, device), NULL, .size = 16,
     .help = "the device's file"},
    {"gain", FG_OPTION_FLOAT, offsetof(struct sensor, gain), "1.5", 0, 10, .help = "the gain"},
    {"serial", FG_OPTION_TEXT, offsetof(struct sensor, serial), "", .size = 8, .help = "the serial number"},
};
struct chips {
    uint32_t speed;
};
static const struct fg_option CHIPS[] = {
    {"speed", FG_OPTION_NUMBER, offsetof(struct chips, speed), NULL, 1, 9, .help = "the speed"},
};

static struct fg_config_driver cameras[2], boards[2];
static const struct fg_config_drivers drivers = {cameras, 2, boards, 2};

static int make_drivers(void **state) {
    (void)state;
    cameras[0] =
        (struct fg_config_driver){"directory", fg_directory_driver.keys, fg_directory_driver.settings};
    cameras[1] = (struct fg_config_driver){"sensor", FG_OPTIONS(SENSOR), sizeof(struct sensor)};
    boards[0] =
        (struct fg_config_driver){"simulated", fg_simulated_driver.keys, fg_simulated_driver.settings};
    boards[1] = (struct fg_config_driver){"chips", FG_OPTIONS(CHIPS), sizeof(struct chips)};
    return 0;
}

static struct fg_config config;
static struct fg_report report;
static char path[64];

static const struct fg_directory_settings *directory(uint32_t camera) {
    return (const void *)config.camera[camera].settings;
}

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
    return fg_config_read(path, &drivers, &config, &report);
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
    assert_string_equal(directory(0)->path, "/tmp/p");
    assert_string_equal(config.modbus.bind, "127.0.0.1");
    assert_int_equal(config.modbus.writers, 0);
    assert_int_equal(config.modbus.idle_timeout_ms, 0);
    assert_string_equal(config.modbus_rtu.device, "");
    assert_int_equal(config.modbus_rtu.baud, 19200);
    assert_int_equal(config.modbus_rtu.parity, FG_CONFIG_PARITY_EVEN);
    assert_int_equal(config.modbus_rtu.stop_bits, 1);
    assert_int_equal(config.reject.delay, 10000);
    assert_int_equal(config.on_inoperative, FG_INOPERATIVE_REJECT);
    assert_int_equal(config.missed_reject, FG_MISSED_STOP);
    assert_true(directory(0)->cycle);
    assert_false(config.trigger.enable_at_start);
    assert_true(config.threshold.max == 100);
    assert_string_equal(config.io[FG_IO_TRIGGER].name, "");
    assert_int_equal(config.cameras, 1);
    assert_int_equal(config.views, 1);
    assert_int_equal(config.trigger.queue, 1);
    assert_int_equal(config.camera[0].driver, 0);
    assert_string_equal(config.camera[0].name, "");
    assert_string_equal(config.view[0].name, "");
    assert_int_equal(config.view[0].width, 0);
    assert_string_equal(((const struct fg_simulated_settings *)(void *)config.board.settings)->path,
                        "/run/flawgate/board");
}

static void test_values(void **state) {
    (void)state;
    accepted("bundles = { /a.fgb, \"b c.fgb\" } // two\ncamera { path = p cycle = false }\n"
             "line reject { name = R active_low = true }\nline trigger { name = T }\nfail_safe = reject-all\n"
             "reject { delay_ms = 700.3 lead_ms = 0.2 }\non_inoperative = stop # or not\n"
             "modbus { writers = { 10.0.0.1, \"::1\" } word_order = low-first }\nthreshold { min = 0.25 }\n"
             "modbus_rtu { device = /dev/ttyS1 baud = 921600 parity = odd stop_bits = 2 rs485 = true }\n");
    assert_int_equal(config.view[0].bundles, 2);
    assert_string_equal(config.view[0].bundle[0], "/a.fgb");
    assert_string_equal(config.view[0].bundle[1], "/tmp/b c.fgb");
    assert_false(directory(0)->cycle);
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
    assert_string_equal(config.modbus_rtu.device, "/dev/ttyS1");
    assert_int_equal(config.modbus_rtu.baud, 921600);
    assert_int_equal(config.modbus_rtu.parity, FG_CONFIG_PARITY_ODD);
    assert_int_equal(config.modbus_rtu.stop_bits, 2);
    assert_true(config.modbus_rtu.rs485);
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
    refused(LEAST "modbus { bind = \"a\\nb\" }\n", 1, 3, "modbus.bind = \"a\": must be a numeric");
    refused(LEAST "modbus_rtu { baud = 12345 }\n", 1, 3, "must be 1200, 2400, ");
    refused(LEAST "modbus_rtu { stop_bits = 3 }\n", 1, 3, "from 1 to 2");
    refused(LEAST "trigger { enable_at_start = yes }\n", 1, 3, "true or false");
    refused(LEAST "fail_safe = never\n", 1, 3, "must be stop-line or reject-all");
    refused(LEAST "line trigger { name = a123456789012345678901234567890123456789 }\n", 1, 3, "at most 31");
    refused("camera { path = p }\nbundles = {0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16}\n", 1, 2, "full");
}

static void test_unknown_is_refused(void **state) {
    (void)state;
    refused(LEAST "colour = red\n", 1, 3, "colour");
    refused(LEAST "modbus { colour = red }\n", 1, 3, "no key colour here; there are bind, port, unit, ");
    refused(LEAST "deadline_ms 9\n", 1, 3, "deadline_ms needs = ");
    refused(LEAST "modbus port = 9\n", 2, 3, "modbus needs { behind it");
    refused(LEAST "modbus { port = \"15\" \"02\" }\n", 1, 3, "there is no key 02 here");
    refused(LEAST "modbus { port: 1502 }\n", 1, 3, "there is no key port: here");
    refused(LEAST "deadline_ms += 9\n", 1, 3, "deadline_ms takes one value");
    refused("camera { path = p colour = red }\n\nbundles = {a}", 1, 1, "colour");
    refused(LEAST "line nozzle { name = N }\n", 1, 3, "nozzle");
    refused(LEAST "camera { memory_mib = 1\nmemory_mib = 2 }\n", 1, 4, "twice");
    refused(LEAST "bundles = {b}\n", 1, 3, "twice");
    refused(LEAST "bundles = {b, c}\n", 1, 3, "twice");
    refused("camera { path = p }\nbundles = {a, b}\nbundles = {c}\n", 1, 3, "twice");
}

/* ---- Cameras, views and their drivers ---- */

/* Two cameras, with one view of the first and two of the second. */
#define TWO                                                                                                  \
    "camera top { path = p max_width = 640 max_height = 480 }\n"                                             \
    "camera side\n{ device = /dev/v gain = 2 driver = sensor }\n"                                            \
    "view left { camera = side region = \"0,0,512x1024\" bundles = { a.fgb, b.fgb } }\n"                     \
    "view \"right\" { bundles = { c.fgb, d.fgb } camera = side region = \"512,0,512x1024\" rotation = 270 "  \
    "}\n"                                                                                                    \
    "view above{camera = top bundles = { e.fgb, f.fgb } }\n"

static void test_cameras_and_views(void **state) {
    (void)state;
    accepted(TWO);
    assert_int_equal(config.cameras, 2);
    assert_string_equal(config.camera[0].name, "top");
    assert_int_equal(config.camera[0].driver, 0);
    assert_int_equal(config.camera[0].max_width, 640);
    assert_string_equal(directory(0)->path, "/tmp/p");
    assert_int_equal(directory(0)->memory_mib, 64);
    assert_string_equal(config.camera[1].name, "side");
    assert_int_equal(config.camera[1].driver, 1);
    assert_int_equal(config.camera[1].max_width, 1024);
    const struct sensor *sensor = (const void *)config.camera[1].settings;
    assert_string_equal(sensor->device, "/dev/v"); /* although the driver stands behind it */
    assert_true(sensor->gain == 2);
    assert_int_equal(config.views, 3);
    const struct fg_config_view *right = &config.view[1];
    assert_string_equal(right->name, "right");
    assert_int_equal(right->camera, 1);
    assert_true(right->x == 512 && right->y == 0 && right->width == 512 && right->height == 1024);
    assert_int_equal(right->rotation, 270);
    assert_int_equal(right->bundles, 2);
    assert_string_equal(right->bundle[1], "/tmp/d.fgb");
    assert_int_equal(config.view[0].rotation, 0);
    assert_int_equal(config.view[2].camera, 0);
    assert_int_equal(config.view[2].width, 0);
}

/* One camera and one view may have names too, and sections without one are one section. */
static void test_one_camera_and_view(void **state) {
    (void)state;
    accepted("camera top { path = p }\nview left { bundles = { a } region = \"8,8,1016x1016\" }\n");
    assert_string_equal(config.view[0].name, "left");
    assert_int_equal(config.view[0].camera, 0);
    accepted("camera top { path = p }\nview { camera = top bundles = { a } }\n");
    accepted("bundles = { a }\ncamera { path = p }\ncamera { max_width = 99 }\n");
    assert_int_equal(config.cameras, 1);
    assert_int_equal(config.camera[0].max_width, 99);
    assert_string_equal(directory(0)->path, "/tmp/p");
}

static void test_wrong_cameras_and_views(void **state) {
    (void)state;
    refused(TWO "camera top { path = q }\n", 1, 7, "camera top is given twice, first in line 1");
    refused(TWO "view left { camera = top bundles = { a, b } }\n", 1, 7, "view left is given twice");
    refused(TWO "view fourth { camera = front bundles = { a, b } }\n", 1, 7,
            "view fourth.camera = \"front\": must be top or side");
    refused(TWO "view fourth { bundles = { a, b } }\n", 1, 0, "view fourth.camera is missing");
    refused(TWO "view fourth { camera = top bundles = { a } }\n", 1, 0,
            "views left and fourth have 2 and 1 bundles");
    refused(TWO "view fourth { camera = top }\n", 1, 0, "view fourth.bundles is missing");
    refused(TWO "view fourth { camera = top bundles = { a, b } rotation = 45 }\n", 1, 7, "0, 90, 180 or 270");
    refused(TWO "view fourth { camera = top bundles = { a, b } region = \"1,2,3\" }\n", 1, 7, "WIDTHxHEIGHT");
    refused(
        TWO "view fourth { camera = top bundles = { a, b } region = \"0,1,640x480\" }\n", 1, 0,
        "view fourth.region = 0,1,640x480 is not inside the largest frame of its camera, 640 x 480 pixels");
    refused(TWO "bundles = { a, b }\n", 1, 7, "bundles stands in no view");
    refused(TWO "camera { path = p }\n", 1, 7, "camera has no name");
    refused(TWO "view { camera = top bundles = { a, b } }\n", 1, 7, "view has no name");
    refused(TWO "camera \"o|o\" { path = p }\n", 1, 7, "letters, digits, - and _");
    refused(TWO "camera a123456789012345678901234567890123456789 { path = p }\n", 1, 7, "at most 31");
    refused(TWO "job { slot = 2 }\n", 1, 0, "job.slot");
    refused("camera { path = p }\nview { bundles = { a } camera = top }\n", 1, 2,
            "the file's one camera has no name");
    refused("view { bundles = { a } }\nview { bundles = { a } }\ncamera { path = p }\n", 1, 2, "twice");
    char nine[256] = "bundles = { a }\n";
    for (int i = 1; i <= 9; i++)
        sprintf(nine + strlen(nine), "camera c%d { path = p }\n", i);
    refused(nine, 2, 10, "camera c9: there may be at most 8");
    refused(nine, 2, 0, "no view says which one it judges");
}

/* Errors in one of several sections name it, and the others are read. */
static void test_errors_name_their_section(void **state) {
    (void)state;
    const char *text = "camera top { path = p max_width = 5\ncolour = red }\n"
                       "camera side { driver = sensor device = d\n gain = 11 }\n"
                       "view left { camera = top bundles = { a } }\n"
                       "line nozzle { name = N }\nline { name = N }\n";
    refused(text, 5, 1, "camera top.max_width = \"5\"");
    refused(text, 5, 2, "colour");
    refused(text, 5, 4, "camera side.gain = \"11\": must be a number from 0 to 10");
    refused(text, 5, 6, "line nozzle");
    refused(text, 5, 7, "line: must be one of trigger");
}

static void test_drivers_keys(void **state) {
    (void)state;
    refused(LEAST "camera { gain = 1 }\n", 1, 3,
            "camera.gain is a key of the driver sensor, but driver here is dir");
    refused("bundles = { a }\ncamera { path = p\ndriver = sensor device = d }\n", 1, 2,
            "camera.path is a key of the driver directory, but driver here is sensor");
    refused("bundles = { a }\ncamera { driver = sensor }\n", 1, 0,
            "camera.device is missing: the device's file");
    refused("bundles = { a }\ncamera { driver = sensor device = \"\" }\n", 1, 0, "camera.device is missing");
    refused("bundles = { a }\ncamera { driver = webcam\nwidth = 3 path = p gain = 1 }\n", 2, 2,
            "camera.driver = \"webcam\": must be directory or sensor");
    assert_int_equal(config.camera[0].driver, FG_CONFIG_NO_DRIVER);
    refused(LEAST "board { driver = chips }\n", 1, 0, "board.speed is missing: the speed");
    refused(LEAST "board { driver = chips speed = 3 path = p }\n", 1, 3, "a key of the driver simulated");
    refused(LEAST "board { driver = chips speed = 3\nspeed = 4 }\n", 1, 4, "twice");
    accepted(LEAST "board { speed = 3 driver = chips }\n");
    assert_int_equal(config.board.driver, 1);
    assert_int_equal(((const struct chips *)(void *)config.board.settings)->speed, 3);
}

/* Drivers that do not fit are told, not overrun. */
static void test_too_many_keys(void **state) {
    (void)state;
    static struct fg_option many[100];
    static char names[100][8];
    for (uint32_t i = 0; i < 100; i++) {
        sprintf(names[i], "key%u", i);
        many[i] = SENSOR[1];
        many[i].name = names[i];
    }
    cameras[1].keys = (struct fg_options){many, 100};
    assert_int_equal(read_text(LEAST), FG_ENVIRONMENT);
    assert_non_null(strstr(report.text, "more than a configuration can hold"));
    cameras[1].keys.count = 40;
    accepted(LEAST);
    const struct fg_config_drivers too_many = {cameras, FG_CONFIG_DRIVERS + 1, boards, 2};
    assert_int_equal(fg_config_read(path, &too_many, &config, &report), FG_ENVIRONMENT);
    cameras[1].settings = FG_CONFIG_SETTINGS + 1;
    assert_int_equal(read_text(LEAST), FG_ENVIRONMENT);
    make_drivers(NULL);
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
    refused(LEAST "modbus_rtu { device = ttyS0 }\n", 1, 0, "modbus_rtu.device = \"ttyS0\" is no whole path");
    refused(LEAST "trigger { queue = 2 }\n", 1, 0, "trigger.queue = 2 needs results.buffer = true");
    refused(LEAST "trigger { queue = 9 }\n", 1, 3, "from 1 to 8");
    accepted(LEAST "trigger { queue = 8 }\nresults { buffer = true }\n");
    assert_int_equal(config.trigger.queue, 8);
}

static void test_hostile_text(void **state) {
    (void)state;
    static const char *const texts[] = {"{",
                                        "}}}{{{=",
                                        "camera {",
                                        "camera { path = \"x",
                                        "= = =",
                                        "x y",
                                        "/*",
                                        "bundles = { a, ,",
                                        "line line line",
                                        "\xff\xfe",
                                        "camera \"",
                                        "camera a camera b {",
                                        "view 0 {} view \"x=y\" { bundles = {a} }",
                                        "camera = { {",
                                        "camera += {",
                                        "line\n\n{",
                                        "view { view a {} }",
                                        "a{b{c{",
                                        "line trigger { name = \"\\",
                                        "camera camera { camera { } }"};
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
    assert_int_equal(fg_config_read(path, &drivers, &config, &report), FG_ENVIRONMENT);
    assert_int_equal(fg_config_read("/nowhere/line.conf", &drivers, &config, &report), FG_ENVIRONMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_defaults, forget),
        cmocka_unit_test_teardown(test_values, forget),
        cmocka_unit_test_teardown(test_checksum, forget),
        cmocka_unit_test_teardown(test_each_value_is_bounded, forget),
        cmocka_unit_test_teardown(test_unknown_is_refused, forget),
        cmocka_unit_test_teardown(test_cameras_and_views, forget),
        cmocka_unit_test_teardown(test_one_camera_and_view, forget),
        cmocka_unit_test_teardown(test_wrong_cameras_and_views, forget),
        cmocka_unit_test_teardown(test_errors_name_their_section, forget),
        cmocka_unit_test_teardown(test_drivers_keys, forget),
        cmocka_unit_test_teardown(test_too_many_keys, forget),
        cmocka_unit_test_teardown(test_all_errors_are_told, forget),
        cmocka_unit_test_teardown(test_what_must_agree, forget),
        cmocka_unit_test_teardown(test_hostile_text, forget),
    };
    return cmocka_run_group_tests(tests, make_drivers, NULL);
}
