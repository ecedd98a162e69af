/* The directory camera: order, cycling, its memory's limit, and one frame a trigger. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "board/camera/directory.h"
#include "runtime/base/clock.h"

#define WIDTH 512
#define HEIGHT 682 /* three pictures fit into 1 MiB, but not if they are a row higher */
#define BYTES (WIDTH * HEIGHT)

static char folder[64];
static unsigned char memory[1 << 20];
static int32_t height; /* the pictures' height */
static struct fg_message message;
static struct fg_camera *camera;
static int decoded; /* pictures that the decoder holds now */

/* A decoder of pictures that are their file's first byte; "x" cannot be decoded. */
static bool accepts(const char *name) {
    return strstr(name, ".pic") != NULL;
}

static enum fg_status read_picture(const char *path, struct fg_decoded *picture, struct fg_message *m) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    const int value = fgetc(file);
    fclose(file);
    if (value == 'x')
        return fg_fail(m, FG_INPUT, "%s: damaged", path);
    const size_t bytes = WIDTH * (size_t)height;
    *picture = (struct fg_decoded){malloc(bytes), WIDTH, height, 1};
    memset(picture->pixels, value, bytes);
    decoded++;
    return FG_OK;
}

static void free_picture(struct fg_decoded *picture) {
    free(picture->pixels);
    decoded--;
}

static const struct fg_decoder decoder = {accepts, read_picture, free_picture};

static void write_file(const char *name, char value) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputc(value, file);
    fclose(file);
}

static int set_up(void **state) {
    (void)state;
    height = HEIGHT;
    strcpy(folder, "/tmp/flawgate-camera-XXXXXX");
    assert_non_null(mkdtemp(folder));
    write_file("b.pic", 'b');
    write_file("a10.pic", 'a');
    write_file("c.pic", 'c');
    write_file("notes.txt", 'n');
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    if (camera)
        camera->close(camera);
    camera = NULL;
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static struct fg_directory_settings keys;

static struct fg_camera_settings settings(bool cycle, uint32_t memory_mib, int32_t max_width) {
    keys = (struct fg_directory_settings){.cycle = cycle, .memory_mib = memory_mib};
    strcpy(keys.path, folder);
    return (struct fg_camera_settings){
        .keys = &keys, .max_width = max_width, .max_height = height, .decoder = &decoder, .memory = memory};
}

static enum fg_status open_camera(bool cycle, uint32_t memory_mib, int32_t max_width) {
    const struct fg_camera_settings given = settings(cycle, memory_mib, max_width);
    const enum fg_status status = fg_directory_driver.open(&given, &camera, &message);
    assert_int_equal(decoded, 0);
    return status;
}

static void refused(uint32_t memory_mib, int32_t max_width, const char *what) {
    assert_int_equal(open_camera(true, memory_mib, max_width), FG_INPUT);
    if (!strstr(message.text, what))
        fail_msg("\"%s\" does not say \"%s\"", message.text, what);
}

static char shown(void) {
    struct fg_camera_frame frame;
    assert_int_equal(camera->trigger(camera, &message), FG_OK);
    assert_int_equal(camera->next(camera, 0, &frame, &message), FG_OK);
    assert_true(frame.pixels >= memory && frame.pixels + frame.bytes <= memory + sizeof memory);
    assert_int_equal(frame.bytes, BYTES);
    for (size_t i = 1; i < frame.bytes; i++)
        assert_int_equal(frame.pixels[i], frame.pixels[0]);
    const char value = (char)frame.pixels[0];
    camera->release(camera, &frame);
    return value;
}

static void test_order_and_cycle(void **state) {
    (void)state;
    assert_int_equal(open_camera(true, 1, WIDTH), FG_OK);
    const char expected[] = "abcabca";
    for (size_t i = 0; i < sizeof expected - 1; i++)
        assert_int_equal(shown(), expected[i]);
}

static void test_end(void **state) {
    (void)state;
    assert_int_equal(open_camera(false, 1, WIDTH), FG_OK);
    for (int i = 0; i < 3; i++)
        shown();
    assert_int_equal(camera->trigger(camera, &message), FG_INPUT);
    assert_non_null(strstr(message.text, folder));
}

/* One frame for each trigger, none without; described as it is; gone after arming. */
static void test_frames(void **state) {
    (void)state;
    struct fg_camera_frame frame;
    assert_int_equal(open_camera(true, 1, WIDTH), FG_OK);
    struct pollfd ready = {.fd = camera->descriptor, .events = POLLIN};
    assert_int_equal(camera->next(camera, 0, &frame, &message), FG_TIMEOUT);
    assert_int_equal(poll(&ready, 1, 0), 0);
    const int64_t before = fg_clock_ns();
    assert_int_equal(camera->trigger(camera, &message), FG_OK);
    assert_int_equal(poll(&ready, 1, 0), 1);
    assert_int_equal(camera->next(camera, 0, &frame, &message), FG_OK);
    assert_true(frame.exposed_ns >= before && frame.exposed_ns <= fg_clock_ns());
    assert_int_equal(frame.width, WIDTH);
    assert_int_equal(frame.height, HEIGHT);
    assert_int_equal(frame.pitch, WIDTH);
    assert_int_equal(frame.format, FG_GREY8);
    assert_int_equal(frame.status, FG_FRAME_WHOLE);
    assert_string_equal(frame.name, "a10.pic");
    const uint32_t sequence = frame.sequence;
    assert_int_equal(camera->next(camera, fg_clock_ns() + FG_MS, &frame, &message), FG_TIMEOUT);
    assert_int_equal(camera->trigger(camera, &message), FG_OK);
    assert_int_equal(camera->arm(camera, &message), FG_OK);
    assert_int_equal(camera->next(camera, 0, &frame, &message), FG_TIMEOUT);
    assert_int_equal(camera->trigger(camera, &message), FG_OK);
    assert_int_equal(camera->next(camera, 0, &frame, &message), FG_OK);
    assert_int_equal(frame.sequence, sequence + 2);
}

/* Nothing is read once it is open. */
static void test_files_may_go(void **state) {
    (void)state;
    assert_int_equal(open_camera(true, 1, WIDTH), FG_OK);
    write_file("a10.pic", 'z');
    assert_int_equal(shown(), 'a');
}

static void test_refused(void **state) {
    (void)state;
    height = HEIGHT + 1;
    refused(1, WIDTH, "c.pic");
    height = HEIGHT;
    refused(0, WIDTH, "a10.pic");
    refused(1, WIDTH - 1, "512x682");
    write_file("bb.pic", 'x');
    refused(1, WIDTH, "bb.pic: damaged");
    strcat(folder, "/none");
    refused(1, WIDTH, folder);
    *strrchr(folder, '/') = 0;
}

static void test_empty_folder(void **state) {
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm %s/*.pic", folder);
    assert_int_equal(system(command), 0);
    refused(1, WIDTH, "no pictures");
}

/* What check reports: everything, and each picture that it could read is seen. */

static void see(struct fg_camera_viewer *viewer, const struct fg_camera_frame *frame,
                struct fg_report *report) {
    (void)viewer;
    assert_int_equal(frame->bytes, BYTES);
    assert_int_equal(frame->pixels[BYTES - 1], frame->name[0]);
    fg_report_add(report, "seen %s", frame->name);
}

static void check(bool look, const char *const *lines, uint32_t count) {
    struct fg_report report = {0};
    struct fg_camera_viewer viewer = {.see = see};
    const struct fg_camera_settings given = settings(true, 1, WIDTH);
    fg_directory_driver.check(&given, look ? &viewer : NULL, &report);
    for (uint32_t i = 0; i < count; i++)
        if (!report.text || !strstr(report.text, lines[i]))
            fail_msg("\"%s\" does not say \"%s\"", report.text ? report.text : "", lines[i]);
    assert_int_equal(report.lines, count);
    assert_int_equal(decoded, 0);
    fg_report_free(&report);
}

static void test_check(void **state) {
    (void)state;
    check(false, NULL, 0);
    check(true, (const char *const[]){"seen a10.pic", "seen b.pic", "seen c.pic"}, 3);
    write_file("bb.pic", 'x');
    write_file("d.pic", 'd');
    write_file("e.pic", 'e');
    check(false, NULL, 0);
    check(true,
          (const char *const[]){"seen a10.pic", "seen b.pic", "bb.pic: damaged", "seen c.pic",
                                "d.pic does not fit", "seen d.pic", "seen e.pic"},
          7);
    strcat(folder, "/none");
    check(false, (const char *const[]){folder}, 1);
    check(true, (const char *const[]){folder}, 1);
    *strrchr(folder, '/') = 0;
}

static void test_facts(void **state) {
    (void)state;
    const struct fg_camera_settings given = settings(true, 3, 100);
    struct fg_camera_facts facts;
    fg_directory_driver.facts(&given, &facts);
    assert_true(facts.software_trigger && !facts.hardware_trigger);
    assert_int_equal(facts.max_width, 100);
    assert_int_equal(facts.max_height, HEIGHT);
    assert_int_equal(facts.memory, 3 << 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_and_cycle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_frames, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files_may_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_check, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_facts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_empty_folder, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
