/* CONCAT: two or three tensors side by side along their channels. One thread a value of the whole. */
#include "kernels/cuda/operators/device.cuh"

struct inputs {
    unsigned count;                /* values of the whole */
    unsigned channels;             /* channels of the whole */
    unsigned slice[FG_MAX_IN];     /* channels of each input; 0 where there is none */
    unsigned begin[FG_MAX_IN + 1]; /* each input's first channel in the whole, then the whole's end */
};

/* Picks by comparisons: an array that is indexed by a variable would lie in memory. */
template <typename V>
__device__ static V pick_input(const struct inputs *a, unsigned k, V first, V second, V third) {
    return k >= a->begin[2] ? third : k >= a->begin[1] ? second : first;
}

/* Finds where channel k of a row lies in its input. */
__device__ static unsigned find_place(const struct inputs *a, unsigned row, unsigned k) {
    return row * pick_input(a, k, a->slice[0], a->slice[1], a->slice[2]) + k -
           pick_input(a, k, a->begin[0], a->begin[1], a->begin[2]);
}

template <typename T>
__global__ static void gather(struct inputs a, const T *in0, const T *in1, const T *in2, T *whole) {
    for (unsigned i = fg_thread(); i < a.count; i += fg_threads()) {
        const unsigned k = i % a.channels;
        whole[i] = pick_input(&a, k, in0, in1, in2)[find_place(&a, i / a.channels, k)];
    }
}

__global__ static void scatter(struct inputs a, const float *whole, float *d0, float *d1, float *d2,
                               unsigned accumulate) {
    for (unsigned i = fg_thread(); i < a.count; i += fg_threads()) {
        const unsigned k = i % a.channels;
        float *d = pick_input(&a, k, d0, d1, d2);
        if (d)
            fg_give(d + find_place(&a, i / a.channels, k), whole[i],
                    accumulate >> pick_input(&a, k, 0, 1, 2) & 1);
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

static struct inputs describe_inputs(const struct fg_step *step) {
    struct inputs a = {};
    for (int i = 0; i < FG_MAX_IN; i++) {
        a.slice[i] = step->in[i] ? (unsigned)step->in[i]->c : 0;
        a.begin[i + 1] = a.begin[i] + a.slice[i];
    }
    a.channels = a.begin[FG_MAX_IN];
    a.count = (unsigned)fg_tensor_count(step->out[0]);
    return a;
}

template <typename T> static enum fg_status run_forward(const struct fg_cuda_call *call) {
    const struct fg_step *step = call->step;
    return fg_launch(call, fg_blocks(fg_tensor_count(step->out[0])), FG_BLOCK, gather<T>,
                     describe_inputs(step), fg_values<const T>(call, step->in[0]),
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
    return fg_launch(&call, fg_blocks(fg_tensor_count(step->out[0])), FG_BLOCK, scatter,
                     describe_inputs(step), fg_values<const float>(&call, step->d_out[0]),
                     fg_values<float>(&call, step->d_in[0]), fg_values<float>(&call, step->d_in[1]),
                     fg_values<float>(&call, step->d_in[2]), step->accumulate);
}

const struct fg_kernel fg_cuda_concat = {.supports = supports, .forward = forward, .backward = backward};
