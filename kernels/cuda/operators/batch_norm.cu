/* BATCH_NORM: training's batch norm with the residual and ReLU behind it.
 *
 * One kernel sums each chunk of rows, one merges the chunks, one applies. A chunk's spread is measured about
 * its own mean, and the chunks' means about the first one's, so that a large mean costs no digits. */
#include "kernels/cuda/operators/channels.cuh"

/* Statistics of the batch, and what the kernels before leave for the next. */
struct norm {
    const float *gamma, *beta, *mean, *inverse; /* [c] each */
};

/* first[chunk][channel]: mean; second: sum of squared distances from it. */
__global__ static void __launch_bounds__(FG_CHANNEL_BLOCK)
    measure_chunk(struct fg_rows r, const float *x, float *first, float *second) {
    const struct fg_span span = fg_chunk(r, (int)blockIdx.y);
    const int k = fg_channel();
    const bool inside = k < r.c;
    float sum = 0, squares = 0;
    for (int i = span.begin + fg_row(); inside && i < span.end; i += FG_ROWS)
        sum += x[(size_t)i * r.c + k];
    const float mean = fg_sum_rows(sum) / (float)(span.end - span.begin);
    for (int i = span.begin + fg_row(); inside && i < span.end; i += FG_ROWS) {
        const float d = x[(size_t)i * r.c + k] - mean;
        squares += d * d;
    }
    fg_leave(r, mean, first);
    fg_leave(r, fg_sum_rows(squares), second);
}

/* Writes the batch's statistics and moves the running ones. */
__global__ static void __launch_bounds__(FG_CHANNEL_BLOCK)
    merge_chunks(struct fg_rows r, const float *first, const float *second, float *mean, float *inverse,
                 float *running_mean, float *running_var) {
    const int k = fg_channel();
    const bool inside = k < r.c;
    const float origin = inside ? first[k] : 0;
    float sum = 0, squares = 0;
    for (int i = fg_row(); inside && i < r.chunks; i += FG_ROWS) {
        const struct fg_span span = fg_chunk(r, i);
        sum += (first[(size_t)i * r.c + k] - origin) * (float)(span.end - span.begin);
    }
    const float m = origin + fg_sum_rows(sum) / (float)r.count;
    for (int i = fg_row(); inside && i < r.chunks; i += FG_ROWS) {
        const struct fg_span span = fg_chunk(r, i);
        const float d = first[(size_t)i * r.c + k] - m;
        squares += second[(size_t)i * r.c + k] + d * d * (float)(span.end - span.begin);
    }
    squares = fg_sum_rows(squares);
    if (!inside || fg_row())
        return;
    const float count = (float)r.count, var = squares / count,
                unbiased = r.count > 1 ? squares / (count - 1) : var;
    mean[k] = m;
    inverse[k] = 1 / sqrtf(var + (float)FG_EPSILON);
    running_mean[k] = (float)(1 - FG_BN_MOMENTUM) * running_mean[k] + (float)FG_BN_MOMENTUM * m;
    running_var[k] = (float)(1 - FG_BN_MOMENTUM) * running_var[k] + (float)FG_BN_MOMENTUM * unbiased;
}

__global__ static void apply_norm(struct fg_rows r, struct norm n, const float *x, const float *residual,
                                  bool relu, float *y) {
    const unsigned channels = (unsigned)r.c, count = (unsigned)r.count * channels;
    for (unsigned i = fg_thread(); i < count; i += fg_threads()) {
        const unsigned k = i % channels;
        float value = (x[i] - n.mean[k]) * (n.gamma[k] * n.inverse[k]) + n.beta[k];
        if (residual)
            value += residual[i];
        y[i] = relu && value < 0 ? 0 : value;
    }
}

/* Passes a gradient back through the ReLU. */
__device__ static float pass_relu(float g, float out, bool relu) {
    return relu && out <= 0 ? 0 : g;
}

/* first[chunk][channel]: sum of the gradient; second: of its product with the normalised x. */
__global__ static void __launch_bounds__(FG_CHANNEL_BLOCK)
    sum_chunk(struct fg_rows r, struct norm n, const float *x, const float *out, const float *g, bool relu,
              float *first, float *second) {
    const struct fg_span span = fg_chunk(r, (int)blockIdx.y);
    const int k = fg_channel();
    const bool inside = k < r.c;
    const float mean = inside ? n.mean[k] : 0, inverse = inside ? n.inverse[k] : 0;
    float sum = 0, product = 0;
    for (int i = span.begin + fg_row(); inside && i < span.end; i += FG_ROWS) {
        const size_t at = (size_t)i * r.c + k;
        const float v = pass_relu(g[at], out[at], relu);
        sum += v;
        product += v * (x[at] - mean) * inverse;
    }
    fg_leave(r, fg_sum_rows(sum), first);
    fg_leave(r, fg_sum_rows(product), second);
}

/* Leaves the sums in the first chunk's place. */
__global__ static void __launch_bounds__(FG_CHANNEL_BLOCK)
    add_chunks(struct fg_rows r, float *first, float *second, float *d_gamma, float *d_beta) {
    const float sum = fg_sum_chunks(r, first), product = fg_sum_chunks(r, second);
    const int k = fg_channel();
    if (k >= r.c || fg_row())
        return;
    first[k] = sum;
    second[k] = product;
    if (d_gamma)
        d_gamma[k] = product;
    if (d_beta)
        d_beta[k] = sum;
}

__global__ static void apply_norm_back(struct fg_rows r, struct norm n, const float *x, const float *out,
                                       const float *g, bool relu, const float *sum, const float *product,
                                       float *d_x, float *d_residual, unsigned accumulate) {
    const unsigned channels = (unsigned)r.c, count = (unsigned)r.count * channels;
    for (unsigned i = fg_thread(); i < count; i += fg_threads()) {
        const unsigned k = i % channels;
        const float v = pass_relu(g[i], out[i], relu), normal = (x[i] - n.mean[k]) * n.inverse[k];
        if (d_x)
            fg_give(d_x + i,
                    n.gamma[k] * n.inverse[k] * (v - (sum[k] + normal * product[k]) / (float)r.count),
                    accumulate & 1);
        if (d_residual)
            fg_give(d_residual + i, v, accumulate >> 1 & 1);
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0], *y = step->out[0], *statistics = step->out[1];
    bool right = fg_is_value(x) && y && statistics && x->dtype == FG_F32 && y->dtype == FG_F32 &&
                 x->c == y->c && fg_tensor_count(x) == fg_tensor_count(y) &&
                 fg_tensor_count(statistics) == 2 * (size_t)x->c;
    for (int i = 0; i < 4; i++)
        right = right && step->param[i] && fg_tensor_count(step->param[i]) == (size_t)x->c;
    return right && (!step->in[1] || fg_tensor_count(step->in[1]) == fg_tensor_count(x));
}

/* Two sums of each chunk lie there. */
static size_t workspace(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_rows r = fg_rows_of(step->in[0]);
    return 2 * (size_t)r.chunks * r.c * sizeof(float);
}

static struct norm find_norm(const struct fg_cuda_call *call) {
    const struct fg_step *step = call->step;
    const float *mean = fg_values<const float>(call, step->out[1]);
    return {fg_values<const float>(call, step->param[0]), fg_values<const float>(call, step->param[1]), mean,
            mean + step->in[0]->c};
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    const struct fg_rows r = fg_rows_of(step->in[0]);
    const float *x = fg_values<const float>(&call, step->in[0]);
    float *first = static_cast<float *>(fg_workspace(&call)), *second = first + (size_t)r.chunks * r.c;
    float *mean = fg_values<float>(&call, step->out[1]);
    enum fg_status status =
        fg_launch(&call, fg_chunk_blocks(r), FG_CHANNEL_BLOCK, measure_chunk, r, x, first, second);
    if (status == FG_OK)
        status = fg_launch(&call, fg_merge_blocks(r), FG_CHANNEL_BLOCK, merge_chunks, r, first, second, mean,
                           mean + r.c, fg_values<float>(&call, step->param[2]),
                           fg_values<float>(&call, step->param[3]));
    if (status == FG_OK)
        status = fg_launch(&call, fg_blocks((size_t)r.count * r.c), FG_BLOCK, apply_norm, r, find_norm(&call),
                           x, fg_values<const float>(&call, step->in[1]), step->relu,
                           fg_values<float>(&call, step->out[0]));
    return status;
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    const struct fg_rows r = fg_rows_of(step->in[0]);
    const struct norm n = find_norm(&call);
    const float *x = fg_values<const float>(&call, step->in[0]),
                *out = fg_values<const float>(&call, step->out[0]),
                *g = fg_values<const float>(&call, step->d_out[0]);
    float *first = static_cast<float *>(fg_workspace(&call)), *second = first + (size_t)r.chunks * r.c;
    enum fg_status status = fg_launch(&call, fg_chunk_blocks(r), FG_CHANNEL_BLOCK, sum_chunk, r, n, x, out, g,
                                      step->relu, first, second);
    if (status == FG_OK)
        status =
            fg_launch(&call, fg_merge_blocks(r), FG_CHANNEL_BLOCK, add_chunks, r, first, second,
                      fg_values<float>(&call, step->d_param[0]), fg_values<float>(&call, step->d_param[1]));
    if (status == FG_OK && (step->d_in[0] || step->d_in[1]))
        status = fg_launch(&call, fg_blocks((size_t)r.count * r.c), FG_BLOCK, apply_norm_back, r, n, x, out,
                           g, step->relu, first, second, fg_values<float>(&call, step->d_in[0]),
                           fg_values<float>(&call, step->d_in[1]), step->accumulate);
    return status;
}

const struct fg_kernel fg_cuda_batch_norm = {
    .supports = supports, .workspace = workspace, .forward = forward, .backward = backward};
