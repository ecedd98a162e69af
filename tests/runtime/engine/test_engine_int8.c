/* An engine with an int8 bundle, on a backend that has int8 convolutions and on one that has none and judges
 * with the weights that the int8 ones stand for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/engine/desk.h"
#include "trainer/bundle/quantise.h"

#define SIDE 64

static struct fg_network network;
static struct fg_quantised quantised[FG_NETWORK_PARAMS];
static const float *values[FG_NETWORK_PARAMS]; /* folded ones, with those of int8 weights in their place */
static float *multiplied[FG_NETWORK_PARAMS];   /* owned: what int8 weights stand for */
static struct fg_message message;

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s", message.text);
}

/* Makes a weight int8 and back. Scales are powers of two, so that float16, which the float bundle has, holds
 * what the weights stand for. */
static void quantise(uint32_t i, const float *from) {
    const struct fg_param *param = &network.param[i];
    const struct fg_tensor t = fg_param_tensor(param);
    const size_t count = fg_tensor_count(&t), channels = (size_t)fg_param_channels(param);
    struct fg_quantised *q = &quantised[i];
    q->weight = malloc(count);
    q->scale = calloc(channels, sizeof *q->scale);
    q->reading = (struct fg_reading){0.05f, 0};
    multiplied[i] = malloc(count * sizeof(float));
    for (size_t k = 0; k < count; k++) {
        float *scale = &q->scale[param->transposed ? k % channels : k / (count / channels)];
        *scale = fmaxf(*scale, exp2f(ceilf(log2f(fabsf(from[k]) / 127))));
    }
    for (size_t k = 0; k < count; k++) {
        const float scale = q->scale[param->transposed ? k % channels : k / (count / channels)];
        q->weight[k] = (int8_t)lrintf(from[k] / scale);
        multiplied[i][k] = (float)q->weight[k] * scale;
    }
    values[i] = multiplied[i];
}

/* Judges a picture with a bundle of these weights; map: {SIDE, SIDE}. */
static float judge(const struct fg_quantised *q, struct fg_backend *backend, const uint8_t *picture,
                   float *map) {
    const struct fg_bundle_header header = {.spec = network.spec,
                                            .contract = {.channels = 3, .format = "rgb8"}};
    struct fg_bundle *bundle;
    struct fg_desk desk;
    struct fg_judgement judgement;
    ok(fg_bundle_make("made.fgb", &header, values, q, &bundle, &message));
    ok(fg_desk_take(&desk, bundle, backend, false, &message));
    ok(fg_desk_judge(&desk, "picture", &(struct fg_image){(uint8_t *)(uintptr_t)picture, SIDE, SIDE, 3},
                     INFINITY, &judgement, &message));
    assert_true(judgement.finite);
    memcpy(map, fg_engine_map(desk.engine), SIDE * SIDE * sizeof *map);
    fg_desk_close(&desk);
    return judgement.score;
}

static struct fg_folded folded;
static struct fg_backend *backend;
static uint8_t picture[SIDE * SIDE * 3];

static int set_up(void **state) {
    (void)state;
    const struct fg_network_spec spec = {.backbone = FG_RESNET18,
                                         .height = SIDE,
                                         .width = SIDE,
                                         .base = 4,
                                         .scconv = true,
                                         .simam = true,
                                         .fmm = true,
                                         .levels = 7};
    struct fg_weights weights;
    for (size_t i = 0; i < sizeof picture; i++)
        picture[i] = (uint8_t)(i * i / 13);
    ok(fg_network_init(&network, &spec, &message));
    ok(fg_weights_open(&weights, &network, &message));
    fg_weights_draw(&weights, 2, true);
    ok(fg_folded_open(&folded, &weights, &message));
    fg_weights_close(&weights);
    ok(fg_cpu_open(1, 1, &backend, &message));
    memcpy(values, folded.value, sizeof values);
    for (uint32_t n = 0; n < network.nodes; n++)
        if (fg_node_can_be_int8(&network, &network.node[n]))
            quantise((uint32_t)network.node[n].weight, folded.value[network.node[n].weight]);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    for (int i = 0; i < FG_NETWORK_PARAMS; i++) {
        free(quantised[i].weight);
        free(quantised[i].scale);
        free(multiplied[i]);
    }
    backend->close(backend);
    fg_folded_close(&folded);
    return 0;
}

static void test_backend_without_int8(void **state) {
    (void)state;
    static float map[2][SIDE * SIDE];
    backend->quantised = false;
    const float score = judge(quantised, backend, picture, map[0]);
    assert_true(score == judge(NULL, backend, picture, map[1]) && score > 0);
    assert_memory_equal(map[0], map[1], sizeof map[0]);
    backend->quantised = true;
}

static void test_backend_with_int8(void **state) {
    (void)state;
    static float map[2][SIDE * SIDE];
    const float as_int8 = judge(quantised, backend, picture, map[0]),
                as_float = judge(NULL, backend, picture, map[1]);
    assert_true(as_int8 != as_float);
    assert_true(fabsf(as_int8 - as_float) < 0.1f * as_float);
}

/* An int8 number cannot carry a NaN to the score, so a bundle with one does not load. */
static void test_nan_does_not_load(void **state) {
    (void)state;
    static const char *const names[] = {"bottleneck.scconv.gwc.weight", "teacher.bn1.bias",
                                        "student.layer1.1.bn2.bias"};
    const struct fg_bundle_header header = {.spec = network.spec,
                                            .contract = {.channels = 3, .format = "rgb8"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        float *value = (float *)(uintptr_t)values[fg_network_find(&network, names[i])], kept = *value;
        struct fg_bundle *bundle;
        struct fg_desk desk;
        *value = NAN;
        ok(fg_bundle_make("made.fgb", &header, values, quantised, &bundle, &message));
        assert_int_equal(fg_desk_take(&desk, bundle, backend, false, &message), FG_INPUT);
        assert_non_null(strstr(message.text, "finite"));
        assert_non_null(strstr(message.text, "made.fgb"));
        *value = kept;
    }
}

/* Opens a bundle with a self-test whose score and map are those of int8, times a factor. */
static enum fg_status open_tested(const struct fg_quantised *q, float factor) {
    static float map[SIDE * SIDE];
    const struct fg_good good[2] = {{.score = 1}, {.score = 2}};
    struct fg_bundle_header header = {.spec = network.spec, .contract = {.channels = 3, .format = "rgb8"}};
    struct fg_bundle *raw, *tested;
    struct fg_desk desk;
    const bool computes = backend->quantised;
    backend->quantised = true;
    const float score = judge(q, backend, picture, map);
    backend->quantised = computes;
    for (size_t i = 0; i < SIDE * SIDE; i++)
        map[i] *= factor;
    ok(fg_bundle_make("made.fgb", &header, values, q, &raw, &message));
    header.calibrated = true;
    header.calibration = (struct fg_calibration){.threshold = 1, .doubtful = 1, .pictures = 2, .unseen = 2};
    header.self_test_score = score * factor;
    ok(fg_bundle_copy(raw, &header, &(struct fg_evidence){.input = picture, .map = map, .good = good},
                      &tested, &message));
    fg_bundle_close(raw);
    const enum fg_status status = fg_desk_take(&desk, tested, backend, true, &message);
    if (status == FG_OK)
        fg_desk_close(&desk);
    return status;
}

/* What int8 made must come back nearly; a device without int8 may differ by what int8 leaves out. */
static void test_self_test(void **state) {
    (void)state;
    const uint8_t *pictures[] = {picture};
    struct fg_int8 int8 = {.error = 0};
    memcpy(values, folded.value, sizeof values);
    ok(fg_int8_make(
        &int8,
        &(struct fg_quantising){
            .network = &network, .folded = &folded, .backend = backend, .picture = pictures, .pictures = 1},
        &message));
    ok(open_tested(int8.param, 1));
    assert_int_equal(open_tested(int8.param, 1.03f), FG_INPUT);
    backend->quantised = false;
    ok(open_tested(int8.param, 1));
    ok(open_tested(int8.param, 1.03f));
    assert_int_equal(open_tested(int8.param, 1.25f), FG_INPUT);
    backend->quantised = true;
    fg_int8_close(&int8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backend_without_int8),
        cmocka_unit_test(test_backend_with_int8),
        cmocka_unit_test(test_nan_does_not_load),
        cmocka_unit_test(test_self_test),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
