/* NORMALISE: 8-bit RGB to the values that torchvision's backbones were trained on. A block's values are of
 * one image. */
#include "kernels/cuda/operators/device.cuh"

template <typename T>
__global__ static void normalise(unsigned size, const uint8_t *in, const struct fg_draw *draw, T *out) {
    __shared__ unsigned picture;
    if (threadIdx.x == 0)
        picture = draw ? draw->image[blockIdx.y] : blockIdx.y;
    __syncthreads();
    in += (size_t)picture * size;
    out += (size_t)blockIdx.y * size;
    for (unsigned i = fg_thread(); i < size; i += fg_threads()) {
        const unsigned k = i % 3;
        const float mean = k == 0 ? FG_MEAN_RED : k == 1 ? FG_MEAN_GREEN : FG_MEAN_BLUE;
        const float deviation = k == 0 ? FG_DEVIATION_RED : k == 1 ? FG_DEVIATION_GREEN : FG_DEVIATION_BLUE;
        fg_store(out + i, ((float)in[i] / 255.0f - mean) / deviation);
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *in = step->in[0], *out = step->out[0];
    return in && in->dtype == FG_U8 && fg_is_value(out) && in->c == 3 && in->h == out->h && in->w == out->w &&
           out->c == 3 && out->n <= FG_MAX_BATCH &&
           (step->in[1] ? step->in[1]->c == (int)sizeof(struct fg_draw) : in->n == out->n);
}

template <typename T> static enum fg_status run_forward(const struct fg_cuda_call *call) {
    const struct fg_step *step = call->step;
    const unsigned images = (unsigned)step->out[0]->n,
                   size = (unsigned)fg_tensor_count(step->out[0]) / images;
    const dim3 blocks = step->in[1] ? fg_reader_blocks(size, images) : dim3(fg_blocks(size).x, images);
    return fg_launch(call, blocks, FG_BLOCK, normalise<T>, size, fg_values<const uint8_t>(call, step->in[0]),
                     fg_values<const struct fg_draw>(call, step->in[1]), fg_values<T>(call, step->out[0]));
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    return FG_BY_TYPE(step->out[0], run_forward, &call);
}

const struct fg_kernel fg_cuda_normalise = {.supports = supports, .forward = forward};
