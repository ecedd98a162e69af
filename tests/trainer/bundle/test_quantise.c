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

static void test_weights_are_the_nearest_numbers_of_their_channel(void **state) {
    (void)state;
    struct fg_int8 int8 = {.error = 0};
    const struct fg_quantising quantising = describe(false);
    ok(fg_int8_make(&int8, &quantising, &message));
    assert_true(int8.quantised > 0 && int8.quantised <= int8.convolutions);
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

/* The first convolution reads every picture that there can be, whatever colours the good ones have. */
static void test_first_convolution_reads_every_picture(void **state) {
    (void)state;
    struct fg_int8 int8 = {.error = 0};
    const struct fg_quantising quantising = describe(false);
    ok(fg_int8_make(&int8, &quantising, &message));
    const struct fg_quantised *first = &int8.param[fg_network_find(&network, "teacher.conv1.weight")];
    assert_non_null(first->weight);
    const float least = -first->reading.scale * (float)first->reading.zero,
                most = least + 255 * first->reading.scale, rounding = first->reading.scale;
    assert_true(fabsf(least - (0 - 0.485f) / 0.229f) <= rounding); /* black in red, white in blue */
    assert_true(fabsf(most - (1 - 0.406f) / 0.225f) <= rounding);
    assert_non_null(int8.param[fg_network_find(&network, "teacher.layer1.0.conv1.weight")].weight);
    assert_non_null(int8.param[fg_network_find(&network, "student.layer1.0.conv1.weight")].weight);
    fg_int8_close(&int8);
}

/* What a value is read by reaches a quarter further than what nearly all numbers of a picture need, because a
 * defect may need more; behind a ReLU the smallest is 0. */
static void test_readings_cover_what_pictures_have(void **state) {
    (void)state;
    struct fg_int8 int8 = {.error = 0};
    const struct fg_quantising quantising = describe(false);
    ok(fg_int8_make(&int8, &quantising, &message));
    struct fg_probe *probe;
    ok(fg_probe_open(&network, &folded, NULL, true, backend, &probe, &message));
    ok(fg_probe_run(probe, picture[0], &message));
    for (uint32_t n = 0; n < network.nodes; n++) {
        const struct fg_node *node = &network.node[n];
        if (node->weight < 0 || !int8.param[node->weight].weight || node->in[0] == network.input)
            continue;
        const struct fg_reading reading = int8.param[node->weight].reading;
        const struct fg_value *v = &network.value[node->in[0]];
        const size_t count = (size_t)v->h * (size_t)v->w * (size_t)v->c;
        const float *value = fg_probe_value(probe, node->in[0]);
        const float least = -reading.scale * (float)reading.zero, most = least + 255 * reading.scale;
        size_t beyond = 0; /* in the last fifth, but for rounding */
        for (size_t i = 0; i < count; i++)
            beyond += value[i] < 0.8f * least - reading.scale || value[i] > 0.8f * most + reading.scale;
        assert_true(beyond * 1000 <= count);
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

static float *find_values(const char *name, size_t *count) {
    const int32_t p = fg_network_find(&network, name);
    const struct fg_tensor t = fg_param_tensor(&network.param[p]);
    *count = fg_tensor_count(&t);
    return (float *)(uintptr_t)folded.value[p];
}

/* Multiplies what a convolution makes of its first output channel, and divides what the next one makes of it:
 * the network computes what it did, but int8 numbers for one channel leave none for the others. */
static void stretch_channel(float factor) {
    size_t count;
    float *made = find_values("teacher.layer2.1.conv1.weight", &count);
    for (size_t i = 0; i < 9 * 16; i++)
        made[i] /= factor;
    find_values("teacher.layer2.1.bn1.bias", &count)[0] /= factor;
    float *read = find_values("teacher.layer2.1.conv2.weight", &count);
    for (size_t i = 0; i < count; i += 16)
        read[i] *= factor;
}

static void test_what_int8_spoils_stays_float(void **state) {
    (void)state;
    const int32_t spoilt = fg_network_find(&network, "teacher.layer2.1.conv2.weight");
    struct fg_int8 as_drawn = {.error = 0}, stretched = {.error = 0};
    const struct fg_quantising quantising = describe(true);
    ok(fg_int8_make(&as_drawn, &quantising, &message));
    stretch_channel(10000);
    ok(fg_int8_make(&stretched, &quantising, &message));
    /* The student has learned from it as float, so it stays so. */
    struct fg_int8 all = stretched;
    const struct fg_quantising rest = describe(false);
    const bool float_after_teacher = !stretched.param[spoilt].weight;
    ok(fg_int8_make(&all, &rest, &message));
    assert_true(float_after_teacher && !all.param[spoilt].weight && all.quantised > stretched.quantised);
    stretched = all;
    stretch_channel(1e-4f);
    assert_non_null(as_drawn.param[spoilt].weight);
    assert_null(stretched.param[spoilt].weight);
    assert_true(stretched.quantised > 0);
    assert_true(stretched.error <= FG_QUANTISE_MOST);
    fg_int8_close(&as_drawn);
    fg_int8_close(&stretched);
}

static void test_what_is_not_finite_is_refused(void **state) {
    (void)state;
    static const char *const names[] = {"teacher.layer1.0.conv1.weight", "teacher.conv1.weight",
                                        "student.layer1.1.bn2.bias"};
    const struct fg_quantising quantising = describe(false);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct fg_int8 int8 = {.error = 0};
        size_t count;
        float *value = find_values(names[i], &count), kept = *value;
        *value = NAN;
        assert_int_equal(fg_int8_make(&int8, &quantising, &message), FG_INPUT);
        assert_non_null(strstr(message.text, "finite"));
        *value = kept;
        fg_int8_close(&int8);
    }
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
        cmocka_unit_test(test_first_convolution_reads_every_picture),
        cmocka_unit_test(test_readings_cover_what_pictures_have),
        cmocka_unit_test(test_teacher_first),
        cmocka_unit_test(test_what_int8_spoils_stays_float),
        cmocka_unit_test(test_what_is_not_finite_is_refused),
        cmocka_unit_test(test_a_channel_of_zeros),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
