/* RESIZE: pictures come out to the byte as Pillow's, whatever their layout in memory and their
 * pixel format. */
#include <math.h>
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
    int32_t h, w;
    enum fg_pixel_format format;
    int32_t spare; /* bytes behind each row */
    int32_t more;  /* frames behind the first */
    struct fg_region region;
    int32_t rotation;
};

static size_t pitch_of(struct size s) {
    return fg_pixel_row_bytes(s.format, s.w) + (size_t)s.spare;
}

static size_t bytes_of(struct size s) {
    return (size_t)(s.more + 1) * fg_pixel_frame_bytes(s.format, s.h, pitch_of(s));
}

static uint8_t *make(size_t bytes) {
    uint8_t *block = malloc(bytes);
    assert_non_null(block);
    memset(block, 0xA5, bytes);
    return block;
}

/* What is seen of the frames resized to h x w, RGB; the caller frees them. */
static uint8_t *resized(struct fg_backend *backend, uint8_t *frame, struct size s, int32_t h, int32_t w) {
    const int32_t n = s.more + 1;
    uint8_t *out = make((size_t)(n * h * w) * 3);
    struct fg_tensor in = {.dtype = FG_U8, .n = n, .h = s.h, .w = s.w, .c = 3, .segment = FG_SEGMENT_FRAME};
    const struct fg_tensor picture = {
        .dtype = FG_U8, .n = n, .h = h, .w = w, .c = 3, .segment = FG_SEGMENT_IO};
    struct fg_step step = {
        .op = FG_RESIZE, .pitch = pitch_of(s), .format = FG_RGB8, .in = {&in}, .out = {&picture}};
    const struct fg_kernel *kernel = &backend->kernel[FG_RESIZE];
    /* What is planned for RGB is enough for all formats. */
    step.workspace_bytes = kernel->workspace ? kernel->workspace(backend, &step) : 0;
    step.format = s.format;
    step.region = s.region;
    step.rotation = s.rotation;
    in.c = fg_pixel_channels(s.format);
    assert_true(kernel->supports(backend, &step));
    struct fg_memory memory = {{NULL}};
    memory.segment[FG_SEGMENT_FRAME] = frame;
    memory.segment[FG_SEGMENT_IO] = out;
    memory.segment[FG_SEGMENT_WORKSPACE] = make(step.workspace_bytes + 1);
    const struct fg_program program = {.step = &step, .steps = 1, .lanes = 1};
    assert_int_equal(fg_backend_run(backend, &program, &memory, NULL), FG_OK);
    free(memory.segment[FG_SEGMENT_WORKSPACE]);
    return out;
}

/* A picture by a formula; the spare bytes behind its rows do not belong to it. */
static uint8_t *patterned(struct size s) {
    uint8_t *frame = make(bytes_of(s));
    const int32_t c = fg_pixel_channels(s.format);
    for (int32_t y = 0; y < s.h; y++) {
        for (int32_t x = 0; x < s.w; x++) {
            for (int32_t k = 0; k < c; k++) {
                frame[(size_t)y * pitch_of(s) + (size_t)(x * c + k)] =
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
            const struct size rgb = {.h = 7, .w = 11, .format = FG_RGB8, .spare = spare},
                              one = {.h = 5, .w = 3, .format = FG_GREY8, .spare = spare};
            uint8_t *frame = patterned(rgb);
            uint8_t *out = resized(backends[b], frame, rgb, 3, 4);
            assert_memory_equal(out, colour, sizeof colour);
            free(frame);
            free(out);
            frame = patterned(one);
            out = resized(backends[b], frame, one, 4, 8);
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
    const struct size s = {.h = 9, .w = 13, .format = FG_RGB8};
    uint8_t *frame = patterned(s);
    for (int b = 0; b < 4; b++) {
        uint8_t *out = resized(backends[b], frame, s, s.h, s.w);
        assert_memory_equal(out, frame, (size_t)(s.h * s.w) * 3);
        free(out);
    }
    free(frame);
}

/* A size near it that the format can have. */
static struct size legal(struct size s) {
    if (fg_pixel_lacks(s.format, s.w, s.h)) {
        s.w += s.w % 2;
        s.h += s.h % 2;
    }
    return s;
}

static uint8_t *drawn(struct fg_bench *draw, struct size s) {
    uint8_t *frame = make(bytes_of(s));
    for (size_t i = 0; i < bytes_of(s); i++)
        frame[i] = (uint8_t)fg_bench_pick(draw, 0, 255);
    /* Upper bytes of 10 and 12 bits: now and then with bits that should be zero. */
    for (size_t i = 0; i < bytes_of(s) && s.format >= FG_RGGB10; i++)
        if ((i % pitch_of(s)) % 2 && fg_bench_pick(draw, 0, 50))
            frame[i] &= (uint8_t)((1 << (fg_pixel_bayer_bits(s.format) - 8)) - 1);
    return frame;
}

/* Any region of such a frame and any rotation of it. */
static struct size draw_view(struct fg_bench *draw, struct size s) {
    s.region.width = fg_bench_pick(draw, 1, s.w);
    s.region.height = fg_bench_pick(draw, 1, s.h);
    s.region.x = fg_bench_pick(draw, 0, s.w - s.region.width);
    s.region.y = fg_bench_pick(draw, 0, s.h - s.region.height);
    s.rotation = fg_bench_pick(draw, 0, 3) * 90;
    return s;
}

static void drawn_sizes_equal_the_reference(void **state) {
    (void)state;
    struct fg_bench draw;
    fg_bench_open(&draw, 11);
    for (int r = 0; r < 60 * FG_PIXEL_FORMATS; r++) {
        const int32_t most = r % 3 ? 90 : 7, widest = r % 5 ? most : 700;
        struct size s = legal((struct size){.h = fg_bench_pick(&draw, 1, most),
                                            .w = fg_bench_pick(&draw, 1, widest),
                                            .format = (enum fg_pixel_format)(r % FG_PIXEL_FORMATS),
                                            .spare = fg_bench_pick(&draw, 0, 9),
                                            .more = fg_bench_pick(&draw, 0, 1)});
        if (r / FG_PIXEL_FORMATS % 3)
            s = draw_view(&draw, s);
        const int32_t h = fg_bench_pick(&draw, 0, 3) ? fg_bench_pick(&draw, 1, 40) : s.h,
                      w = fg_bench_pick(&draw, 0, 3) ? fg_bench_pick(&draw, 1, r % 7 ? 40 : 120) : s.w;
        uint8_t *frame = drawn(&draw, s);
        uint8_t *expected = resized(backends[3], frame, s, h, w);
        uint8_t *out = resized(backends[fg_bench_pick(&draw, 0, 2)], frame, s, h, w);
        assert_memory_equal(out, expected, (size_t)((s.more + 1) * h * w) * 3);
        free(frame);
        free(expected);
        free(out);
    }
    fg_bench_close(&draw);
}

/* A picture {h, w, 3} a quarter clockwise. */
static uint8_t *turned(const uint8_t *picture, int32_t h, int32_t w) {
    uint8_t *out = make((size_t)(h * w) * 3);
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++)
            memcpy(out + (x * h + h - 1 - y) * 3, picture + (y * w + x) * 3, 3);
    return out;
}

/* What the step's definition says, done by hand: the frame to RGB, the region cut, rotated, and then resized.
 */
static void a_region_is_cut_from_what_is_seen(void **state) {
    (void)state;
    struct fg_bench draw;
    fg_bench_open(&draw, 17);
    for (int r = 0; r < 8 * FG_PIXEL_FORMATS; r++) {
        const struct size whole = legal((struct size){.h = fg_bench_pick(&draw, 2, 60),
                                                      .w = fg_bench_pick(&draw, 2, 400),
                                                      .format = (enum fg_pixel_format)(r % FG_PIXEL_FORMATS),
                                                      .spare = fg_bench_pick(&draw, 0, 3)}),
                          view = draw_view(&draw, whole);
        const struct fg_region region = view.region;
        uint8_t *frame = drawn(&draw, whole), *rgb = resized(backends[r % 4], frame, whole, whole.h, whole.w),
                *piece = make((size_t)(region.height * region.width) * 3);
        for (int32_t y = 0; y < region.height; y++)
            memcpy(piece + y * region.width * 3, rgb + ((region.y + y) * whole.w + region.x) * 3,
                   (size_t)region.width * 3);
        int32_t h = region.height, w = region.width;
        for (int32_t turn = 0; turn < view.rotation / 90; turn++) {
            uint8_t *next = turned(piece, h, w);
            free(piece);
            piece = next;
            const int32_t last = h;
            h = w;
            w = last;
        }
        const int32_t out_h = r % 5 ? fg_bench_pick(&draw, 1, 50) : h,
                      out_w = r % 3 ? fg_bench_pick(&draw, 1, 50) : w;
        uint8_t *expected =
            resized(backends[0], piece, (struct size){.h = h, .w = w, .format = FG_RGB8}, out_h, out_w);
        for (int b = 0; b < 4; b++) {
            uint8_t *out = resized(backends[b], frame, view, out_h, out_w);
            assert_memory_equal(out, expected, (size_t)(out_h * out_w) * 3);
            free(out);
        }
        free(frame);
        free(rgb);
        free(piece);
        free(expected);
    }
    fg_bench_close(&draw);
}

static void regions_and_rotations_that_there_are_not(void **state) {
    (void)state;
    static const struct {
        struct fg_region region;
        int32_t rotation;
        bool supported;
    } cases[] = {
        {{0, 0, 0, 0}, 0, true},   {{0, 0, 8, 6}, 270, true},          {{7, 5, 1, 1}, 90, true},
        {{1, 0, 8, 6}, 0, false},  {{0, 1, 8, 6}, 0, false},           {{-1, 0, 4, 4}, 0, false},
        {{0, -1, 4, 4}, 0, false}, {{2, 2, 0, 4}, 0, false},           {{2, 2, 4, 0}, 0, false},
        {{2, 2, -1, 4}, 0, false}, {{INT32_MAX, 0, 2, 2}, 0, false},   {{2, 2, INT32_MAX, 2}, 0, false},
        {{0, 0, 0, 0}, 45, false}, {{0, 0, 0, 0}, 360, false},         {{0, 0, 0, 0}, -90, false},
        {{0, 0, 0, 0}, 180, true}, {{2, 2, 2, INT32_MAX}, 180, false}, {{0, 6, 1, 1}, 0, false},
    };
    const struct fg_tensor in = {.dtype = FG_U8, .n = 1, .h = 6, .w = 8, .c = 3, .segment = FG_SEGMENT_FRAME},
                           out = {.dtype = FG_U8, .n = 1, .h = 8, .w = 8, .c = 3, .segment = FG_SEGMENT_IO};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct fg_step step = {.op = FG_RESIZE,
                                     .pitch = 24,
                                     .format = FG_RGB8,
                                     .region = cases[i].region,
                                     .rotation = cases[i].rotation,
                                     .in = {&in},
                                     .out = {&out}};
        assert_int_equal(backends[0]->kernel[FG_RESIZE].supports(backends[0], &step), cases[i].supported);
    }
}

static void constant_stays_constant(void **state) {
    (void)state;
    struct fg_bench draw;
    fg_bench_open(&draw, 13);
    for (int r = 0; r < 40; r++) {
        const struct size s = {.h = fg_bench_pick(&draw, 1, 90),
                               .w = fg_bench_pick(&draw, 1, 90),
                               .format = r % 2 ? FG_RGB8 : FG_GREY8};
        const int32_t h = fg_bench_pick(&draw, 1, 40), w = fg_bench_pick(&draw, 1, 120);
        const uint8_t level = (uint8_t)fg_bench_pick(&draw, 0, 255);
        uint8_t *frame = make(bytes_of(s));
        memset(frame, level, bytes_of(s));
        uint8_t *out = resized(backends[r % 4], frame, s, h, w);
        for (size_t i = 0; i < (size_t)(h * w) * 3; i++)
            assert_int_equal(out[i], level);
        free(frame);
        free(out);
    }
    fg_bench_close(&draw);
}

/* ---- Formats ---- */

/* The frame in its own size. */
static uint8_t *seen(struct fg_backend *backend, uint8_t *frame, struct size s) {
    return resized(backend, frame, s, s.h, s.w);
}

static void yuv_of_known_colours(void **state) {
    (void)state;
    /* Black, white, the primaries and two greys; below black and above white are clipped. */
    static const uint8_t known[][6] = {
        {16, 128, 128, 0, 0, 0},  {235, 128, 128, 255, 255, 255}, {81, 90, 240, 254, 0, 0},
        {145, 54, 34, 0, 255, 1}, {41, 240, 110, 0, 0, 255},      {126, 128, 128, 128, 128, 128},
        {0, 128, 128, 0, 0, 0},   {255, 128, 128, 255, 255, 255}, {17, 128, 128, 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const uint8_t y = known[i][0], u = known[i][1], v = known[i][2];
        uint8_t yuyv[4] = {y, u, 16, v}, nv12[6] = {16, 16, 16, y, u, v};
        for (int b = 0; b < 4; b++) {
            uint8_t *out = seen(backends[b], yuyv, (struct size){.h = 1, .w = 2, .format = FG_YUYV});
            assert_memory_equal(out, known[i] + 3, 3);
            free(out);
            out = seen(backends[b], nv12, (struct size){.h = 2, .w = 2, .format = FG_NV12});
            assert_memory_equal(out + 9, known[i] + 3, 3);
            free(out);
        }
    }
}

/* BT.601 in real numbers, over the whole cube: no more than rounding apart. */
static void yuv_is_bt601(void **state) {
    (void)state;
    const struct size s = {.h = 52 * 52, .w = 52 * 2, .format = FG_YUYV};
    uint8_t *frame = make(bytes_of(s));
    for (int32_t i = 0; i < s.h * s.w; i++) { /* a row has one u and v and every fifth y twice */
        frame[2 * i] = (uint8_t)(i % s.w / 2 * 5);
        frame[2 * i + 1] = (uint8_t)((i % 2 ? i / s.w % 52 : i / s.w / 52) * 5);
    }
    uint8_t *out = seen(backends[1], frame, s);
    for (int32_t i = 0; i < s.h * s.w; i++) {
        const uint8_t *pair = frame + i / 2 * 4;
        const double y = (frame[2 * i] - 16) / 219.0, u = (pair[1] - 128) / 224.0,
                     v = (pair[3] - 128) / 224.0;
        const double red = y + 1.402 * v, blue = y + 1.772 * u,
                     colour[3] = {red, (y - 0.299 * red - 0.114 * blue) / 0.587, blue};
        for (int k = 0; k < 3; k++)
            assert_true(fabs(fmin(fmax(255 * colour[k], 0), 255) - out[3 * i + k]) < 0.502);
    }
    free(frame);
    free(out);
}

/* A Bayer frame of a colour each place of which is given by plane: three numbers for 1, y and x. */
static uint8_t *mosaic(struct size s, const int32_t plane[3][3]) {
    static const char colours[] = "rgb";
    uint8_t *frame = make(bytes_of(s));
    for (int32_t i = 0; i < s.h * s.w; i++) {
        const int32_t y = i / s.w, x = i % s.w;
        const int32_t *of = plane[strchr(colours, fg_pixel_name(s.format)[y % 2 * 2 + x % 2]) - colours];
        const int32_t value = of[0] + y * of[1] + x * of[2];
        uint8_t *row = frame + (size_t)y * pitch_of(s);
        if (fg_pixel_bayer_bits(s.format) == 8) {
            row[x] = (uint8_t)value;
        } else {
            row[2 * x] = (uint8_t)value;
            row[2 * x + 1] = (uint8_t)(value >> 8);
        }
    }
    return frame;
}

static void flat_bayer_is_flat(void **state) {
    (void)state;
    static const struct { int32_t h, w; } sizes[] = {{2, 2}, {2, 3}, {3, 2}, {5, 7}, {8, 6}};
    for (int format = FG_RGGB8; format < FG_PIXEL_FORMATS; format++) {
        const int32_t bits = fg_pixel_bayer_bits((enum fg_pixel_format)format), unit = 1 << (bits - 8);
        const int32_t plane[3][3] = {{(1 << bits) - 1, 0, 0}, {100 * unit, 0, 0}, {7 * unit, 0, 0}};
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            const struct size s = {.h = sizes[i].h,
                                   .w = sizes[i].w,
                                   .format = (enum fg_pixel_format)format,
                                   .spare = (int32_t)i};
            uint8_t *frame = mosaic(s, plane), *out = seen(backends[i % 4], frame, s);
            for (int32_t k = 0; k < s.h * s.w * 3; k++)
                assert_int_equal(out[k], ((int[]){255, 100, 7})[k % 3]);
            free(frame);
            free(out);
        }
    }
}

/* Bilinear interpolation goes through a slope; at an edge the mirror bends it. */
static void bayer_keeps_slopes(void **state) {
    (void)state;
    for (int format = FG_RGGB8; format < FG_PIXEL_FORMATS; format++) {
        const struct size s = {.h = 12, .w = 15, .format = (enum fg_pixel_format)format, .spare = 3};
        const int32_t unit = 1 << (fg_pixel_bayer_bits(s.format) - 8);
        const int32_t plane[3][3] = {
            {10 * unit, 2 * unit, 4 * unit}, {200 * unit, -3 * unit, unit}, {90 * unit, unit, -5 * unit}};
        uint8_t *frame = mosaic(s, plane), *out = seen(backends[format % 4], frame, s);
        for (int32_t y = 1; y < s.h - 1; y++)
            for (int32_t x = 1; x < s.w - 1; x++)
                for (int32_t k = 0; k < 3; k++)
                    assert_int_equal(out[(y * s.w + x) * 3 + k] * unit,
                                     plane[k][0] + y * plane[k][1] + x * plane[k][2]);
        free(frame);
        free(out);
    }
}

static void sizes_that_a_format_cannot_have(void **state) {
    (void)state;
    static const struct {
        enum fg_pixel_format format;
        int32_t h, w, c;
        bool supported;
    } cases[] = {
        {FG_YUYV, 3, 4, 3, true},   {FG_YUYV, 4, 3, 3, false},  {FG_YUYV, 4, 4, 1, false},
        {FG_NV12, 4, 6, 3, true},   {FG_NV12, 4, 5, 3, false},  {FG_NV12, 3, 6, 3, false},
        {FG_RGGB8, 3, 5, 3, true},  {FG_BGGR12, 2, 2, 3, true}, {FG_GRBG10, 1, 6, 3, false},
        {FG_GBRG8, 6, 1, 3, false}, {FG_RGB8, 1, 1, 3, true},   {FG_RGB8, 1, 1, 1, false},
        {FG_GREY8, 1, 1, 1, true},  {FG_GREY8, 1, 1, 3, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct fg_tensor in = {.dtype = FG_U8,
                                     .n = 1,
                                     .h = cases[i].h,
                                     .w = cases[i].w,
                                     .c = cases[i].c,
                                     .segment = FG_SEGMENT_FRAME},
                               out = {
                                   .dtype = FG_U8, .n = 1, .h = 8, .w = 8, .c = 3, .segment = FG_SEGMENT_IO};
        const struct fg_step step = {
            .op = FG_RESIZE, .pitch = 64, .format = cases[i].format, .in = {&in}, .out = {&out}};
        assert_int_equal(backends[0]->kernel[FG_RESIZE].supports(backends[0], &step), cases[i].supported);
    }
    assert_int_equal(fg_pixel_row_bytes(FG_NV12, 6), 6);
    assert_int_equal(fg_pixel_row_bytes(FG_YUYV, 6), 12);
    assert_int_equal(fg_pixel_row_bytes(FG_GREY8, 6), 6);
    assert_int_equal(fg_pixel_row_bytes(FG_BGGR8, 6), 6);
    assert_int_equal(fg_pixel_row_bytes(FG_RGGB10, 6), 12);
    assert_int_equal(fg_pixel_frame_bytes(FG_NV12, 4, 10), 60);
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
        cmocka_unit_test(a_region_is_cut_from_what_is_seen),
        cmocka_unit_test(regions_and_rotations_that_there_are_not),
        cmocka_unit_test(constant_stays_constant),
        cmocka_unit_test(yuv_of_known_colours),
        cmocka_unit_test(yuv_is_bt601),
        cmocka_unit_test(flat_bayer_is_flat),
        cmocka_unit_test(bayer_keeps_slopes),
        cmocka_unit_test(sizes_that_a_format_cannot_have),
    };
    return cmocka_run_group_tests(tests, open_backends, close_backends);
}
