/* The scene: what good pictures have in common, and what lies outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "kernels/philox.h"
#include "trainer/bundle/scene.h"

#define PICTURES 40
#define VALUES 30

static float descriptor[PICTURES][VALUES], mean[VALUES], scale[VALUES], distance[PICTURES], limit;
static struct fg_message message;

/* Value k is near k, its spread 0.1 (k + 1). */
static void draw_descriptors(uint32_t seed) {
    for (uint32_t i = 0; i < PICTURES; i++)
        for (uint32_t k = 0; k < VALUES; k++)
            descriptor[i][k] = (float)k + 0.1f * (float)(k + 1) *
                                              (fg_philox_uniform(fg_philox(seed, i, k, 0, 0).word[0]) - 0.5f);
}

static float measure(const float *value) {
    double sum = 0;
    for (int k = 0; k < VALUES; k++) {
        const double z = ((double)value[k] - (double)mean[k]) / (double)scale[k];
        sum += z * z;
    }
    return (float)sqrt(sum / VALUES);
}

/* Good pictures that were not there lie within the limit; others, far out or in one value alone, do not. */
static void test_limit(void **state) {
    (void)state;
    draw_descriptors(1);
    assert_int_equal(fg_scene_find(descriptor[0], PICTURES, VALUES, mean, scale, &limit, distance, &message),
                     FG_OK);
    for (int i = 0; i < PICTURES; i++)
        assert_true(distance[i] > 0 && distance[i] < limit);
    draw_descriptors(2);
    for (int i = 0; i < PICTURES; i++)
        assert_true(measure(descriptor[i]) < limit);
    float other[VALUES] = {0};
    assert_true(measure(other) > limit);
    for (int k = 0; k < VALUES; k++)
        other[k] = mean[k];
    other[3] = 10;
    assert_true(measure(other) > limit);
    other[3] = NAN;
    assert_true(!(measure(other) <= limit));
}

/* A picture's own distance is from a scene that it has no part in: it lies further away than it would. */
static void test_cross_fitted(void **state) {
    (void)state;
    double own = 0, others = 0;
    draw_descriptors(3);
    assert_int_equal(fg_scene_find(descriptor[0], 10, VALUES, mean, scale, &limit, distance, &message),
                     FG_OK);
    for (int i = 0; i < 10; i++) {
        own += (double)measure(descriptor[i]);
        others += (double)distance[i];
    }
    assert_true(others > 1.05 * own);
}

/* A value that never changes has the scale that the others have in the middle, halved. */
static void test_constant_value(void **state) {
    (void)state;
    draw_descriptors(4);
    for (int i = 0; i < PICTURES; i++)
        descriptor[i][0] = 7;
    assert_int_equal(fg_scene_find(descriptor[0], PICTURES, VALUES, mean, scale, &limit, distance, &message),
                     FG_OK);
    assert_true(mean[0] == 7 && scale[0] > 0.1f && scale[0] < 0.6f);
}

/* Dark frames among the good ones are beyond the limit, and change neither limit nor scene. */
static void test_dark_frames(void **state) {
    (void)state;
    float with[VALUES], narrow;
    draw_descriptors(6);
    assert_int_equal(
        fg_scene_find(descriptor[2], PICTURES - 2, VALUES, mean, scale, &narrow, distance, &message), FG_OK);
    for (int k = 0; k < VALUES; k++) {
        with[k] = mean[k];
        descriptor[0][k] = 0;
        descriptor[1][k] = 0.01f;
    }
    assert_int_equal(fg_scene_find(descriptor[0], PICTURES, VALUES, mean, scale, &limit, distance, &message),
                     FG_OK);
    assert_true(distance[0] > limit && distance[1] > limit);
    for (int i = 2; i < PICTURES; i++)
        assert_true(distance[i] <= limit);
    assert_true(limit < 1.5f * narrow);
    for (int k = 0; k < VALUES; k++)
        assert_true(fabsf(mean[k] - with[k]) < 1e-4f * (float)(k + 1));
}

static void test_copies(void **state) {
    (void)state;
    draw_descriptors(5);
    for (int i = 1; i < PICTURES; i++)
        memcpy(descriptor[i], descriptor[0], sizeof descriptor[0]);
    assert_int_equal(fg_scene_find(descriptor[0], PICTURES, VALUES, mean, scale, &limit, distance, &message),
                     FG_INPUT);
    assert_non_null(strstr(message.text, "copies of one"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit),          cmocka_unit_test(test_cross_fitted),
        cmocka_unit_test(test_constant_value), cmocka_unit_test(test_dark_frames),
        cmocka_unit_test(test_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
