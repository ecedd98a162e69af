/* How the CPU backend runs a program: waits, deadlines, failures and the end, with kernels of the test's own
 * in its table, so that what happens while a step runs is certain. */
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/backend.h"
#include "kernels/philox.h"
#include "runtime/base/clock.h"

#define STEPS 40
#define RUNS 50

/* The program that runs, and what its steps saw. */
static struct fg_step steps[STEPS];
static struct fg_program program;
static const struct fg_memory memory;
static atomic_bool ended[STEPS];
static atomic_int broken; /* steps that began before one that they wait for had ended */
static sem_t entered, let_go;

/* Opens a backend whose MASK is the given function. Its table is its own, writable memory. */
static struct fg_backend *
open_with(uint32_t lanes, enum fg_status (*forward)(struct fg_backend *, const struct fg_step *,
                                                    const struct fg_memory *, struct fg_message *)) {
    struct fg_backend *backend = NULL;
    assert_int_equal(fg_cpu_open(2, lanes, &backend, NULL), FG_OK);
    ((struct fg_kernel *)backend->kernel)[FG_MASK].forward = forward;
    return backend;
}

/* count steps, step i on lane i % lanes. */
static void make_program(uint32_t count, uint32_t lanes) {
    memset(steps, 0, sizeof steps);
    for (uint32_t i = 0; i < count; i++) {
        steps[i] = (struct fg_step){.op = FG_MASK, .lane = i % lanes};
        atomic_store(&ended[i], false);
    }
    program = (struct fg_program){.step = steps, .steps = count, .lanes = lanes};
    atomic_store(&broken, 0);
}

static size_t index_of(const struct fg_step *step) {
    return (size_t)(step - steps);
}

/* Looks whether all that must have ended has. */
static enum fg_status ordered(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *m, struct fg_message *message) {
    (void)backend;
    (void)m;
    (void)message;
    const size_t i = index_of(step);
    for (uint32_t w = 0; w < step->waits; w++) {
        atomic_fetch_add(&broken, !atomic_load(&ended[step->wait[w]]));
    }
    for (size_t k = 0; k < i; k++) {
        atomic_fetch_add(&broken, steps[k].lane == step->lane && !atomic_load(&ended[k]));
    }
    atomic_store(&ended[i], true);
    return FG_OK;
}

static void waits_hold_across_lanes(void **state) {
    (void)state;
    struct fg_backend *backend = open_with(3, ordered);
    for (uint32_t run = 0; run < RUNS; run++) {
        make_program(STEPS, 3);
        for (uint32_t i = 1; i < STEPS; i++) {
            const struct fg_philox r = fg_philox(run, i, 0, 0, 0);
            steps[i].lane = r.word[0] % 3;
            steps[i].waits = r.word[1] % 4;
            for (uint32_t w = 0; w < steps[i].waits; w++) {
                steps[i].wait[w] = fg_philox(run, i, w, 1, 0).word[2] % i;
            }
        }
        assert_int_equal(fg_backend_run(backend, &program, &memory, NULL), FG_OK);
        for (uint32_t i = 0; i < STEPS; i++) {
            assert_true(atomic_load(&ended[i]));
        }
        assert_int_equal(atomic_load(&broken), 0);
    }
    backend->close(backend);
}

/* Step 0 ends only after step 2 of another lane has run: lanes run at the same time. Step 1 waits for it. */
static enum fg_status together(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *m, struct fg_message *message) {
    if (index_of(step) == 0) {
        sem_wait(&let_go);
    }
    if (index_of(step) == 2) {
        sem_post(&let_go);
    }
    return ordered(backend, step, m, message);
}

static void lanes_run_at_the_same_time(void **state) {
    (void)state;
    sem_init(&let_go, 0, 0);
    struct fg_backend *backend = open_with(3, together);
    for (int run = 0; run < RUNS; run++) {
        make_program(3, 3);
        steps[1].waits = 1;
        steps[1].wait[0] = 0;
        assert_int_equal(fg_backend_run(backend, &program, &memory, NULL), FG_OK);
        assert_true(atomic_load(&ended[1]));
        assert_int_equal(atomic_load(&broken), 0);
    }
    backend->close(backend);
    sem_destroy(&let_go);
}

static enum fg_status held(struct fg_backend *backend, const struct fg_step *step, const struct fg_memory *m,
                           struct fg_message *message) {
    sem_post(&entered);
    sem_wait(&let_go);
    return ordered(backend, step, m, message);
}

static void a_run_under_way_is_seen_and_not_disturbed(void **state) {
    (void)state;
    sem_init(&entered, 0, 0);
    sem_init(&let_go, 0, 0);
    struct fg_backend *backend = open_with(2, held);
    struct fg_message message = {""};
    for (int run = 0; run < 3; run++) {
        make_program(1, 1);
        assert_int_equal(backend->submit(backend, &program, &memory, &message), FG_OK);
        sem_wait(&entered);
        assert_int_equal(backend->poll(backend, 0, &message), FG_TIMEOUT);
        assert_int_equal(backend->poll(backend, fg_clock_ns() - 1, &message), FG_TIMEOUT);
        assert_int_equal(backend->poll(backend, fg_clock_ns() + FG_MS, &message), FG_TIMEOUT);
        assert_int_equal(backend->submit(backend, &program, &memory, &message), FG_TIMEOUT);
        assert_false(atomic_load(&ended[0]));
        sem_post(&let_go);
        assert_int_equal(backend->poll(backend, INT64_MAX, &message), FG_OK);
        assert_true(atomic_load(&ended[0]));
        assert_int_equal(backend->poll(backend, 0, &message), FG_OK); /* ended, and nothing runs */
    }
    backend->close(backend);
    sem_destroy(&entered);
    sem_destroy(&let_go);
}

static atomic_bool fails;

static enum fg_status failing(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *m, struct fg_message *message) {
    if (index_of(step) == 1 && atomic_load(&fails)) {
        return fg_fail(message, FG_DEVICE_LOST, "step %d is lost", 1);
    }
    return ordered(backend, step, m, message);
}

static void a_failing_steps_status_comes_out_of_poll(void **state) {
    (void)state;
    struct fg_backend *backend = open_with(3, failing);
    struct fg_message message = {""};
    for (int run = 0; run < 10; run++) {
        make_program(6, 3);
        steps[2].waits = 1; /* it is of another lane and must never begin */
        steps[2].wait[0] = 1;
        atomic_store(&fails, true);
        assert_int_equal(fg_backend_run(backend, &program, &memory, &message), FG_DEVICE_LOST);
        assert_string_equal(message.text, "step 1 is lost");
        assert_false(atomic_load(&ended[2]) || atomic_load(&ended[4]) || atomic_load(&ended[5]));
        assert_int_equal(backend->poll(backend, INT64_MAX, &message), FG_OK); /* said once */

        atomic_store(&fails, false); /* the next run is whole */
        assert_int_equal(fg_backend_run(backend, &program, &memory, &message), FG_OK);
        assert_true(atomic_load(&ended[5]));
    }
    backend->close(backend);
}

static enum fg_status slow(struct fg_backend *backend, const struct fg_step *step, const struct fg_memory *m,
                           struct fg_message *message) {
    sem_post(&entered);
    for (int i = 0; i < 1000; i++) {
        sched_yield();
    }
    return ordered(backend, step, m, message);
}

static void close_waits_for_the_run(void **state) {
    (void)state;
    sem_init(&entered, 0, 0);
    for (int run = 0; run < 10; run++) {
        struct fg_backend *backend = open_with(2, slow);
        make_program(2, 2);
        assert_int_equal(backend->submit(backend, &program, &memory, NULL), FG_OK);
        sem_wait(&entered);
        backend->close(backend);
        assert_true(atomic_load(&ended[0]) && atomic_load(&ended[1]));
        while (sem_trywait(&entered) == 0) {
        }
    }
    sem_destroy(&entered);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_hold_across_lanes),
        cmocka_unit_test(lanes_run_at_the_same_time),
        cmocka_unit_test(a_run_under_way_is_seen_and_not_disturbed),
        cmocka_unit_test(a_failing_steps_status_comes_out_of_poll),
        cmocka_unit_test(close_waits_for_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
