/* One channel of one row of a frame, in the camera's own format, as kernels/step.h defines what it shows:
 * readers that the horizontal pass of RESIZE is compiled with. A reader is made for image, row and channel;
 * at gives 0 to 255.
 *
 * Errors: none; who launches the kernel has checked the frame's size. Owner: the frame is borrowed and
 * outlives its readers. Thread: any of the device, each with readers of its own. NULL: never. */
#ifndef FG_KERNELS_CUDA_OPERATORS_PIXEL_CUH
#define FG_KERNELS_CUDA_OPERATORS_PIXEL_CUH

#include "kernels/cuda/operators/device.cuh"

struct fg_picture {
    const uint8_t *values; /* {n, h, w, c} in the format's own layout */
    size_t pitch;          /* bytes from row to row */
    size_t image;          /* bytes from image to image */
    int h, w, c;
    int red_row, red_column, bits; /* meant for Bayer only */
};

__device__ static inline int fg_clip(int value) {
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

/* 8-bit grey or RGB. */
struct fg_plain_row {
    const uint8_t *from; /* the row's channel: value x at [x c] */
    int c;

    __device__ fg_plain_row(const struct fg_picture &p, int n, int y, int k)
        : from(p.values + n * p.image + y * p.pitch + k), c(p.c) {
    }
    __device__ int at(int x) const {
        return from[(size_t)x * c];
    }
};

/* The factors of u and v in a channel. */
struct fg_chroma {
    int of_u, of_v;

    __device__ explicit fg_chroma(int k) : of_u(k == 0 ? 0 : FG_YUV_BU), of_v(k == 0 ? FG_YUV_RV : 0) {
        if (k == 1) {
            of_u = -FG_YUV_GU;
            of_v = -FG_YUV_GV;
        }
    }
    __device__ int shown(int y, int u, int v) const {
        return fg_clip((FG_YUV_Y * (y - 16) + of_u * (u - 128) + of_v * (v - 128) + (1 << 15)) >> 16);
    }
};

struct fg_yuyv_row {
    const uint8_t *from; /* [w / 2][4]: Y, U, Y, V of each pair */
    struct fg_chroma chroma;

    __device__ fg_yuyv_row(const struct fg_picture &p, int n, int y, int k)
        : from(p.values + n * p.image + y * p.pitch), chroma(k) {
    }
    __device__ int at(int x) const {
        const uint8_t *pair = from + (size_t)(x / 2) * 4;
        return chroma.shown(pair[x % 2 * 2], pair[1], pair[3]);
    }
};

struct fg_nv12_row {
    const uint8_t *luma, *uv; /* [w], and [w / 2][2] of the row pair */
    struct fg_chroma chroma;

    __device__ fg_nv12_row(const struct fg_picture &p, int n, int y, int k)
        : luma(p.values + n * p.image + y * p.pitch), uv(p.values + n * p.image + (p.h + y / 2) * p.pitch),
          chroma(k) {
    }
    __device__ int at(int x) const {
        const uint8_t *pair = uv + x / 2 * 2;
        return chroma.shown(luma[x], pair[0], pair[1]);
    }
};

/* Wide: samples of 10 or 12 bits. They are read as bytes: nothing says that rows begin at even addresses. */
template <bool wide> struct fg_bayer_row {
    const uint8_t *above, *here, *below; /* [w] samples each, [w][2] bytes where wide */
    int w, k, bits;
    int colour; /* the row's own, which every other place of it has; the others are green */
    int first;  /* its first place */

    __device__ fg_bayer_row(const struct fg_picture &p, int n, int y, int k)
        : here(p.values + n * p.image + y * p.pitch), w(p.w), k(k), bits(p.bits) {
        above = y > 0 ? here - p.pitch : here + p.pitch;
        below = y < p.h - 1 ? here + p.pitch : here - p.pitch;
        const bool red = (y & 1) == p.red_row;
        colour = red ? 0 : 2;
        first = red ? p.red_column : 1 - p.red_column;
    }
    __device__ static int sample(const uint8_t *row, int x) {
        return wide ? row[2 * x] | row[2 * x + 1] << 8 : row[x];
    }
    __device__ int value(int x) const {
        const int left = x > 0 ? x - 1 : 1, right = x < w - 1 ? x + 1 : x - 1;
        const bool green = (x & 1) != first;
        if (k == (green ? 1 : colour))
            return sample(here, x);
        if (green && k == colour)
            return (sample(here, left) + sample(here, right) + 1) >> 1;
        if (green)
            return (sample(above, x) + sample(below, x) + 1) >> 1;
        if (k == 1)
            return (sample(above, x) + sample(below, x) + sample(here, left) + sample(here, right) + 2) >> 2;
        return (sample(above, left) + sample(above, right) + sample(below, left) + sample(below, right) +
                2) >>
               2;
    }
    __device__ int at(int x) const {
        return wide ? fg_clip((value(x) + (1 << (bits - 9))) >> (bits - 8)) : value(x);
    }
};

#endif
