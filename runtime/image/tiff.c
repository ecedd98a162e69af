/* Reads TIFF of 1, 2, 4, 8 or 16 bits: grey with black or white as 0, RGB or palette; strips or tiles;
 * channels together or in planes. Refuses compressions that hide damage (fax, JPEG inside TIFF). */
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tiffio.h>

#include "runtime/image/codec.h"

/* libtiff's handlers belong to the process, so they are set once. The text belongs to the calling thread. */
static _Thread_local char first_error[160];

static void keep_error(const char *where, const char *format, va_list arguments) {
    (void)where;
    if (!first_error[0])
        vsnprintf(first_error, sizeof first_error, format, arguments);
}

static void set_handlers(void) {
    TIFFSetErrorHandler(keep_error);
    TIFFSetWarningHandler(NULL);
}

/* What the tags say. A block is a tile or a strip. */
struct layout {
    uint32_t height, width;
    uint16_t depth, samples, kind, planes, compression, format;
    size_t channels;
    uint16_t *palette[3];
    uint32_t block_height, block_width; /* pixels of a tile or strip; a strip is as wide as the picture */
    bool tiled;
    size_t block_bytes;
};

static enum fg_status refuse_feature(const struct fg_image_source *source, const char *what,
                                     struct fg_message *message) {
    return fg_fail(message, FG_INPUT, "%.300s: %s in a TIFF is not read; save it as 8- or 16-bit grey or RGB",
                   source->path, what);
}

static enum fg_status refuse_damage(const struct fg_image_source *source, struct fg_message *message) {
    return fg_fail(message, FG_INPUT, "%.300s: damaged TIFF: %s", source->path,
                   first_error[0] ? first_error : "its tags contradict each other");
}

static enum fg_status read_layout(TIFF *tiff, const struct fg_image_source *source, struct layout *l,
                                  struct fg_message *message) {
    if (!TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &l->height) ||
        !TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &l->width) ||
        !TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &l->kind))
        return fg_fail(message, FG_INPUT, "%.300s: damaged TIFF: no width, height or colour space",
                       source->path);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &l->depth);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &l->samples);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &l->planes);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &l->compression);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &l->format);
    if (l->kind == PHOTOMETRIC_SEPARATED)
        return fg_fail(message, FG_INPUT, "%.300s: a CMYK picture; save it as RGB or grey", source->path);
    if (l->kind != PHOTOMETRIC_MINISBLACK && l->kind != PHOTOMETRIC_MINISWHITE &&
        l->kind != PHOTOMETRIC_RGB && l->kind != PHOTOMETRIC_PALETTE)
        return refuse_feature(source, "this colour space", message);
    if (l->format != SAMPLEFORMAT_UINT && l->format != SAMPLEFORMAT_VOID)
        return refuse_feature(source, "a signed or floating-point value", message);
    if (l->compression != COMPRESSION_NONE && l->compression != COMPRESSION_LZW &&
        l->compression != COMPRESSION_PACKBITS && l->compression != COMPRESSION_ADOBE_DEFLATE &&
        l->compression != COMPRESSION_DEFLATE)
        return refuse_feature(source, "this compression", message);
    const bool palette = l->kind == PHOTOMETRIC_PALETTE;
    if (l->depth != 1 && l->depth != 2 && l->depth != 4 && l->depth != 8 && (l->depth != 16 || palette))
        return refuse_feature(source, "this number of bits", message);
    const uint16_t stored = l->kind == PHOTOMETRIC_RGB ? 3 : 1;
    if (l->samples < stored || l->samples > 8)
        return refuse_feature(source, "this number of channels", message);
    if (palette && !TIFFGetField(tiff, TIFFTAG_COLORMAP, &l->palette[0], &l->palette[1], &l->palette[2]))
        return fg_fail(message, FG_INPUT, "%.300s: damaged TIFF: no palette", source->path);
    l->channels = palette ? 3 : stored;
    return FG_OK;
}

/* Bounds a block by the picture's extents: a file's own figures for tiles and strips may be anything. */
static enum fg_status read_blocks(TIFF *tiff, const struct fg_image_source *source, struct layout *l,
                                  struct fg_message *message) {
    l->tiled = TIFFIsTiled(tiff);
    if (l->tiled) {
        TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &l->block_width);
        TIFFGetField(tiff, TIFFTAG_TILELENGTH, &l->block_height);
    } else {
        TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &l->block_height);
        l->block_width = l->width;
        l->block_height = l->block_height > l->height ? l->height : l->block_height;
    }
    if (!l->block_height || !l->block_width || l->block_height > FG_SIDE_FRAME ||
        l->block_width > FG_SIDE_FRAME)
        return refuse_damage(source, message);
    const size_t samples = l->planes == PLANARCONFIG_SEPARATE ? 1 : l->samples;
    const size_t row = (l->block_width * samples * l->depth + 7) / 8;
    l->block_bytes = row * l->block_height;
    const tmsize_t claimed = l->tiled ? TIFFTileSize(tiff) : TIFFVStripSize(tiff, l->block_height);
    return claimed >= 0 && (size_t)claimed == l->block_bytes ? FG_OK : refuse_damage(source, message);
}

static unsigned get_sample(const uint8_t *row, size_t i, unsigned depth) {
    if (depth == 8)
        return row[i];
    if (depth == 16) {
        uint16_t wide;
        memcpy(&wide, row + 2 * i, sizeof wide);
        return wide;
    }
    const size_t bit = i * depth;
    return (unsigned)row[bit / 8] >> (8 - depth - bit % 8) & ((1u << depth) - 1);
}

static uint8_t scale_sample(const struct layout *l, unsigned value) {
    const unsigned v = l->depth == 16 ? fg_image_from_16_bit(value) : value * 255 / ((1u << l->depth) - 1);
    return (uint8_t)(l->kind == PHOTOMETRIC_MINISWHITE ? 255 - v : v);
}

/* Copies what of a block lies in the picture. plane is the channel where channels are in planes, else 0. */
static void copy_block(const struct layout *l, const uint8_t *block, uint32_t top, uint32_t left,
                       size_t plane, struct fg_image *image) {
    const bool apart = l->planes == PLANARCONFIG_SEPARATE, palette = l->kind == PHOTOMETRIC_PALETTE;
    const size_t pitch = l->block_bytes / l->block_height, samples = apart ? 1 : l->samples;
    const size_t channels = apart || palette ? 1 : l->channels;
    for (uint32_t y = 0; y < l->block_height && top + y < l->height; y++)
        for (uint32_t x = 0; x < l->block_width && left + x < l->width; x++) {
            uint8_t *out = image->pixels + ((size_t)(top + y) * l->width + left + x) * l->channels;
            for (size_t k = 0; k < channels; k++) {
                const unsigned value = get_sample(block + y * pitch, x * samples + k, l->depth);
                if (!palette)
                    out[plane + k] = scale_sample(l, value);
                for (size_t p = 0; palette && p < 3; p++)
                    out[p] = fg_image_from_16_bit(l->palette[p][value]);
            }
        }
}

static enum fg_status read_pixels(TIFF *tiff, const struct fg_image_source *source, const struct layout *l,
                                  struct fg_image *image, struct fg_message *message) {
    uint8_t *block = malloc(l->block_bytes);
    if (!block)
        return fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory to decode", source->path);
    enum fg_status status = FG_OK;
    const bool apart = l->planes == PLANARCONFIG_SEPARATE && l->kind == PHOTOMETRIC_RGB;
    for (uint16_t plane = 0; plane < (apart ? 3 : 1) && status == FG_OK; plane++)
        for (uint32_t top = 0; top < l->height && status == FG_OK; top += l->block_height)
            for (uint32_t left = 0; left < l->width && status == FG_OK; left += l->block_width) {
                const uint32_t rows =
                    l->height - top < l->block_height && !l->tiled ? l->height - top : l->block_height;
                const tmsize_t bytes = (tmsize_t)(l->block_bytes / l->block_height * rows);
                const tmsize_t got =
                    l->tiled
                        ? TIFFReadEncodedTile(tiff, TIFFComputeTile(tiff, left, top, 0, plane), block, bytes)
                        : TIFFReadEncodedStrip(tiff, TIFFComputeStrip(tiff, top, plane), block, bytes);
                if (got == bytes)
                    copy_block(l, block, top, left, plane, image);
                else
                    status = refuse_damage(source, message);
            }
    free(block);
    return status;
}

enum fg_status fg_image_read_tiff(const struct fg_image_source *source, struct fg_image *image,
                                  struct fg_message *message) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_handlers);
    first_error[0] = 0;
    /* m turns mapping off: a file that shrinks while it is mapped would end the process. */
    const int descriptor = dup(fileno(source->file));
    TIFF *tiff = descriptor < 0 ? NULL : TIFFFdOpen(descriptor, source->path, "rm");
    if (!tiff) {
        if (descriptor >= 0)
            close(descriptor);
        return refuse_damage(source, message);
    }
    struct layout layout = {0};
    enum fg_status status = read_layout(tiff, source, &layout, message);
    if (status == FG_OK)
        status = fg_image_take(source, image, layout.height, layout.width, layout.channels, message);
    if (status == FG_OK && !source->size_only)
        status = read_blocks(tiff, source, &layout, message);
    if (status == FG_OK && !source->size_only)
        status = read_pixels(tiff, source, &layout, image, message);
    TIFFClose(tiff);
    return status;
}
