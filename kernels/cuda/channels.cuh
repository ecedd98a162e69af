/* Blocks over maps: 32 channels by 8 rows of positions, so that a warp reads 32 neighbouring channels. */
#ifndef FG_KERNELS_CUDA_CHANNELS_CUH
#define FG_KERNELS_CUDA_CHANNELS_CUH

#include "kernels/cuda/device.cuh"

#define FG_CHANNELS 32
#define FG_ROWS 8
#define FG_CHANNEL_BLOCK (FG_CHANNELS * FG_ROWS) /* threads */

static inline int fg_channel_blocks(int channels) {
    return (channels + FG_CHANNELS - 1) / FG_CHANNELS;
}

__device__ static inline int fg_row() {
    return (int)threadIdx.x / FG_CHANNELS;
}
__device__ static inline int fg_lane() {
    return (int)threadIdx.x % FG_CHANNELS;
}

/* The sum over the block's rows of each channel's value; the same in every row. Ends with all threads past their
 * reading. */
__device__ static inline float fg_sum_rows(float value) {
    __shared__ float rows[FG_ROWS][FG_CHANNELS];
    rows[fg_row()][fg_lane()] = value;
    __syncthreads();
    float sum = 0;
    for (int r = 0; r < FG_ROWS; r++)
        sum += rows[r][fg_lane()];
    __syncthreads();
    return sum;
}

#endif
