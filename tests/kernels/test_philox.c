/* Philox 4x32-10 against the known answers that its authors publish (Random123, kat_vectors), and what is
 * made of its words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/philox.h"

static void check(struct fg_philox r, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    assert_int_equal(r.word[0], a);
    assert_int_equal(r.word[1], b);
    assert_int_equal(r.word[2], c);
    assert_int_equal(r.word[3], d);
}

static void known_answers(void **state) {
    (void)state;
    check(fg_philox(0, 0, 0, 0, 0), 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
    check(fg_philox(UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX), 0x408f276d, 0x41c83b0e,
          0xa20bc7c6, 0x6d5451fd);
}

static void uniform_numbers_stay_below_one(void **state) {
    (void)state;
    assert_true(fg_philox_uniform(0) == 0.0f);
    assert_true(fg_philox_uniform(UINT32_MAX) < 1.0f);
    assert_true(fg_philox_uniform(0x80000000u) == 0.5f);
}

/* Rate 0 hides nothing, rate 1 everything, 0.4 four in ten; another image or level has another mask. */
static void masks(void **state) {
    (void)state;
    enum { POSITIONS = 10000 };
    int shown = 0, differs_by_image = 0, differs_by_level = 0, differs_by_epoch = 0;
    for (uint32_t p = 0; p < POSITIONS; p++) {
        assert_true(fg_philox_mask(7, 1, 2, 3, p, 0.0f) == 1.0f);
        assert_true(fg_philox_mask(7, 1, 2, 3, p, 1.0f) == 0.0f);
        const float value = fg_philox_mask(7, 1, 2, 3, p, 0.4f);
        shown += value == 1.0f;
        differs_by_image += fg_philox_mask(7, 1, 5, 3, p, 0.4f) != value;
        differs_by_level += fg_philox_mask(7, 1, 2, 1, p, 0.4f) != value;
        differs_by_epoch += fg_philox_mask(7, 2, 2, 3, p, 0.4f) != value;
    }
    assert_in_range(shown, 5800, 6200); /* four standard deviations of a fair draw */
    assert_true(differs_by_image > 4000 && differs_by_level > 4000 && differs_by_epoch > 4000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(uniform_numbers_stay_below_one),
        cmocka_unit_test(masks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
