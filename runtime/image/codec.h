/* Between the files of runtime/image: what every decoder does with the size that a file claims. */
#ifndef FG_RUNTIME_IMAGE_CODEC_H
#define FG_RUNTIME_IMAGE_CODEC_H

#include <stdio.h>

#include "runtime/image/image.h"

/* A file being read; messages name its path. */
struct fg_image_source {
    FILE *file;
    const char *path;
    bool size_only; /* stop before memory is taken: image gets its extents, no pixels */
};

/* Checks the claimed extents, puts them into the image and, unless size_only, takes its memory. */
FG_MUST_USE enum fg_status fg_image_take(const struct fg_image_source *source, struct fg_image *image,
                                         size_t height, size_t width, size_t channels,
                                         struct fg_message *message);

FG_MUST_USE enum fg_status fg_image_read_tiff(const struct fg_image_source *source, struct fg_image *image,
                                              struct fg_message *message);

static inline uint8_t fg_image_from_16_bit(unsigned value) {
    return (uint8_t)((value + 128) / 257);
}

#endif
