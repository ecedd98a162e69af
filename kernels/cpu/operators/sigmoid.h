/* 1 / (1 + exp(-x)) in float32, within 3 units in the last place, without branches or calls: a loop of it
 * becomes vectors. NaN stays NaN.
 *
 * Errors: none. Owner: nothing is kept. Thread: any. NULL: never. */
#ifndef FG_KERNELS_CPU_OPERATORS_SIGMOID_H
#define FG_KERNELS_CPU_OPERATORS_SIGMOID_H

#include <stdint.h>
#include <string.h>

static inline float fg_cpu_sigmoid(float x) {
    /* exp(-x) = 2^n exp(r), n whole, |r| <= ln 2 / 2. The bounds keep 2^n a normal number; comparisons are
     * written so that a NaN passes them. */
    float t = x > 87.0f ? -87.0f : -x;
    t = t > 87.0f ? 87.0f : t;
    /* Adding 1.5 * 2^23 leaves the nearest whole number in the last bits. */
    const float magic = 0x1.8p23f, shifted = t * 0x1.715476p0f + magic, n = shifted - magic;
    const float r = (t - n * 0x1.62ep-1f) - n * 0x1.0bfbe8p-15f; /* ln 2 as two numbers, the first exact */
    float e = 1.0f / 720; /* Taylor's series: the first term left out is below 1.7e-7 of e */
    e = e * r + 1.0f / 120;
    e = e * r + 1.0f / 24;
    e = e * r + 1.0f / 6;
    e = e * r + 0.5f;
    e = e * r + 1;
    e = e * r + 1;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127) << 23; /* 2^n: the low bits of shifted hold n, all higher ones are shifted out */
    float power;
    memcpy(&power, &bits, sizeof power);
    return 1 / (1 + e * power);
}

#endif
