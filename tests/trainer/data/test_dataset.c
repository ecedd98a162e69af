/* The data set: what is read, skipped, held out and hashed, at any number of threads; test pictures and
 * masks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <ftw.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trainer/data/dataset.h"
#include "trainer/data/picture.h"

static char folder[64];
static struct fg_message message;
static uint32_t progressed;

static int remove_entry(const char *path, const struct stat *info, int flag, struct FTW *walk) {
    (void)info;
    (void)flag;
    (void)walk;
    return remove(path);
}

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "%s/flawgate-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *in_folder(const char *name) {
    static char path[4][192];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static void make_folder(const char *name) {
    assert_int_equal(mkdir(in_folder(name), 0700), 0);
}

static void write_picture(const char *name, int32_t height, int32_t width, int32_t channels, int seed) {
    const size_t size = (size_t)height * (size_t)width * (size_t)channels;
    struct fg_image image = {malloc(size), height, width, channels};
    assert_non_null(image.pixels);
    for (size_t i = 0; i < size; i++)
        image.pixels[i] = (uint8_t)(i * 13 + (i >> 7) * 5 + (size_t)seed * 41);
    assert_int_equal(fg_image_write_png(in_folder(name), &image, &message), FG_OK);
    fg_image_free(&image);
}

static void write_bytes(const char *name, const void *bytes, size_t size) {
    FILE *file = fopen(in_folder(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void write_good(int count) {
    for (int i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "part%03d.png", i);
        write_picture(name, 40, 50, 3, i);
    }
}

static struct fg_backend *cpu(uint32_t threads) {
    struct fg_backend *backend = NULL;
    assert_int_equal(fg_cpu_open(threads, 1, &backend, &message), FG_OK);
    return backend;
}

static void count_progress(void *argument, uint32_t done, uint32_t count) {
    progressed++;
    assert_int_equal(done, progressed);
    assert_int_equal(count, *(uint32_t *)argument);
}

static struct fg_dataset read_folder(const char *name, uint32_t threads, uint64_t seed) {
    struct fg_backend *backend = cpu(threads);
    struct fg_dataset set;
    if (fg_dataset_open(&set, name, 64, 96, seed, backend, NULL, NULL, &message) != FG_OK)
        fail_msg("%s", message.text);
    backend->close(backend);
    return set;
}

/* Two of the sizes are named in runtime/network/network.h; of the others none may be nearer. */
static void test_size(void **state) {
    (void)state;
    static const double aspects[] = {1, 500.0 / 1270, 1270.0 / 500, 0.05, 20, 4.0 / 3, 1.6, 0.7};
    static const int32_t named[3][2] = {{256, 256}, {384, 160}, {160, 384}};
    for (size_t i = 0; i < sizeof aspects / sizeof *aspects; i++) {
        int32_t height = 0, width = 0;
        fg_dataset_size(aspects[i], &height, &width);
        if (i < 3) {
            assert_int_equal(height, named[i][0]);
            assert_int_equal(width, named[i][1]);
        }
        assert_true(height % 32 == 0 && width % 32 == 0 && height * width <= 65536 &&
                    height * width >= 0.85 * 65536);
        for (int32_t h = 64; h <= 1024; h += 32)
            for (int32_t w = 64; w <= 1024; w += 32)
                if (h * w <= 65536 && h * w >= 0.85 * 65536)
                    assert_true(fabs(log((double)w / h / aspects[i])) >
                                fabs(log((double)width / height / aspects[i])) - 1e-9);
    }
}

static void test_bad_pictures_are_skipped(void **state) {
    (void)state;
    write_good(9);
    write_bytes("part003b.png", "", 0);
    write_bytes("part005b.jpg", "not a picture", 13);
    write_bytes("notes.txt", "not listed", 10);
    write_picture("cut.png", 40, 50, 3, 0);
    assert_int_equal(truncate(in_folder("cut.png"), 100), 0);
    make_folder("folder.png");
    uint32_t count = 13;
    struct fg_backend *backend = cpu(3);
    struct fg_dataset set;
    progressed = 0;
    assert_int_equal(fg_dataset_open(&set, folder, 64, 96, 1, backend, count_progress, &count, &message),
                     FG_OK);
    assert_int_equal(progressed, count);
    assert_int_equal(set.files.count, 9);
    assert_int_equal(set.skips, 4);
    static const char *const reasons[][2] = {{"cut.png", "damaged PNG"},
                                             {"folder.png", "not a file"},
                                             {"part003b.png", "empty"},
                                             {"part005b.jpg", "not a PNG, JPEG or TIFF"}};
    for (int i = 0; i < 4; i++) {
        assert_non_null(strstr(set.skipped[i].path, reasons[i][0]));
        assert_non_null(strstr(set.skipped[i].reason.text, reasons[i][0]));
        assert_non_null(strstr(set.skipped[i].reason.text, reasons[i][1]));
    }
    /* Each of the others is at its place: as RESIZE makes it alone. */
    for (uint32_t i = 0; i < 9; i++) {
        char name[32];
        snprintf(name, sizeof name, "part%03u.png", i);
        assert_string_equal(set.files.path[i], in_folder(name));
        struct fg_image image;
        static uint8_t alone[64 * 96 * 3];
        assert_int_equal(fg_image_read(set.files.path[i], &image, &message), FG_OK);
        assert_int_equal(fg_picture_resize(backend, &image, 64, 96, alone, &message), FG_OK);
        assert_memory_equal(set.pixels + i * sizeof alone, alone, sizeof alone);
        fg_image_free(&image);
    }
    fg_dataset_close(&set);
    backend->close(backend);
}

static void test_too_few(void **state) {
    (void)state;
    write_good(7);
    write_bytes("part999.png", "", 0);
    struct fg_backend *backend = cpu(2);
    struct fg_dataset set;
    assert_int_equal(fg_dataset_open(&set, folder, 0, 0, 1, backend, NULL, NULL, &message), FG_INPUT);
    assert_non_null(strstr(message.text, "7 good pictures"));
    assert_non_null(strstr(message.text, "at least 8"));
    assert_int_equal(set.skips, 1);
    fg_dataset_close(&set);
    make_folder("nothing");
    assert_int_equal(fg_dataset_open(&set, in_folder("nothing"), 0, 0, 1, backend, NULL, NULL, &message),
                     FG_INPUT);
    fg_dataset_close(&set);
    assert_int_equal(fg_dataset_open(&set, in_folder("gone"), 0, 0, 1, backend, NULL, NULL, &message),
                     FG_INPUT);
    assert_non_null(strstr(message.text, "gone"));
    fg_dataset_close(&set);
    backend->close(backend);
}

static void test_split(void **state) {
    (void)state;
    write_good(57);
    struct fg_dataset a = read_folder(folder, 1, 5), b = read_folder(folder, 4, 5),
                      c = read_folder(folder, 2, 6);
    assert_int_equal(a.held_outs, 5);
    assert_int_equal(a.trains, 52);
    bool seen[57] = {false};
    for (uint32_t i = 0; i < a.held_outs; i++) {
        assert_false(seen[a.held_out[i]]);
        seen[a.held_out[i]] = true;
    }
    for (uint32_t i = 0; i < a.trains; i++) {
        assert_false(seen[a.train[i]]);
        seen[a.train[i]] = true;
    }
    /* Threads change nothing, the seed does. */
    assert_memory_equal(a.held_out, b.held_out, 5 * sizeof *a.held_out);
    assert_memory_equal(a.pixels, b.pixels, 57 * fg_dataset_picture_bytes(&a));
    assert_memory_equal(a.hash, b.hash, FG_HASH_SIZE);
    assert_memory_not_equal(a.held_out, c.held_out, 5 * sizeof *a.held_out);
    fg_dataset_close(&a);
    fg_dataset_close(&b);
    fg_dataset_close(&c);
}

/* The hash says which pictures were trained with: their names and contents, not where they lie. */
static void test_hash_and_contract(void **state) {
    (void)state;
    write_good(10);
    struct fg_dataset first = read_folder(folder, 2, 1);
    assert_int_equal(first.held_outs, 4);
    assert_int_equal(first.contract.width, 50);
    assert_int_equal(first.contract.height, 40);
    assert_int_equal(first.contract.channels, 3);
    assert_string_equal(first.contract.format, "rgb8");

    write_bytes("bad.png", "", 0);
    struct fg_dataset same = read_folder(folder, 2, 1);
    assert_memory_equal(first.hash, same.hash, FG_HASH_SIZE);
    fg_dataset_close(&same);

    assert_int_equal(rename(in_folder("part009.png"), in_folder("part00a.png")), 0);
    struct fg_dataset renamed = read_folder(folder, 2, 1);
    assert_memory_not_equal(first.hash, renamed.hash, FG_HASH_SIZE);
    assert_memory_equal(first.pixels, renamed.pixels, 10 * fg_dataset_picture_bytes(&first));
    fg_dataset_close(&renamed);
    assert_int_equal(rename(in_folder("part00a.png"), in_folder("part009.png")), 0);

    write_picture("part004.png", 40, 50, 1, 4);
    struct fg_dataset mixed = read_folder(folder, 2, 1);
    assert_memory_not_equal(first.hash, mixed.hash, FG_HASH_SIZE);
    assert_int_equal(mixed.contract.channels, 0);
    assert_int_equal(mixed.contract.width, 50);
    fg_dataset_close(&mixed);

    write_picture("part004.png", 41, 50, 3, 4);
    struct fg_dataset sizes = read_folder(folder, 2, 1);
    assert_int_equal(sizes.contract.channels, 3);
    assert_int_equal(sizes.contract.width, 0);
    assert_int_equal(sizes.contract.height, 0);
    fg_dataset_close(&sizes);
    fg_dataset_close(&first);
}

static uint32_t count_deviating(const struct fg_dataset *set) {
    uint32_t deviating = 0;
    for (uint32_t i = 0; i < set->files.count; i++)
        deviating += set->deviates[i];
    return deviating;
}

/* One odd-sized picture in twenty, or one grey one, does not free the line's camera from the contract; it is
 * named, and is never held out. More of them do. */
static void test_deviating_pictures(void **state) {
    (void)state;
    write_good(40);
    write_picture("part000.png", 41, 50, 3, 0);
    write_picture("part007.png", 40, 50, 1, 7);
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct fg_dataset set = read_folder(folder, 2, seed);
        assert_int_equal(set.contract.width, 50);
        assert_int_equal(set.contract.height, 40);
        assert_int_equal(set.contract.channels, 3);
        assert_int_equal(count_deviating(&set), 2);
        assert_true(set.deviates[0] && set.deviates[7]);
        assert_int_equal(set.held_outs, 4);
        for (uint32_t i = 0; i < set.held_outs; i++)
            assert_false(set.deviates[set.held_out[i]]);
        assert_int_equal(set.trains, 36);
        fg_dataset_close(&set);
    }
    write_picture("part001.png", 41, 50, 3, 0);
    write_picture("part002.png", 42, 50, 3, 0);
    struct fg_dataset set = read_folder(folder, 2, 1);
    assert_int_equal(set.contract.width, 0);
    assert_int_equal(set.contract.channels, 3);
    assert_int_equal(count_deviating(&set), 1); /* the grey one */
    fg_dataset_close(&set);
}

/* The median of the pictures that can be read chooses the size. */
static void test_auto_size(void **state) {
    (void)state;
    for (int i = 0; i < 9; i++) {
        char name[32];
        snprintf(name, sizeof name, "part%03d.png", i);
        write_picture(name, i < 3 ? 30 : 127, 50, 1, i);
    }
    for (int i = 0; i < 9; i++) {
        char name[32];
        snprintf(name, sizeof name, "bad%03d.png", i);
        write_bytes(name, "", 0);
    }
    struct fg_backend *backend = cpu(2);
    struct fg_dataset set;
    assert_int_equal(fg_dataset_open(&set, folder, 0, 0, 1, backend, NULL, NULL, &message), FG_OK);
    assert_int_equal(set.height, 384);
    assert_int_equal(set.width, 160);
    fg_dataset_close(&set);
    backend->close(backend);
}

static void write_category(void) {
    make_folder("train");
    make_folder("train/good");
    make_folder("test");
    make_folder("test/good");
    make_folder("test/scratch");
    make_folder("test/dent");
    make_folder("ground_truth");
    make_folder("ground_truth/scratch");
    make_folder("ground_truth/dent");
    for (int i = 0; i < 8; i++) {
        char name[32];
        snprintf(name, sizeof name, "train/good/%03d.png", i);
        write_picture(name, 40, 50, 3, i);
    }
    write_picture("test/good/000.png", 40, 50, 3, 20);
    write_picture("test/scratch/001.png", 40, 50, 3, 21);
    write_picture("test/scratch/000.png", 40, 50, 3, 22);
    write_picture("test/dent/000.png", 40, 50, 3, 23);
    write_picture("ground_truth/scratch/000_mask.png", 40, 50, 1, 0);
    write_picture("ground_truth/scratch/001_mask.png", 40, 50, 1, 0);
    write_picture("ground_truth/dent/000_mask.png", 40, 50, 1, 0);
}

static void test_category(void **state) {
    (void)state;
    write_category();
    struct fg_dataset data = read_folder(folder, 2, 1);
    assert_int_equal(data.files.count, 8); /* the test pictures are not among them */
    for (uint32_t i = 0; i < 8; i++)
        assert_non_null(strstr(data.files.path[i], "/train/good/"));
    fg_dataset_close(&data);

    static const char *const want[4][3] = {
        {"test/dent/000.png", "dent", "ground_truth/dent/000_mask.png"},
        {"test/good/000.png", "good", NULL},
        {"test/scratch/000.png", "scratch", "ground_truth/scratch/000_mask.png"},
        {"test/scratch/001.png", "scratch", "ground_truth/scratch/001_mask.png"}};
    struct fg_test_set set;
    assert_int_equal(fg_test_set_open(&set, folder, &message), FG_OK);
    assert_int_equal(set.count, 4);
    for (int i = 0; i < 4; i++) {
        assert_string_equal(set.picture[i].path, in_folder(want[i][0]));
        assert_string_equal(set.picture[i].defect, want[i][1]);
        if (want[i][2])
            assert_string_equal(set.picture[i].mask, in_folder(want[i][2]));
        else
            assert_null(set.picture[i].mask);
    }
    fg_test_set_close(&set);

    unlink(in_folder("ground_truth/scratch/001_mask.png"));
    assert_int_equal(fg_test_set_open(&set, folder, &message), FG_INPUT);
    assert_non_null(strstr(message.text, "scratch/001_mask.png"));
    assert_int_equal(fg_test_set_open(&set, in_folder("train"), &message), FG_INPUT);
    assert_non_null(strstr(message.text, "train/test"));
}

/* Larger, smaller, odd: the source of each pixel by Pillow's rule, in floating point. */
static void test_mask(void **state) {
    (void)state;
    static uint8_t mask[128 * 128];
    write_picture("mask.png", 37, 53, 1, 3);
    struct fg_image image;
    assert_int_equal(fg_image_read(in_folder("mask.png"), &image, &message), FG_OK);
    image.pixels[0] = 127;
    image.pixels[1] = 128;
    assert_int_equal(fg_image_write_png(in_folder("mask.png"), &image, &message), FG_OK);
    static const int32_t sizes[][2] = {{37, 53}, {64, 96}, {128, 128}, {32, 32}, {10, 53}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int32_t height = sizes[s][0], width = sizes[s][1];
        assert_int_equal(fg_mask_read(in_folder("mask.png"), height, width, mask, &message), FG_OK);
        for (int32_t y = 0; y < height; y++)
            for (int32_t x = 0; x < width; x++) {
                const int32_t from_y = (int32_t)floor((y + 0.5) * 37 / height);
                const int32_t from_x = (int32_t)floor((x + 0.5) * 53 / width);
                assert_int_equal(mask[y * width + x], image.pixels[from_y * 53 + from_x] > 127);
            }
    }
    fg_image_free(&image);
    write_bytes("mask.png", "", 0);
    assert_int_equal(fg_mask_read(in_folder("mask.png"), 64, 64, mask, &message), FG_INPUT);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_size),
        WITH_FOLDER(test_bad_pictures_are_skipped),
        WITH_FOLDER(test_too_few),
        WITH_FOLDER(test_split),
        WITH_FOLDER(test_hash_and_contract),
        WITH_FOLDER(test_deviating_pictures),
        WITH_FOLDER(test_auto_size),
        WITH_FOLDER(test_category),
        WITH_FOLDER(test_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
