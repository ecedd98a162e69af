/* Finds mean, scale and limit of the scene's descriptor, cross-fitted over five folds. */
#include "trainer/bundle/scene.h"

#include <math.h>
#include <stdlib.h>

#define FOLDS 5
#define DEVIATIONS 5.0 /* of the distances' logarithms, between their mean and the limit */
#define LEAST_SCALE 1e-6

static int compare_floats(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* Measures mean and scale over all pictures but those of a fold; fold FOLDS: over all. scratch: {values}. */
static void measure_scene(const float *descriptor, uint32_t count, uint32_t values, uint32_t fold,
                          float *mean, float *scale, float *scratch) {
    for (uint32_t k = 0; k < values; k++) {
        double middle = 0, squares = 0;
        uint32_t seen = 0;
        for (uint32_t i = 0; i < count; i++)
            if (i % FOLDS != fold) {
                const double value = (double)descriptor[(size_t)i * values + k], away = value - middle;
                middle += away / ++seen;
                squares += away * (value - middle);
            }
        mean[k] = (float)middle;
        scratch[k] = scale[k] = (float)sqrt(squares / seen);
    }
    qsort(scratch, values, sizeof *scratch, compare_floats);
    const float half_median = scratch[values / 2] / 2;
    for (uint32_t k = 0; k < values; k++)
        scale[k] = fmaxf(scale[k] + half_median, (float)LEAST_SCALE);
}

static float measure_distance(const float *descriptor, uint32_t values, const float *mean,
                              const float *scale) {
    double sum = 0;
    for (uint32_t k = 0; k < values; k++) {
        const double z = ((double)descriptor[k] - (double)mean[k]) / (double)scale[k];
        sum += z * z;
    }
    return (float)sqrt(sum / values);
}

enum fg_status fg_scene_limit(const float *distance, uint32_t count, float *limit,
                              struct fg_message *message) {
    double mean = 0, squares = 0;
    for (uint32_t i = 0; i < count; i++) {
        const double y = log((double)distance[i]), away = y - mean;
        mean += away / (i + 1);
        squares += away * (y - mean);
    }
    const double deviation = sqrt(squares / (count - 1));
    *limit = (float)exp(mean + DEVIATIONS * deviation);
    if (!(deviation > 1e-6) || !isfinite(*limit))
        return fg_fail(message, FG_INPUT,
                       "scene: all %u good pictures look the same; are they copies of one?", count);
    return FG_OK;
}

enum fg_status fg_scene_find(const float *descriptor, uint32_t count, uint32_t values, float *mean,
                             float *scale, float *limit, float *distance, struct fg_message *message) {
    float *scratch = malloc(values * sizeof *scratch);
    if (!scratch)
        return fg_fail(message, FG_ENVIRONMENT, "scene: no memory for %u values", values);
    for (uint32_t fold = 0; fold < FOLDS; fold++) {
        measure_scene(descriptor, count, values, fold, mean, scale, scratch);
        for (uint32_t i = fold; i < count; i += FOLDS)
            distance[i] = measure_distance(descriptor + (size_t)i * values, values, mean, scale);
    }
    measure_scene(descriptor, count, values, FOLDS, mean, scale, scratch);
    free(scratch);
    return fg_scene_limit(distance, count, limit, message);
}
