/* Folded parameters go into a bundle and come back as it holds them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/bundle/folded.h"

static struct fg_message message;

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s", message.text);
}

static void fold_drawn(const struct fg_network *network, struct fg_folded *folded) {
    struct fg_weights weights = {0};
    ok(fg_weights_open(&weights, network, &message));
    fg_weights_draw(&weights, 7, true);
    ok(fg_folded_open(folded, &weights, &message));
    fg_weights_close(&weights);
}

static void test_load_gives_what_a_bundle_holds(void **state) {
    (void)state;
    static struct fg_network network;
    struct fg_bundle_header header = {.spec = {.backbone = FG_RESNET18,
                                               .height = 64,
                                               .width = 64,
                                               .base = 4,
                                               .scconv = true,
                                               .simam = true,
                                               .fmm = true,
                                               .levels = 7}};
    struct fg_folded made, loaded;
    struct fg_bundle *bundle;
    ok(fg_network_init(&network, &header.spec, &message));
    fold_drawn(&network, &made);
    ok(fg_bundle_make("made.fgb", &header, made.value, NULL, &bundle, &message));
    ok(fg_folded_load(&loaded, bundle, &message));
    for (uint32_t p = 0; p < network.params; p++) {
        const struct fg_tensor t = fg_param_tensor(&network.param[p]);
        assert_int_equal(loaded.value[p] != NULL, fg_param_folded(&network.param[p]));
        for (size_t i = 0; loaded.value[p] && i < fg_tensor_count(&t); i++) {
            const float from = made.value[p][i];
            assert_true(fabsf(loaded.value[p][i] - from) <= fabsf(from) / 1024 + 1e-7f); /* float16's step */
        }
    }
    fg_bundle_close(bundle);
    fg_folded_close(&loaded);
    fg_folded_close(&made);
}

/* An int8 weight comes back as it was, and beside it in float32 what it stands for. */
static void test_load_gives_int8(void **state) {
    (void)state;
    static struct fg_network network;
    static struct fg_quantised quantised[FG_NETWORK_PARAMS];
    struct fg_bundle_header header = {
        .spec = {.backbone = FG_RESNET18, .height = 64, .width = 64, .base = 4, .levels = 7}};
    struct fg_folded made, loaded;
    struct fg_bundle *bundle;
    ok(fg_network_init(&network, &header.spec, &message));
    fold_drawn(&network, &made);
    const int32_t param = fg_network_find(&network, "teacher.layer1.0.conv1.weight");
    assert_true(param >= 0);
    const struct fg_tensor t = fg_param_tensor(&network.param[param]);
    const size_t count = fg_tensor_count(&t), channels = (size_t)fg_param_channels(&network.param[param]);
    struct fg_quantised *one = &quantised[param];
    *one = (struct fg_quantised){.weight = malloc(count),
                                 .scale = malloc(channels * sizeof *one->scale),
                                 .reading = {.scale = 0.25f, .zero = 17}};
    assert_true(one->weight && one->scale);
    for (size_t i = 0; i < count; i++)
        one->weight[i] = (int8_t)(i % 255 - 127);
    for (size_t c = 0; c < channels; c++)
        one->scale[c] = 0.001f * (float)(c + 1);
    ok(fg_bundle_make("made.fgb", &header, made.value, quantised, &bundle, &message));
    ok(fg_folded_load(&loaded, bundle, &message));
    const struct fg_quantised *back = &loaded.quantised[param];
    assert_memory_equal(back->weight, one->weight, count);
    assert_memory_equal(back->scale, one->scale, channels * sizeof *one->scale);
    assert_true(back->reading.scale == one->reading.scale && back->reading.zero == one->reading.zero);
    const size_t each = (size_t)(t.h * t.w * t.c); /* weights of a channel */
    for (size_t c = 0; c < channels; c++)
        for (size_t i = c * each; i < (c + 1) * each; i++)
            assert_true(loaded.value[param][i] == (float)one->weight[i] * one->scale[c]);
    for (uint32_t p = 0; p < network.params; p++)
        assert_true(p == (uint32_t)param || !loaded.quantised[p].weight);
    fg_bundle_close(bundle);
    fg_folded_close(&loaded);
    fg_folded_close(&made);
    free(one->weight);
    free(one->scale);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_load_gives_what_a_bundle_holds),
                                       cmocka_unit_test(test_load_gives_int8)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
