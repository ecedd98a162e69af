/* AVX2 and FMA: 16 registers of 8 floats. 12 hold sums. */
#if defined(__AVX2__) && defined(__FMA__)
#define FG_SET avx2
#define FG_LANES 8
#define FG_VECTORS 2
#define FG_ROWS 6
#include "kernels/cpu/gemm/tile.h"
#endif
