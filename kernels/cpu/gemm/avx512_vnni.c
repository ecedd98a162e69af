/* AVX-512 with VNNI: 32 registers of 16 sums. 28 hold sums. */
#ifdef __AVX512VNNI__
#include <immintrin.h>
#define FG_SET avx512_vnni
#define FG_NAME "vnni"
#define FG_LANES 16
#define FG_VECTORS 2
#define FG_ROWS 14
#define FG_DOT(sum, a, b) (whole) _mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(a), (__m512i)(b))
#include "kernels/cpu/gemm/tile8.h"
#endif
