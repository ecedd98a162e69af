/* Sums maps place by place and fold by fold, and makes mean and scale of the sums. */
#include "trainer/bundle/places.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/half.h"

static size_t count_places(const struct fg_places *places) {
    return (size_t)places->height * (size_t)places->width;
}

enum fg_status fg_places_open(struct fg_places *places, struct fg_backend *backend, int32_t height,
                              int32_t width, struct fg_message *message) {
    *places = (struct fg_places){.height = height, .width = width};
    const size_t values = FG_PLACES_FOLDS * count_places(places);
    places->sum = calloc(values, sizeof *places->sum);
    places->squares = calloc(values, sizeof *places->squares);
    if (!places->sum || !places->squares)
        return fg_fail(message, FG_ENVIRONMENT, "calibration: no memory for %zu places", values);
    const struct fg_tensor level = {.h = height, .w = width};
    return fg_join_open(&places->smooth, backend, &level, 1, height, width, FG_SCORE_SUM, message);
}

void fg_places_close(struct fg_places *places) {
    fg_join_close(&places->smooth);
    free(places->sum);
    free(places->squares);
    memset(places, 0, sizeof *places);
}

void fg_places_add(struct fg_places *places, const float *map, uint32_t fold) {
    const size_t count = count_places(places);
    double *sum = places->sum + fold * count, *squares = places->squares + fold * count;
    for (size_t i = 0; i < count; i++) {
        sum[i] += (double)map[i];
        squares[i] += (double)map[i] * (double)map[i];
    }
    places->count[fold]++;
}

/* Smooths values in place. */
static enum fg_status smooth_places(struct fg_places *places, float *values, struct fg_message *message) {
    const enum fg_status status = fg_join_run(&places->smooth, values, message);
    if (status == FG_OK)
        memcpy(values, places->smooth.map, count_places(places) * sizeof *values);
    return status;
}

/* Makes of deviations the scale, in float16; false: there is none that is above 0 everywhere. */
static bool make_scale(float *scale, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)scale[i];
    bool right = true;
    for (size_t i = 0; i < count; i++) {
        scale[i] = fg_half_to_float(fg_float_to_half((float)((double)scale[i] + sum / (double)count)));
        right = right && scale[i] > 0 && isfinite(scale[i]);
    }
    return right;
}

enum fg_status fg_places_find(struct fg_places *places, uint32_t left_out, float *mean, float *scale,
                              struct fg_message *message) {
    const size_t count = count_places(places);
    uint32_t pictures = 0;
    for (uint32_t fold = 0; fold < FG_PLACES_FOLDS; fold++)
        pictures += fold == left_out ? 0 : places->count[fold];
    for (size_t i = 0; i < count; i++) {
        double sum = 0, squares = 0;
        for (uint32_t fold = 0; fold < FG_PLACES_FOLDS; fold++)
            if (fold != left_out) {
                sum += places->sum[fold * count + i];
                squares += places->squares[fold * count + i];
            }
        const double middle = sum / pictures;
        mean[i] = (float)middle;
        scale[i] = (float)sqrt(fmax(squares / pictures - middle * middle, 0));
    }
    enum fg_status status = smooth_places(places, mean, message);
    if (status == FG_OK)
        status = smooth_places(places, scale, message);
    if (status != FG_OK)
        return status;
    for (size_t i = 0; i < count; i++)
        mean[i] = fg_half_to_float(fg_float_to_half(mean[i]));
    return make_scale(scale, count)
               ? FG_OK
               : fg_fail(message, FG_INPUT,
                         "calibration: the maps of %u good pictures have no spread; are the pictures copies "
                         "of one?",
                         pictures);
}
