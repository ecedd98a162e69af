/* AVX-512F: 32 registers of 16 floats. 28 hold sums. */
#ifdef __AVX512F__
#define FG_SET avx512
#define FG_LANES 16
#define FG_VECTORS 2
#define FG_ROWS 14
#include "kernels/cpu/gemm/tile.h"
#endif
