/* SSE2 has products of 16 bits only: 16 registers of 4 sums. 8 hold sums. */
#ifdef __SSE2__
#include <emmintrin.h>
#define FG_SET sse2
#define FG_NAME ""
#define FG_LANES 4
#define FG_VECTORS 2
#define FG_ROWS 4
#define FG_PAIRS(a, b) (whole) _mm_madd_epi16((__m128i)(a), (__m128i)(b))
#include "kernels/cpu/gemm/tile8.h"
#endif
