/* The store between the line and the disk: what it writes, and that a disk that hangs or breaks holds nobody.
 * */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/image/image.h"
#include "runtime/store/storage.h"

#define SIDE 64
#define SLOTS 8 /* of a configuration with one view */
#define PATIENCE (120 * FG_S)
#define TIME 1700000000123 /* of every trigger: 2023-11-14 22:13:20.123 UTC */

static char folder[64];
static struct fg_config config;
static struct fg_memory_plan plan;
static struct fg_storage *storage;
static const struct fg_sink *sink;
static struct fg_message message;
static struct fg_bundle_header bundle = {.spec = {.height = SIDE, .width = SIDE}};
static uint8_t pixels[SIDE * SIDE * 3];
static float map[SIDE * SIDE];

#define OK(call)                                                                                             \
    do {                                                                                                     \
        if ((call) != FG_OK)                                                                                 \
            fail_msg("%s", message.text);                                                                    \
    } while (0)

#define WAIT(condition)                                                                                      \
    do {                                                                                                     \
        const int64_t patience_ends = fg_clock_ns() + PATIENCE;                                              \
        while (!(condition)) {                                                                               \
            if (fg_clock_ns() > patience_ends)                                                               \
                fail_msg("%s did not happen", #condition);                                                   \
            sched_yield();                                                                                   \
        }                                                                                                    \
    } while (0)

static void open_storage(void) {
    static struct fg_snapshot_cell cell;
    static _Alignas(256) unsigned char memory[16 << 20];
    plan = (struct fg_memory_plan){.map_pixels = SIDE * SIDE};
    fg_storage_plan(&config, &plan);
    assert_true(plan.store == plan.fixed && plan.store <= sizeof memory);
    memset(memory, 0, sizeof memory);
    OK(fg_storage_open(&config, &plan, memory, &storage, &message));
    sink = fg_storage_sink(storage);
    OK(fg_storage_start(storage, &cell, &message));
}

/* A slow disk takes more than one call. */
static void close_storage(void) {
    WAIT(fg_storage_close(storage));
}

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/flawgate-store-XXXXXX");
    assert_non_null(mkdtemp(folder));
    config = (struct fg_config){.cameras = 1, .views = 1, .store = {.quota_mib = 100, .days = 36500}};
    config.camera[0].max_width = config.camera[0].max_height = SIDE;
    snprintf(config.store.path, sizeof config.store.path, "%s/store", folder);
    snprintf(config.store.metrics, sizeof config.store.metrics, "%s/metrics", folder);
    snprintf(bundle.provenance.name, sizeof bundle.provenance.name, "a\"b");
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        pixels[i] = (uint8_t)(i * 7 % 251);
    for (int i = 0; i < SIDE * SIDE; i++)
        map[i] = (float)i;
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command); /* NOLINT(cert-env33-c): the text is our own */
}

static struct fg_frame make_frame(void) {
    return (struct fg_frame){
        .pixels = pixels, .width = SIDE, .height = SIDE, .format = FG_RGB8, .pitch = SIDE * 3};
}

/* Gives the sink a part's picture, as the judge does. */
static void keep_part(uint32_t part, const struct fg_frame *frame, bool asked) {
    const struct fg_result result = {
        .id = part,
        .verdict = FG_DEFECT,
        .trigger_unix_ms = TIME,
        .view = {{.verdict = FG_DEFECT, .score = 0.5f, .threshold = 0.25f, .x = 1, .y = 2, .w = 3, .h = 4}}};
    const struct fg_sink_picture picture = {.result = &result,
                                            .asked = asked,
                                            .last = true,
                                            .frame = *frame,
                                            .bundle = &bundle,
                                            .checksum = 0x1234,
                                            .map = map};
    sink->keep(sink->store, &picture);
}

static void write_path(char path[256], uint32_t sequence, uint32_t part, const char *kind,
                       const char *ending) {
    snprintf(path, 256, "%s/store/pictures/%010u_20231114T221320.123Z_part%u_view0_%s%s", folder, sequence,
             part, kind, ending);
}

static bool is_there(uint32_t sequence, uint32_t part, const char *kind) {
    char path[256];
    write_path(path, sequence, part, kind, ".json");
    return access(path, F_OK) == 0;
}

static struct fg_sink_state read_state(void) {
    struct fg_sink_state state;
    sink->state(sink->store, &state);
    return state;
}

static double read_metric(const char *name) {
    char line[256];
    double value = -1;
    FILE *file = fopen(config.store.metrics, "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ' ')
            value = strtod(line + strlen(name), NULL);
    if (file)
        fclose(file);
    return value;
}

/* ---- Pictures ---- */

static void a_picture_is_what_the_view_saw(void **state) {
    (void)state;
    static const int32_t ROTATIONS[] = {0, 90, 180, 270};
    open_storage();
    for (uint32_t i = 0; i < 4; i++) {
        struct fg_frame frame = make_frame();
        char path[256];
        struct fg_image image;
        frame.region = (struct fg_region){5, 7, 3, 2};
        frame.rotation = ROTATIONS[i];
        keep_part(i + 1, &frame, false);
        WAIT(is_there(i + 1, i + 1, "defect"));
        write_path(path, i + 1, i + 1, "defect", ".png");
        OK(fg_image_read(path, &image, &message));
        assert_true(i % 2 ? image.width == 2 && image.height == 3 : image.width == 3 && image.height == 2);
        /* Where the region's upper left pixel went, and its lower right one. */
        const size_t first[4] = {0, 1, 5, 4}, last[4] = {5, 4, 0, 1};
        assert_memory_equal(image.pixels + 3 * first[i], pixels + (size_t)(7 * SIDE + 5) * 3, 3);
        assert_memory_equal(image.pixels + 3 * last[i], pixels + (size_t)(8 * SIDE + 7) * 3, 3);
        fg_image_free(&image);
    }
    close_storage();
}

static void a_frame_in_its_camera_s_format_becomes_colour(void **state) {
    (void)state;
    uint8_t yuyv[SIDE * SIDE * 2];
    struct fg_frame frame = {
        .pixels = yuyv, .width = SIDE, .height = SIDE, .format = FG_YUYV, .pitch = SIDE * 2};
    char path[256];
    struct fg_image image;
    for (int i = 0; i < SIDE * SIDE * 2; i++)
        yuyv[i] = (uint8_t)(i % 2 ? 128 : 16 + i / 2 % SIDE); /* grey, lighter to the right */
    frame.region = (struct fg_region){11, 3, 21, 9};
    open_storage();
    keep_part(1, &frame, false);
    WAIT(is_there(1, 1, "defect"));
    write_path(path, 1, 1, "defect", ".png");
    OK(fg_image_read(path, &image, &message));
    assert_true(image.width == 21 && image.height == 9 && image.channels == 3);
    for (int y = 0; y < 9; y++)
        for (int x = 0; x < 21; x++)
            for (int k = 0; k < 3; k++)
                assert_int_equal(image.pixels[(y * 21 + x) * 3 + k], (int)((x + 11) * 255 / 219.0 + 0.5));
    fg_image_free(&image);
    close_storage();
}

static void a_picture_comes_with_its_map_and_all_that_is_known(void **state) {
    (void)state;
    char path[256], text[2048];
    struct fg_image size;
    const struct fg_frame frame = make_frame();
    open_storage();
    keep_part(7, &frame, true);
    WAIT(is_there(1, 7, "asked"));
    write_path(path, 1, 7, "asked", ".map.png");
    OK(fg_image_size(path, &size, &message));
    assert_true(size.width == SIDE && size.height == SIDE && size.channels == 1);
    write_path(path, 1, 7, "asked", ".json");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    static const char *const HAS[] = {"\"part\": 7, \"time\": \"2023-11-14T22:13:20.123Z\"",
                                      "\"verdict\": \"DEFECT\"",
                                      "\"score\": 0.5, \"threshold\": 0.25,",
                                      "\"bundle\": \"a_b\", \"checksum\": \"00001234\"",
                                      "\"box\": [1, 2, 3, 4]",
                                      "\"map_low\": 0, \"map_high\": 4095,"};
    for (size_t i = 0; i < sizeof HAS / sizeof *HAS; i++)
        if (!strstr(text, HAS[i]))
            fail_msg("no %s in %s", HAS[i], text);
    WAIT(read_state().saved == 1 && !read_state().unsaved);
    close_storage();
}

/* ---- The disk ---- */

/* The next picture's file is a pipe that nobody reads, so the thread stands still in opening it. */
static void a_disk_that_hangs_holds_nobody(void **state) {
    (void)state;
    char path[256], pictures[128];
    const struct fg_frame frame = make_frame();
    struct fg_result result = {.verdict = FG_PASS, .view = {{.verdict = FG_PASS}}};
    snprintf(pictures, sizeof pictures, "%s/store", folder);
    assert_int_equal(mkdir(pictures, 0700), 0);
    strcat(pictures, "/pictures");
    assert_int_equal(mkdir(pictures, 0700), 0);
    open_storage();
    bundle.calibration = (struct fg_calibration){.threshold = 0.5f, .false_rejects = 0.001f};
    sink->loaded(sink->store, 0, &bundle, 1);
    keep_part(1, &frame, false);
    WAIT(is_there(1, 1, "defect"));
    write_path(path, 2, 2, "defect", ".png.tmp");
    assert_int_equal(mkfifo(path, 0600), 0);
    uint32_t part = 2;
    while (part <= SLOTS)
        keep_part(part++, &frame, false);
    assert_false(read_state().degraded);
    keep_part(part++, &frame, false); /* the first picture's slot may not be free yet */
    keep_part(part++, &frame, false);
    assert_true(read_state().degraded);
    keep_part(part++, &frame, true);
    assert_int_equal(read_state().unsaved, 1);
    for (result.id = 1; result.id <= 4000; result.id++) {
        result.view[0].score = 0.1f + (float)(result.id * 37 % 199) / 1990;
        sink->record(sink->store, &result);
    }
    sink->loaded(sink->store, 0, &bundle, 2);
    assert_false(fg_storage_close(storage)); /* it waits some seconds for the disk, and not longer */
    const int reader = open(path, O_RDONLY | O_NONBLOCK); /* the disk wakes up */
    assert_true(reader >= 0);
    /* Of what waited the scores are written, and no picture is: its folder could not be used. */
    close_storage();
    close(reader);
    assert_true(read_metric("flawgate_dropped_pictures_total") == part - 2);
    assert_true(read_metric("flawgate_pictures_total") == 1);
    const double scores = read_metric("flawgate_scores_total");
    assert_true(scores >= 1024 && scores + read_metric("flawgate_dropped_scores_total") == 4000);
    assert_int_equal(read_state().proposed[0],
                     0); /* of another bundle's scores: that it came is not dropped */
}

static void a_folder_that_cannot_be_made_is_said_and_shown(void **state) {
    (void)state;
    const struct fg_frame frame = make_frame();
    FILE *file = fopen(config.store.path, "w"); /* a file is in its place */
    fclose(file);
    open_storage();
    WAIT(read_state().degraded);
    keep_part(1, &frame, true);
    WAIT(read_state().unsaved == 1);
    close_storage();
    assert_true(read_metric("flawgate_dropped_pictures_total") == 1);
}

/* ---- What is wanted ---- */

static void defects_doubtful_parts_and_some_good_ones_are_wanted(void **state) {
    (void)state;
    config.views = 2;
    config.store.good_every = 3;
    open_storage();
    struct fg_result pass = {.verdict = FG_PASS, .view = {{.verdict = FG_PASS}, {.verdict = FG_PASS}}},
                     part = pass;
    part.verdict = part.view[1].verdict = FG_DEFECT;
    assert_int_equal(sink->want(sink->store, &part), 2);
    part = pass;
    part.view[0].doubtful = true;
    assert_int_equal(sink->want(sink->store, &part), 1);
    part = pass;
    part.verdict = part.view[0].verdict = FG_INOPERATIVE;
    assert_int_equal(sink->want(sink->store, &part), 0);
    const uint32_t expected[] = {0, 3, 0, 0, 3}; /* the doubtful part was a good one too */
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(sink->want(sink->store, &pass), expected[i]);
    close_storage();
}

/* ---- Proposals ---- */

static void a_view_s_scores_propose_its_threshold(void **state) {
    (void)state;
    *config.store.path = 0; /* nothing is kept, but this needs no disk */
    open_storage();
    assert_null(sink->keep);
    struct fg_result result = {.verdict = FG_PASS, .view = {{.verdict = FG_PASS}}};
    bundle.calibration = (struct fg_calibration){.threshold = 0.5f, .false_rejects = 0.001f};
    sink->loaded(sink->store, 0, &bundle, 1);
    for (result.id = 1; result.id <= 199; result.id++) {
        result.view[0].score = 0.1f + (float)(result.id * 37 % 199) / 1990;
        sink->record(sink->store, &result);
    }
    result.view[0].verdict = FG_INOPERATIVE; /* it has no score */
    sink->record(sink->store, &result);
    assert_int_equal(read_state().proposed[0], 0);
    result.view[0].verdict = FG_PASS;
    result.view[0].score = 0.15f;
    sink->record(sink->store, &result);
    WAIT(read_state().proposed[0]);
    assert_in_range(read_state().proposed[0], 2000, 8000);
    assert_int_equal(read_state().proposed[1], 0);
    sink->loaded(sink->store, 0, &bundle, 2); /* another bundle */
    WAIT(!read_state().proposed[0]);
    close_storage();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_picture_is_what_the_view_saw, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_frame_in_its_camera_s_format_becomes_colour, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_picture_comes_with_its_map_and_all_that_is_known, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_made_is_said_and_shown, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(defects_doubtful_parts_and_some_good_ones_are_wanted, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_view_s_scores_propose_its_threshold, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_disk_that_hangs_holds_nobody, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
