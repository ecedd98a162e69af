/* Packs weights of 8 bits, and cuts a product into blocks that stay in the caches, and those into tiles. */
#include "kernels/cpu/gemm/gemm8.h"

#include <assert.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/gemm/gemm.h"
#include "kernels/cpu/gemm/round.h"

static size_t min(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Columns of whole panels. */
static size_t pad_columns(size_t columns) {
    const size_t panel = fg_gemm8_panel();
    return (columns + panel - 1) / panel * panel;
}

size_t fg_gemm8_bytes(size_t columns, size_t depth) {
    const size_t padded = pad_columns(columns);
    return fg_size_align(padded * depth) + 3 * fg_size_align(padded * sizeof(float));
}

struct fg_gemm8_b fg_gemm8_find(const void *block, size_t columns, size_t depth, size_t first) {
    const size_t padded = pad_columns(columns), row = fg_size_align(padded * sizeof(float));
    const char *rows = (const char *)block + fg_size_align(padded * depth);
    return (struct fg_gemm8_b){.weight = (const int8_t *)block + first * depth,
                               .offset = (const int32_t *)rows + first,
                               .factor = (const float *)(rows + row) + first,
                               .bias = (const float *)(rows + 2 * row) + first};
}

void fg_gemm8_pack(const struct fg_gemm8_weights *w, void *block) {
    const size_t panel = fg_gemm8_panel(), part = panel * FG_GEMM8_DEPTH, filled = fg_gemm8_run(w->run),
                 depth = w->runs * filled;
    assert(w->runs * w->run <= FG_GEMM8_MOST_DEPTH);
    memset(block, 0, fg_gemm8_bytes(w->columns, depth));
    const struct fg_gemm8_b b = fg_gemm8_find(block, w->columns, depth, 0);
    int8_t *weight = (int8_t *)b.weight;
    int32_t *offset = (int32_t *)b.offset;
    float *factor = (float *)b.factor, *bias = (float *)b.bias;
    for (size_t c = 0; c < w->columns; c++) {
        int8_t *to = weight + c / panel * panel * depth + c % panel * FG_GEMM8_DEPTH;
        int32_t sum = 0;
        for (size_t k = 0; k < w->runs * w->run; k++) {
            const int8_t value = w->b[w->b_transposed ? c * w->b_stride + k : k * w->b_stride + c];
            const size_t at = k / w->run * filled + k % w->run;
            to[at / FG_GEMM8_DEPTH * part + at % FG_GEMM8_DEPTH] = value;
            sum += value;
        }
        offset[c] = (fg_gemm8_set()->shift - w->a.zero) * sum;
        factor[c] = w->a.scale * w->scale[c % w->channels];
        bias[c] = w->bias ? w->bias[c % w->channels] : 0;
    }
}

static size_t size_value(const struct fg_gemm8_form *form) {
    return form->bytes ? sizeof(uint8_t) : sizeof(float);
}

/* Copies rows of at most a tile's columns; strides and columns are bytes. */
static void copy_tile(const char *from, size_t from_stride, size_t rows, size_t columns, char *to,
                      size_t to_stride) {
    for (size_t r = 0; r < rows; r++)
        memcpy(to + r * to_stride, from + r * from_stride, columns);
}

/* Rows of A against one panel of B. */
struct strip {
    const struct fg_gemm8 *p;
    const struct fg_gemm8_set *set;
    size_t runs, depth; /* depth: of a run */
    const uint8_t *const *a;
    size_t a_stride, rows, columns;
    const int8_t *b;
    struct fg_gemm8_tile tile; /* its first */
};

static void multiply_tile(const struct strip *s, size_t r, size_t height, const struct fg_gemm8_tile *tile) {
    s->set->in_runs[height](s->runs, s->depth, s->a + r, s->a_stride, s->b, tile);
}

/* A tile that is wider than what is left of C has a place of its own. */
static void multiply_edge(const struct strip *s, size_t r, size_t height, const struct fg_gemm8_tile *tile) {
    float c[FG_GEMM_MOST_ROWS * FG_GEMM_MOST_COLUMNS], residual[FG_GEMM_MOST_ROWS * FG_GEMM_MOST_COLUMNS];
    const size_t size = size_value(&tile->c_form), own_stride = s->set->columns;
    struct fg_gemm8_tile own = *tile;
    own.c = c;
    own.c_stride = own_stride;
    if (tile->residual) {
        const size_t each = size_value(&tile->residual_form);
        memset(residual, 0, sizeof residual);
        copy_tile(tile->residual, tile->c_stride * each, height, s->columns * each, (char *)residual,
                  own_stride * each);
        own.residual = residual;
    }
    multiply_tile(s, r, height, &own);
    copy_tile((const char *)c, own_stride * size, height, s->columns * size, tile->c, tile->c_stride * size);
}

/* The strip's rows, tile by tile, each of about the same height. */
static void multiply_strip(const struct strip *s) {
    const size_t tiles = (s->rows + s->set->rows - 1) / s->set->rows, most = (s->rows + tiles - 1) / tiles;
    struct fg_gemm8_tile tile = s->tile;
    for (size_t r = 0; r < s->rows; r += most) {
        const size_t height = min(most, s->rows - r), at = r * tile.c_stride;
        tile.c = (char *)s->tile.c + at * size_value(&tile.c_form);
        if (tile.residual)
            tile.residual = (const char *)s->tile.residual + at * size_value(&tile.residual_form);
        if (s->columns < s->set->columns)
            multiply_edge(s, r, height, &tile);
        else
            multiply_tile(s, r, height, &tile);
    }
}

/* Rows [begin, end) against the panel from column c on, line by line. */
static void multiply_lines(struct strip s, size_t begin, size_t end, size_t c) {
    const struct fg_gemm8 *p = s.p;
    const size_t line = p->line ? p->line : end;
    for (size_t r = begin; r < end; r += s.rows, s.a += s.rows) {
        const size_t at = r / line * p->c_line + r % line * p->c_stride + c;
        s.rows = min(line - r % line, end - r);
        s.tile.c = (char *)p->c + at * size_value(&p->c_form);
        if (p->residual)
            s.tile.residual = (const char *)p->residual + at * size_value(&p->residual_form);
        multiply_strip(&s);
    }
}

void fg_gemm8(const struct fg_gemm8 *p) {
    const uint8_t *row[FG_GEMM_BLOCK_ROWS];
    const struct fg_gemm8_set *set = fg_gemm8_set();
    struct strip s = {.p = p,
                      .set = set,
                      .runs = p->a ? 1 : p->runs,
                      .a_stride = p->a_stride,
                      .tile = {.c_stride = p->c_stride,
                               .residual_form = p->residual_form,
                               .c_form = p->c_form,
                               .relu = p->relu}};
    s.depth = p->depth / s.runs;
    assert(p->depth > 0 && s.depth % FG_GEMM8_DEPTH == 0 && p->residual != p->c);
    for (size_t r = 0; r < p->rows; r += FG_GEMM_BLOCK_ROWS) {
        const size_t end = min(r + FG_GEMM_BLOCK_ROWS, p->rows);
        s.a = p->a ? row : p->a_runs + r;
        for (size_t i = r; i < end && p->a; i++)
            row[i - r] = p->a + i * p->a_stride;
        for (size_t c = 0; c < p->columns; c += set->columns) {
            s.columns = min(set->columns, p->columns - c);
            s.b = p->b.weight + c * p->depth;
            s.tile.offset = p->b.offset + c;
            s.tile.factor = p->b.factor + c;
            s.tile.bias = p->b.bias + c;
            multiply_lines(s, r, end, c);
        }
    }
}

FG_CPU_CLONES
static void quantise(const float *restrict values, size_t count, float scale, int32_t zero,
                     uint8_t *restrict to) {
    const float least = (float)-zero, most = (float)(255 - zero);
    for (size_t i = 0; i < count; i++) {
        float value = values[i] / scale;
        value = value > least ? value : least;
        value = value < most ? value : most;
        union {
            float value;
            int32_t bits;
        } rounded = {.value = value + FG_ROUND_FLOAT};
        to[i] = (uint8_t)(rounded.bits - FG_ROUND_BITS + zero);
    }
}

void fg_gemm8_quantise(const float *values, size_t count, const struct fg_gemm8_form *form, uint8_t *to) {
    quantise(values, count, form->scale, form->zero, to);
}
