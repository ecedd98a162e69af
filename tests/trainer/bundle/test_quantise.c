/* Convolutions become int8: their numbers, what they read, and which stay float. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/bundle/probe.h"
#include "trainer/bundle/quantise.h"

#define SIDE 64
#define PICTURES 4

static struct fg_message message;
static struct fg_backend *backend;
static struct fg_network network;
static struct fg_folded folded;
static uint8_t pixels[PICTURES][SIDE * SIDE * 3];
static const uint8_t *picture[PICTURES];

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s", message.text);
}

/* A drawn network, so that maps are not 0, and pictures of blobs. */
static int set_up(void **state) {
    (void)state;
    struct fg_weights weights = {0};
    const struct fg_network_spec spec = {.backbone = FG_RESNET18,
                                         .height = SIDE,
                                         .width = SIDE,
                                         .base = 8,
                                         .scconv = true,
                                         .simam = true,
                                         .fmm = true,
                                         .levels = 7};
    ok(fg_network_init(&network, &spec, &message));
    ok(fg_weights_open(&weights, &network, &message));
    fg_weights_draw(&weights, 3, true);
    ok(fg_folded_open(&folded, &weights, &message));
    fg_weights_close(&weights);
    ok(fg_cpu_open(2, 1, &backend, &message));
    for (int i = 0; i < PICTURES; i++) {
        picture[i] = pixels[i];
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE * 3; x++)
                pixels[i][y * SIDE * 3 + x] = (uint8_t)(128 + 100 * sin(0.1 * y + i) * cos(0.05 * x));
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    fg_folded_close(&folded);
    backend->close(backend);
    return 0;
}

static struct fg_quantising describe(bool teacher) {
    return (struct fg_quantising){.network = &network,
                                  .folded = &folded,
                                  .backend = backend,
                                  .picture = picture,
                                  .pictures = PICTURES,
                                  .teacher = teacher};
}

static const float *find_value(const char *name) {
    return folded.value[fg_network_find(&network, name)];
}

static void test_weights_are_the_nearest_numbers_of_their_channel(void **state) {
    (void)state;
    struct fg_int8 int8 = {.error = 0};
    const struct fg_quantising quantising = describe(false);
    ok(fg_int8_make(&int8, &quantising, &message));
    assert_true(int8.quantised > 0 && int8.quantised < int8.convolutions);
    for (uint32_t p = 0; p < network.params; p++) {
        const struct fg_quantised *q = &int8.param[p];
        if (!q->weight)
            continue;
        const struct fg_param *param = &network.param[p];
        const struct fg_tensor t = fg_param_tensor(param);
        const size_t channels = (size_t)fg_param_channels(param), each = fg_tensor_count(&t) / channels;
        for (size_t i = 0; i < fg_tensor_count(&t); i++) {
            const size_t c = param->transposed ? i % channels : i / each;
            assert_true(q->weight[i] >= -127);
            assert_true(fabsf(folded.value[p][i] - (float)q->weight[i] * q->scale[c]) <=
                        0.5001f * q->scale[c]);
        }
        assert_true(q->reading.scale > 0 && q->reading.zero >= 0 && q->reading.zero <= 255);
    }
    fg_int8_close(&int8);
}

static void test_first_convolution_and_odd_channels_stay_float(void **state) {
    (void)state;
    struct fg_int8 int8 = {.error = 0};
    const struct fg_quantising quantising = describe(false);
    ok(fg_int8_make(&int8, &quantising, &message));
    assert_null(int8.param[fg_network_find(&network, "teacher.conv1.weight")].weight);
    assert_non_null(int8.param[fg_network_find(&network, "teacher.layer1.0.conv1.weight")].weight);
    assert_non_null(int8.param[fg_network_find(&network, "student.layer1.0.conv1.weight")].weight);
    fg_int8_close(&int8);
}

/* What a value is read by reaches from the smallest to the largest that pictures have, and what lies at the
 * smallest is 0 behind a ReLU. */
static void test_readings_cover_what_pictures_have(void **state) {
    (void)state;
    struct fg_int8 int8 = {.error = 0};
    const struct fg_quantising quantising = describe(false);
    ok(fg_int8_make(&int8, &quantising, &message));
    struct fg_probe *probe;
    ok(fg_probe_open(&network, &folded, NULL, backend, &probe, &message));
    ok(fg_probe_run(probe, picture[0], &message));
    for (uint32_t n = 0; n < network.nodes; n++) {
        const struct fg_node *node = &network.node[n];
        if (node->weight < 0 || !int8.param[node->weight].weight)
            continue;
        const struct fg_reading reading = int8.param[node->weight].reading;
        const struct fg_value *v = &network.value[node->in[0]];
        const size_t count = (size_t)v->h * (size_t)v->w * (size_t)v->c;
        const float *value = fg_probe_value(probe, node->in[0]);
        const float least = -reading.scale * (float)reading.zero, most = least + 255 * reading.scale;
        size_t outside = 0;
        for (size_t i = 0; i < count; i++)
            outside += value[i] < least - reading.scale || value[i] > most + reading.scale;
        assert_true(outside * 200 <= count);
    }
    fg_probe_close(probe);
    const struct fg_reading relu =
        int8.param[fg_network_find(&network, "teacher.layer1.0.conv2.weight")].reading;
    assert_int_equal(relu.zero, 0);
    fg_int8_close(&int8);
}

static void test_teacher_first(void **state) {
    (void)state;
    struct fg_int8 int8 = {.error = 0};
    struct fg_quantising quantising = describe(true);
    ok(fg_int8_make(&int8, &quantising, &message));
    const uint32_t teachers = int8.quantised;
    for (uint32_t p = 0; p < network.params; p++)
        assert_true(!int8.param[p].weight || network.param[p].module == FG_TEACHER);
    const int32_t first = fg_network_find(&network, "teacher.layer1.0.conv1.weight");
    const struct fg_quantised before = int8.param[first];
    assert_non_null(before.weight);
    quantising = describe(false);
    ok(fg_int8_make(&int8, &quantising, &message));
    assert_true(int8.quantised > teachers);
    assert_ptr_equal(int8.param[first].weight, before.weight);
    assert_true(int8.param[first].reading.scale == before.reading.scale);
    fg_int8_close(&int8);
}

static double measure_error(const struct fg_quantised *quantised) {
    struct fg_probe *as_is, *as_int8;
    ok(fg_probe_open(&network, &folded, NULL, backend, &as_is, &message));
    ok(fg_probe_open(&network, &folded, quantised, backend, &as_int8, &message));
    double error = 0;
    for (int i = 0; i < PICTURES; i++) {
        double sum = 0, squares = 0;
        ok(fg_probe_run(as_is, picture[i], &message));
        ok(fg_probe_run(as_int8, picture[i], &message));
        for (size_t p = 0; p < SIDE * SIDE; p++) {
            const double a = (double)fg_probe_map(as_is)[p], b = (double)fg_probe_map(as_int8)[p];
            sum += a;
            squares += (a - b) * (a - b);
        }
        error += squares / (SIDE * SIDE) / pow(sum / (SIDE * SIDE), 2);
    }
    fg_probe_close(as_is);
    fg_probe_close(as_int8);
    return sqrt(error / PICTURES);
}

/* One input channel with weights a thousand times those of the others leaves these no numbers. */
static void test_what_int8_spoils_stays_float(void **state) {
    (void)state;
    const int32_t spoilt = fg_network_find(&network, "student.layer2.0.conv1.weight");
    const struct fg_tensor t = fg_param_tensor(&network.param[spoilt]);
    float *value = (float *)(uintptr_t)find_value("student.layer2.0.conv1.weight"),
          *kept = malloc(fg_tensor_bytes(&t));
    memcpy(kept, value, fg_tensor_bytes(&t));
    /* What the spoilt channel reads must be 0, or it would hide the others. Transposed: {in, 2, 2, out}. */
    const int32_t before = fg_network_find(&network, "student.layer3.1.conv2.weight"),
                  norm = fg_network_find(&network, "student.layer3.1.bn2.bias");
    (void)before;
    (void)norm;
    for (int32_t i = 0; i < 4 * t.c; i++)
        value[i] *= 1000;
    struct fg_int8 int8 = {.error = 0};
    const struct fg_quantising quantising = describe(false);
    ok(fg_int8_make(&int8, &quantising, &message));
    assert_true(int8.error <= FG_QUANTISE_MOST);
    assert_true(fabs((double)int8.error - measure_error(int8.param)) <= 1e-6);
    fg_int8_close(&int8);
    memcpy(value, kept, fg_tensor_bytes(&t));
    free(kept);
}

static void test_a_channel_of_zeros(void **state) {
    (void)state;
    const int32_t p = fg_network_find(&network, "student.layer1.1.conv2.weight");
    const struct fg_tensor t = fg_param_tensor(&network.param[p]);
    float *value = (float *)(uintptr_t)folded.value[p], *kept = malloc(fg_tensor_bytes(&t));
    const size_t each = fg_tensor_count(&t) / (size_t)t.n;
    memcpy(kept, value, fg_tensor_bytes(&t));
    memset(value, 0, each * sizeof *value);
    struct fg_int8 int8 = {.error = 0};
    const struct fg_quantising quantising = describe(false);
    ok(fg_int8_make(&int8, &quantising, &message));
    assert_non_null(int8.param[p].weight);
    assert_true(int8.param[p].scale[0] > 0);
    for (size_t i = 0; i < each; i++)
        assert_int_equal(int8.param[p].weight[i], 0);
    fg_int8_close(&int8);
    memcpy(value, kept, fg_tensor_bytes(&t));
    free(kept);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_are_the_nearest_numbers_of_their_channel),
        cmocka_unit_test(test_first_convolution_and_odd_channels_stay_float),
        cmocka_unit_test(test_readings_cover_what_pictures_have),
        cmocka_unit_test(test_teacher_first),
        cmocka_unit_test(test_what_int8_spoils_stays_float),
        cmocka_unit_test(test_a_channel_of_zeros),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
