/* The CUDA backend's own kernels on the CPU, against the reference: each with three orders of threads. Bounds are those
 * of the project for true float32. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/base/half.h"
#include "tests/cuda/emulated.h"
#include "tests/reference/bench.h"
#include "tests/reference/cases.h"
#include <math.h>

static struct fg_cases cases = {.direct = 1e-5, .winograd = 3e-5, .backward = 1e-4};

static struct fg_backend *cpu;
static struct fg_bench bench;

static int open_backends(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        if (fg_emulated_open(i, &cases.backend[i], NULL) != FG_OK)
            return -1;
    fg_cases_open(&cases);
    return 0;
}

static int close_backends(void **state) {
    (void)state;
    fg_cases_print();
    for (int i = 0; i < 3; i++)
        cases.backend[i]->close(cases.backend[i]);
    return 0;
}

/* Pictures to the byte, whatever their size, layout and format. */
static void resize_is_the_cpus(void **state) {
    (void)state;
    assert_int_equal(fg_cpu_open(1, 1, &cpu, NULL), FG_OK);
    for (uint32_t r = 0; r < 10 * FG_PIXEL_FORMATS; r++) {
        fg_bench_open(&bench, r);
        const enum fg_pixel_format format = (enum fg_pixel_format)(r % FG_PIXEL_FORMATS);
        int32_t n = fg_bench_pick(&bench, 1, 2), h = fg_bench_pick(&bench, 1, 40),
                w = fg_bench_pick(&bench, 1, 40);
        if (fg_pixel_lacks(format, w, h)) {
            w += w % 2;
            h += h % 2;
        }
        const int32_t out_h = r % 5 ? fg_bench_pick(&bench, 1, 40) : h,
                      out_w = r % 3 ? fg_bench_pick(&bench, 1, 40) : w;
        const size_t pitch = fg_pixel_row_bytes(format, w) + (size_t)fg_bench_pick(&bench, 0, 9);
        struct fg_step step = {.op = FG_RESIZE, .pitch = pitch, .format = format};
        const struct fg_tensor *bytes =
            fg_bench_bytes(&bench, n, 1, (int32_t)fg_pixel_frame_bytes(format, h, pitch), 1);
        uint8_t *values = fg_bench_narrow(&bench, bytes);
        /* 10 and 12 bits have their upper ones in every other byte. */
        const int32_t most_odd = format < FG_RGGB10 ? 255 : (1 << (fg_pixel_bayer_bits(format) - 8)) - 1;
        for (size_t i = 0; i < fg_tensor_bytes(bytes); i++)
            values[i] = (uint8_t)fg_bench_pick(&bench, 0, i % pitch % 2 ? most_odd : 255);
        struct fg_tensor frame = *bytes;
        frame.h = h;
        frame.w = w;
        frame.c = fg_pixel_channels(format);
        step.in[0] = &frame;
        step.out[0] = fg_bench_bytes(&bench, n, out_h, out_w, 3);
        uint8_t *out = fg_bench_narrow(&bench, step.out[0]), *expected = malloc(fg_tensor_bytes(step.out[0]));
        for (int b = 0; b < 2; b++) {
            struct fg_backend *backend = b ? cases.backend[r % 3] : cpu;
            const struct fg_kernel *kernel = &backend->kernel[FG_RESIZE];
            struct fg_memory memory = bench.narrow_memory;
            assert_true(kernel->supports(backend, &step));
            memory.region[FG_REGION_WORKSPACE] = malloc(kernel->workspace(backend, &step));
            const struct fg_program program = {.step = &step, .steps = 1, .lanes = 1};
            assert_int_equal(fg_backend_run(backend, &program, &memory, NULL), FG_OK);
            free(memory.region[FG_REGION_WORKSPACE]);
            if (!b)
                memcpy(expected, out, fg_tensor_bytes(step.out[0]));
        }
        assert_memory_equal(out, expected, fg_tensor_bytes(step.out[0]));
        free(expected);
        fg_bench_close(&bench);
    }
    cpu->close(cpu);
}

/* ---- float16, for inference: against the CPU on inputs rounded likewise ---- */

#define HALF_BOUND 5e-3

static const struct fg_tensor *halved(const struct fg_tensor *t, struct fg_tensor *half, size_t *offset) {
    if (!t || t->dtype != FG_F32)
        return t;
    *half = *t;
    half->dtype = FG_F16;
    half->region = FG_REGION_MOMENTS; /* which no operator here uses */
    half->offset = *offset;
    *offset += fg_size_align(fg_tensor_bytes(half));
    return half;
}

/* Outputs from the i-th on stay float32. */
static void hold_half(const char *name, struct fg_step step, int half_outs, uint32_t r) {
    struct fg_tensor tensors[FG_MAX_IN + FG_MAX_OUT];
    struct fg_step halves = step;
    size_t bytes = 0;
    for (int i = 0; i < FG_MAX_IN; i++)
        halves.in[i] = halved(step.in[i], &tensors[i], &bytes);
    for (int i = 0; i < half_outs; i++)
        halves.out[i] = halved(step.out[i], &tensors[FG_MAX_IN + i], &bytes);
    struct fg_memory memory = bench.narrow_memory;
    memory.region[FG_REGION_MOMENTS] = aligned_alloc(FG_ALIGNMENT, bytes);
    for (int i = 0; i < FG_MAX_IN; i++) {
        float *from = step.in[i] && step.in[i]->dtype == FG_F32 ? fg_bench_narrow(&bench, step.in[i]) : NULL;
        uint16_t *to = from ? fg_tensor_data(halves.in[i], &memory) : NULL;
        for (size_t k = 0; from && k < fg_tensor_count(step.in[i]); k++) {
            to[k] = fg_float_to_half(from[k]);
            from[k] = fg_half_to_float(to[k]);
        }
    }
    fg_bench_run(&bench, cpu, &step);
    float *expected[FG_MAX_OUT] = {NULL};
    for (int i = 0; i < FG_MAX_OUT; i++)
        if (step.out[i]) {
            expected[i] = malloc(fg_tensor_bytes(step.out[i]));
            memcpy(expected[i], fg_bench_narrow(&bench, step.out[i]), fg_tensor_bytes(step.out[i]));
        }
    struct fg_backend *backend = cases.backend[r % 3];
    const struct fg_kernel *kernel = &backend->kernel[step.op];
    assert_true(kernel->supports(backend, &halves));
    memory.region[FG_REGION_WORKSPACE] =
        malloc((kernel->workspace ? kernel->workspace(backend, &halves) : 0) + 1);
    const struct fg_program program = {.step = &halves, .steps = 1, .lanes = 1};
    assert_int_equal(fg_backend_run(backend, &program, &memory, NULL), FG_OK);
    for (int i = 0; i < FG_MAX_OUT && step.out[i]; i++) {
        double error = 0, largest = 0;
        for (size_t k = 0; k < fg_tensor_count(step.out[i]); k++) {
            const void *at = fg_tensor_data(halves.out[i], &memory);
            const float a =
                i < half_outs ? fg_half_to_float(((const uint16_t *)at)[k]) : ((const float *)at)[k];
            error = fmax(error, fabs((double)a - (double)expected[i][k]));
            largest = fmax(largest, fabs((double)expected[i][k]));
        }
        if (!(error <= HALF_BOUND * largest))
            fail_msg("%s in float16: error %g of %g, round %u", name, error, largest, r);
        free(expected[i]);
    }
    free(memory.region[FG_REGION_WORKSPACE]);
    free(memory.region[FG_REGION_MOMENTS]);
}

static void halves_are_near(void **state) {
    (void)state;
    assert_int_equal(fg_cpu_open(1, 1, &cpu, NULL), FG_OK);
    for (uint32_t r = 0; r < 12; r++) {
        fg_bench_open(&bench, 1000 + r);
        const int32_t n = fg_bench_pick(&bench, 1, 2), h = fg_bench_pick(&bench, 1, 9),
                      w = fg_bench_pick(&bench, 2, 9), q = 4 * fg_bench_pick(&bench, 1, 8);
        const struct fg_tensor *x = fg_bench_values(&bench, n, h, w, 4 * q, -1, 1),
                               *y = fg_bench_values(&bench, n, h, w, 4 * q, -1, 1);
        struct fg_step step = {.op = FG_MAX_POOL, .in = {x}};
        step.out[0] = fg_bench_empty(&bench, n, (h + 1) / 2, (w + 1) / 2, 4 * q);
        hold_half("max pool", step, 1, r);
        step =
            (struct fg_step){.op = FG_CONCAT, .in = {x, y}, .out = {fg_bench_empty(&bench, n, h, w, 8 * q)}};
        hold_half("concat", step, 1, r);
        step = (struct fg_step){.op = FG_SIMAM, .in = {x}, .out = {fg_bench_empty(&bench, n, h, w, 4 * q)}};
        hold_half("simam", step, 1, r);
        step = (struct fg_step){.op = FG_COSINE, .in = {x, y}, .out = {fg_bench_empty(&bench, n, h, w, 1)}};
        hold_half("cosine", step, 0, r);
        step = (struct fg_step){.op = FG_CRU, .in = {x}, .out = {fg_bench_empty(&bench, n, h, w, 4 * q)}};
        step.in[1] = fg_bench_values(&bench, n, h, w, 3 * q, -1, 1);
        step.in[2] = fg_bench_values(&bench, n, h, w, q, -1, 1);
        hold_half("cru", step, 1, r);
        step = (struct fg_step){.op = FG_SRU, .soft_gate = r % 2, .in = {x}};
        step.param[0] = fg_bench_values(&bench, 1, 1, 1, 4 * q, 0.5f, 1.5f);
        step.param[1] = fg_bench_values(&bench, 1, 1, 1, 4 * q, 0.1f, 0.5f);
        for (int i = 0; i < 2; i++)
            step.out[i] = fg_bench_empty(&bench, n, h, w, 2 * q);
        hold_half("sru", step, 2, r);
        fg_bench_close(&bench);
    }
    cpu->close(cpu);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fg_case_max_pool),
        cmocka_unit_test(fg_case_concat),
        cmocka_unit_test(fg_case_normalise),
        cmocka_unit_test(fg_case_mask),
        cmocka_unit_test(fg_case_cosine_and_distill),
        cmocka_unit_test(fg_case_adam),
        cmocka_unit_test(fg_case_simam),
        cmocka_unit_test(fg_case_cru),
        cmocka_unit_test(fg_case_batch_norm),
        cmocka_unit_test(fg_case_anomaly_map),
        cmocka_unit_test(fg_case_sru),
        cmocka_unit_test(resize_is_the_cpus),
        cmocka_unit_test(halves_are_near),
    };
    return cmocka_run_group_tests(tests, open_backends, close_backends);
}
