/* float16 (IEEE 754 binary16) and bfloat16 as stored in files. The conversions work on the bits, because some
 * of our targets' compilers lack the types. They keep subnormals, infinities and NaN.
 *
 * Errors: none. Owner: the caller owns the values. Thread: any. NULL: only an array of 0 values may be. */
#ifndef FG_RUNTIME_BASE_HALF_H
#define FG_RUNTIME_BASE_HALF_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/bytes.h"

static inline float fg_half_to_float(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half & 0x7c00, mantissa = half & 0x3ff;
    uint32_t magnitude;
    if (exponent == 0)
        magnitude = fg_float_bits((float)mantissa * 0x1p-24f);
    else if (exponent == 0x7c00)
        magnitude = 0x7f800000 | mantissa << 13;
    else
        magnitude = ((exponent | mantissa) << 13) + (112u << 23); /* the biases differ by 127 - 15 */
    return fg_bits_float(sign | magnitude);
}

/* Rounds to nearest, ties to even. Values from 65520 on become infinity. */
static inline uint16_t fg_float_to_half(float value) {
    const uint32_t bits = fg_float_bits(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    uint32_t half;
    if (magnitude > 0x7f800000)
        half = 0x7e00 | (magnitude >> 13 & 0x3ff);
    else if (magnitude >= 0x477ff000)
        half = 0x7c00;
    else if (magnitude < 0x38800000) /* below 2^-14 halves are 2^-24 apart, as floats from 0.5 to 1 are */
        half = fg_float_bits(fg_bits_float(magnitude) + 0.5f) - fg_float_bits(0.5f);
    else
        half = (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
    return (uint16_t)(sign | half);
}

static inline float fg_bfloat_to_float(uint16_t bfloat) {
    return fg_bits_float((uint32_t)bfloat << 16);
}

/* Whether float16 holds these values: none overflows and the relative RMS error is at most 1e-3. */
bool fg_half_holds(const float *values, size_t count);

#endif
