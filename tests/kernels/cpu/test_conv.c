/* Convolutions of drawn shapes: their bits depend neither on the number of threads nor on what the workspace
 * held. That they are right is test_operators' business. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/conv/conv.h"
#include "kernels/philox.h"

#define ROUNDS 150
#define BACKENDS 4

static const uint32_t threads[BACKENDS] = {1, 2, 3, 5};
static struct fg_backend *backends[BACKENDS];
static uint32_t drawn;

static int32_t pick(int32_t least, int32_t most) {
    return least + (int32_t)(fg_philox(1, drawn++, 0, 0, 0).word[0] % (uint32_t)(most - least + 1));
}

static void fill(float *to, size_t count) {
    for (size_t i = 0; i < count; i++)
        to[i] = fg_philox_uniform(fg_philox(2, (uint32_t)i, 0, 0, 0).word[0]) - 0.5f;
}

static void *take(size_t bytes) {
    void *memory = aligned_alloc(FG_ALIGNMENT, fg_size_align(bytes + 1));
    assert_non_null(memory);
    memset(memory, 0xff, bytes); /* as floats these are no numbers */
    return memory;
}

/* Runs the step on a backend; the caller gives the memory back, with the output in it. */
static struct fg_memory run(struct fg_backend *backend, struct fg_step step) {
    const struct fg_kernel *kernel = &backend->kernel[FG_CONV];
    const bool frozen = step.param[0]->segment == FG_SEGMENT_FROZEN;
    step.prepared_bytes = frozen ? kernel->prepared(backend, &step) : 0;
    step.workspace_bytes = kernel->workspace(backend, &step);
    const struct fg_memory memory = {
        .segment = {[FG_SEGMENT_IO] = take(fg_tensor_bytes(step.in[0])),
                    [FG_SEGMENT_FROZEN] = take(fg_tensor_bytes(step.param[0])),
                    [FG_SEGMENT_TRAINED] = take(fg_tensor_bytes(step.param[0])),
                    [FG_SEGMENT_PREPARED] = take(step.prepared_bytes),
                    [FG_SEGMENT_WORKSPACE] = take(step.workspace_bytes),
                    [FG_SEGMENT_ACTIVATIONS] = take(fg_tensor_bytes(step.out[0]))}};
    fill(fg_tensor_data(step.in[0], &memory), fg_tensor_count(step.in[0]));
    fill(fg_tensor_data(step.param[0], &memory), fg_tensor_count(step.param[0]));
    assert_true(kernel->supports(backend, &step));
    if (step.prepared_bytes > 0)
        assert_int_equal(kernel->prepare(backend, &step, &memory, NULL), FG_OK);
    assert_int_equal(kernel->forward(backend, &step, &memory, NULL), FG_OK);
    return memory;
}

static void give(const struct fg_memory *memory) {
    for (int i = 0; i < FG_SEGMENTS; i++)
        free(memory->segment[i]);
}

static void test_threads(void **state) {
    (void)state;
    const int32_t kernels[] = {1, 3, 3, 7};
    size_t tiled[5] = {0}; /* by Winograd's side; 0: directly */
    for (int r = 0; r < ROUNDS; r++) {
        const bool small = r % 5 == 0; /* a shape that is often worth Winograd's smaller tiles */
        const int32_t kernel = small ? 3 : kernels[pick(0, 3)], stride = small ? 1 : pick(1, 2),
                      groups = pick(1, 2), n = small ? 1 : pick(1, 2),
                      h = pick(small ? 8 : 1, small ? 10 : 40), w = pick(small ? 8 : 1, small ? 10 : 40),
                      c = groups * (small ? pick(30, 50) : pick(1, r % 2 ? 40 : 4)),
                      oc = groups * (small ? pick(30, 70) : pick(1, 70));
        const enum fg_segment place = r % 3 ? FG_SEGMENT_FROZEN : FG_SEGMENT_TRAINED;
        const struct fg_tensor
            x = {.dtype = FG_F32, .n = n, .h = h, .w = w, .c = c, .segment = FG_SEGMENT_IO},
            weight = {.dtype = FG_F32, .n = oc, .h = kernel, .w = kernel, .c = c / groups, .segment = place},
            out = {.dtype = FG_F32,
                   .n = n,
                   .h = (h - 1) / stride + 1,
                   .w = (w - 1) / stride + 1,
                   .c = oc,
                   .segment = FG_SEGMENT_ACTIVATIONS};
        const struct fg_step step = {.op = FG_CONV,
                                     .stride = stride,
                                     .groups = groups,
                                     .relu = true,
                                     .in = {&x},
                                     .param = {&weight},
                                     .out = {&out}};
        const struct fg_conv_shape shape = fg_conv_shape(&step);
        tiled[fg_conv_winograd(&shape, place == FG_SEGMENT_FROZEN)]++;
        const struct fg_memory first = run(backends[0], step);
        const float *values = fg_tensor_data(&out, &first);
        for (size_t i = 0; i < fg_tensor_count(&out); i++)
            assert_true(isfinite(values[i]));
        for (int b = 1; b < BACKENDS; b++) {
            const struct fg_memory other = run(backends[b], step);
            if (memcmp(fg_tensor_data(&out, &first), fg_tensor_data(&out, &other), fg_tensor_bytes(&out)) !=
                0)
                fail_msg("%dx%d by %d, stride %d, %d groups, {%d, %d, %d, %d}: %u threads give other bits",
                         kernel, kernel, oc, stride, groups, n, h, w, c, threads[b]);
            give(&other);
        }
        give(&first);
    }
    for (size_t side = 0; side <= 4; side += 2) /* all ways were taken */
        assert_in_range(tiled[side], ROUNDS / 20, ROUNDS);
}

static int open_backends(void **state) {
    (void)state;
    for (int b = 0; b < BACKENDS; b++)
        if (fg_cpu_open(threads[b], 1, &backends[b], NULL) != FG_OK)
            return -1;
    return 0;
}

static int close_backends(void **state) {
    (void)state;
    for (int b = 0; b < BACKENDS; b++)
        backends[b]->close(backends[b]);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, open_backends, close_backends);
}
