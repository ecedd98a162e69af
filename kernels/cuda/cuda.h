/* What the CUDA backend's own files share. */
#ifndef FG_KERNELS_CUDA_CUDA_H
#define FG_KERNELS_CUDA_CUDA_H

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

/* Operators that cuDNN has not. Values are float32, or float16 where an operator's inference needs it; backward is
 * float32. */
extern const struct fg_kernel fg_cuda_resize, fg_cuda_normalise, fg_cuda_batch_norm, fg_cuda_max_pool,
    fg_cuda_concat, fg_cuda_sru, fg_cuda_cru, fg_cuda_simam, fg_cuda_mask, fg_cuda_cosine, fg_cuda_distill,
    fg_cuda_anomaly_map, fg_cuda_adam;

#endif
