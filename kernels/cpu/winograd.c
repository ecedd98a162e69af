#include "kernels/cpu/conv.h"

/* Channels transformed at a time: one 512-bit vector of floats, or two or four shorter ones. */
#define LANES ((size_t)16)
/* Floats of transformed inputs and products that a thread works on, and the fewest tiles for a fast product.
 */
#define BLOCK_FLOATS ((size_t)256 * 1024)
#define BLOCK_TILES ((size_t)32)

static size_t tiles_of(size_t side) {
    return (side + 3) / 4;
}

/* B^T d: one row or column of a 6x6 tile, for count channels. from and to are stride floats apart. */
static inline __attribute__((always_inline)) void input_line(const float *const from[6], float *restrict to,
                                                             size_t stride, size_t count) {
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
static inline __attribute__((always_inline)) void
output_line(const float *from, size_t from_stride, float *restrict to, size_t to_stride, size_t count) {
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
static inline __attribute__((always_inline)) void weight_line(const float *const from[3], float *restrict to,
                                                              size_t stride, size_t count) {
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

/* A 6x6 patch, given by a pointer for each position, to its 36 values stride floats apart. */
static inline __attribute__((always_inline)) void input_tile(const float *const patch[6][6], float *to,
                                                             size_t stride, size_t count) {
    float half[6][6][LANES]; /* [x][transformed y] */
    for (int x = 0; x < 6; x++) {
        const float *const column[6] = {patch[0][x], patch[1][x], patch[2][x],
                                        patch[3][x], patch[4][x], patch[5][x]};
        input_line(column, half[x][0], LANES, count);
    }
    for (size_t y = 0; y < 6; y++) {
        const float *const row[6] = {half[0][y], half[1][y], half[2][y], half[3][y], half[4][y], half[5][y]};
        input_line(row, to + y * 6 * stride, stride, count);
    }
}

static inline __attribute__((always_inline)) void output_tile(const float *from, size_t stride,
                                                              float to[4][4][LANES], size_t count) {
    float half[6][4][LANES]; /* [transformed y][x] */
    for (size_t y = 0; y < 6; y++) {
        output_line(from + y * 6 * stride, stride, half[y][0], LANES, count);
    }
    for (int x = 0; x < 4; x++) {
        output_line(half[0][x], 4 * LANES, to[0][x], 4 * LANES, count);
    }
}

static inline __attribute__((always_inline)) void weight_tile(const float *const kernel[3][3],
                                                              float to[6][6][LANES], size_t count) {
    float half[3][6][LANES]; /* [x][transformed y] */
    for (int x = 0; x < 3; x++) {
        const float *const column[3] = {kernel[0][x], kernel[1][x], kernel[2][x]};
        weight_line(column, half[x][0], LANES, count);
    }
    for (int y = 0; y < 6; y++) {
        const float *const row[3] = {half[0][y], half[1][y], half[2][y]};
        weight_line(row, to[y][0], LANES, count);
    }
}

static const float zeros[LANES];

/* Tile t of the picture: image, and the place of its first output. */
struct place {
    size_t image, y, x;
};

static struct place place_of(const struct fg_winograd *r, size_t tile) {
    size_t across = tiles_of(r->w), down = tiles_of(r->h);
    return (struct place){tile / across / down, tile / across % down * 4, tile % across * 4};
}

/* Transforms the inputs of tiles [t0, t1) to v[36][points_stride], one tile's channels behind another's. */
FG_CPU_CLONES
static void transform_inputs(const struct fg_winograd *r, size_t t0, size_t t1, float *v,
                             size_t point_stride) {
    for (size_t t = t0; t < t1; t++) {
        const struct place at = place_of(r, t);
        const float *image = r->src + at.image * r->h * r->w * r->src_c;
        const float *patch[6][6];
        for (size_t k = 0; k < r->src_c; k += LANES) {
            for (size_t y = 0; y < 6; y++) {
                for (size_t x = 0; x < 6; x++) {
                    /* Unsigned: a place before the first row or column is beyond the last. */
                    size_t iy = at.y + y - 1, ix = at.x + x - 1;
                    patch[y][x] = iy < r->h && ix < r->w ? image + (iy * r->w + ix) * r->src_c + k : zeros;
                }
            }
            float *to = v + (t - t0) * r->src_c + k;
            if (r->src_c - k >= LANES) {
                input_tile(patch, to, point_stride, LANES);
            } else {
                input_tile(patch, to, point_stride, r->src_c - k);
            }
        }
    }
}

/* Transforms products m of tiles [t0, t1) and columns [c0, c1) back and writes the outputs. */
FG_CPU_CLONES
static void transform_outputs(const struct fg_winograd *r, size_t t0, size_t t1, size_t c0, size_t c1,
                              const float *m, size_t point_stride) {
    for (size_t t = t0; t < t1; t++) {
        const struct place at = place_of(r, t);
        const size_t height = r->h - at.y < 4 ? r->h - at.y : 4, width = r->w - at.x < 4 ? r->w - at.x : 4;
        for (size_t k = c0; k < c1; k += LANES) {
            float tile[4][4][LANES];
            const float *from = m + (t - t0) * (c1 - c0) + (k - c0);
            const size_t count = c1 - k < LANES ? c1 - k : LANES;
            if (count == LANES) {
                output_tile(from, point_stride, tile, LANES);
            } else {
                output_tile(from, point_stride, tile, count);
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
static void multiply(const struct fg_winograd *r, size_t tiles, size_t c0, size_t c1, const float *v,
                     size_t v_stride, float *m, size_t m_stride) {
    const size_t k = r->src_c / r->groups, n = r->dst_c / r->groups;
    for (size_t p = 0; p < FG_WINOGRAD_POINTS; p++) {
        for (size_t g = 0; g < r->groups; g++) {
            size_t begin = c0 > g * n ? c0 : g * n, end = c1 < (g + 1) * n ? c1 : (g + 1) * n;
            if (begin < end) {
                const float *weight = r->weight + (p * r->groups + g) * k * n;
                size_t first = begin - g * n;
                fg_conv_product(false, r->dst_major, tiles, end - begin, k, v + p * v_stride + g * k,
                                r->src_c, weight + (r->dst_major ? first * k : first), r->dst_major ? k : n,
                                0.0f, m + p * m_stride + (begin - c0), c1 - c0);
            }
        }
    }
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
    const size_t tiles = n * tiles_of(h) * tiles_of(w);
    if (dst_c > tiles) {
        return (struct split){true, tiles, tiles, threads};
    }
    size_t block = BLOCK_FLOATS / (FG_WINOGRAD_POINTS * (src_c + dst_c));
    block = block < BLOCK_TILES ? BLOCK_TILES : block;
    size_t tasks = (tiles + block - 1) / block;
    tasks = (tasks + threads - 1) / threads * threads;
    tasks = tasks > tiles ? tiles : tasks;
    return (struct split){false, tiles, (tiles + tasks - 1) / tasks, (uint32_t)tasks};
}

/* By columns, the transformed inputs are shared and the products of the slices lie side by side. */
size_t fg_winograd_workspace(const struct fg_backend *backend, size_t n, size_t h, size_t w, size_t src_c,
                             size_t dst_c) {
    struct split split = split_tiles(backend, n, h, w, src_c, dst_c);
    size_t copies = split.by_columns ? 1 : fg_cpu_threads(backend);
    return copies * FG_WINOGRAD_POINTS * split.block * (src_c + dst_c) * sizeof(float);
}

struct task {
    const struct fg_winograd *run;
    struct split split;
    uint32_t pieces; /* of the input's transformation, by columns */
};

static void tile_block(void *argument, uint32_t task, uint32_t thread) {
    const struct task *t = argument;
    const struct fg_winograd *r = t->run;
    struct fg_cpu_range tiles = fg_cpu_share(t->split.tiles, t->split.tasks, task);
    size_t count = tiles.end - tiles.begin, v_stride = count * r->src_c, m_stride = count * r->dst_c;
    float *v = r->workspace + thread * FG_WINOGRAD_POINTS * t->split.block * (r->src_c + r->dst_c);
    float *m = v + FG_WINOGRAD_POINTS * v_stride;
    transform_inputs(r, tiles.begin, tiles.end, v, v_stride);
    multiply(r, count, 0, r->dst_c, v, v_stride, m, m_stride);
    transform_outputs(r, tiles.begin, tiles.end, 0, r->dst_c, m, m_stride);
}

static void input_piece(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct task *t = argument;
    struct fg_cpu_range tiles = fg_cpu_share(t->split.tiles, t->pieces, task);
    transform_inputs(t->run, tiles.begin, tiles.end, t->run->workspace + tiles.begin * t->run->src_c,
                     t->split.tiles * t->run->src_c);
}

static void column_slice(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct task *t = argument;
    const struct fg_winograd *r = t->run;
    struct fg_cpu_range columns = fg_cpu_share(r->dst_c, t->split.tasks, task);
    size_t tiles = t->split.tiles, m_stride = tiles * (columns.end - columns.begin);
    float *m = r->workspace + FG_WINOGRAD_POINTS * tiles * (r->src_c + columns.begin);
    multiply(r, tiles, columns.begin, columns.end, r->workspace, tiles * r->src_c, m, m_stride);
    transform_outputs(r, 0, tiles, columns.begin, columns.end, m, m_stride);
}

void fg_winograd_run(struct fg_backend *backend, const struct fg_step *step, const struct fg_winograd *run) {
    struct task t = {.run = run,
                     .split = split_tiles(backend, run->n, run->h, run->w, run->src_c, run->dst_c),
                     .pieces = fg_cpu_threads(backend)};
    if (t.split.by_columns) {
        fg_cpu_parallel(backend, step, t.pieces, input_piece, &t);
        fg_cpu_parallel(backend, step, t.split.tasks, column_slice, &t);
    } else {
        fg_cpu_parallel(backend, step, t.split.tasks, tile_block, &t);
    }
}

size_t fg_winograd_weight_bytes(const struct fg_conv_shape *s) {
    return FG_WINOGRAD_POINTS * s->oc * s->gc * sizeof(float);
}

/* Channels [k, k + count) of output channel o to tile[36]. */
FG_CPU_CLONES
static void transform_weight(const struct fg_conv_shape *s, const float *weight, bool flip, size_t o,
                             size_t k, size_t count, float tile[6][6][LANES]) {
    const float *kernel[3][3];
    for (size_t y = 0; y < 3; y++) {
        for (size_t x = 0; x < 3; x++) {
            size_t tap = flip ? 8 - (y * 3 + x) : y * 3 + x;
            kernel[y][x] = weight + (o * 9 + tap) * s->gc + k;
        }
    }
    if (count == LANES) {
        weight_tile(kernel, tile, LANES);
    } else {
        weight_tile(kernel, tile, count);
    }
}

void fg_winograd_weights(const struct fg_conv_shape *s, const float *weight, bool flip, bool channel_major,
                         size_t o0, size_t o1, float *transformed) {
    const size_t matrix = s->gc * s->goc;
    for (size_t o = o0; o < o1; o++) {
        size_t group = o / s->goc, column = o % s->goc;
        for (size_t k = 0; k < s->gc; k += LANES) {
            float tile[FG_WINOGRAD_POINTS / 6][6][LANES];
            size_t count = s->gc - k < LANES ? s->gc - k : LANES;
            transform_weight(s, weight, flip, o, k, count, tile);
            for (size_t p = 0; p < FG_WINOGRAD_POINTS; p++) {
                float *to = transformed + (p * s->groups + group) * matrix;
                for (size_t i = 0; i < count; i++) {
                    to[channel_major ? (k + i) * s->goc + column : column * s->gc + k + i] =
                        tile[p / 6][p % 6][i];
                }
            }
        }
    }
}
