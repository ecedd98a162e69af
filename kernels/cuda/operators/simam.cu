/* SIMAM (runtime/network/network.h, section 3; the paper's equation 9): attention from each value's distance
 * to its channel's mean. */
#include "kernels/cuda/operators/slices.cuh"

struct maps {
    int positions, c;
};

/* Where the thread's channel lies, and whether there is one: blocks at the end have some to spare. */
struct place {
    size_t at; /* where the image's first position is */
    int row;
    bool inside;
};

__device__ static struct place find_place(struct maps m) {
    const int k = (int)blockIdx.x * FG_SLICE + fg_slice_lane();
    return {(size_t)blockIdx.y * m.positions * m.c + k, fg_slice_row(), k < m.c};
}

/* Mean, and 4 (v + lambda), of the thread's channel. */
struct measure {
    float mean, scale;
};

template <typename T>
__device__ static struct measure measure_channel(struct maps m, struct place p, const T *x) {
    float sum = 0, squares = 0;
    for (int r = p.row; p.inside && r < m.positions; r += FG_SLICE_ROWS)
        sum += fg_load(x + p.at + (size_t)r * m.c);
    const float mean = fg_sum_slice(sum) / (float)m.positions;
    for (int r = p.row; p.inside && r < m.positions; r += FG_SLICE_ROWS) {
        const float d = fg_load(x + p.at + (size_t)r * m.c) - mean;
        squares += d * d;
    }
    return {mean, 4 * (fg_sum_slice(squares) / (float)(m.positions - 1) + (float)FG_SIMAM_LAMBDA)};
}

template <typename T>
__global__ static void __launch_bounds__(FG_SLICE_BLOCK) attend(struct maps m, const T *x, T *y) {
    const struct place p = find_place(m);
    const struct measure k = measure_channel(m, p, x);
    for (int r = p.row; p.inside && r < m.positions; r += FG_SLICE_ROWS) {
        const size_t i = p.at + (size_t)r * m.c;
        const float value = fg_load(x + i), d = value - k.mean;
        fg_store(y + i, value * fg_sigmoid(d * d / k.scale + 0.5f));
    }
}

/* With q_j = g_j x_j s_j (1 - s_j) and d_j = (x_j - mean)^2, the exponent's derivative by x_i has three
 * terms: x_i's own distance, the mean, and the variance. */
__global__ static void __launch_bounds__(FG_SLICE_BLOCK)
    attend_back(struct maps m, const float *x, const float *g, float *d_x, bool add) {
    const struct place p = find_place(m);
    const struct measure k = measure_channel(m, p, x);
    float along_mean = 0, along_variance = 0;
    for (int r = p.row; p.inside && r < m.positions; r += FG_SLICE_ROWS) {
        const size_t i = p.at + (size_t)r * m.c;
        const float d = x[i] - k.mean, share = fg_sigmoid(d * d / k.scale + 0.5f);
        const float q = g[i] * x[i] * share * (1 - share);
        along_mean += q * d;
        along_variance += q * d * d;
    }
    const float count = (float)m.positions;
    const float by_mean = 2 * fg_sum_slice(along_mean) / (k.scale * count);
    const float by_variance = 8 * fg_sum_slice(along_variance) / (k.scale * k.scale * (count - 1));
    for (int r = p.row; p.inside && r < m.positions; r += FG_SLICE_ROWS) {
        const size_t i = p.at + (size_t)r * m.c;
        const float d = x[i] - k.mean, share = fg_sigmoid(d * d / k.scale + 0.5f);
        const float q = g[i] * x[i] * share * (1 - share);
        fg_give(d_x + i, g[i] * share + 2 * q * d / k.scale - by_mean - d * by_variance, add);
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0], *y = step->out[0];
    return fg_is_value(x) && y && y->dtype == x->dtype && x->c == y->c &&
           fg_tensor_count(x) == fg_tensor_count(y) && x->h * x->w > 1 &&
           (step->pass == FG_FORWARD || x->dtype == FG_F32);
}

static struct maps describe_maps(const struct fg_step *step) {
    return {step->in[0]->h * step->in[0]->w, step->in[0]->c};
}

static dim3 count_blocks(const struct fg_step *step) {
    return dim3(fg_slices(step->in[0]->c), (unsigned)step->in[0]->n);
}

template <typename T> static enum fg_status run_forward(const struct fg_cuda_call *call) {
    return fg_launch(call, count_blocks(call->step), FG_SLICE_BLOCK, attend<T>, describe_maps(call->step),
                     fg_values<const T>(call, call->step->in[0]), fg_values<T>(call, call->step->out[0]));
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    return FG_BY_TYPE(step->in[0], run_forward, &call);
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    if (!step->d_in[0])
        return FG_OK;
    return fg_launch(&call, count_blocks(step), FG_SLICE_BLOCK, attend_back, describe_maps(step),
                     fg_values<const float>(&call, step->in[0]),
                     fg_values<const float>(&call, step->d_out[0]), fg_values<float>(&call, step->d_in[0]),
                     (step->accumulate & 1) != 0);
}

const struct fg_kernel fg_cuda_simam = {.supports = supports, .forward = forward, .backward = backward};
