/* RESIZE: pictures come out to the byte as Pillow's, whatever their layout in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/reference/bench.h"
#include "tests/reference/reference.h"

static struct fg_backend *backends[4]; /* the CPU with 1, 2 and 3 threads, and the reference */

struct size {
    int32_t h, w, c, spare; /* spare: bytes behind each row */
};

static size_t pitch_of(struct size s) {
    return (size_t)s.w * (size_t)s.c + (size_t)s.spare;
}

static uint8_t *make(size_t bytes) {
    uint8_t *block = malloc(bytes);
    assert_non_null(block);
    memset(block, 0xA5, bytes);
    return block;
}

/* The frame resized to h x w, RGB; the caller frees it. */
static uint8_t *resized(struct fg_backend *backend, uint8_t *frame, struct size s, int32_t h, int32_t w) {
    uint8_t *out = make((size_t)h * (size_t)w * 3);
    const struct fg_tensor in = {FG_U8, 1, s.h, s.w, s.c, FG_REGION_FRAME, 0},
                           picture = {FG_U8, 1, h, w, 3, FG_REGION_IO, 0};
    struct fg_step step = {.op = FG_RESIZE, .pitch = pitch_of(s), .in = {&in}, .out = {&picture}};
    const struct fg_kernel *kernel = &backend->kernel[FG_RESIZE];
    assert_true(kernel->supports(backend, &step));
    step.workspace_bytes = kernel->workspace ? kernel->workspace(backend, &step) : 0;
    struct fg_memory memory = {{NULL}};
    memory.region[FG_REGION_FRAME] = frame;
    memory.region[FG_REGION_IO] = out;
    memory.region[FG_REGION_WORKSPACE] = make(step.workspace_bytes + 1);
    const struct fg_program program = {.step = &step, .steps = 1, .lanes = 1};
    assert_int_equal(fg_backend_run(backend, &program, &memory, NULL), FG_OK);
    free(memory.region[FG_REGION_WORKSPACE]);
    return out;
}

/* A picture by a formula; the spare bytes behind its rows are not part of it. */
static uint8_t *patterned(struct size s) {
    uint8_t *frame = make((size_t)s.h * pitch_of(s));
    for (int32_t y = 0; y < s.h; y++) {
        for (int32_t x = 0; x < s.w; x++) {
            for (int32_t k = 0; k < s.c; k++) {
                frame[(size_t)y * pitch_of(s) + (size_t)(x * s.c + k)] =
                    (uint8_t)(y * 53 + x * x * 29 + k * 97 + y * x * 7);
            }
        }
    }
    return frame;
}

/* Values computed with Pillow 11.1: Image.resize((4, 3), BILINEAR) and Image.resize((8, 4), BILINEAR). */
static void values_are_pillows(void **state) {
    (void)state;
    static const uint8_t colour[3 * 4 * 3] = {92,  149, 130, 110, 134, 135, 127, 135, 130, 113, 100, 121,
                                              139, 117, 140, 136, 132, 151, 132, 133, 148, 136, 136, 117,
                                              91,  138, 108, 127, 130, 123, 157, 147, 123, 158, 124, 126};
    static const uint8_t grey[4 * 8] = {13,  15,  27,  39,  61,  94,  128, 133, 75,  78,  92,
                                        107, 132, 169, 205, 211, 137, 140, 158, 175, 176, 159,
                                        143, 140, 199, 191, 139, 88,  72,  90,  108, 111};
    for (int b = 0; b < 4; b++) {
        for (int32_t spare = 0; spare < 6; spare += 5) { /* the pitch is honoured */
            uint8_t *frame = patterned((struct size){7, 11, 3, spare});
            uint8_t *out = resized(backends[b], frame, (struct size){7, 11, 3, spare}, 3, 4);
            assert_memory_equal(out, colour, sizeof colour);
            free(frame);
            free(out);
            frame = patterned((struct size){5, 3, 1, spare});
            out = resized(backends[b], frame, (struct size){5, 3, 1, spare}, 4, 8);
            for (size_t i = 0; i < sizeof grey; i++) { /* grey is repeated */
                assert_int_equal(out[i * 3], grey[i]);
                assert_int_equal(out[i * 3 + 1], grey[i]);
                assert_int_equal(out[i * 3 + 2], grey[i]);
            }
            free(frame);
            free(out);
        }
    }
}

static void the_same_size_changes_nothing(void **state) {
    (void)state;
    const struct size s = {9, 13, 3, 0};
    uint8_t *frame = patterned(s);
    for (int b = 0; b < 4; b++) {
        uint8_t *out = resized(backends[b], frame, s, s.h, s.w);
        assert_memory_equal(out, frame, (size_t)(s.h * s.w * s.c));
        free(out);
    }
    free(frame);
}

static void drawn_sizes_equal_the_reference(void **state) {
    (void)state;
    struct fg_bench draw;
    fg_bench_open(&draw, 11);
    for (int r = 0; r < 60; r++) {
        const int32_t most = r % 2 ? 90 : 7;
        const struct size s = {fg_bench_pick(&draw, 1, most), fg_bench_pick(&draw, 1, most), r % 3 ? 3 : 1,
                               fg_bench_pick(&draw, 0, 9)};
        const int32_t h = r % 5 == 0 ? s.h : fg_bench_pick(&draw, 1, 40),
                      w = r % 5 == 1 ? s.w : fg_bench_pick(&draw, 1, r % 7 ? 40 : 120);
        const bool constant = r % 4 == 0; /* stays constant */
        uint8_t *frame = make((size_t)s.h * pitch_of(s));
        const uint8_t level = (uint8_t)fg_bench_pick(&draw, 0, 255);
        for (size_t i = 0; i < (size_t)s.h * pitch_of(s); i++) {
            frame[i] = constant ? level : (uint8_t)fg_bench_pick(&draw, 0, 255);
        }
        uint8_t *expected = resized(backends[3], frame, s, h, w);
        uint8_t *out = resized(backends[r % 3], frame, s, h, w);
        assert_memory_equal(out, expected, (size_t)h * (size_t)w * 3);
        for (size_t i = 0; constant && i < (size_t)h * (size_t)w * 3; i++) {
            assert_int_equal(out[i], level);
        }
        free(frame);
        free(expected);
        free(out);
    }
    fg_bench_close(&draw);
}

static int open_backends(void **state) {
    (void)state;
    for (uint32_t threads = 1; threads <= 3; threads++) {
        if (fg_cpu_open(threads, 1, &backends[threads - 1], NULL) != FG_OK) {
            return -1;
        }
    }
    return fg_reference_open(&backends[3], NULL) == FG_OK ? 0 : -1;
}

static int close_backends(void **state) {
    (void)state;
    for (int b = 0; b < 4; b++) {
        backends[b]->close(backends[b]);
    }
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_pillows),
        cmocka_unit_test(the_same_size_changes_nothing),
        cmocka_unit_test(drawn_sizes_equal_the_reference),
    };
    return cmocka_run_group_tests(tests, open_backends, close_backends);
}
