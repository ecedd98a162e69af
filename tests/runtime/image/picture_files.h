/* Picture files for tests, written by the formats' own libraries into one file of a folder in memory.
 *
 * Errors: an assertion fails the test. Owner: set_up makes the folder and tear_down removes it; who reads an
 * image frees it. Thread: the test's. NULL: never. */
#ifndef FG_TESTS_RUNTIME_IMAGE_PICTURE_FILES_H
#define FG_TESTS_RUNTIME_IMAGE_PICTURE_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h>
#include <png.h>
#include <tiffio.h>

#include "runtime/image/image.h"

static char folder[64], path[128], other[128];
static struct fg_message message;

static inline int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "%s/flawgate-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/picture", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    return 0;
}

static inline int tear_down(void **state) {
    (void)state;
    unlink(path);
    unlink(other);
    return rmdir(folder);
}

/* The value of a channel as it is written: any pattern in which neighbours differ. */
static inline unsigned get_written(int y, int x, int k, int depth) {
    return (unsigned)(x * 2711 + y * 9203 + k * 30011 + x * y * 101) & ((1u << depth) - 1);
}

/* The value that reading must make of a written one: the nearest of 256 steps between black and white. */
static inline int get_expected(int y, int x, int k, int depth) {
    const double full = (1 << depth) - 1;
    return (int)(get_written(y, x, k, depth) * 255.0 / full + 0.5);
}

/* Packs a row's samples as PNG and TIFF do. big_endian is the order of a 16-bit sample's bytes. */
static inline void pack_row(uint8_t *row, int y, int width, int first, int samples, int depth,
                            bool big_endian) {
    memset(row, 0, (size_t)(width * samples * depth + 7) / 8);
    for (int i = 0; i < width * samples; i++) {
        const unsigned value = get_written(y, i / samples, first + i % samples, depth);
        if (depth == 16 && big_endian) {
            row[2 * i] = (uint8_t)(value >> 8);
            row[2 * i + 1] = (uint8_t)value;
        } else if (depth == 16) {
            const uint16_t wide = (uint16_t)value;
            memcpy(row + 2 * i, &wide, 2);
        } else {
            row[i * depth / 8] |= (uint8_t)(value << (8 - depth - i * depth % 8));
        }
    }
}

static inline const png_color *get_palette(void) {
    static png_color colours[256];
    for (int i = 0; i < 256; i++)
        colours[i] = (png_color){(png_byte)(i * 7 + 1), (png_byte)(255 - i), (png_byte)(i * 31)};
    return colours;
}

static inline void write_png(int height, int width, int depth, int type, int interlace) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, file);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, depth, type, interlace, 0, 0);
    if (type == PNG_COLOR_TYPE_PALETTE) {
        const png_byte transparent[2] = {0, 128};
        png_set_PLTE(png, info, get_palette(), 1 << depth);
        png_set_tRNS(png, info, transparent, 2, NULL);
    } else if (!(type & PNG_COLOR_MASK_ALPHA)) {
        const png_color_16 transparent = {.gray = 1, .red = 1};
        png_set_tRNS(png, info, NULL, 0, &transparent);
    }
    png_write_info(png, info);
    const int samples = (int)png_get_channels(png, info);
    uint8_t row[2048];
    const int passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < height; y++) {
            pack_row(row, y, width, 0, samples, depth, true);
            png_write_row(png, row);
        }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    fclose(file);
}

struct tiff_kind {
    const char *name, *mode;
    int depth, samples, kind, planes, compression, tile, rows; /* tile 0: strips of rows */
};

static inline void write_tiff(const struct tiff_kind *t, int height, int width) {
    TIFF *tiff = TIFFOpen(path, t->mode);
    assert_non_null(tiff);
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, width);
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, height);
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, t->depth);
    TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, t->samples);
    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, t->kind);
    TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, t->planes);
    TIFFSetField(tiff, TIFFTAG_COMPRESSION, t->compression);
    const uint16_t extra = EXTRASAMPLE_UNASSALPHA;
    if (t->samples == 2 || t->samples == 4)
        TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &extra);
    static uint16_t map[3][256];
    for (int i = 0; i < 256; i++) {
        map[0][i] = (uint16_t)(get_palette()[i].red * 257);
        map[1][i] = (uint16_t)(get_palette()[i].green * 257);
        map[2][i] = (uint16_t)(get_palette()[i].blue * 257);
    }
    if (t->kind == PHOTOMETRIC_PALETTE)
        TIFFSetField(tiff, TIFFTAG_COLORMAP, map[0], map[1], map[2]);
    const int planes = t->planes == PLANARCONFIG_SEPARATE ? t->samples : 1, samples = t->samples / planes;
    uint8_t row[4096];
    if (!t->tile) {
        TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, t->rows);
        for (int plane = 0; plane < planes; plane++)
            for (int y = 0; y < height; y++) {
                pack_row(row, y, width, plane, samples, t->depth, false);
                assert_int_equal(TIFFWriteScanline(tiff, row, (uint32_t)y, (uint16_t)plane), 1);
            }
    } else {
        TIFFSetField(tiff, TIFFTAG_TILEWIDTH, t->tile);
        TIFFSetField(tiff, TIFFTAG_TILELENGTH, t->tile);
        const size_t pitch = (size_t)(t->tile * samples * t->depth / 8);
        uint8_t *tile = malloc(pitch * (size_t)t->tile);
        assert_non_null(tile);
        for (int plane = 0; plane < planes; plane++)
            for (int top = 0; top < height; top += t->tile)
                for (int left = 0; left < width; left += t->tile) {
                    /* Tiles begin at whole bytes, so a row packed from x = 0 can be cut there. */
                    for (int y = 0; y < t->tile; y++) {
                        pack_row(row, top + y, left + t->tile, plane, samples, t->depth, false);
                        memcpy(tile + (size_t)y * pitch, row + (size_t)(left * samples * t->depth / 8),
                               pitch);
                    }
                    assert_true(TIFFWriteTile(tiff, tile, (uint32_t)left, (uint32_t)top, 0, (uint16_t)plane) >
                                0);
                }
        free(tile);
    }
    TIFFClose(tiff);
}

/* scans is 0 for a baseline JPEG, 1 for a progressive one by the library's script, else one of many scans. */
static inline void write_jpeg(J_COLOR_SPACE space, int scans) {
    static jpeg_scan_info script[256];
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_width = 21;
    jpeg.image_height = 18;
    jpeg.input_components = space == JCS_GRAYSCALE ? 1 : space == JCS_RGB ? 3 : 4;
    jpeg.in_color_space = space;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    if (scans == 1)
        jpeg_simple_progression(&jpeg);
    if (scans > 1) {
        jpeg.scan_info = script;
        jpeg.num_scans = 1;
        script[0] = (jpeg_scan_info){.comps_in_scan = 1};
        for (int bit = 3; bit >= 0; bit--)
            for (int k = 1; k < 64; k++)
                script[jpeg.num_scans++] = (jpeg_scan_info){
                    .comps_in_scan = 1, .Ss = k, .Se = k, .Ah = bit == 3 ? 0 : bit + 1, .Al = bit};
    }
    jpeg_start_compress(&jpeg, TRUE);
    for (int y = 0; y < 18; y++) {
        uint8_t row[21 * 4];
        for (int x = 0; x < 21; x++)
            for (int k = 0; k < jpeg.input_components; k++)
                row[x * jpeg.input_components + k] = (uint8_t)(40 + 8 * x + 2 * y + (k == 1 ? 10 : 0));
        JSAMPROW rows = row;
        jpeg_write_scanlines(&jpeg, &rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    fclose(file);
}

static const struct tiff_kind tiffs[] = {
    {"grey 8", "w", 8, 1, PHOTOMETRIC_MINISBLACK, 1, COMPRESSION_NONE, 0, 5},
    {"grey 16 big-endian LZW", "wb", 16, 1, PHOTOMETRIC_MINISBLACK, 1, COMPRESSION_LZW, 0, 13},
    {"RGB 8 deflate", "w", 8, 3, PHOTOMETRIC_RGB, 1, COMPRESSION_ADOBE_DEFLATE, 0, 4},
    {"RGB 16 planes", "w", 16, 3, PHOTOMETRIC_RGB, 2, COMPRESSION_NONE, 0, 5},
    {"RGBA 8 planes in tiles", "w", 8, 4, PHOTOMETRIC_RGB, 2, COMPRESSION_PACKBITS, 16, 0},
    {"RGBA 8", "w", 8, 4, PHOTOMETRIC_RGB, 1, COMPRESSION_PACKBITS, 0, 2},
    {"grey 8 alpha in tiles", "w", 8, 2, PHOTOMETRIC_MINISBLACK, 1, COMPRESSION_LZW, 16, 0},
    {"bilevel, white is 0", "w", 1, 1, PHOTOMETRIC_MINISWHITE, 1, COMPRESSION_PACKBITS, 0, 3},
    {"grey 4, white is 0", "w", 4, 1, PHOTOMETRIC_MINISWHITE, 1, COMPRESSION_NONE, 0, 13},
    {"grey 2", "w", 2, 1, PHOTOMETRIC_MINISBLACK, 1, COMPRESSION_NONE, 0, 1},
    {"palette 4", "w", 4, 1, PHOTOMETRIC_PALETTE, 1, COMPRESSION_NONE, 0, 5},
    {"palette 8 in tiles", "w", 8, 1, PHOTOMETRIC_PALETTE, 1, COMPRESSION_LZW, 16, 0},
};

static inline struct fg_image read_well(int height, int width, int channels) {
    struct fg_image image, size;
    if (fg_image_read(path, &image, &message) != FG_OK)
        fail_msg("%s", message.text);
    assert_int_equal(image.height, height);
    assert_int_equal(image.width, width);
    assert_int_equal(image.channels, channels);
    assert_int_equal(fg_image_size(path, &size, &message), FG_OK);
    assert_int_equal(size.height, height);
    assert_int_equal(size.width, width);
    assert_int_equal(size.channels, channels);
    assert_null(size.pixels);
    return image;
}

static inline void expect_refusal(const char *file, const char *because) {
    struct fg_image image;
    memset(&message, 0, sizeof message);
    assert_int_equal(fg_image_read(file, &image, &message), FG_INPUT);
    assert_null(image.pixels);
    assert_non_null(strstr(message.text, file)); /* the message names the file */
    if (!strstr(message.text, because))
        fail_msg("\"%s\" does not say \"%s\"", message.text, because);
}

#endif
