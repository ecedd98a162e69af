/* The micro-kernels of one instruction set: tiles of a product, their sums in registers. A source defines the
 * tile's shape, includes this, and is compiled with that set's flags.
 *
 * FG_LANES floats make a vector, FG_VECTORS vectors a row of the tile, FG_ROWS (6, 7 or 14) rows a tile;
 * FG_SET is the set's name. There is a kernel for each smaller number of rows too, so that an edge costs what
 * it has. Each sum is one chain in ascending depth, so it has the same bits in whatever tile and block it
 * lies.
 *
 * Errors: none. Owner: the caller, of all arrays. Thread: any, on tiles that no other writes. NULL: what
 * set.h says. */
#include "kernels/cpu/gemm/set.h"

#define COLUMNS (FG_LANES * FG_VECTORS)

typedef float vector __attribute__((vector_size(FG_LANES * 4)));
typedef int mask __attribute__((vector_size(FG_LANES * 4)));
typedef float unaligned __attribute__((vector_size(FG_LANES * 4), aligned(4)));

#define INLINE static inline __attribute__((always_inline))

INLINE vector load(const float *from) {
    return *(const unaligned *)from;
}

INLINE vector rectify(vector value) {
    return (vector)((mask)value & ~(value < 0));
}

/* The loops over a tile are unrolled before the compiler decides what lies in registers. */
#define UNROLL _Pragma("GCC unroll 16")

INLINE void load_sums(size_t rows, const struct fg_gemm_tile *t, vector sum[FG_ROWS][FG_VECTORS]) {
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < FG_VECTORS; v++)
            sum[r][v] = load((t->start ? t->start : t->c + r * t->c_stride) + v * FG_LANES);
    }
}

INLINE void store_sums(size_t rows, const struct fg_gemm_tile *t, vector sum[FG_ROWS][FG_VECTORS]) {
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < FG_VECTORS; v++) {
            const size_t at = r * t->c_stride + v * FG_LANES;
            vector value = sum[r][v];
            if (t->residual)
                value += load(t->residual + at);
            *(unaligned *)(t->c + at) = t->relu ? rectify(value) : value;
        }
    }
}

INLINE void add_products(size_t rows, const float *const row[FG_ROWS], size_t k, const float *b,
                         vector sum[FG_ROWS][FG_VECTORS]) {
    vector column[FG_VECTORS];
    UNROLL
    for (size_t v = 0; v < FG_VECTORS; v++)
        column[v] = load(b + v * FG_LANES);
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < FG_VECTORS; v++)
            sum[r][v] += row[r][k] * column[v];
    }
}

INLINE void multiply_runs(size_t rows, size_t runs, size_t depth, const float *const *a, size_t a_stride,
                          size_t from, const float *b, size_t ahead, const struct fg_gemm_tile *t) {
    vector sum[FG_ROWS][FG_VECTORS];
    load_sums(rows, t, sum);
    for (size_t run = 0; run < runs; run++) {
        const float *row[FG_ROWS];
        UNROLL
        for (size_t r = 0; r < rows; r++)
            row[r] = a[run * a_stride + r] + from;
        for (size_t k = 0; k < depth; k++, b += COLUMNS) {
            UNROLL
            for (size_t v = 0; v < FG_VECTORS; v++)
                if (v * FG_LANES % FG_GEMM_LINE == 0)
                    __builtin_prefetch(b + ahead + v * FG_LANES, 0, 2); /* to the second-level cache */
            add_products(rows, row, k, b, sum);
        }
    }
    store_sums(rows, t, sum);
}

INLINE void multiply_packed(size_t rows, size_t depth, const float *a, const float *b,
                            const struct fg_gemm_tile *t) {
    vector sum[FG_ROWS][FG_VECTORS];
    load_sums(rows, t, sum);
    for (size_t k = 0; k < depth; k++, a += rows, b += COLUMNS) {
        const float *row[FG_ROWS];
        UNROLL
        for (size_t r = 0; r < rows; r++)
            row[r] = a + r;
        add_products(rows, row, 0, b, sum);
    }
    store_sums(rows, t, sum);
}

static float saturate(size_t rounds) {
    vector sum[FG_ROWS][FG_VECTORS];
    const vector factor = (vector){0} + 0.999f, addend = (vector){0} + 0.001f;
    for (size_t r = 0; r < FG_ROWS; r++)
        for (size_t v = 0; v < FG_VECTORS; v++)
            sum[r][v] = addend * (float)(r + v);
    for (size_t k = 0; k < rounds; k++)
        for (size_t r = 0; r < FG_ROWS; r++)
            for (size_t v = 0; v < FG_VECTORS; v++)
                sum[r][v] = sum[r][v] * factor + addend;
    vector all = {0};
    for (size_t r = 0; r < FG_ROWS; r++)
        for (size_t v = 0; v < FG_VECTORS; v++)
            all += sum[r][v];
    return all[0];
}

#define KERNELS(N)                                                                                           \
    static void in_runs_##N(size_t runs, size_t depth, const float *const *a, size_t a_stride, size_t from,  \
                            const float *b, size_t ahead, const struct fg_gemm_tile *t) {                    \
        multiply_runs(N, runs, depth, a, a_stride, from, b, ahead, t);                                       \
    }                                                                                                        \
    static void packed_##N(size_t depth, const float *a, const float *b, const struct fg_gemm_tile *t) {     \
        multiply_packed(N, depth, a, b, t);                                                                  \
    }

KERNELS(1)
KERNELS(2)
KERNELS(3)
KERNELS(4)
KERNELS(5)
KERNELS(6)
#define UP_TO_6(WAY) NULL, WAY##_1, WAY##_2, WAY##_3, WAY##_4, WAY##_5, WAY##_6
#if FG_ROWS == 6
#define LIST(WAY)                                                                                            \
    { UP_TO_6(WAY) }
#else
KERNELS(7)
#endif
#if FG_ROWS == 7
#define LIST(WAY)                                                                                            \
    { UP_TO_6(WAY), WAY##_7 }
#endif
#if FG_ROWS == 14
KERNELS(8)
KERNELS(9)
KERNELS(10)
KERNELS(11)
KERNELS(12)
KERNELS(13)
KERNELS(14)
#define LIST(WAY)                                                                                            \
    { UP_TO_6(WAY), WAY##_7, WAY##_8, WAY##_9, WAY##_10, WAY##_11, WAY##_12, WAY##_13, WAY##_14 }
#endif

static fg_gemm_in_runs *const in_runs[FG_ROWS + 1] = LIST(in_runs);
static fg_gemm_packed_rows *const packed[FG_ROWS + 1] = LIST(packed);

#define NAME_(SET) fg_gemm_##SET
#define NAME(SET) NAME_(SET)
#define TEXT_(SET) #SET
#define TEXT(SET) TEXT_(SET)

extern const struct fg_gemm_set NAME(FG_SET);
const struct fg_gemm_set NAME(FG_SET) = {.name = TEXT(FG_SET),
                                         .rows = FG_ROWS,
                                         .columns = COLUMNS,
                                         .in_runs = in_runs,
                                         .packed = packed,
                                         .saturate = saturate};
