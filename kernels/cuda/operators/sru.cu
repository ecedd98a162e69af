/* SRU (runtime/network/network.h, section 3; the paper's equations 2 to 5): group norm, gate, and the two
 * halves crossed over. One block a group of one image and the group of the other half that it is crossed
 * with. */
#include "kernels/cuda/operators/device.cuh"

#define GROUPS FG_GROUP_NORM_GROUPS
#define PAIRS (GROUPS / 2)
#define CROSS_BLOCK 512 /* threads: one image makes no more than 8 blocks */

struct gates {
    int positions, c;
    int half; /* channels of a half */
    int size; /* channels of a group */
    bool soft;
    const float *gamma, *beta; /* [c] */
};

/* The block's image and its group of the first half. */
struct place {
    size_t rows; /* the image's first position */
    int group;   /* first channel */
};

__device__ static struct place find_place(struct gates s) {
    return {(size_t)(blockIdx.x / PAIRS) * s.positions, (int)(blockIdx.x % PAIRS) * s.size};
}

/* Statistics of one group of one image; every thread has them. */
struct norm {
    float mean, inverse;
};

template <typename T>
__device__ static struct norm measure_norm(struct gates s, const T *x, size_t rows, int group) {
    const int count = s.positions * s.size;
    float sum = 0, squares = 0;
    for (int i = (int)threadIdx.x; i < count; i += (int)blockDim.x)
        sum += fg_load(x + (rows + i / s.size) * s.c + group + i % s.size);
    const float mean = fg_block_sum(sum) / (float)count;
    for (int i = (int)threadIdx.x; i < count; i += (int)blockDim.x) {
        const float d = fg_load(x + (rows + i / s.size) * s.c + group + i % s.size) - mean;
        squares += d * d;
    }
    return {mean, 1 / sqrtf(fg_block_sum(squares) / (float)count + (float)FG_EPSILON)};
}

/* Sums all gammas: w_c is gamma_c / this sum. */
__device__ static float sum_gamma(struct gates s) {
    float sum = 0;
    for (int k = (int)threadIdx.x; k < s.c; k += (int)blockDim.x)
        sum += s.gamma[k];
    return fg_block_sum(sum);
}

/* r = sigmoid(w_c * GN(x)), compared with 0.5 in float32. */
__device__ static float open_gate(struct gates s, struct norm n, float gamma_sum, float x, int k) {
    return fg_sigmoid(s.gamma[k] / gamma_sum * ((x - n.mean) * n.inverse * s.gamma[k] + s.beta[k]));
}

/* The shares of x that go to X1 and to X2. A gate that is NaN makes no choice: both shares are NaN. */
struct shares {
    float first, second;
};

__device__ static struct shares find_shares(struct gates s, float r) {
    if (r != r)
        return {r, r};
    if (r > 0.5f)
        return {1, 0};
    return {s.soft ? r : 0, s.soft ? r : 1};
}

template <typename T>
__global__ static void __launch_bounds__(CROSS_BLOCK) cross(struct gates s, const T *x, T *upper, T *lower) {
    const struct place p = find_place(s);
    const float gamma_sum = sum_gamma(s);
    const struct norm n_a = measure_norm(s, x, p.rows, p.group),
                      n_b = measure_norm(s, x, p.rows, s.half + p.group);
    const int count = s.positions * s.size;
    for (int i = (int)threadIdx.x; i < count; i += (int)blockDim.x) {
        const int k = p.group + i % s.size;
        const size_t row = p.rows + i / s.size;
        const float x_a = fg_load(x + row * s.c + k), x_b = fg_load(x + row * s.c + s.half + k);
        const struct shares a = find_shares(s, open_gate(s, n_a, gamma_sum, x_a, k));
        const struct shares b = find_shares(s, open_gate(s, n_b, gamma_sum, x_b, s.half + k));
        fg_store(upper + row * s.half + k, a.first * x_a + b.second * x_b);
        fg_store(lower + row * s.half + k, b.first * x_b + a.second * x_a);
    }
}

/* Per image and channel, for the soft gate: sums of dy xhat and dy, and of dz y (the gradient of w_c). */
struct channel_sums {
    float gamma, beta, weight;
};

/* Per image and group, for the soft gate: sums of d_normal and of its product with the normalised value. */
struct group_sums {
    float sum, product;
};

struct gradient {
    const float *x;                 /* {n, positions, c} */
    const float *d_upper, *d_lower; /* {n, positions, half} */
    struct channel_sums *channels;  /* [image][channel], where the gate is soft */
    struct group_sums *groups;      /* [image][group] */
};

/* One block a group of one image: its first row and channel, and the gradients of the outputs that X1 and X2
 * go to. */
struct group_place {
    size_t rows;
    int begin;
    const float *own, *other; /* {n, positions, half} */
};

__device__ static struct group_place find_group(struct gates s, struct gradient d) {
    const int begin = (int)(blockIdx.x % GROUPS) * s.size;
    return {(size_t)(blockIdx.x / GROUPS) * s.positions, begin, begin < s.half ? d.d_upper : d.d_lower,
            begin < s.half ? d.d_lower : d.d_upper};
}

/* What one value's gate passes back: to the normalised value, and to the sums. */
struct through {
    float d_normal, d_y, d_z, normal, y;
};

__device__ static struct through pass_through_gate(struct gates s, struct norm n, float gamma_sum, float x,
                                                   float own, float other, int k) {
    const float r = open_gate(s, n, gamma_sum, x, k), normal = (x - n.mean) * n.inverse;
    const float d_r = r > 0.5f ? 0 : x * (own + other), d_z = d_r * r * (1 - r),
                d_y = d_z * s.gamma[k] / gamma_sum;
    return {d_y * s.gamma[k], d_y, d_z, normal, normal * s.gamma[k] + s.beta[k]};
}

/* A warp sums one channel. */
__global__ static void __launch_bounds__(FG_BLOCK) sum_gates(struct gates s, struct gradient d) {
    const struct group_place p = find_group(s, d);
    const float gamma_sum = sum_gamma(s);
    const struct norm n = measure_norm(s, d.x, p.rows, p.begin);
    float group_sum = 0, group_product = 0;
    for (int k = p.begin + (int)threadIdx.x / FG_WARP; k < p.begin + s.size; k += FG_BLOCK / FG_WARP) {
        struct channel_sums sum = {0, 0, 0};
        float d_normal = 0, product = 0;
        for (int i = (int)threadIdx.x % FG_WARP; i < s.positions; i += FG_WARP) {
            const size_t row = p.rows + i, j = row * s.half + k % s.half;
            const struct through t =
                pass_through_gate(s, n, gamma_sum, d.x[row * s.c + k], p.own[j], p.other[j], k);
            sum.gamma += t.d_y * t.normal;
            sum.beta += t.d_y;
            sum.weight += t.d_z * t.y;
            d_normal += t.d_normal;
            product += t.d_normal * t.normal;
        }
        sum = {fg_warp_sum(sum.gamma), fg_warp_sum(sum.beta), fg_warp_sum(sum.weight)};
        d_normal = fg_warp_sum(d_normal);
        product = fg_warp_sum(product);
        if (threadIdx.x % FG_WARP)
            continue; /* the warp's sums count once */
        d.channels[(size_t)(blockIdx.x / GROUPS) * s.c + k] = sum;
        group_sum += d_normal;
        group_product += product;
    }
    group_sum = fg_block_sum(group_sum);
    group_product = fg_block_sum(group_product);
    if (threadIdx.x == 0)
        d.groups[blockIdx.x] = {group_sum, group_product};
}

__global__ static void __launch_bounds__(FG_BLOCK)
    cross_back(struct gates s, struct gradient d, float *d_x, bool add) {
    const struct group_place p = find_group(s, d);
    const float gamma_sum = sum_gamma(s);
    const struct norm n = measure_norm(s, d.x, p.rows, p.begin);
    const int count = s.positions * s.size;
    for (int i = (int)threadIdx.x; i < count; i += FG_BLOCK) {
        const int k = p.begin + i % s.size;
        const size_t row = p.rows + i / s.size, at = row * s.c + k, j = row * s.half + k % s.half;
        const struct shares shares = find_shares(s, open_gate(s, n, gamma_sum, d.x[at], k));
        float value = shares.first * p.own[j] + shares.second * p.other[j];
        if (s.soft) {
            const struct group_sums g = d.groups[blockIdx.x];
            const struct through t = pass_through_gate(s, n, gamma_sum, d.x[at], p.own[j], p.other[j], k);
            value += n.inverse * (t.d_normal - (g.sum + t.normal * g.product) / (float)count);
        }
        fg_give(d_x + at, value, add);
    }
}

/* w_c = gamma_c / sum of gamma: every gamma changes every w. The hard gate passes nothing: zeros. One
 * block. */
__global__ static void __launch_bounds__(FG_BLOCK)
    give_parameters(struct gates s, int images, const struct channel_sums *sums, float *d_gamma,
                    float *d_beta) {
    const float gamma_sum = sum_gamma(s);
    float along = 0;
    for (int k = (int)threadIdx.x; s.soft && k < s.c; k += FG_BLOCK)
        for (int n = 0; n < images; n++)
            along += sums[(size_t)n * s.c + k].weight * s.gamma[k];
    along = fg_block_sum(along);
    for (int k = (int)threadIdx.x; k < s.c; k += FG_BLOCK) {
        struct channel_sums sum = {0, 0, 0};
        for (int n = 0; s.soft && n < images; n++) {
            const struct channel_sums one = sums[(size_t)n * s.c + k];
            sum = {sum.gamma + one.gamma, sum.beta + one.beta, sum.weight + one.weight};
        }
        if (d_gamma)
            d_gamma[k] = sum.gamma + sum.weight / gamma_sum - along / (gamma_sum * gamma_sum);
        if (d_beta)
            d_beta[k] = sum.beta;
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0];
    bool right = fg_is_value(x) && x->c % GROUPS == 0 && (step->pass == FG_FORWARD || x->dtype == FG_F32);
    for (int i = 0; i < 2; i++)
        right = right && step->out[i] && step->out[i]->dtype == x->dtype && step->out[i]->c * 2 == x->c &&
                fg_tensor_count(step->out[i]) * 2 == fg_tensor_count(x) && step->param[i] &&
                step->param[i]->dtype == FG_F32 && fg_tensor_count(step->param[i]) == (size_t)x->c;
    return right;
}

static size_t workspace(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0];
    return step->pass == FG_BACKWARD && step->soft_gate
               ? (size_t)x->n * (x->c * sizeof(struct channel_sums) + GROUPS * sizeof(struct group_sums))
               : 0;
}

static struct gates describe_gates(const struct fg_cuda_call *call) {
    const struct fg_step *step = call->step;
    const struct fg_tensor *x = step->in[0];
    return {x->h * x->w,
            x->c,
            x->c / 2,
            x->c / GROUPS,
            step->soft_gate,
            fg_values<const float>(call, step->param[0]),
            fg_values<const float>(call, step->param[1])};
}

template <typename T> static enum fg_status run_forward(const struct fg_cuda_call *call) {
    const struct fg_step *step = call->step;
    return fg_launch(call, dim3((unsigned)step->in[0]->n * PAIRS), CROSS_BLOCK, cross<T>,
                     describe_gates(call), fg_values<const T>(call, step->in[0]),
                     fg_values<T>(call, step->out[0]), fg_values<T>(call, step->out[1]));
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    return FG_BY_TYPE(step->in[0], run_forward, &call);
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    const struct gates s = describe_gates(&call);
    const int images = step->in[0]->n;
    struct gradient d = {fg_values<const float>(&call, step->in[0]),
                         fg_values<const float>(&call, step->d_out[0]),
                         fg_values<const float>(&call, step->d_out[1]), nullptr, nullptr};
    const dim3 groups((unsigned)(images * GROUPS));
    enum fg_status status = FG_OK;
    if (s.soft) {
        d.channels = static_cast<struct channel_sums *>(fg_workspace(&call));
        d.groups = reinterpret_cast<struct group_sums *>(d.channels + (size_t)images * s.c);
        status = fg_launch(&call, groups, FG_BLOCK, sum_gates, s, d);
    }
    if (status == FG_OK && step->d_in[0])
        status = fg_launch(&call, groups, FG_BLOCK, cross_back, s, d, fg_values<float>(&call, step->d_in[0]),
                           (step->accumulate & 1) != 0);
    if (status == FG_OK && (step->d_param[0] || step->d_param[1]))
        status =
            fg_launch(&call, dim3(1), FG_BLOCK, give_parameters, s, images,
                      static_cast<const struct channel_sums *>(d.channels),
                      fg_values<float>(&call, step->d_param[0]), fg_values<float>(&call, step->d_param[1]));
    return status;
}

const struct fg_kernel fg_cuda_sru = {
    .supports = supports, .workspace = workspace, .forward = forward, .backward = backward};
