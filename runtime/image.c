#include "runtime/image.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jpeglib.h>
#include <png.h>
#include <tiffio.h>

/* Takes memory for a picture whose size a file claims. */
static enum fg_status take(struct fg_image *image, const char *path, size_t height, size_t width,
                           size_t channels, struct fg_message *message) {
    if (!height || !width || height > FG_IMAGE_MAX_SIDE || width > FG_IMAGE_MAX_SIDE ||
        height * width > FG_IMAGE_MAX_PIXELS)
        return fg_fail(message, FG_INPUT, "%.300s: %zux%zu pixels; at most %d a side and %zu in all are read",
                       path, width, height, FG_IMAGE_MAX_SIDE, FG_IMAGE_MAX_PIXELS);
    image->height = (int32_t)height;
    image->width = (int32_t)width;
    image->channels = (int32_t)channels;
    image->pixels = malloc(height * width * channels);
    if (!image->pixels)
        return fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory for %zux%zu pixels", path, width, height);
    return FG_OK;
}

static uint8_t from_16_bit(unsigned value) {
    return (uint8_t)((value + 128) / 257);
}

/* What a codec's error handler jumps back with. */
struct failure {
    jmp_buf back;
    char text[200];
};

static void png_failed(png_structp png, png_const_charp text) {
    struct failure *failure = png_get_error_ptr(png);
    snprintf(failure->text, sizeof failure->text, "%s", text);
    longjmp(failure->back, 1);
}

static void png_warned(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static enum fg_status read_png(FILE *file, const char *path, struct fg_image *image,
                               struct fg_message *message) {
    struct failure failure;
    enum fg_status status = FG_OK;
    png_bytep *volatile rows = NULL;
    unsigned char *volatile wide = NULL;
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &failure, png_failed, png_warned);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_read_struct(&png, NULL, NULL);
        return fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory to decode", path);
    }
    if (setjmp(failure.back)) {
        status = fg_fail(message, FG_INPUT, "%.300s: damaged PNG: %s", path, failure.text);
        goto out;
    }
    png_init_io(png, file);
    png_read_info(png, info);
    const size_t height = png_get_image_height(png, info), width = png_get_image_width(png, info);
    const int type = png_get_color_type(png, info), depth = png_get_bit_depth(png, info);
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(png);
    if (type == PNG_COLOR_TYPE_GRAY && depth < 8)
        png_set_expand_gray_1_2_4_to_8(png);
    png_set_strip_alpha(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    const size_t channels = png_get_channels(png, info), bytes = depth == 16 ? 2 : 1;
    status = take(image, path, height, width, channels, message);
    if (status != FG_OK)
        goto out;
    rows = malloc(height * sizeof *rows);
    wide = bytes == 2 ? malloc(height * width * channels * 2) : NULL;
    if (!rows || (bytes == 2 && !wide)) {
        status =
            fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory for %zux%zu pixels", path, width, height);
        goto out;
    }
    for (size_t y = 0; y < height; y++)
        rows[y] = (wide ? wide : image->pixels) + y * width * channels * bytes;
    png_read_image(png, rows);
    png_read_end(png, NULL);
    for (size_t i = 0; wide && i < height * width * channels; i++)
        image->pixels[i] = from_16_bit((unsigned)wide[2 * i] << 8 | wide[2 * i + 1]);
out:
    free(rows);
    free(wide);
    png_destroy_read_struct(&png, &info, NULL);
    return status;
}

struct jpeg_failure {
    struct jpeg_error_mgr base; /* first: libjpeg hands back a pointer to it */
    struct failure failure;
};

static void jpeg_failed(j_common_ptr jpeg) {
    struct jpeg_failure *f = (struct jpeg_failure *)jpeg->err;
    char text[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, text);
    snprintf(f->failure.text, sizeof f->failure.text, "%s", text);
    longjmp(f->failure.back, 1);
}

/* libjpeg fills a cut picture with grey and warns: here a warning about the data is an error. */
static void jpeg_warned(j_common_ptr jpeg, int level) {
    if (level < 0)
        jpeg_failed(jpeg);
}

static enum fg_status read_jpeg(FILE *file, const char *path, struct fg_image *image,
                                struct fg_message *message) {
    struct jpeg_failure f;
    struct jpeg_decompress_struct jpeg;
    enum fg_status status = FG_OK;
    jpeg.err = jpeg_std_error(&f.base);
    f.base.error_exit = jpeg_failed;
    f.base.emit_message = jpeg_warned;
    if (setjmp(f.failure.back)) {
        jpeg_destroy_decompress(&jpeg);
        return fg_fail(message, FG_INPUT, "%.300s: damaged JPEG: %s", path, f.failure.text);
    }
    jpeg_create_decompress(&jpeg);
    jpeg_stdio_src(&jpeg, file);
    jpeg_read_header(&jpeg, TRUE);
    if (jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK) {
        status = fg_fail(message, FG_INPUT, "%.300s: a CMYK picture; save it as RGB or grey", path);
        goto out;
    }
    jpeg.out_color_space = jpeg.jpeg_color_space == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
    const size_t channels = jpeg.out_color_space == JCS_GRAYSCALE ? 1 : 3;
    status = take(image, path, jpeg.image_height, jpeg.image_width, channels, message);
    if (status != FG_OK)
        goto out;
    jpeg_start_decompress(&jpeg);
    while (jpeg.output_scanline < jpeg.output_height) {
        JSAMPROW row = image->pixels + (size_t)jpeg.output_scanline * (size_t)image->width * channels;
        jpeg_read_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_decompress(&jpeg);
out:
    jpeg_destroy_decompress(&jpeg);
    return status;
}

static enum fg_status read_tiff(const char *path, struct fg_image *image, struct fg_message *message) {
    TIFFSetErrorHandler(NULL);
    TIFFSetWarningHandler(NULL);
    TIFF *tiff = TIFFOpen(path, "rm");
    if (!tiff)
        return fg_fail(message, FG_INPUT, "%.300s: damaged TIFF", path);
    enum fg_status status = FG_OK;
    unsigned char *row = NULL;
    uint32_t height = 0, width = 0;
    uint16_t depth = 1, samples = 1, kind = PHOTOMETRIC_MINISBLACK, planes = PLANARCONFIG_CONTIG;
    TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height);
    TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &depth);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
    TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &kind);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &planes);
    const size_t channels = kind == PHOTOMETRIC_RGB ? 3 : 1, bytes = depth / 8;
    if ((depth != 8 && depth != 16) || samples < channels || samples > 8 || planes != PLANARCONFIG_CONTIG ||
        (kind != PHOTOMETRIC_RGB && kind != PHOTOMETRIC_MINISBLACK) || TIFFIsTiled(tiff)) {
        status = fg_fail(
            message, FG_INPUT,
            "%.300s: this kind of TIFF is not read; save it as 8- or 16-bit grey or RGB in strips", path);
        goto out;
    }
    status = take(image, path, height, width, channels, message);
    if (status != FG_OK)
        goto out;
    const size_t line = (size_t)width * samples * bytes;
    row = (size_t)TIFFScanlineSize(tiff) == line ? malloc(line) : NULL;
    if (!row) {
        status = fg_fail(message, FG_INPUT, "%.300s: damaged TIFF: its rows have another length", path);
        goto out;
    }
    for (uint32_t y = 0; y < height; y++) {
        if (TIFFReadScanline(tiff, row, y, 0) != 1) {
            status = fg_fail(message, FG_INPUT, "%.300s: damaged TIFF: row %u cannot be read", path, y);
            goto out;
        }
        for (size_t x = 0; x < width; x++)
            for (size_t k = 0; k < channels; k++) {
                const size_t i = x * samples + k;
                uint8_t value = row[i];
                if (bytes == 2) {
                    uint16_t wide;
                    memcpy(&wide, row + 2 * i, sizeof wide);
                    value = from_16_bit(wide);
                }
                image->pixels[((size_t)y * width + x) * channels + k] = value;
            }
    }
out:
    free(row);
    TIFFClose(tiff);
    return status;
}

enum fg_status fg_image_read(const char *path, struct fg_image *image, struct fg_message *message) {
    memset(image, 0, sizeof *image);
    FILE *file = fopen(path, "rb");
    if (!file)
        return fg_fail_errno(message, FG_INPUT, errno, "%.300s: cannot open", path);
    unsigned char magic[8] = {0};
    const size_t read = fread(magic, 1, sizeof magic, file);
    rewind(file);
    enum fg_status status;
    if (read == 0)
        status = fg_fail(message, FG_INPUT, "%.300s: empty", path);
    else if (read == sizeof magic && !png_sig_cmp(magic, 0, sizeof magic))
        status = read_png(file, path, image, message);
    else if (magic[0] == 0xff && magic[1] == 0xd8)
        status = read_jpeg(file, path, image, message);
    else if (!memcmp(magic, "II*\0", 4) || !memcmp(magic, "MM\0*", 4))
        status = read_tiff(path, image, message);
    else
        status = fg_fail(message, FG_INPUT, "%.300s: not a PNG, JPEG or TIFF picture", path);
    fclose(file);
    if (status != FG_OK)
        fg_image_free(image);
    return status;
}

void fg_image_free(struct fg_image *image) {
    free(image->pixels);
    memset(image, 0, sizeof *image);
}

bool fg_image_name(const char *path) {
    static const char *const endings[] = {".png", ".jpg", ".jpeg", ".tif", ".tiff"};
    const size_t length = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t size = strlen(endings[i]);
        if (length > size && !strcasecmp(path + length - size, endings[i]))
            return true;
    }
    return false;
}
