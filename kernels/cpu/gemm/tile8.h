/* The micro-kernels of one instruction set for numbers of 8 bits: tiles of a product, their int32 sums in
 * registers over the whole depth, then what the sums become. A source defines the tile's shape and its
 * product of bytes, includes this, and is compiled with that set's flags.
 *
 * FG_LANES sums make a vector, FG_VECTORS vectors a row of the tile, FG_ROWS (4, 6, 7 or 14) rows a tile;
 * FG_SET names the set, FG_NAME its instructions. A vector of B has 4 weights of each of its columns, and one
 * of A the same 4 elements in every lane. The source has one of
 *   FG_DOT(sum, a, b)  adds to each lane of sum the product of its 4 elements and 4 weights. With FG_SHIFT
 *                      128 the elements are signed: 128 has been taken from each.
 *   FG_PAIRS(a, b)     gives for each lane the product of 2 elements and 2 weights of 16 bits.
 *
 * Nothing here is contracted: a product and a sum round twice, so that all sets give the same bits.
 *
 * Errors: none. Owner: the caller, of all arrays. Thread: any, on tiles that no other writes. NULL: what
 * set8.h says. */
#include <string.h>

#include "kernels/cpu/gemm/round.h"
#include "kernels/cpu/gemm/set8.h"

#ifndef FG_SHIFT
#define FG_SHIFT 0
#endif

#define COLUMNS (FG_LANES * FG_VECTORS)

typedef int32_t whole __attribute__((vector_size(FG_LANES * 4)));
typedef float vector __attribute__((vector_size(FG_LANES * 4)));
typedef uint8_t bytes __attribute__((vector_size(FG_LANES)));
typedef uint16_t halves __attribute__((vector_size(FG_LANES * 2)));
typedef int32_t unaligned_whole __attribute__((vector_size(FG_LANES * 4), aligned(1), may_alias));
typedef float unaligned __attribute__((vector_size(FG_LANES * 4), aligned(4)));
typedef uint8_t unaligned_bytes __attribute__((vector_size(FG_LANES), aligned(1)));

#define INLINE static inline __attribute__((always_inline))

/* The loops over a tile are unrolled before the compiler decides what lies in registers. */
#define UNROLL _Pragma("GCC unroll 16")

/* Has the compiler take a value for one that it knows nothing of. */
#ifdef __ARM_NEON
#define HIDE(VALUE) __asm__("" : "+w"(VALUE))
#else
#define HIDE(VALUE) __asm__("" : "+v"(VALUE))
#endif

/* A factor of the product of bytes. */
#ifdef FG_PAIRS
typedef int16_t pairs __attribute__((vector_size(FG_LANES * 4)));
typedef uint16_t unsigned_pairs __attribute__((vector_size(FG_LANES * 4)));

struct factor {
    whole even, odd; /* numbers 0 and 2, 1 and 3 of each lane's 4, in 16 bits */
};

INLINE struct factor split_elements(whole a) {
    return (struct factor){a & 0x00ff00ff, (whole)((unsigned_pairs)a >> 8)};
}

INLINE struct factor split_weights(whole b) {
    return (struct factor){(whole)((pairs)((unsigned_pairs)b << 8) >> 8), (whole)((pairs)b >> 8)};
}

INLINE whole add_product(whole sum, struct factor a, struct factor b) {
    return sum + (FG_PAIRS(a.even, b.even) + FG_PAIRS(a.odd, b.odd));
}
#else
struct factor {
    whole all;
};

INLINE struct factor split_elements(whole a) {
    return (struct factor){FG_SHIFT ? a ^ (int32_t)0x80808080 : a};
}

INLINE struct factor split_weights(whole b) {
    return (struct factor){b};
}

INLINE whole add_product(whole sum, struct factor a, struct factor b) {
    return FG_DOT(sum, a.all, b.all);
}
#endif

INLINE vector rectify(vector value) {
    return (vector)((whole)value & ~(value < 0));
}

INLINE vector choose(whole which, vector yes, vector no) {
    return (vector)((which & (whole)yes) | (~which & (whole)no));
}

/* By 16 bits, which the compiler has instructions for where it has none for the whole way. */
INLINE whole to_whole(bytes element) {
    return __builtin_convertvector(__builtin_convertvector(element, halves), whole);
}

INLINE bytes to_bytes(whole element) {
    return __builtin_convertvector(__builtin_convertvector(element, halves), bytes);
}

INLINE vector load_values(const void *values, size_t at, const struct fg_gemm8_form *form) {
    if (!form->bytes)
        return *(const unaligned *)((const float *)values + at);
    const bytes element = *(const unaligned_bytes *)((const uint8_t *)values + at);
    return __builtin_convertvector(to_whole(element) - form->zero, vector) * form->scale;
}

INLINE void store_values(vector value, void *values, size_t at, const struct fg_gemm8_form *form) {
    if (!form->bytes) {
        *(unaligned *)((float *)values + at) = value;
        return;
    }
    const vector none = {0}, least = none - (float)form->zero, most = none + (float)(255 - form->zero);
    value /= form->scale;
    value = choose(value > least, value, least);
    value = choose(value < most, value, most);
    const whole element = (whole)(value + FG_ROUND_FLOAT) - (FG_ROUND_BITS - form->zero);
    *(unaligned_bytes *)((uint8_t *)values + at) = to_bytes(element);
}

INLINE void store_sums(size_t rows, const struct fg_gemm8_tile *tile, whole sum[FG_ROWS][FG_VECTORS]) {
    const struct fg_gemm8_tile t = *tile; /* no store changes it */
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < FG_VECTORS; v++) {
            const size_t column = v * FG_LANES, at = r * t.c_stride + column;
            const whole exact = sum[r][v] + *(const unaligned_whole *)(t.offset + column);
            vector value = __builtin_convertvector(exact, vector) * *(const unaligned *)(t.factor + column) +
                           *(const unaligned *)(t.bias + column);
            if (t.residual)
                value += load_values(t.residual, at, &t.residual_form);
            store_values(t.relu ? rectify(value) : value, t.c, at, &t.c_form);
        }
    }
}

INLINE void add_products(size_t rows, const uint8_t *const row[FG_ROWS], size_t k, const int8_t *b,
                         whole sum[FG_ROWS][FG_VECTORS]) {
    struct factor column[FG_VECTORS];
    UNROLL
    for (size_t v = 0; v < FG_VECTORS; v++)
        column[v] = split_weights(*(const unaligned_whole *)(b + v * FG_LANES * FG_GEMM8_DEPTH));
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        int32_t four;
        memcpy(&four, row[r] + k, sizeof four);
        whole all = (whole){0} + four;
        HIDE(all); /* else it is taken apart before it is in all lanes, with two ways there */
        const struct factor element = split_elements(all);
        UNROLL
        for (size_t v = 0; v < FG_VECTORS; v++)
            sum[r][v] = add_product(sum[r][v], element, column[v]);
    }
}

INLINE void multiply_runs(size_t rows, size_t runs, size_t depth, const uint8_t *const *a, size_t a_stride,
                          const int8_t *b, const struct fg_gemm8_tile *t) {
    whole sum[FG_ROWS][FG_VECTORS] = {{{0}}};
    for (size_t run = 0; run < runs; run++) {
        const uint8_t *row[FG_ROWS];
        UNROLL
        for (size_t r = 0; r < rows; r++)
            row[r] = a[run * a_stride + r];
        for (size_t k = 0; k < depth; k += FG_GEMM8_DEPTH, b += COLUMNS * FG_GEMM8_DEPTH)
            add_products(rows, row, k, b, sum);
    }
    store_sums(rows, t, sum);
}

/* Has every product be computed where nothing else is measured. */
INLINE void hide_factor(struct factor *factor) {
#ifdef FG_PAIRS
    HIDE(factor->even);
    HIDE(factor->odd);
#else
    HIDE(factor->all);
#endif
}

static float saturate(size_t rounds) {
    whole sum[FG_ROWS][FG_VECTORS] = {{{0}}};
    struct factor element = split_elements((whole){0} + 0x01020304), column[FG_VECTORS];
    UNROLL
    for (size_t v = 0; v < FG_VECTORS; v++) {
        column[v] = split_weights((whole){0} + 0x01020304);
        hide_factor(&column[v]);
    }
    for (size_t k = 0; k < rounds; k++) {
        UNROLL
        for (size_t r = 0; r < FG_ROWS; r++) {
            hide_factor(&element);
            UNROLL
            for (size_t v = 0; v < FG_VECTORS; v++)
                sum[r][v] = add_product(sum[r][v], element, column[v]);
        }
    }
    whole all = {0};
    UNROLL
    for (size_t r = 0; r < FG_ROWS; r++) {
        UNROLL
        for (size_t v = 0; v < FG_VECTORS; v++)
            all ^= sum[r][v];
    }
    return (float)all[0];
}

#define KERNEL(N)                                                                                            \
    static void in_runs_##N(size_t runs, size_t depth, const uint8_t *const *a, size_t a_stride,             \
                            const int8_t *b, const struct fg_gemm8_tile *t) {                                \
        multiply_runs(N, runs, depth, a, a_stride, b, t);                                                    \
    }

KERNEL(1)
KERNEL(2)
KERNEL(3)
KERNEL(4)
#define UP_TO_4 NULL, in_runs_1, in_runs_2, in_runs_3, in_runs_4
#if FG_ROWS > 4
KERNEL(5)
KERNEL(6)
#define UP_TO_6 UP_TO_4, in_runs_5, in_runs_6
#endif
#if FG_ROWS > 6
KERNEL(7)
#define UP_TO_7 UP_TO_6, in_runs_7
#endif
#if FG_ROWS > 7
KERNEL(8)
KERNEL(9)
KERNEL(10)
KERNEL(11)
KERNEL(12)
KERNEL(13)
KERNEL(14)
#define UP_TO_14 UP_TO_7, in_runs_8, in_runs_9, in_runs_10, in_runs_11, in_runs_12, in_runs_13, in_runs_14
#endif

#define LIST_(ROWS) UP_TO_##ROWS
#define LIST(ROWS) LIST_(ROWS)
static fg_gemm8_in_runs *const in_runs[FG_ROWS + 1] = {LIST(FG_ROWS)};

#define NAME_(SET) fg_gemm8_##SET
#define NAME(SET) NAME_(SET)

extern const struct fg_gemm8_set NAME(FG_SET);
const struct fg_gemm8_set NAME(FG_SET) = {.name = FG_NAME,
                                          .rows = FG_ROWS,
                                          .columns = COLUMNS,
                                          .shift = FG_SHIFT,
                                          .in_runs = in_runs,
                                          .saturate = saturate};
