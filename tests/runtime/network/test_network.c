/* The description against the figures of runtime/network/network.h, section 9 and the shapes of sections 2 to
 * 5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/network/network.h"

static struct fg_network network;

static struct fg_network_spec spec(enum fg_backbone backbone) {
    return (struct fg_network_spec){.backbone = backbone,
                                    .height = 256,
                                    .width = 256,
                                    .base = 64,
                                    .scconv = true,
                                    .simam = true,
                                    .fmm = true,
                                    .levels = 7};
}

static void build(const struct fg_network_spec *s) {
    struct fg_message message;
    if (fg_network_init(&network, s, &message) != FG_OK)
        fail_msg("%s", message.text);
}

static double millions(enum fg_module module) {
    double sum = 0;
    for (uint32_t i = 0; i < network.params; i++) {
        const struct fg_param *p = &network.param[i];
        struct fg_tensor t = fg_param_tensor(p);
        if (p->module == module && p->kind != FG_PARAM_BN_MEAN && p->kind != FG_PARAM_BN_VAR)
            sum += (double)fg_tensor_count(&t);
    }
    return sum / 1e6;
}

static void test_cost(void **state) {
    (void)state;
    static const struct {
        enum fg_backbone backbone;
        double giga;
    } cost[] = {{FG_RESNET18, 5.2}, {FG_RESNET34, 9.7}, {FG_RESNET50, 30.6}, {FG_WIDE_RESNET50_2, 46.5}};
    for (size_t i = 0; i < sizeof cost / sizeof *cost; i++) {
        struct fg_network_spec s = spec(cost[i].backbone);
        build(&s);
        printf("%s: %.2f G multiply-adds, %u nodes, %u values, %u parameters\n", fg_backbone_name(s.backbone),
               fg_network_cost(&network) / 1e9, network.nodes, network.values, network.params);
        assert_true(fg_network_cost(&network) / 1e9 > cost[i].giga - 0.051);
        assert_true(fg_network_cost(&network) / 1e9 < cost[i].giga + 0.051);
    }
    static const double parameters[] = {24.9, 58.7, 24.9, 26.2}; /* those of the last, by module */
    for (int module = FG_TEACHER; module <= FG_FMM; module++) {
        printf("module %d: %.2f M parameters\n", module, millions((enum fg_module)module));
        assert_true(millions((enum fg_module)module) > parameters[module] - 0.051);
        assert_true(millions((enum fg_module)module) < parameters[module] + 0.051);
    }
}

/* The words of option tables are the names in the order of their numbers. */
static void test_backbone_names(void **state) {
    (void)state;
    const char *word = FG_BACKBONE_WORDS;
    for (int i = 0; i < FG_BACKBONES; i++) {
        const char *name = fg_backbone_name((enum fg_backbone)i);
        const size_t length = strlen(name);
        assert_int_equal(fg_backbone_find(name), i);
        assert_memory_equal(word, name, length);
        assert_true(word[length] == (i + 1 < FG_BACKBONES ? '|' : 0));
        word += length + 1;
    }
    assert_int_equal(fg_backbone_find("resnet"), FG_BACKBONES);
}

static void test_shapes(void **state) {
    (void)state;
    for (int backbone = 0; backbone < FG_BACKBONES; backbone++) {
        struct fg_network_spec s = spec((enum fg_backbone)backbone);
        s.height = 160;
        s.width = 384;
        build(&s);
        const int32_t expansion = fg_backbone_shape((enum fg_backbone)backbone)->bottleneck ? 4 : 1;
        assert_int_equal(network.levels, 3);
        for (int32_t i = 0; i < 3; i++) {
            const struct fg_value *e = &network.value[network.teacher[i]],
                                  *g = &network.value[network.student[i]];
            assert_int_equal(e->h, 160 >> (i + 2));
            assert_int_equal(e->w, 384 >> (i + 2));
            assert_int_equal(e->c, (64 << i) * expansion);
            assert_memory_equal(e, g, sizeof *e);
        }
    }
}

/* Every node reads only values that an earlier node (or the picture) has made, and every value is made once.
 */
static void test_order(void **state) {
    (void)state;
    for (uint32_t levels = 1; levels <= 7; levels++)
        for (int backbone = 0; backbone < FG_BACKBONES; backbone++)
            for (int off = 0; off < 8; off++) {
                struct fg_network_spec s = spec((enum fg_backbone)backbone);
                s.levels = levels;
                s.scconv = !(off & 1);
                s.simam = !(off & 2);
                s.fmm = !(off & 4);
                build(&s);
                bool made[FG_NETWORK_VALUES] = {[0] = true};
                for (uint32_t n = 0; n < network.nodes; n++) {
                    const struct fg_node *node = &network.node[n];
                    for (int i = 0; i < FG_MAX_IN; i++)
                        assert_true(node->in[i] < 0 || made[node->in[i]]);
                    assert_true(node->residual < 0 || made[node->residual]);
                    for (int i = 0; i < FG_MAX_OUT; i++)
                        if (node->out[i] >= 0) {
                            assert_false(made[node->out[i]]);
                            made[node->out[i]] = true;
                        }
                }
                for (uint32_t i = 0; i < network.levels; i++)
                    assert_true(made[network.teacher[i]] && made[network.student[i]]);
                /* The scene's descriptor takes all of the teacher's features, used or not. */
                uint32_t descriptors = 0;
                for (int i = 0; i < FG_NETWORK_LEVELS; i++) {
                    assert_true(made[network.feature[i]]);
                    descriptors += 2 * (uint32_t)network.value[network.feature[i]].c;
                }
                assert_int_equal(network.descriptors, descriptors);
            }
}

static void test_names(void **state) {
    (void)state;
    struct fg_network_spec s = spec(FG_WIDE_RESNET50_2);
    build(&s);
    static const struct {
        const char *name;
        int32_t shape[4];
    } expected[] = {
        {"teacher.conv1.weight", {64, 3, 7, 7}},
        {"teacher.bn1.running_var", {64, 1, 1, 1}},
        {"teacher.layer1.0.downsample.0.weight", {256, 64, 1, 1}},
        {"teacher.layer3.5.conv2.weight", {512, 512, 3, 3}},
        {"bottleneck.down1a.weight", {512, 256, 3, 3}},
        {"bottleneck.fuse.weight", {1024, 3072, 1, 1}},
        {"bottleneck.scconv.gwc.weight", {1024, 128, 3, 3}},
        {"bottleneck.scconv.gwc.bias", {1024, 1, 1, 1}},
        {"bottleneck.scconv.pwc2.weight", {768, 256, 1, 1}},
        {"bottleneck.oce.2.conv3.weight", {2048, 1024, 1, 1}},
        {"student.layer3.0.conv2.weight", {512, 512, 2, 2}},
        {"student.layer3.0.downsample.0.weight", {2048, 1024, 2, 2}},
        {"student.layer1.2.conv1.weight", {128, 256, 1, 1}},
        {"fmm.2.gen2.weight", {1024, 1024, 3, 3}},
        {"fmm.0.align.bias", {256, 1, 1, 1}},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        int32_t found = fg_network_find(&network, expected[i].name);
        if (found < 0)
            fail_msg("%s is missing", expected[i].name);
        assert_memory_equal(network.param[found].shape, expected[i].shape, sizeof expected[i].shape);
    }
    for (uint32_t i = 0; i < network.params; i++)
        assert_int_equal(fg_network_find(&network, network.param[i].name), i);
}

static void test_refused(void **state) {
    (void)state;
    struct fg_message message;
    struct fg_network_spec good = spec(FG_RESNET18);
    struct fg_network_spec bad[7];
    for (int i = 0; i < 7; i++)
        bad[i] = good;
    bad[0].backbone = FG_BACKBONES;
    bad[1].height = 32;
    bad[2].width = 1056;
    bad[3].width = 250;
    bad[4].levels = 0;
    bad[5].levels = 8;
    bad[6].base = 128;
    for (int i = 0; i < 7; i++) {
        message.text[0] = 0;
        assert_int_equal(fg_network_init(&network, &bad[i], &message), FG_INPUT);
        assert_string_not_equal(message.text, "");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cost),  cmocka_unit_test(test_backbone_names), cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_order), cmocka_unit_test(test_names),          cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
