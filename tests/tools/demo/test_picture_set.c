/* A set of parts on disk: MVTec's layout, the same pictures as in memory, failures that name the place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/image/image.h"
#include "tools/demo/picture_part.h"
#include "tools/demo/picture_set.h"

#define SIZE 48

static const struct fg_picture_set SET = {
    .kind = FG_PICTURE_PLATE, .seed = 5, .size = SIZE, .train = 3, .good = 2, .defective = 2};

static char folder[] = "/tmp/flawgate-set-XXXXXX";

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command); /* NOLINT(cert-env33-c,bugprone-command-processor): the name is our own */
}

static void check_picture(const char *name, const uint8_t *pixels, int32_t channels) {
    char path[256];
    struct fg_message message;
    struct fg_image image;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (fg_image_read(path, &image, &message) != FG_OK)
        fail_msg("%s", message.text);
    assert_int_equal(image.height, SIZE);
    assert_int_equal(image.width, SIZE);
    assert_int_equal(image.channels, channels);
    assert_memory_equal(image.pixels, pixels, (size_t)SIZE * SIZE * (size_t)channels);
    fg_image_free(&image);
}

static void count_part(void *argument, uint32_t written, uint32_t parts) {
    uint32_t *calls = argument;
    assert_int_equal(written, ++*calls);
    assert_int_equal(parts, 13);
}

static void test_layout(void **state) {
    (void)state;
    static uint8_t rgb[SIZE * SIZE * 3], mask[SIZE * SIZE];
    struct fg_message message;
    uint32_t calls = 0;
    if (fg_picture_set_write(folder, &SET, count_part, &calls, &message) != FG_OK)
        fail_msg("%s", message.text);
    assert_int_equal(calls, 13);
    uint32_t part = 0; /* parts are numbered in the order of writing, so no two are the same */
    char name[64];
    for (uint32_t i = 0; i < SET.train; i++) {
        fg_picture_part(SET.kind, SET.seed, part++, FG_PICTURE_GOOD, SIZE, rgb, NULL);
        snprintf(name, sizeof name, "train/good/%03u.png", i);
        check_picture(name, rgb, 3);
    }
    for (int defect = 0; defect < FG_PICTURE_DEFECTS; defect++)
        for (uint32_t i = 0; i < 2; i++) {
            const char *kind = fg_picture_defect_name((enum fg_picture_defect)defect);
            fg_picture_part(SET.kind, SET.seed, part++, (enum fg_picture_defect)defect, SIZE, rgb, mask);
            snprintf(name, sizeof name, "test/%s/%03u.png", kind, i);
            check_picture(name, rgb, 3);
            if (defect == FG_PICTURE_GOOD)
                continue;
            snprintf(name, sizeof name, "ground_truth/%s/%03u_mask.png", kind, i);
            check_picture(name, mask, 1);
        }
}

/* What has no parts has no folder: a training finds no test set. */
static void test_training_only(void **state) {
    (void)state;
    const struct fg_picture_set set = {.kind = FG_PICTURE_STRAP, .seed = 5, .size = SIZE, .train = 1};
    struct fg_message message;
    char path[256];
    snprintf(path, sizeof path, "%s/training", folder);
    if (fg_picture_set_write(path, &set, NULL, NULL, &message) != FG_OK)
        fail_msg("%s", message.text);
    snprintf(path, sizeof path, "%s/training/train/good/000.png", folder);
    assert_int_equal(access(path, R_OK), 0);
    snprintf(path, sizeof path, "%s/training/test", folder);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_refused(void **state) {
    (void)state;
    struct fg_message message;
    char path[256];
    snprintf(path, sizeof path, "%s/no/such/place", folder);
    assert_int_equal(fg_picture_set_write(path, &SET, NULL, NULL, &message), FG_ENVIRONMENT);
    assert_non_null(strstr(message.text, path));
    /* A file lies where a folder should. */
    snprintf(path, sizeof path, "%s/blocked", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(fg_picture_set_write(path, &SET, NULL, NULL, &message), FG_ENVIRONMENT);
    assert_non_null(strstr(message.text, path));
    char endless[5000];
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = 0;
    assert_int_equal(fg_picture_set_write(endless, &SET, NULL, NULL, &message), FG_ENVIRONMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layout), cmocka_unit_test(test_training_only),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
