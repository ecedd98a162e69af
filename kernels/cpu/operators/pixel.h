/* Frames in a camera's own format, read a row at a time: for the CPU backend, and for who stores a frame.
 *
 * Errors: none. Owner: the caller, of frame and rows. Thread: any. NULL: never. */
#ifndef FG_KERNELS_CPU_OPERATORS_PIXEL_H
#define FG_KERNELS_CPU_OPERATORS_PIXEL_H

#include "runtime/base/pixel.h"

struct fg_cpu_frame {
    const uint8_t *bytes; /* height rows in the format's layout */
    size_t pitch;         /* bytes from row to row */
    int32_t height, width;
    enum fg_pixel_format format;
};

/* Whether rows are something else than 8-bit grey or RGB already. */
static inline bool fg_cpu_is_encoded(enum fg_pixel_format format) {
    return format != FG_GREY8 && format != FG_RGB8;
}

/* Pixels begin to end of row y of an encoded frame as RGB {end - begin, 3}. Both are even, but for an end
 * that is the frame's width. */
void fg_cpu_decode_row(const struct fg_cpu_frame *frame, int32_t y, int32_t begin, int32_t end, uint8_t *rgb);

#endif
