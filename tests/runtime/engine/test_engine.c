/* The engine on small bundles of the whole network: exact memory, self-test, contract, what overflows, the
 * box. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/engine/defect.h"
#include "runtime/engine/engine.h"
#include "trainer/bundle/folded.h"

#define SIDE 64

static struct fg_network network;
static struct fg_backend *backend;
static struct fg_message message;
static char raw[64], calibrated[64];
static uint8_t grey[SIDE * SIDE * 3], bright[SIDE * SIDE * 3];

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s", message.text);
}

/* An engine in an arena of exactly its need. */
struct loaded {
    struct fg_bundle *bundle;
    struct fg_arena *arena;
    struct fg_engine *engine;
    struct fg_engine_need need;
};

static enum fg_status load(struct loaded *l, const char *path, bool self_test) {
    memset(l, 0, sizeof *l);
    ok(fg_bundle_open(path, &l->bundle, &message));
    ok(fg_engine_need(l->bundle, backend, 100, 80, &l->need, &message));
    ok(fg_arena_open(backend, FG_STORE_HOST, 0, l->need.host, 1, &l->arena, &message));
    const struct fg_engine_bank bank = {.host = fg_arena_bank(l->arena, 0)};
    return fg_engine_open(l->bundle, backend, &bank, 100, 80, self_test, &l->engine, &message);
}

static void unload(struct loaded *l) {
    fg_engine_close(l->engine);
    fg_arena_close(l->arena);
    fg_bundle_close(l->bundle);
}

/* A bundle of random weights, its first convolution scaled, with a self-test of the grey picture. The
 * threshold is share of the grey picture's score. */
static void write_bundle(float scale, float self_test_error, float share, struct fg_contract contract) {
    struct fg_weights weights;
    ok(fg_weights_open(&weights, &network, &message));
    fg_weights_draw(&weights, 2, true);
    const uint32_t first = (uint32_t)fg_network_find(&network, "teacher.conv1.weight");
    float *values = fg_weights_values(&weights, first);
    for (size_t i = 0; i < fg_tensor_count(&weights.param[first]); i++)
        values[i] *= scale;
    struct fg_bundle_header header = {.spec = network.spec,
                                      .contract = contract,
                                      .provenance = {.train_pictures = 10,
                                                     .held_out_pictures = 4,
                                                     .epochs = 1,
                                                     .best_epoch = 1,
                                                     .batch = 16,
                                                     .learning_rate = 1e-3f,
                                                     .name = "test",
                                                     .program = "test"}};
    struct fg_folded folded;
    struct fg_bundle *made;
    ok(fg_folded_open(&folded, &weights, &message));
    ok(fg_bundle_make(raw, &header, folded.value, &made, &message));
    ok(fg_bundle_write(made, raw, &header, NULL, NULL, &message));
    fg_bundle_close(made);
    fg_folded_close(&folded);
    fg_weights_close(&weights);
    struct loaded l;
    ok(load(&l, raw, false));
    struct fg_judgement judgement;
    ok(fg_engine_judge_picture(l.engine, grey, &judgement, &message));
    assert_true(judgement.finite);
    header.calibrated = true;
    header.self_test_score = judgement.score * (1 + self_test_error);
    header.calibration = (struct fg_calibration){.threshold = judgement.score * share,
                                                 .tail_quantile = judgement.score * share,
                                                 .largest_score = judgement.score * share / 2,
                                                 .log_mean = 0,
                                                 .log_deviation = 1,
                                                 .false_rejects = 1e-3f,
                                                 .rate_bound = 0.75f,
                                                 .pictures = 4};
    ok(fg_bundle_write(l.bundle, calibrated, &header, grey, fg_engine_map(l.engine), &message));
    unload(&l);
}

static const struct fg_contract any_size = {.channels = 3, .format = "rgb8"};

static int set_up(void **state) {
    (void)state;
    const struct fg_network_spec spec = {.backbone = FG_RESNET18,
                                         .height = SIDE,
                                         .width = SIDE,
                                         .base = 4,
                                         .scconv = true,
                                         .simam = true,
                                         .fmm = true,
                                         .levels = 7};
    /* Near the mean that NORMALISE takes off, and far above it. */
    for (size_t i = 0; i < sizeof grey; i++)
        grey[i] = (uint8_t[]){124, 116, 104}[i % 3];
    memset(bright, 255, sizeof bright);
    snprintf(raw, sizeof raw, "/tmp/flawgate-test-%d-raw.fgb", (int)getpid());
    snprintf(calibrated, sizeof calibrated, "/tmp/flawgate-test-%d.fgb", (int)getpid());
    return fg_network_init(&network, &spec, &message) != FG_OK ||
           fg_cpu_open(2, 1, &backend, &message) != FG_OK;
}

static int tear_down(void **state) {
    (void)state;
    unlink(raw);
    unlink(calibrated);
    backend->close(backend);
    return 0;
}

static void test_memory_is_exact(void **state) {
    (void)state;
    write_bundle(1, 0, 2, any_size);
    struct loaded l;
    ok(load(&l, calibrated, true));
    assert_int_equal(fg_arena_high_water(l.arena), fg_arena_size(l.arena));
    assert_int_equal(fg_arena_size(l.arena), l.need.host);
    assert_int_equal(l.need.device, 0);
    unload(&l);
    /* One piece less does not do. */
    ok(fg_bundle_open(calibrated, &l.bundle, &message));
    ok(fg_arena_open(backend, FG_STORE_HOST, 0, l.need.host - FG_ALIGNMENT, 1, &l.arena, &message));
    l.engine = NULL;
    const struct fg_engine_bank bank = {.host = fg_arena_bank(l.arena, 0)};
    assert_int_equal(fg_engine_open(l.bundle, backend, &bank, 100, 80, true, &l.engine, &message),
                     FG_ENVIRONMENT);
    unload(&l);
}

static void test_uncalibrated_is_refused(void **state) {
    (void)state;
    write_bundle(1, 0, 2, any_size);
    struct loaded l;
    assert_int_equal(load(&l, raw, true), FG_INPUT);
    assert_non_null(strstr(message.text, "calibrat"));
    unload(&l);
}

static void test_self_test(void **state) {
    (void)state;
    struct loaded l;
    write_bundle(1, 0.005f, 2, any_size);
    ok(load(&l, calibrated, true));
    unload(&l);
    write_bundle(1, 0.02f, 2, any_size);
    assert_int_equal(load(&l, calibrated, true), FG_INPUT);
    assert_non_null(strstr(message.text, "self-test"));
    unload(&l);
    /* An expected map of NaN is near nothing. */
    write_bundle(1, 0, 2, any_size);
    ok(load(&l, calibrated, true));
    static float nothing[SIDE * SIDE];
    for (size_t i = 0; i < (size_t)SIDE * SIDE; i++)
        nothing[i] = NAN;
    const struct fg_bundle_header header = *fg_bundle_header(l.bundle);
    ok(fg_bundle_write(l.bundle, raw, &header, grey, nothing, &message));
    unload(&l);
    assert_int_equal(load(&l, raw, true), FG_INPUT);
    assert_non_null(strstr(message.text, "self-test"));
    unload(&l);
}

static void test_contract(void **state) {
    (void)state;
    write_bundle(1, 0, 2, (struct fg_contract){.width = 80, .height = 70, .channels = 3, .format = "rgb8"});
    struct loaded l;
    ok(load(&l, calibrated, true));
    static uint8_t pixels[101 * 81 * 3];
    const struct {
        int32_t width, height;
        enum fg_pixel_format format;
        const char *refused;
    } frames[] = {
        {80, 70, FG_RGB8, NULL},
        {80, 70, FG_GREY8, "grey frame (grey8)"},
        {70, 80, FG_RGB8, "80x70"},
        {80, 71, FG_RGB8, "80x70"},
        {101, 70, FG_RGB8, "at most"},
        {80, 70, FG_YUYV, NULL},
        {80, 70, FG_NV12, NULL},
        {80, 70, FG_GBRG12, NULL},
        {79, 70, FG_YUYV, "an even width"},
        {80, 71, FG_NV12, "an even width and height"},
        {1, 70, FG_RGGB8, "at least 2x2"},
    };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        const struct fg_frame frame = {.pixels = pixels,
                                       .width = frames[i].width,
                                       .height = frames[i].height,
                                       .format = frames[i].format,
                                       .pitch = fg_pixel_row_bytes(frames[i].format, frames[i].width)};
        struct fg_judgement judgement;
        if (!frames[i].refused) {
            ok(fg_engine_submit(l.engine, &frame, &message));
            ok(fg_engine_finish(l.engine, INT64_MAX, INFINITY, &judgement, &message));
        } else {
            assert_int_equal(fg_engine_submit(l.engine, &frame, &message), FG_INPUT);
            assert_non_null(strstr(message.text, frames[i].refused));
        }
    }
    const struct fg_frame narrow = {
        .pixels = pixels, .width = 80, .height = 70, .format = FG_YUYV, .pitch = 159};
    assert_int_equal(fg_engine_submit(l.engine, &narrow, &message), FG_INPUT);
    assert_non_null(strstr(message.text, "rows 159 bytes apart"));
    unload(&l);
}

/* The same grey picture in several formats is the same to the engine; a run with another format changes
 * nothing of the next. */
static void test_formats(void **state) {
    (void)state;
    write_bundle(1, 0, 2, any_size);
    struct loaded l;
    ok(load(&l, calibrated, true));
    static uint8_t rgb[72 * 90 * 3], yuyv[72 * 90 * 2], nv12[72 * 90 * 3 / 2], bayer[72 * 90 * 2];
    for (int i = 0; i < 72 * 90; i++) {
        const int luma = 16 + (i / 90 * 7 + i % 90 / 2 * 5) % 220;
        memset(rgb + 3 * i, (255 * (luma - 16) + 109) / 219, 3);
        yuyv[2 * i] = nv12[i] = (uint8_t)luma;
        yuyv[2 * i + 1] = nv12[72 * 90 + i / 2] = 128;
    }
    const struct fg_frame frames[] = {
        {.pixels = rgb, .width = 90, .height = 72, .format = FG_RGB8, .pitch = 270},
        {.pixels = yuyv, .width = 90, .height = 72, .format = FG_YUYV, .pitch = 180},
        {.pixels = bayer, .width = 90, .height = 72, .format = FG_BGGR10, .pitch = 180},
        {.pixels = nv12, .width = 90, .height = 72, .format = FG_NV12, .pitch = 90}};
    struct fg_judgement judgement[4];
    for (int i = 0; i < 4; i++) {
        ok(fg_engine_submit(l.engine, &frames[i], &message));
        ok(fg_engine_finish(l.engine, INT64_MAX, INFINITY, &judgement[i], &message));
        assert_true(judgement[i].finite);
    }
    assert_true(judgement[1].score == judgement[0].score);
    assert_true(judgement[2].score != judgement[0].score);
    assert_true(judgement[3].score == judgement[0].score);
    unload(&l);
}

/* Weights that overflow on a bright part, but not on the self-test's grey one: never a verdict. */
static void test_overflow_is_not_finite(void **state) {
    (void)state;
    write_bundle(1e20f, 0, 2, any_size);
    struct loaded l;
    ok(load(&l, calibrated, true));
    struct fg_judgement judgement;
    ok(fg_engine_judge_picture(l.engine, bright, &judgement, &message));
    assert_false(judgement.finite);
    ok(fg_engine_judge_picture(l.engine, grey, &judgement, &message));
    assert_true(judgement.finite);
    unload(&l);
}

static void test_deadline(void **state) {
    (void)state;
    write_bundle(1, 0, 2, any_size);
    struct loaded l;
    ok(load(&l, calibrated, true));
    const struct fg_frame frame = {
        .pixels = grey, .width = SIDE, .height = SIDE, .format = FG_RGB8, .pitch = SIDE * 3};
    struct fg_judgement judgement;
    ok(fg_engine_submit(l.engine, &frame, &message));
    /* It may have ended already; otherwise a deadline in the past says so at once, and the run can still be
     * met. */
    enum fg_status status = fg_engine_finish(l.engine, 0, INFINITY, &judgement, &message);
    if (status == FG_TIMEOUT)
        status = fg_engine_finish(l.engine, INT64_MAX, INFINITY, &judgement, &message);
    ok(status);
    assert_true(judgement.finite);
    unload(&l);
}

static void test_box(void **state) {
    (void)state;
    /* Two regions above 1: the larger one is not the one with the maximum. Diagonal neighbours belong
     * together. */
    float map[8 * 16] = {0};
    map[1 * 16 + 2] = 3;
    map[2 * 16 + 3] = 2;
    for (int y = 4; y < 8; y++)
        for (int x = 8; x < 16; x++)
            map[y * 16 + x] = 1.5f;
    void *scratch = malloc(fg_defect_scratch(8, 16));
    struct fg_box box = fg_defect_find(map, 8, 16, 1, 80, 320, scratch);
    assert_int_equal(box.x, 40);
    assert_int_equal(box.y, 10);
    assert_int_equal(box.w, 40);
    assert_int_equal(box.h, 20);
    assert_int_equal(box.area, 2 * 10 * 20);
    box = fg_defect_find(map, 8, 16, 1, 9, 17, scratch); /* not a multiple: every touched pixel is inside */
    assert_true(box.x <= 2 && box.x + box.w >= 5 && box.y <= 1 && box.y + box.h >= 4);
    box = fg_defect_find(map, 8, 16, 3, 80, 320, scratch);
    assert_true(box.w == 0 && box.area == 0);
    free(scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_exact), cmocka_unit_test(test_uncalibrated_is_refused),
        cmocka_unit_test(test_self_test),       cmocka_unit_test(test_contract),
        cmocka_unit_test(test_formats),         cmocka_unit_test(test_overflow_is_not_finite),
        cmocka_unit_test(test_deadline),        cmocka_unit_test(test_box),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
