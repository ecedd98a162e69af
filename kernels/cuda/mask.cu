/* MASK: hides positions of FMM's input (network.md sections 5 and 7). One warp a position: its draw is made once. */
#include "kernels/cuda/device.cuh"

#include "kernels/philox.h"

struct mask {
    size_t rows, positions;
    int c;
    uint32_t level;
    float rate;
};

/* Forward and backward are the same product. */
__global__ static void hide(struct mask m, const struct fg_draw *draw, const float *from, float *to,
                            bool add) {
    const size_t warps = fg_threads() / FG_WARP;
    for (size_t row = fg_thread() / FG_WARP; row < m.rows; row += warps) {
        const float keep = fg_philox_mask(draw->seed, draw->epoch, draw->image[row / m.positions], m.level,
                                          (uint32_t)(row % m.positions), m.rate);
        for (int k = (int)(threadIdx.x % FG_WARP); k < m.c; k += FG_WARP)
            fg_give(to + row * m.c + k, keep * from[row * m.c + k], add);
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0], *draw = step->in[1], *y = step->out[0];
    return x && draw && y && x->dtype == FG_F32 && y->dtype == FG_F32 && x->n <= FG_MAX_BATCH &&
           fg_tensor_count(x) == fg_tensor_count(y) && fg_tensor_bytes(draw) >= sizeof(struct fg_draw);
}

static enum fg_status run(const struct fg_cuda_call *call, const struct fg_tensor *from,
                          const struct fg_tensor *to, bool add) {
    const struct fg_step *step = call->step;
    const struct fg_tensor *x = step->in[0];
    const struct mask m = {(size_t)x->n * x->h * x->w, (size_t)x->h * x->w, x->c, step->level,
                           step->mask_rate};
    return fg_launch(call, fg_blocks(m.rows, FG_BLOCK / FG_WARP), FG_BLOCK, hide, m,
                     fg_values<const struct fg_draw>(call, step->in[1]), fg_values<const float>(call, from),
                     fg_values<float>(call, to), add);
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    return run(&call, step->in[0], step->out[0], false);
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    return step->d_in[0] ? run(&call, step->d_out[0], step->d_in[0], step->accumulate & 1) : FG_OK;
}

const struct fg_kernel fg_cuda_mask = {.supports = supports, .forward = forward, .backward = backward};
