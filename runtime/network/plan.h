/* The planner: gives every tensor of a program its place, so that memory is known before anything is loaded.
 *
 * A plan is built once: tensors, then steps in a legal order, then finish. It owns the program's arrays. Two
 * activations share memory only if every use of one happens before the first use of the other along the edges
 * that all executions keep: the order of a lane's steps, and waits. Waits are derived from the operands; a
 * step that writes or adds to what another lane touches waits for it.
 *
 * Errors: FG_ENVIRONMENT for memory, FG_USAGE from finish. Owner: who opens a plan closes it; tensors and
 * steps are the plan's and end with it. Thread: one at a time. NULL: fg_plan_close takes it; no other
 * argument may be, but for a message. */
#ifndef FG_RUNTIME_NETWORK_PLAN_H
#define FG_RUNTIME_NETWORK_PLAN_H

#include "kernels/backend.h"

struct fg_plan;

struct fg_plan_report {
    size_t planned;   /* bytes of FG_SEGMENT_ACTIVATIONS */
    size_t live_peak; /* largest sum of bytes live at one step, in the order given: the floor on one lane */
};

/* Opens a plan with room for that number of tensors and steps, each 1 or more; lanes 1 to FG_MAX_LANES. What
 * is added beyond the room is lost, and finish refuses the plan. */
FG_MUST_USE enum fg_status fg_plan_open(uint32_t tensors, uint32_t steps, uint32_t lanes,
                                        struct fg_plan **plan, struct fg_message *message);
void fg_plan_close(struct fg_plan *plan);

/* Adds a tensor to a segment. In every segment but ACTIVATIONS tensors lie one behind the other in the order
 * added, from where the segment stands; finish places activations. The pointer stays valid for the plan's
 * life. */
const struct fg_tensor *fg_plan_tensor(struct fg_plan *plan, enum fg_segment segment, enum fg_dtype dtype,
                                       int32_t n, int32_t h, int32_t w, int32_t c);

/* Adds a tensor at a given place of a segment that the caller lays out itself (parameters, gradients,
 * moments). */
const struct fg_tensor *fg_plan_tensor_at(struct fg_plan *plan, const struct fg_tensor *tensor);

/* Changes the extents of a FG_SEGMENT_FRAME tensor between runs, up to those that it was planned with. */
void fg_plan_set_frame(struct fg_plan *plan, const struct fg_tensor *frame, int32_t h, int32_t w, int32_t c);

/* Keeps an activation to the end of the program: its value is read after the run. */
void fg_plan_keep(struct fg_plan *plan, const struct fg_tensor *tensor);

/* Appends a step; branch b runs on lane b % lanes. Operands must come from this plan. Returns the plan's
 * copy. */
struct fg_step *fg_plan_step(struct fg_plan *plan, const struct fg_step *step, uint32_t branch);

/* Names the program for what a backend keeps of it. */
void fg_plan_key(struct fg_plan *plan, uint64_t key);

/* Derives waits, asks the backend for workspace and prepared sizes, places activations. FG_USAGE names a step
 * that the backend does not support, or says that the plan had no room for all that was added. The program
 * lives as long as the plan. */
FG_MUST_USE enum fg_status fg_plan_finish(struct fg_plan *plan, const struct fg_backend *backend,
                                          const struct fg_program **program, struct fg_plan_report *report,
                                          struct fg_message *message);

/* The name of an operator, for messages: "conv". */
const char *fg_operator_name(enum fg_operator op);

#endif
