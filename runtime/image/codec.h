/* What the files of runtime/image share: the file that a decoder reads, and what every decoder does with the
 * size that it claims. Others use image.h.
 *
 * Errors: FG_INPUT for a wrong file, FG_ENVIRONMENT for memory; messages name the path. Owner: who reads an
 * image frees its pixels, after a failure too. Thread: any, with a file of its own. NULL: only a message may
 * be. */
#ifndef FG_RUNTIME_IMAGE_CODEC_H
#define FG_RUNTIME_IMAGE_CODEC_H

#include <stdio.h>

#include "runtime/image/image.h"

/* A file that is read. */
struct fg_image_source {
    FILE *file;
    const char *path;
    bool size_only; /* the image gets its extents and no pixels */
};

/* Checks the claimed extents, puts them into the image and, unless size_only, takes its memory. */
FG_MUST_USE enum fg_status fg_image_take(const struct fg_image_source *source, struct fg_image *image,
                                         size_t height, size_t width, size_t channels,
                                         struct fg_message *message);

/* Reads a TIFF file from its start. */
FG_MUST_USE enum fg_status fg_image_read_tiff(const struct fg_image_source *source, struct fg_image *image,
                                              struct fg_message *message);

/* Gives the 8-bit sample nearest to a 16-bit one. */
static inline uint8_t fg_image_from_16_bit(unsigned value) {
    return (uint8_t)((value + 128) / 257);
}

#endif
