/* CONV 3 x 3 with stride 1 by Winograd's F(4x4, 3x3): the input's tiles transformed, multiplied, transformed
 * back. */
#include "kernels/cpu/conv/conv.h"
#include "kernels/cpu/conv/winograd_tile.h"

/* A block's transformed inputs and products (floats) stay in a thread's cache, but it has enough tiles that
 * its products are not mostly spent on reading weights: at least 32, and one for eight channels. */
#define BLOCK_TILES ((size_t)32)
#define CHANNELS_PER_TILE ((size_t)8)

static const float zeros[LANES];

/* Where tile t lies: its image, and the place of its first output. */
struct place {
    size_t image, y, x;
};

static struct place find_place(size_t h, size_t w, size_t tile) {
    size_t across = fg_winograd_across(w), down = fg_winograd_across(h);
    return (struct place){tile / across / down, tile / across % down * 4, tile % across * 4};
}

FG_CPU_CLONES
void fg_winograd_inputs(const float *src, size_t h, size_t w, size_t c, size_t t0, size_t t1, float *v,
                        size_t point_stride) {
    for (size_t t = t0; t < t1; t++) {
        const struct place at = find_place(h, w, t);
        const float *image = src + at.image * h * w * c;
        const float *patch[6][6];
        for (size_t k = 0; k < c; k += LANES) {
            for (size_t y = 0; y < 6; y++) {
                for (size_t x = 0; x < 6; x++) {
                    /* Unsigned: a place before the first row or column is beyond the last. */
                    size_t iy = at.y + y - 1, ix = at.x + x - 1;
                    patch[y][x] = iy < h && ix < w ? image + (iy * w + ix) * c + k : zeros;
                }
            }
            float *to = v + (t - t0) * c + k;
            if (c - k >= LANES) {
                transform_input_tile(patch, to, point_stride, LANES);
            } else {
                transform_input_tile(patch, to, point_stride, c - k);
            }
        }
    }
}

FG_CPU_CLONES
void fg_winograd_gradients(const float *g, size_t h, size_t w, size_t c, size_t t0, size_t t1, float *v,
                           size_t point_stride) {
    for (size_t t = t0; t < t1; t++) {
        const struct place at = find_place(h, w, t);
        const float *image = g + at.image * h * w * c;
        const float *patch[4][4];
        for (size_t k = 0; k < c; k += LANES) {
            for (size_t y = 0; y < 4; y++) {
                for (size_t x = 0; x < 4; x++) {
                    size_t iy = at.y + y, ix = at.x + x;
                    patch[y][x] = iy < h && ix < w ? image + (iy * w + ix) * c + k : zeros;
                }
            }
            float *to = v + (t - t0) * c + k;
            if (c - k >= LANES) {
                transform_gradient_tile(patch, to, point_stride, LANES);
            } else {
                transform_gradient_tile(patch, to, point_stride, c - k);
            }
        }
    }
}

/* Transforms products m of tiles [t0, t1) and columns [c0, c1) back and writes the outputs. */
FG_CPU_CLONES
static void transform_outputs(const struct fg_winograd *r, size_t t0, size_t t1, size_t c0, size_t c1,
                              const float *m, size_t point_stride) {
    for (size_t t = t0; t < t1; t++) {
        const struct place at = find_place(r->h, r->w, t);
        const size_t height = r->h - at.y < 4 ? r->h - at.y : 4, width = r->w - at.x < 4 ? r->w - at.x : 4;
        for (size_t k = c0; k < c1; k += LANES) {
            float tile[4][4][LANES];
            const float *from = m + (t - t0) * (c1 - c0) + (k - c0);
            const size_t count = c1 - k < LANES ? c1 - k : LANES;
            if (count == LANES) {
                transform_output_tile(from, point_stride, tile, LANES);
            } else {
                transform_output_tile(from, point_stride, tile, count);
            }
            for (size_t y = 0; y < height; y++) {
                for (size_t x = 0; x < width; x++) {
                    size_t to = ((at.image * r->h + at.y + y) * r->w + at.x + x) * r->dst_c + k;
                    float *value = tile[y][x];
                    for (size_t i = 0; r->bias && i < count; i++) {
                        value[i] += r->bias[k + i];
                    }
                    for (size_t i = 0; r->residual && i < count; i++) {
                        value[i] += r->residual[to + i];
                    }
                    for (size_t i = 0; r->relu && i < count; i++) {
                        value[i] = value[i] < 0.0f ? 0.0f : value[i];
                    }
                    for (size_t i = 0; i < count; i++) {
                        r->dst[to + i] = value[i];
                    }
                }
            }
        }
    }
}

/* The 36 products of a block of tiles, for columns [c0, c1) of every group. */
static void multiply_tiles(const struct fg_winograd *r, size_t tiles, size_t c0, size_t c1, const float *v,
                           size_t v_stride, float *m, size_t m_stride) {
    const size_t k = r->src_c / r->groups, n = r->dst_c / r->groups;
    for (size_t p = 0; p < FG_WINOGRAD_POINTS; p++) {
        for (size_t g = 0; g < r->groups; g++) {
            size_t begin = c0 > g * n ? c0 : g * n, end = c1 < (g + 1) * n ? c1 : (g + 1) * n;
            if (begin < end) {
                const float *weight = r->weight + (p * r->groups + g) * k * n;
                fg_conv_product(false, false, tiles, end - begin, k, v + p * v_stride + g * k, r->src_c,
                                weight + (begin - g * n), n, 0.0f, m + p * m_stride + (begin - c0), c1 - c0);
            }
        }
    }
}

static size_t max(size_t a, size_t b) {
    return a > b ? a : b;
}

/* The longer side is split, as in a direct product: tiles into blocks, or output channels. */
struct split {
    bool by_columns;
    size_t tiles, block;
    uint32_t tasks;
};

static struct split split_tiles(const struct fg_backend *backend, size_t n, size_t h, size_t w, size_t src_c,
                                size_t dst_c) {
    const uint32_t threads = fg_cpu_threads(backend);
    const size_t tiles = n * fg_winograd_across(h) * fg_winograd_across(w);
    if (dst_c > tiles) {
        return (struct split){true, tiles, tiles, threads};
    }
    size_t block = FG_WINOGRAD_BLOCK_FLOATS / (FG_WINOGRAD_POINTS * (src_c + dst_c));
    block = max(block, max(BLOCK_TILES, (src_c + dst_c) / CHANNELS_PER_TILE));
    size_t tasks = (tiles + block - 1) / block;
    tasks = (tasks + threads - 1) / threads * threads;
    tasks = tasks > tiles ? tiles : tasks;
    return (struct split){false, tiles, (tiles + tasks - 1) / tasks, (uint32_t)tasks};
}

/* The widest of pieces of the columns. */
static size_t find_widest_slice(size_t columns, size_t pieces) {
    return (columns + pieces - 1) / pieces;
}

/* By columns, the transformed inputs are shared and the products of the slices lie side by side. */
size_t fg_winograd_workspace(const struct fg_backend *backend, size_t n, size_t h, size_t w, size_t src_c,
                             size_t dst_c) {
    struct split split = split_tiles(backend, n, h, w, src_c, dst_c);
    const size_t threads = fg_cpu_threads(backend);
    size_t inputs = fg_winograd_stride(split.block, src_c), products = fg_winograd_stride(split.block, dst_c);
    size_t floats =
        split.by_columns
            ? inputs + threads * fg_winograd_stride(split.tiles, find_widest_slice(dst_c, threads))
            : threads * (inputs + products);
    return FG_WINOGRAD_POINTS * floats * sizeof(float);
}

struct task {
    const struct fg_winograd *run;
    struct split split;
    uint32_t pieces; /* tasks of the input's transformation where the products are split by columns */
};

static void convolve_tiles(void *argument, uint32_t task, uint32_t thread) {
    const struct task *t = argument;
    const struct fg_winograd *r = t->run;
    struct fg_cpu_range tiles = fg_cpu_share(t->split.tiles, t->split.tasks, task);
    const size_t v_stride = fg_winograd_stride(t->split.block, r->src_c);
    const size_t m_stride = fg_winograd_stride(t->split.block, r->dst_c);
    float *v = r->workspace + thread * FG_WINOGRAD_POINTS * (v_stride + m_stride);
    float *m = v + FG_WINOGRAD_POINTS * v_stride;
    fg_winograd_inputs(r->src, r->h, r->w, r->src_c, tiles.begin, tiles.end, v, v_stride);
    multiply_tiles(r, tiles.end - tiles.begin, 0, r->dst_c, v, v_stride, m, m_stride);
    transform_outputs(r, tiles.begin, tiles.end, 0, r->dst_c, m, m_stride);
}

static void transform_inputs(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct task *t = argument;
    struct fg_cpu_range tiles = fg_cpu_share(t->split.tiles, t->pieces, task);
    const struct fg_winograd *r = t->run;
    fg_winograd_inputs(r->src, r->h, r->w, r->src_c, tiles.begin, tiles.end,
                       r->workspace + tiles.begin * r->src_c, fg_winograd_stride(t->split.tiles, r->src_c));
}

static void convolve_columns(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct task *t = argument;
    const struct fg_winograd *r = t->run;
    struct fg_cpu_range columns = fg_cpu_share(r->dst_c, t->split.tasks, task);
    const size_t tiles = t->split.tiles, v_stride = fg_winograd_stride(tiles, r->src_c);
    const size_t m_stride = fg_winograd_stride(tiles, find_widest_slice(r->dst_c, t->split.tasks));
    float *m = r->workspace + FG_WINOGRAD_POINTS * (v_stride + task * m_stride);
    multiply_tiles(r, tiles, columns.begin, columns.end, r->workspace, v_stride, m, m_stride);
    transform_outputs(r, 0, tiles, columns.begin, columns.end, m, m_stride);
}

void fg_winograd_run(struct fg_backend *backend, const struct fg_step *step, const struct fg_winograd *run) {
    struct task t = {.run = run,
                     .split = split_tiles(backend, run->n, run->h, run->w, run->src_c, run->dst_c),
                     .pieces = fg_cpu_threads(backend)};
    if (t.split.by_columns) {
        fg_cpu_parallel(backend, step, t.pieces, transform_inputs, &t);
        fg_cpu_parallel(backend, step, t.split.tasks, convolve_columns, &t);
    } else {
        fg_cpu_parallel(backend, step, t.split.tasks, convolve_tiles, &t);
    }
}
