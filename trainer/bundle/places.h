/* What each place of the anomaly map has in good pictures: mean and scale (runtime/network/network.h, section
 * 6), over all pictures or over those of the other folds, so that a picture is not compared with itself.
 *
 * Errors: FG_INPUT for maps without a spread, FG_ENVIRONMENT without memory. Owner: who opens closes. Thread:
 * one at a time. NULL: only a message may be. */
#ifndef FG_TRAINER_BUNDLE_PLACES_H
#define FG_TRAINER_BUNDLE_PLACES_H

#include "trainer/bundle/join.h"

#define FG_PLACES_FOLDS 5

struct fg_places {
    int32_t height, width;
    double *sum, *squares; /* {FG_PLACES_FOLDS, height, width}; owned */
    uint32_t count[FG_PLACES_FOLDS];
    struct fg_join smooth; /* smooths a map as the anomaly map is */
};

FG_MUST_USE enum fg_status fg_places_open(struct fg_places *places, struct fg_backend *backend,
                                          int32_t height, int32_t width, struct fg_message *message);
void fg_places_close(struct fg_places *places);

/* Adds a good picture's map {height, width} to a fold. */
void fg_places_add(struct fg_places *places, const float *map, uint32_t fold);

/* Finds mean and scale {height, width} over all folds but one; left_out FG_PLACES_FOLDS: over all. They hold
 * float16 values, as a bundle stores them. */
FG_MUST_USE enum fg_status fg_places_find(struct fg_places *places, uint32_t left_out, float *mean,
                                          float *scale, struct fg_message *message);

#endif
