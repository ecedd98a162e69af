/* CONV 3 x 3 with stride 1 by Winograd: the input's tiles transformed, multiplied, transformed back. */
#include <string.h>

#include "kernels/cpu/conv/conv.h"
#include "kernels/cpu/conv/winograd_tile.h"

/* A block has enough tiles that its products are not mostly spent on reading weights: at least 32, and one
 * for eight channels. Measured with 512 KiB of second-level cache, blocks that fit into it gain nothing,
 * because they read the weights more often. */
#define BLOCK_TILES ((size_t)32)
#define CHANNELS_PER_TILE ((size_t)8)

/* Where tile t lies: its image, and the place of its first output. */
struct place {
    size_t image, y, x;
};

static struct place find_place(size_t side, size_t h, size_t w, size_t tile) {
    const size_t across = fg_winograd_across(w, side), down = fg_winograd_across(h, side);
    return (struct place){tile / across / down, tile / across % down * side, tile % across * side};
}

FG_INLINE void transform_tiles(size_t side, const struct fg_winograd_picture *p, size_t t0, size_t t1,
                               float *v, size_t point_stride) {
    for (size_t t = t0; t < t1; t++, v += p->c) {
        const struct place at = find_place(side, p->h, p->w, t);
        const float *image = p->values + at.image * p->h * p->w * p->c, *patch[6][6];
        for (size_t y = 0; y < side + 2; y++)
            for (size_t x = 0; x < side + 2; x++) {
                /* Unsigned: a place before the first row or column is beyond the last. */
                const size_t iy = at.y + y - 1, ix = at.x + x - 1;
                patch[y][x] = iy < p->h && ix < p->w ? image + (iy * p->w + ix) * p->c : p->zeros;
            }
        size_t k = 0;
        for (; k + LANES <= p->c; k += LANES)
            transform_input_tile(side, patch, k, LANES, v + k, point_stride);
        if (k < p->c)
            transform_input_tile(side, patch, k, p->c - k, v + k, point_stride);
    }
}

FG_CPU_CLONES
void fg_winograd_inputs(const struct fg_winograd_picture *p, size_t t0, size_t t1, float *v,
                        size_t point_stride) {
    if (p->side == 2)
        transform_tiles(2, p, t0, t1, v, point_stride);
    else
        transform_tiles(4, p, t0, t1, v, point_stride);
}

FG_CPU_CLONES
void fg_winograd_gradients(const struct fg_winograd_picture *p, size_t t0, size_t t1, float *v,
                           size_t point_stride) {
    for (size_t t = t0; t < t1; t++, v += p->c) {
        const struct place at = find_place(FG_WINOGRAD_GRADIENT_SIDE, p->h, p->w, t);
        const float *image = p->values + at.image * p->h * p->w * p->c, *patch[4][4];
        for (size_t y = 0; y < 4; y++)
            for (size_t x = 0; x < 4; x++) {
                const size_t iy = at.y + y, ix = at.x + x;
                patch[y][x] = iy < p->h && ix < p->w ? image + (iy * p->w + ix) * p->c : p->zeros;
            }
        size_t k = 0;
        for (; k + LANES <= p->c; k += LANES)
            transform_gradient_tile(patch, k, LANES, v + k, point_stride);
        if (k < p->c)
            transform_gradient_tile(patch, k, p->c - k, v + k, point_stride);
    }
}

static size_t min(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Writes a tile's outputs of count channels from channel c on. */
FG_INLINE void write_tile(size_t side, const struct fg_winograd *r, const struct place *at, size_t c,
                          size_t count, lanes tile[4][4]) {
    const size_t height = min(r->h - at->y, side), width = min(r->w - at->x, side);
    lanes bias = {0}, residual;
    if (r->bias)
        load_lanes(r->bias + c, count, &bias);
    for (size_t y = 0; y < height; y++) {
        const size_t line = ((at->image * r->h + at->y + y) * r->w + at->x) * r->dst_c + c;
        for (size_t x = 0; x < width; x++) {
            lanes value = tile[y][x];
            if (r->bias)
                value += bias;
            if (r->residual) {
                load_lanes(r->residual + line + x * r->dst_c, count, &residual);
                value += residual;
            }
            if (r->relu)
                value = (lanes)((lane_mask)value & ~(value < 0));
            store_lanes(&value, count, r->dst + line + x * r->dst_c);
        }
    }
}

FG_INLINE void write_tiles(size_t side, const struct fg_winograd *r, size_t t0, size_t t1, size_t c0,
                           size_t c1, const float *m, size_t point_stride) {
    const size_t columns = c1 - c0, group = r->dst_c / r->groups;
    for (size_t t = t0; t < t1; t++) {
        const struct place at = find_place(side, r->h, r->w, t);
        for (size_t g = 0; g < r->groups; g++, m += columns) {
            const size_t c = g * group + c0;
            lanes tile[4][4];
            size_t k = 0;
            for (; k + LANES <= columns; k += LANES) {
                transform_output_tile(side, m + k, point_stride, LANES, tile);
                write_tile(side, r, &at, c + k, LANES, tile);
            }
            if (k < columns) {
                transform_output_tile(side, m + k, point_stride, columns - k, tile);
                write_tile(side, r, &at, c + k, columns - k, tile);
            }
        }
    }
}

/* Transforms products m of tiles [t0, t1) and columns [c0, c1) of every group back and writes the outputs. */
FG_CPU_CLONES
static void transform_outputs(const struct fg_winograd *r, size_t t0, size_t t1, size_t c0, size_t c1,
                              const float *m, size_t point_stride) {
    if (r->side == 2)
        write_tiles(2, r, t0, t1, c0, c1, m, point_stride);
    else
        write_tiles(4, r, t0, t1, c0, c1, m, point_stride);
}

/* The products of a block of tiles, for columns [c0, c1) of every group; m has those of a group side by
 * side. */
static void multiply_tiles(const struct fg_winograd *r, size_t tiles, size_t c0, size_t c1, const float *v,
                           size_t v_stride, float *m, size_t m_stride) {
    const size_t k = r->src_c / r->groups, n = r->dst_c / r->groups, matrix = fg_gemm_packed(n, k);
    for (size_t p = 0; p < fg_winograd_points(r->side) && c0 < c1; p++) {
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
    const size_t tiles = r->n * fg_winograd_across(r->h, r->side) * fg_winograd_across(r->w, r->side);
    if (r->dst_c > tiles) {
        return (struct split){true, tiles, tiles, threads};
    }
    size_t block = FG_WINOGRAD_BLOCK_FLOATS / (fg_winograd_points(r->side) * (r->src_c + r->dst_c));
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
        const struct fg_cpu_range columns = fg_conv_columns(r->dst_c / r->groups, fg_gemm_panel(), pieces, p);
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
    return (fg_winograd_zeros(r->src_c) + fg_winograd_points(r->side) * floats) * sizeof(float);
}

struct task {
    const struct fg_winograd *run;
    struct fg_winograd_picture input;
    float *values; /* the workspace without the zeros */
    struct split split;
    uint32_t pieces; /* tasks of the input's transformation where the products are split by columns */
};

static void convolve_tiles(void *argument, uint32_t task, uint32_t thread) {
    const struct task *t = argument;
    const struct fg_winograd *r = t->run;
    struct fg_cpu_range tiles = fg_cpu_share(t->split.tiles, t->split.tasks, task);
    const size_t v_stride = fg_winograd_stride(t->split.block, r->src_c);
    const size_t m_stride = fg_winograd_stride(t->split.block, r->dst_c);
    const size_t points = fg_winograd_points(r->side);
    float *v = t->values + thread * points * (v_stride + m_stride), *m = v + points * v_stride;
    fg_winograd_inputs(&t->input, tiles.begin, tiles.end, v, v_stride);
    const size_t columns = r->dst_c / r->groups;
    multiply_tiles(r, tiles.end - tiles.begin, 0, columns, v, v_stride, m, m_stride);
    transform_outputs(r, tiles.begin, tiles.end, 0, columns, m, m_stride);
}

static void transform_inputs(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct task *t = argument;
    struct fg_cpu_range tiles = fg_cpu_share(t->split.tiles, t->pieces, task);
    const struct fg_winograd *r = t->run;
    fg_winograd_inputs(&t->input, tiles.begin, tiles.end, t->values + tiles.begin * r->src_c,
                       fg_winograd_stride(t->split.tiles, r->src_c));
}

static void convolve_columns(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct task *t = argument;
    const struct fg_winograd *r = t->run;
    struct fg_cpu_range columns =
        fg_conv_columns(r->dst_c / r->groups, fg_gemm_panel(), t->split.tasks, task);
    const size_t tiles = t->split.tiles, v_stride = fg_winograd_stride(tiles, r->src_c);
    const size_t m_stride = fg_winograd_stride(tiles, find_widest_slice(r, t->split.tasks));
    float *m = t->values + fg_winograd_points(r->side) * (v_stride + task * m_stride);
    multiply_tiles(r, tiles, columns.begin, columns.end, t->values, v_stride, m, m_stride);
    transform_outputs(r, 0, tiles, columns.begin, columns.end, m, m_stride);
}

void fg_winograd_run(struct fg_backend *backend, const struct fg_step *step, const struct fg_winograd *run) {
    struct task t = {.run = run,
                     .input = {run->side, run->h, run->w, run->src_c, run->src, run->workspace},
                     .values = run->workspace + fg_winograd_zeros(run->src_c),
                     .split = split_tiles(backend, run),
                     .pieces = fg_cpu_threads(backend)};
    memset(run->workspace, 0, run->src_c * sizeof *run->workspace);
    if (t.split.by_columns) {
        fg_cpu_parallel(backend, step, t.pieces, transform_inputs, &t);
        fg_cpu_parallel(backend, step, t.split.tasks, convolve_columns, &t);
    } else {
        fg_cpu_parallel(backend, step, t.split.tasks, convolve_tiles, &t);
    }
}
