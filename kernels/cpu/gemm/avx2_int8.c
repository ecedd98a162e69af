/* AVX2 without a product of bytes that is exact: 16 registers of 8 sums. 8 hold sums. */
#ifdef __AVX2__
#include <immintrin.h>
#define FG_SET avx2
#define FG_NAME ""
#define FG_LANES 8
#define FG_VECTORS 2
#define FG_ROWS 4
#define FG_PAIRS(a, b) (whole) _mm256_madd_epi16((__m256i)(a), (__m256i)(b))
#include "kernels/cpu/gemm/tile8.h"
#endif
