/* The fake cuDNN: what finalising a descriptor checks. Documents: NVIDIA cuDNN Backend API, the section of
 * each descriptor. Only what our graphs are made of is known; all else is refused as cuDNN refuses what it
 * has no engine for. */
#include "tests/cuda/fake_cudnn.h"

using fake::descriptor;
using fake::refuse;

#define BAD(why) return refuse(CUDNN_STATUS_BAD_PARAM, why)
#define UNSUPPORTED(why) return refuse(CUDNN_STATUS_NOT_SUPPORTED, why)

/* CUDNN_BACKEND_TENSOR_DESCRIPTOR. */
cudnnStatus_t fake::finalise_tensor(struct descriptor &d) {
    if (d.values[CUDNN_ATTR_TENSOR_DIMENSIONS].count != 4 || d.values[CUDNN_ATTR_TENSOR_STRIDES].count != 4)
        BAD("a tensor of other than four dimensions");
    int64_t extent[4], stride[4];
    for (size_t i = 0; i < 4; i++) {
        extent[i] = d.get<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS, i);
        stride[i] = d.get<int64_t>(CUDNN_ATTR_TENSOR_STRIDES, i);
        if (extent[i] < 1)
            BAD("a tensor without values");
    }
    const int64_t n = extent[0], c = extent[1], h = extent[2], w = extent[3];
    if (stride[1] != 1 || stride[3] != c || stride[2] != w * c || stride[0] != h * w * c)
        UNSUPPORTED("a tensor that is not NHWC");
    const bool is_virtual = d.has(CUDNN_ATTR_TENSOR_IS_VIRTUAL) && d.get<bool>(CUDNN_ATTR_TENSOR_IS_VIRTUAL);
    const int type = d.get<int>(CUDNN_ATTR_TENSOR_DATA_TYPE);
    if (type != CUDNN_DATA_FLOAT && type != CUDNN_DATA_HALF)
        UNSUPPORTED("a tensor of another type");
    const int64_t alignment = d.get<int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
    if (alignment < 4 || (alignment & (alignment - 1)))
        BAD("an alignment that is not a power of two, or less than a value's");
    d.tensor = {d.get<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID), type, is_virtual, n, c, h, w, alignment};
    return CUDNN_STATUS_SUCCESS;
}

/* CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR. */
cudnnStatus_t fake::finalise_convolution(struct descriptor &d) {
    if (d.get<int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS) != 2)
        UNSUPPORTED("a convolution that is not of pictures");
    int64_t of[4][2];
    const cudnnBackendAttributeName_t names[] = {
        CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS,
        CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_ATTR_CONVOLUTION_DILATIONS};
    for (size_t a = 0; a < 4; a++) {
        if (d.values[names[a]].count != 2)
            BAD("a convolution's paddings, strides or dilations are not one for each spatial dimension");
        for (size_t i = 0; i < 2; i++)
            of[a][i] = d.get<int64_t>(names[a], i);
        if (of[a][0] != of[a][1])
            UNSUPPORTED("a convolution that differs along and across");
    }
    if (of[0][0] < 0 || of[2][0] < 1 || of[3][0] < 1)
        BAD("a negative padding, or a stride or dilation below one");
    if (of[0][0] != of[1][0] || of[3][0] != 1)
        UNSUPPORTED("a convolution that is dilated or padded on one side");
    if (d.get<int>(CUDNN_ATTR_CONVOLUTION_CONV_MODE) != CUDNN_CROSS_CORRELATION)
        UNSUPPORTED("a convolution that is not a cross-correlation");
    if (d.get<int>(CUDNN_ATTR_CONVOLUTION_COMP_TYPE) != CUDNN_DATA_FLOAT)
        UNSUPPORTED("sums of another type");
    d.task.padding = of[0][0];
    d.task.stride = of[2][0];
    return CUDNN_STATUS_SUCCESS;
}

namespace {

struct names {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t convolution, x, w, y, alpha, beta;
};

const struct names operations[] = {
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};

const struct names *names_of(cudnnBackendDescriptorType_t type) {
    for (const struct names &n : operations)
        if (n.type == type)
            return &n;
    return nullptr;
}

int64_t extent_after(int64_t in, int64_t kernel, const struct fake::task &task) {
    return (in + 2 * task.padding - kernel) / task.stride + 1;
}

} // namespace

/* CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD, _BACKWARD_DATA and _BACKWARD_FILTER_DESCRIPTOR: the extents
 * must be those of one convolution. */
cudnnStatus_t fake::finalise_convolve(struct descriptor &d) {
    const struct names *names = names_of(d.type);
    const struct descriptor *conv = find_named(d, names->convolution, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR),
                            *x = find_named(d, names->x, CUDNN_BACKEND_TENSOR_DESCRIPTOR),
                            *w = find_named(d, names->w, CUDNN_BACKEND_TENSOR_DESCRIPTOR),
                            *y = find_named(d, names->y, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    if (!conv || !x || !w || !y)
        BAD("an operation of what is not finalised");
    struct task &task = d.task;
    task = conv->task;
    task.kind = d.type;
    task.x = x->tensor;
    task.w = w->tensor;
    task.y = task.out = y->tensor;
    const float alpha = d.get<float>(names->alpha), beta = d.get<float>(names->beta);
    if (alpha != 1 || (beta != 0 && beta != 1))
        UNSUPPORTED("a convolution that is scaled");
    task.adds = beta == 1;
    if (task.adds && task.y.is_virtual)
        BAD("a result that is added to what has no memory");
    const bool data = names == &operations[1], filter = names == &operations[2];
    const struct tensor &in = data ? task.y : task.x, &weight = filter ? task.y : task.w,
                        &out = data     ? task.x
                               : filter ? task.w
                                        : task.y;
    if (in.n != out.n || out.c != weight.n || in.c % weight.c || weight.n % (in.c / weight.c) ||
        weight.h != weight.w || out.h != extent_after(in.h, weight.h, task) ||
        out.w != extent_after(in.w, weight.w, task))
        BAD("extents that are not those of one convolution");
    if (task.x.type != task.w.type || task.x.is_virtual || task.w.is_virtual)
        UNSUPPORTED("a convolution of values of two types, or of what has no memory");
    if (!task.y.is_virtual && task.y.type != task.x.type)
        UNSUPPORTED("a convolution into another type");
    return CUDNN_STATUS_SUCCESS;
}

/* CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR: B is required of a mode with two operands; it is as X, or one
 * along a dimension. */
cudnnStatus_t fake::finalise_pointwise(struct descriptor &d) {
    const struct descriptor *how = find_named(d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR,
                                              CUDNN_BACKEND_POINTWISE_DESCRIPTOR),
                            *x = find_named(d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC,
                                            CUDNN_BACKEND_TENSOR_DESCRIPTOR),
                            *y = find_named(d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC,
                                            CUDNN_BACKEND_TENSOR_DESCRIPTOR),
                            *b = find_named(d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
                                            CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    if (!how || !x || !y)
        BAD("an operation of what is not finalised");
    const int mode = how->get<int>(CUDNN_ATTR_POINTWISE_MODE);
    if ((mode != CUDNN_POINTWISE_ADD && mode != CUDNN_POINTWISE_RELU_FWD) ||
        how->get<int>(CUDNN_ATTR_POINTWISE_MATH_PREC) != CUDNN_DATA_FLOAT)
        UNSUPPORTED("an operation on each value that is neither a sum nor a ReLU");
    if ((mode == CUDNN_POINTWISE_ADD) != (b != nullptr))
        BAD("a sum of one operand, or a ReLU of two");
    const struct tensor &from = x->tensor, &to = y->tensor;
    if (from.n != to.n || from.c != to.c || from.h != to.h || from.w != to.w)
        BAD("an operation on each value that changes extents");
    if (b) {
        const struct tensor &t = b->tensor;
        if ((t.n != 1 && t.n != to.n) || (t.c != 1 && t.c != to.c) || (t.h != 1 && t.h != to.h) ||
            (t.w != 1 && t.w != to.w) || t.is_virtual)
            BAD("a sum with what is not spread over it");
        d.task.added[0] = t;
    }
    d.task.relu[0] = mode == CUDNN_POINTWISE_RELU_FWD;
    d.task.x = from;
    d.task.out = to;
    return CUDNN_STATUS_SUCCESS;
}

/* CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR: each operation reads what the one before it has made; what lies
 * between them is virtual, the result is not; unique ids are unique. */
cudnnStatus_t fake::finalise_graph(struct descriptor &d) {
    const int64_t count = d.values[CUDNN_ATTR_OPERATIONGRAPH_OPS].count;
    if (!is_handle(d.get<cudnnHandle_t>(CUDNN_ATTR_OPERATIONGRAPH_HANDLE)))
        BAD("a graph's handle that is none");
    std::vector<int64_t> ids;
    for (int64_t i = 0; i < count; i++) {
        const struct descriptor *op = find_named(d, CUDNN_ATTR_OPERATIONGRAPH_OPS, -1, (size_t)i);
        if (!op || (i == 0 ? !names_of(op->type) : op->type != CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR))
            UNSUPPORTED("a graph that is not a convolution and operations on each value");
        if (i == 0) {
            d.task = op->task;
            ids = {op->task.x.id, op->task.w.id};
        } else {
            const int64_t p = d.task.pointwise++;
            if (op->task.x.id != d.task.out.id || !d.task.out.is_virtual)
                BAD("an operation that does not read what the one before it has made");
            d.task.relu[p] = op->task.relu[0];
            d.task.added[p] = op->task.added[0];
            d.task.out = op->task.out;
            if (!d.task.relu[p])
                ids.push_back(d.task.added[p].id);
        }
        ids.push_back(d.task.out.id);
    }
    if (d.task.out.is_virtual)
        BAD("a graph whose result has no memory");
    for (size_t i = 0; i < ids.size(); i++)
        for (size_t k = 0; k < i; k++)
            if (ids[i] == ids[k])
                BAD("two tensors of one unique id");
    return CUDNN_STATUS_SUCCESS;
}
