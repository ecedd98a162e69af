/* Execution plans of cuDNN graphs: which engines there are, making one, keeping it, running it.
 *
 * Errors: as fg_cudnn_fail says (graph.h). Owner: who opens candidates or a plan closes them. Thread: the one
 * whose device it is. NULL: an argument may be NULL only where this says so; a message may. */
#ifndef FG_KERNELS_CUDA_CUDNN_PLAN_H
#define FG_KERNELS_CUDA_CUDNN_PLAN_H

#include "kernels/cuda/cudnn/graph.h"

/* What arithmetic engines may use. Sums are taken in float32, and the same input gives the same bits, in any
 * case. */
enum fg_cudnn_math {
    FG_CUDNN_EXACT, /* float32 products of float32 values */
    FG_CUDNN_FAST,  /* tensor cores: float32 values as TF32 */
};

/* What cuDNN is asked for: the engines that it expects to be fast, or those that it has for anything; among
 * these are some that take most of a minute to compile, so they are for a graph that has none of the others.
 */
enum fg_cudnn_offer { FG_CUDNN_BEST, FG_CUDNN_FALLBACK, FG_CUDNN_OFFERS };

#define FG_CUDNN_CANDIDATES 16

/* Ways to compute a graph, the one that cuDNN expects to be fastest first. */
struct fg_cudnn_candidates {
    cudnnBackendDescriptor_t config[FG_CUDNN_CANDIDATES]; /* NULL once a plan has been made of it */
    uint32_t count;
    cudnnBackendDescriptor_t heuristic;
};

/* Asks cuDNN's heuristics for engines that need at most this many bytes of workspace. count may be 0. */
FG_MUST_USE enum fg_status fg_cudnn_candidates_open(const struct fg_cudnn_graph *graph,
                                                    enum fg_cudnn_offer offer, enum fg_cudnn_math math,
                                                    size_t workspace, const struct fg_cudnn_target *target,
                                                    struct fg_cudnn_candidates *candidates,
                                                    struct fg_message *message);
void fg_cudnn_candidates_close(struct fg_cudnn_candidates *candidates);

struct fg_cudnn_plan {
    cudnnBackendDescriptor_t plan, config;
    size_t workspace; /* bytes */
};

/* Makes a plan of candidate i, which is used up; may compile it, which takes up to seconds. FG_USAGE: the
 * engine does not do this graph on this device, or needs more than this many bytes of workspace: try another.
 */
FG_MUST_USE enum fg_status fg_cudnn_plan_open(struct fg_cudnn_candidates *candidates, uint32_t i,
                                              const struct fg_cudnn_target *target, size_t workspace,
                                              struct fg_cudnn_plan *plan, struct fg_message *message);
void fg_cudnn_plan_close(struct fg_cudnn_plan *plan);

/* The plan as text that fg_cudnn_plan_read opens again on the same device and cuDNN; to be freed. */
FG_MUST_USE enum fg_status fg_cudnn_plan_write(const struct fg_cudnn_plan *plan, char **text,
                                               struct fg_message *message);
/* FG_USAGE: not for this device, this cuDNN or so little workspace. */
FG_MUST_USE enum fg_status fg_cudnn_plan_read(const char *text, const struct fg_cudnn_target *target,
                                              size_t workspace, struct fg_cudnn_plan *plan,
                                              struct fg_message *message);

/* Queues the plan on the stream of its handle. data: a place in device memory for each that the graph has. */
FG_MUST_USE enum fg_status fg_cudnn_plan_run(const struct fg_cudnn_plan *plan, cudnnHandle_t handle,
                                             void *const data[FG_CUDNN_PLACES], void *workspace,
                                             struct fg_message *message);

#endif
