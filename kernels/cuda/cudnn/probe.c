/* Whether an engine keeps what is not finite: a convolution of NaN must be NaN, also behind a fused ReLU (a
 * maximum drops it), and one whose sums float16 cannot hold must be infinite (a conversion may saturate).
 * With an engine that does not, an overflow would be judged as a number. */
#include <stdlib.h>

#include "kernels/cuda/host/context.h"

#define NAN_BYTE 0xff   /* a float16 of two of these is NaN */
#define LARGE_BYTE 0x7b /* a float16 of two of these is 61,280 */
#define EXPONENT 0x7c00 /* all of these bits: not finite */

/* The convolution's operands: they lie one behind the other in a block. */
struct operands {
    struct fg_backend *base;
    char *block;
    void *data[FG_CUDNN_PLACES];
    const struct fg_tensor *tensor[FG_CUDNN_PLACES];
};

static enum fg_status open_operands(struct operands *o, struct fg_backend *base, const struct fg_step *step,
                                    struct fg_message *message) {
    size_t offset[FG_CUDNN_PLACES], bytes = 0;
    void *block = NULL;
    *o = (struct operands){.base = base};
    for (int place = 0; place < FG_CUDNN_PLACES; place++) {
        o->tensor[place] = fg_cudnn_operand(step, FG_CUDNN_FORWARD, (enum fg_cudnn_place)place);
        offset[place] = bytes;
        bytes += o->tensor[place] ? fg_size_align(fg_tensor_bytes(o->tensor[place])) : 0;
    }
    enum fg_status status = base->reserve(base, FG_STORE_DEVICE, bytes, &block, message);
    if (status != FG_OK)
        return status;
    o->block = block;
    for (int place = 0; place < FG_CUDNN_PLACES; place++)
        o->data[place] = o->tensor[place] ? o->block + offset[place] : NULL;
    return FG_OK;
}

/* Looks at the first picture's results: none may be finite. */
static enum fg_status check_results(const struct operands *o, struct fg_message *message) {
    const struct fg_tensor *y = o->tensor[FG_CUDNN_Y];
    const size_t count = fg_tensor_count(y) / (size_t)y->n;
    uint16_t *values = malloc(count * sizeof *values);
    if (!values)
        return fg_fail(message, FG_ENVIRONMENT, "no memory for %zu values", count);
    enum fg_status status =
        o->base->download(o->base, values, o->data[FG_CUDNN_Y], count * sizeof *values, message);
    for (size_t i = 0; i < count && status == FG_OK; i++)
        if ((values[i] & EXPONENT) != EXPONENT)
            status = fg_fail(message, FG_USAGE, "cuDNN: an engine makes a number of what is not finite");
    free(values);
    return status;
}

static enum fg_status run_plan(struct fg_cuda *cuda, const struct fg_step *step,
                               const struct fg_cudnn_plan *plan, const struct operands *o, void *workspace,
                               int input, struct fg_message *message) {
    enum fg_status status =
        fg_cuda_fill(o->data[FG_CUDNN_X], input, fg_tensor_bytes(o->tensor[FG_CUDNN_X]), message);
    if (status == FG_OK)
        status = fg_cuda_fill(o->data[FG_CUDNN_Y], 0, fg_tensor_bytes(o->tensor[FG_CUDNN_Y]), message);
    if (status == FG_OK)
        status = fg_cudnn_plan_run(plan, cuda->handle[step->lane], o->data, workspace, message);
    const cudaError_t error = status == FG_OK ? cudaStreamSynchronize(cuda->stream[step->lane]) : cudaSuccess;
    if (error != cudaSuccess)
        return fg_cuda_fail(error, "trying an engine", message);
    return status == FG_OK ? check_results(o, message) : status;
}

enum fg_status fg_cuda_probe(struct fg_cuda *cuda, const struct fg_step *step,
                             const struct fg_cudnn_plan *plan, const struct fg_memory *memory,
                             struct fg_message *message) {
    char *workspace = (char *)memory->segment[FG_SEGMENT_WORKSPACE] + step->workspace;
    struct operands o;
    enum fg_status status = open_operands(&o, &cuda->base, step, message);
    if (status == FG_OK)
        status = fg_cuda_fill(o.data[FG_CUDNN_W], LARGE_BYTE, fg_tensor_bytes(o.tensor[FG_CUDNN_W]), message);
    if (status == FG_OK)
        status = run_plan(cuda, step, plan, &o, workspace, NAN_BYTE, message);
    if (status == FG_OK)
        status = run_plan(cuda, step, plan, &o, workspace, LARGE_BYTE, message);
    if (o.block)
        cuda->base.release(&cuda->base, o.block);
    return status;
}
