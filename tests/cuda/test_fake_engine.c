/* The engine on the CUDA backend, over the fake device: parts judged as the CPU judges them, whatever the
 * order in which the device does what it may; frames wherever they lie; deadlines; what is not finite;
 * memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/half.h"
#include "tests/cuda/fake.h"
#include "tests/cuda/judged.h"

/* Under the address sanitizer, ten times slower, not all of what is the same again and again. */
#ifdef __SANITIZE_ADDRESS__
#define SEEDS 1
#define FIRST_LANES 3
#define EACH 32
#define PARTS 10
#define DAMAGES 2
#else
#define SEEDS 3
#define FIRST_LANES 1
#define EACH 1
#define PARTS 100
#define DAMAGES 9
#endif

static struct fg_message message;
static char good[64], changed[64];
/* The good bundle's choices: most tests need none anew. */
static char kept[] = "/tmp/flawgate-test-kept-XXXXXX";
static struct fg_backend *cpu;
static struct fg_judged expected;

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s (last refusal: %s)", message.text, fg_fake_refusal());
}

/* The file of choices that is in the folder; its size. */
static long find_choices(const char *folder, char *path, size_t size) {
    DIR *list = opendir(folder);
    assert_non_null(list);
    *path = 0;
    for (struct dirent *entry; (entry = readdir(list));)
        if (entry->d_name[0] != '.')
            snprintf(path, size, "%s/%s", folder, entry->d_name);
    closedir(list);
    struct stat facts;
    return *path && !stat(path, &facts) ? (long)facts.st_size : -1;
}

static void remove_folder(const char *folder) {
    char path[512];
    while (find_choices(folder, path, sizeof path) >= 0)
        unlink(path);
    rmdir(folder);
}

static int set_up(void **state) {
    (void)state;
    snprintf(good, sizeof good, "/tmp/flawgate-test-%d.fgb", (int)getpid());
    snprintf(changed, sizeof changed, "/tmp/flawgate-test-%d-changed.fgb", (int)getpid());
    fg_judged_write(good, -1, 0);
    ok(fg_cpu_open(1, 1, &cpu, &message));
    ok(fg_judged_open(&expected, good, cpu, true, &message));
    assert_non_null(mkdtemp(kept));
    struct fg_backend *backend = fg_judged_cuda(1, 0, kept);
    struct fg_judged j;
    ok(fg_judged_open(&j, good, backend, true, &message));
    fg_judged_close(&j);
    backend->close(backend);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    fg_judged_close(&expected);
    cpu->close(cpu);
    unlink(good);
    unlink(changed);
    remove_folder(kept);
    return 0;
}

/* Noise, whose strength grows from the first byte to the last: no two places of it look alike. */
static void draw(uint8_t *pixels, size_t bytes, uint32_t number) {
    for (size_t i = 0; i < bytes; i++) {
        number = number * 1664525u + 1013904223u;
        pixels[i] = (uint8_t)((number >> 24) * (i + 1) / bytes);
    }
}

/* max |a - b| / max |b| over the map. */
static float difference(const float *a, const float *b) {
    float most = 0, largest = 0;
    for (size_t i = 0; i < (size_t)FG_JUDGED_SIDE * FG_JUDGED_SIDE; i++) {
        most = fmaxf(most, fabsf(a[i] - b[i]));
        largest = fmaxf(largest, fabsf(b[i]));
    }
    return most / largest;
}

/* Score and map are the CPU's, as far as a self-test asks; the map is not that of the frame before. */
static void hold(struct fg_judged *j, const struct fg_frame *frame) {
    static float before[FG_JUDGED_SIDE * FG_JUDGED_SIDE];
    struct fg_judgement a, b;
    ok(fg_judged_frame(j, frame, &a, &message));
    ok(fg_judged_frame(&expected, frame, &b, &message));
    assert_true(a.finite && b.finite);
    const float *map = fg_engine_map(expected.engine), off = difference(fg_engine_map(j->engine), map);
    if (fabsf(a.score - b.score) > 0.01f * b.score || !(off <= 0.02f))
        fail_msg("frame of %dx%d, %s: score %g, the CPU's is %g; its map differs by %g", frame->width,
                 frame->height, fg_pixel_name(frame->format), (double)a.score, (double)b.score, (double)off);
    if (difference(before, map) < 0.04f)
        fail_msg("two frames are too much alike to be told apart: %g", (double)difference(before, map));
    memcpy(before, map, sizeof before);
}

/* Frames of changing size in pageable memory, and in pinned memory at changing addresses, the last one's last
 * row at the block's end, with a pitch. */
static void judge_frames(struct fg_judged *j) {
    enum { W = FG_JUDGED_WIDTH, H = FG_JUDGED_HEIGHT, PITCH = 112 * 3 };
    static uint8_t pageable[W * H * 3];
    struct fg_backend *backend = j->backend;
    void *pinned = NULL;
    const size_t bytes = (size_t)PITCH * 70 + 50 * 3; /* 71 rows of 50 */
    ok(backend->reserve(backend, FG_STORE_HOST, bytes, &pinned, &message));
    draw(pageable, sizeof pageable, 1);
    draw(pinned, bytes, 2);
    uint8_t *p = pinned;
    static const struct fg_region all = {0}, seen = {5, 7, 40, 51};
    const struct fg_frame frames[] = {
        {p, 64, 64, FG_RGB8, 64 * 3, all, 0},
        {p + 999, 64, 64, FG_RGB8, 64 * 3, all, 0}, /* only the place changes */
        {p, 64, 64, FG_RGB8, 64 * 3, all, 0},
        {p, 64, 64, FG_RGB8, 64 * 3, seen, 0}, /* only what is seen changes */
        {p, 64, 64, FG_RGB8, 64 * 3, seen, 270},
        {pageable, W, H, FG_RGB8, W * 3, all, 0},
        {p, 64, 64, FG_GREY8, 64, all, 0},
        {p, 50, 71, FG_RGB8, PITCH, all, 0},
        {p + 3, 50, 70, FG_RGB8, PITCH, all, 90},
        {pageable, 37, 29, FG_GREY8, W, all, 0},
    };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++)
        hold(j, &frames[i]);
    backend->release(backend, pinned);
}

static void test_score_is_the_cpus(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        for (uint32_t lanes = FIRST_LANES; lanes <= 3; lanes += 2) {
            fg_fake_seed(seed);
            fg_fake_fail(0, FG_FAKE_LOST);
            /* Without measurements nothing waits for the weights but what has to. */
            struct fg_backend *backend = fg_judged_cuda(lanes, FG_JUDGED_TUNE, seed == 1 ? kept : NULL);
            struct fg_judged j;
            ok(fg_judged_open(&j, good, backend, true, &message));
            judge_frames(&j);
            fg_judged_close(&j);
            backend->close(backend);
            fg_judged_nothing_left();
        }
}

/* Rows further apart than the largest frame's: the frame does not fit where one is planned. */
static void test_wide_pitch(void **state) {
    (void)state;
    enum { W = FG_JUDGED_WIDTH, H = FG_JUDGED_HEIGHT, PITCH = 4096 };
    for (uint32_t lanes = FIRST_LANES; lanes <= 3; lanes += 2) {
        struct fg_backend *backend = fg_judged_cuda(lanes, 0, kept);
        struct fg_judged j;
        ok(fg_judged_open(&j, good, backend, true, &message));
        void *pinned = NULL;
        ok(backend->reserve(backend, FG_STORE_HOST, PITCH * H, &pinned, &message));
        draw(pinned, PITCH * H, 3 + lanes);
        const struct fg_frame frame = {pinned, W, H, FG_RGB8, PITCH, {0}, 0};
        hold(&j, &frame);
        backend->release(backend, pinned);
        fg_judged_close(&j);
        backend->close(backend);
    }
}

/* ---- Time ---- */

static uint8_t picture[FG_JUDGED_SIDE * FG_JUDGED_SIDE * 3];
static const struct fg_frame frame = {.pixels = picture,
                                      .width = FG_JUDGED_SIDE,
                                      .height = FG_JUDGED_SIDE,
                                      .format = FG_RGB8,
                                      .pitch = FG_JUDGED_SIDE * 3};

static void test_deadline(void **state) {
    (void)state;
    struct fg_backend *backend = fg_judged_cuda(3, 0, kept);
    struct fg_judged j;
    struct fg_judgement judgement = {.score = -1}, other;
    ok(fg_judged_open(&j, good, backend, true, &message));
    draw(picture, sizeof picture, 4);
    fg_fake_hang(1);
    ok(fg_engine_submit(j.engine, &frame, &message));
    assert_int_equal(fg_engine_finish(j.engine, 0, INFINITY, &judgement, &message), FG_TIMEOUT);
    assert_true(judgement.score == -1); /* nothing is said of it yet */
    ok(fg_engine_finish(j.engine, INT64_MAX, INFINITY, &judgement, &message));
    ok(fg_judged_frame(&expected, &frame, &other, &message));
    assert_true(fabsf(judgement.score - other.score) <= 0.01f * other.score);
    /* A run that takes a while is met within its deadline. */
    fg_fake_hang(50);
    ok(fg_engine_submit(j.engine, &frame, &message));
    ok(fg_engine_finish(j.engine, fg_clock_ns() + INT64_C(10000000000), INFINITY, &judgement, &message));
    fg_judged_close(&j);
    backend->close(backend);
}

/* A device that never comes back: never a verdict, no second run, and who asks waits no longer than it has
 * said. */
static void test_hang(void **state) {
    (void)state;
    struct fg_backend *backend = fg_judged_cuda(1, 0, kept);
    struct fg_judged j;
    struct fg_judgement judgement = {.score = -1};
    ok(fg_judged_open(&j, good, backend, true, &message));
    ok(fg_engine_submit(j.engine, &frame, &message));
    fg_fake_hang(-1);
    for (int i = 0; i < 5; i++) {
        const int64_t begin = fg_clock_ns();
        assert_int_equal(fg_engine_finish(j.engine, begin + 20000000, INFINITY, &judgement, &message),
                         FG_TIMEOUT);
        assert_true(fg_clock_ns() - begin >= 20000000);
        assert_true(judgement.score == -1);
    }
    const struct fg_program none = {.lanes = 1};
    assert_int_equal(backend->submit(backend, &none, NULL, &message), FG_TIMEOUT);
    fg_fake_hang(0);
    fg_judged_close(&j);
    backend->close(backend);
    fg_judged_nothing_left();
}

/* ---- What is not finite ---- */

/* The judgement of the picture with a parameter's values all made one, which are put back behind it. */
static struct fg_judgement judge_with(struct fg_judged *j, const struct fg_tensor *t, float value) {
    char *at = (char *)fg_arena_bank(j->device, 0)->memory + t->offset;
    const size_t bytes = fg_tensor_bytes(t), count = fg_tensor_count(t);
    void *before = malloc(bytes), *values = malloc(bytes);
    for (size_t i = 0; i < count; i++)
        if (t->dtype == FG_F16)
            ((uint16_t *)values)[i] = fg_float_to_half(value);
        else
            ((float *)values)[i] = value;
    struct fg_judgement judgement;
    ok(j->backend->download(j->backend, before, at, bytes, &message));
    ok(j->backend->upload(j->backend, at, values, bytes, &message));
    ok(fg_judged_frame(j, &frame, &judgement, &message));
    ok(j->backend->upload(j->backend, at, before, bytes, &message));
    free(before);
    free(values);
    return judgement;
}

/* What so large a value leaves finite must be finite for the CPU too, and the same: it opens or closes a
 * gate. */
static void hold_gate(int32_t parameter, float value, float score) {
    struct fg_judged j;
    struct fg_judgement judgement;
    fg_judged_write(changed, parameter, value);
    ok(fg_judged_open(&j, changed, cpu, false, &message));
    ok(fg_judged_frame(&j, &frame, &judgement, &message));
    fg_judged_close(&j);
    if (!judgement.finite || fabsf(score - judgement.score) > 0.01f * judgement.score)
        fail_msg("parameter %d as %g: score %g, the CPU's %g", parameter, (double)value, (double)score,
                 (double)judgement.score);
}

/* A NaN, an infinity and a value whose sums float16 cannot hold, in each layer's weights in turn. */
static void test_not_finite(void **state) {
    (void)state;
    static const float values[] = {NAN, INFINITY, 6e4f};
    struct fg_backend *backend = fg_judged_cuda(1, 0, kept);
    static struct fg_judged_parameter parameter[FG_NETWORK_PARAMS];
    const uint32_t count = fg_judged_parameters(backend, parameter);
    struct fg_judged j;
    uint32_t gates = 0;
    draw(picture, sizeof picture, 5);
    ok(fg_judged_open(&j, good, backend, true, &message));
    for (uint32_t i = 0; i < count; i += EACH)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            const struct fg_judgement judgement = judge_with(&j, &parameter[i].place, values[v]);
            if (judgement.finite && isnan(values[v]))
                fail_msg("parameter %d as NaN: score %g", parameter[i].index, (double)judgement.score);
            if (!judgement.finite)
                continue;
            hold_gate(parameter[i].index, values[v], judgement.score);
            gates++;
        }
    print_message("%u parameters, %u of them finite, as the CPU's\n", count, gates);
    assert_true(count > 100 && gates <= 8); /* SRU's gamma and beta; biases that float16 holds */
    hold(&j, &frame);
    fg_judged_close(&j);
    backend->close(backend);
}

/* The same on the way through a bundle: refused where it is loaded, or by the self-test. */
static void test_not_finite_bundle(void **state) {
    (void)state;
    static const float values[] = {NAN, INFINITY, 1e6f};
    struct fg_backend *backend = fg_judged_cuda(1, 0, kept);
    static struct fg_judged_parameter parameter[FG_NETWORK_PARAMS];
    fg_judged_parameters(backend, parameter);
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        struct fg_judged j;
        struct fg_judgement judgement;
        fg_judged_write(changed, parameter[0].index, values[v]);
        const enum fg_status status = fg_judged_open(&j, changed, backend, false, &message);
        if (status == FG_OK) {
            ok(fg_judged_frame(&j, &frame, &judgement, &message));
            assert_false(judgement.finite);
            fg_judged_close(&j);
        } else {
            assert_int_equal(status, FG_INPUT);
        }
    }
    backend->close(backend);
}

/* ---- Memory, and what is kept ---- */

static void test_nothing_is_taken(void **state) {
    (void)state;
    struct fg_backend *backend = fg_judged_cuda(3, 0, kept);
    struct fg_judged j;
    struct fg_judgement judgement;
    ok(fg_judged_open(&j, good, backend, true, &message));
    ok(fg_judged_frame(&j, &frame, &judgement, &message));
    const size_t bytes = fg_fake_bytes();
    char before[256], after[256];
    fg_fake_left(before, sizeof before);
    for (int i = 0; i < PARTS; i++)
        ok(fg_judged_frame(&j, &frame, &judgement, &message));
    fg_fake_left(after, sizeof after);
    assert_int_equal(fg_fake_bytes(), bytes);
    assert_string_equal(after, before);
    fg_judged_close(&j);
    backend->close(backend);
}

/* The camera's frames and the self-test's picture have a graph each, made before the first part. */
static void test_recordings(void **state) {
    (void)state;
    static uint8_t pixels[FG_JUDGED_WIDTH * FG_JUDGED_HEIGHT * 3];
    const struct fg_frame largest = {.pixels = pixels,
                                     .width = FG_JUDGED_WIDTH,
                                     .height = FG_JUDGED_HEIGHT,
                                     .format = FG_RGB8,
                                     .pitch = FG_JUDGED_WIDTH * 3};
    struct fg_backend *backend = fg_judged_cuda(3, 0, kept);
    struct fg_judged j;
    draw(pixels, sizeof pixels, 9);
    ok(fg_judged_open(&j, good, backend, true, &message));
    uint64_t captures = fg_fake_captures();
    hold(&j, &largest);
    assert_int_equal(fg_fake_captures(), captures);
    ok(fg_engine_self_test(j.engine, &message)); /* its second run for this picture's shape: captured */
    captures = fg_fake_captures();
    for (uint32_t i = 0; i < 3; i++) {
        draw(pixels, sizeof pixels / (i + 2), i);
        hold(&j, &largest);
        ok(fg_engine_self_test(j.engine, &message));
    }
    assert_int_equal(fg_fake_captures(), captures);
    /* A third shape takes the place of the one that was used before the last. */
    for (uint32_t i = 0; i < 3; i++) {
        draw(picture, sizeof picture / (i + 2), i);
        const struct fg_frame smaller = {
            .pixels = picture, .width = 60, .height = 60, .format = FG_GREY8, .pitch = 60};
        hold(&j, &smaller);
        ok(fg_engine_self_test(j.engine, &message));
    }
    assert_int_equal(fg_fake_captures(), captures + 1);
    fg_judged_close(&j);
    backend->close(backend);
}

/* Opens an engine whose choices may be kept; whether engines were measured for it. */
static bool measures(const char *folder) {
    struct fg_backend *backend = fg_judged_cuda(1, FG_JUDGED_TUNE, folder);
    struct fg_judged j;
    struct fg_judgement judgement;
    const uint64_t before = fg_fake_runs(FG_FAKE_PLAIN);
    ok(fg_judged_open(&j, good, backend, true, &message));
    const uint64_t opening = fg_fake_runs(FG_FAKE_PLAIN) - before;
    ok(fg_judged_frame(&j, &frame, &judgement, &message));
    const uint64_t one = fg_fake_runs(FG_FAKE_PLAIN) - before - opening;
    fg_judged_close(&j);
    backend->close(backend);
    return opening > 6 * one; /* the self-test and four first runs, and probes of some */
}

static void test_kept_choices(void **state) {
    (void)state;
    char folder[] = "/tmp/flawgate-test-XXXXXX", path[512];
    assert_non_null(mkdtemp(folder));
    /* Without time the first that works is kept: the next load takes it, whatever time it has. */
    struct fg_backend *hurried = fg_judged_cuda(1, 0, folder);
    struct fg_judged j;
    ok(fg_judged_open(&j, good, hurried, true, &message));
    fg_judged_close(&j);
    hurried->close(hurried);
    assert_true(find_choices(folder, path, sizeof path) > 1000);
    assert_false(measures(folder));
    unlink(path);
    assert_true(measures(folder));
    assert_false(measures(folder));
    const long size = find_choices(folder, path, sizeof path);
    assert_true(size > 1000);
    /* Damage at any place is found; what is measured again replaces it. */
    for (long at = 0; at < size; at += size / DAMAGES) {
        FILE *file = fopen(path, "r+e");
        fseek(file, at, SEEK_SET);
        const int byte = fgetc(file);
        fseek(file, at, SEEK_SET);
        fputc(byte ^ 0x20, file);
        fclose(file);
        assert_true(measures(folder));
        assert_false(measures(folder));
    }
    for (long length = 0; length < size; length += 1 + size / DAMAGES) {
        assert_int_equal(truncate(path, length), 0);
        assert_true(measures(folder));
        assert_false(measures(folder));
    }
    /* Another cuDNN: engines are measured again, and kept for that one. */
    fg_fake_update(1);
    assert_true(measures(folder));
    assert_false(measures(folder));
    fg_fake_update(0);
    remove_folder(folder);
}

/* A cuDNN whose ReLU makes 0 of NaN: the ReLU is a kernel of its own, also where choices were kept. */
static void test_relu_apart(void **state) {
    (void)state;
    char folder[] = "/tmp/flawgate-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    fg_fake_relu_drops(1);
    assert_true(measures(folder));
    assert_false(measures(folder));
    struct fg_backend *backend = fg_judged_cuda(1, 0, folder);
    static struct fg_judged_parameter parameter[FG_NETWORK_PARAMS];
    const uint32_t count = fg_judged_parameters(backend, parameter);
    struct fg_judged j;
    ok(fg_judged_open(&j, good, backend, true, &message));
    draw(picture, sizeof picture, 6);
    hold(&j, &frame);
    for (uint32_t i = 0; i < count; i += 32)
        assert_false(judge_with(&j, &parameter[i].place, NAN).finite);
    fg_judged_close(&j);
    backend->close(backend);
    fg_fake_relu_drops(0);
    remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_score_is_the_cpus), cmocka_unit_test(test_wide_pitch),
        cmocka_unit_test(test_deadline),          cmocka_unit_test(test_hang),
        cmocka_unit_test(test_not_finite),        cmocka_unit_test(test_not_finite_bundle),
        cmocka_unit_test(test_nothing_is_taken),  cmocka_unit_test(test_recordings),
        cmocka_unit_test(test_kept_choices),      cmocka_unit_test(test_relu_apart),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
