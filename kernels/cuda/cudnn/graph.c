/* Builds the operation graph of a convolution of a step, and the text that describes it. */
#include "kernels/cuda/cudnn/graph.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

bool fg_cudnn_refused(cudnnStatus_t error) {
    return error / 1000 == CUDNN_STATUS_NOT_SUPPORTED / 1000 || error / 1000 == CUDNN_STATUS_BAD_PARAM / 1000;
}

enum fg_status fg_cudnn_fail(cudnnStatus_t error, const char *what, struct fg_message *message) {
    char detail[256] = "";
    cudnnGetLastErrorString(detail, sizeof detail);
    enum fg_status status = FG_DEVICE_LOST;
    if (error == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
        error == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)
        status = FG_ENVIRONMENT;
    if (fg_cudnn_refused(error))
        status = FG_USAGE;
    return fg_fail(message, status, "cuDNN: %s: %s%s%.200s", what, cudnnGetErrorString(error),
                   *detail ? ": " : "", detail);
}

cudnnStatus_t fg_cudnn_aim(cudnnBackendDescriptor_t descriptor, enum fg_cudnn_attribute_owner owner,
                           const struct fg_cudnn_target *target) {
    if (target->handle) {
        if (owner == FG_CUDNN_OF_HEURISTIC)
            return CUDNN_STATUS_SUCCESS; /* it follows the graph's */
        return cudnnBackendSetAttribute(descriptor,
                                        owner == FG_CUDNN_OF_GRAPH ? CUDNN_ATTR_OPERATIONGRAPH_HANDLE
                                                                   : CUDNN_ATTR_EXECUTION_PLAN_HANDLE,
                                        CUDNN_TYPE_HANDLE, 1, &target->handle);
    }
#if CUDNN_VERSION >= 90800
    if (owner == FG_CUDNN_OF_GRAPH)
        return CUDNN_STATUS_SUCCESS;
    return cudnnBackendSetAttribute(descriptor,
                                    owner == FG_CUDNN_OF_HEURISTIC ? CUDNN_ATTR_ENGINEHEUR_DEVICEPROP
                                                                   : CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
                                    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &target->description);
#else
    return CUDNN_STATUS_NOT_SUPPORTED;
#endif
}

const struct fg_tensor *fg_cudnn_operand(const struct fg_step *step, enum fg_cudnn_kind kind,
                                         enum fg_cudnn_place place) {
    /* The gradients' tensors are like the values'; where a step gives none, its geometry is still the
     * value's. */
    const struct fg_tensor *x = step->in[0], *y = step->out[0], *w = step->param[0];
    const bool forward = kind == FG_CUDNN_FORWARD;
    switch (place) {
    case FG_CUDNN_X:
        return forward ? x : kind == FG_CUDNN_DATA ? y : step->op == FG_CONV ? x : y;
    case FG_CUDNN_W: /* where a filter's gradient is computed: the second thing that is read */
        return kind != FG_CUDNN_FILTER ? w : step->op == FG_CONV ? y : x;
    case FG_CUDNN_Y:
        return forward ? y : kind == FG_CUDNN_DATA ? x : w;
    case FG_CUDNN_BIAS:
        return forward ? step->param[1] : NULL;
    case FG_CUDNN_RESIDUAL:
        return forward ? step->in[1] : NULL;
    case FG_CUDNN_PLACES:
        break;
    }
    return NULL;
}

/* Whether DATA adds to what its output holds. */
static bool is_added(const struct fg_step *step, enum fg_cudnn_kind kind) {
    return kind == FG_CUDNN_DATA && step->accumulate & 1;
}

void fg_cudnn_describe(const struct fg_step *step, enum fg_cudnn_kind kind, char text[FG_CUDNN_TEXT]) {
    static const char *const kinds[FG_CUDNN_KINDS] = {"forward", "data", "filter"};
    const struct fg_tensor *x = step->in[0], *w = step->param[0];
    const bool forward = kind == FG_CUDNN_FORWARD;
    const int length = snprintf(
        text, FG_CUDNN_TEXT, "%s %s type%d %dx%dx%dx%d filter %dx%dx%dx%d stride %d groups %d%s%s%s%s",
        step->op == FG_CONV ? "conv" : "deconv", kinds[kind], (int)x->dtype, x->n, x->h, x->w, x->c, w->n,
        w->h, w->w, w->c, step->stride, step->groups, forward && step->param[1] ? " bias" : "",
        forward && step->in[1] ? " residual" : "", forward && step->relu ? " relu" : "",
        is_added(step, kind) ? " add" : "");
    assert(length > 0 && length < FG_CUDNN_TEXT);
    (void)length;
}

/* A graph on its way: the first error stays. */
struct builder {
    struct fg_cudnn_graph *graph;
    cudnnStatus_t error;
    const char *what;
};

static void note_error(struct builder *b, cudnnStatus_t error, const char *what) {
    if (b->error == CUDNN_STATUS_SUCCESS && error != CUDNN_STATUS_SUCCESS) {
        b->error = error;
        b->what = what;
    }
}

static cudnnBackendDescriptor_t create_descriptor(struct builder *b, cudnnBackendDescriptorType_t type,
                                                  const char *what) {
    cudnnBackendDescriptor_t d = NULL;
    if (b->error == CUDNN_STATUS_SUCCESS && b->graph->descriptors == FG_CUDNN_DESCRIPTORS)
        note_error(b, CUDNN_STATUS_INTERNAL_ERROR, "room for descriptors");
    if (b->error == CUDNN_STATUS_SUCCESS) {
        note_error(b, cudnnBackendCreateDescriptor(type, &d), what);
        if (d)
            b->graph->descriptor[b->graph->descriptors++] = d;
    }
    return d;
}

static void set_attribute(struct builder *b, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                          cudnnBackendAttributeType_t type, int64_t count, const void *values,
                          const char *what) {
    if (b->error == CUDNN_STATUS_SUCCESS)
        note_error(b, cudnnBackendSetAttribute(d, name, type, count, values), what);
}

static void finalise_descriptor(struct builder *b, cudnnBackendDescriptor_t d, const char *what) {
    if (b->error == CUDNN_STATUS_SUCCESS)
        note_error(b, cudnnBackendFinalize(d), what);
}

static cudnnDataType_t get_data_type(enum fg_dtype dtype) {
    return dtype == FG_F16 ? CUDNN_DATA_HALF : dtype == FG_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

/* place FG_CUDNN_PLACES and more: a virtual tensor between operations, float32. */
static cudnnBackendDescriptor_t make_tensor(struct builder *b, const struct fg_tensor *t, int64_t place) {
    static const char what[] = "a tensor";
    const bool is_virtual = place >= FG_CUDNN_PLACES;
    const int64_t n = t->n, h = t->h, w = t->w, c = t->c, alignment = 16;
    const int64_t extent[] = {n, c, h, w}, stride[] = {h * w * c, 1, w * c, c};
    const cudnnDataType_t type = is_virtual ? CUDNN_DATA_FLOAT : get_data_type(t->dtype);
    cudnnBackendDescriptor_t d = create_descriptor(b, CUDNN_BACKEND_TENSOR_DESCRIPTOR, what);
    set_attribute(b, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type, what);
    set_attribute(b, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, extent, what);
    set_attribute(b, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, stride, what);
    set_attribute(b, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &place, what);
    set_attribute(b, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment, what);
    set_attribute(b, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual, what);
    finalise_descriptor(b, d, what);
    return d;
}

/* Makes the convolution of a CONV, or the one whose gradient a DECONV is. */
static cudnnBackendDescriptor_t make_convolution(struct builder *b, const struct fg_step *step) {
    static const char what[] = "a convolution";
    const bool conv = step->op == FG_CONV; /* DECONV has neither attribute */
    const int64_t padding = conv ? step->param[0]->h / 2 : 0, stride = conv ? step->stride : 2,
                  dimensions = 2;
    const int64_t pads[] = {padding, padding}, strides[] = {stride, stride}, dilations[] = {1, 1};
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    cudnnBackendDescriptor_t d = create_descriptor(b, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, what);
    set_attribute(b, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type, what);
    set_attribute(b, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode, what);
    set_attribute(b, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dimensions, what);
    set_attribute(b, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pads, what);
    set_attribute(b, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pads, what);
    set_attribute(b, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, strides, what);
    set_attribute(b, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilations, what);
    finalise_descriptor(b, d, what);
    return d;
}

/* The attributes of an operation that convolves, by what it computes. */
struct names {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t convolution;
    cudnnBackendAttributeName_t x, w; /* what it reads */
    cudnnBackendAttributeName_t y;    /* what it writes */
    cudnnBackendAttributeName_t alpha, beta;
};

static const struct names CONVOLVE = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                                      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                                      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                                      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                                      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                                      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                                      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
static const struct names BY_DATA = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
static const struct names BY_FILTER = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};

static cudnnBackendDescriptor_t make_convolve(struct builder *b, const struct names *names,
                                              cudnnBackendDescriptor_t conv, cudnnBackendDescriptor_t x,
                                              cudnnBackendDescriptor_t w, cudnnBackendDescriptor_t y,
                                              float beta) {
    static const char what[] = "an operation that convolves";
    const float alpha = 1;
    cudnnBackendDescriptor_t d = create_descriptor(b, names->type, what);
    set_attribute(b, d, names->convolution, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &conv, what);
    set_attribute(b, d, names->x, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x, what);
    set_attribute(b, d, names->w, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w, what);
    set_attribute(b, d, names->y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y, what);
    set_attribute(b, d, names->alpha, CUDNN_TYPE_FLOAT, 1, &alpha, what);
    set_attribute(b, d, names->beta, CUDNN_TYPE_FLOAT, 1, &beta, what);
    finalise_descriptor(b, d, what);
    return d;
}

/* y = x + added, or the ReLU of x where there is nothing to add. */
static cudnnBackendDescriptor_t make_pointwise(struct builder *b, cudnnBackendDescriptor_t x,
                                               cudnnBackendDescriptor_t added, cudnnBackendDescriptor_t y) {
    static const char what[] = "an operation on each value";
    const cudnnPointwiseMode_t mode = added ? CUDNN_POINTWISE_ADD : CUDNN_POINTWISE_RELU_FWD;
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t how = create_descriptor(b, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, what);
    set_attribute(b, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode, what);
    set_attribute(b, how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type, what);
    finalise_descriptor(b, how, what);
    cudnnBackendDescriptor_t d = create_descriptor(b, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, what);
    set_attribute(b, d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &how,
                  what);
    set_attribute(b, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x, what);
    if (added)
        set_attribute(b, d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &added,
                      what);
    set_attribute(b, d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y, what);
    finalise_descriptor(b, d, what);
    return d;
}

/* Makes the operations of a convolution; returns their number. */
static int64_t make_operations(struct builder *b, const struct fg_step *step, enum fg_cudnn_kind kind,
                               cudnnBackendDescriptor_t operation[4]) {
    const struct fg_tensor *of[FG_CUDNN_PLACES];
    for (int p = 0; p < FG_CUDNN_PLACES; p++)
        of[p] = fg_cudnn_operand(step, kind, (enum fg_cudnn_place)p);
    const bool convolves = (kind == FG_CUDNN_FORWARD) == (step->op == FG_CONV);
    const struct names *names = kind == FG_CUDNN_FILTER ? &BY_FILTER : convolves ? &CONVOLVE : &BY_DATA;
    const bool forward = kind == FG_CUDNN_FORWARD;
    int64_t left = forward ? (of[FG_CUDNN_BIAS] != NULL) + (of[FG_CUDNN_RESIDUAL] != NULL) + step->relu : 0;
    int64_t count = 0, between = FG_CUDNN_PLACES;
    cudnnBackendDescriptor_t value = make_tensor(b, of[FG_CUDNN_Y], left ? between++ : FG_CUDNN_Y);
    operation[count++] =
        make_convolve(b, names, make_convolution(b, step), make_tensor(b, of[FG_CUDNN_X], FG_CUDNN_X),
                      make_tensor(b, of[FG_CUDNN_W], FG_CUDNN_W), value, is_added(step, kind) ? 1 : 0);
    static const enum fg_cudnn_place added[] = {FG_CUDNN_BIAS, FG_CUDNN_RESIDUAL, FG_CUDNN_PLACES};
    for (int i = 0; left; i++) {
        const bool relu = added[i] == FG_CUDNN_PLACES;
        if (!relu && !of[added[i]])
            continue;
        cudnnBackendDescriptor_t more = relu ? NULL : make_tensor(b, of[added[i]], added[i]);
        cudnnBackendDescriptor_t next = make_tensor(b, of[FG_CUDNN_Y], --left ? between++ : FG_CUDNN_Y);
        operation[count++] = make_pointwise(b, value, more, next);
        value = next;
    }
    return count;
}

enum fg_status fg_cudnn_graph_open(const struct fg_step *step, enum fg_cudnn_kind kind,
                                   const struct fg_cudnn_target *target, struct fg_cudnn_graph *graph,
                                   struct fg_message *message) {
    static const char what[] = "a graph";
    memset(graph, 0, sizeof *graph);
    struct builder b = {.graph = graph, .error = CUDNN_STATUS_SUCCESS};
    cudnnBackendDescriptor_t operation[4];
    const int64_t count = make_operations(&b, step, kind, operation);
    cudnnBackendDescriptor_t d = create_descriptor(&b, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, what);
    set_attribute(&b, d, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, operation,
                  what);
    if (b.error == CUDNN_STATUS_SUCCESS)
        note_error(&b, fg_cudnn_aim(d, FG_CUDNN_OF_GRAPH, target), what);
    finalise_descriptor(&b, d, what);
    graph->graph = d;
    if (b.error == CUDNN_STATUS_SUCCESS)
        return FG_OK;
    char text[FG_CUDNN_TEXT];
    fg_cudnn_describe(step, kind, text);
    enum fg_status status = fg_cudnn_fail(b.error, b.what, message);
    fg_cudnn_graph_close(graph);
    return fg_fail_in(message, status, text);
}

void fg_cudnn_graph_close(struct fg_cudnn_graph *graph) {
    while (graph->descriptors) /* what is made of others goes before them */
        cudnnBackendDestroyDescriptor(graph->descriptor[--graph->descriptors]);
    graph->graph = NULL;
}
