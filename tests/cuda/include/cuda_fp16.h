/* Stands in for CUDA's: float16 with the two conversions that kernels/cuda uses. */
#ifndef FG_TESTS_CUDA_INCLUDE_CUDA_FP16_H
#define FG_TESTS_CUDA_INCLUDE_CUDA_FP16_H

extern "C" {
#include "runtime/base/half.h"
}

struct __half {
    uint16_t bits;
};

static inline float __half2float(__half value) {
    return fg_half_to_float(value.bits);
}

static inline __half __float2half_rn(float value) {
    return {fg_float_to_half(value)};
}

#endif
