/* Products of numbers of 8 bits against the formula of kernels/step.h, bit by bit: every edge of a tile,
 * every way that A and C can lie, and that nothing but C is written. All sets have the formula's bits, so
 * they have each other's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/gemm/gemm8.h"
#include "kernels/philox.h"

#define MOST 130 /* rows or columns of a product here: more than a block */
#define DEEP 600
#define GAP 5 /* values between rows that belong to nobody */
#define SIZE ((size_t)MOST * (MOST + GAP) * 2)
#define CANARY 0x5a

static uint8_t a[MOST * (DEEP + GAP)];
static int8_t b[MOST * DEEP];
static float scale[MOST], bias[MOST], residual[SIZE], c[SIZE];
static void *packed;
static uint32_t drawn;

static uint32_t draw(void) {
    return fg_philox(1, drawn++, 0, 0, 0).word[0];
}

static float draw_float(float low, float high) {
    return low + (high - low) * fg_philox_uniform(draw());
}

static int set_up(void **state) {
    (void)state;
    struct fg_message message;
    if (fg_gemm_check(&message) != FG_OK) {
        print_error("%s\n", message.text);
        return -1;
    }
    print_message("kernels: %s %s\n", fg_gemm_set()->name, fg_gemm8_set()->name);
    for (size_t i = 0; i < sizeof a; i++)
        a[i] = (uint8_t)draw();
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (int8_t)((int)(draw() % 255) - 127);
    for (size_t i = 0; i < MOST; i++) {
        scale[i] = draw_float(0.5e-5f, 1e-5f);
        bias[i] = draw_float(-1, 1);
    }
    packed = aligned_alloc(FG_ALIGNMENT, fg_gemm8_bytes(MOST, DEEP));
    return packed ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    free(packed);
    return 0;
}

/* A product, and how its B was packed. */
struct trial {
    struct fg_gemm8 p;
    struct fg_gemm8_weights w;
};

/* Where row r of C begins. */
static size_t down(const struct fg_gemm8 *p, size_t r) {
    return p->line ? r / p->line * p->c_line + r % p->line * p->c_stride : r * p->c_stride;
}

static int32_t find_sum(const struct trial *t, size_t r, size_t column) {
    const struct fg_gemm8 *p = &t->p;
    const size_t run = t->w.run;
    int32_t sum = 0;
    for (size_t k = 0; k < t->w.runs * run; k++) {
        const int element = p->a ? p->a[r * p->a_stride + k] : p->a_runs[k / run * p->a_stride + r][k % run];
        sum += (element - t->w.a.zero) *
               t->w.b[t->w.b_transposed ? column * t->w.b_stride + k : k * t->w.b_stride + column];
    }
    return sum;
}

/* The float32 value that is stored or quantised. */
static float find_value(const struct trial *t, size_t r, size_t column) {
    const struct fg_gemm8 *p = &t->p;
    const size_t at = down(p, r) + column, channel = column % t->w.channels;
    const float factor = t->w.a.scale * t->w.scale[channel];
    float value = (float)find_sum(t, r, column) * factor;
    value += t->w.bias ? t->w.bias[channel] : 0;
    if (p->residual)
        value +=
            p->residual_form.bytes
                ? (float)(((const uint8_t *)p->residual)[at] - p->residual_form.zero) * p->residual_form.scale
                : ((const float *)p->residual)[at];
    return p->relu && value < 0 ? 0 : value;
}

static uint8_t find_element(float value, const struct fg_gemm8_form *form) {
    const float element = rintf(value / form->scale) + (float)form->zero;
    return (uint8_t)(element > 0 ? element < 255 ? element : 255 : 0);
}

/* Computes a product and looks at all of C, what lies between its rows too. */
static void hold(struct trial t) {
    static bool own[SIZE];
    const size_t end = down(&t.p, t.p.rows - 1) + t.p.columns + FG_GEMM_MOST_COLUMNS * FG_GEMM_MOST_ROWS;
    assert_true(end <= SIZE);
    memset(own, 0, sizeof own);
    memset(c, CANARY, sizeof c);
    t.p.c = c;
    fg_gemm8_pack(&t.w, packed);
    t.p.b = fg_gemm8_find(packed, t.w.columns, t.p.depth, 0);
    fg_gemm8(&t.p);
    for (size_t r = 0; r < t.p.rows; r++)
        for (size_t k = 0; k < t.p.columns; k++) {
            const size_t at = down(&t.p, r) + k;
            const float value = find_value(&t, r, k);
            own[at] = true;
            if (t.p.c_form.bytes)
                assert_int_equal(((const uint8_t *)c)[at], find_element(value, &t.p.c_form));
            else if (c[at] != value)
                fail_msg("%zu x %zu x %zu, row %zu, column %zu: %.9g instead of %.9g", t.p.rows, t.p.columns,
                         t.p.depth, r, k, (double)c[at], (double)value);
        }
    const size_t size = t.p.c_form.bytes ? 1 : sizeof *c;
    for (size_t i = 0; i < sizeof c; i++)
        if (!own[i / size < SIZE ? i / size : 0] || i / size >= SIZE)
            assert_int_equal(((const uint8_t *)c)[i], CANARY);
}

static struct fg_gemm8_form draw_form(bool bytes) {
    static const int32_t zeros[] = {0, 3, 128, 255};
    return (struct fg_gemm8_form){
        .bytes = bytes, .scale = draw_float(0.01f, 0.02f), .zero = zeros[draw() % 4]};
}

/* A product in one of the 24 forms that C, residual and the end can have. */
static struct trial make(size_t rows, size_t columns, size_t depth, unsigned way) {
    struct trial t = {.p = {.rows = rows,
                            .columns = columns,
                            .depth = depth,
                            .a = a,
                            .a_stride = depth + GAP,
                            .residual = way / 2 % 3 ? residual : NULL,
                            .residual_form = draw_form(way / 2 % 3 == 2),
                            .c_form = draw_form(way & 1),
                            .relu = way / 6 & 1,
                            .c_stride = columns + GAP},
                      .w = {.b = b,
                            .b_stride = way & 1 ? depth : columns,
                            .b_transposed = way & 1,
                            .columns = columns,
                            .runs = 1,
                            .run = depth,
                            .channels = way & 2 && columns % 2 == 0 ? columns / 2 : columns,
                            .scale = scale,
                            .bias = way / 12 ? bias : NULL,
                            .a = draw_form(true)}};
    t.w.a.scale *= 1000 / sqrtf((float)depth);
    for (size_t i = 0; i < SIZE && t.p.residual_form.bytes; i++)
        ((uint8_t *)residual)[i] = (uint8_t)(i * 2654435761u >> 13);
    for (size_t i = 0; i < SIZE && !t.p.residual_form.bytes; i++)
        residual[i] = (float)(i % 1000) / 250 - 2;
    return t;
}

static void test_edges(void **state) {
    (void)state;
    unsigned way = 0;
    for (size_t rows = 1; rows <= 2 * FG_GEMM_MOST_ROWS + 1; rows++)
        for (size_t columns = 1; columns <= 2 * FG_GEMM_MOST_COLUMNS + 1; columns += columns < 4 ? 1 : 5)
            hold(make(rows, columns, 4 + 4 * ((rows + columns) % 5), way++ % 24));
}

static void test_forms(void **state) {
    (void)state;
    for (unsigned way = 0; way < 24; way++) {
        hold(make(MOST, 37, 100, way));
        hold(make(MOST, 64, DEEP, way));
    }
}

/* Has the product read A in runs that lie anywhere, some of them at one place. */
static void scatter(struct trial *t, size_t runs) {
    static const uint8_t *place[DEEP * MOST];
    const size_t depth = t->w.runs * t->w.run;
    assert_true(depth % runs == 0 && runs * t->p.rows <= DEEP * MOST);
    t->w.runs = runs;
    t->w.run = depth / runs;
    t->p.depth = runs * fg_gemm8_run(t->w.run);
    for (size_t i = 0; i < runs * t->p.rows; i++)
        place[i] = a + draw() % (sizeof a - DEEP);
    t->p.a = NULL;
    t->p.a_runs = place;
    t->p.runs = runs;
    t->p.a_stride = t->p.rows;
}

static void test_runs(void **state) {
    (void)state;
    static const struct {
        size_t runs, run;
    } cases[] = {{1, 64}, {9, 64}, {7, 28}, {49, 4}, {1, DEEP}, {2, 300}, {7, 21}, {3, 1}, {9, 2}, {2, 299}};
    unsigned way = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t rows = 1; rows <= MOST; rows += rows < 15 ? 1 : 23) {
            struct trial t = make(rows, 37, cases[i].runs * cases[i].run, way++ % 24);
            scatter(&t, cases[i].runs);
            hold(t);
        }
}

/* Rows of C in lines, with gaps between rows and between lines. */
static void test_lines(void **state) {
    (void)state;
    unsigned way = 0;
    for (size_t line = 1; line <= 43; line += line < 20 ? 1 : 23) {
        struct trial t = make(line * 3 + line / 2, 33, 20, way++ % 24);
        t.p.line = line;
        t.p.c_line = line * t.p.c_stride + 11;
        hold(t);
        scatter(&t, 5);
        hold(t);
    }
}

/* Pairs of products that would not fit into 16 bits. */
static void test_extremes(void **state) {
    (void)state;
    static uint8_t high[DEEP * 20];
    static int8_t low[DEEP * 40];
    memset(high, 255, sizeof high);
    for (int sign = -1; sign <= 1; sign += 2)
        for (int32_t zero = 0; zero < 256; zero += 51) {
            memset(low, (uint8_t)(sign * 127), sizeof low);
            struct trial t = make(14, 40, DEEP, 0);
            t.p.a = high;
            t.w.b = low;
            t.w.a.zero = zero;
            hold(t);
        }
}

/* A residual that is no number reaches its own value and nothing else, ReLU or not; as an element it is the
 * least one. */
static void test_nan(void **state) {
    (void)state;
    for (unsigned way = 2; way < 12; way += 6) {
        struct trial t = make(20, 40, 32, way);
        t.p.c = c;
        residual[3 * t.p.c_stride + 7] = NAN;
        fg_gemm8_pack(&t.w, packed);
        t.p.b = fg_gemm8_find(packed, t.w.columns, t.p.depth, 0);
        fg_gemm8(&t.p);
        for (size_t r = 0; r < t.p.rows; r++)
            for (size_t k = 0; k < t.p.columns; k++)
                assert_int_equal(isnan(c[r * t.p.c_stride + k]), r == 3 && k == 7);
        t.p.c_form = draw_form(true);
        fg_gemm8(&t.p);
        assert_int_equal(((const uint8_t *)c)[3 * t.p.c_stride + 7], 0);
    }
}

static void test_quantise(void **state) {
    (void)state;
    static uint8_t element[SIZE];
    for (int i = 0; i < 8; i++) {
        const struct fg_gemm8_form form = draw_form(true);
        for (size_t k = 0; k < SIZE; k++)
            c[k] = form.scale * ((float)(k % 1200) / 2 - 300); /* half of them on a rounding edge, or near */
        c[0] = INFINITY;
        c[1] = -INFINITY;
        fg_gemm8_quantise(c, SIZE, &form, element);
        for (size_t k = 0; k < SIZE; k++)
            assert_int_equal(element[k], find_element(c[k], &form));
        c[5] = NAN;
        fg_gemm8_quantise(c, 9, &form, element);
        assert_int_equal(element[5], 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges),    cmocka_unit_test(test_forms),    cmocka_unit_test(test_runs),
        cmocka_unit_test(test_lines),    cmocka_unit_test(test_extremes), cmocka_unit_test(test_nan),
        cmocka_unit_test(test_quantise),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
