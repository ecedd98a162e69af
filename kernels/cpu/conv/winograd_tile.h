/* The small transformations of Winograd's F(2x2, 3x3) and F(4x4, 3x3), for LANES channels at a time. B^T, G
 * and A^T are those of Lavin and Gray (interpolation points 0, 1, -1 and, of the latter, 2, -2).
 *
 * side, 2 or 4, are the outputs along a tile: a constant, so that each has its own code. count is LANES, or
 * at the end of the channels what is left of them. Lines are given as arrays of vectors,
 * because a vector as an argument has another binary interface for each instruction set.
 *
 * Errors: none. Owner: the caller owns all arrays. Thread: any, where no other writes the same output. NULL:
 * never. */
#ifndef FG_KERNELS_CPU_CONV_WINOGRAD_TILE_H
#define FG_KERNELS_CPU_CONV_WINOGRAD_TILE_H

#include <stddef.h>
#include <string.h>

#include "kernels/cpu/cpu.h"

/* Channels transformed at a time: one 256-bit vector of floats, or two shorter ones. */
#define LANES ((size_t)8)

/* The loops along a line are unrolled before the compiler decides what lies in registers. */
#define UNROLL _Pragma("GCC unroll 6")

typedef float lanes __attribute__((vector_size(32)));
typedef float unaligned_lanes __attribute__((vector_size(32), aligned(4)));
typedef int lane_mask __attribute__((vector_size(32)));

FG_INLINE void load_lanes(const float *from, size_t count, lanes *to) {
    if (count == LANES) {
        *to = *(const unaligned_lanes *)from;
    } else {
        *to = (lanes){0};
        memcpy(to, from, count * sizeof *from);
    }
}

FG_INLINE void store_lanes(const lanes *from, size_t count, float *to) {
    if (count == LANES)
        *(unaligned_lanes *)to = *from;
    else
        memcpy(to, from, count * sizeof *to);
}

/* B^T d: one row or column of a tile of inputs. Results lie step apart. */
FG_INLINE void transform_input_line(size_t side, const lanes *d, lanes *to, size_t step) {
    if (side == 2) {
        to[0] = d[0] - d[2];
        to[step] = d[1] + d[2];
        to[2 * step] = d[2] - d[1];
        to[3 * step] = d[1] - d[3];
        return;
    }
    const lanes a = d[4] - 4.0f * d[2], b = d[3] - 4.0f * d[1], c = d[4] - d[2], e = 2.0f * (d[3] - d[1]);
    to[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
    to[step] = a + b;
    to[2 * step] = a - b;
    to[3 * step] = c + e;
    to[4 * step] = c - e;
    to[5 * step] = 4.0f * d[1] - 5.0f * d[3] + d[5];
}

/* A^T m: the products of a row or column to side outputs. */
FG_INLINE void transform_output_line(size_t side, const lanes *m, lanes *to, size_t step) {
    if (side == 2) {
        to[0] = m[0] + m[1] + m[2];
        to[step] = m[1] - m[2] - m[3];
        return;
    }
    const lanes a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
    to[0] = m[0] + a + c;
    to[step] = b + 2.0f * d;
    to[2 * step] = a + 4.0f * c;
    to[3 * step] = b + 8.0f * d + m[5];
}

/* G g: three weights of a row or column to side + 2. */
FG_INLINE void transform_weight_line(size_t side, const lanes g[3], lanes *to, size_t step) {
    if (side == 2) {
        const lanes even = 0.5f * (g[0] + g[2]), odd = 0.5f * g[1];
        to[0] = g[0];
        to[step] = even + odd;
        to[2 * step] = even - odd;
        to[3 * step] = g[2];
        return;
    }
    const lanes a = (-1.0f / 6.0f) * (g[0] + g[2]), b = (1.0f / 6.0f) * g[1];
    const lanes c = (1.0f / 24.0f) * g[0] + (1.0f / 6.0f) * g[2], d = (1.0f / 12.0f) * g[1];
    to[0] = 0.25f * g[0];
    to[step] = a - b;
    to[2 * step] = a + b;
    to[3 * step] = c + d;
    to[4 * step] = c - d;
    to[5 * step] = g[2];
}

/* A y of F(4x4, 3x3): four output gradients of a row or column to six. */
FG_INLINE void transform_gradient_line(const lanes y[4], lanes *to, size_t step) {
    const lanes a = y[0] + y[2], b = y[1] + y[3], c = y[0] + 4.0f * y[2], d = 2.0f * y[1] + 8.0f * y[3];
    to[0] = y[0];
    to[step] = a + b;
    to[2 * step] = a - b;
    to[3 * step] = c + d;
    to[4 * step] = c - d;
    to[5 * step] = y[3];
}

/* G^T u of F(4x4, 3x3): six weight gradients of a row or column to three. */
FG_INLINE void transform_weight_gradient_line(const lanes u[6], lanes *to, size_t step) {
    const lanes a = u[1] + u[2], b = u[2] - u[1], c = u[3] + u[4], d = u[3] - u[4];
    to[0] = 0.25f * u[0] - (1.0f / 6.0f) * a + (1.0f / 24.0f) * c;
    to[step] = (1.0f / 6.0f) * b + (1.0f / 12.0f) * d;
    to[2 * step] = (1.0f / 6.0f) * (c - a) + u[5];
}

/* Channels [k, k + count) of a patch of inputs, given by a pointer for each position, to their points stride
 * floats apart. */
FG_INLINE void transform_input_tile(size_t side, const float *const patch[6][6], size_t k, size_t count,
                                    float *to, size_t stride) {
    const size_t in = side + 2;
    lanes line[6], half[6][6], values[6]; /* half: [transformed y][x] */
    for (size_t x = 0; x < in; x++) {
        UNROLL
        for (size_t y = 0; y < in; y++)
            load_lanes(patch[y][x] + k, count, &line[y]);
        transform_input_line(side, line, &half[0][x], 6);
    }
    for (size_t y = 0; y < in; y++) {
        transform_input_line(side, half[y], values, 1);
        UNROLL
        for (size_t x = 0; x < in; x++)
            store_lanes(&values[x], count, to + (y * in + x) * stride);
    }
}

FG_INLINE void transform_output_tile(size_t side, const float *from, size_t stride, size_t count,
                                     lanes to[4][4]) {
    const size_t in = side + 2;
    lanes line[6], half[4][6]; /* [y][transformed x] */
    for (size_t x = 0; x < in; x++) {
        UNROLL
        for (size_t y = 0; y < in; y++)
            load_lanes(from + (y * in + x) * stride, count, &line[y]);
        transform_output_line(side, line, &half[0][x], 6);
    }
    for (size_t y = 0; y < side; y++)
        transform_output_line(side, half[y], to[y], 1);
}

FG_INLINE void transform_weight_tile(size_t side, const float *const kernel[3][3], size_t count, lanes *to) {
    const size_t in = side + 2;
    lanes line[3], half[6][3]; /* [transformed y][x] */
    for (size_t x = 0; x < 3; x++) {
        UNROLL
        for (size_t y = 0; y < 3; y++)
            load_lanes(kernel[y][x], count, &line[y]);
        transform_weight_line(side, line, &half[0][x], 3);
    }
    for (size_t y = 0; y < in; y++)
        transform_weight_line(side, half[y], to + y * in, 1);
}

/* Channels [k, k + count) of 4x4 output gradients, given by a pointer for each position, to their 36 values
 * stride floats apart. */
FG_INLINE void transform_gradient_tile(const float *const patch[4][4], size_t k, size_t count, float *to,
                                       size_t stride) {
    lanes line[4], half[6][4], values[6]; /* half: [transformed y][x] */
    for (size_t x = 0; x < 4; x++) {
        UNROLL
        for (size_t y = 0; y < 4; y++)
            load_lanes(patch[y][x] + k, count, &line[y]);
        transform_gradient_line(line, &half[0][x], 4);
    }
    for (size_t y = 0; y < 6; y++) {
        transform_gradient_line(half[y], values, 1);
        UNROLL
        for (size_t x = 0; x < 6; x++)
            store_lanes(&values[x], count, to + (y * 6 + x) * stride);
    }
}

/* 36 weight gradients, stride floats apart, to 3x3, one tap's to_stride floats apart. */
FG_INLINE void transform_weight_gradient_tile(const float *from, size_t stride, size_t count, float *to,
                                              size_t to_stride) {
    lanes line[6], half[3][6], values[3]; /* half: [y][transformed x] */
    for (size_t x = 0; x < 6; x++) {
        UNROLL
        for (size_t y = 0; y < 6; y++)
            load_lanes(from + (y * 6 + x) * stride, count, &line[y]);
        transform_weight_gradient_line(line, &half[0][x], 6);
    }
    for (size_t y = 0; y < 3; y++) {
        transform_weight_gradient_line(half[y], values, 1);
        UNROLL
        for (size_t x = 0; x < 3; x++)
            store_lanes(&values[x], count, to + (y * 3 + x) * to_stride);
    }
}

#endif
