/* Patches of a convolution's input, gathered into rows: a factor of the product that gives the gradient of
 * its weights. */
#include <string.h>

#include "kernels/cpu/conv/conv.h"

/* One run of a patch: floats [begin, end) of the picture row that starts at row, of which [0, width) exist.
 */
static float *copy_run(const float *row, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t width, float *to) {
    if (begin >= 0 && end <= width) {
        memcpy(to, row + begin, (size_t)(end - begin) * sizeof *to);
    } else {
        for (ptrdiff_t i = begin; i < end; i++) {
            to[i - begin] = i >= 0 && i < width ? row[i] : 0.0f;
        }
    }
    return to + (end - begin);
}

/* Taps [t0, t1) of kernel row ky lie side by side in the picture unless groups separate them; each run is one
 * tap's channels, or all taps at once. */
static float *gather_kernel_row(const struct fg_conv_shape *s, const float *image, size_t group, ptrdiff_t iy,
                                ptrdiff_t ix, size_t k0, size_t k1, float *to) {
    if (iy < 0 || iy >= (ptrdiff_t)s->h) {
        memset(to, 0, (k1 - k0) * sizeof *to);
        return to + (k1 - k0);
    }
    const float *row = image + (size_t)iy * s->w * s->c;
    ptrdiff_t width = (ptrdiff_t)(s->w * s->c);
    if (s->groups == 1) {
        ptrdiff_t start = ix * (ptrdiff_t)s->c;
        return copy_run(row, start + (ptrdiff_t)k0, start + (ptrdiff_t)k1, width, to);
    }
    for (size_t k = k0; k < k1;) {
        size_t tap = k / s->gc, channel = k % s->gc;
        size_t end = (tap + 1) * s->gc < k1 ? (tap + 1) * s->gc : k1;
        ptrdiff_t x = ix + (ptrdiff_t)tap;
        size_t count = end - k;
        if (x < 0 || x >= (ptrdiff_t)s->w) {
            memset(to, 0, count * sizeof *to);
        } else {
            memcpy(to, row + (size_t)x * s->c + group * s->gc + channel, count * sizeof *to);
        }
        to += count;
        k = end;
    }
    return to;
}

void fg_conv_gather(const struct fg_conv_shape *s, const float *x, size_t group, size_t r0, size_t r1,
                    size_t k0, size_t k1, float *patches) {
    const size_t line = s->kernel * s->gc;
    const ptrdiff_t pad = (ptrdiff_t)(s->kernel / 2);
    for (size_t r = r0; r < r1; r++) {
        size_t ox = r % s->ow, oy = r / s->ow % s->oh, i = r / s->ow / s->oh;
        const float *image = x + i * s->h * s->w * s->c;
        ptrdiff_t iy = (ptrdiff_t)(oy * s->stride) - pad, ix = (ptrdiff_t)(ox * s->stride) - pad;
        for (size_t ky = k0 / line; ky * line < k1; ky++) {
            size_t begin = k0 > ky * line ? k0 - ky * line : 0;
            size_t end = k1 < (ky + 1) * line ? k1 - ky * line : line;
            patches = gather_kernel_row(s, image, group, iy + (ptrdiff_t)ky, ix, begin, end, patches);
        }
    }
}
