/* An engine with an int8 bundle on a backend that has no int8 convolutions: it judges with the weights that
 * the int8 ones stand for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/engine/desk.h"
#include "trainer/bundle/folded.h"

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

static void test_backend_without_int8(void **state) {
    (void)state;
    static uint8_t picture[SIDE * SIDE * 3];
    static float map[2][SIDE * SIDE];
    const struct fg_network_spec spec = {.backbone = FG_RESNET18,
                                         .height = SIDE,
                                         .width = SIDE,
                                         .base = 4,
                                         .scconv = true,
                                         .simam = true,
                                         .fmm = true,
                                         .levels = 7};
    struct fg_weights weights;
    struct fg_folded folded;
    struct fg_backend *backend;
    for (size_t i = 0; i < sizeof picture; i++)
        picture[i] = (uint8_t)(i * i / 13);
    ok(fg_network_init(&network, &spec, &message));
    ok(fg_weights_open(&weights, &network, &message));
    fg_weights_draw(&weights, 2, true);
    ok(fg_folded_open(&folded, &weights, &message));
    ok(fg_cpu_open(1, 1, &backend, &message));
    backend->quantised = false;
    memcpy(values, folded.value, sizeof values);
    for (uint32_t n = 0; n < network.nodes; n++)
        if (fg_node_can_be_int8(&network, &network.node[n]))
            quantise((uint32_t)network.node[n].weight, folded.value[network.node[n].weight]);
    const float score = judge(quantised, backend, picture, map[0]);
    assert_true(score == judge(NULL, backend, picture, map[1]) && score > 0);
    assert_memory_equal(map[0], map[1], sizeof map[0]);
    for (int i = 0; i < FG_NETWORK_PARAMS; i++) {
        free(quantised[i].weight);
        free(quantised[i].scale);
        free(multiplied[i]);
    }
    backend->close(backend);
    fg_folded_close(&folded);
    fg_weights_close(&weights);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backend_without_int8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
