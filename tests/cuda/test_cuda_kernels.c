/* The CUDA backend's own kernels on the CPU, against the reference: each with three orders of threads. Bounds
 * are those of the project for true float32. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/cuda/emulated.h"
#include "tests/reference/bench.h"
#include "tests/reference/cases.h"

static struct fg_cases cases = {.direct = 1e-5, .winograd = 3e-5, .backward = 1e-4};

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

/* Pictures to the byte, whatever their size, layout and format, and what is seen of them. */
static void resize_is_the_references(void **state) {
    (void)state;
    for (uint32_t r = 0; r < 20 * FG_PIXEL_FORMATS; r++) {
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
        if (r / FG_PIXEL_FORMATS % 2) {
            struct fg_region *region = &step.region;
            region->width = fg_bench_pick(&bench, 1, w);
            region->height = fg_bench_pick(&bench, 1, h);
            region->x = fg_bench_pick(&bench, 0, w - region->width);
            region->y = fg_bench_pick(&bench, 0, h - region->height);
            step.rotation = fg_bench_pick(&bench, 0, 3) * 90;
        }
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
            struct fg_backend *backend = b ? cases.backend[r % 3] : bench.reference;
            const struct fg_kernel *kernel = &backend->kernel[FG_RESIZE];
            struct fg_memory memory = bench.narrow_memory;
            assert_true(kernel->supports(backend, &step));
            memory.segment[FG_SEGMENT_WORKSPACE] = malloc(b ? kernel->workspace(backend, &step) : 1);
            const struct fg_program program = {.step = &step, .steps = 1, .lanes = 1};
            assert_int_equal(fg_backend_run(backend, &program, &memory, NULL), FG_OK);
            free(memory.segment[FG_SEGMENT_WORKSPACE]);
            if (!b)
                memcpy(expected, out, fg_tensor_bytes(step.out[0]));
        }
        assert_memory_equal(out, expected, fg_tensor_bytes(step.out[0]));
        free(expected);
        fg_bench_close(&bench);
    }
}

/* Kernels count values in 32 bits: 2^31 are too many. */
static void too_many_values_are_refused(void **state) {
    (void)state;
    struct fg_tensor x = {.dtype = FG_F32, .n = 64, .h = 512, .w = 1024, .c = 64}, y = x;
    y.h /= 2;
    y.w /= 2;
    const struct fg_step step = {.op = FG_MAX_POOL, .in = {&x}, .out = {&y}};
    const struct fg_kernel *kernel = &cases.backend[0]->kernel[FG_MAX_POOL];
    assert_false(kernel->supports(cases.backend[0], &step));
    x.n = y.n = 63;
    assert_true(kernel->supports(cases.backend[0], &step));
}

/* The same in float16, for those that the engine needs. */
static int open_halves(void **state) {
    cases.half = 5e-3;
    return open_backends(state);
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
        cmocka_unit_test(fg_case_moments),
        cmocka_unit_test(fg_case_cru),
        cmocka_unit_test(fg_case_batch_norm),
        cmocka_unit_test(fg_case_anomaly_map),
        cmocka_unit_test(fg_case_sru),
        cmocka_unit_test(resize_is_the_references),
        cmocka_unit_test(too_many_values_are_refused),
    };
    const struct CMUnitTest halves[] = {
        cmocka_unit_test(fg_case_max_pool),  cmocka_unit_test(fg_case_concat),
        cmocka_unit_test(fg_case_normalise), cmocka_unit_test(fg_case_sru),
        cmocka_unit_test(fg_case_cru),       cmocka_unit_test(fg_case_simam),
        cmocka_unit_test(fg_case_moments),   cmocka_unit_test(fg_case_cosine_and_distill),
    };
    return cmocka_run_group_tests(tests, open_backends, close_backends) +
           cmocka_run_group_tests_name("halves", halves, open_halves, close_backends);
}
