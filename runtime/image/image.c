/* Reads pictures: tells their formats apart and decodes PNG and JPEG with the formats' own libraries. */
#include "runtime/image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/image/codec.h"

#include <jpeglib.h>

#include <jerror.h>
#include <png.h>

/* A progressive JPEG of a few bytes can ask for thousands of passes over its pixels. Cameras and editors
 * write at most a dozen. */
#define MOST_SCANS 200

enum fg_status fg_image_take(const struct fg_image_source *source, struct fg_image *image, size_t height,
                             size_t width, size_t channels, struct fg_message *message) {
    if (!height || !width || height > FG_SIDE_FRAME || width > FG_SIDE_FRAME ||
        height * width > FG_IMAGE_MAX_PIXELS)
        return fg_fail(message, FG_INPUT, "%.300s: %zux%zu pixels; at most %d a side and %zu in all are read",
                       source->path, width, height, FG_SIDE_FRAME, FG_IMAGE_MAX_PIXELS);
    image->height = (int32_t)height;
    image->width = (int32_t)width;
    image->channels = (int32_t)channels;
    image->pixels = source->size_only ? NULL : malloc(height * width * channels);
    if (!image->pixels && !source->size_only)
        return fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory for %zux%zu pixels", source->path, width,
                       height);
    return FG_OK;
}

/* Where an error handler of libpng or libjpeg jumps back to, and what it says. */
struct failure {
    jmp_buf back;
    char text[200];
};

static void leave_png(png_structp png, png_const_charp text) {
    struct failure *failure = png_get_error_ptr(png);
    snprintf(failure->text, sizeof failure->text, "%s", text);
    longjmp(failure->back, 1);
}

static void ignore_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static enum fg_status read_png(const struct fg_image_source *source, struct fg_image *image,
                               struct fg_message *message) {
    const char *path = source->path;
    struct failure failure;
    enum fg_status status = FG_OK;
    png_bytep *volatile rows = NULL;
    unsigned char *volatile wide = NULL;
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &failure, leave_png, ignore_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_read_struct(&png, NULL, NULL);
        return fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory to decode", path);
    }
    if (setjmp(failure.back)) {
        status = fg_fail(message, FG_INPUT, "%.300s: damaged PNG: %s", path, failure.text);
        goto out;
    }
    png_init_io(png, source->file);
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
    status = fg_image_take(source, image, height, width, channels, message);
    if (status != FG_OK || source->size_only)
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
        image->pixels[i] = fg_image_from_16_bit((unsigned)wide[2 * i] << 8 | wide[2 * i + 1]);
out:
    free(rows);
    free(wide);
    png_destroy_read_struct(&png, &info, NULL);
    return status;
}

struct jpeg_failure {
    struct jpeg_error_mgr base; /* stands first, because libjpeg hands back a pointer to it */
    struct jpeg_progress_mgr progress;
    struct failure failure;
};

static void leave_jpeg(j_common_ptr jpeg) {
    struct jpeg_failure *f = (struct jpeg_failure *)jpeg->err;
    char text[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, text);
    snprintf(f->failure.text, sizeof f->failure.text, "%s", text);
    longjmp(f->failure.back, 1);
}

/* libjpeg fills a cut or damaged picture with grey and warns: here that is an error. Filling bytes before a
 * marker and headers that contradict each other do not change the pixels, so they are taken. */
static void refuse_damage(j_common_ptr jpeg, int level) {
    const int code = jpeg->err->msg_code;
    if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_ADOBE_XFORM && code != JWRN_JFIF_MAJOR)
        leave_jpeg(jpeg);
}

static void limit_scans(j_common_ptr jpeg) {
    struct failure *failure = &((struct jpeg_failure *)jpeg->err)->failure;
    if (((j_decompress_ptr)jpeg)->input_scan_number <= MOST_SCANS)
        return;
    snprintf(failure->text, sizeof failure->text, "more than %d scans", MOST_SCANS);
    longjmp(failure->back, 1);
}

static enum fg_status read_jpeg(const struct fg_image_source *source, struct fg_image *image,
                                struct fg_message *message) {
    const char *path = source->path;
    struct jpeg_failure f;
    struct jpeg_decompress_struct jpeg;
    enum fg_status status = FG_OK;
    jpeg.err = jpeg_std_error(&f.base);
    f.base.error_exit = leave_jpeg;
    f.base.emit_message = refuse_damage;
    if (setjmp(f.failure.back)) {
        jpeg_destroy_decompress(&jpeg);
        return fg_fail(message, FG_INPUT, "%.300s: damaged JPEG: %s", path, f.failure.text);
    }
    jpeg_create_decompress(&jpeg);
    f.progress.progress_monitor = limit_scans;
    jpeg.progress = &f.progress;
    jpeg_stdio_src(&jpeg, source->file);
    jpeg_read_header(&jpeg, TRUE);
    if (jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK) {
        status = fg_fail(message, FG_INPUT, "%.300s: a CMYK picture; save it as RGB or grey", path);
        goto out;
    }
    jpeg.out_color_space = jpeg.jpeg_color_space == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
    const size_t channels = jpeg.out_color_space == JCS_GRAYSCALE ? 1 : 3;
    status = fg_image_take(source, image, jpeg.image_height, jpeg.image_width, channels, message);
    if (status != FG_OK || source->size_only)
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

/* A pipe or a device would keep the reader waiting; only files are pictures. */
static enum fg_status open_file(const char *path, FILE **file, struct fg_message *message) {
    const int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0)
        return fg_fail_errno(message, FG_INPUT, errno, "%.300s: cannot open", path);
    struct stat info;
    const bool regular = !fstat(descriptor, &info) && S_ISREG(info.st_mode);
    *file = regular ? fdopen(descriptor, "rb") : NULL;
    if (*file)
        return FG_OK;
    close(descriptor);
    return fg_fail(message, FG_INPUT, "%.300s: %s", path, regular ? "cannot open" : "not a file");
}

static enum fg_status read_image(const char *path, bool size_only, struct fg_image *image,
                                 struct fg_message *message) {
    memset(image, 0, sizeof *image);
    struct fg_image_source source = {.path = path, .size_only = size_only};
    enum fg_status status = open_file(path, &source.file, message);
    if (status != FG_OK)
        return status;
    unsigned char magic[8] = {0};
    const size_t read = fread(magic, 1, sizeof magic, source.file);
    rewind(source.file);
    if (read == 0)
        status = fg_fail(message, FG_INPUT, "%.300s: the file is empty", path);
    else if (read == sizeof magic && !png_sig_cmp(magic, 0, sizeof magic))
        status = read_png(&source, image, message);
    else if (magic[0] == 0xff && magic[1] == 0xd8)
        status = read_jpeg(&source, image, message);
    else if (!memcmp(magic, "II*\0", 4) || !memcmp(magic, "MM\0*", 4))
        status = fg_image_read_tiff(&source, image, message);
    else
        status = fg_fail(message, FG_INPUT, "%.300s: not a PNG, JPEG or TIFF picture", path);
    fclose(source.file);
    if (status != FG_OK)
        fg_image_free(image);
    return status;
}

enum fg_status fg_image_read(const char *path, struct fg_image *image, struct fg_message *message) {
    return read_image(path, false, image, message);
}

enum fg_status fg_image_size(const char *path, struct fg_image *image, struct fg_message *message) {
    return read_image(path, true, image, message);
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
