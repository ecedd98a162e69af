/* Image files: decoded here and nowhere else; and the few formats that results are written in.
 *
 * A picture is 8-bit grey (1 channel) or RGB (3 channels), rows dense. 16-bit samples become round(v / 257);
 * alpha is dropped; a palette is expanded; CMYK is refused; EXIF orientation is ignored
 * (runtime/network/network.h, section 1).
 *
 * Errors: FG_INPUT for a wrong picture, FG_USAGE for an ending that no format has, FG_ENVIRONMENT for memory
 * and disk; messages name the path. Owner: who reads an image frees it; a failed read leaves nothing to free.
 * Thread: any. NULL: only a message may be. */
#ifndef FG_RUNTIME_IMAGE_IMAGE_H
#define FG_RUNTIME_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/size.h"
#include "runtime/base/status.h"

/* A larger picture is refused before memory is taken for it. */
#define FG_IMAGE_MAX_PIXELS ((size_t)100 * 1000 * 1000)

struct fg_image {
    uint8_t *pixels; /* height * width * channels bytes; NULL where only the size was read */
    int32_t height, width, channels;
};

/* Reads PNG, JPEG or TIFF, told apart by their first bytes. FG_INPUT names the file and what is wrong with it
 * (empty, truncated, not a picture, CMYK, too large). */
FG_MUST_USE enum fg_status fg_image_read(const char *path, struct fg_image *image,
                                         struct fg_message *message);
/* Frees the pixels and zeroes the image. */
void fg_image_free(struct fg_image *image);

/* Reads only the extents and channels that a picture's header claims; pixels stay NULL. Refuses what
 * fg_image_read refuses, where the header alone shows why. */
FG_MUST_USE enum fg_status fg_image_size(const char *path, struct fg_image *image,
                                         struct fg_message *message);

/* Says whether a file's name ends as a picture's does: .png .jpg .jpeg .tif .tiff, in any case. */
bool fg_image_name(const char *path);

/* Writes a picture, whole or not at all (runtime/base/file.h). */
FG_MUST_USE enum fg_status fg_image_write_png(const char *path, const struct fg_image *image,
                                              struct fg_message *message);

/* Memory in which the next two functions encode, so that they take none from the system. */
struct fg_image_memory {
    void *memory;
    size_t size; /* at least fg_image_memory of the widest picture */
};
size_t fg_image_memory(int32_t width);
/* Write a picture, and a map as a 16-bit PNG from low to high, fast rather than small. */
FG_MUST_USE enum fg_status fg_image_write_png_in(const struct fg_image_memory *memory, const char *path,
                                                 const struct fg_image *image, struct fg_message *message);
FG_MUST_USE enum fg_status fg_map_write_png_in(const struct fg_image_memory *memory, const char *path,
                                               const float *map, int32_t height, int32_t width,
                                               struct fg_message *message);
/* Finds a map's smallest and largest finite value, which are 0 and 65535 in its 16-bit PNG. A map without any
 * gives 0 and 0. */
void fg_map_range(const float *map, int32_t height, int32_t width, float *low, float *high);
/* Writes a map, float32 {height, width}, whole or not at all. The path's ending is the format: NumPy's .npy,
 * .tif or .tiff with one float32 channel, or a 16-bit .png from the map's smallest value to its largest. */
FG_MUST_USE enum fg_status fg_map_write(const char *path, const float *map, int32_t height, int32_t width,
                                        struct fg_message *message);

#endif
