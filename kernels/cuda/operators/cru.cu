/* CRU's fusion (runtime/network/network.h, section 3; the paper's equations 6 to 8): two maps weighed per
 * channel by the softmax of their spatial means. A block's channels lie in P or in L, which is Y2 there. */
#include "kernels/cuda/operators/slices.cuh"

struct fusion {
    int positions, c;
    int split;       /* channels of P, 3/4 of c */
    unsigned slices; /* slices of P; those of L follow */
};

/* Where the thread's channel lies in tensors of c channels (at), and in P or L (second_at). */
struct place {
    size_t at, second_at;
    int second_stride; /* channels of P or L */
    int row;
    bool in_l;   /* the channel lies in L */
    bool inside; /* there is such a channel */
};

__device__ static struct place find_place(struct fusion f) {
    struct place p = {};
    p.in_l = blockIdx.x >= f.slices;
    p.second_stride = p.in_l ? f.c - f.split : f.split;
    const int k = (int)(blockIdx.x - (p.in_l ? f.slices : 0)) * FG_SLICE + fg_slice_lane();
    const size_t rows = (size_t)blockIdx.y * f.positions;
    p.second_at = rows * p.second_stride + k;
    p.at = rows * f.c + k + (p.in_l ? f.split : 0);
    p.row = fg_slice_row();
    p.inside = k < p.second_stride;
    return p;
}

/* Finds beta1 of the thread's channel; beta2 = 1 - beta1. */
template <typename T>
__device__ static float find_first_share(struct fusion f, struct place p, const T *y1, const T *y2) {
    float sum = 0;
    for (int r = p.row; p.inside && r < f.positions; r += FG_SLICE_ROWS)
        sum += fg_load(y1 + p.at + (size_t)r * f.c) - fg_load(y2 + p.second_at + (size_t)r * p.second_stride);
    return fg_sigmoid(fg_sum_slice(sum) / (float)f.positions);
}

template <typename T>
__global__ static void __launch_bounds__(FG_SLICE_BLOCK)
    fuse(struct fusion f, const T *y1, const T *second, const T *third, T *y) {
    const struct place p = find_place(f);
    const T *y2 = p.in_l ? third : second;
    const float first = find_first_share(f, p, y1, y2);
    for (int r = p.row; p.inside && r < f.positions; r += FG_SLICE_ROWS) {
        const size_t i = p.at + (size_t)r * f.c;
        fg_store(y + i, first * fg_load(y1 + i) +
                            (1 - first) * fg_load(y2 + p.second_at + (size_t)r * p.second_stride));
    }
}

__global__ static void __launch_bounds__(FG_SLICE_BLOCK)
    fuse_back(struct fusion f, const float *y1, const float *second, const float *third, const float *g,
              float *d_y1, float *d_p, float *d_l, unsigned accumulate) {
    const struct place p = find_place(f);
    const float *y2 = p.in_l ? third : second;
    float *d_second = p.in_l ? d_l : d_p;
    const float first = find_first_share(f, p, y1, y2);
    float along = 0;
    for (int r = p.row; p.inside && r < f.positions; r += FG_SLICE_ROWS) {
        const size_t i = p.at + (size_t)r * f.c;
        along += g[i] * (y1[i] - y2[p.second_at + (size_t)r * p.second_stride]);
    }
    /* Through the softmax and the means: the same to every position, with opposite signs. */
    const float each = fg_sum_slice(along) * first * (1 - first) / (float)f.positions;
    for (int r = p.row; p.inside && r < f.positions; r += FG_SLICE_ROWS) {
        const size_t i = p.at + (size_t)r * f.c;
        if (d_y1)
            fg_give(d_y1 + i, first * g[i] + each, accumulate & 1);
        if (d_second)
            fg_give(d_second + p.second_at + (size_t)r * p.second_stride, (1 - first) * g[i] - each,
                    accumulate >> (p.in_l ? 2 : 1) & 1);
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *y1 = step->in[0], *p = step->in[1], *l = step->in[2], *y = step->out[0];
    return fg_is_value(y1) && p && l && y && p->dtype == y1->dtype && l->dtype == y1->dtype &&
           y->dtype == y1->dtype && p->c + l->c == y1->c &&
           fg_tensor_count(p) + fg_tensor_count(l) == fg_tensor_count(y1) &&
           fg_tensor_count(y) == fg_tensor_count(y1) && (step->pass == FG_FORWARD || y1->dtype == FG_F32);
}

static struct fusion describe_fusion(const struct fg_step *step) {
    const struct fg_tensor *y1 = step->in[0];
    return {y1->h * y1->w, y1->c, step->in[1]->c, fg_slices(step->in[1]->c)};
}

static dim3 count_blocks(const struct fg_step *step) {
    return dim3(fg_slices(step->in[1]->c) + fg_slices(step->in[2]->c), (unsigned)step->in[0]->n);
}

template <typename T> static enum fg_status run_forward(const struct fg_cuda_call *call) {
    const struct fg_step *step = call->step;
    return fg_launch(call, count_blocks(step), FG_SLICE_BLOCK, fuse<T>, describe_fusion(step),
                     fg_values<const T>(call, step->in[0]), fg_values<const T>(call, step->in[1]),
                     fg_values<const T>(call, step->in[2]), fg_values<T>(call, step->out[0]));
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    return FG_BY_TYPE(step->in[0], run_forward, &call);
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    return fg_launch(&call, count_blocks(step), FG_SLICE_BLOCK, fuse_back, describe_fusion(step),
                     fg_values<const float>(&call, step->in[0]), fg_values<const float>(&call, step->in[1]),
                     fg_values<const float>(&call, step->in[2]),
                     fg_values<const float>(&call, step->d_out[0]), fg_values<float>(&call, step->d_in[0]),
                     fg_values<float>(&call, step->d_in[1]), fg_values<float>(&call, step->d_in[2]),
                     step->accumulate);
}

const struct fg_kernel fg_cuda_cru = {.supports = supports, .forward = forward, .backward = backward};
