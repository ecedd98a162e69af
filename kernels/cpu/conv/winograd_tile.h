/* The small transformations of Winograd's F(4x4, 3x3), for LANES channels at a time: plain loops that become
 * vectors. B^T, G and A^T are those of Lavin and Gray (interpolation points 0, 1, -1, 2, -2).
 *
 * Errors: none. Owner: the caller owns all arrays. Thread: any, where no other writes the same output. NULL:
 * never. */
#ifndef FG_KERNELS_CPU_CONV_WINOGRAD_TILE_H
#define FG_KERNELS_CPU_CONV_WINOGRAD_TILE_H

#include <stddef.h>

#include "kernels/cpu/cpu.h"

/* Channels transformed at a time: one 512-bit vector of floats, or two or four shorter ones. */
#define LANES ((size_t)16)

/* B^T d: one row or column of a 6x6 tile, for count channels. from and to are stride floats apart. */
FG_INLINE void transform_input_line(const float *const from[6], float *restrict to, size_t stride,
                                    size_t count) {
    for (size_t k = 0; k < count; k++) {
        float d0 = from[0][k], d1 = from[1][k], d2 = from[2][k], d3 = from[3][k], d4 = from[4][k],
              d5 = from[5][k];
        float a = d4 - 4.0f * d2, b = d3 - 4.0f * d1, c = d4 - d2, d = 2.0f * (d3 - d1);
        to[k] = 4.0f * d0 - 5.0f * d2 + d4;
        to[stride + k] = a + b;
        to[2 * stride + k] = a - b;
        to[3 * stride + k] = c + d;
        to[4 * stride + k] = c - d;
        to[5 * stride + k] = 4.0f * d1 - 5.0f * d3 + d5;
    }
}

/* A^T m: six products of a row or column to four outputs. */
FG_INLINE void transform_output_line(const float *from, size_t from_stride, float *restrict to,
                                     size_t to_stride, size_t count) {
    for (size_t k = 0; k < count; k++) {
        float m0 = from[k], m1 = from[from_stride + k], m2 = from[2 * from_stride + k],
              m3 = from[3 * from_stride + k], m4 = from[4 * from_stride + k], m5 = from[5 * from_stride + k];
        float a = m1 + m2, b = m1 - m2, c = m3 + m4, d = m3 - m4;
        to[k] = m0 + a + c;
        to[to_stride + k] = b + 2.0f * d;
        to[2 * to_stride + k] = a + 4.0f * c;
        to[3 * to_stride + k] = b + 8.0f * d + m5;
    }
}

/* G g: three weights of a row or column to six. */
FG_INLINE void transform_weight_line(const float *const from[3], float *restrict to, size_t stride,
                                     size_t count) {
    for (size_t k = 0; k < count; k++) {
        float g0 = from[0][k], g1 = from[1][k], g2 = from[2][k];
        float a = (-1.0f / 6.0f) * (g0 + g2), b = (1.0f / 6.0f) * g1;
        float c = (1.0f / 24.0f) * g0 + (1.0f / 6.0f) * g2, d = (1.0f / 12.0f) * g1;
        to[k] = 0.25f * g0;
        to[stride + k] = a - b;
        to[2 * stride + k] = a + b;
        to[3 * stride + k] = c + d;
        to[4 * stride + k] = c - d;
        to[5 * stride + k] = g2;
    }
}

/* A y: four output gradients of a row or column to six. */
FG_INLINE void transform_gradient_line(const float *const from[4], float *restrict to, size_t stride,
                                       size_t count) {
    for (size_t k = 0; k < count; k++) {
        float y0 = from[0][k], y1 = from[1][k], y2 = from[2][k], y3 = from[3][k];
        float a = y0 + y2, b = y1 + y3, c = y0 + 4.0f * y2, d = 2.0f * y1 + 8.0f * y3;
        to[k] = y0;
        to[stride + k] = a + b;
        to[2 * stride + k] = a - b;
        to[3 * stride + k] = c + d;
        to[4 * stride + k] = c - d;
        to[5 * stride + k] = y3;
    }
}

/* G^T u: six weight gradients of a row or column to three. */
FG_INLINE void transform_weight_gradient_line(const float *const from[6], float *restrict to, size_t stride,
                                              size_t count) {
    for (size_t k = 0; k < count; k++) {
        float a = from[1][k] + from[2][k], b = from[2][k] - from[1][k], c = from[3][k] + from[4][k],
              d = from[3][k] - from[4][k];
        to[k] = 0.25f * from[0][k] - (1.0f / 6.0f) * a + (1.0f / 24.0f) * c;
        to[stride + k] = (1.0f / 6.0f) * b + (1.0f / 12.0f) * d;
        to[2 * stride + k] = (1.0f / 6.0f) * (c - a) + from[5][k];
    }
}

/* A 6x6 patch, given by a pointer for each position, to its 36 values stride floats apart. */
FG_INLINE void transform_input_tile(const float *const patch[6][6], float *to, size_t stride, size_t count) {
    float half[6][6][LANES]; /* [x][transformed y] */
    for (int x = 0; x < 6; x++) {
        const float *const column[6] = {patch[0][x], patch[1][x], patch[2][x],
                                        patch[3][x], patch[4][x], patch[5][x]};
        transform_input_line(column, half[x][0], LANES, count);
    }
    for (size_t y = 0; y < 6; y++) {
        const float *const row[6] = {half[0][y], half[1][y], half[2][y], half[3][y], half[4][y], half[5][y]};
        transform_input_line(row, to + y * 6 * stride, stride, count);
    }
}

FG_INLINE void transform_output_tile(const float *from, size_t stride, float to[4][4][LANES], size_t count) {
    float half[6][4][LANES]; /* [transformed y][x] */
    for (size_t y = 0; y < 6; y++) {
        transform_output_line(from + y * 6 * stride, stride, half[y][0], LANES, count);
    }
    for (int x = 0; x < 4; x++) {
        transform_output_line(half[0][x], 4 * LANES, to[0][x], 4 * LANES, count);
    }
}

FG_INLINE void transform_weight_tile(const float *const kernel[3][3], float to[6][6][LANES], size_t count) {
    float half[3][6][LANES]; /* [x][transformed y] */
    for (int x = 0; x < 3; x++) {
        const float *const column[3] = {kernel[0][x], kernel[1][x], kernel[2][x]};
        transform_weight_line(column, half[x][0], LANES, count);
    }
    for (int y = 0; y < 6; y++) {
        const float *const row[3] = {half[0][y], half[1][y], half[2][y]};
        transform_weight_line(row, to[y][0], LANES, count);
    }
}

/* 4x4 output gradients, given by a pointer for each position, to 36 values stride floats apart. */
FG_INLINE void transform_gradient_tile(const float *const patch[4][4], float *to, size_t stride,
                                       size_t count) {
    float half[4][6][LANES]; /* [x][transformed y] */
    for (int x = 0; x < 4; x++) {
        const float *const column[4] = {patch[0][x], patch[1][x], patch[2][x], patch[3][x]};
        transform_gradient_line(column, half[x][0], LANES, count);
    }
    for (size_t y = 0; y < 6; y++) {
        const float *const row[4] = {half[0][y], half[1][y], half[2][y], half[3][y]};
        transform_gradient_line(row, to + y * 6 * stride, stride, count);
    }
}

/* 36 weight gradients, stride floats apart, to 3x3, one tap's to floats apart. */
FG_INLINE void transform_weight_gradient_tile(const float *from, size_t stride, float *to, size_t to_stride,
                                              size_t count) {
    float half[6][3][LANES]; /* [transformed y][x] */
    for (size_t y = 0; y < 6; y++) {
        const float *p = from + y * 6 * stride;
        const float *const row[6] = {
            p, p + stride, p + 2 * stride, p + 3 * stride, p + 4 * stride, p + 5 * stride};
        transform_weight_gradient_line(row, half[y][0], LANES, count);
    }
    for (size_t x = 0; x < 3; x++) {
        const float *const column[6] = {half[0][x], half[1][x], half[2][x],
                                        half[3][x], half[4][x], half[5][x]};
        transform_weight_gradient_line(column, to + x * to_stride, 3 * to_stride, count);
    }
}

#endif
