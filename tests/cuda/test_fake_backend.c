/* The CUDA backend over the fake device: convolutions against the reference, the engines that may and may not
 * be used, memory, a step of training. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuda/fake.h"
#include "tests/cuda/judged.h"
#include "tests/reference/bench.h"
#include "tests/reference/cases.h"
#include "trainer/loop/graph.h"

#define TRAINING_BATCH 2

static struct fg_message message;

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s (last refusal: %s)", message.text, fg_fake_refusal());
}

/* ---- Operators ---- */

static struct fg_cases cases = {.direct = 1e-5, .winograd = 3e-5, .backward = 1e-4};

static struct fg_backend *open_cuda(size_t workspace, bool exact, int64_t tune_ns) {
    const struct fg_cuda_settings settings = {
        .lanes = 1, .workspace = workspace, .exact = exact, .tune_ns = tune_ns};
    struct fg_backend *cuda;
    ok(fg_cuda_open(&settings, &cuda, &message));
    return cuda;
}

static int open_backends(void **state) {
    (void)state;
    fg_fake_seed(1);
    cases.backend[0] = open_cuda(0, true, FG_JUDGED_TUNE);
    cases.backend[1] = open_cuda(4096, true, FG_JUDGED_TUNE);
    cases.backend[2] = open_cuda((size_t)1 << 20, true, 0);
    fg_cases_open(&cases);
    return 0;
}

static int open_halves(void **state) {
    cases.half = 5e-3;
    return open_backends(state);
}

static uint64_t tensor_runs;

static int open_fast(void **state) {
    (void)state;
    cases = (struct fg_cases){.direct = 1e-3, .winograd = 1e-3, .backward = 5e-3};
    fg_fake_seed(1);
    for (int i = 0; i < 3; i++)
        cases.backend[i] = open_cuda(65536, false, FG_JUDGED_TUNE);
    fg_cases_open(&cases);
    tensor_runs = fg_fake_runs(FG_FAKE_TENSOR);
    return 0;
}

static int close_backends(void **state) {
    (void)state;
    fg_cases_print();
    for (int i = 0; i < 3; i++)
        cases.backend[i]->close(cases.backend[i]);
    fg_judged_nothing_left();
    return 0;
}

static void test_fast_was_taken(void **state) {
    (void)state;
    assert_true(fg_fake_runs(FG_FAKE_TENSOR) > tensor_runs);
}

/* ---- Engines ---- */

/* What is measured runs once, and five times in each of three launches; what may be taken to judge, in
 * float16, is then probed by NaN and by an overflow. */
#define MEASURED (1 + 3 * 5)
#define PROBED 2

/* Runs of each engine for one convolution: of choosing it and of computing it. */
static void count_runs(size_t workspace, bool exact, bool half, int64_t tune_ns,
                       uint64_t runs[FG_FAKE_ENGINES]) {
    struct fg_backend *cuda = open_cuda(workspace, exact, tune_ns);
    struct fg_bench bench;
    fg_bench_open(&bench, workspace);
    struct fg_step step = {.op = FG_CONV, .stride = 1, .groups = 1};
    step.in[0] = fg_bench_values(&bench, 1, 4, 4, 4, -1, 1);
    step.param[0] = fg_bench_values(&bench, 4, 1, 1, 4, -1, 1);
    step.out[0] = fg_bench_empty(&bench, 1, 4, 4, 4);
    if (half) {
        step.in[0] = fg_bench_half(&bench, step.in[0]);
        step.param[0] = fg_bench_half(&bench, step.param[0]);
        step.out[0] = fg_bench_empty_half(&bench, 1, 4, 4, 4);
    }
    for (int e = 0; e < FG_FAKE_ENGINES; e++)
        runs[e] = fg_fake_runs((enum fg_fake_engine)e);
    fg_bench_run(&bench, cuda, &step);
    for (int e = 0; e < FG_FAKE_ENGINES; e++)
        runs[e] = fg_fake_runs((enum fg_fake_engine)e) - runs[e];
    fg_bench_close(&bench);
    cuda->close(cuda);
}

/* Engines that need more than is allowed, that give other bits each time, or that round products, were never
 * run by what came before; those that may run were chosen by how long they take, but none that makes a number
 * of what is none. */
static void test_engines(void **state) {
    (void)state;
    for (int e = FG_FAKE_GREEDY; e <= FG_FAKE_REFUSES; e++)
        assert_int_equal(fg_fake_runs((enum fg_fake_engine)e), 0);
    assert_true(fg_fake_runs(FG_FAKE_SLOW) > 0 && fg_fake_runs(FG_FAKE_PLAIN) > 0);
    const struct {
        size_t workspace;
        enum fg_fake_engine fastest;
        bool exact, half;
    } expected[] = {{4095, FG_FAKE_SLOW, true, false},     {4096, FG_FAKE_PLAIN, true, false},
                    {1 << 20, FG_FAKE_PLAIN, true, false}, {65535, FG_FAKE_PLAIN, false, false},
                    {65536, FG_FAKE_TENSOR, false, false}, {4095, FG_FAKE_SLOW, true, true},
                    {65535, FG_FAKE_PLAIN, true, true},    {65536, FG_FAKE_TENSOR, true, true}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        uint64_t runs[FG_FAKE_ENGINES];
        const bool half = expected[i].half;
        count_runs(expected[i].workspace, expected[i].exact, half, FG_JUDGED_TUNE, runs);
        assert_int_equal(runs[FG_FAKE_DROPS], half ? MEASURED + 1 : 0); /* the first probe is enough */
        assert_int_equal(runs[FG_FAKE_SATURATES], half ? MEASURED + PROBED : 0);
        assert_int_equal(runs[FG_FAKE_COPIES], 1); /* then recorded, and not launched */
        for (int e = FG_FAKE_TENSOR; e < FG_FAKE_ENGINES; e++)
            if (e == (int)expected[i].fastest)
                assert_int_equal(runs[e], MEASURED + (half ? PROBED : 0) + 1);
            else
                assert_true(runs[e] == 0 || runs[e] == MEASURED);
    }
}

/* Without time only the first that works is measured, and taken. */
static void test_hurry(void **state) {
    (void)state;
    uint64_t runs[FG_FAKE_ENGINES];
    count_runs(65536, false, false, 0, runs);
    assert_int_equal(runs[FG_FAKE_TENSOR], MEASURED + 1);
    count_runs(65536, false, true, 0, runs);
    assert_int_equal(runs[FG_FAKE_TENSOR], MEASURED + PROBED + 1);
    assert_int_equal(runs[FG_FAKE_PLAIN], 0);
}

/* ---- Memory ---- */

/* New memory is zero, and what was uploaded is there, for work that waits for neither. */
static void test_memory_is_ready(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        fg_fake_seed(seed);
        struct fg_backend *cuda = fg_judged_cuda(1, 0, NULL);
        void *block = NULL;
        ok(cuda->reserve(cuda, FG_STORE_DEVICE, 4096, &block, &message));
        float picture[64], result[128];
        for (int i = 0; i < 64; i++)
            picture[i] = (float)i;
        struct fg_tensor x = {.dtype = FG_F32,
                              .n = 1,
                              .h = 4,
                              .w = 4,
                              .c = 4,
                              .segment = FG_SEGMENT_ACTIVATIONS},
                         zero = x, y = x;
        zero.offset = 1024;
        y.c = 8;
        y.offset = 2048;
        struct fg_step step = {.op = FG_CONCAT, .in = {&x, &zero}, .out = {&y}};
        const struct fg_program program = {.step = &step, .steps = 1, .lanes = 1};
        struct fg_memory memory = {.segment = {[FG_SEGMENT_ACTIVATIONS] = block}};
        ok(cuda->prepare(cuda, &program, &memory, &message));
        ok(cuda->upload(cuda, block, picture, sizeof picture, &message));
        ok(fg_backend_run(cuda, &program, &memory, &message));
        ok(cuda->download(cuda, result, (char *)block + y.offset, sizeof result, &message));
        for (int i = 0; i < 64; i++) {
            assert_true(result[i / 4 * 8 + i % 4] == picture[i]);
            assert_true(result[i / 4 * 8 + 4 + i % 4] == 0);
        }
        cuda->release(cuda, block);
        cuda->close(cuda);
    }
}

/* A graph with more copies than the frame's would be aimed wrong: it is refused. */
static void test_one_copy(void **state) {
    (void)state;
    struct fg_backend *cuda = fg_judged_cuda(1, 0, NULL);
    void *block = NULL, *scratch = NULL, *frame = NULL;
    ok(cuda->reserve(cuda, FG_STORE_DEVICE, 4096, &block, &message));
    ok(cuda->reserve(cuda, FG_STORE_DEVICE, (size_t)1 << 20, &scratch, &message));
    ok(cuda->reserve(cuda, FG_STORE_HOST, 4096, &frame, &message));
    const struct fg_tensor x = {.dtype = FG_U8, .n = 1, .h = 8, .w = 8, .c = 3, .segment = FG_SEGMENT_FRAME},
                           y = {.dtype = FG_U8,
                                .n = 1,
                                .h = 4,
                                .w = 4,
                                .c = 3,
                                .segment = FG_SEGMENT_ACTIVATIONS};
    struct fg_step step[2];
    for (int i = 0; i < 2; i++)
        step[i] = (struct fg_step){.op = FG_RESIZE, .pitch = 24, .format = FG_RGB8, .in = {&x}, .out = {&y}};
    const struct fg_memory memory = {
        .segment = {
            [FG_SEGMENT_ACTIVATIONS] = block, [FG_SEGMENT_WORKSPACE] = scratch, [FG_SEGMENT_FRAME] = frame}};
    for (uint32_t steps = 1; steps <= 2; steps++) {
        const struct fg_program program = {.step = step, .steps = steps, .lanes = 1};
        ok(cuda->prepare(cuda, &program, &memory, &message));
        ok(fg_backend_run(cuda, &program, &memory, &message));
        const enum fg_status status = fg_backend_run(cuda, &program, &memory, &message);
        assert_int_equal(status, steps == 1 ? FG_OK : FG_ENVIRONMENT);
        cuda->forget(cuda, &program);
    }
    assert_non_null(strstr(message.text, "2 copies"));
    cuda->close(cuda);
}

/* ---- Training ---- */

static struct fg_network network;
static struct fg_weights weights;

/* One step of the trainer: its gradients, which are the caller's to free. */
static float *train(struct fg_backend *backend) {
    const struct fg_recipe recipe = {.mask_rate = 0.4f};
    struct fg_graph graph;
    struct fg_memory memory = {{NULL}};
    ok(fg_graph_training(&graph, &weights, &recipe, backend, NULL, TRAINING_BATCH, TRAINING_BATCH, &message));
    for (int r = 0; r < FG_SEGMENTS; r++) {
        size_t bytes = graph.program->bytes[r];
        if (r == FG_SEGMENT_GRADIENTS)
            bytes = weights.trained;
        if (r == FG_SEGMENT_TRAINED)
            bytes = weights.bytes;
        if (bytes)
            ok(backend->reserve(
                backend, r == FG_SEGMENT_IO || r == FG_SEGMENT_PICTURES ? FG_STORE_HOST : FG_STORE_DEVICE,
                bytes, &memory.segment[r], &message));
    }
    ok(backend->upload(backend, memory.segment[FG_SEGMENT_TRAINED], weights.block, weights.bytes, &message));
    const size_t frozen_bytes = graph.program->bytes[FG_SEGMENT_FROZEN];
    void *frozen = aligned_alloc(FG_ALIGNMENT, fg_size_align(frozen_bytes));
    fg_weights_fold(&weights, graph.frozen, FG_TEACHER, frozen);
    ok(backend->upload(backend, memory.segment[FG_SEGMENT_FROZEN], frozen, frozen_bytes, &message));
    free(frozen);
    uint8_t *picture = fg_tensor_data(graph.pictures, &memory);
    uint32_t noise = 5;
    for (size_t i = 0; i < fg_tensor_bytes(graph.pictures); i++) {
        noise = noise * 1664525u + 1013904223u;
        picture[i] = (uint8_t)(noise >> 24);
    }
    *(struct fg_draw *)fg_tensor_data(graph.draw, &memory) =
        (struct fg_draw){.seed = 3, .epoch = 1, .image = {1, 0}};
    ok(backend->prepare(backend, graph.program, &memory, &message));
    ok(fg_backend_run(backend, graph.program, &memory, &message));
    float *gradients = malloc(weights.trained);
    ok(backend->download(backend, gradients, memory.segment[FG_SEGMENT_GRADIENTS], weights.trained,
                         &message));
    backend->forget(backend, graph.program);
    for (int r = 0; r < FG_SEGMENTS; r++)
        if (memory.segment[r])
            backend->release(backend, memory.segment[r]);
    fg_graph_close(&graph);
    return gradients;
}

static void test_training(void **state) {
    (void)state;
    const struct fg_network_spec spec = {.backbone = FG_RESNET18,
                                         .height = 64,
                                         .width = 64,
                                         .base = 4,
                                         .scconv = true,
                                         .simam = true,
                                         .fmm = true,
                                         .soft_gate = true,
                                         .levels = 7};
    ok(fg_network_init(&network, &spec, &message));
    ok(fg_weights_open(&weights, &network, &message));
    fg_weights_draw(&weights, 11, true);
    struct fg_backend *cpu = NULL;
    ok(fg_cpu_open(1, 1, &cpu, &message));
    float *expected = train(cpu);
    for (uint64_t seed = 0; seed < 2; seed++) {
        fg_fake_seed(seed);
        struct fg_backend *cuda = fg_judged_cuda(seed ? 3 : 1, seed ? FG_JUDGED_TUNE : 0, NULL);
        float *gradients = train(cuda);
        double worst = 0;
        for (uint32_t p = 0; p < network.params; p++) {
            const struct fg_tensor *t = &weights.param[p];
            if (network.param[p].module == FG_TEACHER || t->offset >= weights.trained)
                continue;
            double error = 0, largest = 0;
            for (size_t i = t->offset / sizeof(float), k = 0; k < fg_tensor_count(t); i++, k++) {
                error = fmax(error, fabs((double)gradients[i] - (double)expected[i]));
                largest = fmax(largest, fabs((double)expected[i]));
                assert_true(isfinite(gradients[i]));
            }
            worst = fmax(worst, largest > 1e-7 ? error / largest : 0);
            if (error > 1e-2 * largest && largest > 1e-7)
                fail_msg("%s: gradient differs by %g of %g", network.param[p].name, error, largest);
        }
        print_message("gradients on %d lanes: largest difference %.1e\n", seed ? 3 : 1, worst);
        free(gradients);
        cuda->close(cuda);
    }
    free(expected);
    cpu->close(cpu);
    fg_weights_close(&weights);
}

int main(void) {
    const struct CMUnitTest exact[] = {
        cmocka_unit_test(fg_case_conv),         cmocka_unit_test(fg_case_deconv),
        cmocka_unit_test(test_engines),         cmocka_unit_test(test_hurry),
        cmocka_unit_test(test_memory_is_ready), cmocka_unit_test(test_one_copy),
        cmocka_unit_test(test_training),
    };
    const struct CMUnitTest halves[] = {cmocka_unit_test(fg_case_conv), cmocka_unit_test(fg_case_deconv)};
    const struct CMUnitTest fast[] = {cmocka_unit_test(fg_case_conv), cmocka_unit_test(fg_case_deconv),
                                      cmocka_unit_test(test_fast_was_taken)};
    return cmocka_run_group_tests(exact, open_backends, close_backends) +
           cmocka_run_group_tests(halves, open_halves, close_backends) +
           cmocka_run_group_tests(fast, open_fast, close_backends);
}
