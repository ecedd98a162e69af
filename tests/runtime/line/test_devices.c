/* Cameras and boards that misbehave, on a line in this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/runtime/line/running.h"

static int make(void **state) {
    make_folder(state);
    make_bundle("one", SIDE, 4, 1);
    return 0;
}

static void begin_one(void) {
    add_bundle(0, "one");
    begin_line();
    set_threshold(0, ALL_PASS);
}

/* ---- The test of the start ---- */

/* Not ready until the camera has given a frame; clearing the fault tests it again, as often as it takes. */
static void test_camera_fails_its_test(void **state) {
    (void)state;
    tested = TEST_DAMAGED;
    begin_one();
    WAIT(now.error == FG_FAULT_CAMERA);
    assert_false(now.able || now.exposure_complete);
    assert_true(now.online);
    pulse_trigger();
    expect_result(1, FG_INOPERATIVE, FG_REASON_NOT_READY);
    test_camera_plan(camera[0], TEST_DELAYED);
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    assert_false(read_snapshot()->fault || now.able);
    /* Meanwhile no other bundles may come. */
    assert_int_equal(apply_command(FG_COMMAND_RUN, FG_CODE_SELF_TEST), FG_MODBUS_BUSY);
    test_camera_deliver(camera[0]);
    WAIT(now.able);
    assert_false(now.fault);
    trigger_part();
    expect_result(2, FG_PASS, FG_REASON_NONE);
    expect_no_frames();
}

static void test_camera_gives_no_frame_when_tested(void **state) {
    (void)state;
    tested = TEST_LOST;
    begin_one();
    assert_int_equal(read_snapshot()->error, FG_FAULT_CAMERA);
    assert_false(now.able);
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    WAIT(now.able);
    assert_false(now.fault);
}

/* Its frames are larger than those that the bundle was trained on. */
static void test_camera_gives_other_frames(void **state) {
    (void)state;
    config.camera[0].max_width = 2 * SIDE;
    begin_one();
    assert_int_equal(read_snapshot()->error, FG_FAULT_SELF_TEST);
    assert_false(now.able);
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    WAIT(now.error == FG_FAULT_SELF_TEST); /* again */
    assert_false(now.able);
    expect_no_frames();
}

/* The test's picture is no part's: the first part sees the first picture, and no counter moves. */
static void test_start_takes_no_picture_away(void **state) {
    float first = 0;
    for (int folders = 0; folders < 2; folders++) {
        add_bundle(0, "one");
        begin_line_with(folders);
        assert_int_equal(read_snapshot()->counters.triggers + now.counters.camera_errors, 0);
        trigger_part();
        wait_result(1);
        assert_true(!folders || now.result.score == first);
        first = now.result.score;
        end_line(state);
        config.view[0].bundles = 0;
    }
}

/* ---- The bundles' self-test ---- */

static void run_self_test(uint16_t outcome) {
    assert_int_equal(apply_command(FG_COMMAND_RUN, FG_CODE_SELF_TEST), FG_MODBUS_DONE);
    WAIT(now.outcome == outcome);
}

/* What computes wrongly judges no part, whoever clears the fault, until it computes rightly again. */
static void test_self_test_fails(void **state) {
    (void)state;
    begin_one();
    WAIT(now.able);
    atomic_store(&run.broken, true);
    run_self_test(FG_FAULT_SELF_TEST);
    assert_int_equal(now.error, FG_FAULT_SELF_TEST);
    assert_false(now.able);
    pulse_trigger();
    expect_result(1, FG_INOPERATIVE, FG_REASON_NOT_VERIFIED);
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    assert_true(read_snapshot()->fault && !now.able);
    atomic_store(&run.broken, false);
    run_self_test(FG_OUTCOME_DONE);
    assert_true(now.fault && now.able);
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    assert_false(read_snapshot()->fault);
    trigger_part();
    expect_result(2, FG_PASS, FG_REASON_NONE);
}

/* ---- Several faults ---- */

/* Register 1 has the first fault that is not cleared, in the order in which they came; the next one is shown
 * when it is. */
static void test_faults_in_their_order(void **state) {
    (void)state;
    begin_one();
    WAIT(now.able);
    atomic_store(&run.broken, true);
    run_self_test(FG_FAULT_SELF_TEST); /* 22 */
    test_camera_vanish(camera[0]);     /* 16 */
    WAIT(!now.able && now.degraded);
    assert_int_equal(now.error, FG_FAULT_SELF_TEST);
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    assert_int_equal(read_snapshot()->error, FG_FAULT_SELF_TEST); /* both stay, in their order */
    atomic_store(&run.broken, false);
    run_self_test(FG_OUTCOME_DONE);
    assert_int_equal(now.error, FG_FAULT_SELF_TEST);
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    assert_int_equal(read_snapshot()->error, FG_FAULT_CAMERA);
    assert_true(now.fault);
    test_camera_return(camera[0]);
    WAIT(now.able);
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    assert_int_equal(read_snapshot()->error, FG_FAULT_NONE);
    assert_false(now.fault);
}

/* ---- Frames ---- */

static void test_damaged_frame(void **state) {
    (void)state;
    begin_one();
    test_camera_plan(camera[0], TEST_DAMAGED);
    trigger_part();
    expect_result(1, FG_INOPERATIVE, FG_REASON_BAD_FRAME);
    assert_int_equal(now.counters.camera_errors, 1);
    trigger_part();
    expect_result(2, FG_PASS, FG_REASON_NONE);
    expect_no_frames();
}

static void test_lost_frame(void **state) {
    (void)state;
    config.deadline_ms = 500;
    begin_one();
    test_camera_plan(camera[0], TEST_LOST);
    trigger_part();
    expect_result(1, FG_INOPERATIVE, FG_REASON_NO_FRAME);
    assert_int_equal(now.error, FG_FAULT_CAMERA);
    assert_int_equal(now.counters.camera_errors, 1);
    assert_false(now.exposure_complete);
    WAIT(now.able); /* one frame was lost, the camera is there */
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    assert_false(read_snapshot()->fault);
    expect_no_frames();
}

/* A frame that comes after its part's deadline is not the next part's. */
static void test_delayed_frame(void **state) {
    (void)state;
    config.deadline_ms = 1000;
    begin_one();
    test_camera_plan(camera[0], TEST_DELAYED);
    test_camera_plan(camera[0], TEST_LOST);
    trigger_part();
    expect_result(1, FG_INOPERATIVE, FG_REASON_NO_FRAME);
    trigger_part();
    test_camera_deliver(camera[0]);
    expect_result(2, FG_INOPERATIVE, FG_REASON_NO_FRAME);
    assert_int_equal(now.counters.pass, 0);
    expect_no_frames();
}

/* A frame that was shown before is not judged as the next part's, whatever time it says. */
static void test_doubled_frame(void **state) {
    (void)state;
    float score[PICTURES];
    for (int doubled = 0; doubled < 2; doubled++) {
        begin_one();
        for (uint32_t i = 0; i < PICTURES; i++) {
            if (doubled)
                test_camera_plan(camera[0], TEST_DOUBLED);
            trigger_part();
            wait_result(i + 1);
            if (doubled)
                assert_true(now.result.score == score[i]);
            score[i] = now.result.score;
        }
        end_line(state);
        config.view[0].bundles = 0;
    }
    assert_true(score[0] != score[1]);
}

/* ---- A camera that is gone ---- */

static void expect_gone(void) {
    WAIT(now.error == FG_FAULT_CAMERA && !now.able && now.degraded);
}

static void wait_reopens(uint32_t more) {
    const uint32_t before = test_camera_count(camera[0]).reopens;
    const int64_t patience_ends = fg_clock_ns() + PATIENCE;
    while (test_camera_count(camera[0]).reopens < before + more) {
        assert_true(fg_clock_ns() < patience_ends);
        sched_yield();
    }
}

static void come_back(uint32_t part) {
    test_camera_return(camera[0]);
    WAIT(now.able && !now.degraded);
    assert_true(now.fault); /* until it is cleared */
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    assert_false(read_snapshot()->fault);
    trigger_part();
    expect_result(part, FG_PASS, FG_REASON_NONE);
    expect_no_frames();
}

/* Between two parts: its descriptor tells, and is left alone from then on. */
static void test_camera_vanishes_and_comes_back(void **state) {
    (void)state;
    begin_one();
    trigger_part();
    wait_result(1);
    test_camera_vanish(camera[0]);
    expect_gone();
    const uint32_t looks = test_camera_count(camera[0]).looks;
    wait_reopens(2);
    assert_int_equal(test_camera_count(camera[0]).looks, looks);
    pulse_trigger();
    expect_result(2, FG_INOPERATIVE, FG_REASON_NOT_READY);
    /* Nobody clears the fault while the camera is gone. */
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    assert_true(read_snapshot()->fault);
    assert_int_equal(now.error, FG_FAULT_CAMERA);
    expect_gone();
    come_back(3);
}

/* While its frame is awaited: the part does not wait for its deadline. */
static void test_camera_vanishes_during_a_part(void **state) {
    (void)state;
    begin_one();
    test_camera_plan(camera[0], TEST_DELAYED);
    trigger_part();
    test_camera_vanish(camera[0]);
    expect_result(1, FG_INOPERATIVE, FG_REASON_NO_FRAME);
    expect_gone();
    come_back(2);
}

/* While its frame is judged: the frame stays readable. */
static void test_camera_vanishes_while_judged(void **state) {
    (void)state;
    begin_one();
    close_gate();
    trigger_part();
    WAIT(now.exposure_complete);
    test_camera_vanish(camera[0]);
    expect_gone();
    open_gate();
    expect_result(1, FG_PASS, FG_REASON_NONE);
    come_back(2);
}

/* ---- Cameras and the judge's jobs ---- */

/* It is tested as soon as the judge no longer needs its engines, without anybody clearing a fault. */
static void test_camera_comes_back_during_a_self_test(void **state) {
    (void)state;
    begin_one();
    WAIT(now.able);
    close_gate();
    assert_int_equal(apply_command(FG_COMMAND_RUN, FG_CODE_SELF_TEST), FG_MODBUS_DONE);
    test_camera_vanish(camera[0]);
    expect_gone();
    test_camera_return(camera[0]);
    WAIT(!now.degraded);
    open_gate();
    WAIT(now.outcome == FG_OUTCOME_DONE);
    WAIT(now.able);
}

/* Makes the camera come back, and leaves its test's frame under way. */
static void begin_delayed_test(void) {
    test_camera_vanish(camera[0]);
    expect_gone();
    test_camera_plan(camera[0], TEST_DELAYED);
    const uint32_t before = test_camera_count(camera[0]).triggers;
    test_camera_return(camera[0]);
    const int64_t patience_ends = fg_clock_ns() + PATIENCE;
    while (test_camera_count(camera[0]).triggers == before) {
        assert_true(fg_clock_ns() < patience_ends);
        sched_yield();
    }
}

/* The test asks the engines in use whether they take the frame, so they stay until it has come. */
static void test_job_change_waits_for_a_camera(void **state) {
    (void)state;
    add_bundle(0, "one");
    begin_one();
    close_gate();
    trigger_part();
    WAIT(now.exposure_complete);
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 1), FG_MODBUS_DONE);
    begin_delayed_test();
    open_gate();
    expect_result(1, FG_PASS, FG_REASON_NONE);
    assert_false(now.updating);
    test_camera_deliver(camera[0]);
    WAIT(now.outcome == FG_OUTCOME_DONE && now.able);
    assert_int_equal(now.active_slot, 1);
    expect_no_frames();
    /* So does another try of a job that could not be loaded. */
    snprintf(config.view[0].bundle[0], sizeof config.view[0].bundle[0], "%s/none.fgb", folder);
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 0), FG_MODBUS_DONE);
    WAIT(now.outcome == FG_FAULT_JOB);
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    WAIT(now.able);
    begin_delayed_test();
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 0), FG_MODBUS_DONE);
    assert_true(read_snapshot()->outcome == FG_OUTCOME_RUNNING && !now.updating);
    test_camera_deliver(camera[0]);
    WAIT(now.outcome == FG_FAULT_JOB && now.able);
}

/* ---- The board ---- */

static void test_edges_lost(void **state) {
    (void)state;
    begin_one();
    WAIT(now.able);
    test_board_edge(board, TRIGGER, true, 3);
    expect_result(1, FG_PASS, FG_REASON_NONE);
    assert_true(now.missed_trigger);
    assert_int_equal(now.error, FG_FAULT_EDGES_LOST);
    assert_int_equal(now.counters.missed_triggers, 1);
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    assert_false(read_snapshot()->fault || now.missed_trigger);
}

static void wait_level(uint32_t io, bool level) {
    const int64_t patience_ends = fg_clock_ns() + PATIENCE;
    while (test_board_level(board, io) != level) {
        assert_true(fg_clock_ns() < patience_ends);
        sched_yield();
    }
}

/* An output that cannot be set stops the line until the fault is cleared; it is set as soon as it can be. */
static void test_output_fails(void **state) {
    (void)state;
    config.fail_safe = FG_REJECT_ALL;
    config.reject.delay = 1000;
    begin_one();
    WAIT(now.able);
    test_board_break(board, REJECT, true);
    set_threshold(0, ALL_DEFECT);
    pulse_trigger();
    WAIT(now.error == FG_FAULT_OUTPUT);
    assert_false(now.online || now.able);
    assert_false(test_board_level(board, REJECT));
    wait_level(READY_OUT, false);
    test_board_break(board, REJECT, false);
    wait_level(REJECT, true);
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    wait_level(REJECT, false);
    wait_level(READY_OUT, true);
}

/* Without edges nothing is seen of what passes: not ready, whoever clears the fault. */
static void test_board_vanishes(void **state) {
    (void)state;
    begin_one();
    WAIT(now.able);
    test_board_vanish(board);
    WAIT(now.error == FG_FAULT_EDGES_LOST && !now.able);
    assert_int_equal(apply_command(FG_COMMAND_CLEAR_FAULT, 0), FG_MODBUS_DONE);
    assert_false(read_snapshot()->able || now.online);
    assert_int_equal(now.error, FG_FAULT_EDGES_LOST);
    assert_int_equal(apply_command(FG_COMMAND_TRIGGER, 0), FG_MODBUS_BUSY);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, reset_config, end_line)
    const struct CMUnitTest tests[] = {
        TEST(test_camera_fails_its_test),
        TEST(test_camera_gives_no_frame_when_tested),
        TEST(test_camera_gives_other_frames),
        TEST(test_start_takes_no_picture_away),
        TEST(test_self_test_fails),
        TEST(test_faults_in_their_order),
        TEST(test_damaged_frame),
        TEST(test_lost_frame),
        TEST(test_delayed_frame),
        TEST(test_doubled_frame),
        TEST(test_camera_vanishes_and_comes_back),
        TEST(test_camera_vanishes_during_a_part),
        TEST(test_camera_vanishes_while_judged),
        TEST(test_camera_comes_back_during_a_self_test),
        TEST(test_job_change_waits_for_a_camera),
        TEST(test_edges_lost),
        TEST(test_output_fails),
        TEST(test_board_vanishes),
    };
    return cmocka_run_group_tests(tests, make, remove_folder);
}
