/* Writes the small bundle, and opens and runs its engine. */
#include "tests/cuda/judged.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "runtime/network/inference.h"
#include "tests/cuda/fake.h"
#include "trainer/loop/weights.h"

static struct fg_network network;
static struct fg_message why;

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s", why.text);
}

static void make_network(void) {
    const struct fg_network_spec spec = {.backbone = FG_RESNET18,
                                         .height = FG_JUDGED_SIDE,
                                         .width = FG_JUDGED_SIDE,
                                         .base = 4,
                                         .scconv = true,
                                         .soft_gate = true, /* a hard one jumps where float16 rounds */
                                         .simam = true,
                                         .fmm = true,
                                         .levels = 7};
    ok(fg_network_init(&network, &spec, &why));
}

/* Where each folded parameter lies when the engine has it, and the bytes of all. */
static size_t place(struct fg_tensor frozen[FG_NETWORK_PARAMS],
                    const struct fg_tensor *pointer[FG_NETWORK_PARAMS], struct fg_backend *cpu) {
    struct fg_inference inference;
    ok(fg_inference_open(&inference, &network, NULL, cpu, 1, FG_JUDGED_HEIGHT, FG_JUDGED_WIDTH, &why));
    for (uint32_t p = 0; p < FG_NETWORK_PARAMS; p++) {
        pointer[p] = inference.frozen[p] ? &frozen[p] : NULL;
        if (inference.frozen[p])
            frozen[p] = *inference.frozen[p];
    }
    const size_t bytes = inference.program->bytes[FG_SEGMENT_FROZEN];
    fg_inference_close(&inference);
    return bytes;
}

uint32_t fg_judged_parameters(struct fg_backend *backend, struct fg_judged_parameter *parameter) {
    static struct fg_tensor frozen[FG_NETWORK_PARAMS];
    const struct fg_tensor *pointer[FG_NETWORK_PARAMS];
    uint32_t count = 0;
    make_network();
    place(frozen, pointer, backend);
    for (uint32_t p = 0; p < network.params; p++)
        if (pointer[p])
            parameter[count++] = (struct fg_judged_parameter){(int32_t)p, frozen[p]};
    return count;
}

/* Writes the bundle calibrated, for a local score. right: the self-test asks for what the engine gives. */
static void calibrate(const struct fg_bundle *made, const char *path, struct fg_backend *cpu,
                      struct fg_bundle_header *header, const uint8_t *picture, bool right) {
    static float map[FG_JUDGED_SIDE * FG_JUDGED_SIDE], mean[FG_JUDGED_SIDE * FG_JUDGED_SIDE],
        scale[FG_JUDGED_SIDE * FG_JUDGED_SIDE];
    for (size_t i = 0; i < sizeof mean / sizeof *mean; i++) {
        mean[i] = (float)(i % 11) / 64;
        scale[i] = 0.5f + (float)(i % 5) / 8;
    }
    const struct fg_evidence evidence = {
        .input = picture, .map = map, .place_mean = mean, .place_scale = scale};
    header->calibrated = true;
    header->spec.score = FG_SCORE_PRODUCT_LOCAL;
    ok(fg_bundle_write(made, path, header, &evidence, &why));
    if (!right)
        return;
    struct fg_judged j;
    struct fg_judgement judgement;
    ok(fg_judged_open(&j, path, cpu, false, &why));
    ok(fg_engine_judge_picture(j.engine, picture, &judgement, &why));
    memcpy(map, fg_engine_map(j.engine), sizeof map);
    header->self_test_score = judgement.score;
    header->calibration = (struct fg_calibration){.threshold = judgement.score * 2};
    ok(fg_bundle_write(j.bundle, path, header, &evidence, &why));
    fg_judged_close(&j);
}

void fg_judged_write(const char *path, int32_t changed, float value) {
    static struct fg_tensor frozen[FG_NETWORK_PARAMS];
    const struct fg_tensor *pointer[FG_NETWORK_PARAMS];
    const float *values[FG_NETWORK_PARAMS] = {NULL};
    static uint8_t grey[FG_JUDGED_SIDE * FG_JUDGED_SIDE * 3];
    for (size_t i = 0; i < sizeof grey; i++)
        grey[i] = (uint8_t)((uint8_t[]){124, 116, 104}[i % 3] + i / 7 % 31);
    struct fg_backend *cpu = NULL;
    make_network();
    ok(fg_cpu_open(1, 1, &cpu, &why));
    struct fg_weights weights;
    ok(fg_weights_open(&weights, &network, &why));
    fg_weights_draw(&weights, 2, true);
    const size_t bytes = place(frozen, pointer, cpu);
    void *folded = NULL;
    ok(cpu->reserve(cpu, FG_STORE_HOST, bytes, &folded, &why));
    fg_weights_fold(&weights, pointer, -1, folded);
    for (uint32_t p = 0; p < network.params; p++) {
        if (!pointer[p])
            continue;
        float *of = (float *)(void *)((char *)folded + pointer[p]->offset);
        values[p] = of;
        for (size_t i = 0; (int32_t)p == changed && i < fg_tensor_count(pointer[p]); i++)
            of[i] = value;
    }
    struct fg_bundle_header header = {.spec = network.spec,
                                      .contract = {.channels = 0, .format = "rgb8"},
                                      .provenance = {.train_pictures = 10,
                                                     .held_out_pictures = 4,
                                                     .epochs = 1,
                                                     .best_epoch = 1,
                                                     .batch = 16,
                                                     .learning_rate = 1e-3f,
                                                     .name = "test",
                                                     .program = "test"}};
    struct fg_bundle *made;
    ok(fg_bundle_make(path, &header, values, NULL, &made, &why));
    calibrate(made, path, cpu, &header, grey, changed < 0);
    fg_bundle_close(made);
    cpu->release(cpu, folded);
    fg_weights_close(&weights);
    cpu->close(cpu);
}

enum fg_status fg_judged_open(struct fg_judged *j, const char *path, struct fg_backend *backend,
                              bool self_test, struct fg_message *message) {
    struct fg_engine_need need;
    *j = (struct fg_judged){.backend = backend};
    enum fg_status status = fg_bundle_open(path, &j->bundle, message);
    if (status == FG_OK)
        status = fg_engine_need(j->bundle, backend, FG_JUDGED_WIDTH, FG_JUDGED_HEIGHT, &need, message);
    if (status == FG_OK)
        status = fg_arena_open(backend, FG_STORE_HOST, 0, need.host, 1, &j->host, message);
    if (status == FG_OK && need.device)
        status = fg_arena_open(backend, FG_STORE_DEVICE, 0, need.device, 1, &j->device, message);
    if (status == FG_OK) {
        const struct fg_engine_bank bank = {fg_arena_bank(j->host, 0), fg_arena_bank(j->device, 0)};
        status = fg_engine_open(j->bundle, backend, &bank, FG_JUDGED_WIDTH, FG_JUDGED_HEIGHT, self_test,
                                &j->engine, message);
    }
    if (status != FG_OK)
        fg_judged_close(j);
    return status;
}

void fg_judged_close(struct fg_judged *j) {
    fg_engine_close(j->engine);
    fg_arena_close(j->device);
    fg_arena_close(j->host);
    fg_bundle_close(j->bundle);
    *j = (struct fg_judged){.backend = j->backend};
}

enum fg_status fg_judged_frame(struct fg_judged *j, const struct fg_frame *frame,
                               struct fg_judgement *judgement, struct fg_message *message) {
    enum fg_status status = fg_engine_submit(j->engine, frame, message);
    return status == FG_OK ? fg_engine_finish(j->engine, INT64_MAX, INFINITY, judgement, message) : status;
}

struct fg_backend *fg_judged_cuda(uint32_t lanes, int64_t tune_ns, const char *folder) {
    const struct fg_cuda_settings settings = {.lanes = lanes,
                                              .workspace = FG_JUDGED_WORKSPACE,
                                              .exact = true,
                                              .tune_ns = tune_ns,
                                              .folder = folder};
    struct fg_backend *backend = NULL;
    ok(fg_cuda_open(&settings, &backend, &why));
    return backend;
}

void fg_judged_nothing_left(void) {
    char text[256];
    if (fg_fake_left(text, sizeof text))
        fail_msg("left alive: %s", text);
}
