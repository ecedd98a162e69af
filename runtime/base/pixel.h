/* Pixel formats of frames: what cameras give and RESIZE reads.
 *
 * Each is laid out as V4L2's format of that name, in rows pitch bytes apart. kernels/step.h says what they
 * show as 8-bit RGB or grey.
 *
 * Errors: none. Owner: nothing is kept; a frame's pixels are its lender's. Thread: any. NULL: never. */
#ifndef FG_RUNTIME_BASE_PIXEL_H
#define FG_RUNTIME_BASE_PIXEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fg_pixel_format {
    FG_GREY8,
    FG_RGB8,
    FG_YUYV, /* Y0 U Y1 V for two pixels side by side */
    FG_NV12, /* rows of Y; behind them, at pitch * height, half as many rows of U V for 2 x 2 pixels each */
    /* A Bayer format is named by the first two samples of its first two rows: RGGB is RG over GB. The four
     * orders follow each other in the same way at 8, 10 and 12 bits. */
    FG_RGGB8,
    FG_GRBG8,
    FG_GBRG8,
    FG_BGGR8,
    /* At 10 and 12 bits each sample has 16 bits, little-endian, of which the upper ones are zero. These are
     * V4L2's SRGGB10 and SRGGB12, neither the packed SRGGB10P nor 16 bits filled from the top. */
    FG_RGGB10,
    FG_GRBG10,
    FG_GBRG10,
    FG_BGGR10,
    FG_RGGB12,
    FG_GRBG12,
    FG_GBRG12,
    FG_BGGR12,
    FG_PIXEL_FORMATS
};

/* A rectangle of a frame, in pixels from its upper left corner. All zero: the whole frame. */
struct fg_region {
    int32_t x, y, width, height;
};

/* A borrowed frame, and what is to be seen of it: the frame as RGB or grey, the region cut from that, and the
 * cut rotated. */
struct fg_frame {
    const uint8_t *pixels; /* fg_pixel_span bytes, rows pitch bytes apart */
    int32_t width, height;
    enum fg_pixel_format format;
    size_t pitch; /* bytes */
    struct fg_region region;
    int32_t rotation; /* degrees clockwise: 0, 90, 180 or 270 */
};

/* Gives a format's name, such as "yuyv": at most 15 characters, constant. */
const char *fg_pixel_name(enum fg_pixel_format format);

/* Gives the channels that a format shows: 1 for grey, 3 for colour. */
static inline int32_t fg_pixel_channels(enum fg_pixel_format format) {
    return format == FG_GREY8 ? 1 : 3;
}

/* Gives the format of a decoded picture of 1 or 3 channels. */
static inline enum fg_pixel_format fg_pixel_decoded(int32_t channels) {
    return channels == 1 ? FG_GREY8 : FG_RGB8;
}

/* Gives the bytes of one row's pixels. Who made the frame has bounded its extents, so neither this nor the
 * next two can overflow. */
size_t fg_pixel_row_bytes(enum fg_pixel_format format, int32_t width);
/* Gives the bytes of a whole frame, the gap behind the last row too. */
size_t fg_pixel_frame_bytes(enum fg_pixel_format format, int32_t height, size_t pitch);
/* Gives the bytes from the first pixel to the last row's last one, behind which the memory may end. */
size_t fg_pixel_span(enum fg_pixel_format format, int32_t width, int32_t height, size_t pitch);

/* Says what the format needs that a frame of this size lacks, such as "needs an even width"; NULL when it
 * lacks nothing. */
const char *fg_pixel_lacks(enum fg_pixel_format format, int32_t width, int32_t height);

/* Gives the region itself, or the whole of a frame of this size where the region is all zero. */
struct fg_region fg_region_of(struct fg_region region, int32_t width, int32_t height);
/* Says whether the region lies inside a frame of this size. */
bool fg_region_fits(struct fg_region region, int32_t width, int32_t height);

/* Gives the size of what is seen of a frame: the size of its region after rotation. */
void fg_frame_seen(const struct fg_frame *frame, int32_t *width, int32_t *height);

/* Says whether a frame can be rotated by these degrees. */
static inline bool fg_rotation_is_known(int32_t rotation) {
    return rotation == 0 || rotation == 90 || rotation == 180 || rotation == 270;
}
/* Says whether rows become columns in this rotation. */
static inline bool fg_rotation_turns(int32_t rotation) {
    return rotation == 90 || rotation == 270;
}

static inline bool fg_pixel_is_bayer(enum fg_pixel_format format) {
    return format >= FG_RGGB8;
}
/* Gives the bits of a Bayer format's sample: 8, 10 or 12. */
static inline int32_t fg_pixel_bayer_bits(enum fg_pixel_format format) {
    return 8 + ((int32_t)format - FG_RGGB8) / 4 * 2;
}
/* Gives the row, 0 or 1, of a Bayer format's first red sample. */
static inline int32_t fg_pixel_red_row(enum fg_pixel_format format) {
    return ((int32_t)format - FG_RGGB8) / 2 % 2;
}
/* Gives the column, 0 or 1, of a Bayer format's first red sample. */
static inline int32_t fg_pixel_red_column(enum fg_pixel_format format) {
    return ((int32_t)format - FG_RGGB8) % 2;
}

#endif
