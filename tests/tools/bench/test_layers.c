/* The layers of a judging program add up to the network, in multiply-adds and in names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "tools/bench/layers.h"

#define SIDE 64
#define BASE 8

static struct fg_network network;
static struct fg_message message;

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s", message.text);
}

static void make_network(enum fg_backbone backbone) {
    const struct fg_network_spec spec = {.backbone = backbone,
                                         .height = SIDE,
                                         .width = SIDE,
                                         .base = BASE,
                                         .scconv = true,
                                         .simam = true,
                                         .fmm = true,
                                         .levels = 7};
    ok(fg_network_init(&network, &spec, &message));
}

/* Has every convolution that can be int8 be so, all with the same weights. */
static void quantise(struct fg_folded *folded) {
    static int8_t weight[1 << 20];
    static float scale[1 << 10];
    for (size_t i = 0; i < sizeof weight; i++)
        weight[i] = (int8_t)(i % 255 - 127);
    for (uint32_t n = 0; n < network.nodes; n++) {
        if (!fg_node_can_be_int8(&network, &network.node[n]))
            continue;
        const struct fg_param *param = &network.param[network.node[n].weight];
        const struct fg_tensor t = fg_param_tensor(param);
        assert_true(fg_tensor_count(&t) <= sizeof weight);
        assert_true((size_t)fg_param_channels(param) <= sizeof scale / sizeof *scale);
        folded->quantised[param - network.param] =
            (struct fg_quantised){.weight = weight, .scale = scale, .reading = {.scale = 0.1f, .zero = 128}};
    }
}

/* Measures the network, with random weights, for the fewest rounds. */
static void measure(uint32_t threads, bool int8, struct fg_layers *layers) {
    struct fg_backend *backend;
    struct fg_weights weights = {0};
    struct fg_folded folded;
    struct fg_trial trial;
    ok(fg_cpu_open(threads, 1, &backend, &message));
    ok(fg_weights_open(&weights, &network, &message));
    fg_weights_draw(&weights, 0, true);
    ok(fg_folded_open(&folded, &weights, &message));
    if (int8)
        quantise(&folded);
    ok(fg_trial_open(&trial, backend, &network, &folded, 1, &message));
    ok(fg_layers_measure(&trial, &network, 0, layers, &message));
    fg_trial_close(&trial);
    fg_folded_close(&folded);
    fg_weights_close(&weights);
    backend->close(backend);
}

static bool has_layer(const struct fg_layers *layers, const char *name) {
    bool found = false;
    for (uint32_t i = 0; i < layers->layers; i++) {
        const bool same = !strcmp(layers->layer[i].name, name);
        assert_false(found && same);
        found = found || same;
    }
    return found;
}

static void check_layer(const struct fg_layer *layer) {
    assert_true(isfinite(layer->ms) && layer->ms > 0 && layer->bytes > 0 && layer->steps > 0);
    const bool convolution = layer->multiply_adds > 0;
    assert_int_equal(convolution, *layer->shape != 0);
    assert_int_equal(convolution, *layer->way != 0);
    assert_int_equal(convolution, layer->done > 0);
    assert_true(layer->done <= layer->multiply_adds);
    if (convolution && strcmp(layer->way, "winograd") != 0)
        assert_true(layer->done == layer->multiply_adds);
}

static void check_sums(const struct fg_layers *layers) {
    double multiply_adds = 0;
    uint32_t steps = 0, convolutions = 0;
    for (uint32_t i = 0; i < layers->layers; i++) {
        check_layer(&layers->layer[i]);
        multiply_adds += layers->layer[i].multiply_adds;
        steps += layers->layer[i].steps;
        convolutions += *layers->layer[i].shape != 0;
    }
    uint32_t expected = 0;
    for (uint32_t n = 0; n < network.nodes; n++)
        expected += network.node[n].op == FG_CONV || network.node[n].op == FG_DECONV;
    assert_int_equal(convolutions, expected);
    assert_true(steps > layers->layers);
    assert_true(multiply_adds == fg_network_cost(&network));
}

static void test_layers_are_the_network(void **state) {
    (void)state;
    for (int backbone = 0; backbone < FG_BACKBONES; backbone++) {
        struct fg_layers layers;
        make_network((enum fg_backbone)backbone);
        measure(1 + (uint32_t)backbone % 2, false, &layers);
        check_sums(&layers);
        static const char *const names[] = {"teacher.conv1",
                                            "teacher.layer2.0.downsample.0",
                                            "bottleneck.scconv.gwc",
                                            "student.layer1.0.conv1",
                                            "fmm.0.gen2",
                                            "resize",
                                            "cosine",
                                            "anomaly_map"};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            assert_true(has_layer(&layers, names[i]));
        assert_true(isfinite(layers.whole_ms) && layers.whole_ms > 0 && layers.rounds >= 10);
        assert_true(layers.multiply_adds > 0 && layers.bytes > 0);
        fg_layers_free(&layers);
    }
}

static void test_int8_layers(void **state) {
    (void)state;
    struct fg_layers layers;
    make_network(FG_RESNET18);
    measure(2, true, &layers);
    check_sums(&layers);
    assert_true(isfinite(layers.int8_multiply_adds) && layers.int8_multiply_adds > 0);
    uint32_t int8 = 0, expected = 0;
    for (uint32_t i = 0; i < layers.layers; i++) {
        assert_int_equal(layers.layer[i].int8, !strcmp(layers.layer[i].way, "int8"));
        int8 += layers.layer[i].int8;
    }
    for (uint32_t n = 0; n < network.nodes; n++)
        expected += fg_node_can_be_int8(&network, &network.node[n]);
    assert_int_equal(int8, expected);
    assert_true(expected > 20);
    fg_layers_free(&layers);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layers_are_the_network),
                                       cmocka_unit_test(test_int8_layers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
