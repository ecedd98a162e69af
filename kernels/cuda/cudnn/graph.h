/* Convolutions as cuDNN operation graphs (cuDNN 9 backend API), in NHWC.
 *
 * A CONV or DECONV step has up to three convolutions, one of each kind; cuDNN computes each as one graph:
 *
 *   kind     CONV                                    DECONV
 *   FORWARD  relu?(conv(x, w) + bias? + residual?)   relu?(dgrad(x, w) + bias?)
 *   DATA     dgrad(d_out, w), or added to d_in       conv(d_out, w), or added to d_in
 *   FILTER   wgrad(x, d_out)                         wgrad(d_out, x)
 *
 * A transposed convolution is the gradient of a convolution by its input, whose filter has the same layout.
 * What lies before DATA and FILTER (the ReLU's gradient) and beside them (the bias's, the residual's) is
 * conv_tail.cu's. Values have the type of their tensors, biases are float32, sums are float32.
 *
 * Errors: as fg_cudnn_fail says. Owner: who opens a graph closes it. Thread: the one whose device it is.
 * NULL: an argument may be NULL only where this says so; a message may. */
#ifndef FG_KERNELS_CUDA_CUDNN_GRAPH_H
#define FG_KERNELS_CUDA_CUDNN_GRAPH_H

#include <cudnn.h>

#include "kernels/step.h"
#include "runtime/base/status.h"

enum fg_cudnn_kind { FG_CUDNN_FORWARD, FG_CUDNN_DATA, FG_CUDNN_FILTER, FG_CUDNN_KINDS };

/* Places of a graph's tensors; the unique ids of the backend API. */
enum fg_cudnn_place {
    FG_CUDNN_X, /* the convolution's first operand */
    FG_CUDNN_W, /* the convolution's second operand */
    FG_CUDNN_Y, /* the result of the graph */
    FG_CUDNN_BIAS,
    FG_CUDNN_RESIDUAL,
    FG_CUDNN_PLACES,
};

/* What plans are made for: the device of a handle, or one that a description stands for (cuDNN 9.8 and
 * later). */
struct fg_cudnn_target {
    cudnnHandle_t handle;
    cudnnBackendDescriptor_t description; /* NULL where there is a handle */
};

/* Sets a descriptor's handle or description. */
enum fg_cudnn_attribute_owner { FG_CUDNN_OF_GRAPH, FG_CUDNN_OF_HEURISTIC, FG_CUDNN_OF_PLAN };
cudnnStatus_t fg_cudnn_aim(cudnnBackendDescriptor_t descriptor, enum fg_cudnn_attribute_owner owner,
                           const struct fg_cudnn_target *target);

/* The most descriptors that a graph may have. */
#define FG_CUDNN_DESCRIPTORS 20

struct fg_cudnn_graph {
    cudnnBackendDescriptor_t graph;
    cudnnBackendDescriptor_t descriptor[FG_CUDNN_DESCRIPTORS]; /* all that the graph has, for its closing */
    uint32_t descriptors;
};

/* Builds the graph of one convolution of a step. FG_USAGE with cuDNN's own words where it refuses. */
FG_MUST_USE enum fg_status fg_cudnn_graph_open(const struct fg_step *step, enum fg_cudnn_kind kind,
                                               const struct fg_cudnn_target *target,
                                               struct fg_cudnn_graph *graph, struct fg_message *message);
void fg_cudnn_graph_close(struct fg_cudnn_graph *graph);

/* The tensor of a step that stands in a place of a convolution's graph; NULL: none. */
const struct fg_tensor *fg_cudnn_operand(const struct fg_step *step, enum fg_cudnn_kind kind,
                                         enum fg_cudnn_place place);

/* Everything that the graph depends on, as text: equal texts, equal graphs. */
#define FG_CUDNN_TEXT 160
void fg_cudnn_describe(const struct fg_step *step, enum fg_cudnn_kind kind, char text[FG_CUDNN_TEXT]);

/* Whether an error is a refusal of this graph or engine, not a failure of the device. */
bool fg_cudnn_refused(cudnnStatus_t error);

/* Fails with what was tried and cuDNN's reason: FG_ENVIRONMENT where memory is short, FG_USAGE where it
 * refuses, else FG_DEVICE_LOST. */
FG_MUST_USE enum fg_status fg_cudnn_fail(cudnnStatus_t error, const char *what, struct fg_message *message);

#endif
