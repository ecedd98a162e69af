/* Every CPU operator against the reference, with 1, 2 and 3 threads. Bounds are those of the project. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/reference/cases.h"

static struct fg_cases cases = {.direct = 1e-5, .winograd = 2e-5, .backward = 1e-4};

static int open_backends(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        if (fg_cpu_open(i + 1, 1, &cases.backend[i], NULL) != FG_OK)
            return -1;
    fg_cases_open(&cases);
    return 0;
}

static int close_backends(void **state) {
    (void)state;
    fg_cases_print();
    for (int i = 0; i < 3; i++)
        cases.backend[i]->close(cases.backend[i]);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fg_case_conv),
        cmocka_unit_test(fg_case_large_conv),
        cmocka_unit_test(fg_case_deconv),
        cmocka_unit_test(fg_case_batch_norm),
        cmocka_unit_test(fg_case_max_pool),
        cmocka_unit_test(fg_case_concat),
        cmocka_unit_test(fg_case_sru),
        cmocka_unit_test(fg_case_cru),
        cmocka_unit_test(fg_case_simam),
        cmocka_unit_test(fg_case_moments),
        cmocka_unit_test(fg_case_normalise),
        cmocka_unit_test(fg_case_mask),
        cmocka_unit_test(fg_case_cosine_and_distill),
        cmocka_unit_test(fg_case_anomaly_map),
        cmocka_unit_test(fg_case_adam),
    };
    return cmocka_run_group_tests(tests, open_backends, close_backends);
}
