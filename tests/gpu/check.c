/* The CUDA backend on a real GPU, against the CPU and the reference. tests/gpu.sh runs it there.
 *
 * usage: gpu_check device | TEST...   where a TEST is network, finite, half, tf32, exact, training, memory
 * or resize
 *
 * network: whole networks beside the CPU's, to what a bundle's self-test allows. finite: a NaN and an
 * overflow in each layer in turn never end as a finite score. half: every operator as judging computes it;
 * tf32: convolutions as training does; exact: every operator, true float32, both passes. training: the
 * losses of the CPU's training, and its network judged. memory: none is lost in 1,000 parts. resize: the
 * camera's formats.
 *
 * Whole networks run on the device as programs open it, but that engines are chosen in less time. */
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

#include "runtime/engine/device.h"
#include "tests/reference/bench.h"
#include "tests/reference/cases.h"
#include "tools/bench/trial.h"
#include "tools/demo/picture_part.h"
#include "trainer/loop/train.h"

#define SIDE 256
#define PARTS 1000
#define TUNE_S 10 /* seconds for each program: this many networks must pass in minutes */

static struct fg_message message;
static struct fg_backend *gpu, *cpu; /* cpu: where networks are compared */

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s", message.text);
}

static enum fg_status open_gpu(bool exact) {
    const struct fg_cuda_settings settings = {
        .lanes = 3, .workspace = (size_t)64 << 20, .exact = exact, .folder = getenv("STATE_DIRECTORY")};
    return fg_device_open_cuda(&settings, &gpu, &message);
}

static int close_gpu(void **state) {
    (void)state;
    if (gpu)
        gpu->close(gpu);
    if (cpu)
        cpu->close(cpu);
    gpu = cpu = NULL;
    return 0;
}

/* ---- Operators ---- */

static int open_cases(bool exact, const struct fg_cases *bounds) {
    struct fg_cases cases = *bounds;
    if (open_gpu(exact) != FG_OK) {
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

/* To the byte, in every format: the whole frame, then a region of it in every rotation. */
static void test_resize(void **state) {
    (void)state;
    enum { H = 42, W = 58, OUT_H = 33, OUT_W = 64, PITCH = 192 };
    for (int round = 0; round < 5 * FG_PIXEL_FORMATS; round++) {
        const int format = round % FG_PIXEL_FORMATS, view = round / FG_PIXEL_FORMATS;
        struct fg_tensor frame = {.dtype = FG_U8, .n = 1, .h = H, .w = W, .segment = FG_SEGMENT_FRAME},
                         out = {.dtype = FG_U8,
                                .n = 1,
                                .h = OUT_H,
                                .w = OUT_W,
                                .c = 3,
                                .segment = FG_SEGMENT_ACTIVATIONS};
        frame.c = fg_pixel_channels((enum fg_pixel_format)format);
        struct fg_step step = {.op = FG_RESIZE, .pitch = PITCH, .format = (enum fg_pixel_format)format};
        if (view) {
            step.region = (struct fg_region){3, 5, 41, 30};
            step.rotation = (view - 1) * 90;
        }
        step.in[0] = &frame;
        step.out[0] = &out;
        const struct fg_program program = {.step = &step, .steps = 1, .lanes = 1};
        uint8_t result[2][OUT_H * OUT_W * 3];
        for (int i = 0; i < 2; i++) {
            struct fg_backend *b = i ? gpu : cpu;
            struct fg_memory memory = {{NULL}};
            void **segment = memory.segment;
            ok(b->reserve(b, FG_STORE_HOST, PITCH * H * 2, &segment[FG_SEGMENT_FRAME], &message));
            ok(b->reserve(b, FG_STORE_DEVICE, sizeof result[i], &segment[FG_SEGMENT_ACTIVATIONS], &message));
            ok(b->reserve(b, FG_STORE_DEVICE, b->kernel[FG_RESIZE].workspace(b, &step),
                          &segment[FG_SEGMENT_WORKSPACE], &message));
            for (size_t k = 0; k < PITCH * H * 2; k++) /* 10 and 12 bits have few in every other byte */
                ((uint8_t *)segment[FG_SEGMENT_FRAME])[k] =
                    (uint8_t)((k * 2654435761u >> 11) & (format >= FG_RGGB10 && k % 2 ? 3 : 255));
            ok(b->prepare(b, &program, &memory, &message));
            ok(fg_backend_run(b, &program, &memory, &message));
            ok(b->download(b, result[i], segment[FG_SEGMENT_ACTIVATIONS], sizeof result[i], &message));
            b->forget(b, &program);
            for (int r = 0; r < FG_SEGMENTS; r++)
                if (segment[r])
                    b->release(b, segment[r]);
        }
        assert_memory_equal(result[0], result[1], sizeof result[0]);
    }
}

/* ---- Networks ---- */

static int open_as_programs(uint32_t workspace_mib) {
    const struct fg_device_choice of_gpu = {.device = FG_COMPUTE_CUDA, .workspace_mib = workspace_mib},
                                  of_cpu = {.device = FG_COMPUTE_CPU};
    struct fg_message said;
    if (fg_device_open_within(&of_gpu, TUNE_S, &gpu, &said, &message) == FG_OK &&
        fg_device_open(&of_cpu, &cpu, &said, &message) == FG_OK)
        return 0;
    print_error("%s\n", message.text);
    return -1;
}

static int open_judging(void **state) {
    (void)state;
    return open_as_programs(0);
}

static int open_training(void **state) {
    (void)state;
    return open_as_programs(FG_TRAINING_WORKSPACE_MIB);
}

static struct fg_network network;
static struct fg_folded folded;

static void make_weights(struct fg_weights *weights, enum fg_backbone backbone, int32_t side, bool soft) {
    const struct fg_network_spec spec = {.backbone = backbone,
                                         .height = side,
                                         .width = side,
                                         .base = 64,
                                         .scconv = true,
                                         .soft_gate = soft,
                                         .simam = true,
                                         .fmm = true,
                                         .levels = 7};
    ok(fg_network_init(&network, &spec, &message));
    ok(fg_weights_open(weights, &network, &message));
    fg_weights_draw(weights, 3, true);
}

static void make_folded(enum fg_backbone backbone, bool soft) {
    struct fg_weights weights;
    make_weights(&weights, backbone, SIDE, soft);
    ok(fg_folded_open(&folded, &weights, &message));
    fg_weights_close(&weights);
}

/* One picture on both, held to what fg_engine_self_test allows. picture: NULL for noise. */
static void compare_judging(const char *name, const uint8_t *picture) {
    const size_t pixels = (size_t)network.spec.height * (size_t)network.spec.width;
    struct fg_trial a, b;
    ok(fg_trial_open(&a, gpu, &network, &folded, 1, &message));
    ok(fg_trial_open(&b, cpu, &network, &folded, 1, &message));
    if (picture) {
        memcpy(a.memory.segment[FG_SEGMENT_FRAME], picture, pixels * 3);
        memcpy(b.memory.segment[FG_SEGMENT_FRAME], picture, pixels * 3);
    }
    ok(fg_trial_run(&a, &message));
    ok(fg_trial_run(&b, &message));
    const float *map = fg_trial_map(&a), *expected = fg_trial_map(&b);
    const float score = *fg_trial_score(&a), right = *fg_trial_score(&b);
    float error = 0, largest = 0;
    for (size_t i = 0; i < pixels; i++) {
        error = fmaxf(error, isfinite(map[i]) ? fabsf(map[i] - expected[i]) : INFINITY);
        largest = fmaxf(largest, fabsf(expected[i]));
    }
    const struct fg_prepare_times *times = &gpu->times;
    print_message(
        "%s, %s gate: score %.5f, the CPU's %.5f; map differs by %.2g of its maximum; engines in %.1f s\n",
        name, network.spec.soft_gate ? "soft" : "hard", (double)score, (double)right,
        (double)(error / largest), (double)(times->finalise_ns + times->tune_ns) / 1e9);
    assert_true(fabsf(score - right) <= 0.01f * right);
    assert_true(error <= 0.02f * largest);
    fg_trial_close(&a);
    fg_trial_close(&b);
}

static void compare_backbone(enum fg_backbone backbone, bool soft) {
    make_folded(backbone, soft);
    compare_judging(fg_backbone_name(backbone), NULL);
    fg_folded_close(&folded);
}

/* Tests the backbone that the state points to. */
static void test_backbone(void **state) {
    compare_backbone(*(const enum fg_backbone *)*state, false);
}

static void test_soft_gate(void **state) {
    (void)state;
    compare_backbone(FG_RESNET18, true);
}

/* The score with values in place of a parameter's. */
static float score_with(struct fg_trial *j, uint32_t param, const float *values) {
    ok(fg_trial_weight(j, param, values, &message));
    ok(fg_trial_run(j, &message));
    return *fg_trial_score(j);
}

static void test_finite(void **state) {
    (void)state;
    make_folded(FG_RESNET18, false);
    struct fg_trial j;
    ok(fg_trial_open(&j, gpu, &network, &folded, 1, &message));
    uint32_t layers = 0;
    for (uint32_t p = 0; p < network.params; p++) {
        const struct fg_tensor *t = j.inference.frozen[p];
        if (!t)
            continue;
        const char *name = network.param[p].name;
        const size_t count = fg_tensor_count(t);
        float *changed = malloc(count * sizeof *changed);
        assert_non_null(changed);
        memcpy(changed, folded.value[p], count * sizeof *changed);
        changed[count / 2] = NAN;
        if (isfinite(score_with(&j, p, changed)))
            fail_msg("a NaN in %s ends as a finite score", name);
        /* The layer's own output overflows, in half of its channels upwards whatever comes in: a
         * transposed convolution's (2x2) come last. */
        for (size_t i = 0; i < count; i++)
            changed[i] = (t->dtype == FG_F16 ? 60000.0f : 1e6f) *
                         ((t->h == 2 ? i % 2 == 0 : i < count / 2) ? 1.0f : -1.0f);
        /* A gate's vector only opens or closes it. */
        if (isfinite(score_with(&j, p, changed)) && !strstr(name, ".gn."))
            fail_msg("an overflow behind %s ends as a finite score", name);
        if (!isfinite(score_with(&j, p, folded.value[p])))
            fail_msg("what %s did stays behind it", name);
        free(changed);
        layers++;
    }
    print_message("%u parameters\n", layers);
    fg_trial_close(&j);
    fg_folded_close(&folded);
}

/* ---- Training ---- */

/* How far a loss may be from the CPU's: the CPU's own moves by up to 1.1 % when the operands of its
 * convolutions are rounded as TF32 has them, and by 0.6 % when its first weights move by a millionth. */
#define NOISE 0.05f

enum { PART = 128, TRAINS = 64, HELD_OUT = 16, EPOCHS = 4 };

static void ignore_step(void *argument, uint32_t pictures) {
    (void)argument;
    (void)pictures;
}

/* The held-out loss of each epoch; leaves the trained network in folded. */
static void train(struct fg_backend *backend, const uint8_t *pixels, float loss[EPOCHS]) {
    uint32_t index[TRAINS + HELD_OUT];
    for (uint32_t i = 0; i < TRAINS + HELD_OUT; i++)
        index[i] = i;
    const struct fg_pictures pictures = {.pixels = pixels,
                                         .count = TRAINS + HELD_OUT,
                                         .train = index,
                                         .trains = TRAINS,
                                         .held_out = index + TRAINS,
                                         .held_outs = HELD_OUT};
    struct fg_training training = fg_training_defaults();
    training.epochs = EPOCHS;
    training.recipe.global_loss = false; /* NOISE was measured with it */
    struct fg_weights weights;
    struct fg_trainer *trainer;
    make_weights(&weights, FG_RESNET18, PART, false);
    ok(fg_trainer_open(&training, &weights, &pictures, &backend, 1, &trainer, &message));
    for (int e = 0; e < EPOCHS; e++) {
        ok(fg_trainer_epoch(trainer, ignore_step, NULL, &message));
        loss[e] = fg_trainer_counters(trainer)->loss;
    }
    ok(fg_folded_open(&folded, fg_trainer_best(trainer), &message));
    fg_trainer_close(trainer);
}

static void test_training(void **state) {
    (void)state;
    static uint8_t pixels[(TRAINS + HELD_OUT) * PART * PART * 3];
    float loss[2][EPOCHS];
    for (uint32_t i = 0; i < TRAINS + HELD_OUT; i++)
        fg_picture_part(FG_PICTURE_FLANGE, 1, i, FG_PICTURE_GOOD, PART, pixels + i * PART * PART * 3, NULL);
    train(gpu, pixels, loss[0]);
    fg_folded_close(&folded);
    train(cpu, pixels, loss[1]);
    for (int e = 0; e < EPOCHS; e++)
        print_message("epoch %d: loss %.5f, the CPU's %.5f\n", e + 1, (double)loss[0][e], (double)loss[1][e]);
    for (int e = 0; e < EPOCHS; e++)
        assert_true(fabsf(loss[0][e] - loss[1][e]) <= NOISE * loss[1][e]);
    compare_judging("trained resnet18", pixels + TRAINS * PART * PART * 3);
    fg_folded_close(&folded);
}

/* ---- Memory ---- */

/* CU_DEVICE_ATTRIBUTE_INTEGRATED: its memory is the host's, which other programs take and give back
 * meanwhile. */
#define INTEGRATED 18
#define OTHERS ((int64_t)16 << 20)

/* Free memory of the device once no run makes anything any more, and after PARTS runs. */
static void test_memory(void **state) {
    (void)state;
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    assert_non_null(driver);
    int (*ask)(size_t *, size_t *) = NULL, (*attribute)(int *, int, int) = NULL, integrated = 0;
    *(void **)&ask = dlsym(driver, "cuMemGetInfo_v2");
    *(void **)&attribute = dlsym(driver, "cuDeviceGetAttribute");
    assert_true(ask && attribute);
    assert_int_equal(attribute(&integrated, INTEGRATED, 0), 0);
    make_folded(FG_RESNET18, false);
    struct fg_trial j;
    ok(fg_trial_open(&j, gpu, &network, &folded, 1, &message));
    for (uint32_t i = 0; i < gpu->device.warm_ups; i++)
        ok(fg_trial_run(&j, &message));
    size_t before = 0, after = 0, all;
    assert_int_equal(ask(&before, &all), 0);
    for (int i = 0; i < PARTS; i++)
        ok(fg_trial_run(&j, &message));
    assert_int_equal(ask(&after, &all), 0);
    const int64_t taken = (int64_t)before - (int64_t)after;
    print_message("%d parts took %lld bytes of the device's memory\n", PARTS, (long long)taken);
    assert_true(integrated ? taken <= OTHERS : taken == 0);
    fg_trial_close(&j);
    fg_folded_close(&folded);
}

/* ---- Which ---- */

static int run(const char *name) {
    const struct CMUnitTest all[] = {
        cmocka_unit_test(fg_case_conv),
        cmocka_unit_test(fg_case_large_conv),
        cmocka_unit_test(fg_case_deconv),
        cmocka_unit_test(fg_case_batch_norm),
        cmocka_unit_test(fg_case_max_pool),
        cmocka_unit_test(fg_case_concat),
        cmocka_unit_test(fg_case_normalise),
        cmocka_unit_test(fg_case_mask),
        cmocka_unit_test(fg_case_sru),
        cmocka_unit_test(fg_case_cru),
        cmocka_unit_test(fg_case_simam),
        cmocka_unit_test(fg_case_moments),
        cmocka_unit_test(fg_case_cosine_and_distill),
        cmocka_unit_test(fg_case_anomaly_map),
        cmocka_unit_test(fg_case_adam),
    };
    const struct CMUnitTest convolutions[] = {cmocka_unit_test(fg_case_conv),
                                              cmocka_unit_test(fg_case_large_conv),
                                              cmocka_unit_test(fg_case_deconv)};
    const struct CMUnitTest halves[] = {cmocka_unit_test(fg_case_conv),
                                        cmocka_unit_test(fg_case_large_conv),
                                        cmocka_unit_test(fg_case_deconv),
                                        cmocka_unit_test(fg_case_max_pool),
                                        cmocka_unit_test(fg_case_concat),
                                        cmocka_unit_test(fg_case_sru),
                                        cmocka_unit_test(fg_case_normalise),
                                        cmocka_unit_test(fg_case_cru),
                                        cmocka_unit_test(fg_case_simam),
                                        cmocka_unit_test(fg_case_moments),
                                        cmocka_unit_test(fg_case_cosine_and_distill)};
    const struct CMUnitTest resize[] = {cmocka_unit_test(test_resize)};
    struct CMUnitTest networks[FG_BACKBONES + 1] = {cmocka_unit_test(test_soft_gate)};
    enum fg_backbone backbones[FG_BACKBONES];
    for (int i = 0; i < FG_BACKBONES; i++) {
        backbones[i] = (enum fg_backbone)i;
        networks[i + 1] = (struct CMUnitTest){.name = fg_backbone_name(backbones[i]),
                                              .test_func = test_backbone,
                                              .initial_state = &backbones[i]};
    }
    const struct CMUnitTest finite[] = {cmocka_unit_test(test_finite)};
    const struct CMUnitTest training[] = {cmocka_unit_test(test_training)};
    const struct CMUnitTest memory[] = {cmocka_unit_test(test_memory)};
    if (!strcmp(name, "network"))
        return cmocka_run_group_tests_name(name, networks, open_judging, close_gpu);
    if (!strcmp(name, "finite"))
        return cmocka_run_group_tests_name(name, finite, open_judging, close_gpu);
    if (!strcmp(name, "half"))
        return cmocka_run_group_tests_name(name, halves, open_half, close_cases);
    if (!strcmp(name, "tf32"))
        return cmocka_run_group_tests_name(name, convolutions, open_tf32, close_cases);
    if (!strcmp(name, "exact"))
        return cmocka_run_group_tests_name(name, all, open_exact, close_cases);
    if (!strcmp(name, "training"))
        return cmocka_run_group_tests_name(name, training, open_training, close_gpu);
    if (!strcmp(name, "memory"))
        return cmocka_run_group_tests_name(name, memory, open_judging, close_gpu);
    if (!strcmp(name, "resize"))
        return cmocka_run_group_tests_name(name, resize, open_judging, close_gpu);
    fprintf(stderr, "gpu_check: there is no test %s\n", name);
    return 2;
}

static int show_device(void) {
    if (open_gpu(false) != FG_OK) {
        fprintf(stderr, "%s\n", message.text);
        return 3;
    }
    printf("%s, %s\n", gpu->device.name, gpu->version);
    gpu->close(gpu);
    return 0;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0); /* what it has when it is stopped is not lost */
    if (argc == 2 && !strcmp(argv[1], "device"))
        return show_device();
    if (argc < 2 || open_gpu(false) != FG_OK) {
        fprintf(stderr, "gpu_check: %s\n", argc < 2 ? "which test?" : message.text);
        return 3;
    }
    close_gpu(NULL);
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed |= run(argv[i]);
    return failed != 0;
}
