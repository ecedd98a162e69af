/* Blocks over one image's map, for what needs a channel's sums over all positions before it writes any. A
 * block is 8 channels, whose float32 values are as many bytes as memory gives at once (32), by 64 rows of
 * positions: so even one image of few channels makes many blocks.
 *
 * Errors: none. Owner: nothing is kept. Thread: any on the host; on the device all threads of a block call a
 * sum together, because it has barriers. NULL: never. */
#ifndef FG_KERNELS_CUDA_OPERATORS_SLICES_CUH
#define FG_KERNELS_CUDA_OPERATORS_SLICES_CUH

#include "kernels/cuda/operators/device.cuh"

#define FG_SLICE 8 /* channels */
#define FG_SLICE_ROWS 64
#define FG_SLICE_BLOCK (FG_SLICE * FG_SLICE_ROWS) /* threads */

static inline unsigned fg_slices(int channels) {
    return (unsigned)(channels + FG_SLICE - 1) / FG_SLICE;
}

__device__ static inline int fg_slice_row() {
    return (int)threadIdx.x / FG_SLICE;
}
__device__ static inline int fg_slice_lane() {
    return (int)threadIdx.x % FG_SLICE;
}

/* The sum over the block's rows of each channel's value; the same in every row. Ends with all threads past
 * their reading. */
__device__ static inline float fg_sum_slice(float value) {
    __shared__ float warps[FG_SLICE_BLOCK / FG_WARP][FG_SLICE];
    const int warp = (int)threadIdx.x / FG_WARP, lane = (int)threadIdx.x % FG_WARP;
    for (int lanes = FG_SLICE; lanes < FG_WARP; lanes *= 2)
        value += __shfl_xor_sync(0xffffffffu, value, lanes);
    if (lane < FG_SLICE)
        warps[warp][lane] = value;
    __syncthreads();
    float sum = 0;
    for (int w = 0; w < FG_SLICE_BLOCK / FG_WARP; w++)
        sum += warps[w][fg_slice_lane()];
    __syncthreads();
    return sum;
}

#endif
