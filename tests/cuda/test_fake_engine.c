/* The engine on the CUDA backend, over the fake device: parts judged as the CPU judges them, whatever the order in which
 * the device does what it may; frames wherever they lie; deadlines; what is not finite; memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "tests/cuda/fake.h"
#include "tests/cuda/judged.h"

static struct fg_message message;
static char good[64], changed[64];
static struct fg_backend *cpu;
static struct fg_judged expected;

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s (last refusal: %s)", message.text, fg_fake_refusal());
}

static int set_up(void **state) {
    (void)state;
    snprintf(good, sizeof good, "/tmp/flawgate-test-%d.fgb", (int)getpid());
    snprintf(changed, sizeof changed, "/tmp/flawgate-test-%d-changed.fgb", (int)getpid());
    fg_judged_write(good, -1, 0);
    ok(fg_cpu_open(1, 1, &cpu, &message));
    ok(fg_judged_open(&expected, good, cpu, true, &message));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    fg_judged_close(&expected);
    cpu->close(cpu);
    unlink(good);
    unlink(changed);
    return 0;
}

/* Noise, whose strength grows from the first byte to the last: no two parts of it look alike. */
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
        fail_msg("frame of %dx%dx%d: score %g, the CPU's is %g; its map differs by %g", frame->width,
                 frame->height, frame->channels, (double)a.score, (double)b.score, (double)off);
    if (difference(before, map) < 0.04f)
        fail_msg("two frames are too much alike to be told apart: %g", (double)difference(before, map));
    memcpy(before, map, sizeof before);
}

/* Frames of changing size in pageable memory, and in pinned memory at changing addresses, the last one's last row at the
 * block's end, with a pitch. */
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
    const struct fg_frame frames[] = {
        {p, 64, 64, 3, 64 * 3}, {p + 999, 64, 64, 3, 64 * 3}, /* only the place changes */
        {p, 64, 64, 3, 64 * 3}, {pageable, W, H, 3, W * 3},   {p, 64, 64, 1, 64},
        {p, 50, 71, 3, PITCH},  {p + 3, 50, 70, 3, PITCH},    {pageable, 37, 29, 1, W},
    };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++)
        hold(j, &frames[i]);
    backend->release(backend, pinned);
}

static void test_score_is_the_cpus(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++)
        for (uint32_t lanes = 1; lanes <= 3; lanes += 2) {
            fg_fake_seed(seed);
            fg_fake_fail(0, FG_FAKE_LOST);
            /* Without measurements nothing waits for the weights but what has to. */
            struct fg_backend *backend = fg_judged_cuda(lanes, seed == 1 ? 0 : FG_JUDGED_TUNE, NULL);
            struct fg_judged j;
            ok(fg_judged_open(&j, good, backend, true, &message));
            judge_frames(&j);
            fg_judged_close(&j);
            backend->close(backend);
            fg_judged_nothing_left();
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_score_is_the_cpus),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
