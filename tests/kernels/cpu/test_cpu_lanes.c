/* The CPU backend's lanes, threads and runs, by chains of convolutions whose result depends on their order.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/backend.h"
#include "kernels/philox.h"
#include "runtime/base/clock.h"

#define STEPS 24
#define SIDE 20
#define CHANNELS 32

/* A chain: step i is a 3x3 or 1x1 convolution of step i - 1's output, on lane i % lanes. */
struct chain {
    struct fg_tensor value[STEPS + 1], weight[STEPS];
    struct fg_step step[STEPS];
    struct fg_program program;
    struct fg_memory memory;
};

static void place(struct fg_tensor *t, int32_t n, int32_t h, int32_t w, int32_t c, enum fg_segment segment,
                  size_t *top) {
    *t = (struct fg_tensor){
        .dtype = FG_F32, .n = n, .h = h, .w = w, .c = c, .segment = segment, .offset = *top};
    *top += fg_size_align(fg_tensor_bytes(t));
}

static void fill(const struct chain *chain, const struct fg_tensor *t, uint32_t what, float scale) {
    float *values = fg_tensor_data(t, &chain->memory);
    for (uint32_t i = 0; i < fg_tensor_count(t); i++) {
        values[i] = scale * (fg_philox_uniform(fg_philox(7, i, what, 0, 0).word[0]) - 0.5f);
    }
}

static void build(struct chain *chain, struct fg_backend *backend, uint32_t lanes, bool frozen) {
    const enum fg_segment segment = frozen ? FG_SEGMENT_FROZEN : FG_SEGMENT_TRAINED;
    size_t top[FG_SEGMENTS] = {0}, workspace = 0;
    memset(chain, 0, sizeof *chain);
    place(&chain->value[0], 1, SIDE, SIDE, CHANNELS, FG_SEGMENT_ACTIVATIONS, &top[FG_SEGMENT_ACTIVATIONS]);
    for (uint32_t i = 0; i < STEPS; i++) {
        const int32_t kernel = i % 3 == 2 ? 1 : 3;
        place(&chain->value[i + 1], 1, SIDE, SIDE, CHANNELS, FG_SEGMENT_ACTIVATIONS,
              &top[FG_SEGMENT_ACTIVATIONS]);
        place(&chain->weight[i], CHANNELS, kernel, kernel, CHANNELS, segment, &top[segment]);
        struct fg_step *step = &chain->step[i];
        *step = (struct fg_step){.op = FG_CONV, .stride = 1, .groups = 1, .lane = i % lanes};
        step->in[0] = &chain->value[i];
        step->param[0] = &chain->weight[i];
        step->out[0] = &chain->value[i + 1];
        step->waits = i > 0 && lanes > 1 ? 1 : 0;
        step->wait[0] = i > 0 ? i - 1 : 0;
        const struct fg_kernel *kernel_of = &backend->kernel[FG_CONV];
        assert_true(kernel_of->supports(backend, step));
        step->workspace_bytes = kernel_of->workspace(backend, step);
        workspace = step->workspace_bytes > workspace ? step->workspace_bytes : workspace;
        step->prepared_bytes = frozen ? kernel_of->prepared(backend, step) : 0;
        step->prepared = top[FG_SEGMENT_PREPARED];
        top[FG_SEGMENT_PREPARED] += fg_size_align(step->prepared_bytes);
    }
    workspace = fg_size_align(workspace);
    top[FG_SEGMENT_WORKSPACE] = lanes * workspace;
    for (uint32_t i = 0; i < STEPS; i++) {
        chain->step[i].workspace = chain->step[i].lane * workspace;
    }
    for (int r = 0; r < FG_SEGMENTS; r++) {
        assert_int_equal(backend->reserve(backend, FG_STORE_DEVICE, top[r], &chain->memory.segment[r], NULL),
                         FG_OK);
    }
    fill(chain, &chain->value[0], 0, 2.0f);
    for (uint32_t i = 0; i < STEPS; i++) {
        fill(chain, &chain->weight[i], i + 1, chain->weight[i].h == 3 ? 0.2f : 0.6f);
    }
    chain->program = (struct fg_program){.step = chain->step, .steps = STEPS, .lanes = lanes};
    assert_int_equal(backend->prepare(backend, &chain->program, &chain->memory, NULL), FG_OK);
}

static void release(struct chain *chain, struct fg_backend *backend) {
    for (int r = 0; r < FG_SEGMENTS; r++) {
        backend->release(backend, chain->memory.segment[r]);
    }
}

static const float *result(const struct chain *chain) {
    return fg_tensor_data(&chain->value[STEPS], &chain->memory);
}

/* Every value but the first is poisoned, so that a step that did not wait is seen. */
static void poison(const struct chain *chain) {
    for (uint32_t i = 1; i <= STEPS; i++) {
        memset(fg_tensor_data(&chain->value[i], &chain->memory), 0xff, fg_tensor_bytes(&chain->value[i]));
    }
}

static struct fg_backend *open_backend(uint32_t threads, uint32_t lanes) {
    struct fg_backend *backend = NULL;
    assert_int_equal(fg_cpu_open(threads, lanes, &backend, NULL), FG_OK);
    return backend;
}

static void lanes_keep_the_order_and_the_bits(void **state) {
    (void)state;
    const size_t bytes = sizeof(float) * SIDE * SIDE * CHANNELS;
    float *expected = malloc(bytes);
    assert_non_null(expected);
    for (uint32_t lanes = 1; lanes <= 3; lanes++) {
        struct fg_backend *backend = open_backend(2, lanes);
        struct chain chain;
        build(&chain, backend, lanes, true);
        for (int run = 0; run < 10; run++) {
            poison(&chain);
            assert_int_equal(fg_backend_run(backend, &chain.program, &chain.memory, NULL), FG_OK);
            if (lanes == 1 && run == 0) {
                memcpy(expected, result(&chain), bytes);
            }
            assert_memory_equal(result(&chain), expected, bytes);
        }
        release(&chain, backend);
        backend->close(backend);
    }
    free(expected);
}

static void prepared_weights_change_no_more_than_rounding(void **state) {
    (void)state;
    struct fg_backend *backend = open_backend(3, 1);
    struct chain frozen, trained;
    build(&frozen, backend, 1, true);
    build(&trained, backend, 1, false);
    assert_true(frozen.step[0].prepared_bytes > 0);
    assert_int_equal(fg_backend_run(backend, &frozen.program, &frozen.memory, NULL), FG_OK);
    assert_int_equal(fg_backend_run(backend, &trained.program, &trained.memory, NULL), FG_OK);
    float largest = 0, difference = 0;
    for (size_t i = 0; i < (size_t)SIDE * SIDE * CHANNELS; i++) {
        float b = result(&trained)[i], error = fabsf(result(&frozen)[i] - b);
        largest = fabsf(b) > largest ? fabsf(b) : largest;
        difference = error > difference ? error : difference;
    }
    assert_true(largest > 0 && difference < 1e-4f * largest);
    release(&frozen, backend);
    release(&trained, backend);
    backend->close(backend);
}

static void one_run_at_a_time_and_deadlines(void **state) {
    (void)state;
    struct fg_backend *backend = open_backend(2, 2);
    struct chain chain;
    build(&chain, backend, 2, true);
    assert_int_equal(backend->poll(backend, INT64_MAX, NULL), FG_OK); /* there was none */
    struct fg_message message;
    for (int run = 0; run < 20; run++) {
        poison(&chain);
        assert_int_equal(backend->submit(backend, &chain.program, &chain.memory, &message), FG_OK);
        enum fg_status second = backend->submit(backend, &chain.program, &chain.memory, &message);
        assert_true(second == FG_TIMEOUT || second == FG_OK); /* OK: the first had ended */
        enum fg_status status;
        do {
            status = backend->poll(backend, run % 2 ? 0 : fg_clock_ns() + FG_MS, &message);
        } while (status == FG_TIMEOUT);
        assert_int_equal(status, FG_OK);
        assert_true(result(&chain)[0] == result(&chain)[0]);
    }
    /* A deadline that has passed is answered at once, whatever runs. */
    assert_int_equal(backend->submit(backend, &chain.program, &chain.memory, &message), FG_OK);
    enum fg_status status = backend->poll(backend, 1, &message);
    assert_true(status == FG_TIMEOUT || status == FG_OK);
    backend->close(backend); /* waits for the run */
    for (int r = 0; r < FG_SEGMENTS; r++) {
        free(chain.memory.segment[r]);
    }
}

static void refusals(void **state) {
    (void)state;
    struct fg_backend *backend = NULL;
    struct fg_message message;
    assert_int_equal(fg_cpu_open(0, 1, &backend, &message), FG_USAGE);
    assert_int_equal(fg_cpu_open(65, 1, &backend, &message), FG_USAGE);
    assert_int_equal(fg_cpu_open(1, 0, &backend, &message), FG_USAGE);
    assert_int_equal(fg_cpu_open(1, FG_MAX_LANES + 1, &backend, &message), FG_USAGE);
    backend = open_backend(1, 1);
    struct fg_program program = {.lanes = 2};
    struct fg_memory memory = {{NULL}};
    assert_int_equal(backend->submit(backend, &program, &memory, &message), FG_USAGE);
    void *block = NULL;
    assert_int_equal(backend->reserve(backend, FG_STORE_DEVICE, SIZE_MAX, &block, &message), FG_ENVIRONMENT);
    assert_null(block);
    assert_true(backend->device.name[0] != 0 && backend->device.threads == 1 && backend->device.host_memory);
    backend->close(backend);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_keep_the_order_and_the_bits),
        cmocka_unit_test(prepared_weights_change_no_more_than_rounding),
        cmocka_unit_test(one_run_at_a_time_and_deadlines),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
