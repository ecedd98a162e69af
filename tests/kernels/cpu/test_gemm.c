/* Products against sums in double precision: every edge of a tile, every way that A, B and C can lie, and
 * that nothing but C is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/gemm/gemm.h"
#include "kernels/philox.h"

#define MOST 130 /* rows, columns or lines of a product here: more than a block */
#define DEEP 600 /* depth: more than two blocks */
#define GAP 5    /* floats between rows that belong to nobody */
#define CANARY 12345.0f
#define MARGIN (FG_GEMM_MOST_ROWS * FG_GEMM_MOST_COLUMNS) /* floats behind C that are looked at */

static float a[MOST * (DEEP + GAP) * 2], b[MOST * (DEEP + GAP)], c[MOST * (MOST + GAP) * 2],
    before[MOST * (MOST + GAP) * 2], bias[MOST], residual[MOST * (MOST + GAP) * 2];
static uint32_t drawn;

static float draw(void) {
    return fg_philox_uniform(fg_philox(1, drawn++, 0, 0, 0).word[0]) - 0.5f;
}

static void fill(float *to, size_t count) {
    for (size_t i = 0; i < count; i++)
        to[i] = draw();
}

static int set_up(void **state) {
    (void)state;
    struct fg_message message;
    if (fg_gemm_check(&message) != FG_OK) {
        print_error("%s\n", message.text);
        return -1;
    }
    print_message("kernels: %s\n", fg_gemm_set()->name);
    fill(a, sizeof a / sizeof *a);
    fill(b, sizeof b / sizeof *b);
    fill(bias, MOST);
    fill(residual, sizeof residual / sizeof *residual);
    return 0;
}

/* Where row r of C begins. */
static size_t down(const struct fg_gemm *p, size_t r) {
    return p->line ? r / p->line * p->c_line + r % p->line * p->c_stride : r * p->c_stride;
}

static float look_at_a(const struct fg_gemm *p, size_t r, size_t k) {
    if (p->a_runs)
        return p->a_runs[k / (p->depth / p->runs) * p->a_stride + r][k % (p->depth / p->runs)];
    return p->a_transposed ? p->a[k * p->a_stride + r] : p->a[r * p->a_stride + k];
}

static double expect(const struct fg_gemm *p, size_t r, size_t column) {
    const size_t at = down(p, r) + column;
    double sum = p->add ? (double)before[at] : 0;
    sum += p->bias ? (double)p->bias[column] : 0;
    for (size_t k = 0; k < p->depth; k++)
        sum += (double)look_at_a(p, r, k) *
               (double)(p->b_transposed ? b[column * p->b_stride + k] : b[k * p->b_stride + column]);
    sum += p->residual ? (double)p->residual[at] : 0;
    return p->relu && sum < 0 ? 0 : sum;
}

/* Computes a product and looks at all of C, what lies between its rows too. */
static void hold(struct fg_gemm p) {
    static bool own[sizeof c / sizeof *c];
    const size_t size = down(&p, p.rows - 1) + p.columns + MARGIN;
    assert_true(size <= sizeof c / sizeof *c);
    memset(own, 0, size * sizeof *own);
    for (size_t i = 0; i < size; i++)
        before[i] = c[i] = CANARY;
    for (size_t r = 0; r < p.rows; r++)
        for (size_t k = 0; k < p.columns; k++) {
            const size_t at = down(&p, r) + k;
            before[at] = c[at] = draw();
            own[at] = true;
        }
    p.c = c;
    fg_gemm(&p);
    for (size_t r = 0; r < p.rows; r++)
        for (size_t k = 0; k < p.columns; k++) {
            const float got = c[down(&p, r) + k];
            const double wanted = expect(&p, r, k);
            if (!(fabs((double)got - wanted) <= 1e-6 * sqrt((double)p.depth) + 1e-7))
                fail_msg("%zu x %zu x %zu, row %zu, column %zu: %g instead of %g", p.rows, p.columns, p.depth,
                         r, k, (double)got, wanted);
        }
    for (size_t i = 0; i < size; i++)
        if (!own[i])
            assert_true(c[i] == CANARY);
}

/* A product in one of the 8 ways in which A and B can lie; way 4 packs B. */
static struct fg_gemm make(size_t rows, size_t columns, size_t depth, int way) {
    static float packed[(MOST + FG_GEMM_MOST_COLUMNS) * DEEP];
    struct fg_gemm p = {.rows = rows,
                        .columns = columns,
                        .depth = depth,
                        .a = a,
                        .a_transposed = way & 1,
                        .a_stride = (way & 1 ? rows : depth) + GAP,
                        .b = b,
                        .b_transposed = way & 2,
                        .b_stride = (way & 2 ? depth : columns) + GAP,
                        .c_stride = columns + GAP};
    if (way & 4) {
        assert_true(fg_gemm_packed(columns, depth) <= sizeof packed / sizeof *packed);
        fg_gemm_pack(b, p.b_stride, p.b_transposed, columns, depth, 0, columns, packed);
        p.b = packed;
        p.b_packed = true;
    }
    return p;
}

static void test_edges(void **state) {
    (void)state;
    for (size_t rows = 1; rows <= 2 * FG_GEMM_MOST_ROWS + 1; rows++)
        for (size_t columns = 1; columns <= 2 * FG_GEMM_MOST_COLUMNS + 1; columns += columns < 4 ? 1 : 3)
            for (int way = 0; way < 8; way++)
                hold(make(rows, columns, 1 + (rows + columns) % 5, way));
}

static void test_blocks(void **state) {
    (void)state;
    const size_t depths[] = {255, 256, 257, DEEP};
    for (size_t d = 0; d < sizeof depths / sizeof *depths; d++)
        for (int way = 0; way < 8; way++) {
            hold(make(MOST, 37, depths[d], way));
            struct fg_gemm p = make(MOST, 48, depths[d], way);
            p.add = true;
            hold(p);
            p.add = false;
            p.bias = bias;
            p.residual = residual;
            p.relu = true;
            hold(p);
        }
}

/* Has the product read A in runs that lie anywhere, some of them at one place. */
static void scatter(struct fg_gemm *p, size_t runs) {
    static const float *place[DEEP * MOST];
    assert_true(p->depth % runs == 0 && runs * p->rows <= DEEP * MOST);
    for (size_t i = 0; i < runs * p->rows; i++)
        place[i] = a + fg_philox(2, (uint32_t)i, 0, 0, 0).word[0] % (sizeof a / sizeof *a - DEEP);
    p->a_runs = place;
    p->runs = runs;
    p->a_stride = p->rows;
}

static void test_runs(void **state) {
    (void)state;
    const struct {
        size_t runs, run;
    } cases[] = {{1, 64}, {9, 64}, {7, 21}, {49, 3}, {9, 1}, {1, DEEP}, {2, 300}, {2, 257}, {3, 100}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t rows = 1; rows <= MOST; rows += rows < 15 ? 1 : 23) {
            struct fg_gemm p = make(rows, 37, cases[i].runs * cases[i].run, 4);
            scatter(&p, cases[i].runs);
            hold(p);
            p.bias = bias;
            p.residual = residual;
            p.relu = true;
            hold(p);
        }
}

/* Rows of C in lines, with gaps between rows and between lines. */
static void test_lines(void **state) {
    (void)state;
    for (size_t line = 1; line <= 43; line += line < 20 ? 1 : 23) {
        const size_t columns = 33, depth = 20;
        struct fg_gemm p = make(line * 3 + line / 2, columns, depth, 4);
        p.line = line;
        p.c_line = line * p.c_stride + 11;
        p.bias = bias;
        p.residual = residual;
        hold(p);
        scatter(&p, 2);
        hold(p);
    }
}

/* However a product is cut, and whether B was packed before, the bits are the same. */
static void test_cuts(void **state) {
    (void)state;
    static float whole[MOST * (MOST + GAP)];
    const size_t rows = 129, columns = 80, depth = DEEP, panel = fg_gemm_panel();
    for (int way = 0; way < 8; way++) {
        struct fg_gemm p = make(rows, columns, depth, way);
        p.c = whole;
        fg_gemm(&p);
        p.c = c;
        for (size_t r = 0; r < rows; r += 7)
            for (size_t k = 0; k < columns; k += panel) {
                struct fg_gemm part = p;
                part.rows = rows - r < 7 ? rows - r : 7;
                part.columns = columns - k < panel ? columns - k : panel;
                part.a += p.a_transposed ? r : r * p.a_stride;
                part.b += p.b_packed ? k * depth : p.b_transposed ? k * p.b_stride : k;
                part.c += r * p.c_stride + k;
                fg_gemm(&part);
            }
        for (size_t r = 0; r < rows; r++)
            assert_memory_equal(c + r * p.c_stride, whole + r * p.c_stride, columns * sizeof *c);
    }
}

/* A value that is no number reaches its row or its column, and nothing else; ReLU keeps it. */
static void test_nan(void **state) {
    (void)state;
    static float with_nan[MOST * DEEP];
    memcpy(with_nan, a, sizeof with_nan);
    struct fg_gemm p = make(20, 40, 30, 0);
    with_nan[3 * p.a_stride + 29] = NAN;
    p.a = with_nan;
    p.relu = true;
    p.c = c;
    fg_gemm(&p);
    for (size_t r = 0; r < p.rows; r++)
        for (size_t k = 0; k < p.columns; k++)
            assert_int_equal(isnan(c[r * p.c_stride + k]), r == 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges), cmocka_unit_test(test_blocks), cmocka_unit_test(test_runs),
        cmocka_unit_test(test_lines), cmocka_unit_test(test_cuts),   cmocka_unit_test(test_nan),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
