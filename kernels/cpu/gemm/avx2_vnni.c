/* AVX-VNNI: 16 registers of 8 sums. 12 hold sums. */
#ifdef __AVXVNNI__
#include <immintrin.h>
#define FG_SET avx2_vnni
#define FG_NAME "vnni"
#define FG_LANES 8
#define FG_VECTORS 2
#define FG_ROWS 6
#define FG_DOT(sum, a, b) (whole) _mm256_dpbusd_avx_epi32((__m256i)(sum), (__m256i)(a), (__m256i)(b))
#include "kernels/cpu/gemm/tile8.h"
#endif
