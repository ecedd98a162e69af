/* Joins a picture's level maps on the host, by the operator that the engine has, so that forms of the score
 * can be compared without judging every picture once for each.
 *
 * Errors: FG_ENVIRONMENT without memory, and the backend's own. Owner: who opens closes; the backend must
 * outlive it. Thread: one at a time on one backend. NULL: a message, and what a member says. */
#ifndef FG_TRAINER_BUNDLE_JOIN_H
#define FG_TRAINER_BUNDLE_JOIN_H

#include "runtime/network/anomaly.h"

struct fg_join {
    struct fg_backend *backend; /* borrowed */
    struct fg_plan *plan;
    const struct fg_program *program;
    struct fg_memory memory;
    float *level[FG_NETWORK_LEVELS];     /* {rows, columns} of each: what the next run joins */
    size_t values[FG_NETWORK_LEVELS];    /* of each; 0: there is no such level */
    float *place_mean, *place_scale;     /* {height, width}: the caller's to fill; NULL: it is not local */
    const float *map, *decision, *score; /* {height, width} twice, and one value: what the last run gave */
};

/* Opens it for level maps of these extents (only h and w count), on a backend whose device is the host's
 * memory. */
FG_MUST_USE enum fg_status fg_join_open(struct fg_join *join, struct fg_backend *backend,
                                        const struct fg_tensor *level, uint32_t levels, int32_t height,
                                        int32_t width, enum fg_score_form form, struct fg_message *message);
/* Closes it; does nothing with one that is all zero. */
void fg_join_close(struct fg_join *join);

/* Joins a picture's level maps, which lie one behind the other. */
FG_MUST_USE enum fg_status fg_join_run(struct fg_join *join, const float *levels, struct fg_message *message);

#endif
