/* NORMALISE: 8-bit RGB to the values that torchvision's backbones were trained on. */
#include "kernels/cuda/device.cuh"

template <typename T> __global__ static void normalise(size_t count, const uint8_t *in, T *out) {
    for (size_t i = fg_thread(); i < count; i += fg_threads()) {
        const int k = (int)(i % 3);
        const float mean = k == 0 ? 0.485f : k == 1 ? 0.456f : 0.406f;
        const float deviation = k == 0 ? 0.229f : k == 1 ? 0.224f : 0.225f;
        fg_store(out + i, ((float)in[i] / 255.0f - mean) / deviation);
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *in = step->in[0], *out = step->out[0];
    return in && in->dtype == FG_U8 && fg_is_value(out) && in->c == 3 &&
           fg_tensor_count(in) == fg_tensor_count(out);
}

template <typename T> static enum fg_status run_forward(const struct fg_cuda_call *call) {
    const size_t count = fg_tensor_count(call->step->out[0]);
    return fg_launch(call, fg_blocks(count), FG_BLOCK, normalise<T>, count,
                     fg_values<const uint8_t>(call, call->step->in[0]),
                     fg_values<T>(call, call->step->out[0]));
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    return FG_BY_TYPE(step->out[0], run_forward, &call);
}

const struct fg_kernel fg_cuda_normalise = {.supports = supports, .forward = forward};
