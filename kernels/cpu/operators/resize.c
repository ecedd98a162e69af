/* RESIZE: Pillow's antialiased BILINEAR with its own integer arithmetic: coefficients of 22 fractional bits,
 * a horizontal pass rounded to 8 bits, then a vertical one; a side that keeps its length needs none. Rows in
 * a camera's own format are decoded just before they are read, the region only. A rotation costs no pass of
 * its own: a mirrored side has its weights in reverse, and where rows become columns the horizontal pass sums
 * rows of the frame. Bit-exact with Pillow (9 to 11; 13 takes the vertical pass first where that is cheaper,
 * and is then off by 1 here and there), so that training in Python and judging here see the same pictures. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/operators/pixel.h"

#define PRECISION FG_RESIZE_BITS
#define HALF (1 << (PRECISION - 1)) /* rounds a sum */
#define BLOCK 384                   /* bytes of a row whose sums are kept: a whole number of RGB pixels */

/* The weights of one side of the picture, which is out places long, over a side of the region, in places
 * long. A source is a place of the region. Between equal lengths the weights are 1 and 0: such a pass changes
 * nothing. */
struct filter {
    int32_t in, out, size;
    int32_t *first;  /* [out] first source of each place */
    int32_t *count;  /* [out] number of sources of each place */
    int32_t *weight; /* [out][size] */
};

static int32_t get_filter_size(int32_t in, int32_t out) {
    const double scale = (double)in / out, support = scale < 1 ? 1 : scale;
    return (int32_t)ceil(support) * 2 + 1;
}

static size_t get_filter_bytes(int32_t in, int32_t out) {
    return fg_size_align((size_t)out * (size_t)(get_filter_size(in, out) + 2) * sizeof(int32_t));
}

static double triangle(double x) {
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

/* mirrored: the picture's side runs against the region's. */
static struct filter make_filter(int32_t in, int32_t out, bool mirrored, void *memory) {
    struct filter f = {.in = in, .out = out, .size = get_filter_size(in, out), .first = memory};
    f.count = f.first + out;
    f.weight = f.count + out;
    const double scale = (double)in / out, stretch = scale < 1 ? 1 : scale;
    for (int32_t i = 0; i < out; i++) {
        const double centre = (i + 0.5) * scale;
        int32_t begin = (int32_t)(centre - stretch + 0.5), end = (int32_t)(centre + stretch + 0.5);
        begin = begin < 0 ? 0 : begin;
        end = end > in ? in : end;
        double sum = 0;
        for (int32_t k = begin; k < end; k++)
            sum += triangle((k - centre + 0.5) / stretch);
        for (int32_t k = begin; k < end; k++)
            f.weight[i * f.size + (mirrored ? end - 1 - k : k - begin)] =
                (int32_t)(0.5 + triangle((k - centre + 0.5) / stretch) / sum * (1 << PRECISION));
        f.first[i] = mirrored ? in - end : begin;
        f.count[i] = end - begin;
    }
    return f;
}

static uint8_t clip_sum(int32_t sum) {
    const int32_t value = sum >> PRECISION;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

struct resize {
    const struct fg_tensor *picture; /* {n, h, w, 3} */
    struct fg_cpu_frame frame;
    struct fg_region region;
    size_t channels;
    uint8_t *scratch; /* [threads][scratch_bytes] */
    size_t scratch_bytes, row_bytes;
    uint8_t *middle;       /* {region.height, picture->w, channels}, where rows stay rows */
    uint8_t *out;          /* {picture->h, picture->w, 3} */
    struct filter columns; /* makes the picture's columns */
    struct filter rows;    /* makes the picture's rows */
    bool has_middle, is_across, is_down;
};

/* Bytes that a row of pixels takes. */
static size_t get_row_bytes(int32_t width) {
    return fg_size_align((size_t)width * 3);
}

/* Bytes of rows of encoded pixels that are decoded for a block of sums: it may begin at an odd place, and end
 * at one. */
#define DECODED (BLOCK + 2 * 3)

/* What a thread has for itself, so that two share no cache line: a row of the region, then a row or column of
 * the picture, then decoded rows of a block; enough for all rotations. side: the longer one of frames. */
static size_t get_scratch_bytes(int32_t side, const struct fg_tensor *picture) {
    const size_t rows = (size_t)get_filter_size(side, picture->w);
    return get_row_bytes(side + 2) + get_row_bytes(picture->h) + fg_size_align(rows * DECODED);
}

/* Decodes pixels begin to end of a row of the region; gives where the first one lies in rgb, which has room
 * for one pixel more at either end. */
static uint8_t *decode_pixels(const struct resize *r, int32_t y, int32_t begin, int32_t end, uint8_t *rgb) {
    const struct fg_cpu_frame *frame = &r->frame;
    const int32_t from = (r->region.x + begin) & ~1, odd = r->region.x + begin - from;
    int32_t to = r->region.x + end;
    to += to % 2 && to < frame->width;
    fg_cpu_decode_row(frame, r->region.y + y, from, to, rgb);
    return rgb + (size_t)odd * 3;
}

/* Where a row of the region is in a frame that is not encoded. */
static const uint8_t *find_region_row(const struct resize *r, int32_t y) {
    return r->frame.bytes + (size_t)(r->region.y + y) * r->frame.pitch + (size_t)r->region.x * r->channels;
}

/* The same of grey and of RGB pixels, each with its sums in registers. */
static void sum_grey_across(const struct filter *f, const uint8_t *in, uint8_t *out) {
    for (int32_t x = 0; x < f->out; x++) {
        const int32_t *weight = f->weight + (size_t)x * (size_t)f->size;
        const uint8_t *from = in + f->first[x];
        int32_t sum = HALF;
        for (int32_t i = 0; i < f->count[x]; i++)
            sum += from[i] * weight[i];
        out[x] = clip_sum(sum);
    }
}

static void sum_colour_across(const struct filter *f, const uint8_t *in, uint8_t *out) {
    for (int32_t x = 0; x < f->out; x++, out += 3) {
        const int32_t *weight = f->weight + (size_t)x * (size_t)f->size;
        const uint8_t *from = in + (size_t)f->first[x] * 3;
        int32_t red = HALF, green = HALF, blue = HALF;
        for (int32_t i = 0; i < f->count[x]; i++, from += 3) {
            red += from[0] * weight[i];
            green += from[1] * weight[i];
            blue += from[2] * weight[i];
        }
        out[0] = clip_sum(red);
        out[1] = clip_sum(green);
        out[2] = clip_sum(blue);
    }
}

static void sum_row_across(const struct resize *r, const struct filter *f, const uint8_t *in, uint8_t *out) {
    (r->channels == 3 ? sum_colour_across : sum_grey_across)(f, in, out);
}

/* One row of the region becomes one row of the middle picture. */
static void resize_row_across(void *argument, uint32_t task, uint32_t thread) {
    const struct resize *r = argument;
    const int32_t y = (int32_t)task;
    const size_t count = (size_t)r->picture->w * r->channels;
    uint8_t *out = r->middle + task * count;
    const uint8_t *in = fg_cpu_is_encoded(r->frame.format)
                            ? decode_pixels(r, y, 0, r->region.width, r->scratch + thread * r->scratch_bytes)
                            : find_region_row(r, y);
    if (r->is_across)
        sum_row_across(r, &r->columns, in, out);
    else
        memcpy(out, in, count);
}

/* Weighted sums of rows, for up to BLOCK bytes side by side. */
FG_CPU_CLONES static void sum_rows(const uint8_t *from, size_t pitch, const int32_t *weight, int32_t rows,
                                   size_t width, uint8_t *out) {
    int32_t sum[BLOCK];
    for (size_t i = 0; i < width; i++)
        sum[i] = HALF;
    for (int32_t k = 0; k < rows; k++, from += pitch)
        for (size_t i = 0; i < width; i++)
            sum[i] += from[i] * weight[k];
    for (size_t i = 0; i < width; i++)
        out[i] = clip_sum(sum[i]);
}

/* One row of the picture from rows of the middle one (or of the region, where its width is kept). */
static void resize_row_down(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct resize *r = argument;
    const size_t channels = r->channels, count = (size_t)r->picture->w * channels;
    const uint8_t *from = r->has_middle ? r->middle : find_region_row(r, 0);
    const size_t pitch = r->has_middle ? count : r->frame.pitch;
    const struct filter *f = &r->rows;
    uint8_t *out = r->out + (size_t)task * (size_t)r->picture->w * 3;
    for (size_t begin = 0; begin < count; begin += BLOCK) {
        const size_t width = count - begin < BLOCK ? count - begin : BLOCK;
        uint8_t value[BLOCK];
        if (r->is_down)
            sum_rows(from + (size_t)f->first[task] * pitch + begin, pitch,
                     f->weight + (size_t)task * (size_t)f->size, f->count[task], width, value);
        else
            memcpy(value, from + task * pitch + begin, width);
        if (channels == 3)
            memcpy(out + begin, value, width);
        for (size_t i = 0; i < width && channels == 1; i++)
            memset(out + (begin + i) * 3, value[i], 3);
    }
}

/* Rows of a block, columns x to end of the region: where they lie in the frame, or decoded. */
static const uint8_t *find_block(const struct resize *r, int32_t first, int32_t rows, int32_t x, int32_t end,
                                 uint8_t *decoded, size_t *pitch) {
    *pitch = r->frame.pitch;
    if (!fg_cpu_is_encoded(r->frame.format))
        return find_region_row(r, first) + (size_t)x * r->channels;
    *pitch = DECODED;
    const uint8_t *block = decode_pixels(r, first, x, end, decoded);
    for (int32_t k = 1; k < rows; k++)
        decode_pixels(r, first + k, x, end, decoded + (size_t)k * DECODED);
    return block;
}

/* Where rows become columns: one column of the picture. The horizontal pass sums rows of the region, the
 * vertical one goes across what that gives. */
static void turn_column(void *argument, uint32_t task, uint32_t thread) {
    const struct resize *r = argument;
    const struct filter *f = &r->columns;
    const int32_t rows = f->count[task], step = (int32_t)(BLOCK / r->channels);
    uint8_t *row = r->scratch + thread * r->scratch_bytes, *column = row + r->row_bytes,
            *decoded = column + get_row_bytes(r->picture->h);
    for (int32_t x = 0; x < r->region.width; x += step) {
        const int32_t end = r->region.width - x < step ? r->region.width : x + step;
        size_t pitch;
        const uint8_t *from = find_block(r, f->first[task], rows, x, end, decoded, &pitch);
        sum_rows(from, pitch, f->weight + (size_t)task * (size_t)f->size, rows,
                 (size_t)(end - x) * r->channels, row + (size_t)x * r->channels);
    }
    sum_row_across(r, &r->rows, row, column);
    for (size_t y = 0; y < (size_t)r->picture->h; y++)
        for (size_t k = 0; k < 3; k++)
            r->out[(y * (size_t)r->picture->w + task) * 3 + k] = column[r->channels == 3 ? 3 * y + k : y];
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *in = step->in[0], *out = step->out[0];
    return in && out && in->dtype == FG_U8 && out->dtype == FG_U8 && in->n == out->n && out->c == 3 &&
           in->c == fg_pixel_channels(step->format) && !fg_pixel_lacks(step->format, in->w, in->h) &&
           fg_region_fits(step->region, in->w, in->h) && fg_rotation_is_known(step->rotation);
}

/* Is enough for any format, region and rotation, as they may change with the frame. */
static size_t workspace(const struct fg_backend *backend, const struct fg_step *step) {
    const struct fg_tensor *in = step->in[0], *out = step->out[0];
    const int32_t side = in->w > in->h ? in->w : in->h;
    return get_filter_bytes(side, out->w) + get_filter_bytes(side, out->h) +
           fg_cpu_threads(backend) * get_scratch_bytes(side, out) + (size_t)in->h * (size_t)out->w * 3;
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    const struct fg_tensor *in = step->in[0], *out = step->out[0];
    const int32_t side = in->w > in->h ? in->w : in->h, rotation = step->rotation;
    const bool turned = fg_rotation_turns(rotation);
    const struct fg_region region = fg_region_of(step->region, in->w, in->h);
    const int32_t across = turned ? region.height : region.width,
                  down = turned ? region.width : region.height;
    char *scratch = (char *)memory->segment[FG_SEGMENT_WORKSPACE] + step->workspace;
    struct resize r = {.picture = out,
                       .frame = {fg_tensor_data(in, memory), step->pitch, in->h, in->w, step->format},
                       .region = region,
                       .channels = (size_t)in->c,
                       .scratch_bytes = get_scratch_bytes(side, out),
                       .row_bytes = get_row_bytes(side + 2),
                       .is_across = across != out->w || rotation,
                       .is_down = down != out->h || rotation};
    r.has_middle = r.is_across || fg_cpu_is_encoded(step->format);
    r.columns = make_filter(across, out->w, rotation == 90 || rotation == 180, scratch);
    scratch += get_filter_bytes(across, out->w);
    r.rows = make_filter(down, out->h, rotation == 180 || rotation == 270, scratch);
    scratch += get_filter_bytes(down, out->h);
    r.scratch = (uint8_t *)scratch;
    r.middle = r.scratch + fg_cpu_threads(backend) * r.scratch_bytes;
    r.out = fg_tensor_data(out, memory);
    for (int32_t n = 0; n < in->n; n++) {
        if (turned)
            fg_cpu_parallel(backend, step, (uint32_t)out->w, turn_column, &r);
        if (!turned && r.has_middle)
            fg_cpu_parallel(backend, step, (uint32_t)region.height, resize_row_across, &r);
        if (!turned)
            fg_cpu_parallel(backend, step, (uint32_t)out->h, resize_row_down, &r);
        r.frame.bytes += fg_pixel_frame_bytes(step->format, in->h, step->pitch);
        r.out += (size_t)out->h * (size_t)out->w * 3;
    }
    return FG_OK;
}

const struct fg_kernel fg_cpu_resize = {.supports = supports, .workspace = workspace, .forward = forward};
