/* A set of micro-kernels that multiply numbers of 8 bits (tile8.h), and which one is in use.
 *
 * A row of A has elements of 0 to 255, B has weights of -127 to 127. Their sums are int32 and exact, and what
 * becomes of a sum is a chain of float32 operations that each round once: all sets give the same bits.
 *
 * Errors: none. Owner: nobody; all is constant. Thread: any. NULL: what this says. */
#ifndef FG_KERNELS_CPU_GEMM_SET8_H
#define FG_KERNELS_CPU_GEMM_SET8_H

#include <stdint.h>

#include "kernels/cpu/gemm/set.h"

#define FG_GEMM8_DEPTH ((size_t)4) /* elements that are multiplied at a time: every run is a multiple of it */

/* How values lie in memory: as float32, or as elements v of 0 to 255 that stand for scale (v - zero). */
struct fg_gemm8_form {
    bool bytes;
    float scale;  /* of bytes: above 0 */
    int32_t zero; /* of bytes: 0 to 255 */
};

/* Where a tile begins and what its sums become: relu?((sum + offset) factor + bias + residual), in the form
 * of c. An element is rounded to the nearest, half to even; a value that is no number becomes the least
 * one. */
struct fg_gemm8_tile {
    const int32_t *offset;      /* [columns]: added to a sum */
    const float *factor, *bias; /* [columns] */
    const void *residual;       /* like c, and c_stride values apart; NULL: none */
    void *c;                    /* its first value, in rows c_stride values apart */
    size_t c_stride;
    struct fg_gemm8_form residual_form, c_form;
    bool relu; /* below 0 becomes 0; NaN stays */
};

/* Multiplies rows of A, each in runs of depth elements, by a packed panel of B, [runs * depth / 4] times
 * [columns][4]. Run i of row r begins at a[i * a_stride + r]. */
typedef void fg_gemm8_in_runs(size_t runs, size_t depth, const uint8_t *const *a, size_t a_stride,
                              const int8_t *b, const struct fg_gemm8_tile *tile);

struct fg_gemm8_set {
    const char *name; /* what these processors call their product of bytes: "vnni"; empty: they have none */
    size_t rows, columns; /* of a tile: at most FG_GEMM_MOST_ROWS and FG_GEMM_MOST_COLUMNS */
    int32_t shift;        /* what it takes from each element of A before the product; offset gives it back */
    fg_gemm8_in_runs *const *in_runs; /* [rows + 1]: for that many rows of A */
    fg_gemm_saturate *saturate;       /* multiplies and adds 4 rows x columns numbers, rounds times */
};

/* The set in use: the best one that the processor has and that is no wider than the set of float32. */
const struct fg_gemm8_set *fg_gemm8_set(void);

#endif
