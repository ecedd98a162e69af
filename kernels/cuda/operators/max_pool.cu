/* MAX_POOL: 3x3, stride 2, padding 1. A NaN wins over every number. One thread a value, channels side by
 * side. */
#include "kernels/cuda/operators/device.cuh"

struct pool {
    unsigned n, h, w, c, oh, ow;
};

struct span {
    unsigned begin, end;
};

/* Finds what of the window around output place o lies inside: places [begin, end). */
__device__ static struct span find_window(unsigned o, unsigned length) {
    const unsigned begin = o ? 2 * o - 1 : 0, end = 2 * o + 2;
    return {begin, end < length ? end : length};
}

template <typename T> __global__ static void pool_forward(struct pool p, const T *x, T *y) {
    const unsigned count = p.n * p.oh * p.ow * p.c;
    for (unsigned i = fg_thread(); i < count; i += fg_threads()) {
        const unsigned k = i % p.c, ox = i / p.c % p.ow, oy = i / p.c / p.ow % p.oh;
        const size_t image = i / p.c / p.ow / p.oh;
        const struct span rows = find_window(oy, p.h), columns = find_window(ox, p.w);
        float best = fg_load(x + ((image * p.h + rows.begin) * p.w + columns.begin) * p.c + k);
        for (unsigned iy = rows.begin; iy < rows.end; iy++)
            for (unsigned ix = columns.begin; ix < columns.end; ix++) {
                const float value = fg_load(x + ((image * p.h + iy) * p.w + ix) * p.c + k);
                best = value > best || value != value ? value : best;
            }
        fg_store(y + i, best);
    }
}

/* Whether (y, x) is the first place of window (oy, ox) that holds its maximum. */
__device__ static bool is_first(struct pool p, const float *image, unsigned oy, unsigned ox, unsigned y,
                                unsigned x, unsigned k, float most) {
    const struct span rows = find_window(oy, p.h), columns = find_window(ox, p.w);
    for (unsigned iy = rows.begin; iy < rows.end; iy++)
        for (unsigned ix = columns.begin; ix < columns.end; ix++)
            if (image[((size_t)iy * p.w + ix) * p.c + k] == most)
                return iy == y && ix == x;
    return false;
}

/* Gathered: a value's gradient comes from the up to four windows that it lies in, in their order. */
__global__ static void pool_backward(struct pool p, const float *x, const float *y, const float *g,
                                     float *d_x, bool add) {
    const unsigned count = p.n * p.h * p.w * p.c;
    for (unsigned i = fg_thread(); i < count; i += fg_threads()) {
        const unsigned k = i % p.c, ix = i / p.c % p.w, iy = i / p.c / p.w % p.h;
        const size_t image = i / p.c / p.w / p.h;
        const float *picture = x + image * p.h * p.w * p.c;
        float sum = 0;
        for (unsigned oy = iy / 2; oy <= (iy + 1) / 2 && oy < p.oh; oy++)
            for (unsigned ox = ix / 2; ox <= (ix + 1) / 2 && ox < p.ow; ox++) {
                const size_t o = ((image * p.oh + oy) * p.ow + ox) * p.c + k;
                if (x[i] == y[o] && is_first(p, picture, oy, ox, iy, ix, k, y[o]))
                    sum += g[o];
            }
        fg_give(d_x + i, sum, add);
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0], *y = step->out[0];
    return fg_is_value(x) && y && y->dtype == x->dtype && y->n == x->n && y->h == (x->h + 1) / 2 &&
           y->w == (x->w + 1) / 2 && y->c == x->c && (step->pass == FG_FORWARD || x->dtype == FG_F32);
}

static struct pool describe_pool(const struct fg_step *step) {
    const struct fg_tensor *x = step->in[0], *y = step->out[0];
    return {(unsigned)x->n, (unsigned)x->h, (unsigned)x->w, (unsigned)x->c, (unsigned)y->h, (unsigned)y->w};
}

template <typename T> static enum fg_status run_forward(const struct fg_cuda_call *call) {
    const struct fg_tensor *y = call->step->out[0];
    return fg_launch(call, fg_blocks(fg_tensor_count(y)), FG_BLOCK, pool_forward<T>,
                     describe_pool(call->step), fg_values<const T>(call, call->step->in[0]),
                     fg_values<T>(call, y));
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    return FG_BY_TYPE(step->in[0], run_forward, &call);
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    if (!step->d_in[0])
        return FG_OK;
    return fg_launch(&call, fg_blocks(fg_tensor_count(step->in[0])), FG_BLOCK, pool_backward,
                     describe_pool(step), fg_values<const float>(&call, step->in[0]),
                     fg_values<const float>(&call, step->out[0]),
                     fg_values<const float>(&call, step->d_out[0]), fg_values<float>(&call, step->d_in[0]),
                     (step->accumulate & 1) != 0);
}

const struct fg_kernel fg_cuda_max_pool = {.supports = supports, .forward = forward, .backward = backward};
