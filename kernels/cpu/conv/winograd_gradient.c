/* The weights' gradient of a 3 x 3 convolution with stride 1, by the same transformations. */
#include <string.h>

#include "kernels/cpu/conv/conv.h"
#include "kernels/cpu/conv/winograd_tile.h"

/* The forward pass is out = A^T [(G w G^T) * (B^T x B)] A, so d_w = G^T [(A g A^T) * (B^T x B)] G, where the
 * product runs over all tiles: 36 products of matrices, one for each point. They are shared out by point, so
 * that no sum depends on the number of threads. */

#define SIDE FG_WINOGRAD_GRADIENT_SIDE
#define POINTS fg_winograd_points(SIDE)
#define BLOCK_TILES ((size_t)64)

static size_t count_tiles(const struct fg_conv_shape *s) {
    return s->n * fg_winograd_across(s->h, SIDE) * fg_winograd_across(s->w, SIDE);
}

static size_t choose_block(const struct fg_conv_shape *s) {
    size_t block = FG_WINOGRAD_BLOCK_FLOATS / (POINTS * (s->c + s->oc));
    block = block < BLOCK_TILES ? BLOCK_TILES : block;
    return block < count_tiles(s) ? block : count_tiles(s);
}

static size_t count_zeros(const struct fg_conv_shape *s) {
    return fg_winograd_zeros(s->c > s->oc ? s->c : s->oc);
}

size_t fg_winograd_gradient_workspace(const struct fg_conv_shape *s) {
    size_t strides = fg_winograd_stride(choose_block(s), s->c) + fg_winograd_stride(choose_block(s), s->oc);
    return (count_zeros(s) + POINTS * (strides + s->oc * s->gc)) * sizeof(float);
}

struct gradient {
    const struct fg_conv_shape *shape;
    struct fg_winograd_picture x, g;        /* {n, h, w, c} and {n, h, w, oc} */
    float *inputs;                          /* [36][block][c] */
    float *gradients;                       /* [36][block][oc] */
    float *products;                        /* [36][oc][gc] */
    size_t inputs_stride, gradients_stride; /* floats from point to point */
    float *d_weight;                        /* {oc, 3, 3, gc} */
    size_t first;                           /* first tile of the block */
    size_t tiles;                           /* number of tiles in the block */
    uint32_t pieces;
};

static void transform_piece(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct gradient *d = argument;
    const struct fg_conv_shape *s = d->shape;
    struct fg_cpu_range tiles = fg_cpu_share(d->tiles, d->pieces, task);
    size_t begin = d->first + tiles.begin, end = d->first + tiles.end;
    fg_winograd_inputs(&d->x, begin, end, d->inputs + tiles.begin * s->c, d->inputs_stride);
    fg_winograd_gradients(&d->g, begin, end, d->gradients + tiles.begin * s->oc, d->gradients_stride);
}

static void multiply_point(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct gradient *d = argument;
    const struct fg_conv_shape *s = d->shape;
    for (size_t g = 0; g < s->groups; g++) {
        fg_gemm(&(struct fg_gemm){.rows = s->goc,
                                  .columns = s->gc,
                                  .depth = d->tiles,
                                  .a = d->gradients + task * d->gradients_stride + g * s->goc,
                                  .a_stride = s->oc,
                                  .a_transposed = true,
                                  .b = d->inputs + task * d->inputs_stride + g * s->gc,
                                  .b_stride = s->c,
                                  .add = d->first > 0,
                                  .c = d->products + (task * s->oc + g * s->goc) * s->gc,
                                  .c_stride = s->gc});
    }
}

FG_CPU_CLONES
static void finish_piece(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct gradient *d = argument;
    const struct fg_conv_shape *s = d->shape;
    struct fg_cpu_range outputs = fg_cpu_share(s->oc, d->pieces, task);
    for (size_t o = outputs.begin; o < outputs.end; o++) {
        const float *from = d->products + o * s->gc;
        float *to = d->d_weight + o * s->depth;
        size_t k = 0;
        for (; k + LANES <= s->gc; k += LANES)
            transform_weight_gradient_tile(from + k, s->oc * s->gc, LANES, to + k, s->gc);
        if (k < s->gc)
            transform_weight_gradient_tile(from + k, s->oc * s->gc, s->gc - k, to + k, s->gc);
    }
}

void fg_winograd_weight_gradient(struct fg_backend *backend, const struct fg_step *step,
                                 const struct fg_conv_shape *s, const float *x, const float *g,
                                 float *d_weight, float *workspace) {
    const size_t block = choose_block(s), tiles = count_tiles(s);
    struct gradient d = {.shape = s,
                         .x = {SIDE, s->h, s->w, s->c, x, workspace},
                         .g = {SIDE, s->h, s->w, s->oc, g, workspace},
                         .d_weight = d_weight,
                         .inputs_stride = fg_winograd_stride(block, s->c),
                         .gradients_stride = fg_winograd_stride(block, s->oc),
                         .pieces = fg_cpu_threads(backend)};
    memset(workspace, 0, count_zeros(s) * sizeof *workspace);
    d.inputs = workspace + count_zeros(s);
    d.gradients = d.inputs + POINTS * d.inputs_stride;
    d.products = d.gradients + POINTS * d.gradients_stride;
    for (d.first = 0; d.first < tiles; d.first += block) {
        d.tiles = tiles - d.first < block ? tiles - d.first : block;
        fg_cpu_parallel(backend, step, d.pieces, transform_piece, &d);
        fg_cpu_parallel(backend, step, (uint32_t)POINTS, multiply_point, &d);
    }
    fg_cpu_parallel(backend, step, d.pieces, finish_piece, &d);
}
