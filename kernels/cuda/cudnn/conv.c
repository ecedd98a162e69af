/* CONV and DECONV on cuDNN. */
#include "kernels/cuda/host/context.h"
#include "kernels/cuda/host/cuda.h"

static bool has_shape(const struct fg_tensor *t, enum fg_dtype dtype, int32_t n, int32_t h, int32_t w,
                      int32_t c) {
    return t && t->dtype == dtype && t->n == n && t->h == h && t->w == w && t->c == c;
}

static bool has_right_types(const struct fg_step *step) {
    const enum fg_dtype dtype = step->in[0]->dtype;
    return dtype == FG_F32 || (dtype == FG_F16 && step->pass == FG_FORWARD);
}

static bool conv_supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0], *w = step->param[0], *y = step->out[0];
    if (!x || !w || !y || !has_right_types(step) || step->stride < 1 || step->stride > 2 ||
        step->groups < 1 || step->groups > 2 || w->h % 2 == 0 || x->c % step->groups || w->n % step->groups)
        return false;
    const int32_t h = (x->h - 1) / step->stride + 1, width = (x->w - 1) / step->stride + 1;
    return has_shape(w, x->dtype, w->n, w->h, w->h, x->c / step->groups) &&
           has_shape(y, x->dtype, x->n, h, width, w->n) &&
           (!step->in[1] || has_shape(step->in[1], x->dtype, x->n, h, width, w->n)) &&
           (!step->param[1] || has_shape(step->param[1], FG_F32, 1, 1, 1, w->n));
}

static bool deconv_supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0], *w = step->param[0], *y = step->out[0];
    return x && w && y && has_right_types(step) && has_shape(w, x->dtype, x->c, 2, 2, w->c) &&
           has_shape(y, x->dtype, x->n, 2 * x->h, 2 * x->w, w->c) &&
           (!step->param[1] || has_shape(step->param[1], FG_F32, 1, 1, 1, w->c));
}

/* cuDNN's share of the workspace lies behind the tail's. */
static size_t workspace(const struct fg_backend *backend, const struct fg_step *step) {
    const struct fg_cuda *cuda = (const struct fg_cuda *)backend;
    return cuda->settings.workspace + (step->pass == FG_BACKWARD ? fg_cuda_conv_tail_scratch(step) : 0);
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    void *data[FG_CUDNN_PLACES];
    for (int p = 0; p < FG_CUDNN_PLACES; p++) {
        const struct fg_tensor *t = fg_cudnn_operand(step, FG_CUDNN_FORWARD, (enum fg_cudnn_place)p);
        data[p] = t ? fg_tensor_data(t, memory) : NULL;
    }
    return fg_cuda_run_convolution((struct fg_cuda *)backend, step, FG_CUDNN_FORWARD, data,
                                   (char *)memory->segment[FG_SEGMENT_WORKSPACE] + step->workspace, message);
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    char *scratch = (char *)memory->segment[FG_SEGMENT_WORKSPACE] + step->workspace;
    void *gradient = NULL;
    enum fg_status status = fg_cuda_conv_tail(&call, scratch, &gradient);
    scratch += fg_cuda_conv_tail_scratch(step);
    if (status == FG_OK && step->d_in[0]) {
        void *data[FG_CUDNN_PLACES] = {[FG_CUDNN_X] = gradient,
                                       [FG_CUDNN_W] = fg_tensor_data(step->param[0], memory),
                                       [FG_CUDNN_Y] = fg_tensor_data(step->d_in[0], memory)};
        status =
            fg_cuda_run_convolution((struct fg_cuda *)backend, step, FG_CUDNN_DATA, data, scratch, message);
    }
    if (status == FG_OK && step->d_param[0]) {
        void *x = fg_tensor_data(step->in[0], memory);
        const bool conv = step->op == FG_CONV;
        void *data[FG_CUDNN_PLACES] = {[FG_CUDNN_X] = conv ? x : gradient,
                                       [FG_CUDNN_W] = conv ? gradient : x,
                                       [FG_CUDNN_Y] = fg_tensor_data(step->d_param[0], memory)};
        status =
            fg_cuda_run_convolution((struct fg_cuda *)backend, step, FG_CUDNN_FILTER, data, scratch, message);
    }
    return status;
}

const struct fg_kernel fg_cuda_conv = {
    .supports = conv_supports, .workspace = workspace, .forward = forward, .backward = backward};
const struct fg_kernel fg_cuda_deconv = {
    .supports = deconv_supports, .workspace = workspace, .forward = forward, .backward = backward};
