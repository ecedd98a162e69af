/* A draft: nothing is at the bundle's place before all of it is there, and what the file's engine says of a
 * picture is bit for bit what the draft's said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trainer/bundle/calibrate.h"
#include "trainer/data/picture.h"

#define SIDE 64
#define PICTURES 10

static char folder[64], path[128], pictures[PICTURES][128];
static struct fg_network network;
static struct fg_weights weights;
static struct fg_backend *backend;
static struct fg_message message;
static struct fg_bundle_header header;
static struct fg_report remarks;

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s", message.text);
}

static int set_up(void **state) {
    (void)state;
    static uint8_t pixels[SIDE * SIDE * 3];
    strcpy(folder, "/tmp/flawgate-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/part.fgb", folder);
    for (int i = 0; i < PICTURES; i++) {
        for (size_t k = 0; k < sizeof pixels; k++)
            pixels[k] = (uint8_t)(k % 3 * 40 + k / 7 % (size_t)(19 + i) * 5);
        snprintf(pictures[i], sizeof pictures[i], "%s/%d.png", folder, i);
        if (fg_image_write_png(pictures[i], &(struct fg_image){pixels, SIDE, SIDE, 3}, &message) != FG_OK)
            return -1;
    }
    header = (struct fg_bundle_header){
        .spec = {.backbone = FG_RESNET18, .height = SIDE, .width = SIDE, .base = 4, .fmm = true, .levels = 7},
        .contract = {.width = SIDE, .height = SIDE, .channels = 3, .format = "rgb8"}};
    fg_draft_name(path, header.provenance.name);
    if (fg_network_init(&network, &header.spec, &message) != FG_OK ||
        fg_weights_open(&weights, &network, &message) != FG_OK)
        return -1;
    fg_weights_draw(&weights, 9, true);
    return fg_cpu_open(2, 1, &backend, &message) != FG_OK;
}

static int tear_down(void **state) {
    (void)state;
    backend->close(backend);
    fg_weights_close(&weights);
    fg_report_free(&remarks);
    for (int i = 0; i < PICTURES; i++)
        unlink(pictures[i]);
    unlink(path);
    return rmdir(folder); /* so a file left behind fails the group */
}

static void open_calibrated(struct fg_draft *draft, uint32_t count) {
    const char *paths[PICTURES];
    for (int i = 0; i < PICTURES; i++)
        paths[i] = pictures[i];
    ok(fg_draft_open(draft, path, &weights, &header, backend, &message));
    ok(fg_calibrate_draft(
        draft,
        &(struct fg_calibrating){.path = paths, .count = count, .false_rejects = 0.01f, .remarks = &remarks},
        NULL, &message));
}

static float judge(struct fg_desk *desk, int i, float map[SIDE * SIDE]) {
    struct fg_image image;
    struct fg_judgement judgement;
    ok(fg_image_read(pictures[i], &image, &message));
    ok(fg_desk_judge(desk, pictures[i], &image, INFINITY, &judgement, &message));
    memcpy(map, fg_engine_map(desk->engine), SIDE * SIDE * sizeof *map);
    fg_image_free(&image);
    return judgement.score;
}

/* Bytes of the file, 0 where there is none. */
static long long size_of(const char *file) {
    struct stat info;
    return stat(file, &info) ? 0 : (long long)info.st_size;
}

static void test_judged_as_calibrated(void **state) {
    (void)state;
    static float drafted[PICTURES][SIDE * SIDE], opened[SIDE * SIDE];
    float score[PICTURES];
    struct fg_draft draft;
    open_calibrated(&draft, PICTURES);
    for (int i = 0; i < PICTURES; i++)
        score[i] = judge(&draft.desk, i, drafted[i]);
    assert_int_equal(size_of(path), 0);
    draft.header.provenance.test_pictures = 7;
    ok(fg_draft_write(&draft, path, &message));
    const struct fg_calibration calibration = draft.header.calibration;
    const float self_test = draft.header.self_test_score;
    fg_draft_close(&draft);

    struct fg_desk desk;
    ok(fg_desk_open(&desk, path, backend, true, &message));
    for (int i = 0; i < PICTURES; i++) {
        assert_true(judge(&desk, i, opened) == score[i]);
        assert_memory_equal(opened, drafted[i], sizeof opened);
    }
    const struct fg_bundle_header *h = fg_bundle_header(desk.bundle);
    assert_true(h->calibrated && h->self_test_score == self_test);
    assert_memory_equal(&h->calibration, &calibration, sizeof calibration);
    assert_int_equal(h->provenance.test_pictures, 7);
    assert_string_equal(h->provenance.name, "part");
    fg_desk_close(&desk);
}

/* A draft that cannot be finished leaves the bundle that is there. */
static void test_old_bundle_stays(void **state) {
    (void)state;
    struct fg_draft draft;
    open_calibrated(&draft, PICTURES);
    ok(fg_draft_write(&draft, path, &message));
    fg_draft_close(&draft);
    const long long size = size_of(path);
    struct fg_bundle *before, *after;
    ok(fg_bundle_open(path, &before, &message));

    ok(fg_draft_open(&draft, path, &weights, &header, backend, &message));
    const char *const few[] = {pictures[0], pictures[1], pictures[2]};
    assert_int_equal(
        fg_calibrate_draft(
            &draft,
            &(struct fg_calibrating){.path = few, .count = 3, .false_rejects = 0.01f, .remarks = &remarks},
            NULL, &message),
        FG_INPUT);
    assert_false(draft.header.calibrated);
    fg_draft_close(&draft);
    assert_int_equal(size_of(path), size);

    open_calibrated(&draft, PICTURES);
    draft.header.calibration.threshold = NAN;
    assert_int_equal(fg_draft_write(&draft, path, &message), FG_USAGE);
    fg_draft_close(&draft);
    ok(fg_bundle_open(path, &after, &message));
    assert_int_equal(fg_bundle_checksum(before), fg_bundle_checksum(after));
    fg_bundle_close(before);
    fg_bundle_close(after);
}

/* A file is calibrated anew in its place; weights and judgements stay. Pictures that training had are known
 * again by their contents and are not unseen; those of an earlier calibration make place. */
static void test_calibrated_anew(void **state) {
    (void)state;
    static float map[SIDE * SIDE];
    static const enum fg_good_group GROUP[] = {FG_GOOD_TRAINING, FG_GOOD_HELD_OUT, FG_GOOD_HELD_OUT,
                                               FG_GOOD_HELD_OUT, FG_GOOD_HELD_OUT};
    struct fg_draft draft;
    struct fg_calibrated found;
    const char *paths[PICTURES];
    for (int i = 0; i < PICTURES; i++)
        paths[i] = pictures[i];
    struct fg_calibrating calibrating = {
        .path = paths, .group = GROUP, .count = 5, .false_rejects = 0.1f, .remarks = &remarks};
    ok(fg_draft_open(&draft, path, &weights, &header, backend, &message));
    ok(fg_calibrate_draft(&draft, &calibrating, &found, &message));
    assert_int_equal(found.calibration.pictures + found.calibration.odd, 5);
    assert_int_equal(found.calibration.unseen, 4);
    const float score = judge(&draft.desk, 0, map);
    ok(fg_draft_write(&draft, path, &message));
    fg_draft_close(&draft);
    calibrating.group = NULL;
    calibrating.count = PICTURES;
    for (int again = 0; again < 2; again++) {
        ok(fg_draft_open_file(&draft, path, backend, &message));
        ok(fg_calibrate_draft(&draft, &calibrating, &found, &message));
        assert_int_equal(found.known, 5);
        assert_int_equal(found.judged, PICTURES - 5);
        assert_int_equal(found.calibration.unseen, PICTURES - 5);
        assert_int_equal(found.calibration.pictures + found.calibration.odd, PICTURES);
        ok(fg_draft_write(&draft, path, &message));
        fg_draft_close(&draft);
    }
    struct fg_desk desk;
    ok(fg_desk_open(&desk, path, backend, true, &message));
    assert_true(judge(&desk, 0, map) == score);
    fg_desk_close(&desk);
}

/* Only pictures that training had: there is nothing to find a threshold from, and the bundle stays. */
static void test_nothing_unseen(void **state) {
    (void)state;
    struct fg_draft draft;
    const char *paths[PICTURES];
    enum fg_good_group group[PICTURES] = {FG_GOOD_TRAINING};
    for (int i = 0; i < PICTURES; i++)
        paths[i] = pictures[i];
    struct fg_calibrating calibrating = {
        .path = paths, .group = group, .count = PICTURES, .false_rejects = 0.1f, .remarks = &remarks};
    ok(fg_draft_open(&draft, path, &weights, &header, backend, &message));
    assert_int_equal(fg_calibrate_draft(&draft, &calibrating, NULL, &message), FG_INPUT);
    assert_non_null(strstr(message.text, "0 good pictures that training did not see"));
    fg_draft_close(&draft);
}

/* What training sees of a picture is what the engine sees. */
static void test_resized_as_judged(void **state) {
    (void)state;
    static uint8_t pixels[50 * 90 * 3], resized[SIDE * SIDE * 3];
    struct fg_draft draft;
    struct fg_judgement whole, alone;
    struct fg_bundle_header any_size = header;
    any_size.contract = (struct fg_contract){.format = "any8"};
    ok(fg_draft_open(&draft, path, &weights, &any_size, backend, &message));
    for (size_t k = 0; k < sizeof pixels; k++)
        pixels[k] = (uint8_t)(k % 97 * 2 + k / 131);
    for (int32_t channels = 1; channels <= 3; channels += 2) {
        const struct fg_image image = {pixels, 50, 90, channels};
        ok(fg_desk_judge(&draft.desk, "picture", &image, INFINITY, &whole, &message));
        ok(fg_picture_resize(backend, &image, SIDE, SIDE, resized, &message));
        ok(fg_engine_judge_picture(draft.desk.engine, resized, &alone, &message));
        assert_true(whole.finite && whole.score == alone.score);
    }
    fg_draft_close(&draft);
}

static void test_name(void **state) {
    (void)state;
    char name[FG_NAME_SIZE];
    fg_draft_name("bundles/pr\xc3\xbc"
                  "f 3.fgb",
                  name);
    assert_string_equal(name, "pr__f 3");
    char longer[200];
    memset(longer, 'x', sizeof longer);
    strcpy(longer + 100, FG_BUNDLE_ENDING);
    fg_draft_name(longer, name);
    assert_int_equal(strlen(name), FG_NAME_SIZE - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judged_as_calibrated), cmocka_unit_test(test_old_bundle_stays),
        cmocka_unit_test(test_calibrated_anew),      cmocka_unit_test(test_nothing_unseen),
        cmocka_unit_test(test_resized_as_judged),    cmocka_unit_test(test_name),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
