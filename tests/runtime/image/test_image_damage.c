/* Hostile picture files: cut anywhere, any byte flipped, huge by their headers, no pictures at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "tests/runtime/image/picture_files.h"

static size_t read_bytes(uint8_t *bytes, size_t room) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t size = fread(bytes, 1, room, file);
    fclose(file);
    assert_in_range(size, 1, room - 1);
    return size;
}

static void write_bytes(const uint8_t *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void write_kind(int kind) {
    if (kind == 0)
        write_png(6, 7, 8, PNG_COLOR_TYPE_RGB, 1);
    else if (kind == 1)
        write_png(6, 7, 4, PNG_COLOR_TYPE_PALETTE, 0);
    else if (kind == 2)
        write_png(6, 7, 16, PNG_COLOR_TYPE_GRAY_ALPHA, 0);
    else if (kind < 6)
        write_jpeg(kind == 3 ? JCS_GRAYSCALE : JCS_RGB, kind == 5);
    else
        write_tiff(&tiffs[kind - 6], 13, 19);
}

#define KINDS 14
#define PNG_KINDS 3
#define PNG_AND_JPEG_KINDS 6

static bool are_same(const struct fg_image *a, const struct fg_image *b) {
    return a->height == b->height && a->width == b->width && a->channels == b->channels &&
           !memcmp(a->pixels, b->pixels, (size_t)a->height * (size_t)a->width * (size_t)a->channels);
}

/* Reads what write_bytes wrote. It must give a picture, or a sentence and nothing else. */
static bool can_read(struct fg_image *image) {
    memset(&message, 0, sizeof message);
    const enum fg_status status = fg_image_read(path, image, &message);
    assert_true(status == FG_OK ? image->pixels != NULL
                                : status == FG_INPUT && message.text[0] && !image->pixels);
    return status == FG_OK;
}

/* Wherever a file is cut, there is no picture with a grey lower half. A TIFF may lack the last bytes of its
 * directory, which lies behind the pixels and is then read as ended. */
static void test_every_cut(void **state) {
    (void)state;
    static uint8_t bytes[8192];
    for (int kind = 0; kind < KINDS; kind++) {
        struct fg_image whole, cut;
        write_kind(kind);
        const size_t size = read_bytes(bytes, sizeof bytes);
        assert_true(can_read(&whole));
        for (size_t left = 0; left < size; left++) {
            write_bytes(bytes, left);
            const bool read = can_read(&cut);
            assert_false(read && (kind < PNG_AND_JPEG_KINDS || left + 4 < size));
            assert_true(!read || are_same(&cut, &whole));
            fg_image_free(&cut);
        }
        fg_image_free(&whole);
    }
}

/* A flipped byte gives a picture or a sentence, never a crash or a leak. A PNG's pixels are under checksums:
 * they are refused or right (a damaged tRNS or the like is nothing to us). */
static void test_every_byte_flipped(void **state) {
    (void)state;
    static uint8_t bytes[8192];
    for (int kind = 0; kind < KINDS; kind++) {
        struct fg_image whole, flipped;
        write_kind(kind);
        const size_t size = read_bytes(bytes, sizeof bytes);
        assert_true(can_read(&whole));
        for (size_t at = 0; at < size; at++) {
            bytes[at] ^= 0xff;
            write_bytes(bytes, size);
            bytes[at] ^= 0xff;
            assert_true(!can_read(&flipped) || kind >= PNG_KINDS || are_same(&flipped, &whole));
            fg_image_free(&flipped);
        }
        fg_image_free(&whole);
    }
}

/* Bytes between the data and the end marker, as some cameras write, do no harm. */
static void test_jpeg_with_filling(void **state) {
    (void)state;
    static uint8_t bytes[8192];
    write_jpeg(JCS_RGB, 0);
    struct fg_image plain = read_well(18, 21, 3);
    const size_t size = read_bytes(bytes, sizeof bytes - 4);
    memmove(bytes + size + 2, bytes + size - 2, 2);
    memset(bytes + size - 2, 0, 4);
    write_bytes(bytes, size + 4);
    struct fg_image filled = read_well(18, 21, 3);
    assert_memory_equal(plain.pixels, filled.pixels, (size_t)18 * 21 * 3);
    fg_image_free(&plain);
    fg_image_free(&filled);
}

/* Headers that claim far more than there is. */
static void test_huge(void **state) {
    (void)state;
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, file);
    png_set_IHDR(png, info, 900000, 900000, 8, PNG_COLOR_TYPE_RGB, 0, 0, 0);
    png_write_info(png, info);
    png_write_chunk(png, (png_const_bytep) "IDAT", (png_const_bytep) "1234", 4);
    png_destroy_write_struct(&png, &info);
    fclose(file);
    expect_refusal(path, "900000x900000 pixels");

    static uint8_t bytes[8192];
    write_jpeg(JCS_RGB, 0);
    const size_t size = read_bytes(bytes, sizeof bytes);
    size_t frame = 0;
    while (bytes[frame] != 0xff || bytes[frame + 1] != 0xc0)
        frame++;
    memset(bytes + frame + 5, 0xfe, 4); /* height and width */
    write_bytes(bytes, size);
    expect_refusal(path, "65278x65278 pixels");

    const struct tiff_kind kind = {"", "w", 8, 1, PHOTOMETRIC_MINISBLACK, 1, COMPRESSION_LZW, 0, 1};
    write_tiff(&kind, 3, 5);
    TIFF *tiff = TIFFOpen(path, "r+");
    assert_non_null(tiff);
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, 20000000);
    TIFFRewriteDirectory(tiff);
    TIFFClose(tiff);
    expect_refusal(path, "20000000x3 pixels");
}

static void test_files_that_are_no_pictures(void **state) {
    (void)state;
    expect_refusal("/nowhere/picture.png", "cannot open");
    expect_refusal(folder, "not a file");
    write_bytes((const uint8_t *)"a text, saved as picture.png", 28);
    expect_refusal(path, "not a PNG, JPEG or TIFF");
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* a reader that waits for a writer hangs the test */
    expect_refusal(path, "not a file");
    unlink(path);
}

int main(void) {
    TIFFSetWarningHandler(NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_every_byte_flipped),
        cmocka_unit_test(test_jpeg_with_filling),
        cmocka_unit_test(test_huge),
        cmocka_unit_test(test_files_that_are_no_pictures),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
