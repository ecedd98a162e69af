/* RESIZE: Pillow's antialiased BILINEAR with its own integer arithmetic, bit-exact with the CPU's: coefficients of 22
 * fractional bits, made on the device in double; a horizontal pass rounded to 8 bits, then a vertical one. The horizontal
 * one reads the frame in the camera's own format. The frame is read once from the host, into the workspace.
 *
 * A product and a sum must round twice, as they do on the CPU, so products of doubles are __dmul_rn, which nvcc never
 * joins to a sum; tests/cuda/check_contraction.py looks whether the PTX has such an instruction. */
#include "kernels/cuda/operators/pixel.cuh"

#define PRECISION 22                /* bits of a weight behind the point */
#define HALF (1 << (PRECISION - 1)) /* rounds a sum */

/* The weights of one side: for each output place its first source, their number, and size numbers. */
struct filter {
    int in, out, size;
    int *first, *count, *weight;
};

__device__ static double triangle(double x) {
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

/* Of both sides at once; not of one whose f.count is NULL. A block is one warp, as many GPUs have no more than two double
 * units in a multiprocessor. */
__global__ static void __launch_bounds__(FG_WARP) make_filters(struct filter columns, struct filter rows) {
    const struct filter f = blockIdx.y == 0 ? columns : rows;
    const double scale = (double)f.in / f.out, stretch = scale < 1 ? 1 : scale;
    for (int i = (int)fg_thread(); f.count && i < f.out; i += (int)fg_threads()) {
        const double centre = __dmul_rn(i + 0.5, scale);
        int begin = (int)(centre - stretch + 0.5), end = (int)(centre + stretch + 0.5);
        begin = begin < 0 ? 0 : begin;
        end = end > f.in ? f.in : end;
        double sum = 0;
        for (int k = begin; k < end; k++)
            sum += triangle((k - centre + 0.5) / stretch);
        for (int k = begin; k < end; k++)
            f.weight[(size_t)i * f.size + k - begin] =
                (int)(0.5 + __dmul_rn(triangle((k - centre + 0.5) / stretch) / sum, 1 << PRECISION));
        f.first[i] = begin;
        f.count[i] = end - begin;
    }
}

__device__ static uint8_t clip(int sum) {
    const int value = sum >> PRECISION;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Frames {n, h, w, c} to {n, h, columns, c}. One thread a value. f.count NULL: the width is kept. */
template <class Reader>
__global__ static void across(struct fg_picture p, int n, struct filter f, uint8_t *out) {
    const unsigned count = (unsigned)(n * p.h * f.out * p.c);
    for (unsigned at = fg_thread(); at < count; at += fg_threads()) {
        const int i = (int)at, k = i % p.c, x = i / p.c % f.out, y = i / p.c / f.out % p.h;
        const Reader row(p, i / p.c / f.out / p.h, y, k);
        if (!f.count) {
            out[i] = (uint8_t)row.at(x);
            continue;
        }
        int sum = HALF;
        for (int t = 0; t < f.count[x]; t++)
            sum += row.at(f.first[x] + t) * f.weight[(size_t)x * f.size + t];
        out[i] = clip(sum);
    }
}

typedef void across_kernel(struct fg_picture p, int n, struct filter f, uint8_t *out);

static across_kernel *across_of(enum fg_pixel_format format) {
    switch (format) {
    case FG_GREY8:
    case FG_RGB8:
        return across<fg_plain_row>;
    case FG_YUYV:
        return across<fg_yuyv_row>;
    case FG_NV12:
        return across<fg_nv12_row>;
    default:
        return fg_pixel_bayer_bits(format) > 8 ? across<fg_bayer_row<true>> : across<fg_bayer_row<false>>;
    }
}

/* To {n, rows, w, 3}; grey three times. f.count NULL: the height is kept. */
__global__ static void down(struct fg_picture p, int n, struct filter f, uint8_t *out) {
    const unsigned count = (unsigned)(n * f.out * p.w * 3);
    for (unsigned at = fg_thread(); at < count; at += fg_threads()) {
        const int i = (int)at, k = p.c == 3 ? i % 3 : 0, x = i / 3 % p.w, y = i / 3 / p.w % f.out;
        const uint8_t *from = p.values + i / 3 / p.w / f.out * p.image + (size_t)x * p.c + k;
        if (!f.count) {
            out[i] = from[y * p.pitch];
            continue;
        }
        int sum = HALF;
        for (int t = 0; t < f.count[y]; t++)
            sum += from[(size_t)(f.first[y] + t) * p.pitch] * f.weight[(size_t)y * f.size + t];
        out[i] = clip(sum);
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *in = step->in[0], *out = step->out[0];
    return in && out && in->dtype == FG_U8 && out->dtype == FG_U8 && in->n == out->n && out->c == 3 &&
           in->c == fg_pixel_channels(step->format) && !fg_pixel_lacks(step->format, in->w, in->h) &&
           fg_is_counted(fg_tensor_count(out)) && fg_is_counted((size_t)in->n * in->h * out->w * in->c);
}

static int filter_size(int in, int out) {
    const double scale = (double)in / out, support = scale < 1 ? 1 : scale;
    return (int)ceil(support) * 2 + 1;
}

static size_t filter_bytes(int in, int out) {
    return fg_size_align((size_t)out * (size_t)(filter_size(in, out) + 2) * sizeof(int));
}

size_t fg_cuda_frame_bytes(const struct fg_step *step) {
    const struct fg_tensor *in = step->in[0];
    const size_t image = fg_pixel_frame_bytes(step->format, in->h, step->pitch);
    return (size_t)(in->n - 1) * image + fg_pixel_span(step->format, in->w, in->h, step->pitch);
}

/* The frame, both filters and the picture between the passes: enough for any format, which may change with the frame. */
static size_t workspace(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *in = step->in[0], *out = step->out[0];
    return fg_size_align(fg_cuda_frame_bytes(step)) + filter_bytes(in->w, out->w) +
           filter_bytes(in->h, out->h) + (size_t)in->n * in->h * out->w * 3;
}

static struct filter filter_of(int in, int out, void *memory) {
    struct filter f = {in, out, filter_size(in, out), static_cast<int *>(memory), nullptr, nullptr};
    f.count = f.first + out;
    f.weight = f.count + out;
    return f;
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cuda_call call = {backend, step, memory, message};
    const struct fg_tensor *in = step->in[0], *out = step->out[0];
    /* Copied, so that a graph can be given another frame's address: a kernel's would stay the first one's. */
    char *scratch = static_cast<char *>(fg_workspace(&call));
    const size_t bytes = fg_cuda_frame_bytes(step);
    const uint8_t *frame = reinterpret_cast<const uint8_t *>(scratch);
    const cudaError_t error = cudaMemcpyAsync(scratch, fg_values<const uint8_t>(&call, in), bytes,
                                              cudaMemcpyHostToDevice, fg_cuda_stream(backend, step));
    if (error != cudaSuccess)
        return fg_fail(message, FG_DEVICE_LOST, "a frame cannot be copied: %s", cudaGetErrorString(error));
    scratch += fg_size_align(bytes);
    struct filter columns = filter_of(in->w, out->w, scratch);
    scratch += filter_bytes(in->w, out->w);
    struct filter rows = filter_of(in->h, out->h, scratch);
    scratch += filter_bytes(in->h, out->h);
    uint8_t *middle = reinterpret_cast<uint8_t *>(scratch);
    struct fg_picture p = {frame,
                           step->pitch,
                           fg_pixel_frame_bytes(step->format, in->h, step->pitch),
                           in->h,
                           in->w,
                           in->c,
                           fg_pixel_red_row(step->format),
                           fg_pixel_red_column(step->format),
                           fg_pixel_bayer_bits(step->format)};
    if (in->w == out->w)
        columns.count = nullptr;
    if (in->h == out->h)
        rows.count = nullptr;
    enum fg_status status = FG_OK;
    if (columns.count || rows.count) {
        const size_t places = (size_t)(out->w > out->h ? out->w : out->h);
        status =
            fg_launch(&call, dim3(fg_blocks(places, FG_WARP).x, 2), FG_WARP, make_filters, columns, rows);
    }
    const bool plain = step->format == FG_GREY8 || step->format == FG_RGB8;
    if (columns.count || !plain) {
        if (status == FG_OK)
            status = fg_launch(&call, fg_blocks((size_t)in->n * in->h * out->w * in->c), FG_BLOCK,
                               across_of(step->format), p, in->n, columns, middle);
        p = {middle, (size_t)out->w * in->c, (size_t)in->h * out->w * in->c, in->h, out->w, in->c, 0, 0, 0};
    }
    if (status == FG_OK)
        status = fg_launch(&call, fg_blocks(fg_tensor_count(out)), FG_BLOCK, down, p, in->n, rows,
                           fg_values<uint8_t>(&call, out));
    return status;
}

const struct fg_kernel fg_cuda_resize = {.supports = supports, .workspace = workspace, .forward = forward};
