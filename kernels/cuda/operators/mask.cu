/* MASK: hides positions of FMM's input (runtime/network/network.h, sections 5 and 7). A block's positions are
 * of one image; one warp a position: its draw is made once. */
#include "kernels/cuda/operators/device.cuh"

#include "kernels/philox.h"

struct mask {
    unsigned positions;
    int c;
    uint32_t level;
    float rate;
};

/* What a struct fg_draw says of one image. */
struct drawn {
    uint64_t seed;
    uint32_t epoch, image;
};

/* Forward and backward are the same product. */
__global__ static void hide_positions(struct mask m, const struct fg_draw *draw, const float *from, float *to,
                                      bool add) {
    __shared__ struct drawn d;
    if (threadIdx.x == 0)
        d = {draw->seed, draw->epoch, draw->image[blockIdx.y]};
    __syncthreads();
    const unsigned warps = fg_threads() / FG_WARP;
    for (unsigned position = fg_thread() / FG_WARP; position < m.positions; position += warps) {
        const float keep = fg_philox_mask(d.seed, d.epoch, d.image, m.level, position, m.rate);
        const size_t at = ((size_t)blockIdx.y * m.positions + position) * m.c;
        for (int k = (int)(threadIdx.x % FG_WARP); k < m.c; k += FG_WARP)
            fg_give(to + at + k, keep * from[at + k], add);
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0], *draw = step->in[1], *y = step->out[0];
    return fg_is_value(x) && draw && y && x->dtype == FG_F32 && y->dtype == FG_F32 && x->n <= FG_MAX_BATCH &&
           fg_tensor_count(x) == fg_tensor_count(y) && fg_tensor_bytes(draw) >= sizeof(struct fg_draw);
}

static enum fg_status run_mask(const struct fg_cuda_call *call, const struct fg_tensor *from,
                               const struct fg_tensor *to, bool add) {
    const struct fg_step *step = call->step;
    const struct fg_tensor *x = step->in[0];
    const struct mask m = {(unsigned)(x->h * x->w), x->c, step->level, step->mask_rate};
    const dim3 blocks = fg_reader_blocks(m.positions, (unsigned)x->n, FG_BLOCK / FG_WARP);
    return fg_launch(call, blocks, FG_BLOCK, hide_positions, m,
                     fg_values<const struct fg_draw>(call, step->in[1]), fg_values<const float>(call, from),
                     fg_values<float>(call, to), add);
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    return run_mask(&call, step->in[0], step->out[0], false);
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    return step->d_in[0] ? run_mask(&call, step->d_out[0], step->d_in[0], step->accumulate & 1) : FG_OK;
}

const struct fg_kernel fg_cuda_mask = {.supports = supports, .forward = forward, .backward = backward};
