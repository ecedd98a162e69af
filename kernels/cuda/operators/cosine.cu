/* COSINE and DISTILL (runtime/network/network.h, section 6; the paper's equations 12 and 13): the distance
 * between what the teacher saw and what the student made of it. A warp sums one position; a second kernel
 * adds an image's positions. */
#include "kernels/cuda/operators/device.cuh"

struct vectors {
    unsigned images, positions;
    int c;
    bool global;
};

struct sums {
    float dot, e, g;
};

/* Sums one position; every lane gets the sums. */
template <typename T> __device__ static struct sums sum_vector(const T *e, const T *g, int c) {
    struct sums s = {0, 0, 0};
    for (int k = (int)(threadIdx.x % FG_WARP); k < c; k += FG_WARP) {
        const float a = fg_load(e + k), b = fg_load(g + k);
        s.dot += a * b;
        s.e += a * a;
        s.g += b * b;
    }
    return {fg_warp_sum(s.dot), fg_warp_sum(s.e), fg_warp_sum(s.g)};
}

/* Takes a length, at least the floor; a NaN stays NaN. */
__device__ static float floor_length(float square) {
    const float length = sqrtf(square);
    return length < (float)FG_COSINE_FLOOR ? (float)FG_COSINE_FLOOR : length;
}

__device__ static float measure_distance(struct sums s) {
    return 1 - s.dot / (floor_length(s.e) * floor_length(s.g));
}

/* d(1 - cos)/dg = cos g / |g|^2 - e / (|e| |g|), each times weight; where |g| is floored it does not move. */
struct slopes {
    float e, g;
};

__device__ static struct slopes find_slopes(struct sums s, float weight) {
    const float e = floor_length(s.e), g = floor_length(s.g);
    const bool moves = g > (float)FG_COSINE_FLOOR;
    return {-weight / (e * g), moves ? weight * (s.dot / (e * g)) / (g * g) : 0};
}

template <typename T>
__global__ static void map_vectors(struct vectors v, const T *e, const T *g, float *map) {
    const unsigned rows = v.images * v.positions, warps = fg_threads() / FG_WARP;
    for (unsigned row = fg_thread() / FG_WARP; row < rows; row += warps) {
        const size_t at = (size_t)row * v.c;
        const struct sums s = sum_vector(e + at, g + at, v.c);
        if (threadIdx.x % FG_WARP == 0)
            map[row] = measure_distance(s);
    }
}

/* each[row]: the sums, or where the loss is not global the distance as dot. */
__global__ static void sum_vectors(struct vectors v, const float *e, const float *g, struct sums *each) {
    const unsigned rows = v.images * v.positions, warps = fg_threads() / FG_WARP;
    for (unsigned row = fg_thread() / FG_WARP; row < rows; row += warps) {
        const size_t at = (size_t)row * v.c;
        const struct sums s = sum_vector(e + at, g + at, v.c);
        if (threadIdx.x % FG_WARP == 0)
            each[row] = v.global ? s : sums{measure_distance(s), 0, 0};
    }
}

/* Sums over a whole image. One block an image. */
__device__ static struct sums sum_image(struct vectors v, const struct sums *each) {
    struct sums all = {0, 0, 0};
    for (unsigned p = threadIdx.x; p < v.positions; p += blockDim.x) {
        const struct sums s = each[(size_t)blockIdx.x * v.positions + p];
        all = {all.dot + s.dot, all.e + s.e, all.g + s.g};
    }
    return {fg_block_sum(all.dot), fg_block_sum(all.e), fg_block_sum(all.g)};
}

__global__ static void give_image_loss(struct vectors v, const struct sums *each, float *loss) {
    const struct sums s = sum_image(v, each);
    if (threadIdx.x == 0)
        loss[blockIdx.x] = v.global ? measure_distance(s) : s.dot / (float)v.positions;
}

__global__ static void give_image_sums(struct vectors v, const struct sums *each, struct sums *sums) {
    const struct sums s = sum_image(v, each);
    if (threadIdx.x == 0)
        sums[blockIdx.x] = s;
}

/* sums: of whole images where the loss is global, else NULL. */
__global__ static void give_gradients(struct vectors v, const float *e, const float *g,
                                      const struct sums *sums, float *d_g, bool add) {
    const unsigned rows = v.images * v.positions, warps = fg_threads() / FG_WARP;
    for (unsigned row = fg_thread() / FG_WARP; row < rows; row += warps) {
        const size_t at = (size_t)row * v.c;
        const struct slopes slopes =
            sums ? find_slopes(sums[row / v.positions], 1 / (float)v.images)
                 : find_slopes(sum_vector(e + at, g + at, v.c), 1 / ((float)v.images * (float)v.positions));
        for (int k = (int)(threadIdx.x % FG_WARP); k < v.c; k += FG_WARP)
            fg_give(d_g + at + k, slopes.e * e[at + k] + slopes.g * g[at + k], add);
    }
}

static bool are_alike(const struct fg_tensor *e, const struct fg_tensor *g) {
    return fg_is_value(e) && g && e->dtype == g->dtype && e->n == g->n && e->h == g->h && e->w == g->w &&
           e->c == g->c;
}

static struct vectors describe_vectors(const struct fg_step *step) {
    const struct fg_tensor *e = step->in[0];
    return {(unsigned)e->n, (unsigned)(e->h * e->w), e->c, step->global_loss};
}

static dim3 count_warp_blocks(struct vectors v) {
    return fg_blocks((size_t)v.images * v.positions, FG_BLOCK / FG_WARP);
}

static bool cosine_supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *e = step->in[0], *m = step->out[0];
    return are_alike(e, step->in[1]) && m && m->dtype == FG_F32 &&
           fg_tensor_count(m) * (size_t)e->c == fg_tensor_count(e);
}

template <typename T> static enum fg_status run_cosine(const struct fg_cuda_call *call) {
    const struct vectors v = describe_vectors(call->step);
    return fg_launch(call, count_warp_blocks(v), FG_BLOCK, map_vectors<T>, v,
                     fg_values<const T>(call, call->step->in[0]), fg_values<const T>(call, call->step->in[1]),
                     fg_values<float>(call, call->step->out[0]));
}

static enum fg_status cosine_forward(struct fg_backend *backend, const struct fg_step *step,
                                     const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    return FG_BY_TYPE(step->in[0], run_cosine, &call);
}

const struct fg_kernel fg_cuda_cosine = {.supports = cosine_supports, .forward = cosine_forward};

static bool distill_supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *loss = step->out[0];
    return are_alike(step->in[0], step->in[1]) && step->in[0]->dtype == FG_F32 && loss &&
           fg_tensor_count(loss) == (size_t)step->in[0]->n && !step->d_in[0];
}

/* The sums of each position, then of each image; the gradient of the loss by position needs neither. */
static size_t distill_workspace(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct vectors v = describe_vectors(step);
    return step->pass == FG_FORWARD || v.global ? v.images * (v.positions + 1) * sizeof(struct sums) : 0;
}

static enum fg_status distill_forward(struct fg_backend *backend, const struct fg_step *step,
                                      const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    const struct vectors v = describe_vectors(step);
    struct sums *each = static_cast<struct sums *>(fg_workspace(&call));
    enum fg_status status = fg_launch(&call, count_warp_blocks(v), FG_BLOCK, sum_vectors, v,
                                      fg_values<const float>(&call, step->in[0]),
                                      fg_values<const float>(&call, step->in[1]), each);
    if (status == FG_OK)
        status = fg_launch(&call, dim3(v.images), FG_BLOCK, give_image_loss, v, each,
                           fg_values<float>(&call, step->out[0]));
    return status;
}

static enum fg_status distill_backward(struct fg_backend *backend, const struct fg_step *step,
                                       const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    const struct vectors v = describe_vectors(step);
    const float *e = fg_values<const float>(&call, step->in[0]),
                *g = fg_values<const float>(&call, step->in[1]);
    struct sums *each = static_cast<struct sums *>(fg_workspace(&call)), *sums = nullptr;
    enum fg_status status = FG_OK;
    if (v.global) {
        sums = each + (size_t)v.images * v.positions;
        status = fg_launch(&call, count_warp_blocks(v), FG_BLOCK, sum_vectors, v, e, g, each);
        if (status == FG_OK)
            status = fg_launch(&call, dim3(v.images), FG_BLOCK, give_image_sums, v, each, sums);
    }
    if (status == FG_OK)
        status = fg_launch(&call, count_warp_blocks(v), FG_BLOCK, give_gradients, v, e, g, sums,
                           fg_values<float>(&call, step->d_in[1]), (step->accumulate >> 1 & 1) != 0);
    return status;
}

const struct fg_kernel fg_cuda_distill = {.supports = distill_supports,
                                          .workspace = distill_workspace,
                                          .forward = distill_forward,
                                          .backward = distill_backward};
