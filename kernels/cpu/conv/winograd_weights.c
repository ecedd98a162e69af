/* Winograd's form of a weight: made once where it is frozen, before each run where it is trained. */
#include "kernels/cpu/conv/conv.h"
#include "kernels/cpu/conv/winograd_tile.h"

size_t fg_winograd_weight_bytes(const struct fg_conv_shape *s) {
    return FG_WINOGRAD_POINTS * s->oc * s->gc * sizeof(float);
}

/* Channels [k, k + count) of output channel o to tile[36]. */
FG_CPU_CLONES
static void transform_weights(const struct fg_conv_shape *s, const float *weight, bool flip, size_t o,
                              size_t k, size_t count, float tile[6][6][LANES]) {
    const float *kernel[3][3];
    for (size_t y = 0; y < 3; y++) {
        for (size_t x = 0; x < 3; x++) {
            size_t tap = flip ? 8 - (y * 3 + x) : y * 3 + x;
            kernel[y][x] = weight + (o * 9 + tap) * s->gc + k;
        }
    }
    if (count == LANES) {
        transform_weight_tile(kernel, tile, LANES);
    } else {
        transform_weight_tile(kernel, tile, count);
    }
}

/* Stores outputs x channels of one point as rows of output channels, or of input channels. */
FG_CPU_CLONES
static void store_point(float (*tile)[FG_WINOGRAD_POINTS][LANES], size_t p, size_t outputs, size_t channels,
                        bool by_output, float *to, size_t stride) {
    if (by_output) {
        for (size_t o = 0; o < outputs; o++) {
            for (size_t k = 0; k < channels; k++) {
                to[o * stride + k] = tile[o][p][k];
            }
        }
    } else {
        for (size_t k = 0; k < channels; k++) {
            for (size_t o = 0; o < outputs; o++) {
                to[k * stride + o] = tile[o][p][k];
            }
        }
    }
}

static size_t min(size_t a, size_t b) {
    return a < b ? a : b;
}

void fg_winograd_weights(const struct fg_conv_shape *s, const float *weight, enum fg_pass pass, size_t o0,
                         size_t o1, float *transformed) {
    const bool backward = pass == FG_BACKWARD;
    float tile[LANES][FG_WINOGRAD_POINTS][LANES];
    for (size_t o = o0; o < o1;) {
        const size_t group = o / s->goc, column = o % s->goc;
        const size_t outputs = min(min(o1 - o, s->goc - column), LANES);
        for (size_t k = 0; k < s->gc; k += LANES) {
            const size_t channels = min(s->gc - k, LANES);
            for (size_t i = 0; i < outputs; i++) {
                transform_weights(s, weight, backward, o + i, k, channels, (float(*)[6][LANES])tile[i]);
            }
            for (size_t p = 0; p < FG_WINOGRAD_POINTS; p++) {
                float *matrix = transformed + (p * s->groups + group) * s->gc * s->goc;
                store_point(tile, p, outputs, channels, backward,
                            matrix + (backward ? column * s->gc + k : k * s->goc + column),
                            backward ? s->gc : s->goc);
            }
        }
        o += outputs;
    }
}

struct work {
    const struct fg_conv_shape *shape;
    const float *weight; /* {oc, 3, 3, gc} */
    enum fg_pass pass;
    float *transformed; /* [36][groups][gc][goc], or [goc][gc] for the gradient */
    uint32_t pieces;
};

static void transform_piece(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct work *w = argument;
    struct fg_cpu_range outputs = fg_cpu_share(w->shape->oc, w->pieces, task);
    fg_winograd_weights(w->shape, w->weight, w->pass, outputs.begin, outputs.end, w->transformed);
}

void fg_winograd_all_weights(struct fg_backend *backend, const struct fg_step *step,
                             const struct fg_conv_shape *s, const float *weight, enum fg_pass pass,
                             float *transformed) {
    struct work w = {s, weight, pass, transformed, fg_cpu_threads(backend)};
    fg_cpu_parallel(backend, step, w.pieces, transform_piece, &w);
}
