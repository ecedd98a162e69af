/* What the line gives to a sink: every verdict in order, pictures with the right frame and map, and nothing
 * that holds up a trigger. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "tests/runtime/line/running.h"

/* What a sink of this test has got; the line's and the judge's threads write it. */
static struct {
    _Atomic uint32_t records, pictures, loaded;
    uint32_t part[64];
    enum fg_verdict verdict[64];
    struct {
        uint32_t part, view, checksum;
        bool asked, last;
        float score, largest; /* of the result, and of the map */
        uint8_t pixel[3];     /* the frame's first */
    } picture[64];
    _Atomic uint32_t wanted; /* views, of every part with a frame */
    _Atomic bool closed;     /* keep waits until the gate is open */
    sem_t gate;
    _Atomic uint32_t saved, unsaved;
} got;

static void note_bundle(void *store, uint32_t view, const struct fg_bundle_header *header,
                        uint32_t checksum) {
    (void)store, (void)view, (void)header, (void)checksum;
    atomic_fetch_add(&got.loaded, 1);
}

static uint32_t want_views(void *store, const struct fg_result *result) {
    (void)store;
    assert_true(result->verdict);
    return atomic_load(&got.wanted);
}

static void note_part(void *store, const struct fg_result *result) {
    (void)store;
    const uint32_t at = atomic_load(&got.records) % 64;
    got.part[at] = result->id;
    got.verdict[at] = result->verdict;
    atomic_fetch_add(&got.records, 1);
}

static void note_picture(void *store, const struct fg_sink_picture *picture) {
    (void)store;
    const uint32_t at = atomic_load(&got.pictures) % 64;
    float largest = -INFINITY;
    if (atomic_load(&got.closed))
        while (sem_wait(&got.gate))
            ;
    for (int i = 0; picture->map && i < picture->bundle->spec.height * picture->bundle->spec.width; i++)
        largest = fmaxf(largest, picture->map[i]);
    got.picture[at].part = picture->result->id;
    got.picture[at].view = picture->view;
    got.picture[at].checksum = picture->checksum;
    got.picture[at].asked = picture->asked;
    got.picture[at].last = picture->last;
    got.picture[at].score = picture->result->view[picture->view].score;
    got.picture[at].largest = largest;
    memcpy(got.picture[at].pixel, picture->frame.pixels, 3);
    atomic_fetch_add(&got.pictures, 1);
}

static void tell_state(void *store, struct fg_sink_state *state) {
    (void)store;
    *state = (struct fg_sink_state){.saved = atomic_load(&got.saved), .unsaved = atomic_load(&got.unsaved)};
    state->proposed[1] = 77;
}

static const struct fg_sink SINK = {.loaded = note_bundle,
                                    .want = want_views,
                                    .record = note_part,
                                    .keep = note_picture,
                                    .state = tell_state};

static int begin_sink(void **state) {
    reset_config(state);
    memset(&got, 0, sizeof got);
    sem_init(&got.gate, 0, 0);
    atomic_store(&got.wanted, 0xff);
    sink = &SINK;
    return 0;
}

static int end_sink(void **state) {
    atomic_store(&got.closed, false);
    sem_post(&got.gate);
    return end_line(state);
}

/* The map of each picture is that of its own part. */
static void expect_picture(uint32_t at, uint32_t part, uint32_t view) {
    uint8_t pixels[SIDE * SIDE * 3];
    WAIT(atomic_load(&got.pictures) > at);
    assert_int_equal(got.picture[at].part, part);
    assert_int_equal(got.picture[at].view, view);
    draw(pixels, (int)(part - 1) % PICTURES);
    assert_memory_equal(got.picture[at].pixel, pixels, 3);
}

static void each_part_is_recorded_and_its_picture_kept(void **state) {
    (void)state;
    config.views = 2;
    add_bundle(0, "one");
    add_bundle(1, "two");
    begin_line();
    assert_int_equal(atomic_load(&got.loaded), 2);
    assert_int_equal(read_snapshot()->proposed[1], 77);
    for (uint32_t part = 1; part <= 5; part++) {
        trigger_part();
        wait_result(part);
        expect_picture(2 * part - 2, part, 0);
        expect_picture(2 * part - 1, part, 1);
        for (uint32_t v = 0; v < 2; v++) {
            assert_true(got.picture[2 * part - 2 + v].largest == now.result.view[v].score);
            assert_int_equal(got.picture[2 * part - 2 + v].last, v == 1);
        }
        assert_int_not_equal(got.picture[0].checksum, got.picture[1].checksum);
    }
    pulse_trigger();
    WAIT(atomic_load(&got.records) == 6);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(got.part[i], i + 1);
    WAIT(atomic_load(&got.pictures) == 12);
    expect_no_frames();
}

/* With a queue the next part's frame waits while the map is copied; it must not be judged before. */
static void a_waiting_part_does_not_overwrite_the_map(void **state) {
    (void)state;
    config.trigger.queue = 4;
    config.results.buffer = true;
    add_bundle(0, "one");
    begin_line();
    close_gate();
    for (uint32_t part = 1; part <= 4; part++)
        trigger_part();
    open_gate();
    for (uint32_t part = 1; part <= 4; part++) {
        wait_result(part);
        expect_picture(part - 1, part, 0);
        assert_true(got.picture[part - 1].largest == now.result.score);
        assert_int_equal(apply_command(FG_COMMAND_RESULT_ACK, 0), FG_MODBUS_DONE);
    }
    expect_no_frames();
}

/* While the copy is made, the line takes the next trigger; a job change waits. */
static void a_copy_holds_up_no_trigger(void **state) {
    (void)state;
    add_bundle(0, "one");
    add_bundle(0, "two");
    begin_line();
    atomic_store(&got.closed, true);
    trigger_part();
    wait_result(1);
    WAIT(now.able);
    assert_int_equal(atomic_load(&got.pictures), 0);
    trigger_part();
    assert_int_equal(now.busy, true);
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 1), FG_MODBUS_DONE);
    assert_int_equal(read_snapshot()->active_slot, 0);
    atomic_store(&got.closed, false);
    sem_post(&got.gate);
    wait_result(2);
    WAIT(now.active_slot == 1 && atomic_load(&got.pictures) == 2);
    assert_int_equal(got.picture[0].checksum, got.picture[1].checksum); /* both by the first job's bundle */
    expect_no_frames();
}

static void command_2_saves_the_next_frame_of_any_verdict(void **state) {
    (void)state;
    atomic_store(&got.wanted, 0);
    add_bundle(0, "one");
    begin_line();
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 0), FG_MODBUS_DONE);
    trigger_part();
    wait_result(1);
    assert_int_equal(apply_command(FG_COMMAND_RUN, FG_CODE_SAVE), FG_MODBUS_DONE);
    assert_int_equal(read_snapshot()->outcome, FG_OUTCOME_RUNNING);
    assert_int_equal(apply_command(FG_COMMAND_SLOT, 0), FG_MODBUS_DONE); /* of a whole block, in each cycle */
    assert_int_equal(read_snapshot()->outcome, FG_OUTCOME_RUNNING);
    test_camera_plan(camera[0], TEST_DAMAGED); /* a part without a frame is not it */
    trigger_part();
    expect_result(2, FG_INOPERATIVE, FG_REASON_BAD_FRAME);
    assert_int_equal(atomic_load(&got.pictures), 0);
    trigger_part();
    wait_result(3);
    WAIT(atomic_load(&got.pictures) == 1);
    assert_true(got.picture[0].part == 3 && got.picture[0].asked && got.picture[0].last);
    assert_int_equal(read_snapshot()->outcome, FG_OUTCOME_RUNNING);
    atomic_store(&got.saved, 1);
    WAIT(now.outcome == FG_OUTCOME_DONE);
    /* Another that the disk does not take. */
    assert_int_equal(apply_command(FG_COMMAND_RUN, FG_CODE_SAVE), FG_MODBUS_DONE);
    trigger_part();
    wait_result(4);
    atomic_store(&got.unsaved, 1);
    WAIT(now.outcome == FG_FAULT_STORE);
    assert_false(now.fault);
    trigger_part();
    wait_result(5);
    assert_int_equal(atomic_load(&got.pictures), 2);
}

static void a_part_past_its_deadline_keeps_its_frame_without_a_map(void **state) {
    (void)state;
    config.deadline_ms = 50;
    config.reject.delay = 600000;
    atomic_store(&got.wanted, 0);
    add_bundle(0, "one");
    begin_line();
    assert_int_equal(apply_command(FG_COMMAND_RUN, FG_CODE_SAVE), FG_MODBUS_DONE);
    close_gate();
    trigger_part();
    expect_result(1, FG_INOPERATIVE, FG_REASON_DEADLINE);
    assert_int_equal(atomic_load(&got.pictures), 0); /* the judge still has it */
    open_gate();
    expect_picture(0, 1, 0);
    assert_true(got.picture[0].asked);
    expect_no_frames();
}

static int make_line_folder(void **state) {
    make_folder(state);
    make_bundle("one", SIDE, 4, 1);
    make_bundle("two", SIDE, 4, 2);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_part_is_recorded_and_its_picture_kept, begin_sink, end_sink),
        cmocka_unit_test_setup_teardown(a_waiting_part_does_not_overwrite_the_map, begin_sink, end_sink),
        cmocka_unit_test_setup_teardown(a_copy_holds_up_no_trigger, begin_sink, end_sink),
        cmocka_unit_test_setup_teardown(command_2_saves_the_next_frame_of_any_verdict, begin_sink, end_sink),
        cmocka_unit_test_setup_teardown(a_part_past_its_deadline_keeps_its_frame_without_a_map, begin_sink,
                                        end_sink),
    };
    return cmocka_run_group_tests(tests, make_line_folder, remove_folder);
}
