/* Sums of each channel over all rows (positions of all images). A block is 32 channels by 8 rows, so that a
 * warp reads 32 neighbouring channels. One kernel sums each chunk of rows, a second adds the chunks: always
 * in the same order.
 *
 * Errors: none. Owner: the caller owns all values. Thread: any on the host; on the device all threads of a
 * block call a sum together, because it has barriers. NULL: never. */
#ifndef FG_KERNELS_CUDA_OPERATORS_CHANNELS_CUH
#define FG_KERNELS_CUDA_OPERATORS_CHANNELS_CUH

#include "kernels/cuda/operators/device.cuh"

#define FG_CHANNELS 32
#define FG_ROWS 8
#define FG_CHANNEL_BLOCK (FG_CHANNELS * FG_ROWS) /* threads */

static inline unsigned fg_channel_blocks(int channels) {
    return (unsigned)(channels + FG_CHANNELS - 1) / FG_CHANNELS;
}

__device__ static inline int fg_row() {
    return (int)threadIdx.x / FG_CHANNELS;
}
__device__ static inline int fg_lane() {
    return (int)threadIdx.x % FG_CHANNELS;
}

/* The sum over the block's rows of each channel's value; the same in every row. Ends with all threads past
 * their reading. */
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

#define FG_CHUNK_ROWS 64 /* at least */
#define FG_MOST_CHUNKS 128

struct fg_rows {
    int count; /* rows */
    int c;     /* channels */
    int chunks;
    int chunk; /* rows of each chunk but the last */
};

struct fg_span {
    int begin, end;
};

/* All rows of a tensor, which must be at most INT32_MAX. */
static inline struct fg_rows fg_rows_of(const struct fg_tensor *t) {
    struct fg_rows r = {(int)(fg_tensor_count(t) / (size_t)t->c), t->c, 0, 0};
    int chunks = (r.count + FG_CHUNK_ROWS - 1) / FG_CHUNK_ROWS;
    chunks = chunks > FG_MOST_CHUNKS ? FG_MOST_CHUNKS : chunks;
    r.chunk = (r.count + chunks - 1) / chunks;
    r.chunks = (r.count + r.chunk - 1) / r.chunk;
    return r;
}

/* A block for each 32 channels of each chunk; and for each 32 channels. */
static inline dim3 fg_chunk_blocks(struct fg_rows r) {
    return dim3(fg_channel_blocks(r.c), (unsigned)r.chunks);
}
static inline dim3 fg_merge_blocks(struct fg_rows r) {
    return dim3(fg_channel_blocks(r.c));
}

/* The thread's channel in either, which may be beyond the last. */
__device__ static inline int fg_channel() {
    return (int)blockIdx.x * FG_CHANNELS + fg_lane();
}

__device__ static inline struct fg_span fg_chunk(struct fg_rows r, int chunk) {
    const int begin = chunk * r.chunk, end = begin + r.chunk;
    return {begin, end < r.count ? end : r.count};
}

/* Leaves what the block found of its chunk at values[chunk][channel]. */
__device__ static inline void fg_leave(struct fg_rows r, float value, float *values) {
    if (fg_channel() < r.c && fg_row() == 0)
        values[(size_t)blockIdx.y * r.c + fg_channel()] = value;
}

/* The sum over the chunks of what was left there; the same in every row. Ends with all threads past their
 * reading. */
__device__ static inline float fg_sum_chunks(struct fg_rows r, const float *values) {
    float sum = 0;
    for (int i = fg_row(); fg_channel() < r.c && i < r.chunks; i += FG_ROWS)
        sum += values[(size_t)i * r.c + fg_channel()];
    return fg_sum_rows(sum);
}

#endif
