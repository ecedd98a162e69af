/* The procedural pictures: repeatable, varied, and with defects exactly where their masks say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/demo/picture_part.h"
#include "tools/demo/picture_texture.h"

#define SIZE 128
#define BYTES (SIZE * SIZE * 3)

static uint8_t one[BYTES], two[BYTES], mask[SIZE * SIZE];

/* Gives the mean absolute difference of two pictures' bytes. */
static double get_difference(const uint8_t *a, const uint8_t *b, size_t bytes) {
    double sum = 0;
    for (size_t i = 0; i < bytes; i++)
        sum += abs(a[i] - b[i]);
    return sum / (double)bytes;
}

static void test_part_repeats(void **state) {
    (void)state;
    for (int i = 0; i < FG_PICTURE_KINDS * FG_PICTURE_DEFECTS; i++) {
        const enum fg_picture_kind kind = (enum fg_picture_kind)(i / FG_PICTURE_DEFECTS);
        const enum fg_picture_defect defect = (enum fg_picture_defect)(i % FG_PICTURE_DEFECTS);
        uint8_t again[SIZE * SIZE];
        fg_picture_part(kind, 7, 3, defect, SIZE, one, mask);
        fg_picture_part(kind, 7, 3, defect, SIZE, two, again);
        assert_memory_equal(one, two, BYTES);
        assert_memory_equal(mask, again, sizeof mask);
        fg_picture_part(kind, 7, 3, defect, SIZE, two, NULL);
        assert_memory_equal(one, two, BYTES);
    }
}

static void test_parts_vary(void **state) {
    (void)state;
    for (int k = 0; k < FG_PICTURE_KINDS; k++) {
        const enum fg_picture_kind kind = (enum fg_picture_kind)k;
        fg_picture_part(kind, 7, 0, FG_PICTURE_GOOD, SIZE, one, mask);
        for (int i = 0; i < SIZE * SIZE; i++)
            assert_int_equal(mask[i], 0);
        fg_picture_part(kind, 7, 1, FG_PICTURE_GOOD, SIZE, two, NULL);
        assert_true(get_difference(one, two, BYTES) > 2);
        fg_picture_part(kind, 8, 0, FG_PICTURE_GOOD, SIZE, two, NULL);
        assert_true(get_difference(one, two, BYTES) > 2);
    }
}

/* Two kinds are further from each other than two parts of a kind are. */
static void test_kinds_differ(void **state) {
    (void)state;
    for (int k = 0; k < FG_PICTURE_KINDS; k++) {
        const enum fg_picture_kind kind = (enum fg_picture_kind)k,
                                   other = (enum fg_picture_kind)((k + 1) % FG_PICTURE_KINDS);
        assert_string_not_equal(fg_picture_kind_name(kind), fg_picture_kind_name(other));
        fg_picture_part(kind, 7, 0, FG_PICTURE_GOOD, SIZE, one, NULL);
        fg_picture_part(kind, 7, 1, FG_PICTURE_GOOD, SIZE, two, NULL);
        const double same = get_difference(one, two, BYTES);
        fg_picture_part(other, 7, 0, FG_PICTURE_GOOD, SIZE, two, NULL);
        assert_true(get_difference(one, two, BYTES) > 2 * same);
    }
}

/* Gives the mean difference inside the mask between a part with a defect and the same part without one. Fails
 * where the two differ outside the mask. */
static double get_contrast(enum fg_picture_kind kind, uint32_t index, enum fg_picture_defect defect) {
    fg_picture_part(kind, 7, index, FG_PICTURE_GOOD, SIZE, one, NULL);
    fg_picture_part(kind, 7, index, defect, SIZE, two, mask);
    double sum = 0;
    int area = 0;
    for (int i = 0; i < SIZE * SIZE; i++) {
        if (mask[i] != 0 && mask[i] != 255)
            fail_msg("mask value %d", mask[i]);
        if (!mask[i] && memcmp(one + (ptrdiff_t)3 * i, two + (ptrdiff_t)3 * i, 3) != 0)
            fail_msg("%s with %s %u changes pixel %d,%d outside its mask", fg_picture_kind_name(kind),
                     fg_picture_defect_name(defect), index, i % SIZE, i / SIZE);
        if (mask[i]) {
            sum += get_difference(one + (ptrdiff_t)3 * i, two + (ptrdiff_t)3 * i, 3);
            area++;
        }
    }
    assert_in_range(area, 20, SIZE * SIZE / 10);
    return sum / area;
}

static void check_masks(enum fg_picture_kind kind) {
    double mean[FG_PICTURE_DEFECTS] = {0};
    for (int defect = FG_PICTURE_GOOD + 1; defect < FG_PICTURE_DEFECTS; defect++)
        for (uint32_t index = 0; index < 12; index++) {
            double inside = get_contrast(kind, index, (enum fg_picture_defect)defect);
            if (inside < 4)
                fail_msg("%s with %s %u is hardly visible: %.1f of 255", fg_picture_kind_name(kind),
                         fg_picture_defect_name((enum fg_picture_defect)defect), index, inside);
            mean[defect] += inside / 12;
        }
    /* The stain is the one of low contrast. */
    for (int defect = FG_PICTURE_GOOD + 1; defect < FG_PICTURE_DEFECTS; defect++)
        if (defect != FG_PICTURE_STAIN)
            assert_true(mean[defect] > 1.5 * mean[FG_PICTURE_STAIN]);
    assert_true(mean[FG_PICTURE_STAIN] < 25);
}

static void test_masks(void **state) {
    (void)state;
    for (int kind = 0; kind < FG_PICTURE_KINDS; kind++)
        check_masks((enum fg_picture_kind)kind);
}

/* The mask scales with the picture: its share of the area is the same at twice the size. */
static void test_any_size(void **state) {
    (void)state;
    static uint8_t large[4 * BYTES], large_mask[4 * SIZE * SIZE];
    for (int kind = 0; kind < FG_PICTURE_KINDS; kind++) {
        fg_picture_part((enum fg_picture_kind)kind, 7, 5, FG_PICTURE_MISSING_HOLE, SIZE, one, mask);
        fg_picture_part((enum fg_picture_kind)kind, 7, 5, FG_PICTURE_MISSING_HOLE, 2 * SIZE, large,
                        large_mask);
        double small_area = 0, large_area = 0;
        for (int i = 0; i < SIZE * SIZE; i++)
            small_area += mask[i] != 0;
        for (int i = 0; i < 4 * SIZE * SIZE; i++)
            large_area += large_mask[i] != 0;
        assert_true(large_area < 4 * small_area && large_area > 3 * small_area);
    }
}

static void make_texture(uint32_t class, uint32_t index, uint8_t *rgb) {
    assert_int_equal(fg_picture_texture(7, class, index, 64, rgb, NULL), FG_OK);
}

/* The pictures of a class differ, and none is a blank sheet. */
static void test_textures(void **state) {
    (void)state;
    const uint32_t classes = fg_picture_classes();
    uint32_t patterns = 1;
    for (uint32_t class = 0; class < classes; class ++) {
        const char *name = fg_picture_class_pattern(class);
        patterns += class > 0 && strcmp(name, fg_picture_class_pattern(class - 1)) != 0;
        make_texture(class, 0, one);
        make_texture(class, 0, two);
        assert_memory_equal(one, two, 64 * 64 * 3);
        double apart = 0, inside = 0;
        for (uint32_t index = 1; index <= 3; index++) {
            make_texture(class, index, two);
            apart += get_difference(one, two, 64 * 64 * 3) / 3;
            inside += get_difference(two, two + 64 * 3 * 9 + 3 * 5, 64 * 3 * 50) / 3;
        }
        if (apart < 2 || inside < 1)
            fail_msg("class %u, %s: pictures differ by %.1f, pixels by %.1f", class, name, apart, inside);
    }
    assert_true(patterns >= 40);
    assert_true(classes > patterns);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_part_repeats), cmocka_unit_test(test_parts_vary),
        cmocka_unit_test(test_kinds_differ), cmocka_unit_test(test_masks),
        cmocka_unit_test(test_any_size),     cmocka_unit_test(test_textures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
