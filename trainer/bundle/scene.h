/* The scene: what all good pictures have in common, found from their descriptors (runtime/network/network.h,
 * section 11), so that a frame that shows no part at all is not taken for a good one.
 *
 * Errors: FG_INPUT for pictures that are copies of one, FG_ENVIRONMENT for memory. Owner: the caller, of all
 * arrays. Thread: any. NULL: only a message may be. */
#ifndef FG_TRAINER_BUNDLE_SCENE_H
#define FG_TRAINER_BUNDLE_SCENE_H

#include <stdint.h>

#include "runtime/base/status.h"

#define FG_SCENE_LEAST 4 /* pictures that a scene takes */

/* Finds mean and scale {values} and the limit of the distance from descriptors {count, values} of good
 * pictures, FG_SCENE_LEAST or more. distance {count}: each one's from the scene of the other folds. Pictures
 * that lie far from all others are left out and all is found anew without them: a few dark frames in the
 * folder must not make dark frames good. */
FG_MUST_USE enum fg_status fg_scene_find(const float *descriptor, uint32_t count, uint32_t values,
                                         float *mean, float *scale, float *limit, float *distance,
                                         struct fg_message *message);

/* Gives the limit that distances of good pictures stand for: exp(mean + 5 deviations of their logarithms).
 * FG_INPUT where they have no spread. */
FG_MUST_USE enum fg_status fg_scene_limit(const float *distance, uint32_t count, float *limit,
                                          struct fg_message *message);

#endif
