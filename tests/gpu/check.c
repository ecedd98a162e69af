/* The CUDA backend on a real GPU, against the CPU and the reference. tests/gpu.sh runs it there.
 *
 * usage: gpu_check device | pictures DIR | TEST...   where a TEST is exact, tf32, half, resize, network, finite or memory
 *
 * exact: every operator, true float32, both passes; tf32: convolutions as training computes them; half: as judging
 * does. resize: the camera's formats. network: whole networks beside the CPU's. finite: a NaN and an overflow in each
 * layer in turn never end as a finite score. memory: none is lost in 1,000 parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/device.h"
#include "tests/reference/bench.h"
#include "tests/reference/cases.h"
#include "tools/judging.h"
#include "tools/picture_set.h"

#define SIDE 256
#define PARTS 1000

static struct fg_message message;
static struct fg_backend *gpu;

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s", message.text);
}

static enum fg_status open_gpu(bool exact, int64_t tune_ns) {
    const struct fg_cuda_settings settings = {
        .lanes = 3, .workspace = (size_t)256 << 20, .exact = exact, .tune_ns = tune_ns};
    return fg_device_open_cuda(&settings, &gpu, &message);
}

static int close_gpu(void **state) {
    (void)state;
    if (gpu)
        gpu->close(gpu);
    gpu = NULL;
    return 0;
}

/* ---- Operators ---- */

static int open_cases(bool exact, const struct fg_cases *bounds) {
    struct fg_cases cases = *bounds;
    if (open_gpu(exact, 0) != FG_OK) {
        print_error("%s\n", message.text);
        return -1;
    }
    for (int i = 0; i < 3; i++)
        cases.backend[i] = gpu;
    fg_cases_open(&cases);
    return 0;
}

static int open_exact(void **state) {
    (void)state;
    return open_cases(true, &(struct fg_cases){.direct = 1e-5, .winograd = 3e-5, .backward = 1e-4});
}

static int open_tf32(void **state) {
    (void)state;
    return open_cases(false, &(struct fg_cases){.direct = 1e-3, .winograd = 1e-3, .backward = 5e-3});
}

static int open_half(void **state) {
    (void)state;
    return open_cases(false, &(struct fg_cases){.half = 5e-3});
}

static int close_cases(void **state) {
    fg_cases_print();
    return close_gpu(state);
}

/* ---- Frames ---- */

/* To the byte, in every format. */
static void test_resize(void **state) {
    (void)state;
    enum { H = 42, W = 58, OUT_H = 33, OUT_W = 64, PITCH = 192 };
    struct fg_backend *cpu;
    ok(fg_cpu_open(1, 1, &cpu, &message));
    for (int format = 0; format < FG_PIXEL_FORMATS; format++) {
        struct fg_tensor frame = {.dtype = FG_U8, .n = 1, .h = H, .w = W, .region = FG_REGION_FRAME},
                         out = {.dtype = FG_U8,
                                .n = 1,
                                .h = OUT_H,
                                .w = OUT_W,
                                .c = 3,
                                .region = FG_REGION_ACTIVATIONS};
        frame.c = fg_pixel_channels((enum fg_pixel_format)format);
        struct fg_step step = {.op = FG_RESIZE, .pitch = PITCH, .format = (enum fg_pixel_format)format};
        step.in[0] = &frame;
        step.out[0] = &out;
        const struct fg_program program = {.step = &step, .steps = 1, .lanes = 1};
        uint8_t result[2][OUT_H * OUT_W * 3];
        for (int i = 0; i < 2; i++) {
            struct fg_backend *b = i ? gpu : cpu;
            struct fg_memory memory = {{NULL}};
            void **region = memory.region;
            ok(b->reserve(b, FG_STORE_HOST, PITCH * H * 2, &region[FG_REGION_FRAME], &message));
            ok(b->reserve(b, FG_STORE_DEVICE, sizeof result[i], &region[FG_REGION_ACTIVATIONS], &message));
            ok(b->reserve(b, FG_STORE_DEVICE, b->kernel[FG_RESIZE].workspace(b, &step),
                          &region[FG_REGION_WORKSPACE], &message));
            for (size_t k = 0; k < PITCH * H * 2; k++) /* 10 and 12 bits have few in every other byte */
                ((uint8_t *)region[FG_REGION_FRAME])[k] =
                    (uint8_t)((k * 2654435761u >> 11) & (format >= FG_RGGB10 && k % 2 ? 3 : 255));
            ok(b->prepare(b, &program, &memory, &message));
            ok(fg_backend_run(b, &program, &memory, &message));
            ok(b->download(b, result[i], region[FG_REGION_ACTIVATIONS], sizeof result[i], &message));
            b->forget(b, &program);
            for (int r = 0; r < FG_REGIONS; r++)
                if (region[r])
                    b->release(b, region[r]);
        }
        assert_memory_equal(result[0], result[1], sizeof result[0]);
    }
    cpu->close(cpu);
}

/* ---- Networks ---- */

static int open_tuned(void **state) {
    (void)state;
    if (open_gpu(false, INT64_C(20000000000)) == FG_OK)
        return 0;
    print_error("%s\n", message.text);
    return -1;
}

static struct fg_network network;
static struct fg_folded folded;

static void make_weights(enum fg_backbone backbone) {
    const struct fg_network_spec spec = {.backbone = backbone,
                                         .height = SIDE,
                                         .width = SIDE,
                                         .base = 64,
                                         .scconv = true,
                                         .soft_gate = true, /* a hard one jumps where float16 rounds */
                                         .simam = true,
                                         .fmm = true,
                                         .levels = 7};
    struct fg_weights weights;
    ok(fg_network_init(&network, &spec, &message));
    ok(fg_weights_open(&weights, &network, &message));
    fg_weights_draw(&weights, 3, true);
    ok(fg_folded_open(&folded, &weights, &message));
    fg_weights_close(&weights);
}

static void test_network(void **state) {
    (void)state;
    struct fg_backend *cpu;
    ok(fg_cpu_open(8, 1, &cpu, &message));
    for (int backbone = 0; backbone < FG_BACKBONES; backbone++) {
        struct fg_judging a, b;
        make_weights((enum fg_backbone)backbone);
        ok(fg_judging_open(&a, gpu, &network, &folded, 1, &message));
        ok(fg_judging_open(&b, cpu, &network, &folded, 1, &message));
        ok(fg_judging_run(&a, &message));
        ok(fg_judging_run(&b, &message));
        const float *map = fg_judging_map(&a), *expected = fg_judging_map(&b);
        const float score = *fg_judging_score(&a), right = *fg_judging_score(&b);
        float error = 0, largest = 0;
        for (size_t i = 0; i < (size_t)SIDE * SIDE; i++) {
            error = fmaxf(error, isfinite(map[i]) ? fabsf(map[i] - expected[i]) : INFINITY);
            largest = fmaxf(largest, fabsf(expected[i]));
        }
        print_message("%s: score %.5f, the CPU's %.5f; map differs by %.2g of its maximum\n",
                      fg_backbone_name((enum fg_backbone)backbone), (double)score, (double)right,
                      (double)(error / largest));
        assert_true(fabsf(score - right) <= 0.01f * right);
        assert_true(error <= 0.02f * largest);
        fg_judging_close(&a);
        fg_judging_close(&b);
        fg_folded_close(&folded);
    }
    cpu->close(cpu);
}

static void test_finite(void **state) {
    (void)state;
    make_weights(FG_RESNET18);
    struct fg_judging j;
    ok(fg_judging_open(&j, gpu, &network, &folded, 1, &message));
    uint32_t layers = 0;
    for (uint32_t p = 0; p < network.params; p++) {
        const struct fg_tensor *t = j.inference.frozen[p];
        if (!t)
            continue;
        const size_t count = fg_tensor_count(t);
        float *changed = malloc(count * sizeof *changed);
        assert_non_null(changed);
        for (int overflow = 0; overflow < 2; overflow++) {
            memcpy(changed, folded.value[p], count * sizeof *changed);
            if (overflow)
                for (size_t i = 0; i < count; i++)
                    changed[i] = 60000; /* near the largest of float16 */
            else
                changed[count / 2] = NAN;
            ok(fg_judging_weight(&j, p, changed, &message));
            ok(fg_judging_run(&j, &message));
            /* A vector of 60,000 need not overflow. */
            if (isfinite(*fg_judging_score(&j)) && !(overflow && t->h == 1 && t->n == 1))
                fail_msg("%s in %s ends as the score %g", overflow ? "an overflow" : "a NaN",
                         network.param[p].name, (double)*fg_judging_score(&j));
        }
        ok(fg_judging_weight(&j, p, folded.value[p], &message));
        ok(fg_judging_run(&j, &message));
        assert_true(isfinite(*fg_judging_score(&j)));
        free(changed);
        layers++;
    }
    print_message("%u parameters\n", layers);
    fg_judging_close(&j);
    fg_folded_close(&folded);
}

static void test_memory(void **state) {
    (void)state;
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    int (*ask)(size_t *, size_t *) = NULL;
    if (driver)
        *(void **)&ask = dlsym(driver, "cuMemGetInfo_v2");
    assert_non_null(ask);
    make_weights(FG_RESNET18);
    struct fg_judging j;
    ok(fg_judging_open(&j, gpu, &network, &folded, 1, &message));
    ok(fg_judging_run(&j, &message));
    size_t before = 0, after = 0, all;
    assert_int_equal(ask(&before, &all), 0);
    for (int i = 0; i < PARTS; i++)
        ok(fg_judging_run(&j, &message));
    assert_int_equal(ask(&after, &all), 0);
    assert_int_equal(after, before);
    fg_judging_close(&j);
    fg_folded_close(&folded);
}

/* ---- Which ---- */

static int run(const char *name) {
    const struct CMUnitTest all[] = {
        cmocka_unit_test(fg_case_conv),        cmocka_unit_test(fg_case_large_conv),
        cmocka_unit_test(fg_case_deconv),      cmocka_unit_test(fg_case_batch_norm),
        cmocka_unit_test(fg_case_max_pool),    cmocka_unit_test(fg_case_concat),
        cmocka_unit_test(fg_case_normalise),   cmocka_unit_test(fg_case_mask),
        cmocka_unit_test(fg_case_sru),         cmocka_unit_test(fg_case_cru),
        cmocka_unit_test(fg_case_simam),       cmocka_unit_test(fg_case_cosine_and_distill),
        cmocka_unit_test(fg_case_anomaly_map), cmocka_unit_test(fg_case_adam),
    };
    const struct CMUnitTest convolutions[] = {cmocka_unit_test(fg_case_conv),
                                              cmocka_unit_test(fg_case_large_conv),
                                              cmocka_unit_test(fg_case_deconv)};
    const struct CMUnitTest halves[] = {
        cmocka_unit_test(fg_case_conv),      cmocka_unit_test(fg_case_large_conv),
        cmocka_unit_test(fg_case_deconv),    cmocka_unit_test(fg_case_max_pool),
        cmocka_unit_test(fg_case_concat),    cmocka_unit_test(fg_case_sru),
        cmocka_unit_test(fg_case_normalise), cmocka_unit_test(fg_case_cru),
        cmocka_unit_test(fg_case_simam),     cmocka_unit_test(fg_case_cosine_and_distill)};
    const struct CMUnitTest resize[] = {cmocka_unit_test(test_resize)};
    const struct CMUnitTest networks[] = {cmocka_unit_test(test_network)};
    const struct CMUnitTest finite[] = {cmocka_unit_test(test_finite)};
    const struct CMUnitTest memory[] = {cmocka_unit_test(test_memory)};
    if (!strcmp(name, "exact"))
        return cmocka_run_group_tests_name(name, all, open_exact, close_cases);
    if (!strcmp(name, "tf32"))
        return cmocka_run_group_tests_name(name, convolutions, open_tf32, close_cases);
    if (!strcmp(name, "half"))
        return cmocka_run_group_tests_name(name, halves, open_half, close_cases);
    if (!strcmp(name, "resize"))
        return cmocka_run_group_tests_name(name, resize, open_tuned, close_gpu);
    if (!strcmp(name, "network"))
        return cmocka_run_group_tests_name(name, networks, open_tuned, close_gpu);
    if (!strcmp(name, "finite"))
        return cmocka_run_group_tests_name(name, finite, open_tuned, close_gpu);
    if (!strcmp(name, "memory"))
        return cmocka_run_group_tests_name(name, memory, open_tuned, close_gpu);
    fprintf(stderr, "gpu_check: there is no test %s\n", name);
    return 2;
}

static int show_device(void) {
    if (open_gpu(false, 0) != FG_OK) {
        fprintf(stderr, "%s\n", message.text);
        return 3;
    }
    printf("%s, %s\n", gpu->device.name, gpu->version);
    gpu->close(gpu);
    return 0;
}

static int make_pictures(const char *folder) {
    const struct fg_picture_set set = {.seed = 1, .size = 128, .train = 80, .good = 20, .defective = 10};
    if (fg_picture_set_write(folder, &set, NULL, NULL, &message) == FG_OK)
        return 0;
    fprintf(stderr, "%s\n", message.text);
    return 3;
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "device"))
        return show_device();
    if (argc == 3 && !strcmp(argv[1], "pictures"))
        return make_pictures(argv[2]);
    if (argc < 2 || open_gpu(false, 0) != FG_OK) {
        fprintf(stderr, "gpu_check: %s\n", argc < 2 ? "which test?" : message.text);
        return 3;
    }
    close_gpu(NULL);
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed |= run(argv[i]);
    return failed != 0;
}
