/* Parts on a line in this process: the order of verdicts, the queue, several views, and jobs between them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/line/part.h"
#include "tests/runtime/line/running.h"

static int make(void **state) {
    make_folder(state);
    make_bundle("one", SIDE, 4, 1);
    make_bundle("two", SIDE, 4, 2);
    make_drifting_bundle("one", "low", 1000);
    make_drifting_bundle("one", "old", 0);
    make_drifting_bundle("one", "gone", 1000);
    return 0;
}

static void begin_queue(uint32_t queue) {
    config.trigger.queue = queue;
    config.results.buffer = true;
    add_bundle(0, "one");
    begin_line();
    set_threshold(0, ALL_PASS);
}

/* A part that is refused while another waits for its frame has its verdict after it. */
static void test_refused_parts_keep_their_turn(void **state) {
    (void)state;
    begin_queue(1);
    test_camera_plan(camera[0], TEST_DELAYED);
    trigger_part();
    pulse_trigger();
    pulse_trigger();
    WAIT(now.counters.triggers == 3);
    assert_int_equal(now.counters.inoperative, 0);
    assert_int_equal(now.counters.missed_triggers, 2);
    assert_true(now.busy && now.missed_trigger && !now.result_valid);
    test_camera_deliver(camera[0]);
    expect_next(1, FG_PASS, FG_REASON_NONE);
    expect_next(2, FG_INOPERATIVE, FG_REASON_NOT_READY);
    expect_next(3, FG_INOPERATIVE, FG_REASON_NOT_READY);
    WAIT(!now.busy);
    assert_int_equal(now.counters.pass, 1);
    assert_int_equal(now.counters.inoperative, 2);
    assert_int_equal(now.last_trigger_id, 1);
    expect_no_frames();
}

/* Where nothing is buffered, the verdict of a refused part replaces the one before it at once. A PLC learns
 * that there was one: the toggle has flipped, and the lost verdict is an overrun. */
static void test_verdicts_at_once_without_a_buffer(void **state) {
    (void)state;
    add_bundle(0, "one");
    begin_line();
    set_threshold(0, ALL_PASS);
    test_camera_plan(camera[0], TEST_DELAYED);
    trigger_part();
    pulse_trigger();
    WAIT(now.counters.triggers == 2);
    const bool toggle = now.result_toggle;
    test_camera_deliver(camera[0]);
    WAIT(!now.busy);
    assert_int_equal(now.result.id, 2);
    assert_int_equal(now.result.verdict, FG_INOPERATIVE);
    assert_int_equal(now.counters.pass, 1);
    assert_true(now.result_toggle != toggle);
    assert_true(now.result_overrun);
    assert_int_equal(now.counters.overruns, 1);
    expect_no_frames();
}

/* With a queue the next part is exposed while the one before is judged; it is full with as many as it is
 * long. */
static void test_queue(void **state) {
    (void)state;
    begin_queue(2);
    close_gate();
    trigger_part();
    WAIT(now.exposure_complete);
    WAIT(now.able); /* again */
    assert_true(now.busy);
    trigger_part();
    WAIT(now.exposure_complete);
    assert_false(read_snapshot()->able);
    pulse_trigger();
    WAIT(now.counters.triggers == 3);
    assert_int_equal(apply_command(FG_COMMAND_TRIGGER, 0), FG_MODBUS_BUSY);
    assert_int_equal(read_snapshot()->counters.pass + now.counters.inoperative, 0);
    open_gate();
    expect_next(1, FG_PASS, FG_REASON_NONE);
    expect_next(2, FG_PASS, FG_REASON_NONE);
    expect_next(3, FG_INOPERATIVE, FG_REASON_NOT_READY);
    WAIT(now.able);
    assert_int_equal(now.counters.missed_triggers, 2);
    expect_no_frames();
}

/* Parts go through a queue of eight in order, whatever happens to each. */
static void test_long_queue(void **state) {
    (void)state;
    begin_queue(8);
    for (uint32_t round = 0; round < 3; round++) {
        close_gate();
        for (uint32_t i = 0; i < 8; i++) {
            test_camera_plan(camera[0], i % 3 == 1 ? TEST_DAMAGED : TEST_WHOLE);
            trigger_part();
        }
        assert_int_equal(read_snapshot()->counters.pass, round * 5);
        open_gate();
        for (uint32_t i = 0; i < 8; i++)
            expect_next(8 * round + i + 1, i % 3 == 1 ? FG_INOPERATIVE : FG_PASS,
                        i % 3 == 1 ? FG_REASON_BAD_FRAME : FG_REASON_NONE);
    }
    expect_no_frames();
}

/* An abandoned part keeps its place in the queue for as long as the judge is at it. */
static void test_deadline_in_the_queue(void **state) {
    (void)state;
    config.deadline_ms = 2000;
    begin_queue(2);
    close_gate();
    trigger_part();
    expect_next(1, FG_INOPERATIVE, FG_REASON_DEADLINE);
    assert_int_equal(test_camera_count(camera[0]).lent, 1);
    trigger_part();
    WAIT(now.exposure_complete);
    assert_false(read_snapshot()->able);
    open_gate();
    expect_next(2, FG_PASS, FG_REASON_NONE);
    WAIT(now.able);
    expect_no_frames();
}

/* More parts than there are places wait for one verdict: their results are lost, and said to be. */
static void test_no_place_left(void **state) {
    (void)state;
    add_bundle(0, "one");
    begin_line();
    test_camera_plan(camera[0], TEST_DELAYED);
    trigger_part();
    for (uint32_t i = 2; i <= FG_PARTS + 5; i++) {
        pulse_trigger();
        WAIT(now.counters.triggers == i);
    }
    assert_int_equal(now.counters.overruns, 5);
    assert_int_equal(now.counters.inoperative, 5);
    assert_true(now.result_overrun);
    test_camera_deliver(camera[0]);
    wait_result(FG_PARTS);
    assert_int_equal(now.counters.inoperative, FG_PARTS + 4);
    WAIT(!now.busy);
    expect_no_frames();
}

/* A PASS is doubtful where few good parts have such a score, whatever threshold the PLC has chosen. */
static void test_doubtful(void **state) {
    (void)state;
    struct fg_bundle *bundle;
    char path[128];
    uint32_t doubtful = 0;
    snprintf(path, sizeof path, "%s/one.fgb", folder);
    OK(fg_bundle_open(path, &bundle, &message));
    const float limit = fg_bundle_header(bundle)->calibration.doubtful;
    fg_bundle_close(bundle);
    begin_queue(1);
    for (uint32_t id = 1; id <= PICTURES; id++) {
        trigger_part();
        wait_result(id);
        assert_int_equal(now.result.verdict, FG_PASS);
        assert_int_equal(now.result.doubtful, now.result.score > limit);
        assert_int_equal(now.result.view[0].doubtful, now.result.doubtful);
        doubtful += now.result.doubtful;
        expect_next(id, FG_PASS, FG_REASON_NONE);
    }
    assert_true(doubtful > 0 && doubtful < PICTURES);
    set_threshold(0, ALL_DEFECT);
    trigger_part();
    expect_next(PICTURES + 1, FG_DEFECT, FG_REASON_NONE);
    assert_false(now.result.doubtful);
    expect_no_frames();
}

/* The lamp is off from the second part on. */
static void draw_dark(uint8_t *pixels, int i) {
    draw_picture(pixels, i);
    if (i > 0)
        memset(pixels, 0, (size_t)SIDE * SIDE * 3);
}

/* Writes a bundle whose scene is narrower than five pictures can make it. */
static void make_strict_bundle(void) {
    struct fg_bundle *bundle;
    char path[128];
    snprintf(path, sizeof path, "%s/one.fgb", folder);
    OK(fg_bundle_open(path, &bundle, &message));
    struct fg_bundle_header header = *fg_bundle_header(bundle);
    header.scene_limit = 1;
    snprintf(path, sizeof path, "%s/strict.fgb", folder);
    OK(fg_bundle_write(bundle, path, &header, NULL, &message));
    fg_bundle_close(bundle);
}

/* A frame that shows no part does not pass, however low its score is; three in a row are a fault. */
static void test_unlike_training(void **state) {
    (void)state;
    draw = draw_dark;
    make_strict_bundle();
    config.results.buffer = true;
    add_bundle(0, "strict");
    begin_line();
    set_threshold(0, ALL_PASS);
    trigger_part();
    expect_next(1, FG_PASS, FG_REASON_NONE);
    for (uint32_t id = 2; id <= 4; id++) {
        assert_int_equal(now.error, FG_FAULT_NONE);
        trigger_part();
        wait_result(id);
        assert_true(now.result.view[0].scene > 1);
        expect_next(id, FG_INOPERATIVE, FG_REASON_UNLIKE_TRAINING);
    }
    assert_int_equal(now.error, FG_FAULT_UNLIKE_TRAINING);
    /* A score above the threshold is a defect, whatever the frame shows. */
    set_threshold(0, ALL_DEFECT);
    trigger_part();
    expect_next(5, FG_DEFECT, FG_REASON_NONE);
    expect_no_frames();
}

/* Two views of one camera and one of another. */
static void begin_views(bool folders) {
    config.cameras = 2;
    config.views = 3;
    config.view[2].camera = 1;
    strcpy(config.view[0].name, "left");
    strcpy(config.view[1].name, "right");
    strcpy(config.view[2].name, "top");
    const char *const bundles[] = {"one", "two", "one"};
    for (uint32_t v = 0; v < 3; v++) {
        add_bundle(v, bundles[v]);
        add_bundle(v, "two");
    }
    begin_line_with(folders);
}

static void set_thresholds(uint32_t first, uint32_t second, uint32_t third) {
    set_threshold(0, first);
    set_threshold(1, second);
    set_threshold(2, third);
}

/* The part is what its deciding view is. */
static void expect_decided(uint32_t view) {
    for (uint32_t v = 0; v < FG_VIEWS; v++)
        assert_int_equal(now.result.view[v].decided, v == view);
    const struct fg_view_result *r = &now.result.view[view];
    assert_int_equal(now.result.verdict, r->verdict);
    assert_int_equal(now.result.reason, r->reason);
    assert_true(now.result.score == r->score && now.result.threshold == r->threshold);
    assert_int_equal(now.result.x, r->x);
    assert_int_equal(now.result.y, r->y);
    assert_int_equal(now.result.w, r->w);
    assert_int_equal(now.result.h, r->h);
    assert_int_equal(now.result.area, r->area);
}

static void expect_verdicts(enum fg_verdict first, enum fg_verdict second, enum fg_verdict third) {
    assert_int_equal(now.result.view[0].verdict, first);
    assert_int_equal(now.result.view[1].verdict, second);
    assert_int_equal(now.result.view[2].verdict, third);
    for (uint32_t v = 3; v < FG_VIEWS; v++)
        assert_int_equal(now.result.view[v].verdict, 0);
}

static void test_worst_view_decides(void **state) {
    (void)state;
    begin_views(false);
    set_thresholds(ALL_PASS, ALL_PASS, ALL_PASS);
    trigger_part();
    expect_result(1, FG_PASS, FG_REASON_NONE);
    expect_verdicts(FG_PASS, FG_PASS, FG_PASS);
    set_thresholds(ALL_PASS, ALL_DEFECT, ALL_PASS);
    trigger_part();
    expect_result(2, FG_DEFECT, FG_REASON_NONE);
    expect_verdicts(FG_PASS, FG_DEFECT, FG_PASS);
    expect_decided(1);
    assert_true(now.result.w && now.result.area);
    /* Views 0 and 2 see the same picture through the same bundle: the smaller threshold is exceeded more. */
    set_thresholds(3 * ALL_DEFECT, ALL_PASS, ALL_DEFECT);
    trigger_part();
    expect_result(3, FG_DEFECT, FG_REASON_NONE);
    expect_verdicts(FG_DEFECT, FG_PASS, FG_DEFECT);
    expect_decided(2);
    assert_true(now.result.view[0].score == now.result.view[2].score);
    set_thresholds(ALL_DEFECT, ALL_PASS, 3 * ALL_DEFECT);
    trigger_part();
    expect_result(4, FG_DEFECT, FG_REASON_NONE);
    expect_decided(0);
    expect_no_frames();
}

/* One camera's fault makes its views INOPERATIVE, and so the part; the others are judged all the same. */
static void test_one_camera_fails(void **state) {
    (void)state;
    begin_views(false);
    set_thresholds(ALL_PASS, ALL_DEFECT, ALL_PASS);
    test_camera_plan(camera[1], TEST_DAMAGED);
    trigger_part();
    expect_result(1, FG_INOPERATIVE, FG_REASON_BAD_FRAME);
    expect_verdicts(FG_PASS, FG_DEFECT, FG_INOPERATIVE);
    expect_decided(2);
    test_camera_plan(camera[0], TEST_DAMAGED);
    trigger_part();
    expect_result(2, FG_INOPERATIVE, FG_REASON_BAD_FRAME);
    expect_verdicts(FG_INOPERATIVE, FG_INOPERATIVE, FG_PASS);
    expect_decided(0);
    /* Its frame comes last: the other camera's views are judged meanwhile. */
    test_camera_plan(camera[0], TEST_DELAYED);
    trigger_part();
    assert_false(read_snapshot()->exposure_complete);
    test_camera_deliver(camera[0]);
    expect_result(3, FG_DEFECT, FG_REASON_NONE);
    trigger_part();
    expect_result(4, FG_DEFECT, FG_REASON_NONE);
    expect_no_frames();
}

/* on_inoperative = pass covers a view that has no verdict, but not what another view says of the part. */
static void test_what_pass_covers(void **state) {
    (void)state;
    config.on_inoperative = FG_INOPERATIVE_PASS;
    begin_views(false);
    set_thresholds(ALL_PASS, ALL_PASS, ALL_PASS);
    test_camera_plan(camera[1], TEST_DAMAGED);
    trigger_part();
    expect_result(1, FG_INOPERATIVE, FG_REASON_BAD_FRAME);
    assert_int_equal(atomic_load(&run.rejects->part[0].permission), FG_PERMISSION_INOPERATIVE);
    set_thresholds(ALL_PASS, ALL_DEFECT, ALL_PASS);
    test_camera_plan(camera[1], TEST_DAMAGED);
    trigger_part();
    expect_result(2, FG_INOPERATIVE, FG_REASON_BAD_FRAME);
    expect_verdicts(FG_PASS, FG_DEFECT, FG_INOPERATIVE);
    assert_int_equal(atomic_load(&run.rejects->part[1].permission), FG_PERMISSION_UNCOVERED);
    expect_no_frames();
}

/* A slot is one of all views: all change, or, where one bundle cannot be loaded, none. */
static void test_job_change_of_all_views(void **state) {
    (void)state;
    begin_views(false);
    set_thresholds(ALL_PASS, ALL_PASS, ALL_PASS);
    trigger_part();
    wait_result(1);
    const float one = now.result.view[0].score, two = now.result.view[1].score;
    assert_true(one != two);
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 1), FG_MODBUS_DONE);
    WAIT(now.outcome == FG_OUTCOME_DONE);
    assert_int_equal(now.active_slot, 1);
    for (uint32_t part = 2; part <= PICTURES + 1; part++) { /* to the first picture again */
        trigger_part();
        wait_result(part);
    }
    assert_true(now.result.view[0].score == two && now.result.view[1].score == two);
    assert_int_equal(now.result.slot, 1);
    /* The last view's bundle of slot 0 is gone. */
    snprintf(config.view[2].bundle[0], sizeof config.view[2].bundle[0], "%s/none.fgb", folder);
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 0), FG_MODBUS_DONE);
    WAIT(now.outcome == FG_FAULT_JOB);
    assert_int_equal(now.active_slot, 1);
    assert_true(now.degraded && now.fault);
    for (uint32_t part = PICTURES + 2; part <= 2 * PICTURES + 1; part++) {
        trigger_part();
        wait_result(part);
    }
    assert_true(now.result.view[0].score == two && now.result.view[2].score == two);
    assert_int_equal(apply_command(FG_COMMAND_RUN, FG_CODE_SELF_TEST), FG_MODBUS_DONE);
    WAIT(now.outcome == FG_OUTCOME_DONE);
}

/* A job change waits for all parts of the queue, and none is taken meanwhile. */
static void test_job_change_behind_a_queue(void **state) {
    (void)state;
    add_bundle(0, "one");
    add_bundle(0, "two");
    config.trigger.queue = 3;
    config.results.buffer = true;
    begin_line();
    set_threshold(0, ALL_PASS);
    close_gate();
    trigger_part();
    trigger_part();
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 1), FG_MODBUS_DONE);
    assert_false(read_snapshot()->able);
    assert_int_equal(now.outcome, FG_OUTCOME_RUNNING);
    pulse_trigger();
    WAIT(now.counters.triggers == 3);
    open_gate();
    for (uint32_t part = 1; part <= 2; part++) {
        wait_result(part);
        assert_int_equal(now.result.slot, 0);
        expect_next(part, FG_PASS, FG_REASON_NONE);
    }
    expect_next(3, FG_INOPERATIVE, FG_REASON_NOT_READY);
    WAIT(now.outcome == FG_OUTCOME_DONE);
    trigger_part();
    wait_result(4);
    assert_int_equal(now.result.slot, 1);
}

static void test_views_of_folders(void **state) {
    (void)state;
    config.trigger.queue = 4;
    config.results.buffer = true;
    begin_views(true);
    set_thresholds(ALL_PASS, ALL_PASS, ALL_DEFECT);
    for (uint32_t part = 1; part <= 8; part++)
        trigger_part();
    float first = 0;
    for (uint32_t part = 1; part <= 8; part++) {
        wait_result(part);
        expect_verdicts(FG_PASS, FG_PASS, FG_DEFECT);
        expect_decided(2);
        assert_true(now.result.view[0].score == now.result.view[2].score);
        if (part == 1)
            first = now.result.score;
        if (part == PICTURES + 1)
            assert_true(now.result.score == first);
        expect_next(part, FG_DEFECT, FG_REASON_NONE);
    }
}

static void change_job(uint16_t slot, uint16_t outcome) {
    assert_int_equal(apply_command(FG_COMMAND_SLOT, slot), FG_MODBUS_DONE);
    WAIT(now.outcome == outcome);
}

/* The scores of the first view's PASSes rise; those of the second are as calibrated. */
static void test_drift(void **state) {
    (void)state;
    const char *const bundles[][2] = {{"low", "one"}, {"gone", "one"}, {"old", "one"}, {"old", "old"}};
    config.cameras = config.views = 2;
    config.view[1].camera = 1;
    strcpy(config.view[0].name, "left");
    strcpy(config.view[1].name, "right");
    for (uint32_t slot = 0; slot < 4; slot++)
        for (uint32_t v = 0; v < 2; v++)
            add_bundle(v, bundles[slot][v]);
    begin_line();
    assert_int_equal(read_snapshot()->drift_state, FG_DRIFT_AS_CALIBRATED);
    uint32_t part = 0;
    set_threshold(0, ALL_DEFECT);
    set_threshold(1, ALL_DEFECT);
    while (part < 5) { /* only PASSes count */
        trigger_part();
        expect_result(++part, FG_DEFECT, FG_REASON_NONE);
    }
    assert_true(now.drift == 0);
    set_threshold(0, ALL_PASS);
    set_threshold(1, ALL_PASS);
    for (; now.drift_state != FG_DRIFT_DRIFTED && part < FG_PARTS; wait_result(++part))
        trigger_part();
    assert_int_equal(now.drift_state, FG_DRIFT_DRIFTED);
    assert_true(now.drift >= 5);
    assert_true(now.able && !now.fault);
    /* A bundle that cannot be loaded changes nothing. */
    char path[128];
    snprintf(path, sizeof path, "%s/gone.fgb", folder);
    assert_int_equal(unlink(path), 0);
    change_job(1, FG_FAULT_JOB);
    assert_int_equal(now.drift_state, FG_DRIFT_DRIFTED);
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    assert_int_equal(read_snapshot()->drift_state, FG_DRIFT_AS_CALIBRATED);
    assert_true(now.drift > 0 && now.drift < 5); /* the second view has not begun anew */
    change_job(2, FG_OUTCOME_DONE);
    assert_int_equal(now.drift_state, FG_DRIFT_AS_CALIBRATED);
    assert_true(now.drift == 0);
    /* A view of an old bundle is not watched. */
    change_job(3, FG_OUTCOME_DONE);
    assert_int_equal(now.drift_state, FG_DRIFT_NOT_WATCHED);
    expect_no_frames();
}

/* Two pictures side by side, each turned by 180 degrees. */
static void draw_pair(uint8_t *pixels, int i) {
    for (int half = 0; half < 2; half++) {
        uint8_t picture[SIDE * SIDE * 3];
        draw_picture(picture, (i + half) % PICTURES);
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++)
                memcpy(pixels + ((size_t)y * 2 * SIDE + (size_t)half * SIDE + (size_t)x) * 3,
                       picture + (((size_t)SIDE - 1 - (size_t)y) * SIDE + (size_t)SIDE - 1 - (size_t)x) * 3,
                       3);
    }
}

/* Two views of one frame, each of its own region, turned back: they see what a camera of their own would
 * show. */
static void test_regions_of_one_frame(void **state) {
    float alone[PICTURES];
    add_bundle(0, "one");
    begin_line();
    for (uint32_t i = 0; i < PICTURES; i++) {
        trigger_part();
        wait_result(i + 1);
        alone[i] = now.result.view[0].score;
    }
    end_line(state);
    reset_config(state);
    draw = draw_pair;
    config.camera[0].max_width = 2 * SIDE;
    config.views = 2;
    for (uint32_t v = 0; v < 2; v++) {
        config.view[v] =
            (struct fg_config_view){.x = v * SIDE, .width = SIDE, .height = SIDE, .rotation = 180};
        snprintf(config.view[v].name, sizeof config.view[v].name, "half %u", v);
        add_bundle(v, "one");
    }
    begin_line();
    set_threshold(0, ALL_PASS);
    set_threshold(1, ALL_DEFECT);
    for (uint32_t i = 0; i < PICTURES; i++) {
        trigger_part();
        wait_result(i + 1);
        assert_true(now.result.view[0].score == alone[i]);
        assert_true(now.result.view[1].score == alone[(i + 1) % PICTURES]);
        assert_true(now.result.x >= SIDE &&
                    now.result.x + now.result.w <= 2 * SIDE); /* it lies in the camera's frame */
    }
    expect_no_frames();
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, reset_config, end_line)
    const struct CMUnitTest tests[] = {
        TEST(test_refused_parts_keep_their_turn),
        TEST(test_verdicts_at_once_without_a_buffer),
        TEST(test_queue),
        TEST(test_long_queue),
        TEST(test_deadline_in_the_queue),
        TEST(test_no_place_left),
        TEST(test_doubtful),
        TEST(test_unlike_training),
        TEST(test_worst_view_decides),
        TEST(test_one_camera_fails),
        TEST(test_what_pass_covers),
        TEST(test_job_change_of_all_views),
        TEST(test_job_change_behind_a_queue),
        TEST(test_drift),
        TEST(test_regions_of_one_frame),
        TEST(test_views_of_folders),
    };
    return cmocka_run_group_tests(tests, make, remove_folder);
}
