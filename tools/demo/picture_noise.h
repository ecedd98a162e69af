/* Randomness for procedural pictures: a stream of draws, and noise that is a pure function of a place.
 *
 * Draws come from Philox (FG_DRAW_PICTURE), so a picture is a function of its seed and index alone. A pixel
 * asks for noise about ten times, so noise hashes the lattice point itself, which is faster.
 *
 * Errors: none. Owner: the caller owns the dice. Thread: one at a time for one dice; any for noise. NULL:
 * never. */
#ifndef FG_TOOLS_DEMO_PICTURE_NOISE_H
#define FG_TOOLS_DEMO_PICTURE_NOISE_H

#include <stdint.h>

#include "kernels/philox.h"

#define FG_TURN 6.28318531f /* radians of a full turn */

/* The draws of one picture, in order. Draws for different purposes have a kind each, so that they differ for
 * one seed and index. */
struct fg_dice {
    uint64_t seed;
    uint32_t kind, picture, next;
};

/* Draws 32 random bits. */
static inline uint32_t fg_dice_word(struct fg_dice *dice) {
    return fg_philox(dice->seed, dice->next++, (uint32_t)FG_DRAW_PICTURE << 16 | dice->kind, dice->picture, 0)
        .word[0];
}

/* Draws a number, uniform from low to high. */
static inline float fg_dice_uniform(struct fg_dice *dice, float low, float high) {
    return low + (high - low) * fg_philox_uniform(fg_dice_word(dice));
}

/* Hashes a lattice point into 32 random bits. */
static inline uint32_t fg_noise_hash(int32_t x, int32_t y, uint32_t salt) {
    uint32_t h = ((uint32_t)x * 0x9E3779B9u ^ salt) + (uint32_t)y * 0xBB67AE85u;
    h = (h ^ h >> 16) * 0xD2511F53u;
    h = (h ^ h >> 15) * 0xCD9E8D57u;
    return h ^ h >> 16;
}

/* Gives a number, uniform in [0, 1), for a lattice point. */
static inline float fg_noise_point(int32_t x, int32_t y, uint32_t salt) {
    return fg_philox_uniform(fg_noise_hash(x, y, salt));
}

/* Rounds x down to an integer; |x| < 2^31. */
static inline int32_t fg_noise_floor(float x) {
    int32_t i = (int32_t)x;
    return i - (x < (float)i);
}

/* Gives a at t = 0, b at t = 1, and a straight line between. */
static inline float fg_mix(float a, float b, float t) {
    return a + (b - a) * t;
}

static inline float fg_clamp(float x, float low, float high) {
    return x < low ? low : x > high ? high : x;
}

/* Gives 0 below low, 1 above high, and a smooth curve between; low > high turns it round. */
static inline float fg_smooth(float low, float high, float x) {
    float t = fg_clamp((x - low) / (high - low), 0, 1);
    return t * t * (3 - 2 * t);
}

/* Gives value noise in [0, 1): random at lattice points, smooth between them. */
static inline float fg_noise(float x, float y, uint32_t salt) {
    const int32_t i = fg_noise_floor(x), j = fg_noise_floor(y);
    float s = x - (float)i, t = y - (float)j;
    s = s * s * (3 - 2 * s);
    t = t * t * (3 - 2 * t);
    return fg_mix(fg_mix(fg_noise_point(i, j, salt), fg_noise_point(i + 1, j, salt), s),
                  fg_mix(fg_noise_point(i, j + 1, salt), fg_noise_point(i + 1, j + 1, salt), s), t);
}

/* Sums octaves of noise, each twice as fine and half as strong as the one before, scaled to [0, 1). */
static inline float fg_noise_octaves(float x, float y, int octaves, uint32_t salt) {
    float sum = 0, weight = 1, total = 0;
    for (int o = 0; o < octaves; o++) {
        sum += weight * fg_noise(x, y, salt + (uint32_t)o);
        total += weight;
        weight *= 0.5f;
        x = 2 * x + 17.3f; /* the lattices of two octaves must not coincide */
        y = 2 * y + 41.7f;
    }
    return sum / total;
}

/* Cellular noise at a place: each unit cell has one random point, and the place sees the two nearest. */
struct fg_cell {
    float near, second; /* distances to the nearest and second nearest point */
    float dx, dy;       /* way from the nearest point to the place */
    uint32_t id;        /* hash of the nearest point's cell */
};

/* Finds the nearest two points. jitter 0 puts the points on a grid, 1 anywhere in their cells. */
static inline struct fg_cell fg_noise_cell(float x, float y, float jitter, uint32_t salt) {
    const int32_t i = fg_noise_floor(x), j = fg_noise_floor(y);
    struct fg_cell cell = {.near = 9, .second = 9};
    for (int32_t b = j - 1; b <= j + 1; b++)
        for (int32_t a = i - 1; a <= i + 1; a++) {
            const uint32_t h = fg_noise_hash(a, b, salt);
            const float dx = x - (float)a - 0.5f - jitter * ((float)(h & 0xffff) * 0x1p-16f - 0.5f),
                        dy = y - (float)b - 0.5f - jitter * ((float)(h >> 16) * 0x1p-16f - 0.5f);
            const float d = dx * dx + dy * dy;
            if (d < cell.near) {
                cell.second = cell.near;
                cell.near = d;
                cell.dx = dx;
                cell.dy = dy;
                cell.id = h;
            } else if (d < cell.second)
                cell.second = d;
        }
    cell.near = __builtin_sqrtf(cell.near);
    cell.second = __builtin_sqrtf(cell.second);
    return cell;
}

#endif
