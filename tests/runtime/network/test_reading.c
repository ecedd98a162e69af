/* How int8 convolutions read values: which can be int8, which values are kept as numbers of 8 bits, and what
 * is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "runtime/network/reading.h"

static struct fg_network network;
static struct fg_reading reading[FG_NETWORK_PARAMS];
static struct fg_read_value value[FG_NETWORK_VALUES];
static struct fg_message message;

static bool is_convolution(const struct fg_node *node) {
    return node->op == FG_CONV || node->op == FG_DECONV;
}

static void build(int32_t base, bool scconv, bool fmm, uint32_t levels) {
    const struct fg_network_spec spec = {.backbone = FG_RESNET18,
                                         .height = 64,
                                         .width = 64,
                                         .base = base,
                                         .scconv = scconv,
                                         .simam = true,
                                         .fmm = fmm,
                                         .levels = levels};
    if (fg_network_init(&network, &spec, &message) != FG_OK)
        fail_msg("%s", message.text);
}

/* Gives the value that a mask passes on, or the value itself. */
static int32_t source_of(int32_t v) {
    for (uint32_t n = 0; n < network.nodes; n++)
        if (network.node[n].op == FG_MASK && network.node[n].out[0] == v)
            return network.node[n].in[0];
    return v;
}

/* Makes all int8 that can be; each value is read in a way of its own. */
static void read_all(void) {
    memset(reading, 0, sizeof reading);
    for (uint32_t n = 0; n < network.nodes; n++) {
        const struct fg_node *node = &network.node[n];
        const int32_t from = source_of(node->in[0]);
        if (fg_node_can_be_int8(&network, node))
            reading[node->weight] = (struct fg_reading){0.5f + (float)from, from};
    }
}

/* Finds the convolution with this name. */
static const struct fg_node *find(const char *name) {
    char weight[FG_NAME_SIZE];
    snprintf(weight, sizeof weight, "%s.weight", name);
    for (uint32_t n = 0; n < network.nodes; n++)
        if (is_convolution(&network.node[n]) && !strcmp(network.param[network.node[n].weight].name, weight))
            return &network.node[n];
    fail_msg("the network has no %s", name);
    return NULL;
}

static struct fg_reading *reading_of(const char *name) {
    return &reading[find(name)->weight];
}

static void find_values(void) {
    if (fg_network_read(&network, reading, value, &message) != FG_OK)
        fail_msg("%s", message.text);
}

/* The value that a convolution makes. */
static const struct fg_read_value *made_by(const char *name) {
    return &value[find(name)->out[0]];
}

/* Compares the values of one module that are kept, by the convolutions that make them, with a list. */
static void expect_kept(enum fg_module module, const char *expected) {
    char names[4096] = "";
    for (uint32_t n = 0; n < network.nodes; n++) {
        const struct fg_node *node = &network.node[n];
        if (node->module != module || node->out[0] < 0 || !value[node->out[0]].kept)
            continue;
        assert_true(is_convolution(node));
        const char *name = network.param[node->weight].name;
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%.*s", *names ? " " : "",
                 (int)(strlen(name) - strlen(".weight")), name);
    }
    assert_string_equal(names, expected);
}

static void test_which_can(void **state) {
    (void)state;
    static const int32_t bases[] = {64, 4};
    for (size_t k = 0; k < 2; k++) {
        build(bases[k], true, true, 7);
        uint32_t convolutions = 0, can = 0;
        for (uint32_t n = 0; n < network.nodes; n++) {
            convolutions += is_convolution(&network.node[n]);
            can += fg_node_can_be_int8(&network, &network.node[n]);
        }
        assert_true(fg_node_can_be_int8(&network, find("teacher.conv1"))); /* it reads the picture */
        /* Of base 4, SCConv's two groups have two channels each. */
        assert_true(fg_node_can_be_int8(&network, find("bottleneck.scconv.gwc")) == (bases[k] == 64));
        assert_true(fg_node_can_be_int8(&network, find("student.layer3.0.conv1"))); /* a transposed one */
        assert_int_equal(can, convolutions - (bases[k] == 64 ? 0 : 1));
    }
}

/* What is kept, module by module: not what the scene, the cosines, the pool, the gates or sums read. */
static void test_kept(void **state) {
    (void)state;
    build(64, true, true, 7);
    read_all();
    find_values();
    expect_kept(FG_TEACHER, "teacher.layer1.0.conv1 teacher.layer1.0.conv2 teacher.layer1.1.conv1 "
                            "teacher.layer2.0.conv1 teacher.layer2.0.conv2 teacher.layer2.1.conv1 "
                            "teacher.layer3.0.conv1 teacher.layer3.0.conv2 teacher.layer3.1.conv1");
    expect_kept(FG_BOTTLENECK, "bottleneck.down1a bottleneck.scconv.squeeze1 bottleneck.oce.0.conv1 "
                               "bottleneck.oce.0.conv2 bottleneck.oce.1.conv1 bottleneck.oce.1.conv2");
    expect_kept(
        FG_STUDENT,
        "student.layer3.0.conv1 student.layer3.0.conv2 student.layer3.1.conv1 student.layer3.1.conv2 "
        "student.layer2.0.conv1 student.layer2.0.conv2 student.layer2.1.conv1 student.layer2.1.conv2 "
        "student.layer1.0.conv1 student.layer1.0.conv2 student.layer1.1.conv1 student.layer1.1.conv2");
    expect_kept(FG_FMM, "fmm.2.align fmm.2.gen1 fmm.1.align fmm.1.gen1 fmm.0.align fmm.0.gen1");

    /* A value has the reading of the convolutions that read it, kept or not; the mask behind it has none. */
    for (uint32_t n = 0; n < network.nodes; n++) {
        const struct fg_node *node = &network.node[n];
        if (!fg_node_can_be_int8(&network, node))
            continue;
        const int32_t from = source_of(node->in[0]);
        assert_true(value[from].reading.scale == 0.5f + (float)from && value[from].reading.zero == from);
    }
    assert_true(value[find("fmm.0.gen1")->in[0]].reading.scale == 0);
    assert_true(made_by("teacher.layer1.1.conv2")->reading.scale > 0); /* F_E1, which is not kept */
    assert_true(made_by("teacher.layer2.0.downsample.0")->reading.scale == 0);
}

/* Without FMM the cosines read the student's stages, which the next stage reads too. */
static void test_without_masks(void **state) {
    (void)state;
    build(64, false, false, 7);
    read_all();
    find_values();
    expect_kept(FG_FMM, "");
    expect_kept(FG_STUDENT, "student.layer3.0.conv1 student.layer3.0.conv2 student.layer3.1.conv1 "
                            "student.layer2.0.conv1 student.layer2.0.conv2 student.layer2.1.conv1 "
                            "student.layer1.0.conv1 student.layer1.0.conv2 student.layer1.1.conv1");
    assert_true(made_by("student.layer3.1.conv2")->reading.scale > 0);
    /* Without SCConv the fused levels go to a convolution alone. */
    expect_kept(FG_BOTTLENECK, "bottleneck.down1a bottleneck.fuse bottleneck.oce.0.conv1 "
                               "bottleneck.oce.0.conv2 bottleneck.oce.1.conv1 bottleneck.oce.1.conv2");

    /* No cosine reads a level that is not used: the next stage alone does. The scene reads the teacher. */
    build(64, false, false, 1);
    read_all();
    find_values();
    assert_true(made_by("student.layer3.1.conv2")->kept && made_by("student.layer2.1.conv2")->kept);
    assert_false(made_by("student.layer1.1.conv2")->kept);
    assert_false(made_by("teacher.layer2.1.conv2")->kept || made_by("teacher.layer3.1.conv2")->kept);
}

/* A float convolution that reads a value, as input or residual, or makes it, leaves it float. */
static void test_float_neighbours(void **state) {
    (void)state;
    build(4, true, true, 7);
    read_all();
    find_values();
    assert_true(made_by("teacher.layer1.0.conv2")->kept && made_by("teacher.layer1.0.conv1")->kept);
    *reading_of("teacher.layer1.1.conv2") = (struct fg_reading){0, 0}; /* its residual */
    find_values();
    assert_false(made_by("teacher.layer1.0.conv2")->kept || made_by("teacher.layer1.1.conv1")->kept);
    assert_true(made_by("teacher.layer1.0.conv2")->reading.scale > 0);
    assert_true(made_by("teacher.layer1.1.conv1")->reading.scale == 0);

    read_all();
    *reading_of("teacher.layer1.1.conv1") =
        (struct fg_reading){0, 0}; /* its input: only a residual is left */
    find_values();
    assert_false(made_by("teacher.layer1.0.conv2")->kept);
    assert_true(made_by("teacher.layer1.0.conv2")->reading.scale == 0);

    read_all();
    *reading_of("teacher.layer1.0.conv2") = (struct fg_reading){0, 0}; /* what makes it */
    find_values();
    assert_false(made_by("teacher.layer1.0.conv2")->kept);
    assert_true(made_by("teacher.layer1.0.conv2")->reading.scale > 0);

    read_all();
    *reading_of("fmm.1.gen1") = (struct fg_reading){0, 0}; /* behind a mask */
    find_values();
    assert_false(made_by("fmm.1.align")->kept || made_by("fmm.1.gen1")->kept);
    assert_true(made_by("fmm.0.align")->kept);

    /* Of base 4 the grouped convolution is float, and reads what pwc1 reads. */
    assert_false(made_by("bottleneck.scconv.squeeze1")->kept);
    assert_true(made_by("bottleneck.scconv.squeeze1")->reading.scale > 0);
}

static void expect_refused(const char *because) {
    message.text[0] = 0;
    if (fg_network_read(&network, reading, value, &message) != FG_INPUT)
        fail_msg("taken, but: %s", because);
    if (!strstr(message.text, because))
        fail_msg("refused, not because \"%s\" but: %s", because, message.text);
}

static void test_two_readers(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"teacher.layer2.0.downsample.0", "teacher.layer2.0.conv1"},
                                           {"student.layer3.0.downsample.0", "student.layer3.0.conv1"},
                                           {"bottleneck.scconv.pwc1", "bottleneck.scconv.gwc"},
                                           {"teacher.layer2.0.conv1", "bottleneck.down1a"},
                                           {"student.layer2.0.conv1", "fmm.2.align"}};
    build(64, true, true, 7);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int zero = 0; zero < 2; zero++) {
            read_all();
            find_values();
            struct fg_reading *one = reading_of(pairs[i][0]);
            const struct fg_reading *two = reading_of(pairs[i][1]);
            assert_true(one->scale == two->scale && one->zero == two->zero);
            if (zero)
                one->zero ^= 1;
            else
                one->scale = nextafterf(one->scale, 1e9f);
            expect_refused("reads its input in another way than the convolution beside it");
        }
}

static void test_refused(void **state) {
    (void)state;
    build(4, true, true, 7);
    static const float scales[] = {-1, INFINITY, NAN};
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        read_all();
        reading_of("fmm.2.gen2")->scale = scales[i];
        expect_refused("fmm.2.gen2.weight: its input has scale");
    }
    static const int32_t zeros[] = {-1, 256, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++) {
        read_all();
        reading_of("fmm.2.gen2")->zero = zeros[i];
        expect_refused("fmm.2.gen2.weight: its input has scale");
    }
    static const char *const names[] = {"bottleneck.scconv.gwc.weight", "teacher.bn1.bias",
                                        "bottleneck.scconv.gn.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char because[128];
        read_all();
        reading[fg_network_find(&network, names[i])] = (struct fg_reading){1, 0};
        snprintf(because, sizeof because, "%s cannot have weights of 8 bits", names[i]);
        expect_refused(because);
    }
    /* A convolution that no used level needs judges nothing. */
    build(4, true, true, 4);
    read_all();
    reading[fg_network_find(&network, "student.layer1.0.conv1.weight")] = (struct fg_reading){1, 0};
    expect_refused("student.layer1.0.conv1.weight cannot have weights of 8 bits");
}

static void test_none(void **state) {
    (void)state;
    build(4, true, true, 7);
    memset(reading, 0, sizeof reading);
    for (int null = 0; null < 2; null++) {
        memset(value, 0xff, sizeof value);
        assert_int_equal(fg_network_read(&network, null ? NULL : reading, value, NULL), FG_OK);
        for (uint32_t v = 0; v < network.values; v++)
            assert_true(!value[v].kept && value[v].reading.scale == 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_can),     cmocka_unit_test(test_kept),
        cmocka_unit_test(test_without_masks), cmocka_unit_test(test_float_neighbours),
        cmocka_unit_test(test_two_readers),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
