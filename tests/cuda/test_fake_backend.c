/* The CUDA backend over the fake device: convolutions against the reference, the engines that may and may not be used,
 * memory, a step of training. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/half.h"
#include "tests/cuda/fake.h"
#include "tests/cuda/judged.h"
#include "tests/reference/bench.h"
#include "tests/reference/cases.h"
#include "trainer/graph.h"

#define HALF_BOUND 5e-3
#define TF32_BOUND 1e-3
#define TRAINING_BATCH 2

static struct fg_message message;

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s (last refusal: %s)", message.text, fg_fake_refusal());
}

/* ---- A backend for the bench, whose memory is the host's ---- */

/* Copies the bench's block to the device before a run and back behind it; scratch is as large as was asked for. */
struct shadow {
    struct fg_backend base; /* first: the table's functions are given it */
    struct fg_kernel kernel[FG_OPERATORS];
    struct fg_backend *cuda;
};

static struct fg_backend *inner(const struct fg_backend *backend) {
    return ((const struct shadow *)backend)->cuda;
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    return inner(backend)->kernel[step->op].supports(inner(backend), step);
}

static size_t workspace(const struct fg_backend *backend, const struct fg_step *step) {
    return inner(backend)->kernel[step->op].workspace(inner(backend), step);
}

static enum fg_status prepare(struct fg_backend *backend, const struct fg_program *program,
                              const struct fg_memory *memory, struct fg_message *why) {
    (void)backend;
    (void)program;
    (void)memory;
    (void)why;
    return FG_OK;
}

static enum fg_status submit(struct fg_backend *backend, const struct fg_program *program,
                             const struct fg_memory *memory, struct fg_message *why) {
    struct fg_backend *cuda = inner(backend);
    void *block = NULL, *scratch = NULL;
    ok(cuda->reserve(cuda, FG_STORE_DEVICE, FG_BENCH_BYTES, &block, why));
    ok(cuda->reserve(cuda, FG_STORE_DEVICE, program->step[0].workspace_bytes, &scratch, why));
    struct fg_memory device;
    for (int r = 0; r < FG_REGIONS; r++)
        device.region[r] = r == FG_REGION_WORKSPACE ? scratch : block;
    void *host = memory->region[FG_REGION_ACTIVATIONS];
    ok(cuda->upload(cuda, block, host, FG_BENCH_BYTES, why));
    ok(cuda->prepare(cuda, program, &device, why));
    /* Measuring has run the step, on what it is to be given. */
    ok(cuda->upload(cuda, block, host, FG_BENCH_BYTES, why));
    ok(fg_backend_run(cuda, program, &device, why));
    ok(cuda->download(cuda, host, block, FG_BENCH_BYTES, why));
    cuda->forget(cuda, program);
    cuda->release(cuda, scratch);
    cuda->release(cuda, block);
    return FG_OK;
}

static enum fg_status poll(struct fg_backend *backend, int64_t deadline_ns, struct fg_message *why) {
    (void)backend;
    (void)deadline_ns;
    (void)why;
    return FG_OK;
}

static struct shadow shadows[3];
static struct fg_cases cases = {.direct = 1e-5, .winograd = 3e-5, .backward = 1e-4};

static void open_shadow(struct shadow *s, size_t bytes, bool exact, int64_t tune_ns) {
    const struct fg_cuda_settings settings = {
        .lanes = 1, .workspace = bytes, .exact = exact, .tune_ns = tune_ns};
    ok(fg_cuda_open(&settings, &s->cuda, &message));
    s->base = *s->cuda;
    for (int op = 0; op < FG_OPERATORS; op++)
        s->kernel[op] = (struct fg_kernel){.supports = supports, .workspace = workspace};
    s->base.kernel = s->kernel;
    s->base.prepare = prepare;
    s->base.submit = submit;
    s->base.poll = poll;
}

static int open_backends(void **state) {
    (void)state;
    fg_fake_seed(1);
    open_shadow(&shadows[0], 0, true, FG_JUDGED_TUNE);
    open_shadow(&shadows[1], 4096, true, FG_JUDGED_TUNE);
    open_shadow(&shadows[2], (size_t)1 << 20, true, 0);
    for (int i = 0; i < 3; i++)
        cases.backend[i] = &shadows[i].base;
    fg_cases_open(&cases);
    return 0;
}

static int close_backends(void **state) {
    (void)state;
    fg_cases_print();
    for (int i = 0; i < 3; i++)
        shadows[i].cuda->close(shadows[i].cuda);
    fg_judged_nothing_left();
    return 0;
}

/* ---- Lower precision ---- */

static struct fg_bench bench;

/* A float32 tensor's values, rounded, as a new float16 tensor; its own values become the rounded ones. */
static const struct fg_tensor *halved(const struct fg_tensor *t, struct fg_tensor *half) {
    if (!t)
        return NULL;
    *half = *fg_bench_bytes(&bench, t->n, t->h, t->w, 2 * t->c);
    half->dtype = FG_F16;
    half->c = t->c;
    float *from = fg_bench_narrow(&bench, t);
    uint16_t *to = fg_bench_narrow(&bench, half);
    for (size_t i = 0; i < fg_tensor_count(t); i++) {
        to[i] = fg_float_to_half(from[i]);
        from[i] = fg_half_to_float(to[i]);
    }
    return half;
}

static void check(const char *name, const struct fg_step *step, struct fg_backend *backend, double bound) {
    struct fg_step planned = *step;
    assert_true(supports(backend, step));
    planned.workspace_bytes = workspace(backend, step);
    const struct fg_program program = {.step = &planned, .steps = 1, .lanes = 1};
    ok(submit(backend, &program, &bench.narrow_memory, &message));
    const struct fg_tensor *out = step->out[0];
    const void *values = fg_bench_narrow(&bench, out);
    const double *expected =
        fg_bench_wide(&bench, &bench.narrow[out->dtype == FG_F16 ? 0 : out - bench.narrow]);
    double error = 0, largest = 0;
    for (size_t i = 0; i < fg_tensor_count(out); i++) {
        const float value = out->dtype == FG_F16 ? fg_half_to_float(((const uint16_t *)values)[i])
                                                 : ((const float *)values)[i];
        error = fmax(error, fabs((double)value - expected[i]));
        largest = fmax(largest, fabs(expected[i]));
    }
    if (!(error <= bound * largest))
        fail_msg("%s: error %g of %g", name, error, largest);
}

static void test_halves(void **state) {
    (void)state;
    for (uint32_t r = 0; r < 24; r++) {
        fg_bench_open(&bench, 100 + r);
        const bool conv = r % 3;
        const int32_t h = fg_bench_pick(&bench, 1, 9), w = fg_bench_pick(&bench, 1, 9),
                      c = 2 * fg_bench_pick(&bench, 1, 8), oc = 2 * fg_bench_pick(&bench, 1, 8),
                      stride = 1 + (int32_t)r % 2, groups = 1 + (int32_t)r / 2 % 2;
        const int32_t out_h = conv ? (h - 1) / stride + 1 : 2 * h,
                      out_w = conv ? (w - 1) / stride + 1 : 2 * w;
        struct fg_step step = {.op = conv ? FG_CONV : FG_DECONV, .relu = r % 5 > 2};
        if (conv) {
            step.stride = stride;
            step.groups = groups;
        }
        step.out[0] = fg_bench_empty(&bench, 2, out_h, out_w, oc); /* first: check looks for it there */
        step.in[0] = fg_bench_values(&bench, 2, h, w, c, -1, 1);
        step.param[0] = conv ? fg_bench_values(&bench, oc, 3, 3, c / groups, -1, 1)
                             : fg_bench_values(&bench, c, 2, 2, oc, -1, 1);
        step.param[1] = r % 4 ? fg_bench_values(&bench, 1, 1, 1, oc, -1, 1) : NULL;
        step.in[1] = conv && r % 4 > 1 ? fg_bench_values(&bench, 2, out_h, out_w, oc, -1, 1) : NULL;
        struct fg_step halves = step;
        struct fg_tensor tensor[4];
        halves.in[0] = halved(step.in[0], &tensor[0]);
        halves.in[1] = halved(step.in[1], &tensor[1]);
        halves.param[0] = halved(step.param[0], &tensor[2]);
        halves.out[0] = halved(step.out[0], &tensor[3]);
        fg_bench_widen(&bench);
        fg_bench_run_reference(&bench, &step);
        check("float16", &halves, cases.backend[r % 3], HALF_BOUND);
        fg_bench_close(&bench);
    }
}

static void test_tf32(void **state) {
    (void)state;
    struct shadow fast;
    open_shadow(&fast, 65536, false, FG_JUDGED_TUNE);
    const uint64_t before = fg_fake_runs(FG_FAKE_TENSOR);
    fg_bench_open(&bench, 7);
    struct fg_step step = {.op = FG_CONV, .stride = 1, .groups = 1};
    step.out[0] = fg_bench_empty(&bench, 1, 9, 9, 8);
    step.in[0] = fg_bench_values(&bench, 1, 9, 9, 8, -1, 1);
    step.param[0] = fg_bench_values(&bench, 8, 3, 3, 8, -1, 1);
    fg_bench_widen(&bench);
    fg_bench_run_reference(&bench, &step);
    check("TF32", &step, &fast.base, TF32_BOUND);
    fg_bench_close(&bench);
    fast.cuda->close(fast.cuda);
    assert_true(fg_fake_runs(FG_FAKE_TENSOR) > before);
}

/* ---- Engines ---- */

/* Engines that need more than is allowed, that give other bits each time, or that round products, were never run by what
 * came before; those that may run were chosen by how long they take. */
static void test_engines(void **state) {
    (void)state;
    for (int e = FG_FAKE_GREEDY; e <= FG_FAKE_REFUSES; e++)
        assert_int_equal(fg_fake_runs((enum fg_fake_engine)e), 0);
    assert_true(fg_fake_runs(FG_FAKE_SLOW) > 0 && fg_fake_runs(FG_FAKE_PLAIN) > 0);
    const struct {
        size_t workspace;
        enum fg_fake_engine fastest;
        bool exact;
    } expected[] = {{4095, FG_FAKE_SLOW, true},
                    {4096, FG_FAKE_PLAIN, true},
                    {1 << 20, FG_FAKE_PLAIN, true},
                    {65535, FG_FAKE_PLAIN, false},
                    {65536, FG_FAKE_TENSOR, false}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        struct shadow s;
        open_shadow(&s, expected[i].workspace, expected[i].exact, FG_JUDGED_TUNE);
        fg_bench_open(&bench, i);
        struct fg_step step = {.op = FG_CONV, .stride = 1, .groups = 1};
        step.in[0] = fg_bench_values(&bench, 1, 4, 4, 4, -1, 1);
        step.param[0] = fg_bench_values(&bench, 4, 1, 1, 4, -1, 1);
        step.out[0] = fg_bench_empty(&bench, 1, 4, 4, 4);
        step.workspace_bytes = workspace(&s.base, &step);
        const struct fg_program program = {.step = &step, .steps = 1, .lanes = 1};
        uint64_t before[FG_FAKE_ENGINES];
        for (int e = 0; e < FG_FAKE_ENGINES; e++)
            before[e] = fg_fake_runs((enum fg_fake_engine)e);
        ok(submit(&s.base, &program, &bench.narrow_memory, &message));
        for (int e = 0; e < FG_FAKE_ENGINES;
             e++) { /* what is measured runs six times, what is chosen once more */
            const uint64_t runs = fg_fake_runs((enum fg_fake_engine)e) - before[e];
            assert_true(runs == 0 || runs == 6 || runs == 7);
            assert_int_equal(runs == 7, e == (int)expected[i].fastest);
        }
        fg_bench_close(&bench);
        s.cuda->close(s.cuda);
    }
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
        struct fg_tensor x = {FG_F32, 1, 4, 4, 4, FG_REGION_ACTIVATIONS, 0}, zero = x, y = x;
        zero.offset = 1024;
        y.c = 8;
        y.offset = 2048;
        struct fg_step step = {.op = FG_CONCAT, .in = {&x, &zero}, .out = {&y}};
        const struct fg_program program = {.step = &step, .steps = 1, .lanes = 1};
        struct fg_memory memory = {.region = {[FG_REGION_ACTIVATIONS] = block}};
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

/* ---- Training ---- */

static struct fg_network network;
static struct fg_weights weights;

/* One step of the trainer: its gradients, which are the caller's to free. */
static float *train(struct fg_backend *backend) {
    const struct fg_recipe recipe = {.mask_rate = 0.4f};
    struct fg_graph graph;
    struct fg_memory memory = {{NULL}};
    ok(fg_graph_training(&graph, &weights, &recipe, backend, TRAINING_BATCH, &message));
    for (int r = 0; r < FG_REGIONS; r++) {
        size_t bytes = graph.program->bytes[r];
        if (r == FG_REGION_GRADIENTS)
            bytes = weights.trained;
        if (r == FG_REGION_TRAINED)
            bytes = weights.bytes;
        if (bytes)
            ok(backend->reserve(backend, r == FG_REGION_IO ? FG_STORE_HOST : FG_STORE_DEVICE, bytes,
                                &memory.region[r], &message));
    }
    ok(backend->upload(backend, memory.region[FG_REGION_TRAINED], weights.block, weights.bytes, &message));
    const size_t frozen_bytes = graph.program->bytes[FG_REGION_FROZEN];
    void *frozen = aligned_alloc(FG_ALIGNMENT, fg_size_align(frozen_bytes));
    fg_weights_fold(&weights, graph.frozen, FG_TEACHER, frozen);
    ok(backend->upload(backend, memory.region[FG_REGION_FROZEN], frozen, frozen_bytes, &message));
    free(frozen);
    uint8_t *picture = fg_tensor_data(graph.picture, &memory);
    uint32_t noise = 5;
    for (size_t i = 0; i < fg_tensor_bytes(graph.picture); i++) {
        noise = noise * 1664525u + 1013904223u;
        picture[i] = (uint8_t)(noise >> 24);
    }
    *(struct fg_draw *)fg_tensor_data(graph.draw, &memory) =
        (struct fg_draw){.seed = 3, .epoch = 1, .image = {4, 5}};
    ok(backend->prepare(backend, graph.program, &memory, &message));
    ok(fg_backend_run(backend, graph.program, &memory, &message));
    float *gradients = malloc(weights.trained);
    ok(backend->download(backend, gradients, memory.region[FG_REGION_GRADIENTS], weights.trained, &message));
    backend->forget(backend, graph.program);
    for (int r = 0; r < FG_REGIONS; r++)
        if (memory.region[r])
            backend->release(backend, memory.region[r]);
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
            if (network.param[p].part == FG_TEACHER || t->offset >= weights.trained)
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fg_case_conv),  cmocka_unit_test(fg_case_deconv),
        cmocka_unit_test(test_halves),   cmocka_unit_test(test_engines),
        cmocka_unit_test(test_tf32),     cmocka_unit_test(test_memory_is_ready),
        cmocka_unit_test(test_training),
    };
    return cmocka_run_group_tests(tests, open_backends, close_backends);
}
