/* A network that outgrows one of its lists, or the room of a name, is refused with a sentence, with asserts
 * and without. The builder is compiled here once more with less room, because no network of today needs all
 * of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/network/network.h"

#undef FG_NETWORK_NODES
#undef FG_NETWORK_VALUES
#undef FG_NETWORK_PARAMS
/* Each network below passes exactly one of these first. */
#define FG_NETWORK_NODES 37
#define FG_NETWORK_VALUES 38
#define FG_NETWORK_PARAMS 175

#include "runtime/network/network.c"

static void refused(enum fg_backbone backbone, bool scconv, const char *because) {
    static struct fg_network network;
    const struct fg_network_spec spec = {.backbone = backbone,
                                         .height = 64,
                                         .width = 64,
                                         .base = 4,
                                         .scconv = scconv,
                                         .simam = true,
                                         .levels = 7};
    struct fg_message message = {""};
    assert_int_equal(fg_network_init(&network, &spec, &message), FG_USAGE);
    if (!strstr(message.text, because))
        fail_msg("\"%s\" does not say \"%s\"", message.text, because);
    assert_int_equal(fg_network_init(&network, &spec, NULL), FG_USAGE);
}

static void test_too_many_nodes(void **state) {
    (void)state;
    refused(FG_RESNET34, false, "resnet34 needs more than 37 nodes");
}

static void test_too_many_values(void **state) {
    (void)state;
    refused(FG_RESNET34, true, "resnet34 needs more than 38 values");
}

static void test_too_many_parameters(void **state) {
    (void)state;
    refused(FG_RESNET50, false, "resnet50 needs more than 175 parameters");
}

/* No network's names come near the end of their room: the builder is asked alone. */
static void test_a_name_too_long(void **state) {
    (void)state;
    struct fg_message message = {""};
    struct builder b = {.message = &message};
    char name[FG_NAME_SIZE];
    make_name(&b, name, "%0*d", FG_NAME_SIZE - 1, 7);
    assert_int_equal(b.status, FG_OK);
    make_name(&b, name, "%0*d", FG_NAME_SIZE, 7);
    assert_int_equal(b.status, FG_USAGE);
    assert_int_equal(strlen(name), FG_NAME_SIZE - 1);
    assert_non_null(strstr(message.text, "more than 63 characters"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_too_many_nodes),
        cmocka_unit_test(test_too_many_values),
        cmocka_unit_test(test_too_many_parameters),
        cmocka_unit_test(test_a_name_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
