/* The forms of the score: what a draft chooses and stores is what the engine of its file then does. */
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

#include "kernels/philox.h"
#include "runtime/base/half.h"
#include "trainer/bundle/calibrate.h"
#include "trainer/bundle/places.h"
#include "trainer/bundle/score.h"

#define SIDE 64
#define PIXELS (SIDE * SIDE)
#define TRAINING 50 /* as many as a local form takes to be chosen */
#define PICTURES 56

static char folder[64], path[128], pictures[PICTURES][128];
static enum fg_good_group group[PICTURES];
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

static float draw(uint32_t stream, uint32_t i) {
    return fg_philox_uniform(fg_philox(3, i, stream, 0, 0).word[0]);
}

/* Pictures of one pattern, each with noise of its own. */
static int set_up(void **state) {
    (void)state;
    static uint8_t pixels[PIXELS * 3];
    strcpy(folder, "/tmp/flawgate-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/part.fgb", folder);
    for (uint32_t i = 0; i < PICTURES; i++) {
        for (uint32_t k = 0; k < sizeof pixels; k++)
            pixels[k] = (uint8_t)(60 + k % 3 * 40 + k / 90 % 7 * 5 + (uint32_t)(20 * draw(i, k)));
        snprintf(pictures[i], sizeof pictures[i], "%s/%u.png", folder, i);
        if (fg_image_write_png(pictures[i], &(struct fg_image){pixels, SIDE, SIDE, 3}, &message) != FG_OK)
            return -1;
        group[i] = i < TRAINING ? FG_GOOD_TRAINING : FG_GOOD_HELD_OUT;
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

static enum fg_status calibrate(struct fg_draft *draft, enum fg_score_form score, uint32_t first) {
    const char *paths[PICTURES];
    for (int i = 0; i < PICTURES; i++)
        paths[i] = pictures[i];
    ok(fg_draft_open(draft, path, &weights, &header, backend, &message));
    return fg_calibrate_draft(draft,
                              &(struct fg_calibrating){.path = paths + first,
                                                       .group = group + first,
                                                       .count = PICTURES - first,
                                                       .false_rejects = 0.01f,
                                                       .score = score,
                                                       .remarks = &remarks},
                              NULL, &message);
}

static struct fg_judgement judge(struct fg_desk *desk, int i, float threshold) {
    struct fg_image image;
    struct fg_judgement judgement;
    ok(fg_image_read(pictures[i], &image, &message));
    ok(fg_desk_judge(desk, pictures[i], &image, threshold, &judgement, &message));
    fg_image_free(&image);
    return judgement;
}

/* The box lies around what the decision map has above the threshold, at its largest value. */
static void hold_box(struct fg_desk *desk, int picture, const float *decision, float largest) {
    static float kept[PIXELS];
    memcpy(kept, decision, sizeof kept);
    const float threshold = largest - 0.02f * fabsf(largest);
    const struct fg_box box = judge(desk, picture, threshold).box;
    bool inside = false;
    int32_t above = 0;
    assert_true(box.w > 0 && box.h > 0);
    for (int32_t y = box.y; y < box.y + box.h; y++)
        for (int32_t x = box.x; x < box.x + box.w; x++) {
            inside = inside || kept[y * SIDE + x] == largest;
            above += kept[y * SIDE + x] > threshold;
        }
    assert_true(inside && box.area >= 1 && box.area <= above);
}

/* In every form an unseen picture has on the line the very score that the threshold was found with; in a
 * local one the decision map is the anomaly map by place, and a training picture was not compared with
 * itself. */
static void test_judged_in_the_form(void **state) {
    (void)state;
    for (int form = 0; form < FG_SCORE_FORMS; form++) {
        struct fg_draft draft;
        ok(calibrate(&draft, (enum fg_score_form)form, 0));
        uint32_t other = 0;
        assert_int_equal(draft.header.spec.score, form);
        assert_true(draft.header.calibration.bump > 0);
        assert_true(draft.header.calibration.bump_anywhere >= draft.header.calibration.bump);
        ok(fg_draft_write(&draft, path, &message));
        struct fg_desk desk;
        ok(fg_desk_open(&desk, path, backend, true, &message));
        for (int i = 0; i < PICTURES; i++) {
            const struct fg_judgement j = judge(&desk, i, INFINITY);
            const bool unseen = group[i] != FG_GOOD_TRAINING;
            if (unseen || !fg_score_is_local((enum fg_score_form)form))
                assert_true(j.score == draft.good[i].score);
            else
                other += j.score != draft.good[i].score;
            const float *map = fg_engine_map(desk.engine), *decision = fg_engine_decision_map(desk.engine);
            float largest = -INFINITY;
            for (size_t k = 0; k < PIXELS; k++) {
                const float expected = fg_score_is_local((enum fg_score_form)form)
                                           ? (map[k] - draft.place_mean[k]) / draft.place_scale[k]
                                           : map[k];
                assert_true(decision[k] == expected);
                largest = fmaxf(largest, decision[k]);
            }
            assert_true(j.score == largest);
            hold_box(&desk, i, decision, largest);
        }
        /* Mean and scale are rounded, so one picture more or less may not show. */
        if (fg_score_is_local((enum fg_score_form)form))
            assert_true(other > TRAINING / 2);
        fg_desk_close(&desk);
        fg_draft_close(&draft);
    }
}

static int compare_floats(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* The bump against its definition, from the maps of the bundle's engine. */
static void test_bump(void **state) {
    (void)state;
    static float distance[(PICTURES - TRAINING) * PIXELS];
    for (int form = FG_SCORE_SUM; form < FG_SCORE_FORMS; form += FG_SCORE_PRODUCT_LOCAL) {
        struct fg_draft draft;
        ok(calibrate(&draft, (enum fg_score_form)form, 0));
        const struct fg_calibration *c = &draft.header.calibration;
        assert_int_equal(c->odd, 0);
        size_t count = 0;
        double sum = 0;
        for (int i = 0; i < PICTURES; i++) {
            judge(&draft.desk, i, INFINITY);
            const float *map = fg_engine_map(draft.desk.engine),
                        *decision = fg_engine_decision_map(draft.desk.engine);
            for (size_t k = 0; k < PIXELS; k++) {
                sum += (double)map[k];
                if (group[i] != FG_GOOD_TRAINING)
                    distance[count++] = fmaxf(c->threshold - decision[k], 0) *
                                        (form == FG_SCORE_SUM ? 1 : draft.place_scale[k]);
            }
        }
        qsort(distance, count, sizeof *distance, compare_floats);
        const float unit = (float)(sum / (PICTURES * (double)PIXELS));
        assert_true(fabsf(c->bump - distance[count / 2] / unit) <= 2e-3f * c->bump);
        assert_true(fabsf(c->bump_anywhere - distance[count * 9 / 10] / unit) <= 2e-3f * c->bump_anywhere);
        fg_draft_close(&draft);
    }
}

/* A smaller bump is better, but where parts lie anywhere a local form has about a plain one's and finds less:
 * it must gain a fifth. */
static void test_preference(void **state) {
    (void)state;
    const enum fg_score_form sum = FG_SCORE_SUM, local = FG_SCORE_SUM_LOCAL;
    assert_true(fg_scorer_prefers(sum, 1, FG_SCORE_PRODUCT, 1.01f));
    assert_false(fg_scorer_prefers(sum, 1, FG_SCORE_PRODUCT, 0.99f));
    assert_true(fg_scorer_prefers(local, 0.79f, sum, 1));
    assert_false(fg_scorer_prefers(local, 0.81f, sum, 1));
    assert_true(fg_scorer_prefers(sum, 1, local, 0.81f));
    assert_false(fg_scorer_prefers(sum, 1, local, 0.79f));
    assert_true(fg_scorer_prefers(local, 1, FG_SCORE_PRODUCT_LOCAL, 1.01f));
}

/* Without a wish the form is the one that is preferred to all others. */
static void test_smallest_bump(void **state) {
    (void)state;
    struct fg_draft draft;
    float bump[FG_SCORE_FORMS];
    int best = 0;
    for (int form = 0; form < FG_SCORE_FORMS; form++) {
        ok(calibrate(&draft, (enum fg_score_form)form, 0));
        bump[form] = draft.header.calibration.bump;
        if (fg_scorer_prefers((enum fg_score_form)form, bump[form], (enum fg_score_form)best, bump[best]))
            best = form;
        fg_draft_close(&draft);
    }
    ok(calibrate(&draft, FG_SCORE_AUTO, 0));
    assert_int_equal(draft.header.spec.score, best);
    assert_true(draft.header.calibration.bump == bump[best]);
    assert_true(fg_score_is_local(draft.header.spec.score)); /* the pictures are such that it may be one */
    fg_draft_close(&draft);
}

/* Few pictures say nothing about each place: a wish for it is refused, and nobody takes it by himself. */
static void test_few_pictures(void **state) {
    (void)state;
    struct fg_draft draft;
    assert_int_equal(calibrate(&draft, FG_SCORE_SUM_LOCAL, TRAINING - 9), FG_INPUT);
    assert_non_null(strstr(message.text, "--score sum-local takes"));
    fg_draft_close(&draft);
    ok(calibrate(&draft, FG_SCORE_AUTO, 1));
    assert_false(fg_score_is_local(draft.header.spec.score));
    fg_draft_close(&draft);
}

/* A bundle that is calibrated anew keeps its form and its places; one frame that shows nothing, among the
 * good ones, is named and widens no limit. */
static void test_form_stays(void **state) {
    (void)state;
    static float mean[PIXELS], scale[PIXELS];
    static char copies[PICTURES][128];
    const char *more[PICTURES];
    struct fg_draft draft;
    struct fg_calibrated found;
    ok(calibrate(&draft, FG_SCORE_PRODUCT_LOCAL, 0));
    ok(fg_draft_write(&draft, path, &message));
    fg_draft_close(&draft);
    for (int i = 0; i < PICTURES; i++) {
        struct fg_image image;
        ok(fg_image_read(pictures[i], &image, &message));
        image.pixels[0] ^= 1; /* another picture */
        if (i == 5)
            memset(image.pixels, 0, PIXELS * 3);
        snprintf(copies[i], sizeof copies[i], "%s/new%d.png", folder, i);
        ok(fg_image_write_png(copies[i], &image, &message));
        fg_image_free(&image);
        more[i] = copies[i];
    }
    ok(fg_draft_open_file(&draft, path, backend, &message));
    const float limit = draft.header.scene_limit;
    void *scratch = malloc(fg_bundle_scratch());
    ok(fg_bundle_places(draft.desk.bundle, mean, scale, scratch, &message));
    free(scratch);
    ok(fg_calibrate_draft(&draft,
                          &(struct fg_calibrating){
                              .path = more, .count = PICTURES, .false_rejects = 0.01f, .remarks = &remarks},
                          &found, &message));
    ok(fg_draft_write(&draft, path, &message));
    assert_int_equal(draft.header.spec.score, FG_SCORE_PRODUCT_LOCAL);
    assert_memory_equal(draft.place_mean, mean, sizeof mean);
    assert_memory_equal(draft.place_scale, scale, sizeof scale);
    assert_true(draft.header.calibration.bump > 0);
    assert_true(draft.header.scene_limit == limit);
    assert_int_equal(found.unlike, 1);
    assert_non_null(strstr(remarks.text, "new5.png: it is unlike the others"));
    fg_draft_close(&draft);
    struct fg_desk desk;
    ok(fg_desk_open(&desk, path, backend, true, &message));
    fg_desk_close(&desk);
    for (int i = 0; i < PICTURES; i++)
        unlink(copies[i]);
}

/* Mean and scale of each place against the definition, over all folds and without one. A map that varies
 * slowly is not changed by smoothing, away from the edges. */
static void test_places(void **state) {
    (void)state;
    enum { MAPS = 20 };
    static float map[MAPS][PIXELS], mean[PIXELS], scale[PIXELS];
    struct fg_places places;
    ok(fg_places_open(&places, backend, SIDE, SIDE, &message));
    for (uint32_t i = 0; i < MAPS; i++) {
        const float level = 1 + draw(100, i);
        for (int k = 0; k < PIXELS; k++)
            map[i][k] = level * (1 + (float)(k % SIDE) / SIDE);
        fg_places_add(&places, map[i], i % FG_PLACES_FOLDS);
    }
    for (uint32_t left_out = 0; left_out <= FG_PLACES_FOLDS; left_out++) {
        double sum = 0, squares = 0, count = 0, deviations = 0;
        ok(fg_places_find(&places, left_out, mean, scale, &message));
        for (uint32_t i = 0; i < MAPS; i++)
            if (i % FG_PLACES_FOLDS != left_out) {
                sum += (double)map[i][0];
                squares += (double)map[i][0] * (double)map[i][0];
                count++;
            }
        const double deviation = sqrt(squares / count - sum / count * (sum / count));
        for (int x = 0; x < SIDE; x++)
            deviations += deviation * (1 + (double)x / SIDE) / SIDE;
        for (int x = 20; x < SIDE - 20; x++) {
            const double ramp = 1 + (double)x / SIDE;
            const int k = 20 * SIDE + x;
            assert_true(fabs((double)mean[k] - sum / count * ramp) < 2e-3);
            assert_true(fabs((double)scale[k] - (deviation * ramp + deviations)) < 2e-3);
            assert_true(fg_half_to_float(fg_float_to_half(scale[k])) == scale[k]);
        }
    }
    fg_places_close(&places);

    /* Copies of one map have no spread. */
    ok(fg_places_open(&places, backend, SIDE, SIDE, &message));
    for (uint32_t i = 0; i < MAPS; i++)
        fg_places_add(&places, map[0], i % FG_PLACES_FOLDS);
    assert_int_equal(fg_places_find(&places, 0, mean, scale, &message), FG_INPUT);
    assert_non_null(strstr(message.text, "no spread"));
    fg_places_close(&places);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judged_in_the_form),
        cmocka_unit_test(test_bump),
        cmocka_unit_test(test_preference),
        cmocka_unit_test(test_smallest_bump),
        cmocka_unit_test(test_few_pictures),
        cmocka_unit_test(test_form_stays),
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
