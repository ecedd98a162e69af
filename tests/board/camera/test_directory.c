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

#define WIDTH 3
#define HEIGHT 2
#define BYTES (WIDTH * HEIGHT)

static char folder[64];
static unsigned char memory[4 * BYTES];
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
    *picture = (struct fg_decoded){malloc(BYTES), WIDTH, HEIGHT, 1};
    memset(picture->pixels, value, BYTES);
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

static enum fg_status open_camera(bool cycle, size_t bytes, int32_t max_width) {
    const struct fg_directory_settings settings = {.folder = folder,
                                                   .cycle = cycle,
                                                   .max_width = max_width,
                                                   .max_height = HEIGHT,
                                                   .memory = memory,
                                                   .memory_bytes = bytes};
    const enum fg_status status = fg_directory_open(&settings, &decoder, &camera, &message);
    assert_int_equal(decoded, 0);
    return status;
}

static void refused(size_t bytes, int32_t max_width, const char *what) {
    assert_int_equal(open_camera(true, bytes, max_width), FG_INPUT);
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
    assert_int_equal(open_camera(true, sizeof memory, WIDTH), FG_OK);
    const char expected[] = "abcabca";
    for (size_t i = 0; i < sizeof expected - 1; i++)
        assert_int_equal(shown(), expected[i]);
}

static void test_end(void **state) {
    (void)state;
    assert_int_equal(open_camera(false, sizeof memory, WIDTH), FG_OK);
    for (int i = 0; i < 3; i++)
        shown();
    assert_int_equal(camera->trigger(camera, &message), FG_INPUT);
    assert_non_null(strstr(message.text, folder));
}

/* One frame for each trigger, none without; described as it is; gone after arming. */
static void test_frames(void **state) {
    (void)state;
    struct fg_camera_frame frame;
    assert_int_equal(open_camera(true, sizeof memory, WIDTH), FG_OK);
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
    assert_int_equal(open_camera(true, sizeof memory, WIDTH), FG_OK);
    write_file("a10.pic", 'z');
    assert_int_equal(shown(), 'a');
}

static void test_refused(void **state) {
    (void)state;
    refused(3 * BYTES - 1, WIDTH, "c.pic");
    refused(0, WIDTH, "a10.pic");
    refused(sizeof memory, WIDTH - 1, "3x2");
    write_file("bb.pic", 'x');
    refused(sizeof memory, WIDTH, "bb.pic: damaged");
    strcat(folder, "/none");
    refused(sizeof memory, WIDTH, folder);
    *strrchr(folder, '/') = 0;
}

static void test_empty_folder(void **state) {
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm %s/*.pic", folder);
    assert_int_equal(system(command), 0);
    refused(sizeof memory, WIDTH, "no pictures");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_and_cycle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_frames, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files_may_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_empty_folder, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
