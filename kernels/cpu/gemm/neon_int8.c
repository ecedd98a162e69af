/* NEON without a product of 4 bytes: 32 registers of 4 sums. 14 hold sums. Two products of signed bytes fit
 * into 16 bits, as no weight is -128. */
#ifdef __ARM_NEON
#include <arm_neon.h>
#define FG_SET neon
#define FG_NAME ""
#define FG_LANES 4
#define FG_VECTORS 2
#define FG_ROWS 7
#define FG_SHIFT 128
#define FG_DOT(sum, a, b)                                                                                    \
    (whole)                                                                                                  \
        vpadalq_s16((sum), vpaddq_s16(vmull_s8(vget_low_s8((int8x16_t)(a)), vget_low_s8((int8x16_t)(b))),    \
                                      vmull_high_s8((int8x16_t)(a), (int8x16_t)(b))))
#include "kernels/cpu/gemm/tile8.h"
#endif
