/* Products of matrices of numbers of 8 bits, row-major: the work of int8 convolutions. One thread computes
 * one product; who calls shares the rows or columns out.
 *
 * A has elements of 0 to 255 and is read where it lies. B has weights of -127 to 127 and stays, so it is
 * packed once, with what becomes of each column's sums: [panel][depth / 4][tile's columns][4]. Each run of
 * the depth is filled up with weights of 0. Sums are int32 over the whole depth: their bits do not depend on
 * how a product is cut into calls, nor on the set.
 *
 * Errors: none. Owner: the caller, of all arrays. Thread: any, on a C that no other writes. NULL: what this
 * says. */
#ifndef FG_KERNELS_CPU_GEMM_GEMM8_H
#define FG_KERNELS_CPU_GEMM_GEMM8_H

#include "kernels/cpu/gemm/set8.h"

/* The greatest depth whose sums int32 holds. */
#define FG_GEMM8_MOST_DEPTH ((size_t)INT32_MAX / (255 * 128) / FG_GEMM8_DEPTH * FG_GEMM8_DEPTH)

/* A B that is to be packed. Column c belongs to channel c % channels. */
struct fg_gemm8_weights {
    const int8_t *b; /* element (k, c) at k b_stride + c; transposed: at c b_stride + k */
    size_t b_stride;
    bool b_transposed;
    size_t columns, channels;
    size_t runs, run;       /* the depth, at most FG_GEMM8_MOST_DEPTH: so many runs of so many numbers */
    const float *scale;     /* [channels]: what a weight stands for */
    const float *bias;      /* [channels]; NULL: none */
    struct fg_gemm8_form a; /* what an element of A stands for */
};

/* A packed B: places in a block. Its arrays end with whole panels. */
struct fg_gemm8_b {
    const int8_t *weight;
    const int32_t *offset;      /* [columns]: added to a sum; as though A's zero were 0 */
    const float *factor, *bias; /* [columns] */
};

/* A run's numbers once it is filled up. What lies behind a run of A is read with it, and counts nothing. */
static inline size_t fg_gemm8_run(size_t run) {
    return (run + FG_GEMM8_DEPTH - 1) / FG_GEMM8_DEPTH * FG_GEMM8_DEPTH;
}

/* Bytes of a packed B, a multiple of FG_ALIGNMENT; where its arrays are, from column first on, which begins a
 * panel; and the packing. block: aligned to FG_ALIGNMENT. */
size_t fg_gemm8_bytes(size_t columns, size_t depth);
struct fg_gemm8_b fg_gemm8_find(const void *block, size_t columns, size_t depth, size_t first);
void fg_gemm8_pack(const struct fg_gemm8_weights *weights, void *block);

/* C[rows][columns] = relu?((A B + offset) factor + bias + residual). A row of A lies in runs, equal parts of
 * the depth (of runs that are filled up) that may lie anywhere. Rows of C can come in lines: those of
 * a line are c_stride values apart, and lines c_line. */
struct fg_gemm8 {
    size_t rows, columns, depth;
    const uint8_t *a;             /* row r at r a_stride, in one run; NULL: in runs */
    const uint8_t *const *a_runs; /* run i of row r begins at number i a_stride + r; not read where a is */
    size_t runs;                  /* of a row, where it lies in runs */
    size_t a_stride;
    struct fg_gemm8_b b;
    const void *residual; /* like C, but not C itself; NULL: none */
    void *c;
    struct fg_gemm8_form residual_form, c_form;
    bool relu;
    size_t c_stride;     /* of C and of residual, in values */
    size_t line, c_line; /* rows of a line; 0: all */
};

void fg_gemm8(const struct fg_gemm8 *product);

/* Columns of a panel. */
static inline size_t fg_gemm8_panel(void) {
    return fg_gemm8_set()->columns;
}

/* Makes elements of count float32 values, as a product's C becomes them. */
void fg_gemm8_quantise(const float *values, size_t count, const struct fg_gemm8_form *form, uint8_t *to);

#endif
