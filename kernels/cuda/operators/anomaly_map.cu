/* ANOMALY_MAP (runtime/network/network.h, section 6): level maps resized and joined, blurred, compared with
 * what each place has in good pictures, and the largest value. One block a row: what was joined lies in
 * shared memory with mirrored ends. */
#include "kernels/cuda/operators/device.cuh"

#define RADIUS FG_BLUR_RADIUS
#define TAPS (2 * RADIUS + 1)
#define MOST_WIDTH FG_SIDE_MOST

struct level {
    const float *values; /* {n, h, w, 1}; NULL: not used */
    int h, w;
};

struct anomaly {
    struct level level[FG_MAX_IN];
    int levels; /* used ones */
    bool product;
    int height, width;
    const float *mean, *scale; /* {height, width}; NULL: the map itself decides */
    float *decision;           /* {n, height, width, 1}; NULL like the two */
    float tap[TAPS];
};

/* Where an output place lies between two places of a level map, corners aligned. */
struct between {
    int first, second;
    float share; /* what the second one weighs */
};

__device__ static struct between locate_place(int i, int out, int in) {
    const float at = out > 1 ? (float)(in - 1) / (float)(out - 1) * (float)i : 0;
    const int first = (int)at < in - 1 ? (int)at : in - 1;
    return {first, first < in - 1 ? first + 1 : first, at - (float)first};
}

/* Mirrors a place at the ends, without repeating the edge. */
__device__ static int mirror_place(int i, int length) {
    while (i < 0 || i >= length) {
        if (length == 1)
            return 0;
        i = i < 0 ? -i : 2 * (length - 1) - i;
    }
    return i;
}

/* Joins the level maps at one place. */
__device__ static float join_levels(const struct anomaly *a, int n, int y, int x) {
    float sum = 0, product = 1;
    for (int l = 0; l < FG_MAX_IN; l++) {
        const struct level m = a->level[l];
        if (!m.values)
            continue;
        const struct between v = locate_place(y, a->height, m.h), u = locate_place(x, a->width, m.w);
        const float *top = m.values + ((size_t)n * m.h + v.first) * m.w,
                    *bottom = m.values + ((size_t)n * m.h + v.second) * m.w;
        const float left = top[u.first] * (1 - v.share) + bottom[u.first] * v.share;
        const float right = top[u.second] * (1 - v.share) + bottom[u.second] * v.share;
        const float value = left * (1 - u.share) + right * u.share;
        sum += value;
        product *= value < 0 ? 0 : value; /* NaN stays */
    }
    return !a->product      ? sum
           : a->levels == 3 ? 3 * cbrtf(product)
           : a->levels == 2 ? 2 * sqrtf(product)
                            : product;
}

__global__ static void blur_across(struct anomaly a, float *out) {
    __shared__ float row[MOST_WIDTH + 2 * RADIUS];
    const int n = (int)blockIdx.x / a.height, y = (int)blockIdx.x % a.height;
    for (int x = (int)threadIdx.x; x < a.width; x += (int)blockDim.x)
        row[RADIUS + x] = join_levels(&a, n, y, x);
    __syncthreads();
    for (int i = (int)threadIdx.x; i < 2 * RADIUS; i += (int)blockDim.x) {
        const int x = i < RADIUS ? i - RADIUS : a.width + i - RADIUS;
        row[RADIUS + x] = row[RADIUS + mirror_place(x, a.width)];
    }
    __syncthreads();
    for (int x = (int)threadIdx.x; x < a.width; x += (int)blockDim.x) {
        float sum = 0;
        for (int t = 0; t < TAPS; t++)
            sum += a.tap[t] * row[x + t];
        out[(size_t)blockIdx.x * a.width + x] = sum;
    }
}

/* Picks the larger value, or one that is not finite. */
__device__ static float pick_larger(float a, float b) {
    return !isfinite(a) ? a : !isfinite(b) ? b : b > a ? b : a;
}

/* Finds the largest value of a block; every thread gets it. */
__device__ static float find_block_largest(float value) {
    __shared__ float warps[FG_WARP];
    const unsigned warp = threadIdx.x / FG_WARP, lane = threadIdx.x % FG_WARP, count = blockDim.x / FG_WARP;
    for (int lanes = FG_WARP / 2; lanes > 0; lanes /= 2)
        value = pick_larger(value, __shfl_xor_sync(0xffffffffu, value, lanes));
    if (lane == 0)
        warps[warp] = value;
    __syncthreads();
    value = warps[lane < count ? lane : 0];
    for (int lanes = FG_WARP / 2; lanes > 0; lanes /= 2)
        value = pick_larger(value, __shfl_xor_sync(0xffffffffu, value, lanes));
    __syncthreads();
    return value;
}

__global__ static void blur_down(struct anomaly a, const float *rows, float *map, float *row_largest) {
    const int n = (int)blockIdx.x / a.height, y = (int)blockIdx.x % a.height;
    const float *image = rows + (size_t)n * a.height * a.width;
    float largest = -INFINITY;
    bool any = false;
    for (int x = (int)threadIdx.x; x < a.width; x += (int)blockDim.x) {
        float sum = 0;
        for (int t = -RADIUS; t <= RADIUS; t++)
            sum += a.tap[t + RADIUS] * image[(size_t)mirror_place(y + t, a.height) * a.width + x];
        map[(size_t)blockIdx.x * a.width + x] = sum;
        if (a.decision) {
            sum = (sum - a.mean[(size_t)y * a.width + x]) / a.scale[(size_t)y * a.width + x];
            a.decision[(size_t)blockIdx.x * a.width + x] = sum;
        }
        largest = any ? pick_larger(largest, sum) : sum;
        any = true;
    }
    /* Threads without a column say what the first column's does: -INFINITY would not be finite. */
    __shared__ float first;
    if (threadIdx.x == 0)
        first = largest;
    __syncthreads();
    largest = find_block_largest(any ? largest : first);
    if (threadIdx.x == 0)
        row_largest[blockIdx.x] = largest;
}

__global__ static void score_images(int height, const float *row_largest, float *score) {
    const float *rows = row_largest + (size_t)blockIdx.x * height;
    float largest = rows[0];
    for (int y = (int)threadIdx.x; y < height; y += (int)blockDim.x)
        largest = pick_larger(largest, rows[y]);
    largest = find_block_largest(largest);
    if (threadIdx.x == 0)
        score[blockIdx.x] = largest;
}

static bool supports_places(const struct fg_step *step) {
    const struct fg_tensor *map = step->out[0], *decision = step->out[2];
    bool right = !step->param[0] == !decision && !step->param[1] == !decision;
    for (int i = 0; i < 2 && right && decision; i++)
        right = step->param[i]->dtype == FG_F32 && fg_tensor_count(step->param[i]) == (size_t)map->h * map->w;
    return right &&
           (!decision || (decision->dtype == FG_F32 && fg_tensor_count(decision) == fg_tensor_count(map)));
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *map = step->out[0], *score = step->out[1];
    bool right = map && score && step->in[0] && map->c == 1 && map->dtype == FG_F32 && map->w <= MOST_WIDTH &&
                 fg_tensor_count(score) == (size_t)map->n && supports_places(step);
    for (int l = 0; l < FG_MAX_IN; l++)
        right = right && (!step->in[l] ||
                          (step->in[l]->c == 1 && step->in[l]->n == map->n && step->in[l]->dtype == FG_F32));
    return right;
}

/* The sum's blur along rows, and each row's largest value. */
static size_t workspace(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *map = step->out[0];
    return (fg_tensor_count(map) + (size_t)map->n * map->h) * sizeof(float);
}

static struct anomaly describe_anomaly(const struct fg_cuda_call *call) {
    const struct fg_step *step = call->step;
    struct anomaly a = {};
    a.height = step->out[0]->h;
    a.width = step->out[0]->w;
    a.product = step->product;
    for (int l = 0; l < FG_MAX_IN; l++)
        if (step->in[l]) {
            a.level[l] = {fg_values<const float>(call, step->in[l]), step->in[l]->h, step->in[l]->w};
            a.levels++;
        }
    if (step->out[2]) {
        a.mean = fg_values<const float>(call, step->param[0]);
        a.scale = fg_values<const float>(call, step->param[1]);
        a.decision = fg_values<float>(call, step->out[2]);
    }
    double total = 0, tap[TAPS];
    for (int t = -RADIUS; t <= RADIUS; t++)
        total += tap[t + RADIUS] = exp(-t * t / (2 * FG_BLUR_SIGMA * FG_BLUR_SIGMA));
    for (int t = 0; t < TAPS; t++)
        a.tap[t] = (float)(tap[t] / total);
    return a;
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    const struct fg_tensor *map = step->out[0];
    const struct anomaly a = describe_anomaly(&call);
    const dim3 rows((unsigned)(map->n * map->h));
    float *between = static_cast<float *>(fg_workspace(&call)), *row_largest = between + fg_tensor_count(map);
    enum fg_status status = fg_launch(&call, rows, FG_BLOCK, blur_across, a, between);
    if (status == FG_OK)
        status = fg_launch(&call, rows, FG_BLOCK, blur_down, a, between, fg_values<float>(&call, map),
                           row_largest);
    if (status == FG_OK)
        status = fg_launch(&call, dim3((unsigned)map->n), FG_BLOCK, score_images, a.height, row_largest,
                           fg_values<float>(&call, step->out[1]));
    return status;
}

const struct fg_kernel fg_cuda_anomaly_map = {
    .supports = supports, .workspace = workspace, .forward = forward};
