/* A piece of a row of YUV or Bayer pixels as RGB, as kernels/step.h defines it.
 *
 * Two pixels at a time, whose channels go to an array each first, since gcc vectorises that (three to six
 * times as fast as writing pixel after pixel). */
#include "kernels/cpu/operators/pixel.h"

#include "kernels/cpu/cpu.h"

#define PAIRS 128 /* pairs of pixels in a block */

FG_INLINE uint8_t clip_value(int32_t value) {
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

FG_INLINE void interleave_channels(const uint8_t *red, const uint8_t *green, const uint8_t *blue,
                                   int32_t count, uint8_t *restrict rgb) {
    for (int32_t i = 0; i < count; i++) {
        rgb[3 * i] = red[i];
        rgb[3 * i + 1] = green[i];
        rgb[3 * i + 2] = blue[i];
    }
}

FG_INLINE int32_t count_pairs(int32_t begin, int32_t end) {
    return end - begin < PAIRS ? end - begin : PAIRS;
}

/* ---- YUV ---- */

/* Pairs of pixels y0 and y1 with their u and v, step bytes from one pair to the next. */
FG_INLINE void decode_yuv(const uint8_t *y0, const uint8_t *y1, const uint8_t *u, const uint8_t *v,
                          int32_t step, int32_t width, uint8_t *rgb) {
    uint8_t red[2 * PAIRS], green[2 * PAIRS], blue[2 * PAIRS];
    for (int32_t begin = 0; begin < width / 2; begin += PAIRS) {
        const int32_t pairs = count_pairs(begin, width / 2);
        for (int32_t i = 0; i < pairs; i++) {
            const int32_t at = (begin + i) * step, cb = u[at] - 128, cr = v[at] - 128,
                          first = FG_YUV_Y * (y0[at] - 16) + (1 << 15),
                          second = FG_YUV_Y * (y1[at] - 16) + (1 << 15);
            red[2 * i] = clip_value((first + FG_YUV_RV * cr) >> 16);
            red[2 * i + 1] = clip_value((second + FG_YUV_RV * cr) >> 16);
            green[2 * i] = clip_value((first - FG_YUV_GU * cb - FG_YUV_GV * cr) >> 16);
            green[2 * i + 1] = clip_value((second - FG_YUV_GU * cb - FG_YUV_GV * cr) >> 16);
            blue[2 * i] = clip_value((first + FG_YUV_BU * cb) >> 16);
            blue[2 * i + 1] = clip_value((second + FG_YUV_BU * cb) >> 16);
        }
        interleave_channels(red, green, blue, 2 * pairs, rgb + (size_t)begin * 6);
    }
}

FG_CPU_CLONES static void decode_yuyv(const uint8_t *in, int32_t width, uint8_t *rgb) {
    decode_yuv(in, in + 2, in + 1, in + 3, 4, width, rgb);
}

FG_CPU_CLONES static void decode_nv12(const uint8_t *luma, const uint8_t *chroma, int32_t width,
                                      uint8_t *rgb) {
    decode_yuv(luma, luma + 1, chroma, chroma + 1, 2, width, rgb);
}

/* ---- Bayer ---- */

/* A row between its neighbours. Every other place of it has the row's own colour, red or blue; the others are
 * green. */
struct bayer_row {
    const uint8_t *above, *here, *below; /* [width] samples */
    int32_t width;
    int32_t begin, end; /* the places that are wanted */
    bool red;
    int32_t first; /* the first place of the row's own colour: 0 or 1 */
};

FG_INLINE int32_t read_sample(const uint8_t *row, int32_t x, int32_t bits) {
    return bits > 8 ? row[2 * x] | row[2 * x + 1] << 8 : row[x];
}

FG_INLINE uint8_t round_to_8_bits(int32_t value, int32_t bits) {
    return clip_value(bits > 8 ? (value + (1 << (bits - 9))) >> (bits - 8) : value);
}

/* A pixel at a place of the row's own colour; left and right are the columns beside it. */
FG_INLINE void decode_coloured(const struct bayer_row *r, int32_t left, int32_t x, int32_t right,
                               int32_t bits, uint8_t *own, uint8_t *green, uint8_t *other) {
    const int32_t cross = read_sample(r->above, x, bits) + read_sample(r->below, x, bits) +
                          read_sample(r->here, left, bits) + read_sample(r->here, right, bits);
    const int32_t corners = read_sample(r->above, left, bits) + read_sample(r->above, right, bits) +
                            read_sample(r->below, left, bits) + read_sample(r->below, right, bits);
    *own = round_to_8_bits(read_sample(r->here, x, bits), bits);
    *green = round_to_8_bits((cross + 2) >> 2, bits);
    *other = round_to_8_bits((corners + 2) >> 2, bits);
}

FG_INLINE void decode_green(const struct bayer_row *r, int32_t left, int32_t x, int32_t right, int32_t bits,
                            uint8_t *own, uint8_t *green, uint8_t *other) {
    *own = round_to_8_bits((read_sample(r->here, left, bits) + read_sample(r->here, right, bits) + 1) >> 1,
                           bits);
    *green = round_to_8_bits(read_sample(r->here, x, bits), bits);
    *other =
        round_to_8_bits((read_sample(r->above, x, bits) + read_sample(r->below, x, bits) + 1) >> 1, bits);
}

/* A pixel anywhere, at an edge too; rgb: its three values. */
FG_INLINE void decode_place(const struct bayer_row *r, int32_t x, int32_t bits, uint8_t *rgb) {
    const int32_t left = x > 0 ? x - 1 : 1, right = x < r->width - 1 ? x + 1 : x - 1;
    uint8_t *own = rgb + (r->red ? 0 : 2), *other = rgb + (r->red ? 2 : 0);
    if (x % 2 == r->first)
        decode_coloured(r, left, x, right, bits, own, rgb + 1, other);
    else
        decode_green(r, left, x, right, bits, own, rgb + 1, other);
}

/* Between the edges in pairs: a green place and the coloured one behind it. */
FG_INLINE void decode_bayer(const struct bayer_row *row, int32_t bits, uint8_t *rgb) {
    const struct bayer_row r = *row;
    uint8_t own[2 * PAIRS], green[2 * PAIRS], other[2 * PAIRS];
    const int32_t last = r.end < r.width ? r.end : r.width - 1; /* behind the last place of a pair */
    int32_t inner = r.begin > 0 ? r.begin : 1;
    inner += inner % 2 == r.first;
    inner = inner < r.end ? inner : r.end;
    const int32_t all = inner < last ? (last - inner) / 2 : 0;
    for (int32_t x = r.begin; x < inner; x++)
        decode_place(&r, x, bits, rgb + (size_t)(x - r.begin) * 3);
    for (int32_t begin = 0; begin < all; begin += PAIRS) {
        const int32_t pairs = count_pairs(begin, all), from = inner + 2 * begin;
        for (int32_t i = 0; i < pairs; i++) {
            const int32_t x = from + 2 * i, k = 2 * i;
            decode_green(&r, x - 1, x, x + 1, bits, &own[k], &green[k], &other[k]);
            decode_coloured(&r, x, x + 1, x + 2, bits, &own[k + 1], &green[k + 1], &other[k + 1]);
        }
        interleave_channels(r.red ? own : other, green, r.red ? other : own, 2 * pairs,
                            rgb + (size_t)(from - r.begin) * 3);
    }
    for (int32_t x = inner + 2 * all; x < r.end; x++)
        decode_place(&r, x, bits, rgb + (size_t)(x - r.begin) * 3);
}

/* Each depth is compiled for itself. */
FG_CPU_CLONES static void decode_bayer_8(const struct bayer_row *r, uint8_t *rgb) {
    decode_bayer(r, 8, rgb);
}

FG_CPU_CLONES static void decode_bayer_10(const struct bayer_row *r, uint8_t *rgb) {
    decode_bayer(r, 10, rgb);
}

FG_CPU_CLONES static void decode_bayer_12(const struct bayer_row *r, uint8_t *rgb) {
    decode_bayer(r, 12, rgb);
}

static void decode_bayer_row(const struct fg_cpu_frame *frame, int32_t y, int32_t begin, int32_t end,
                             uint8_t *rgb) {
    const size_t pitch = frame->pitch;
    const uint8_t *here = frame->bytes + (size_t)y * pitch;
    const bool red = y % 2 == fg_pixel_red_row(frame->format);
    const int32_t red_column = fg_pixel_red_column(frame->format);
    const struct bayer_row row = {.above = y > 0 ? here - pitch : here + pitch,
                                  .here = here,
                                  .below = y < frame->height - 1 ? here + pitch : here - pitch,
                                  .width = frame->width,
                                  .begin = begin,
                                  .end = end,
                                  .red = red,
                                  .first = red ? red_column : 1 - red_column};
    const int32_t bits = fg_pixel_bayer_bits(frame->format);
    (bits == 8 ? decode_bayer_8 : bits == 10 ? decode_bayer_10 : decode_bayer_12)(&row, rgb);
}

void fg_cpu_decode_row(const struct fg_cpu_frame *frame, int32_t y, int32_t begin, int32_t end,
                       uint8_t *rgb) {
    const uint8_t *row = frame->bytes + (size_t)y * frame->pitch;
    const size_t first = (size_t)begin;
    if (frame->format == FG_YUYV)
        decode_yuyv(row + 2 * first, end - begin, rgb);
    else if (frame->format == FG_NV12)
        decode_nv12(row + first, frame->bytes + (size_t)(frame->height + y / 2) * frame->pitch + first,
                    end - begin, rgb);
    else
        decode_bayer_row(frame, y, begin, end, rgb);
}
