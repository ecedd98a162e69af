/* RESIZE: Pillow's antialiased BILINEAR with its own integer arithmetic, bit-exact with the CPU's:
 * coefficients of 22 fractional bits, made on the device in double; a horizontal pass rounded to 8 bits, then
 * a vertical one. The horizontal one reads the region of the frame in the camera's own format. The frame is
 * read once from the host, into the workspace. A rotation costs no pass of its own: a mirrored side has its
 * weights in reverse, and where rows become columns the horizontal pass sums rows of the frame.
 *
 * A product and a sum must round twice, as they do on the CPU, so products of doubles are __dmul_rn, which
 * nvcc never joins to a sum; tests/cuda/check_contraction.py looks whether the PTX has such an instruction.
 */
#include "kernels/cuda/operators/pixel.cuh"

#define PRECISION FG_RESIZE_BITS
#define HALF (1 << (PRECISION - 1)) /* rounds a sum */

/* The weights of one side of the picture, out places long, over a side of the region, in places long. */
struct filter {
    int in, out, size;
    bool mirrored; /* the picture's side runs against the region's */
    int *first;    /* [out] first source of each place */
    int *count;    /* [out] sources of each place; NULL: the side is kept as it is */
    int *weight;   /* [out][size] */
};

__device__ static double triangle(double x) {
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

/* Makes the weights of both sides at once, but not of one whose f.count is NULL. A block is one warp, as many
 * GPUs have no more than two double units in a multiprocessor. */
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
            f.weight[(size_t)i * f.size + (f.mirrored ? end - 1 - k : k - begin)] =
                (int)(0.5 + __dmul_rn(triangle((k - centre + 0.5) / stretch) / sum, 1 << PRECISION));
        f.first[i] = f.mirrored ? f.in - end : begin;
        f.count[i] = end - begin;
    }
}

__device__ static uint8_t clip_sum(int sum) {
    const int value = sum >> PRECISION;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Regions {n, r.height, r.width, c} of frames to {n, r.height, f.out, c}. One thread a value. f.count NULL:
 * the width is kept. */
template <class Reader>
__global__ static void resize_across(struct fg_picture p, struct fg_region r, int n, struct filter f,
                                     uint8_t *out) {
    const unsigned count = (unsigned)(n * r.height * f.out * p.c);
    for (unsigned at = fg_thread(); at < count; at += fg_threads()) {
        const int i = (int)at, k = i % p.c, x = i / p.c % f.out, y = i / p.c / f.out % r.height;
        const Reader row(p, i / p.c / f.out / r.height, r.y + y, k);
        if (!f.count) {
            out[i] = (uint8_t)row.at(r.x + x);
            continue;
        }
        int sum = HALF;
        for (int t = 0; t < f.count[x]; t++)
            sum += row.at(r.x + f.first[x] + t) * f.weight[(size_t)x * f.size + t];
        out[i] = clip_sum(sum);
    }
}

/* Regions of frames where rows become columns: to {n, f.out, r.width, c}, a row for each column of the
 * picture. */
template <class Reader>
__global__ static void resize_turned(struct fg_picture p, struct fg_region r, int n, struct filter f,
                                     uint8_t *out) {
    const unsigned count = (unsigned)(n * f.out * r.width * p.c);
    for (unsigned at = fg_thread(); at < count; at += fg_threads()) {
        const int i = (int)at, k = i % p.c, x = i / p.c % r.width, column = i / p.c / r.width % f.out;
        int sum = HALF;
        for (int t = 0; t < f.count[column]; t++) {
            const Reader row(p, i / p.c / r.width / f.out, r.y + f.first[column] + t, k);
            sum += row.at(r.x + x) * f.weight[(size_t)column * f.size + t];
        }
        out[i] = clip_sum(sum);
    }
}

typedef void first_kernel(struct fg_picture p, struct fg_region r, int n, struct filter f, uint8_t *out);

template <class Reader> static first_kernel *pick_kernel(bool turned) {
    return turned ? resize_turned<Reader> : resize_across<Reader>;
}

static first_kernel *pick_first_kernel(const struct fg_step *step) {
    const bool turned = fg_rotation_turns(step->rotation);
    switch (step->format) {
    case FG_GREY8:
    case FG_RGB8:
        return pick_kernel<fg_plain_row>(turned);
    case FG_YUYV:
        return pick_kernel<fg_yuyv_row>(turned);
    case FG_NV12:
        return pick_kernel<fg_nv12_row>(turned);
    default:
        return fg_pixel_bayer_bits(step->format) > 8 ? pick_kernel<fg_bayer_row<true>>(turned)
                                                     : pick_kernel<fg_bayer_row<false>>(turned);
    }
}

/* What the first pass leaves, or regions of frames that need none. */
struct middle {
    const uint8_t *values; /* [n][w][c]: images, columns, values; strides below */
    size_t image;          /* bytes from image to image */
    size_t along;          /* bytes from a value to the next below it */
    size_t beside;         /* bytes from a value to the next beside it */
    int w, c;
};

/* To {n, f.out, w, 3}; grey three times. f.count NULL: the height is kept. */
__global__ static void resize_down(struct middle m, int n, struct filter f, uint8_t *out) {
    const unsigned count = (unsigned)(n * f.out * m.w * 3);
    for (unsigned at = fg_thread(); at < count; at += fg_threads()) {
        const int i = (int)at, k = m.c == 3 ? i % 3 : 0, x = i / 3 % m.w, y = i / 3 / m.w % f.out;
        const uint8_t *from = m.values + i / 3 / m.w / f.out * m.image + (size_t)x * m.beside + k;
        if (!f.count) {
            out[i] = from[y * m.along];
            continue;
        }
        int sum = HALF;
        for (int t = 0; t < f.count[y]; t++)
            sum += from[(size_t)(f.first[y] + t) * m.along] * f.weight[(size_t)y * f.size + t];
        out[i] = clip_sum(sum);
    }
}

static int find_longer_side(const struct fg_tensor *frame) {
    return frame->w > frame->h ? frame->w : frame->h;
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *in = step->in[0], *out = step->out[0];
    return in && out && in->dtype == FG_U8 && out->dtype == FG_U8 && in->n == out->n && out->c == 3 &&
           in->c == fg_pixel_channels(step->format) && !fg_pixel_lacks(step->format, in->w, in->h) &&
           fg_region_fits(step->region, in->w, in->h) && fg_rotation_is_known(step->rotation) &&
           fg_is_counted(fg_tensor_count(out)) &&
           fg_is_counted((size_t)in->n * find_longer_side(in) * out->w * in->c);
}

static int count_filter_weights(int in, int out) {
    const double scale = (double)in / out, support = scale < 1 ? 1 : scale;
    return (int)ceil(support) * 2 + 1;
}

static size_t count_filter_bytes(int in, int out) {
    return fg_size_align((size_t)out * (size_t)(count_filter_weights(in, out) + 2) * sizeof(int));
}

size_t fg_cuda_frame_bytes(const struct fg_step *step) {
    const struct fg_tensor *in = step->in[0];
    const size_t image = fg_pixel_frame_bytes(step->format, in->h, step->pitch);
    return (size_t)(in->n - 1) * image + fg_pixel_span(step->format, in->w, in->h, step->pitch);
}

/* The frame, both filters and the picture between the passes: enough for any format, region and rotation,
 * which may change with the frame. */
static size_t workspace(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *in = step->in[0], *out = step->out[0];
    return fg_size_align(fg_cuda_frame_bytes(step)) + count_filter_bytes(find_longer_side(in), out->w) +
           count_filter_bytes(find_longer_side(in), out->h) +
           (size_t)in->n * find_longer_side(in) * out->w * 3;
}

static struct filter place_filter(int in, int out, bool mirrored, void *memory) {
    const int size = count_filter_weights(in, out);
    struct filter f = {in, out, size, mirrored, static_cast<int *>(memory), nullptr, nullptr};
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
    const int rotation = step->rotation;
    const bool turned = fg_rotation_turns(rotation);
    const struct fg_region region = fg_region_of(step->region, in->w, in->h);
    const int wide = turned ? region.height : region.width, high = turned ? region.width : region.height;
    struct filter columns = place_filter(wide, out->w, rotation == 90 || rotation == 180, scratch);
    scratch += count_filter_bytes(wide, out->w);
    struct filter rows = place_filter(high, out->h, rotation == 180 || rotation == 270, scratch);
    scratch += count_filter_bytes(high, out->h);
    uint8_t *values = reinterpret_cast<uint8_t *>(scratch);
    const size_t c = (size_t)in->c, image = fg_pixel_frame_bytes(step->format, in->h, step->pitch);
    const struct fg_picture p = {frame,
                                 step->pitch,
                                 image,
                                 in->h,
                                 in->w,
                                 in->c,
                                 fg_pixel_red_row(step->format),
                                 fg_pixel_red_column(step->format),
                                 fg_pixel_bayer_bits(step->format)};
    if (wide == out->w && !rotation)
        columns.count = nullptr;
    if (high == out->h && !rotation)
        rows.count = nullptr;
    enum fg_status status = FG_OK;
    if (columns.count || rows.count) {
        const size_t places = (size_t)(out->w > out->h ? out->w : out->h);
        status =
            fg_launch(&call, dim3(fg_blocks(places, FG_WARP).x, 2), FG_WARP, make_filters, columns, rows);
    }
    struct middle m = {frame + region.y * step->pitch + region.x * c, image, step->pitch, c, out->w, in->c};
    const bool plain = step->format == FG_GREY8 || step->format == FG_RGB8;
    if (columns.count || !plain) {
        const size_t row = (size_t)out->w * c, column = (size_t)high * c; /* bytes */
        m.values = values;
        m.image = high * row;
        m.along = turned ? c : row;
        m.beside = turned ? column : c;
        if (status == FG_OK)
            status = fg_launch(&call, fg_blocks((size_t)in->n * high * row), FG_BLOCK,
                               pick_first_kernel(step), p, region, in->n, columns, values);
    }
    if (status == FG_OK)
        status = fg_launch(&call, fg_blocks(fg_tensor_count(out)), FG_BLOCK, resize_down, m, in->n, rows,
                           fg_values<uint8_t>(&call, out));
    return status;
}

const struct fg_kernel fg_cuda_resize = {.supports = supports, .workspace = workspace, .forward = forward};
