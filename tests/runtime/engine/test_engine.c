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
    ok(fg_bundle_make(raw, &header, folded.value, NULL, &made, &message));
    ok(fg_bundle_write(made, raw, &header, NULL, &message));
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
    header.calibration = (struct fg_calibration){.threshold = judgement.score * share};
    ok(fg_bundle_write(l.bundle, calibrated, &header,
                       &(struct fg_evidence){.input = grey, .map = fg_engine_map(l.engine)}, &message));
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
    ok(fg_bundle_write(l.bundle, raw, &header, &(struct fg_evidence){.input = grey, .map = nothing},
                       &message));
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

/* A picture of 90 x 72 pixels, RGB, with something at one place. */
static void draw_part(uint8_t *rgb) {
    for (int i = 0; i < 72 * 90; i++)
        memset(rgb + 3 * i, 60 + (i / 90 * 3 + i % 90 * 2) % 90, 3);
    for (int y = 20; y < 29; y++)
        memset(rgb + 3 * (y * 90 + 55), 255, 12 * 3);
}

/* What is seen of a frame, as a picture of its own. */
static struct fg_frame cut(const struct fg_frame *frame, uint8_t *out) {
    const struct fg_region r = frame->region;
    struct fg_frame seen = {.pixels = out, .format = FG_RGB8};
    fg_frame_seen(frame, &seen.width, &seen.height);
    seen.pitch = (size_t)seen.width * 3;
    for (int32_t y = 0; y < r.height; y++)
        for (int32_t x = 0; x < r.width; x++) {
            const int32_t row = frame->rotation == 90    ? x
                                : frame->rotation == 180 ? r.height - 1 - y
                                : frame->rotation == 270 ? r.width - 1 - x
                                                         : y,
                          column = frame->rotation == 90    ? r.height - 1 - y
                                   : frame->rotation == 180 ? r.width - 1 - x
                                   : frame->rotation == 270 ? y
                                                            : x;
            memcpy(out + (size_t)row * seen.pitch + column * 3,
                   frame->pixels + (size_t)(r.y + y) * frame->pitch + (r.x + x) * 3, 3);
        }
    return seen;
}

/* Judged through the region, a part has the score to the bit, and the box brought to the frame, of the
 * picture that was cut and rotated beforehand. */
static void test_views(void **state) {
    (void)state;
    write_bundle(1, 0, 2, any_size);
    struct loaded l;
    ok(load(&l, calibrated, true));
    static uint8_t rgb[72 * 90 * 3], piece[72 * 90 * 3];
    draw_part(rgb);
    for (int32_t rotation = 0; rotation < 360; rotation += 90) {
        const struct fg_frame frame = {.pixels = rgb,
                                       .width = 90,
                                       .height = 72,
                                       .format = FG_RGB8,
                                       .pitch = 270,
                                       .region = {33, 5, 49, 40},
                                       .rotation = rotation};
        const struct fg_frame seen = cut(&frame, piece);
        struct fg_judgement expected, judged;
        ok(fg_engine_submit(l.engine, &seen, &message));
        ok(fg_engine_finish(l.engine, INT64_MAX, INFINITY, &expected, &message));
        const float threshold = expected.score * 0.9f;
        ok(fg_engine_submit(l.engine, &seen, &message));
        ok(fg_engine_finish(l.engine, INT64_MAX, threshold, &expected, &message));
        ok(fg_engine_submit(l.engine, &frame, &message));
        ok(fg_engine_finish(l.engine, INT64_MAX, threshold, &judged, &message));
        assert_memory_equal(&judged.score, &expected.score, sizeof judged.score);
        const struct fg_box *box = &judged.box, *at = &expected.box;
        assert_true(at->w > 0 && at->area > 0);
        assert_int_equal(box->area, at->area);
        assert_int_equal(box->w, rotation % 180 ? at->h : at->w);
        assert_int_equal(box->h, rotation % 180 ? at->w : at->h);
        /* The box marks the same pixels: its first one in the frame is its corner in the cut. */
        assert_true(box->x >= 33 && box->x + box->w <= 33 + 49 && box->y >= 5 && box->y + box->h <= 5 + 40);
        const int32_t left = rotation == 0     ? at->x
                             : rotation == 90  ? at->y
                             : rotation == 180 ? 49 - at->x - at->w
                                               : 49 - at->y - at->h,
                      top = rotation == 0     ? at->y
                            : rotation == 90  ? 40 - at->x - at->w
                            : rotation == 180 ? 40 - at->y - at->h
                                              : at->x;
        assert_int_equal(box->x, 33 + left);
        assert_int_equal(box->y, 5 + top);
    }
    unload(&l);
}

/* The contract is of what is seen: the region once it is rotated. */
static void test_views_keep_the_contract(void **state) {
    (void)state;
    write_bundle(1, 0, 2, (struct fg_contract){.width = 40, .height = 50, .channels = 3, .format = "rgb8"});
    struct loaded l;
    ok(load(&l, calibrated, true));
    static uint8_t pixels[90 * 72 * 3];
    static const struct {
        struct fg_region region;
        int32_t rotation;
        const char *refused;
    } views[] = {
        {{3, 5, 40, 50}, 0, NULL},
        {{3, 5, 40, 50}, 180, NULL},
        {{3, 5, 50, 40}, 90, NULL},
        {{3, 5, 50, 40}, 270, NULL},
        {{3, 5, 40, 50}, 90, "seen as 50x40"},
        {{3, 5, 50, 40}, 0, "seen as 50x40"},
        {{0, 0, 0, 0}, 90, "seen as 72x90"},
        {{51, 5, 40, 50}, 0, "region 51,5 40x50 is not inside"},
        {{3, 23, 40, 50}, 0, "region 3,23 40x50 is not inside"},
        {{3, 5, 40, 50}, 45, "rotation 45"},
    };
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        const struct fg_frame frame = {.pixels = pixels,
                                       .width = 90,
                                       .height = 72,
                                       .format = FG_RGB8,
                                       .pitch = 270,
                                       .region = views[i].region,
                                       .rotation = views[i].rotation};
        if (!views[i].refused) {
            ok(fg_engine_accepts(l.engine, &frame, &message));
        } else {
            assert_int_equal(fg_engine_accepts(l.engine, &frame, &message), FG_INPUT);
            if (!strstr(message.text, views[i].refused))
                fail_msg("\"%s\" does not say \"%s\"", message.text, views[i].refused);
        }
    }
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
    struct fg_frame frame = {.width = 320, .height = 80};
    struct fg_box box = fg_defect_find(map, 8, 16, 1, &frame, scratch);
    assert_int_equal(box.x, 40);
    assert_int_equal(box.y, 10);
    assert_int_equal(box.w, 40);
    assert_int_equal(box.h, 20);
    assert_int_equal(box.area, 2 * 10 * 20);
    const struct fg_frame odd = {.width = 17, .height = 9};
    box = fg_defect_find(map, 8, 16, 1, &odd, scratch); /* not a multiple: every touched pixel is inside */
    assert_true(box.x <= 2 && box.x + box.w >= 5 && box.y <= 1 && box.y + box.h >= 4);
    box = fg_defect_find(map, 8, 16, 3, &frame, scratch);
    assert_true(box.x == 0 && box.w == 0 && box.area == 0);
    /* The same map of a region at 100, 50, seen in each rotation: the defect is near another corner each
     * time. */
    static const struct {
        int32_t rotation, width, height;
        struct fg_box box;
    } seen[] = {
        {0, 320, 80, {140, 60, 40, 20, 400}},
        {90, 80, 320, {110, 50 + 320 - 80, 20, 40, 400}},
        {180, 320, 80, {100 + 320 - 80, 50 + 80 - 30, 40, 20, 400}},
        {270, 80, 320, {100 + 80 - 30, 90, 20, 40, 400}},
    };
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++) {
        frame = (struct fg_frame){.width = 600,
                                  .height = 500,
                                  .region = {100, 50, seen[i].width, seen[i].height},
                                  .rotation = seen[i].rotation};
        box = fg_defect_find(map, 8, 16, 1, &frame, scratch);
        assert_memory_equal(&box, &seen[i].box, sizeof box);
        frame.region.x = 700; /* nothing is found: nothing is moved */
        box = fg_defect_find(map, 8, 16, 3, &frame, scratch);
        assert_true(box.x == 0 && box.y == 0 && box.w == 0 && box.h == 0 && box.area == 0);
    }
    free(scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_exact), cmocka_unit_test(test_uncalibrated_is_refused),
        cmocka_unit_test(test_self_test),       cmocka_unit_test(test_contract),
        cmocka_unit_test(test_formats),         cmocka_unit_test(test_overflow_is_not_finite),
        cmocka_unit_test(test_deadline),        cmocka_unit_test(test_box),
        cmocka_unit_test(test_views),           cmocka_unit_test(test_views_keep_the_contract),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
