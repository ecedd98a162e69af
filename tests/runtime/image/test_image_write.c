/* What is written is what other programs read: pictures and maps, read back by the formats' own libraries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <math.h>

#include "tests/runtime/image/picture_files.h"

#define HEIGHT 3
#define WIDTH 5

static const float map[HEIGHT * WIDTH] = {0.25f, 1, 2, -1, 3, 0, 0.5f, 7, 1, 1, 1, 1, 1, 1.5f, 2};

static void set_path(const char *ending) {
    snprintf(path, sizeof path, "%s/map%s", folder, ending);
}

/* The file alone is there: nothing temporary stays beside it. */
static void expect_alone(void) {
    char temporary[160];
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    assert_int_equal(access(path, R_OK), 0);
    assert_int_not_equal(access(temporary, F_OK), 0);
    unlink(path);
}

static void test_picture(void **state) {
    (void)state;
    set_path(".png");
    for (int channels = 1; channels <= 3; channels += 2) {
        uint8_t pixels[HEIGHT * WIDTH * 3];
        for (size_t i = 0; i < sizeof pixels; i++)
            pixels[i] = (uint8_t)(i * 97 + 3);
        const struct fg_image image = {pixels, HEIGHT, WIDTH, channels};
        assert_int_equal(fg_image_write_png(path, &image, &message), FG_OK);
        struct fg_image back = read_well(HEIGHT, WIDTH, channels);
        assert_memory_equal(back.pixels, pixels, (size_t)(HEIGHT * WIDTH * channels));
        fg_image_free(&back);
        expect_alone();
    }
}

/* NumPy's format, by its specification: the header's length makes the values begin at a multiple of 64. */
static void test_npy(void **state) {
    (void)state;
    set_path(".npy");
    assert_int_equal(fg_map_write(path, map, HEIGHT, WIDTH, &message), FG_OK);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    unsigned char bytes[512];
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_memory_equal(bytes, "\x93NUMPY\x01\x00", 8);
    const size_t start = 10 + bytes[8] + 256u * bytes[9];
    assert_int_equal(start % 64, 0);
    assert_int_equal(size, start + sizeof map);
    assert_int_equal(bytes[start - 1], '\n');
    bytes[start - 1] = 0;
    assert_non_null(strstr((char *)bytes + 10, "'descr': '<f4'"));
    assert_non_null(strstr((char *)bytes + 10, "'fortran_order': False"));
    assert_non_null(strstr((char *)bytes + 10, "'shape': (3, 5)"));
    assert_memory_equal(bytes + start, map, sizeof map);
    expect_alone();
}

static void test_tiff(void **state) {
    (void)state;
    set_path(".tiff");
    assert_int_equal(fg_map_write(path, map, HEIGHT, WIDTH, &message), FG_OK);
    TIFF *tiff = TIFFOpen(path, "r");
    assert_non_null(tiff);
    uint16_t format = 0, depth = 0, samples = 0;
    TIFFGetField(tiff, TIFFTAG_SAMPLEFORMAT, &format);
    TIFFGetField(tiff, TIFFTAG_BITSPERSAMPLE, &depth);
    TIFFGetField(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
    assert_int_equal(format, SAMPLEFORMAT_IEEEFP);
    assert_int_equal(depth, 32);
    assert_int_equal(samples, 1);
    for (uint32_t y = 0; y < HEIGHT; y++) {
        float row[WIDTH];
        assert_int_equal(TIFFScanlineSize(tiff), sizeof row);
        assert_int_equal(TIFFReadScanline(tiff, row, y, 0), 1);
        assert_memory_equal(row, map + y * WIDTH, sizeof row);
    }
    TIFFClose(tiff);
    expect_alone();
}

static void read_png_16(uint16_t values[HEIGHT * WIDTH]) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, file);
    png_read_info(png, info);
    assert_int_equal(png_get_bit_depth(png, info), 16);
    assert_int_equal(png_get_color_type(png, info), PNG_COLOR_TYPE_GRAY);
    assert_int_equal(png_get_image_width(png, info), WIDTH);
    assert_int_equal(png_get_image_height(png, info), HEIGHT);
    for (int y = 0; y < HEIGHT; y++) {
        uint8_t row[WIDTH * 2];
        png_read_row(png, row, NULL);
        for (int x = 0; x < WIDTH; x++)
            values[y * WIDTH + x] = (uint16_t)(row[2 * x] << 8 | row[2 * x + 1]);
    }
    png_destroy_read_struct(&png, &info, NULL);
    fclose(file);
}

/* The map's own range is black to white; what is not finite is white. */
static void test_png_16(void **state) {
    (void)state;
    set_path(".png");
    uint16_t values[HEIGHT * WIDTH];
    assert_int_equal(fg_map_write(path, map, HEIGHT, WIDTH, &message), FG_OK);
    read_png_16(values);
    for (int i = 0; i < HEIGHT * WIDTH; i++)
        assert_int_equal(values[i], lrint((map[i] + 1) / 8 * 65535));
    float other_map[HEIGHT * WIDTH] = {4, NAN, INFINITY};
    assert_int_equal(fg_map_write(path, other_map, HEIGHT, WIDTH, &message), FG_OK);
    read_png_16(values);
    for (int i = 0; i < HEIGHT * WIDTH; i++)
        assert_int_equal(values[i], i < 3 ? 65535 : 0);
    for (int i = 0; i < HEIGHT * WIDTH; i++)
        other_map[i] = 4;
    assert_int_equal(fg_map_write(path, other_map, HEIGHT, WIDTH, &message), FG_OK);
    read_png_16(values);
    for (int i = 0; i < HEIGHT * WIDTH; i++)
        assert_int_equal(values[i], 0);
    expect_alone();
}

static void test_what_cannot_be_written(void **state) {
    (void)state;
    assert_int_equal(fg_map_write("map.bmp", map, HEIGHT, WIDTH, &message), FG_USAGE);
    assert_non_null(strstr(message.text, ".npy"));
    static const char *const paths[] = {"/nowhere/map.npy", "/nowhere/map.tiff", "/nowhere/map.png"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fg_map_write(paths[i], map, HEIGHT, WIDTH, &message), FG_ENVIRONMENT);
        assert_non_null(strstr(message.text, "/nowhere/map"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_picture),
        cmocka_unit_test(test_npy),
        cmocka_unit_test(test_tiff),
        cmocka_unit_test(test_png_16),
        cmocka_unit_test(test_what_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
