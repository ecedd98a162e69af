/* MOMENTS (runtime/network/network.h, section 11): mean and deviation of each channel over an image's
 * positions. */
#include "kernels/cuda/operators/slices.cuh"

/* x: {n, positions, c}; y: {n, 2c}. */
template <typename T>
__global__ static void __launch_bounds__(FG_SLICE_BLOCK)
    measure_channels(int positions, int c, const T *x, float *y) {
    const int k = (int)blockIdx.x * FG_SLICE + fg_slice_lane();
    const bool inside = k < c; /* blocks at the end have lanes to spare */
    const size_t at = (size_t)blockIdx.y * positions * c + k;
    float sum = 0, squares = 0;
    for (int r = fg_slice_row(); inside && r < positions; r += FG_SLICE_ROWS)
        sum += fg_load(x + at + (size_t)r * c);
    const float mean = fg_sum_slice(sum) / (float)positions;
    for (int r = fg_slice_row(); inside && r < positions; r += FG_SLICE_ROWS) {
        const float d = fg_load(x + at + (size_t)r * c) - mean;
        squares += d * d;
    }
    const float deviation = sqrtf(fg_sum_slice(squares) / (float)positions);
    if (inside && fg_slice_row() == 0) {
        y[(size_t)blockIdx.y * 2 * c + k] = mean;
        y[((size_t)blockIdx.y * 2 + 1) * c + k] = deviation;
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0], *y = step->out[0];
    return step->pass == FG_FORWARD && fg_is_value(x) && y && y->dtype == FG_F32 && y->n == x->n &&
           y->c == 2 * x->c && y->h == 1 && y->w == 1;
}

template <typename T> static enum fg_status run_forward(const struct fg_cuda_call *call) {
    const struct fg_tensor *x = call->step->in[0];
    return fg_launch(call, dim3(fg_slices(x->c), (unsigned)x->n), FG_SLICE_BLOCK, measure_channels<T>,
                     x->h * x->w, x->c, fg_values<const T>(call, x),
                     fg_values<float>(call, call->step->out[0]));
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    return FG_BY_TYPE(step->in[0], run_forward, &call);
}

const struct fg_kernel fg_cuda_moments = {.supports = supports, .forward = forward};
