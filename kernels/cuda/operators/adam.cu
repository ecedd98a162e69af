/* ADAM over all trained parameters in one launch (runtime/network/network.h, section 7; equation 14's l2 is
 * added to the gradient). */
#include "kernels/cuda/operators/device.cuh"

/* What changes from step to step, as the host writes it. */
struct schedule {
    float rate;
    float first, second; /* corrections of the two moments, which begin at 0 */
    float l2;
};

__global__ static void update_parameters(size_t count, size_t decayed, const struct schedule *schedule,
                                         const float *g, float *theta, float *m, float *v) {
    __shared__ struct schedule s;
    if (threadIdx.x == 0)
        s = *schedule;
    __syncthreads();
    const float rate = s.rate, first = s.first, second = s.second, l2 = s.l2;
    for (size_t i = fg_thread(); i < count; i += fg_threads()) {
        const float slope = g[i] + 2 * (i < decayed ? l2 : 0) * theta[i];
        m[i] = (float)FG_ADAM_FIRST * m[i] + (float)(1 - FG_ADAM_FIRST) * slope;
        v[i] = (float)FG_ADAM_SECOND * v[i] + (float)(1 - FG_ADAM_SECOND) * slope * slope;
        theta[i] -= rate * (m[i] * first) / (sqrtf(v[i] * second) + (float)FG_ADAM_EPSILON);
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *g = step->d_param[0];
    bool right = step->in[0] && fg_tensor_count(step->in[0]) == 4 && g && g->dtype == FG_F32;
    for (int i = 0; i < 3; i++)
        right = right && step->param[i] && step->param[i]->dtype == FG_F32 &&
                fg_tensor_count(step->param[i]) == fg_tensor_count(g);
    return right;
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    const size_t count = fg_tensor_count(step->param[0]);
    return fg_launch(&call, fg_reader_blocks(count, 1), FG_BLOCK, update_parameters, count, step->decayed,
                     fg_values<const struct schedule>(&call, step->in[0]),
                     fg_values<const float>(&call, step->d_param[0]), fg_values<float>(&call, step->param[0]),
                     fg_values<float>(&call, step->param[1]), fg_values<float>(&call, step->param[2]));
}

const struct fg_kernel fg_cuda_adam = {.supports = supports, .forward = forward};
