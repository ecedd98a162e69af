/* Requests of several servers at once: each has its own answer, none is lost, and there is an end to how many
 * wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>

#include "runtime/base/event.h"
#include "runtime/line/state.h"
#include "tests/runtime/line/running.h"

#define SERVERS FG_REQUESTS
#define ROUNDS 500

static int make(void **state) {
    make_folder(state);
    make_bundle("one", SIDE, 4, 1);
    return 0;
}

static struct fg_requests requests;
static _Atomic bool over;
static uint64_t carried_out; /* sum of all values, on the answering thread */

static struct fg_commands numbered(uint32_t value) {
    return (struct fg_commands){.count = 1, .command = {{FG_COMMAND_CODE, value}}};
}

/* What the answering thread says to a value. */
static enum fg_modbus_exception answer_to(uint32_t value) {
    return (enum fg_modbus_exception)(value % 4);
}

static void *answer_all(void *argument) {
    struct pollfd asked = {.fd = requests.asked, .events = POLLIN};
    while (!atomic_load(&over)) {
        poll(&asked, 1, -1);
        fg_event_take(requests.asked);
        struct fg_request *request;
        while ((request = fg_requests_take(&requests))) {
            const uint32_t value = request->commands.command[0].value;
            carried_out += value;
            fg_requests_answer(request, answer_to(value));
        }
    }
    return argument;
}

/* Returns NULL when every answer was to the question. */
static void *ask_many(void *server) {
    for (uint32_t i = 0; i < ROUNDS; i++) {
        const uint32_t value = *(const uint32_t *)server + i;
        const struct fg_commands commands = numbered(value);
        if (fg_requests_ask(&requests, &commands) != answer_to(value))
            return server;
    }
    return NULL;
}

static void test_each_has_its_answer(void **state) {
    (void)state;
    pthread_t answering, server[SERVERS];
    uint32_t first[SERVERS];
    uint64_t expected = 0;
    requests = (struct fg_requests){0};
    carried_out = 0;
    atomic_store(&over, false);
    OK(fg_requests_open(&requests, &message));
    assert_int_equal(pthread_create(&answering, NULL, answer_all, NULL), 0);
    for (uint32_t i = 0; i < SERVERS; i++) {
        first[i] = i * 1000 + i;
        for (uint32_t k = 0; k < ROUNDS; k++)
            expected += first[i] + k;
        assert_int_equal(pthread_create(&server[i], NULL, ask_many, &first[i]), 0);
    }
    for (uint32_t i = 0; i < SERVERS; i++) {
        void *wrong;
        assert_int_equal(pthread_join(server[i], &wrong), 0);
        assert_null(wrong);
    }
    atomic_store(&over, true);
    fg_event_signal(requests.asked);
    pthread_join(answering, NULL);
    assert_int_equal(carried_out, expected);
    fg_requests_close(&requests);
}

static void *ask_once(void *value) {
    const struct fg_commands commands = numbered(*(const uint32_t *)value);
    *(uint32_t *)value = fg_requests_ask(&requests, &commands);
    return NULL;
}

/* A request that nobody looks at is taken back; with all places taken another is refused at once. */
static void test_nobody_answers(void **state) {
    (void)state;
    pthread_t server[SERVERS];
    uint32_t value[SERVERS];
    requests = (struct fg_requests){0};
    OK(fg_requests_open(&requests, &message));
    struct fg_request *taken[SERVERS];
    for (uint32_t i = 0; i < SERVERS; i++) {
        value[i] = i;
        assert_int_equal(pthread_create(&server[i], NULL, ask_once, &value[i]), 0);
        while (!(taken[i] = fg_requests_take(&requests)))
            sched_yield();
        assert_int_equal(taken[i]->commands.command[0].value, i); /* in the order of asking */
    }
    const struct fg_commands commands = numbered(99);
    assert_int_equal(fg_requests_ask(&requests, &commands), FG_MODBUS_BUSY);
    for (uint32_t i = 0; i < SERVERS; i++)
        fg_requests_answer(taken[i], answer_to(i + 1));
    for (uint32_t i = 0; i < SERVERS; i++) {
        pthread_join(server[i], NULL);
        assert_int_equal(value[i], answer_to(i + 1));
    }
    assert_int_equal(fg_requests_ask(&requests, &commands), FG_MODBUS_BUSY);
    assert_null(fg_requests_take(&requests));
    fg_requests_close(&requests);
}

/* The line itself: whatever a server asked for is published when it has its answer. */
static void *set_thresholds(void *view) {
    const uint32_t v = *(const uint32_t *)view;
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        struct fg_snapshot snapshot;
        const struct fg_commands commands = {
            .count = 1, .command = {{(enum fg_command_kind)(FG_COMMAND_THRESHOLD + v), 10 * i + v}}};
        if (fg_line_apply(line, &commands) != FG_MODBUS_DONE)
            return view;
        fg_snapshot_read(fg_line_cell(line), &snapshot);
        if (snapshot.holding.threshold[v] != 10 * i + v)
            return view;
    }
    return NULL;
}

static void test_servers_beside_each_other(void **state) {
    reset_config(state);
    add_bundle(0, "one");
    begin_line();
    pthread_t server[4];
    uint32_t view[4];
    for (uint32_t i = 0; i < 4; i++) {
        view[i] = i;
        assert_int_equal(pthread_create(&server[i], NULL, set_thresholds, &view[i]), 0);
    }
    for (uint32_t i = 0; i < 4; i++) {
        void *wrong;
        assert_int_equal(pthread_join(server[i], &wrong), 0);
        assert_null(wrong);
    }
    trigger_part();
    wait_result(1);
}

/* ---- The order of edges and requests ---- */

static sem_t exposing, exposed;

/* Holds the line in the middle of the request that triggered the camera. */
static void draw_and_wait(uint8_t *pixels, int i) {
    draw_picture(pixels, i);
    sem_post(&exposing);
    while (sem_wait(&exposed))
        ;
}

/* How many requests were ever made. */
static uint64_t count_asked(void) {
    return atomic_load(&line->requests.tickets);
}

static void *ask_trigger(void *argument) {
    return apply_command(FG_COMMAND_TRIGGER, 0) == FG_MODBUS_DONE ? NULL : argument;
}

static void *ask_disable(void *argument) {
    return apply_command(FG_COMMAND_COILS, FG_WRITTEN_COILS(FG_COIL_TRIGGER_ENABLE, 0)) == FG_MODBUS_DONE
               ? NULL
               : argument;
}

/* An edge of before coil 0 was cleared is a part, also where the line was busy with another request when
 * both came. */
static void test_an_edge_comes_before_a_later_request(void **state) {
    reset_config(state);
    draw = draw_and_wait;
    sem_init(&exposing, 0, 0);
    sem_init(&exposed, 0, 1); /* the camera's test takes the first picture */
    add_bundle(0, "one");
    begin_line();
    assert_int_equal(sem_trywait(&exposing), 0);
    WAIT(now.able);
    close_gate(); /* the first part is with the judge until the end, so that the edge cannot be taken */
    pthread_t triggering, disabling;
    void *wrong;
    const uint64_t asked = count_asked();
    assert_int_equal(pthread_create(&triggering, NULL, ask_trigger, &wrong), 0);
    while (sem_wait(&exposing))
        ;
    pulse_trigger();
    assert_int_equal(pthread_create(&disabling, NULL, ask_disable, &wrong), 0);
    while (count_asked() < asked + 2)
        sched_yield();
    sem_post(&exposed);
    pthread_join(triggering, &wrong);
    assert_null(wrong);
    pthread_join(disabling, &wrong);
    assert_null(wrong);
    WAIT(!(now.coils & FG_COIL_TRIGGER_ENABLE));
    assert_int_equal(now.counters.triggers, 2);
    assert_int_equal(now.counters.missed_triggers, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_has_its_answer),
        cmocka_unit_test(test_nobody_answers),
        cmocka_unit_test_teardown(test_servers_beside_each_other, end_line),
        cmocka_unit_test_teardown(test_an_edge_comes_before_a_later_request, end_line),
    };
    return cmocka_run_group_tests(tests, make, remove_folder);
}
