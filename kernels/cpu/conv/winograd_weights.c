/* Winograd's form of a weight: made once where it is frozen, before each run where it is trained. */
#include "kernels/cpu/conv/conv.h"
#include "kernels/cpu/conv/winograd_tile.h"

#define MOST_POINTS 36

/* Floats of one point's matrix of one group. */
static size_t count_matrix(const struct fg_conv_shape *s, enum fg_pass pass) {
    return pass == FG_FORWARD ? fg_gemm_packed(s->goc, s->gc) : fg_gemm_packed(s->gc, s->goc);
}

size_t fg_winograd_weight_bytes(const struct fg_conv_shape *s, size_t side, enum fg_pass pass) {
    return fg_winograd_points(side) * s->groups * count_matrix(s, pass) * sizeof(float);
}

/* Channels [k, k + count) of output channel o to tile[points]. */
FG_CPU_CLONES
static void transform_weights(const struct fg_conv_shape *s, size_t side, const float *weight, bool flip,
                              size_t o, size_t k, size_t count, lanes *tile) {
    const float *kernel[3][3];
    for (size_t y = 0; y < 3; y++) {
        for (size_t x = 0; x < 3; x++) {
            size_t tap = flip ? 8 - (y * 3 + x) : y * 3 + x;
            kernel[y][x] = weight + (o * 9 + tap) * s->gc + k;
        }
    }
    if (side == 2) {
        transform_weight_tile(2, kernel, count, tile);
    } else if (count == LANES) {
        transform_weight_tile(4, kernel, LANES, tile);
    } else {
        transform_weight_tile(4, kernel, count, tile);
    }
}

static size_t min(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Outputs by channels of one point, from output o and channel c of a group on. */
struct patch {
    size_t o, outputs, c, channels;
    lanes (*tile)[MOST_POINTS];
};

/* Stores one point of a patch in a packed matrix of channels by outputs. */
FG_CPU_CLONES
static void store_forward(const struct patch *a, size_t p, size_t depth, size_t panel, float *to) {
    for (size_t i = 0; i < a->outputs; i++) {
        float *place = to + fg_gemm_place(depth, panel, a->c, a->o + i);
        for (size_t k = 0; k < a->channels; k++) {
            place[k * panel] = a->tile[i][p][k];
        }
    }
}

/* Stores one point of a patch in a packed matrix of outputs by channels. */
FG_CPU_CLONES
static void store_backward(const struct patch *a, size_t p, size_t depth, size_t panel, float *to) {
    for (size_t k = 0; k < a->channels;) {
        float *place = to + fg_gemm_place(depth, panel, a->o, a->c + k);
        const size_t rest = panel - (a->c + k) % panel, run = min(rest, a->channels - k);
        for (size_t i = 0; i < a->outputs; i++, place += panel) {
            for (size_t r = 0; r < run; r++) {
                place[r] = a->tile[i][p][k + r];
            }
        }
        k += run;
    }
}

void fg_winograd_weights(const struct fg_conv_shape *s, size_t side, const float *weight, enum fg_pass pass,
                         size_t o0, size_t o1, float *transformed) {
    const bool backward = pass == FG_BACKWARD;
    const size_t panel = fg_gemm_panel();
    lanes tile[LANES][MOST_POINTS];
    for (size_t o = o0; o < o1;) {
        const size_t group = o / s->goc, column = o % s->goc;
        const size_t outputs = min(min(o1 - o, s->goc - column), LANES);
        for (size_t k = 0; k < s->gc; k += LANES) {
            const size_t channels = min(s->gc - k, LANES);
            for (size_t i = 0; i < outputs; i++) {
                transform_weights(s, side, weight, backward, o + i, k, channels, tile[i]);
            }
            const struct patch patch = {column, outputs, k, channels, tile};
            for (size_t p = 0; p < fg_winograd_points(side); p++) {
                float *matrix = transformed + (p * s->groups + group) * count_matrix(s, pass);
                if (backward) {
                    store_backward(&patch, p, s->goc, panel, matrix);
                } else {
                    store_forward(&patch, p, s->gc, panel, matrix);
                }
            }
        }
        o += outputs;
    }
}

struct work {
    const struct fg_conv_shape *shape;
    size_t side;
    const float *weight; /* {oc, 3, 3, gc} */
    enum fg_pass pass;
    float *transformed; /* as fg_winograd_weights gives them */
    uint32_t pieces;
};

static void transform_piece(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct work *w = argument;
    struct fg_cpu_range outputs = fg_cpu_share(w->shape->oc, w->pieces, task);
    fg_winograd_weights(w->shape, w->side, w->weight, w->pass, outputs.begin, outputs.end, w->transformed);
}

void fg_winograd_all_weights(struct fg_backend *backend, const struct fg_step *step,
                             const struct fg_conv_shape *s, size_t side, const float *weight,
                             enum fg_pass pass, float *transformed) {
    struct work w = {s, side, weight, pass, transformed, fg_cpu_threads(backend)};
    fg_cpu_parallel(backend, step, w.pieces, transform_piece, &w);
}
