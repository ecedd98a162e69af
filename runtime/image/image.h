/* Image files: decoded here and nowhere else; and the few formats that results are written in.
 *
 * A picture is 8-bit grey (1 channel) or RGB (3 channels), rows dense. 16-bit samples become round(v / 257);
 * alpha is dropped; a palette is expanded; CMYK is refused; EXIF orientation is ignored
 * (runtime/network/network.h, section 1). */
#ifndef FG_RUNTIME_IMAGE_IMAGE_H
#define FG_RUNTIME_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/size.h"
#include "runtime/base/status.h"

/* Wider or higher than this is refused before memory is taken for it. */
#define FG_IMAGE_MAX_SIDE 16384
#define FG_IMAGE_MAX_PIXELS ((size_t)100 * 1000 * 1000)

struct fg_image {
    uint8_t *pixels; /* height * width * channels bytes, owned: free with fg_image_free */
    int32_t height, width, channels;
};

/* Reads PNG, JPEG or TIFF, told apart by their first bytes. FG_INPUT names the file and what is wrong with it
 * (empty, truncated, not a picture, CMYK, too large). */
FG_MUST_USE enum fg_status fg_image_read(const char *path, struct fg_image *image,
                                         struct fg_message *message);
void fg_image_free(struct fg_image *image);

/* Only the extents and channels that a picture's header claims; pixels stay NULL. Fails as fg_image_read does
 * where the header alone shows why. */
FG_MUST_USE enum fg_status fg_image_size(const char *path, struct fg_image *image,
                                         struct fg_message *message);

/* Whether a file's name ends like one of the formats read (.png .jpg .jpeg .tif .tiff, any case). */
bool fg_image_name(const char *path);

/* Writers. All write to PATH.tmp, then rename. */
FG_MUST_USE enum fg_status fg_image_write_png(const char *path, const struct fg_image *image,
                                              struct fg_message *message);
/* float32 {height, width}: NumPy's .npy, single-channel float32 TIFF, or 16-bit PNG over the map's own range.
 * The format is the path's ending. */
FG_MUST_USE enum fg_status fg_map_write(const char *path, const float *map, int32_t height, int32_t width,
                                        struct fg_message *message);

#endif
