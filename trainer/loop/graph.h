/* The two programs of training, for one batch size each: a step of the trainer (teacher folded; the rest
 * forward, loss, backward) and a validation (everything folded, no masks, loss). */
#ifndef FG_TRAINER_LOOP_GRAPH_H
#define FG_TRAINER_LOOP_GRAPH_H

#include "runtime/network/forward.h"
#include "trainer/loop/weights.h"

struct fg_graph {
    struct fg_plan *plan;
    const struct fg_program *program;
    struct fg_plan_report report;
    int32_t batch;
    const struct fg_tensor *frozen[FG_NETWORK_PARAMS];
    const struct fg_tensor *pictures; /* u8 {pictures, height, width, 3} in FG_SEGMENT_PICTURES */
    /* In FG_SEGMENT_IO: */
    const struct fg_tensor *draw; /* struct fg_draw: written before a run */
    const struct fg_tensor
        *target[FG_NETWORK_LEVELS];                  /* F_E^i where no node makes it: written before a run */
    const struct fg_tensor *loss[FG_NETWORK_LEVELS]; /* {batch, 1, 1, 1} of each used level */
};

struct fg_recipe {
    float mask_rate;
    bool global_loss;
};

/* pictures: how many there are, among which the draw chooses each batch.
 *
 * Training: writes gradients of every trained parameter that the loss reaches, and running statistics. */
FG_MUST_USE enum fg_status fg_graph_training(struct fg_graph *graph, const struct fg_weights *weights,
                                             const struct fg_recipe *recipe, const struct fg_backend *backend,
                                             uint32_t pictures, int32_t batch, struct fg_message *message);

/* Validation: reads folded parameters only. */
FG_MUST_USE enum fg_status fg_graph_validation(struct fg_graph *graph, const struct fg_network *network,
                                               const struct fg_recipe *recipe,
                                               const struct fg_backend *backend, uint32_t pictures,
                                               int32_t batch, struct fg_message *message);

/* Adam over all trained parameters: one step. schedule: float32 {1,1,1,4} in FG_SEGMENT_IO. */
FG_MUST_USE enum fg_status fg_graph_adam(struct fg_graph *graph, const struct fg_weights *weights,
                                         const struct fg_backend *backend, const struct fg_tensor **schedule,
                                         struct fg_message *message);

void fg_graph_close(struct fg_graph *graph);

#endif
