/* The right pixels from every kind of picture that is read, and a sentence for those that are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <dirent.h>

#include "tests/runtime/image/picture_files.h"

static void check_pixels(const char *name, const struct fg_image *image, int depth, bool indexed,
                         bool negative) {
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++)
            for (int k = 0; k < image->channels; k++) {
                const png_color *colour = &get_palette()[get_written(y, x, 0, depth) & 255];
                const int want = indexed    ? (k == 0   ? colour->red
                                               : k == 1 ? colour->green
                                                        : colour->blue)
                                 : negative ? 255 - get_expected(y, x, k, depth)
                                            : get_expected(y, x, k, depth);
                const int got = image->pixels[(y * image->width + x) * image->channels + k];
                if (got != want)
                    fail_msg("%s: (%d, %d, %d) is %d, not %d", name, y, x, k, got, want);
            }
}

static void test_png(void **state) {
    (void)state;
    static const int types[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_PALETTE,
                                PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB_ALPHA};
    for (int t = 0; t < 5; t++)
        for (int depth = 1; depth <= 16; depth *= 2)
            for (int interlace = 0; interlace < 2; interlace++) {
                const bool grey = types[t] == PNG_COLOR_TYPE_GRAY,
                           indexed = types[t] == PNG_COLOR_TYPE_PALETTE;
                if ((depth < 8 && !grey && !indexed) || (depth == 16 && indexed))
                    continue; /* not in PNG */
                char name[64];
                snprintf(name, sizeof name, "PNG type %d, %d bits, interlace %d", types[t], depth, interlace);
                write_png(13, 19, depth, types[t], interlace);
                struct fg_image image = read_well(13, 19, types[t] & PNG_COLOR_MASK_COLOR ? 3 : 1);
                check_pixels(name, &image, depth, indexed, false);
                fg_image_free(&image);
            }
}

static void test_tiff(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof tiffs / sizeof *tiffs; i++) {
        const struct tiff_kind *t = &tiffs[i];
        write_tiff(t, 13, 19);
        struct fg_image image =
            read_well(13, 19, t->kind == PHOTOMETRIC_RGB || t->kind == PHOTOMETRIC_PALETTE ? 3 : 1);
        check_pixels(t->name, &image, t->depth, t->kind == PHOTOMETRIC_PALETTE,
                     t->kind == PHOTOMETRIC_MINISWHITE);
        fg_image_free(&image);
    }
}

static void test_tiff_kinds_that_are_not_read(void **state) {
    (void)state;
    struct tiff_kind t = {"", "w", 8, 4, PHOTOMETRIC_SEPARATED, 1, COMPRESSION_NONE, 0, 5};
    write_tiff(&t, 13, 19);
    expect_refusal(path, "CMYK");
    t = (struct tiff_kind){"", "w", 1, 1, PHOTOMETRIC_MINISBLACK, 1, COMPRESSION_CCITTFAX4, 0, 13};
    write_tiff(&t, 13, 19);
    expect_refusal(path, "compression");
    t = (struct tiff_kind){"", "w", 8, 3, PHOTOMETRIC_CIELAB, 1, COMPRESSION_NONE, 0, 5};
    write_tiff(&t, 13, 19);
    expect_refusal(path, "colour space");
    const float map[6] = {0};
    snprintf(other, sizeof other, "%s/map.tiff", folder);
    assert_int_equal(fg_map_write(other, map, 2, 3, &message), FG_OK);
    expect_refusal(other, "floating-point");
    unlink(other);
}

/* A ramp at the best quality: what comes back is within a few steps of what was written. */
static void test_jpeg(void **state) {
    (void)state;
    for (int scans = 0; scans < 2; scans++)
        for (int channels = 1; channels <= 3; channels += 2) {
            write_jpeg(channels == 1 ? JCS_GRAYSCALE : JCS_RGB, scans);
            struct fg_image image = read_well(18, 21, channels);
            for (int y = 0; y < 18; y++)
                for (int x = 0; x < 21; x++)
                    for (int k = 0; k < channels; k++) {
                        const int want = 40 + 8 * x + 2 * y + (k == 1 ? 10 : 0);
                        assert_in_range(image.pixels[(y * 21 + x) * channels + k] + 4 - want, 0, 8);
                    }
            fg_image_free(&image);
        }
    write_jpeg(JCS_CMYK, 0);
    expect_refusal(path, "CMYK");
    write_jpeg(JCS_GRAYSCALE, 250);
    expect_refusal(path, "scans");
}

static void test_names(void **state) {
    (void)state;
    assert_true(fg_image_name("a.png") && fg_image_name("a/b.JPEG") && fg_image_name("x.y.Tif"));
    assert_false(fg_image_name(".png") || fg_image_name("apng") || fg_image_name("a.png.txt"));
}

static void test_real_pictures(void **state) {
    (void)state;
    static const char *const folders[] = {"../shared/data/bottle/test/good",
                                          "../shared/data/hazelnut/train/good",
                                          "../shared/data/magnetic_tile/test/good"};
    if (access(folders[0], R_OK)) {
        puts("skipped: ../shared/data is not there");
        skip();
    }
    for (int i = 0; i < 3; i++) {
        DIR *dir = opendir(folders[i]);
        assert_non_null(dir);
        int count = 0;
        for (struct dirent *entry; count < 8 && (entry = readdir(dir));) {
            char name[512];
            snprintf(name, sizeof name, "%s/%s", folders[i], entry->d_name);
            if (!fg_image_name(name))
                continue;
            struct fg_image image;
            if (fg_image_read(name, &image, &message) != FG_OK)
                fail_msg("%s", message.text);
            assert_true(image.height > 100 && image.width > 100 && image.channels == (i < 2 ? 3 : 1));
            fg_image_free(&image);
            count++;
        }
        closedir(dir);
        assert_in_range(count, 1, 8);
    }
}

int main(void) {
    TIFFSetWarningHandler(NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png),
        cmocka_unit_test(test_tiff),
        cmocka_unit_test(test_tiff_kinds_that_are_not_read),
        cmocka_unit_test(test_jpeg),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_real_pictures),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
