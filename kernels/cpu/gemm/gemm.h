/* Products of matrices of float32, row-major: the work of every convolution. One thread computes one product;
 * who calls shares the rows or columns out.
 *
 * B is packed in panels as wide as a tile, [panel][depth][tile's columns], where what lies past the last
 * column does not count: once for weights that stay, else by the call, a panel at a time. A is read where it
 * lies, or packed by the call where it is transposed. Each sum is one chain in ascending depth that starts
 * with the bias or with what C holds: its bits do not depend on how a product is cut into calls.
 *
 * Errors: none. Owner: the caller, of all arrays. Thread: any, on a C that no other writes. NULL: what this
 * says. */
#ifndef FG_KERNELS_CPU_GEMM_GEMM_H
#define FG_KERNELS_CPU_GEMM_GEMM_H

#include "kernels/cpu/gemm/set.h"

/* Rows of A that are multiplied at a time, for the second-level cache: whole tiles of 6, 7 and 14. A product
 * that has no more of them reads B once. */
#define FG_GEMM_BLOCK_ROWS ((size_t)126)

/* C[rows][columns] = relu?(A B + bias + residual), or C + A B. Where A is read in runs, equal parts of the
 * depth, a row's runs may lie anywhere. Where rows of C are pixels of a picture that is written with gaps,
 * they come in lines: those of a line are c_stride floats apart, and lines c_line. */
struct fg_gemm {
    size_t rows, columns, depth;
    const float *a; /* element (r, k) at r a_stride + k; transposed: at k a_stride + r; NULL: in runs */
    const float *const *a_runs; /* run i of row r begins at number i a_stride + r; NULL: not in runs */
    size_t runs;                /* of a row */
    size_t a_stride;
    bool a_transposed;
    const float *b; /* element (k, c) at k b_stride + c; transposed: at c b_stride + k; or packed */
    size_t b_stride;
    bool b_transposed, b_packed;
    const float *bias;     /* [columns]; NULL: none */
    const float *residual; /* like C, but not C itself; NULL: none */
    bool relu, add;        /* add: to what C holds, without bias */
    float *c;
    size_t c_stride;     /* of C and of residual */
    size_t line, c_line; /* rows of a line; 0: all, and A may be transposed */
};

void fg_gemm(const struct fg_gemm *product);

/* Columns of a panel. */
static inline size_t fg_gemm_panel(void) {
    return fg_gemm_set()->columns;
}

/* Floats of a packed B. */
size_t fg_gemm_packed(size_t columns, size_t depth);

/* Where element (k, c) of a packed B of that depth lies. */
static inline size_t fg_gemm_place(size_t depth, size_t panel, size_t k, size_t c) {
    return c / panel * panel * depth + k * panel + c % panel;
}

/* Packs columns [first, end) of a B that is not packed yet; first begins a panel. */
void fg_gemm_pack(const float *b, size_t b_stride, bool b_transposed, size_t columns, size_t depth,
                  size_t first, size_t end, float *packed);

#endif
