/* Finds mean, scale and limit of the scene's descriptor, cross-fitted over five folds. */
#include "trainer/bundle/scene.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define FOLDS 5
#define DEVIATIONS 5.0       /* of the distances' logarithms, between their mean and the limit */
#define FAR_DEVIATIONS 8.0   /* of the logarithms: a picture so far above their median is none of them */
#define MAD_DEVIATION 1.4826 /* a normal deviation in median absolute deviations */
#define LEAST_SCALE 1e-6

static int compare_floats(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* Pictures' descriptors, and which of them count. */
struct sample {
    const float *descriptor; /* {count, values} */
    uint32_t count, values;
    bool *left_out; /* {count} */
    float *scratch; /* {values} */
};

/* Measures mean and scale over the pictures that count, but for those of a fold; fold FOLDS: over all. */
static void measure_scene(const struct sample *s, uint32_t fold, float *mean, float *scale) {
    for (uint32_t k = 0; k < s->values; k++) {
        double middle = 0, squares = 0;
        uint32_t seen = 0;
        for (uint32_t i = 0; i < s->count; i++)
            if (i % FOLDS != fold && !s->left_out[i]) {
                const double value = (double)s->descriptor[(size_t)i * s->values + k], away = value - middle;
                middle += away / ++seen;
                squares += away * (value - middle);
            }
        mean[k] = (float)middle;
        s->scratch[k] = scale[k] = (float)sqrt(squares / seen);
    }
    qsort(s->scratch, s->values, sizeof *s->scratch, compare_floats);
    const float half_median = s->scratch[s->values / 2] / 2;
    for (uint32_t k = 0; k < s->values; k++)
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

/* Measures each picture's distance from the scene of the other folds. */
static void measure_distances(const struct sample *s, float *mean, float *scale, float *distance) {
    for (uint32_t fold = 0; fold < FOLDS; fold++) {
        measure_scene(s, fold, mean, scale);
        for (uint32_t i = fold; i < s->count; i += FOLDS)
            distance[i] = measure_distance(s->descriptor + (size_t)i * s->values, s->values, mean, scale);
    }
}

/* Gives the limit of the distances that count. left_out NULL: all do. */
static enum fg_status find_limit(const float *distance, const bool *left_out, uint32_t count, float *limit,
                                 struct fg_message *message) {
    double mean = 0, squares = 0;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (left_out && left_out[i])
            continue;
        if (!isfinite(distance[i]))
            return fg_fail(
                message, FG_INPUT,
                "scene: the distance of good picture %u is %g, but must be finite; the weights are "
                "damaged or training went wrong",
                i + 1, (double)distance[i]);
        const double y = log((double)distance[i]), away = y - mean;
        mean += away / ++seen;
        squares += away * (y - mean);
    }
    const double deviation = sqrt(squares / (seen - 1));
    *limit = (float)exp(mean + DEVIATIONS * deviation);
    if (!(deviation > 1e-6) || !isfinite(*limit)) /* a distance of 0 has no logarithm */
        return fg_fail(message, FG_INPUT,
                       "scene: all %u good pictures look the same; are they copies of one?", count);
    return FG_OK;
}

enum fg_status fg_scene_limit(const float *distance, uint32_t count, float *limit,
                              struct fg_message *message) {
    return find_limit(distance, NULL, count, limit, message);
}

static float find_median(float *value, uint32_t count) {
    qsort(value, count, sizeof *value, compare_floats);
    return value[count / 2];
}

/* Leaves out pictures whose distances lie far above the middle one, as long as enough others remain; false:
 * there are none. A few such pictures widen mean and deviation so much that only medians show them.
 * logs: {count} */
static bool leave_out(const struct sample *s, const float *distance, float *logs) {
    uint32_t counting = 0, far = 0;
    for (uint32_t i = 0; i < s->count; i++)
        if (!s->left_out[i])
            logs[counting++] = logf(distance[i]);
    const float middle = find_median(logs, counting);
    for (uint32_t i = 0; i < counting; i++)
        logs[i] = fabsf(logs[i] - middle);
    const float most = middle + (float)(FAR_DEVIATIONS * MAD_DEVIATION) * find_median(logs, counting);
    for (uint32_t i = 0; i < s->count; i++)
        far += !s->left_out[i] && logf(distance[i]) > most;
    if (!far || counting - far < 2 * FOLDS)
        return false;
    for (uint32_t i = 0; i < s->count; i++)
        s->left_out[i] = s->left_out[i] || logf(distance[i]) > most;
    return true;
}

enum fg_status fg_scene_find(const float *descriptor, uint32_t count, uint32_t values, float *mean,
                             float *scale, float *limit, float *distance, struct fg_message *message) {
    const struct sample s = {.descriptor = descriptor,
                             .count = count,
                             .values = values,
                             .left_out = calloc(count, sizeof *s.left_out),
                             .scratch = malloc(values * sizeof *s.scratch)};
    float *logs = malloc(count * sizeof *logs);
    assert(count >= FG_SCENE_LEAST);
    enum fg_status status = FG_OK;
    if (!s.left_out || !s.scratch || !logs)
        status = fg_fail(message, FG_ENVIRONMENT, "scene: no memory for %u values", values);
    if (status == FG_OK) {
        do
            measure_distances(&s, mean, scale, distance);
        while (leave_out(&s, distance, logs));
        status = find_limit(distance, s.left_out, count, limit, message);
        measure_scene(&s, FOLDS, mean, scale);
    }
    free(s.left_out);
    free(s.scratch);
    free(logs);
    return status;
}
