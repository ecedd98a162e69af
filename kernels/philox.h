/* Counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, SC'11).
 *
 * The key is the seed; the counter says what is drawn, so every backend and thread count draws the same
 * numbers: {position, what << 16 | level or tensor, image or element, epoch}.
 *
 * Errors: none. Owner: nothing is kept. Thread: any. NULL: never. */
#ifndef FG_KERNELS_PHILOX_H
#define FG_KERNELS_PHILOX_H

#include <stdint.h>

/* Drawn in kernels too. */
#ifdef __CUDACC__
#define FG_HERE_AND_THERE __host__ __device__
#else
#define FG_HERE_AND_THERE
#endif

enum fg_philox_what {
    FG_DRAW_MASK = 1,
    FG_DRAW_ORDER,
    FG_DRAW_INIT,
    FG_DRAW_SPLIT,
    FG_DRAW_PICTURE,
    FG_DRAW_TIE
};

struct fg_philox {
    uint32_t word[4];
};

FG_HERE_AND_THERE static inline struct fg_philox fg_philox(uint64_t seed, uint32_t c0, uint32_t c1,
                                                           uint32_t c2, uint32_t c3) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0;
        c1 = (uint32_t)p1;
        c2 = n2;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (struct fg_philox){{c0, c1, c2, c3}};
}

/* Uniform in [0, 1), 24 bits: exact in float32. */
FG_HERE_AND_THERE static inline float fg_philox_uniform(uint32_t word) {
    return (float)(word >> 8) * 0x1p-24f;
}

/* The mask's value at one position (y * w + x) of one image: 0 where it is hidden, else 1. */
FG_HERE_AND_THERE static inline float fg_philox_mask(uint64_t seed, uint32_t epoch, uint32_t image,
                                                     uint32_t level, uint32_t position, float rate) {
    struct fg_philox r = fg_philox(seed, position, (uint32_t)FG_DRAW_MASK << 16 | level, image, epoch);
    return fg_philox_uniform(r.word[0]) < rate ? 0.0f : 1.0f;
}

#endif
