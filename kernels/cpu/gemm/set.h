/* A set of micro-kernels for one instruction set (tile.h), and how one is chosen.
 *
 * Errors: FG_ENVIRONMENT for a set that the processor has not. Owner: nobody; all is constant. Thread: any.
 * NULL: only a message may be. */
#ifndef FG_KERNELS_CPU_GEMM_SET_H
#define FG_KERNELS_CPU_GEMM_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/status.h"

#define FG_GEMM_MOST_ROWS 14    /* of a tile, in any set */
#define FG_GEMM_MOST_COLUMNS 32 /* of a tile, in any set */
#define FG_GEMM_LINE 16         /* floats of a line of a cache */

/* Where a tile begins and what it becomes. c is the tile's first element, in rows c_stride floats apart. */
struct fg_gemm_tile {
    const float *start;    /* [columns]: what every row's sums start with; NULL: with what c holds */
    const float *residual; /* like c, and c_stride floats apart: added at the end; NULL: nothing is */
    bool relu;             /* below 0 becomes 0 at the end; NaN stays */
    float *c;
    size_t c_stride;
};

/* Multiplies rows of A by a packed block of B [runs * depth][columns]. Of each of the runs in which a row
 * lies it takes depth floats, beginning with number from. Meanwhile the block that lies ahead floats behind b
 * comes into the cache; 0: none does. */
typedef void fg_gemm_in_runs(size_t runs, size_t depth, const float *const *a, size_t a_stride, size_t from,
                             const float *b, size_t ahead, const struct fg_gemm_tile *tile);

/* The same of rows that are packed as [depth][rows]. */
typedef void fg_gemm_packed_rows(size_t depth, const float *a, const float *b,
                                 const struct fg_gemm_tile *tile);

/* Multiplies and adds rows x columns values in registers, rounds times: nothing is faster with this set. The
 * result means nothing. */
typedef float fg_gemm_saturate(size_t rounds);

struct fg_gemm_set {
    const char *name;                   /* as FLAWGATE_CPU names it */
    size_t rows, columns;               /* of a tile */
    fg_gemm_in_runs *const *in_runs;    /* [rows + 1]: for that many rows of A */
    fg_gemm_packed_rows *const *packed; /* [rows + 1] */
    fg_gemm_saturate *saturate;
};

/* The set in use: the best one that the processor has, or the one that the environment's FLAWGATE_CPU names.
 * The choice is made once. */
const struct fg_gemm_set *fg_gemm_set(void);

/* Says whether the choice can be used: FG_ENVIRONMENT where FLAWGATE_CPU names no set, or one that this
 * processor has not. */
FG_MUST_USE enum fg_status fg_gemm_check(struct fg_message *message);

#endif
