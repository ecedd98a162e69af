/* Sizes and names of the pixel formats, and what is seen of a frame. */
#include "runtime/base/pixel.h"

#include <assert.h>

const char *fg_pixel_name(enum fg_pixel_format format) {
    static const char *const names[FG_PIXEL_FORMATS] = {
        [FG_GREY8] = "grey8",   [FG_RGB8] = "rgb8",     [FG_YUYV] = "yuyv",     [FG_NV12] = "nv12",
        [FG_RGGB8] = "rggb8",   [FG_GRBG8] = "grbg8",   [FG_GBRG8] = "gbrg8",   [FG_BGGR8] = "bggr8",
        [FG_RGGB10] = "rggb10", [FG_GRBG10] = "grbg10", [FG_GBRG10] = "gbrg10", [FG_BGGR10] = "bggr10",
        [FG_RGGB12] = "rggb12", [FG_GRBG12] = "grbg12", [FG_GBRG12] = "gbrg12", [FG_BGGR12] = "bggr12",
    };
    assert(format < FG_PIXEL_FORMATS);
    return names[format];
}

size_t fg_pixel_row_bytes(enum fg_pixel_format format, int32_t width) {
    const size_t pixels = (size_t)width;
    if (format == FG_RGB8)
        return pixels * 3;
    const bool two = format == FG_YUYV || (fg_pixel_is_bayer(format) && fg_pixel_bayer_bits(format) > 8);
    return two ? pixels * 2 : pixels;
}

size_t fg_pixel_frame_bytes(enum fg_pixel_format format, int32_t height, size_t pitch) {
    const size_t rows = (size_t)height;
    return (format == FG_NV12 ? rows + rows / 2 : rows) * pitch;
}

size_t fg_pixel_span(enum fg_pixel_format format, int32_t width, int32_t height, size_t pitch) {
    return fg_pixel_frame_bytes(format, height, pitch) - pitch + fg_pixel_row_bytes(format, width);
}

const char *fg_pixel_lacks(enum fg_pixel_format format, int32_t width, int32_t height) {
    if (format == FG_YUYV && width % 2)
        return "needs an even width";
    if (format == FG_NV12 && (width % 2 || height % 2))
        return "needs an even width and height";
    if (fg_pixel_is_bayer(format) && (width < 2 || height < 2))
        return "needs at least 2x2 pixels";
    return NULL;
}

struct fg_region fg_region_of(struct fg_region region, int32_t width, int32_t height) {
    const bool whole = !region.x && !region.y && !region.width && !region.height;
    return whole ? (struct fg_region){0, 0, width, height} : region;
}

bool fg_region_fits(struct fg_region region, int32_t width, int32_t height) {
    const struct fg_region r = fg_region_of(region, width, height);
    return r.x >= 0 && r.y >= 0 && r.width >= 1 && r.height >= 1 && r.x < width && r.y < height &&
           r.width <= width - r.x && r.height <= height - r.y;
}

void fg_frame_seen(const struct fg_frame *frame, int32_t *width, int32_t *height) {
    const struct fg_region region = fg_region_of(frame->region, frame->width, frame->height);
    const bool turned = fg_rotation_turns(frame->rotation);
    *width = turned ? region.height : region.width;
    *height = turned ? region.width : region.height;
}
