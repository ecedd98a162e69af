/* NEON with the product of 4 signed bytes: 32 registers of 4 sums. 21 hold sums. */
#ifdef __ARM_FEATURE_DOTPROD
#include <arm_neon.h>
#define FG_SET neon_dotprod
#define FG_NAME "dotprod"
#define FG_LANES 4
#define FG_VECTORS 3
#define FG_ROWS 7
#define FG_SHIFT 128
#define FG_DOT(sum, a, b) (whole) vdotq_s32((sum), (int8x16_t)(a), (int8x16_t)(b))
#include "kernels/cpu/gemm/tile8.h"
#endif
