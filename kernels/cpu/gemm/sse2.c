/* SSE2, which every x86-64 processor has: 16 registers of 4 floats. 12 hold sums. */
#ifdef __SSE2__
#define FG_SET sse2
#define FG_LANES 4
#define FG_VECTORS 2
#define FG_ROWS 6
#include "kernels/cpu/gemm/tile.h"
#endif
