/* NEON: 32 registers of 4 floats. 21 hold sums. */
#ifdef __ARM_NEON
#define FG_SET neon
#define FG_LANES 4
#define FG_VECTORS 3
#define FG_ROWS 7
#include "kernels/cpu/gemm/tile.h"
#endif
