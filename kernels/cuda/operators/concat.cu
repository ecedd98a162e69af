/* CONCAT: two or three tensors side by side along their channels. One thread a value of the whole. */
#include "kernels/cuda/operators/device.cuh"

struct parts {
    unsigned count;                /* values of the whole */
    unsigned channels;             /* channels of the whole */
    unsigned part[FG_MAX_IN];      /* channels of each part; 0 where there is none */
    unsigned begin[FG_MAX_IN + 1]; /* each part's first channel in the whole, then the whole's end */
};

/* Picks by comparisons: an array that is indexed by a variable would lie in memory. */
template <typename V>
__device__ static V pick_part(const struct parts *a, unsigned k, V first, V second, V third) {
    return k >= a->begin[2] ? third : k >= a->begin[1] ? second : first;
}

/* Finds where channel k of a row lies in its part. */
__device__ static unsigned find_place(const struct parts *a, unsigned row, unsigned k) {
    return row * pick_part(a, k, a->part[0], a->part[1], a->part[2]) + k -
           pick_part(a, k, a->begin[0], a->begin[1], a->begin[2]);
}

template <typename T>
__global__ static void gather(struct parts a, const T *in0, const T *in1, const T *in2, T *whole) {
    for (unsigned i = fg_thread(); i < a.count; i += fg_threads()) {
        const unsigned k = i % a.channels;
        whole[i] = pick_part(&a, k, in0, in1, in2)[find_place(&a, i / a.channels, k)];
    }
}

__global__ static void scatter(struct parts a, const float *whole, float *d0, float *d1, float *d2,
                               unsigned accumulate) {
    for (unsigned i = fg_thread(); i < a.count; i += fg_threads()) {
        const unsigned k = i % a.channels;
        float *d = pick_part(&a, k, d0, d1, d2);
        if (d)
            fg_give(d + find_place(&a, i / a.channels, k), whole[i],
                    accumulate >> pick_part(&a, k, 0, 1, 2) & 1);
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *out = step->out[0];
    if (!fg_is_value(out) || (step->pass == FG_BACKWARD && out->dtype != FG_F32))
        return false;
    int32_t channels = 0;
    for (int i = 0; i < FG_MAX_IN; i++) {
        const struct fg_tensor *in = step->in[i];
        if (!in)
            continue;
        if (in->dtype != out->dtype || in->n != out->n || in->h != out->h || in->w != out->w)
            return false;
        channels += in->c;
    }
    return channels == out->c;
}

static struct parts describe_parts(const struct fg_step *step) {
    struct parts a = {};
    for (int i = 0; i < FG_MAX_IN; i++) {
        a.part[i] = step->in[i] ? (unsigned)step->in[i]->c : 0;
        a.begin[i + 1] = a.begin[i] + a.part[i];
    }
    a.channels = a.begin[FG_MAX_IN];
    a.count = (unsigned)fg_tensor_count(step->out[0]);
    return a;
}

template <typename T> static enum fg_status run_forward(const struct fg_cuda_call *call) {
    const struct fg_step *step = call->step;
    return fg_launch(call, fg_blocks(fg_tensor_count(step->out[0])), FG_BLOCK, gather<T>,
                     describe_parts(step), fg_values<const T>(call, step->in[0]),
                     fg_values<const T>(call, step->in[1]), fg_values<const T>(call, step->in[2]),
                     fg_values<T>(call, step->out[0]));
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    return FG_BY_TYPE(step->out[0], run_forward, &call);
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    return fg_launch(&call, fg_blocks(fg_tensor_count(step->out[0])), FG_BLOCK, scatter, describe_parts(step),
                     fg_values<const float>(&call, step->d_out[0]), fg_values<float>(&call, step->d_in[0]),
                     fg_values<float>(&call, step->d_in[1]), fg_values<float>(&call, step->d_in[2]),
                     step->accumulate);
}

const struct fg_kernel fg_cuda_concat = {.supports = supports, .forward = forward, .backward = backward};
