/* From the network's nodes to steps of a plan, folded: every batch norm is inside the convolution before it.
 * What the engine serves, what the trainer validates with, and the frozen teacher of training.
 *
 * Errors: those of readings; a plan without room says so when it is finished. Owner: the caller, of the
 * struct; plan and network must outlive it. Thread: the plan's. NULL: what a function says; a draw and a
 * message may be. */
#ifndef FG_RUNTIME_NETWORK_FORWARD_H
#define FG_RUNTIME_NETWORK_FORWARD_H

#include "runtime/network/plan.h"
#include "runtime/network/reading.h"

/* Room that a plan of one forward pass needs, whatever is put around it. */
#define FG_FORWARD_TENSORS (2 * FG_NETWORK_PARAMS + FG_NETWORK_VALUES + 16)
#define FG_FORWARD_STEPS (FG_NETWORK_NODES + 16)

/* A network inside a plan: where each parameter and value is. A tensor is NULL before it is added, and where
 * the network has none. */
struct fg_forward {
    struct fg_plan *plan;
    const struct fg_network *network;
    int32_t batch;
    enum fg_dtype dtype; /* type of convolutions' weights and of values; vectors are float32 */
    const struct fg_tensor *frozen[FG_NETWORK_PARAMS]; /* folded parameters */
    const struct fg_tensor *scale[FG_NETWORK_PARAMS];  /* {1,1,1,output channels}: of int8 weights */
    struct fg_read_value read[FG_NETWORK_VALUES];
    const struct fg_tensor *value[FG_NETWORK_VALUES];
};

/* Adds the folded parameters to FG_SEGMENT_FROZEN, in the network's order: every plan of one network with the
 * same readings lays them out alike. reading: which weights are int8, and how their input is read, by the
 * weight's parameter {FG_NETWORK_PARAMS}; NULL: none is. FG_INPUT for readings that the network cannot
 * have. */
FG_MUST_USE enum fg_status fg_forward_begin(struct fg_forward *forward, struct fg_plan *plan,
                                            const struct fg_network *network, int32_t batch,
                                            enum fg_dtype dtype, const struct fg_reading *reading,
                                            struct fg_message *message);

/* Adds NORMALISE: value 0. picture: u8 {batch, height, width, 3}, or of more pictures, among which a draw
 * chooses. */
void fg_forward_picture(struct fg_forward *forward, const struct fg_tensor *picture,
                        const struct fg_tensor *draw);

/* Adds one node's step. A MASK adds none: its output is its input. */
void fg_forward_node(struct fg_forward *forward, const struct fg_node *node);

/* Finds the level index l (0 to levels - 1) whose F_G this node makes; -1: it makes none. */
int32_t fg_forward_level(const struct fg_network *network, const struct fg_node *node);

#endif
