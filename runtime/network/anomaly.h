/* The step that makes map, decision map and score of the level maps (runtime/network/network.h, section 6):
 * the engine has it in its program, and calibration has it alone.
 *
 * Errors: none here; a plan without room says so when it is finished. Owner: the plan, of the tensors.
 * Thread: the plan's. NULL: what a member says; nothing else. */
#ifndef FG_RUNTIME_NETWORK_ANOMALY_H
#define FG_RUNTIME_NETWORK_ANOMALY_H

#include "runtime/network/network.h"
#include "runtime/network/plan.h"

struct fg_anomaly {
    /* {batch, height, width, 1} in FG_SEGMENT_IO: the anomaly map, and the map that decides; one tensor where
     * the score is not local. */
    const struct fg_tensor *map, *decision;
    const struct fg_tensor *score; /* {batch, 1, 1, 1} in FG_SEGMENT_IO */
    /* {1, height, width, 1} in FG_SEGMENT_FROZEN, which the caller fills; NULL: the score is not local. */
    const struct fg_tensor *place_mean, *place_scale;
};

/* Adds the step to a plan that has these level maps; a level is NULL behind the last one. */
struct fg_anomaly fg_anomaly_add(struct fg_plan *plan, const struct fg_tensor *const level[FG_NETWORK_LEVELS],
                                 int32_t height, int32_t width, enum fg_score_form form);

#endif
