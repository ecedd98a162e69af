/* What every .cu shares: values read as float whatever their type, sums over a warp and a block, launching.
 *
 * Sums are taken in a fixed order, so that the same input gives the same bits. A block is 1 to 32 whole warps
 * and every thread of it reaches every barrier and shuffle.
 *
 * Errors: FG_DEVICE_LOST from fg_launch, for a kernel that cannot be started. Owner: the caller owns tensors
 * and memory; nothing is kept. Thread: the one that submits calls fg_launch; any calls the rest. NULL:
 * fg_values and fg_is_value take a tensor that is NULL; a message may be; nothing else. */
#ifndef FG_KERNELS_CUDA_OPERATORS_DEVICE_CUH
#define FG_KERNELS_CUDA_OPERATORS_DEVICE_CUH

#include <cuda_fp16.h>
#include <cuda_runtime.h>

extern "C" {
#include "kernels/cuda/host/cuda.h"
}

#define FG_WARP 32
#define FG_BLOCK 256 /* threads, where nothing asks for another number */

__device__ static inline float fg_load(const float *p) {
    return *p;
}
__device__ static inline float fg_load(const __half *p) {
    return __half2float(*p);
}
__device__ static inline void fg_store(float *p, float value) {
    *p = value;
}
__device__ static inline void fg_store(__half *p, float value) {
    *p = __float2half_rn(value);
}

/* Writes a gradient, or adds it to what another consumer has left. */
__device__ static inline void fg_give(float *d, float value, bool add) {
    *d = add ? *d + value : value;
}

/* 1 / (1 + exp(-x)); NaN stays NaN. */
__device__ static inline float fg_sigmoid(float x) {
    return 1 / (1 + expf(-x));
}

/* The thread's number in the grid, and the grid's threads: loops go from one by the other. Values are counted
 * in 32 bits (fg_is_value), because GPUs divide by 64 slowly. */
__device__ static inline unsigned fg_thread() {
    return blockIdx.x * blockDim.x + threadIdx.x;
}
__device__ static inline unsigned fg_threads() {
    return gridDim.x * blockDim.x;
}

/* The same sum in every lane. */
__device__ static inline float fg_warp_sum(float value) {
    for (int lanes = FG_WARP / 2; lanes > 0; lanes /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, lanes);
    return value;
}

/* The same sum in every thread of a one-dimensional block. Ends with all threads past their reading. */
__device__ static inline float fg_block_sum(float value) {
    __shared__ float warps[FG_WARP];
    const unsigned warp = threadIdx.x / FG_WARP, lane = threadIdx.x % FG_WARP, count = blockDim.x / FG_WARP;
    value = fg_warp_sum(value);
    if (lane == 0)
        warps[warp] = value;
    __syncthreads();
    value = fg_warp_sum(lane < count ? warps[lane] : 0);
    __syncthreads();
    return value;
}

/* Blocks for this number of items, one a thread; where they are very many, loops take the rest. */
static inline dim3 fg_blocks(size_t items, size_t threads = FG_BLOCK) {
    const size_t blocks = (items + threads - 1) / threads;
    return dim3((unsigned)(blocks < 1 ? 1 : blocks > 65535 ? 65535 : blocks));
}

/* The same of each image, where a block begins by reading over the bus what the host has written: no more
 * than a large GPU runs at once, so that the bus is waited for once. */
static inline dim3 fg_reader_blocks(size_t items, unsigned images, size_t threads = FG_BLOCK) {
    const unsigned blocks = fg_blocks(items, threads).x, most = 1024 / images;
    return dim3(blocks < most ? blocks : most, images);
}

/* Queues a kernel on the step's lane. */
template <typename... P, typename... A>
static enum fg_status fg_launch(const struct fg_cuda_call *call, dim3 grid, unsigned block,
                                void (*kernel)(P...), A... a) {
    auto launch = [&](P... p) {
        void *arguments[] = {&p...};
        return cudaLaunchKernel(kernel, grid, dim3(block), arguments, 0,
                                fg_cuda_stream(call->backend, call->step));
    };
    const cudaError_t error = launch(a...);
    return error == cudaSuccess ? FG_OK
                                : fg_fail(call->message, FG_DEVICE_LOST, "a kernel cannot be started: %s",
                                          cudaGetErrorString(error));
}

/* A tensor's values; NULL where there is no tensor. */
template <typename T> static T *fg_values(const struct fg_cuda_call *call, const struct fg_tensor *t) {
    return t ? static_cast<T *>(fg_tensor_data(t, call->memory)) : nullptr;
}

static inline void *fg_workspace(const struct fg_cuda_call *call) {
    return static_cast<char *>(call->memory->segment[FG_SEGMENT_WORKSPACE]) + call->step->workspace;
}

/* Runs a template for the type of a tensor's values. */
#define FG_BY_TYPE(tensor, run, ...)                                                                         \
    ((tensor)->dtype == FG_F16 ? run<__half>(__VA_ARGS__) : run<float>(__VA_ARGS__))

/* Whether a loop over this number of values ends before its counter of 32 bits begins again. */
static inline bool fg_is_counted(size_t values) {
    return values <= INT32_MAX;
}

static inline bool fg_is_value(const struct fg_tensor *t) {
    return t && (t->dtype == FG_F32 || t->dtype == FG_F16) && fg_is_counted(fg_tensor_count(t));
}

#endif
