/* What the CUDA backend's own files share.
 *
 * Errors: FG_DEVICE_LOST where a launch or copy fails. Owner: the caller, of tensors and memory. Thread: the
 * one that submits. NULL: an argument may be NULL only where this says so; a message may. */
#ifndef FG_KERNELS_CUDA_HOST_CUDA_H
#define FG_KERNELS_CUDA_HOST_CUDA_H

#include <cuda_runtime.h>

#include "kernels/backend.h"

/* One run of one step, as the table's forward and backward are given it. */
struct fg_cuda_call {
    struct fg_backend *backend;
    const struct fg_step *step;
    const struct fg_memory *memory;
    struct fg_message *message;
};

/* The stream of the step's lane. */
cudaStream_t fg_cuda_stream(struct fg_backend *backend, const struct fg_step *step);

/* cudaSuccess where the calling thread's device can run the kernels (code.cu). */
cudaError_t fg_cuda_find_code(void);

/* Bytes of a RESIZE's frame, which it copies to the beginning of its workspace: to the end of the last row,
 * which may be the memory's too. */
size_t fg_cuda_frame_bytes(const struct fg_step *step);

/* Before the gradients of a CONV or DECONV by its operands (conv_tail.cu): passes d_out through the ReLU,
 * gives the residual's gradient and sums the bias's. gradient: afterwards what the convolution's own
 * gradients are taken of, d_out or a place in scratch. */
size_t fg_cuda_conv_tail_scratch(const struct fg_step *step);
FG_MUST_USE enum fg_status fg_cuda_conv_tail(const struct fg_cuda_call *call, void *scratch, void **gradient);

/* The ReLU of a float16 CONV or DECONV where no engine has one that keeps NaN (relu.cu): of its output y, in
 * place. */
FG_MUST_USE enum fg_status fg_cuda_relu(const struct fg_cuda_call *call, void *y);

/* The operators: CONV and DECONV are cuDNN's, the others are kernels of our own. Values are float32, or
 * float16 where an operator's inference needs it; backward is float32. */
#define FG_CUDA_KERNEL(constant, name) extern const struct fg_kernel fg_cuda_##name;
FG_OPERATOR_TABLE(FG_CUDA_KERNEL)
#undef FG_CUDA_KERNEL

#endif
