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

/* Writes a tile's outputs of count channels from channel c on. */
FG_INLINE void write_tile(const struct fg_winograd *r, const struct place *at, size_t c, size_t count,
                          float tile[4][4][LANES]) {
    const size_t height = r->h - at->y < 4 ? r->h - at->y : 4, width = r->w - at->x < 4 ? r->w - at->x : 4;
    for (size_t y = 0; y < height; y++) {
        for (size_t x = 0; x < width; x++) {
            size_t to = ((at->image * r->h + at->y + y) * r->w + at->x + x) * r->dst_c + c;
            float *value = tile[y][x];
            for (size_t i = 0; r->bias && i < count; i++) {
                value[i] += r->bias[c + i];
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

/* Transforms products m of tiles [t0, t1) and columns [c0, c1) of every group back and writes the outputs. */
FG_CPU_CLONES
static void transform_outputs(const struct fg_winograd *r, size_t t0, size_t t1, size_t c0, size_t c1,
                              const float *m, size_t point_stride) {
    const size_t columns = c1 - c0, group = r->dst_c / r->groups;
    for (size_t t = t0; t < t1; t++) {
        const struct place at = find_place(r->h, r->w, t);
        for (size_t g = 0; g < r->groups; g++, m += columns) {
            for (size_t k = 0; k < columns; k += LANES) {
                float tile[4][4][LANES];
                const size_t c = g * group + c0 + k;
                if (columns - k >= LANES) {
                    transform_output_tile(m + k, point_stride, tile, LANES);
                    write_tile(r, &at, c, LANES, tile);
                } else {
                    transform_output_tile(m + k, point_stride, tile, columns - k);
                    write_tile(r, &at, c, columns - k, tile);
                }
            }
        }
    }
}

/* The 36 products of a block of tiles, for columns [c0, c1) of every group; m has those of a group side by
 * side. */
static void multiply_tiles(const struct fg_winograd *r, size_t tiles, size_t c0, size_t c1, const float *v,
                           size_t v_stride, float *m, size_t m_stride) {
    const size_t k = r->src_c / r->groups, n = r->dst_c / r->groups, matrix = fg_gemm_packed(n, k);
    for (size_t p = 0; p < FG_WINOGRAD_POINTS && c0 < c1; p++) {
        for (size_t g = 0; g < r->groups; g++) {
            fg_gemm(&(struct fg_gemm){.rows = tiles,
                                      .columns = c1 - c0,
                                      .depth = k,
                                      .a = v + p * v_stride + g * k,
                                      .a_stride = r->src_c,
                                      .b = r->weight + (p * r->groups + g) * matrix + c0 * k,
                                      .b_packed = true,
                                      .c = m + p * m_stride + g * (c1 - c0),
                                      .c_stride = r->groups * (c1 - c0)});
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

static struct split split_tiles(const struct fg_backend *backend, const struct fg_winograd *r) {
    const uint32_t threads = fg_cpu_threads(backend);
    const size_t tiles = r->n * fg_winograd_across(r->h) * fg_winograd_across(r->w);
    if (r->dst_c > tiles) {
        return (struct split){true, tiles, tiles, threads};
    }
    size_t block = FG_WINOGRAD_BLOCK_FLOATS / (FG_WINOGRAD_POINTS * (r->src_c + r->dst_c));
    block = max(block, max(BLOCK_TILES, (r->src_c + r->dst_c) / CHANNELS_PER_TILE));
    size_t tasks = (tiles + block - 1) / block;
    tasks = (tasks + threads - 1) / threads * threads;
    tasks = tasks > tiles ? tiles : tasks;
    return (struct split){false, tiles, (tiles + tasks - 1) / tasks, (uint32_t)tasks};
}

/* The most columns that one of pieces has, of all groups. */
static size_t find_widest_slice(const struct fg_winograd *r, uint32_t pieces) {
    size_t widest = 0;
    for (uint32_t p = 0; p < pieces; p++) {
        const struct fg_cpu_range columns = fg_conv_columns(r->dst_c / r->groups, pieces, p);
        widest = max(widest, columns.end - columns.begin);
    }
    return r->groups * widest;
}

/* By columns, the transformed inputs are shared and the products of the slices lie side by side. */
size_t fg_winograd_workspace(const struct fg_backend *backend, const struct fg_winograd *r) {
    struct split split = split_tiles(backend, r);
    const uint32_t threads = fg_cpu_threads(backend);
    size_t inputs = fg_winograd_stride(split.block, r->src_c),
           products = fg_winograd_stride(split.block, r->dst_c);
    size_t floats = split.by_columns
                        ? inputs + threads * fg_winograd_stride(split.tiles, find_widest_slice(r, threads))
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
    const size_t columns = r->dst_c / r->groups;
    multiply_tiles(r, tiles.end - tiles.begin, 0, columns, v, v_stride, m, m_stride);
    transform_outputs(r, tiles.begin, tiles.end, 0, columns, m, m_stride);
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
    struct fg_cpu_range columns = fg_conv_columns(r->dst_c / r->groups, t->split.tasks, task);
    const size_t tiles = t->split.tiles, v_stride = fg_winograd_stride(tiles, r->src_c);
    const size_t m_stride = fg_winograd_stride(tiles, find_widest_slice(r, t->split.tasks));
    float *m = r->workspace + FG_WINOGRAD_POINTS * (v_stride + task * m_stride);
    multiply_tiles(r, tiles, columns.begin, columns.end, r->workspace, v_stride, m, m_stride);
    transform_outputs(r, 0, tiles, columns.begin, columns.end, m, m_stride);
}

void fg_winograd_run(struct fg_backend *backend, const struct fg_step *step, const struct fg_winograd *run) {
    struct task t = {.run = run, .split = split_tiles(backend, run), .pieces = fg_cpu_threads(backend)};
    if (t.split.by_columns) {
        fg_cpu_parallel(backend, step, t.pieces, transform_inputs, &t);
        fg_cpu_parallel(backend, step, t.split.tasks, convolve_columns, &t);
    } else {
        fg_cpu_parallel(backend, step, t.split.tasks, convolve_tiles, &t);
    }
}
