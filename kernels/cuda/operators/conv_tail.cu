/* The gradients of what CONV and DECONV do behind the convolution: ReLU, residual, bias. */
#include "kernels/cuda/operators/channels.cuh"

/* to: NULL where there is no ReLU; d_residual: NULL where there is none. */
__global__ static void pass_gradient(size_t count, const float *g, const float *out, bool relu, float *to,
                                     float *d_residual, bool add) {
    for (size_t i = fg_thread(); i < count; i += fg_threads()) {
        const float value = relu && out[i] <= 0 ? 0 : g[i];
        if (to)
            to[i] = value;
        if (d_residual)
            fg_give(d_residual + i, value, add);
    }
}

__global__ static void __launch_bounds__(FG_CHANNEL_BLOCK)
    sum_chunk(struct fg_rows r, const float *g, float *sums) {
    const struct fg_span span = fg_chunk(r, (int)blockIdx.y);
    const int k = fg_channel();
    float sum = 0;
    for (int i = span.begin + fg_row(); k < r.c && i < span.end; i += FG_ROWS)
        sum += g[(size_t)i * r.c + k];
    fg_leave(r, fg_sum_rows(sum), sums);
}

__global__ static void __launch_bounds__(FG_CHANNEL_BLOCK)
    add_chunks(struct fg_rows r, const float *sums, float *d_bias) {
    const float sum = fg_sum_chunks(r, sums);
    if (fg_channel() < r.c && fg_row() == 0)
        d_bias[fg_channel()] = sum;
}

static size_t count_sum_bytes(const struct fg_step *step) {
    const struct fg_rows r = fg_rows_of(step->out[0]);
    return step->d_param[1] ? fg_size_align((size_t)r.chunks * r.c * sizeof(float)) : 0;
}

size_t fg_cuda_conv_tail_scratch(const struct fg_step *step) {
    return count_sum_bytes(step) + (step->relu ? fg_size_align(fg_tensor_bytes(step->out[0])) : 0);
}

enum fg_status fg_cuda_conv_tail(const struct fg_cuda_call *call, void *scratch, void **gradient) {
    const struct fg_step *step = call->step;
    const struct fg_rows r = fg_rows_of(step->out[0]);
    const size_t count = fg_tensor_count(step->out[0]);
    float *sums = static_cast<float *>(scratch), *g = fg_values<float>(call, step->d_out[0]);
    float *d_residual = fg_values<float>(call, step->d_in[1]);
    float *to = step->relu ? sums + count_sum_bytes(step) / sizeof(float) : nullptr;
    enum fg_status status = FG_OK;
    if (to || d_residual)
        status = fg_launch(call, fg_blocks(count), FG_BLOCK, pass_gradient, count, g,
                           fg_values<const float>(call, step->out[0]), step->relu, to, d_residual,
                           (step->accumulate >> 1 & 1) != 0);
    if (to)
        g = to;
    if (status == FG_OK && step->d_param[1]) {
        status = fg_launch(call, fg_chunk_blocks(r), FG_CHANNEL_BLOCK, sum_chunk, r, g, sums);
        if (status == FG_OK)
            status = fg_launch(call, fg_merge_blocks(r), FG_CHANNEL_BLOCK, add_chunks, r, sums,
                               fg_values<float>(call, step->d_param[1]));
    }
    *gradient = g;
    return status;
}
