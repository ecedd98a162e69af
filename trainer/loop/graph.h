/* The programs of training, each for one batch size: a step of the trainer (teacher folded; the other modules
 * forward, loss, backward), a validation (everything folded, no masks, loss), the teacher alone, and Adam's
 * step. A step and a validation of no pictures take the teacher's features, which the teacher's program
 * makes.
 *
 * The teacher can be int8: its readings (runtime/network/reading.h), by the parameter of a weight, are then
 * the same for all programs of a training, so that they lay their frozen weights out alike.
 *
 * Errors: FG_ENVIRONMENT for memory, FG_USAGE for what the backend cannot do, FG_INPUT for readings that the
 * network cannot have. Owner: who makes a graph closes it, after a failure too. Thread: one at a time. NULL:
 * readings, where nothing is int8, and a message. */
#ifndef FG_TRAINER_LOOP_GRAPH_H
#define FG_TRAINER_LOOP_GRAPH_H

#include "runtime/network/forward.h"
#include "trainer/loop/weights.h"

struct fg_graph {
    struct fg_plan *plan;
    const struct fg_program *program;
    struct fg_plan_report report;
    int32_t batch;
    const struct fg_tensor *frozen[FG_NETWORK_PARAMS]; /* folded parameters; NULL where folding took one up */
    const struct fg_tensor *scale[FG_NETWORK_PARAMS];  /* of the teacher's int8 weights; NULL elsewhere */
    const struct fg_tensor *pictures; /* u8 {pictures, height, width, 3} in FG_SEGMENT_PICTURES; NULL: none */
    const struct fg_tensor *draw; /* struct fg_draw in FG_SEGMENT_IO, which the caller writes before a run */
    /* F_E^i of the used levels. Of a step or a validation: in FG_SEGMENT_IO, which the caller writes before a
     * run; NULL where a node makes it. Of the teacher: in FG_SEGMENT_ACTIVATIONS, which the caller reads
     * after one. */
    const struct fg_tensor *target[FG_NETWORK_LEVELS];
    /* {batch, 1, 1, 1} in FG_SEGMENT_IO; NULL for a level that is not used. */
    const struct fg_tensor *loss[FG_NETWORK_LEVELS];
};

struct fg_recipe {
    float mask_rate;
    bool global_loss;
};

/* Makes the step of training, which writes the gradients of every trained parameter that the loss reaches,
 * and running statistics. pictures: how many there are, among which the draw chooses each batch; 0: the
 * program has no teacher, and all features are targets. */
FG_MUST_USE enum fg_status fg_graph_training(struct fg_graph *graph, const struct fg_weights *weights,
                                             const struct fg_recipe *recipe, const struct fg_backend *backend,
                                             const struct fg_reading *reading, uint32_t pictures,
                                             int32_t batch, struct fg_message *message);

/* Makes the validation, which reads folded parameters only. pictures: as for the step. */
FG_MUST_USE enum fg_status fg_graph_validation(struct fg_graph *graph, const struct fg_network *network,
                                               const struct fg_recipe *recipe,
                                               const struct fg_backend *backend,
                                               const struct fg_reading *reading, uint32_t pictures,
                                               int32_t batch, struct fg_message *message);

/* Makes the teacher's features of one picture, which the draw chooses among pictures. */
FG_MUST_USE enum fg_status fg_graph_teacher(struct fg_graph *graph, const struct fg_network *network,
                                            const struct fg_backend *backend,
                                            const struct fg_reading *reading, uint32_t pictures,
                                            struct fg_message *message);

/* Makes Adam's step over all trained parameters. schedule: float32 {1,1,1,4} in FG_SEGMENT_IO, which the
 * caller writes before a run. */
FG_MUST_USE enum fg_status fg_graph_adam(struct fg_graph *graph, const struct fg_weights *weights,
                                         const struct fg_backend *backend, const struct fg_tensor **schedule,
                                         struct fg_message *message);

void fg_graph_close(struct fg_graph *graph);

#endif
