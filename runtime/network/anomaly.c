/* Adds ANOMALY_MAP to a plan, with the operands that its form of the score takes. */
#include "runtime/network/anomaly.h"

struct fg_anomaly fg_anomaly_add(struct fg_plan *plan, const struct fg_tensor *const level[FG_NETWORK_LEVELS],
                                 int32_t height, int32_t width, enum fg_score_form form) {
    const int32_t batch = level[0]->n;
    struct fg_anomaly a = {.map = fg_plan_tensor(plan, FG_SEGMENT_IO, FG_F32, batch, height, width, 1),
                           .score = fg_plan_tensor(plan, FG_SEGMENT_IO, FG_F32, batch, 1, 1, 1)};
    struct fg_step step = {
        .op = FG_ANOMALY_MAP, .product = fg_score_is_product(form), .out = {a.map, a.score}};
    for (int l = 0; l < FG_NETWORK_LEVELS; l++)
        step.in[l] = level[l];
    a.decision = a.map;
    if (fg_score_is_local(form)) {
        step.param[0] = a.place_mean = fg_plan_tensor(plan, FG_SEGMENT_FROZEN, FG_F32, 1, height, width, 1);
        step.param[1] = a.place_scale = fg_plan_tensor(plan, FG_SEGMENT_FROZEN, FG_F32, 1, height, width, 1);
        step.out[2] = a.decision = fg_plan_tensor(plan, FG_SEGMENT_IO, FG_F32, batch, height, width, 1);
    }
    fg_plan_step(plan, &step, 0);
    return a;
}
