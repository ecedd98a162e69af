/* The choice of a device: what a group is made of, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "runtime/engine/device.h"

static struct fg_message message, said;

static void test_group_of_cpus(void **state) {
    (void)state;
    struct fg_backend *group[FG_MAX_DEVICES] = {NULL};
    const struct fg_device_choice choice = {.device = FG_COMPUTE_CPU, .threads = 5};
    assert_int_equal(fg_device_open_group(&choice, 2, group, &said, &message), FG_OK);
    assert_non_null(strstr(said.text, "2 times cpu"));
    assert_ptr_not_equal(group[0], group[1]);
    assert_null(group[2]);
    float a[] = {1, 2}, b[] = {3, 6}, *values[] = {a, b};
    assert_int_equal(group[0]->share(group, values, 2, 2, &message), FG_OK);
    assert_true(a[0] == 2 && b[0] == 2 && a[1] == 4 && b[1] == 4);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(group[i]->device.threads, 2);
        group[i]->close(group[i]);
    }
    /* Each has one thread, however few there are. */
    const struct fg_device_choice little = {.device = FG_COMPUTE_CPU, .threads = 1};
    assert_int_equal(fg_device_open_group(&little, FG_MAX_DEVICES, group, &said, &message), FG_OK);
    for (int i = 0; i < FG_MAX_DEVICES; i++) {
        assert_int_equal(group[i]->device.threads, 1);
        group[i]->close(group[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group_of_cpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
