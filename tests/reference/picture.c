/* RESIZE and NORMALISE (runtime/network/network.h, section 1), ANOMALY_MAP (section 6). */
#include <math.h>
#include <stdlib.h>

#include "tests/reference/operators.h"

#define PRECISION 22 /* fractional bits of Pillow's weights for 8-bit pictures */

static double triangle(double x) {
    return fabs(x) < 1 ? 1 - fabs(x) : 0;
}

static int32_t mirrored(int32_t i, int32_t length) {
    while (length > 1 && (i < 0 || i >= length))
        i = i < 0 ? -i : 2 * (length - 1) - i;
    return length > 1 ? i : 0;
}

/* ---- What a frame shows (kernels/step.h), one value at a time ---- */

struct frame {
    const uint8_t *bytes;
    size_t pitch, h, w;
    enum fg_pixel_format format;
};

/* To the nearest, halves up. */
static double rounded(double x) {
    return floor(x + 0.5);
}

/* A factor in 65536ths. */
static double fixed(double factor) {
    return rounded(factor * 65536);
}

/* Channel k of BT.601's limited range, from the weights that define luma: what U and V are scaled by is what
 * makes blue less luma, and red less luma, 1 at most; green is what is left. */
static double yuv_shown(double y, double u, double v, size_t k) {
    static const double weight[3] = {0.299, 0.587, 0.114};
    const double blue = 2 * (1 - weight[2]), red = 2 * (1 - weight[0]);
    const double of_u[3] = {0, -blue * weight[2] / weight[1], blue},
                 of_v[3] = {red, -red * weight[0] / weight[1], 0};
    const double sum = fixed(255.0 / 219) * (y - 16) + fixed(255.0 / 224 * of_u[k]) * (u - 128) +
                       fixed(255.0 / 224 * of_v[k]) * (v - 128);
    return rounded(sum / 65536);
}

/* A format's name tells its colours, "rggb10": those of a row of two, then of the next. */
static char colour_at(struct frame f, int32_t y, int32_t x) {
    return fg_pixel_name(f.format)[y % 2 * 2 + x % 2];
}

static double bayer_shown(struct frame f, int32_t y, int32_t x, size_t k) {
    const int32_t bits = atoi(fg_pixel_name(f.format) + 4);
    double sum = 0, count = 0;
    for (int32_t dy = -1; dy <= 1; dy++)
        for (int32_t dx = -1; dx <= 1; dx++) {
            const int32_t row = mirrored(y + dy, (int32_t)f.h), column = mirrored(x + dx, (int32_t)f.w);
            const bool own = colour_at(f, y, x) == "rgb"[k];
            if (colour_at(f, row, column) != "rgb"[k] || (own && (dy || dx)))
                continue;
            const uint8_t *line = f.bytes + (size_t)row * f.pitch;
            sum += bits > 8 ? line[2 * column] + 256 * line[2 * column + 1] : line[column];
            count++;
        }
    return rounded(rounded(sum / count) / pow(2, bits - 8));
}

static uint8_t shown(struct frame f, size_t y, size_t x, size_t k) {
    const uint8_t *row = f.bytes + y * f.pitch;
    const uint8_t *four = row + x / 2 * 4, *uv = f.bytes + (f.h + y / 2) * f.pitch + x / 2 * 2;
    double value;
    switch (f.format) {
    case FG_GREY8:
        return row[x];
    case FG_RGB8:
        return row[3 * x + k];
    case FG_YUYV:
        value = yuv_shown(row[2 * x], four[1], four[3], k);
        break;
    case FG_NV12:
        value = yuv_shown(row[x], uv[0], uv[1], k);
        break;
    default:
        value = bayer_shown(f, (int32_t)y, (int32_t)x, k);
    }
    return (uint8_t)fmin(fmax(value, 0), 255);
}

/* ---- The picture ---- */

/* The region cut from one channel of a frame {h, w} and rotated, into picture; its extents. */
static void cut_region(const uint8_t *frame, const struct fg_tensor *in, const struct fg_step *step,
                       uint8_t *picture, int32_t *height, int32_t *width) {
    const struct fg_region r = fg_region_of(step->region, in->w, in->h);
    const bool turned = step->rotation == 90 || step->rotation == 270;
    *height = turned ? r.width : r.height;
    *width = turned ? r.height : r.width;
    for (int32_t y = 0; y < r.height; y++)
        for (int32_t x = 0; x < r.width; x++) {
            int32_t to_y = y, to_x = x;
            for (int32_t turn = 0, h = r.height, w = r.width; turn < step->rotation / 90; turn++) {
                const int32_t last_y = to_y, swap = h;
                /* A quarter clockwise: what was at the left is above, what was below is at the left. */
                to_y = to_x;
                to_x = h - 1 - last_y;
                h = w;
                w = swap;
            }
            picture[to_y * *width + to_x] = frame[(r.y + y) * in->w + r.x + x];
        }
}

/* Resizes a row or a column of values, stride bytes apart: what Pillow's BILINEAR does along one side. */
static void resize_line(const uint8_t *from, size_t from_stride, int32_t in, uint8_t *to, size_t to_stride,
                        int32_t out) {
    if (in == out) { /* Pillow has no pass for a side that keeps its length */
        for (int32_t i = 0; i < out; i++)
            to[(size_t)i * to_stride] = from[(size_t)i * from_stride];
        return;
    }
    const double scale = (double)in / out, support = scale < 1 ? 1 : scale, shrink = 1 / support;
    for (int32_t i = 0; i < out; i++) {
        const double centre = (i + 0.5) * scale;
        int32_t begin = (int32_t)(centre - support + 0.5), end = (int32_t)(centre + support + 0.5);
        begin = begin < 0 ? 0 : begin;
        end = end > in ? in : end;
        double total = 0;
        for (int32_t k = begin; k < end; k++)
            total += triangle((k - centre + 0.5) * shrink);
        int64_t sum = 1 << (PRECISION - 1);
        for (int32_t k = begin; k < end; k++) {
            const double share = triangle((k - centre + 0.5) * shrink) / total;
            sum += (int64_t)(0.5 + share * (1 << PRECISION)) * from[(size_t)k * from_stride];
        }
        const int64_t value = sum >> PRECISION;
        to[(size_t)i * to_stride] = (uint8_t)(value > 255 ? 255 : value);
    }
}

static enum fg_status resize_forward(struct fg_backend *backend, const struct fg_step *step,
                                     const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    const struct fg_tensor *in = step->in[0], *out = step->out[0];
    const size_t width = (size_t)out->w, height = (size_t)out->h;
    struct frame f = {fg_tensor_data(in, memory), step->pitch, (size_t)in->h, (size_t)in->w, step->format};
    /* One channel. */
    uint8_t *seen = calloc(f.h, f.w), *picture = calloc(f.h, f.w), *middle = calloc(f.h + f.w, width);
    enum fg_status status = FG_OK;
    if (!seen || !picture || !middle)
        status = fg_fail(message, FG_ENVIRONMENT, "no memory for a picture");
    for (size_t n = 0; n < (size_t)in->n && status == FG_OK; n++) {
        for (size_t k = 0; k < 3; k++) {
            uint8_t *to = (uint8_t *)fg_tensor_data(out, memory) + n * height * width * 3 + k;
            for (size_t i = 0; i < f.h * f.w; i++)
                seen[i] = shown(f, i / f.w, i % f.w, k);
            int32_t h, w;
            cut_region(seen, in, step, picture, &h, &w);
            for (size_t y = 0; y < (size_t)h; y++)
                resize_line(picture + y * (size_t)w, 1, w, middle + y * width, 1, out->w);
            for (size_t x = 0; x < width; x++)
                resize_line(middle + x, width, h, to + x * 3, width * 3, out->h);
        }
        f.bytes += f.pitch * f.h + (step->format == FG_NV12 ? f.pitch * f.h / 2 : 0);
    }
    free(seen);
    free(picture);
    free(middle);
    return status;
}

const struct fg_kernel fg_reference_resize = {.supports = fg_reference_supports, .forward = resize_forward};

static enum fg_status normalise_forward(struct fg_backend *backend, const struct fg_step *step,
                                        const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    static const double mean[3] = {0.485, 0.456, 0.406}, deviation[3] = {0.229, 0.224, 0.225};
    const uint8_t *in = fg_tensor_data(step->in[0], memory);
    const struct fg_draw *draw = step->in[1] ? fg_tensor_data(step->in[1], memory) : NULL;
    double *out = fg_tensor_data(step->out[0], memory);
    const size_t size = fg_tensor_count(step->out[0]) / (size_t)step->out[0]->n;
    for (int32_t n = 0; n < step->out[0]->n; n++)
        for (size_t i = 0; i < size; i++)
            out[(size_t)n * size + i] =
                (in[(draw ? draw->image[n] : (uint32_t)n) * size + i] / 255.0 - mean[i % 3]) /
                deviation[i % 3];
    return FG_OK;
}

const struct fg_kernel fg_reference_normalise = {.supports = fg_reference_supports,
                                                 .forward = normalise_forward};

/* A level map at a place of the map, corners aligned. */
static double level_at(struct array m, int32_t n, int32_t y, int32_t x, struct array map) {
    const double v = map.h > 1 ? (double)y * (m.h - 1) / (map.h - 1) : 0,
                 u = map.w > 1 ? (double)x * (m.w - 1) / (map.w - 1) : 0;
    double sum = 0;
    for (int32_t i = 0; i < m.h; i++)
        for (int32_t j = 0; j < m.w; j++)
            if (fabs(v - i) < 1 && fabs(u - j) < 1)
                sum += *at(m, n, i, j, 0) * triangle(v - i) * triangle(u - j);
    return sum;
}

/* The blur along one side: down (dy 1, dx 0) or across. */
static void blur(struct array from, struct array to, int32_t dy, int32_t dx) {
    double total = 0;
    for (int32_t t = -FG_BLUR_RADIUS; t <= FG_BLUR_RADIUS; t++)
        total += exp(-t * t / (2 * FG_BLUR_SIGMA * FG_BLUR_SIGMA));
    for (int32_t n = 0; n < to.n; n++)
        for (int32_t y = 0; y < to.h; y++)
            for (int32_t x = 0; x < to.w; x++) {
                double sum = 0;
                for (int32_t t = -FG_BLUR_RADIUS; t <= FG_BLUR_RADIUS; t++)
                    sum += exp(-t * t / (2 * FG_BLUR_SIGMA * FG_BLUR_SIGMA)) / total *
                           *at(from, n, mirrored(y + t * dy, to.h), mirrored(x + t * dx, to.w), 0);
                *at(to, n, y, x, 0) = sum;
            }
}

/* The levels joined at a place: their sum, or k times the k-th root of their product. */
static double joined_at(const struct fg_step *step, const struct fg_memory *memory, int32_t n, int32_t y,
                        int32_t x, struct array map) {
    double sum = 0, product = 1;
    int levels = 0;
    for (int l = 0; l < FG_MAX_IN; l++) {
        if (!step->in[l])
            continue;
        const double m = level_at(array_of(step->in[l], memory), n, y, x, map);
        sum += m;
        product *= m < 0 ? 0 : m;
        levels++;
    }
    return step->product ? levels * pow(product, 1.0 / levels) : sum;
}

static enum fg_status anomaly_map_forward(struct fg_backend *backend, const struct fg_step *step,
                                          const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    const struct array map = array_of(step->out[0], memory), score = array_of(step->out[1], memory),
                       mean = array_of(step->param[0], memory), scale = array_of(step->param[1], memory),
                       decision = array_of(step->out[step->out[2] ? 2 : 0], memory);
    struct array across = map;
    across.value = malloc(fg_tensor_bytes(step->out[0]));
    if (!across.value) {
        return fg_fail(message, FG_ENVIRONMENT, "no memory for a map");
    }
    for (int32_t n = 0; n < map.n; n++)
        for (int32_t y = 0; y < map.h; y++)
            for (int32_t x = 0; x < map.w; x++)
                *at(map, n, y, x, 0) = joined_at(step, memory, n, y, x, map);
    blur(map, across, 0, 1);
    blur(across, map, 1, 0);
    for (int32_t n = 0; n < map.n; n++) {
        double largest = -INFINITY;
        bool finite = true;
        for (int32_t y = 0; y < map.h; y++)
            for (int32_t x = 0; x < map.w; x++) {
                if (step->out[2])
                    *at(decision, n, y, x, 0) =
                        (*at(map, n, y, x, 0) - *at(mean, 0, y, x, 0)) / *at(scale, 0, y, x, 0);
                largest = fmax(largest, *at(decision, n, y, x, 0));
                finite = finite && isfinite(*at(decision, n, y, x, 0));
            }
        *at(score, n, 0, 0, 0) = finite ? largest : NAN;
    }
    free(across.value);
    return FG_OK;
}

const struct fg_kernel fg_reference_anomaly_map = {.supports = fg_reference_supports,
                                                   .forward = anomaly_map_forward};
