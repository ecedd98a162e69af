/* A line in this process, for tests: real bundles, judge, actuation and loop; test cameras (or folders) and a
 * test board; no daemon and no socket. A gate holds the judge where a test wants it. Include after cmocka.
 *
 * Errors: a failure fails the test. Owner: end_line closes what begin_line has opened. Thread: the test's;
 * the line runs on a thread of its own. NULL: never. */
#ifndef FG_TESTS_RUNTIME_LINE_RUNNING_H
#define FG_TESTS_RUNTIME_LINE_RUNNING_H

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/eventfd.h>

#include "board/camera/directory.h"
#include "runtime/base/clock.h"
#include "runtime/base/event.h"
#include "runtime/line/line.h"
#include "runtime/line/setup.h"
#include "tests/support/board.h"
#include "tests/support/camera.h"
#include "tests/support/tiny.h"

#define PATIENCE (120 * FG_S) /* the longest wait for what must come; only a failing test waits so long */
#define ALL_DEFECT 1          /* threshold x 10000 */
#define ALL_PASS 65535

enum { TRIGGER, REJECT, PASS_OUT, READY_OUT, FAULT_OUT, HEARTBEAT, IOS };

/* What is running. A test may change the configuration before begin_line. */
static struct fg_config config;
static struct fg_board *board;
static struct fg_camera *camera[FG_CONFIG_CAMERAS];
static struct fg_line *line;
static struct fg_snapshot now;                /* as last read */
static test_draw draw;                        /* what test cameras show */
static enum test_frame tested;                /* what they give when the start tests them */
static struct fg_line_kept kept;              /* from an earlier start */
static const _Atomic int64_t *server_seen_ns; /* NULL: no server is watched */
static const struct fg_sink *sink;            /* who keeps pictures; NULL: nobody */

static struct {
    struct fg_backend *backend, real;
    struct fg_memory_plan plan;
    struct fg_arena *arena;
    struct fg_rejects *rejects;
    struct fg_actuator *actuator;
    struct fg_judge *judge;
    int notify, stop, status;
    pthread_t thread;
    bool running;
    sem_t ready;
    _Atomic bool closed; /* the gate: a part's run waits until it is open */
    _Atomic bool broken; /* runs fail */
    sem_t gate;
} run;

/* ---- The gate ---- */

static inline enum fg_status submit_gated(struct fg_backend *backend, const struct fg_program *program,
                                          const struct fg_memory *memory, struct fg_message *said) {
    if (atomic_load(&run.closed))
        while (sem_wait(&run.gate))
            ;
    if (atomic_load(&run.broken))
        return fg_fail(said, FG_INPUT, "test: this device computes wrongly");
    return run.real.submit(backend, program, memory, said);
}

/* No run may be under way. One that did not wait has left the gate open for another. */
static inline void close_gate(void) {
    while (!sem_trywait(&run.gate))
        ;
    atomic_store(&run.closed, true);
}

/* Lets one run go on that waits, or will; and all that come later. */
static inline void open_gate(void) {
    atomic_store(&run.closed, false);
    sem_post(&run.gate);
}

/* ---- Opening and closing ---- */

/* One camera, one view, one bundle, patient times. Called before each test. */
static inline int reset_config(void **state) {
    (void)state;
    draw = draw_picture;
    tested = TEST_WHOLE;
    atomic_store(&run.broken, false);
    kept = (struct fg_line_kept){0};
    server_seen_ns = NULL;
    sink = NULL;
    config = (struct fg_config){.path = "test",
                                .cameras = 1,
                                .views = 1,
                                .trigger = {.enable_at_start = true, .queue = 1},
                                .deadline_ms = 60000,
                                .reject = {.delay = 600000, .pulse = 100},
                                .missed_reject = FG_MISSED_COUNT,
                                .results = {.ack_timeout_ms = 3600000},
                                .threads = 1};
    for (uint32_t i = 0; i < FG_CONFIG_CAMERAS; i++) {
        struct fg_config_camera *c = &config.camera[i];
        c->max_width = c->max_height = SIDE;
        struct fg_directory_settings *keys = (void *)c->settings;
        keys->memory_mib = 1;
        keys->cycle = true;
        snprintf(keys->path, sizeof keys->path, "%s/pictures", folder);
    }
    return 0;
}

static inline void add_bundle(uint32_t view, const char *name) {
    struct fg_config_view *v = &config.view[view];
    snprintf(v->bundle[v->bundles], sizeof v->bundle[0], "%s/%s.fgb", folder, name);
    v->bundles++;
}

static inline void say_ready(void) {
    sem_post(&run.ready);
}

static inline void *run_line(void *argument) {
    (void)argument;
    run.status = fg_line_run(line);
    return NULL;
}

static inline void open_cameras(bool folders) {
    for (uint32_t i = 0; i < config.cameras; i++) {
        void *memory;
        OK(fg_bank_take(fg_arena_fixed(run.arena), run.plan.camera[i], "frames", &memory, &message));
        if (folders)
            OK(fg_setup_camera(&config, i, memory, &camera[i], &message));
        else
            camera[i] = test_camera_open((int32_t)config.camera[i].max_width,
                                         (int32_t)config.camera[i].max_height, draw, PICTURES);
        if (!folders && tested)
            test_camera_plan(camera[i], tested);
    }
}

/* folders: directory cameras instead of test cameras. Returns while the first slot is loaded. */
static inline void launch_line(bool folders) {
    struct fg_report report = {0};
    void *memory, *rejects;
    OK(fg_cpu_open(1, 1, &run.backend, &message));
    run.real = *run.backend;
    run.backend->submit = submit_gated;
    if (fg_setup_plan(&config, run.backend, &run.plan, &report) != FG_OK)
        fail_msg("%s", report.text);
    OK(fg_arena_open(run.backend, FG_STORE_HOST, run.plan.fixed, run.plan.bank, run.plan.banks, &run.arena,
                     &message));
    OK(fg_bank_take(fg_arena_fixed(run.arena), fg_line_memory(), "the line", &memory, &message));
    OK(fg_bank_take(fg_arena_fixed(run.arena), sizeof(struct fg_rejects), "rejects", &rejects, &message));
    run.rejects = rejects;
    open_cameras(folders);
    board = test_board_open(IOS);
    run.notify = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    run.stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const struct fg_actuation_settings actuation = {.outputs = board->outputs,
                                                    .rejects = rejects,
                                                    .rule = (enum fg_inoperative_rule)config.on_inoperative,
                                                    .reject_all = config.fail_safe == FG_REJECT_ALL,
                                                    .reject = REJECT,
                                                    .pass = PASS_OUT,
                                                    .ready = READY_OUT,
                                                    .fault = FAULT_OUT,
                                                    .heartbeat = HEARTBEAT,
                                                    .notify = run.notify};
    OK(fg_actuator_open(&actuation, &run.actuator, &message));
    struct fg_judge_settings judge = {.backend = run.backend, .arena = run.arena, .views = config.views};
    fg_setup_frames(&config, judge.max_width, judge.max_height);
    OK(fg_judge_open(&judge, &run.judge, &message));
    struct fg_line_settings settings = {.config = &config,
                                        .edges = board->edges,
                                        .trigger_io = TRIGGER,
                                        .actuator = run.actuator,
                                        .rejects = rejects,
                                        .judge = run.judge,
                                        .actuation_descriptor = run.notify,
                                        .stop_descriptor = run.stop,
                                        .reload_descriptor = -1,
                                        .arena = run.arena,
                                        .memory = memory,
                                        .ready = say_ready,
                                        .kept = kept,
                                        .server_seen_ns = server_seen_ns,
                                        .sink = sink};
    memcpy(settings.camera, camera, sizeof settings.camera);
    OK(fg_line_open(&settings, &line, &message));
    sem_init(&run.ready, 0, 0);
    sem_init(&run.gate, 0, 0);
    assert_int_equal(pthread_create(&run.thread, NULL, run_line, NULL), 0);
    run.running = true;
}

/* Returns when the first slot serves. */
static inline void begin_line_with(bool folders) {
    launch_line(folders);
    while (sem_wait(&run.ready))
        ;
}

static inline void begin_line(void) {
    begin_line_with(false);
}

/* Also after a test that failed on its way. */
static inline int end_line(void **state) {
    (void)state;
    if (!run.running)
        return 0;
    open_gate();
    fg_event_signal(run.stop);
    pthread_join(run.thread, NULL);
    run.running = false;
    fg_actuator_close(run.actuator);
    fg_judge_close(run.judge);
    fg_line_close(line);
    close(run.notify);
    close(run.stop);
    board->close(board);
    for (uint32_t i = 0; i < config.cameras; i++)
        camera[i]->close(camera[i]);
    fg_arena_close(run.arena);
    run.backend->close(run.backend);
    return run.status;
}

/* ---- What a test does and sees ---- */

static inline const struct fg_snapshot *read_snapshot(void) {
    fg_snapshot_read(fg_line_cell(line), &now);
    return &now;
}

/* Waits until the snapshot, now, is as wanted. */
#define WAIT(condition)                                                                                      \
    do {                                                                                                     \
        const int64_t patience_ends = fg_clock_ns() + PATIENCE;                                              \
        while (read_snapshot(), !(condition)) {                                                              \
            if (fg_clock_ns() > patience_ends)                                                               \
                fail_msg("%s did not happen: %u triggers, result %u, verdict %d, reason %d, error %u",       \
                         #condition, now.counters.triggers, now.result.id, now.result.verdict,               \
                         now.result.reason, now.error);                                                      \
            sched_yield();                                                                                   \
        }                                                                                                    \
    } while (0)

static inline enum fg_modbus_exception apply_command(enum fg_command_kind kind, uint32_t value) {
    return fg_line_apply(line, &(struct fg_commands){.count = 1, .command = {{kind, value}}});
}

static inline void set_threshold(uint32_t view, uint32_t threshold) {
    assert_int_equal(apply_command((enum fg_command_kind)(FG_COMMAND_THRESHOLD + view), threshold),
                     FG_MODBUS_DONE);
}

static inline void pulse_trigger(void) {
    test_board_edge(board, TRIGGER, true, 0);
    test_board_edge(board, TRIGGER, false, 0);
}

/* Triggers a part that must be taken. */
static inline void trigger_part(void) {
    WAIT(now.able);
    const uint32_t triggers = now.counters.triggers;
    pulse_trigger();
    WAIT(now.counters.triggers == triggers + 1);
    assert_int_equal(now.last_trigger_id, triggers + 1);
}

static inline void wait_result(uint32_t id) {
    WAIT(now.result.id == id && now.result_valid);
}

static inline void expect_result(uint32_t id, enum fg_verdict verdict, enum fg_reason reason) {
    wait_result(id);
    assert_int_equal(now.result.verdict, verdict);
    assert_int_equal(now.result.reason, reason);
}

/* The next of the buffered results. */
static inline void expect_next(uint32_t id, enum fg_verdict verdict, enum fg_reason reason) {
    expect_result(id, verdict, reason);
    assert_int_equal(apply_command(FG_COMMAND_RESULT_ACK, 0), FG_MODBUS_DONE);
}

/* Every frame was given back. */
static inline void expect_no_frames(void) {
    for (uint32_t i = 0; i < config.cameras; i++) {
        const int64_t patience_ends = fg_clock_ns() + PATIENCE;
        while (test_camera_count(camera[i]).lent) {
            assert_true(fg_clock_ns() < patience_ends);
            sched_yield();
        }
    }
}

#endif
