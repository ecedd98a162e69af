/* Writes pictures and maps. A file that cannot be finished leaves the old one in its place. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <png.h>
#include <setjmp.h>

#include "runtime/base/file.h"
#include "runtime/base/size.h"
#include "runtime/image/image.h"

/* What libpng hands to its callbacks. */
struct encoding {
    jmp_buf back;
    struct fg_file file;
    enum fg_status status;
    struct fg_message *message;
    struct fg_image_memory left; /* what is left of the caller's memory */
};

/* Rows of samples: of 8 bits in memory, or of 16 bits made of a map. */
struct rows {
    int32_t height, width;
    int type;
    const uint8_t *bytes;
    const float *map; /* NULL: bytes has the rows */
    float low, high;  /* of the map */
};

static void leave_png(png_structp png, png_const_charp text) {
    struct encoding *e = png_get_error_ptr(png);
    if (e->status == FG_OK)
        e->status = fg_fail(e->message, FG_ENVIRONMENT, "%.300s: cannot encode: %s", e->file.path, text);
    longjmp(e->back, 1);
}

static void ignore_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void write_bytes(png_structp png, png_bytep bytes, png_size_t size) {
    struct encoding *e = png_get_io_ptr(png);
    e->status = fg_file_write(&e->file, bytes, size, e->message);
    if (e->status != FG_OK)
        png_error(png, "write");
}

static void ignore_flush(png_structp png) {
    (void)png;
}

/* Takes a piece of the caller's memory; all pieces end with the encoding. */
static png_voidp take_piece(png_structp png, png_alloc_size_t size) {
    struct encoding *e = png_get_mem_ptr(png);
    const size_t piece = fg_size_align(size);
    if (piece > e->left.size)
        return NULL;
    void *at = e->left.memory;
    e->left.memory = (uint8_t *)at + piece;
    e->left.size -= piece;
    return at;
}

static void keep_piece(png_structp png, png_voidp piece) {
    (void)png;
    (void)piece;
}

size_t fg_image_memory(int32_t width) {
    const size_t deflate = (size_t)300 << 10, structs = (size_t)32 << 10, rows = 5;
    return deflate + structs + rows * fg_size_align((size_t)width * 3 + 64);
}

static void write_row(png_structp png, const struct rows *rows, int32_t y) {
    uint8_t samples[2 * FG_SIDE_MOST];
    const size_t width = (size_t)rows->width;
    if (!rows->map) {
        png_write_row(png, rows->bytes + (size_t)y * width * (rows->type == PNG_COLOR_TYPE_GRAY ? 1 : 3));
        return;
    }
    const float *value = rows->map + (size_t)y * width;
    for (size_t x = 0; x < width; x++) {
        const float share = rows->high > rows->low ? (value[x] - rows->low) / (rows->high - rows->low) : 0;
        const long sample = isfinite(value[x]) ? lrintf(share * 65535) : 65535;
        samples[2 * x] = (uint8_t)(sample >> 8);
        samples[2 * x + 1] = (uint8_t)sample;
    }
    png_write_row(png, samples);
}

/* memory NULL: the system's. */
static enum fg_status write_png(const struct fg_image_memory *memory, const char *path,
                                const struct rows *rows, struct fg_message *message) {
    struct encoding e = {.message = message};
    enum fg_status status = fg_file_create(&e.file, path, message);
    if (status != FG_OK)
        return status;
    if (memory)
        e.left = *memory;
    png_structp png = memory ? png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &e, leave_png, ignore_warning,
                                                         &e, take_piece, keep_piece)
                             : png_create_write_struct(PNG_LIBPNG_VER_STRING, &e, leave_png, ignore_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        e.status = fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory to encode", path);
    } else if (!setjmp(e.back)) {
        png_set_write_fn(png, &e, write_bytes, ignore_flush);
        if (memory)
            png_set_compression_level(png, 1);
        png_set_IHDR(png, info, (png_uint_32)rows->width, (png_uint_32)rows->height, rows->map ? 16 : 8,
                     rows->type, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
        png_write_info(png, info);
        for (int32_t y = 0; y < rows->height; y++)
            write_row(png, rows, y);
        png_write_end(png, info);
    }
    png_destroy_write_struct(&png, &info);
    if (e.status == FG_OK)
        return fg_file_commit(&e.file, message);
    fg_file_abandon(&e.file);
    return e.status;
}

static struct rows list_rows(const struct fg_image *image) {
    return (struct rows){.height = image->height,
                         .width = image->width,
                         .type = image->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
                         .bytes = image->pixels};
}

enum fg_status fg_image_write_png(const char *path, const struct fg_image *image,
                                  struct fg_message *message) {
    const struct rows rows = list_rows(image);
    return write_png(NULL, path, &rows, message);
}

enum fg_status fg_image_write_png_in(const struct fg_image_memory *memory, const char *path,
                                     const struct fg_image *image, struct fg_message *message) {
    const struct rows rows = list_rows(image);
    return write_png(memory, path, &rows, message);
}

void fg_map_range(const float *map, int32_t height, int32_t width, float *low, float *high) {
    const size_t count = (size_t)height * (size_t)width;
    *low = INFINITY;
    *high = -INFINITY;
    for (size_t i = 0; i < count; i++)
        if (isfinite(map[i])) {
            *low = fminf(*low, map[i]);
            *high = fmaxf(*high, map[i]);
        }
    if (*low > *high)
        *low = *high = 0;
}

/* The map's smallest finite value becomes 0, its largest 65535; what is not finite becomes 65535. */
enum fg_status fg_map_write_png_in(const struct fg_image_memory *memory, const char *path, const float *map,
                                   int32_t height, int32_t width, struct fg_message *message) {
    struct rows rows = {.height = height, .width = width, .type = PNG_COLOR_TYPE_GRAY, .map = map};
    if (width > FG_SIDE_MOST)
        return fg_fail(message, FG_USAGE, "%.300s: a map is at most %d pixels wide", path, FG_SIDE_MOST);
    fg_map_range(map, height, width, &rows.low, &rows.high);
    return write_png(memory, path, &rows, message);
}

static enum fg_status write_head_and_map(const char *path, const void *head, size_t head_size,
                                         const float *map, size_t count, struct fg_message *message) {
    struct fg_file file;
    enum fg_status status = fg_file_create(&file, path, message);
    if (status != FG_OK)
        return status;
    status = fg_file_write(&file, head, head_size, message);
    if (status == FG_OK)
        status = fg_file_write(&file, map, count * sizeof *map, message);
    if (status == FG_OK)
        return fg_file_commit(&file, message);
    fg_file_abandon(&file);
    return status;
}

/* NumPy's format 1.0 begins with a magic, the header's length and a Python literal, padded to 128 bytes. */
static enum fg_status write_map_npy(const char *path, const float *map, int32_t height, int32_t width,
                                    struct fg_message *message) {
    char head[129];
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
    const int length =
        snprintf(head + 10, sizeof head - 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }",
                 height, width);
    head[10 + length] = ' ';
    head[127] = '\n';
    return write_head_and_map(path, head, 128, map, (size_t)height * (size_t)width, message);
}

/* Writes TIFF 6.0 with one directory and one strip; SampleFormat 3 is IEEE floating point. */
static enum fg_status write_map_tiff(const char *path, const float *map, int32_t height, int32_t width,
                                     struct fg_message *message) {
    enum { SHORT = 3, LONG = 4, FIELDS = 10, DATA = 8 + 2 + FIELDS * 12 + 4 };
    const uint32_t count = (uint32_t)height * (uint32_t)width;
    const uint32_t field[FIELDS][3] = {{256, LONG, (uint32_t)width},
                                       {257, LONG, (uint32_t)height},
                                       {258, SHORT, 32},
                                       {259, SHORT, 1},
                                       {262, SHORT, 1},
                                       {273, LONG, DATA},
                                       {277, SHORT, 1},
                                       {278, LONG, (uint32_t)height},
                                       {279, LONG, count * 4},
                                       {339, SHORT, 3}};
    uint8_t head[DATA] = {'I', 'I', 42, 0, 8, 0, 0, 0, FIELDS, 0};
    for (size_t i = 0; i < FIELDS; i++) {
        uint8_t *at = head + 10 + 12 * i;
        const uint16_t tag = (uint16_t)field[i][0], type = (uint16_t)field[i][1];
        const uint32_t one = 1;
        memcpy(at, &tag, 2);
        memcpy(at + 2, &type, 2);
        memcpy(at + 4, &one, 4);
        memcpy(at + 8, &field[i][2], 4);
    }
    return write_head_and_map(path, head, sizeof head, map, count, message);
}

enum fg_status fg_map_write(const char *path, const float *map, int32_t height, int32_t width,
                            struct fg_message *message) {
    const char *ending = strrchr(path, '.');
    if (ending && !strcasecmp(ending, ".npy"))
        return write_map_npy(path, map, height, width, message);
    if (ending && (!strcasecmp(ending, ".tiff") || !strcasecmp(ending, ".tif")))
        return write_map_tiff(path, map, height, width, message);
    if (ending && !strcasecmp(ending, ".png"))
        return fg_map_write_png_in(NULL, path, map, height, width, message);
    return fg_fail(message, FG_USAGE, "%.300s: a map is written as .npy, .tiff or .png", path);
}
