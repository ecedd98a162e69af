/* Cuts a product into blocks that stay in the caches, and the blocks into tiles. */
#include "kernels/cpu/gemm/gemm.h"

#include <assert.h>
#include <string.h>

#include "kernels/cpu/cpu.h"

#define BLOCK_DEPTH ((size_t)256) /* of a panel of B: 8 to 32 KiB, for the first-level cache */
#define PACKED_ROWS ((size_t)84)  /* of A where it is transposed, and so packed: whole tiles too */

static size_t min(size_t a, size_t b) {
    return a < b ? a : b;
}

/* The size of the equal pieces that count is cut into, each at most of the given size. */
static size_t cut(size_t count, size_t most) {
    const size_t pieces = (count + most - 1) / most;
    return (count + pieces - 1) / pieces;
}

size_t fg_gemm_packed(size_t columns, size_t depth) {
    const size_t panel = fg_gemm_panel();
    return (columns + panel - 1) / panel * panel * depth;
}

/* Packs depth rows of at most panel columns. */
FG_CPU_CLONES
static void pack_panel(const float *restrict b, size_t stride, bool transposed, size_t columns, size_t depth,
                       size_t panel, float *restrict to) {
    if (columns < panel)
        memset(to, 0, panel * depth * sizeof *to);
    if (transposed)
        for (size_t c = 0; c < columns; c++)
            for (size_t k = 0; k < depth; k++)
                to[k * panel + c] = b[c * stride + k];
    else
        for (size_t k = 0; k < depth; k++)
            memcpy(to + k * panel, b + k * stride, columns * sizeof *to);
}

void fg_gemm_pack(const float *b, size_t b_stride, bool b_transposed, size_t columns, size_t depth,
                  size_t first, size_t end, float *packed) {
    const size_t panel = fg_gemm_panel();
    for (size_t c = first; c < end; c += panel)
        pack_panel(b + (b_transposed ? c * b_stride : c), b_stride, b_transposed, min(panel, columns - c),
                   depth, panel, packed + c * depth);
}

/* Packs rows of a transposed A in groups as high as a tile. */
FG_CPU_CLONES
static void pack_rows(const float *restrict a, size_t stride, size_t rows, size_t depth, size_t height,
                      float *restrict to) {
    for (size_t r = 0; r < rows; r += height) {
        const size_t group = rows - r < height ? rows - r : height;
        for (size_t k = 0; k < depth; k++)
            for (size_t i = 0; i < group; i++)
                *to++ = a[k * stride + r + i];
    }
}

/* Rows of A against one panel of B, both of one block's depth. Weights come from far: their first tile brings
 * the next panel's block nearer, or behind the last panel what lies there, which may be the next
 * product's. */
struct strip {
    const struct fg_gemm_set *set;
    size_t rows, height, columns; /* height: of its tiles, all but the last one */
    size_t runs, from, depth;     /* a row has depth floats of each of the runs, beginning with number from */
    const float *const *a;        /* [runs][a_stride]: where the runs of each row begin */
    size_t a_stride;
    const float *packed; /* A as pack_rows has packed it; NULL: it is read in its runs */
    const float *b;
    size_t ahead;             /* floats to the next panel's block, for the cache; 0: b was packed just now */
    struct fg_gemm_tile tile; /* its first */
};

static void multiply_tile(const struct strip *s, size_t r, size_t height, const struct fg_gemm_tile *tile) {
    if (s->packed)
        s->set->packed[height](s->depth, s->packed + r * s->depth, s->b, tile);
    else
        s->set->in_runs[height](s->runs, s->depth, s->a + r, s->a_stride, s->from, s->b,
                                r == 0 ? s->ahead : 0, tile);
}

static void copy_tile(const float *from, size_t from_stride, size_t rows, size_t columns, float *to,
                      size_t to_stride) {
    for (size_t r = 0; r < rows; r++)
        memcpy(to + r * to_stride, from + r * from_stride, columns * sizeof *to);
}

/* A tile that is wider than what is left of C has a place of its own. */
static void multiply_edge(const struct strip *s, size_t r, size_t height, const struct fg_gemm_tile *tile) {
    float c[FG_GEMM_MOST_ROWS * FG_GEMM_MOST_COLUMNS] = {0},
                                residual[FG_GEMM_MOST_ROWS * FG_GEMM_MOST_COLUMNS] = {0};
    const size_t stride = s->set->columns;
    struct fg_gemm_tile own = *tile;
    own.c = c;
    own.c_stride = stride;
    if (!tile->start)
        copy_tile(tile->c, tile->c_stride, height, s->columns, c, stride);
    if (tile->residual) {
        copy_tile(tile->residual, tile->c_stride, height, s->columns, residual, stride);
        own.residual = residual;
    }
    multiply_tile(s, r, height, &own);
    copy_tile(c, stride, height, s->columns, tile->c, tile->c_stride);
}

static void multiply_strip(const struct strip *s) {
    struct fg_gemm_tile tile = s->tile;
    for (size_t r = 0; r < s->rows; r += s->height) {
        const size_t height = min(s->height, s->rows - r);
        tile.c = s->tile.c + r * tile.c_stride;
        tile.residual = s->tile.residual ? s->tile.residual + r * tile.c_stride : NULL;
        if (s->columns < s->set->columns)
            multiply_edge(s, r, height, &tile);
        else
            multiply_tile(s, r, height, &tile);
    }
}

/* A block: rows [r, r + rows) by depth [k, k + runs * depth of its strips). */
struct block {
    const struct fg_gemm *p;
    size_t r, rows, k;
};

/* The block's rows against one panel, from column c on, line by line. */
static void multiply_lines(const struct block *b, size_t c, struct strip s) {
    const struct fg_gemm *p = b->p;
    const bool last = b->k + s.runs * s.depth == p->depth;
    const size_t end = b->r + b->rows, line = p->line ? p->line : end;
    for (size_t r = b->r; r < end; r += s.rows, s.a += s.rows) {
        const size_t at = r / line * p->c_line + r % line * p->c_stride + c;
        s.rows = min(line - r % line, end - r);
        s.height = cut(s.rows, s.set->rows);
        s.tile.c = p->c + at;
        s.tile.residual = last && p->residual ? p->residual + at : NULL;
        s.tile.relu = last && p->relu;
        multiply_strip(&s);
    }
}

/* Multiplies a block with all panels. */
static void multiply_block(const struct block *b, struct strip s) {
    const struct fg_gemm *p = b->p;
    const size_t panel = s.set->columns;
    float packed[BLOCK_DEPTH * FG_GEMM_MOST_COLUMNS], start[FG_GEMM_MOST_COLUMNS] = {0};
    const bool first = b->k == 0 && !p->add;
    s.tile = (struct fg_gemm_tile){.start = first ? start : NULL, .c_stride = p->c_stride};
    for (size_t c = 0; c < p->columns; c += panel) {
        s.columns = min(panel, p->columns - c);
        if (p->b_packed) {
            s.b = p->b + c * p->depth + b->k * panel;
            s.ahead = panel * p->depth;
        } else {
            const size_t at = p->b_transposed ? c * p->b_stride + b->k : b->k * p->b_stride + c;
            pack_panel(p->b + at, p->b_stride, p->b_transposed, s.columns, s.runs * s.depth, panel, packed);
            s.b = packed;
        }
        if (first && p->bias)
            memcpy(start, p->bias + c, s.columns * sizeof *start);
        multiply_lines(b, c, s);
    }
}

/* Multiplies all rows, a block at a time, for the depth that s has. */
static void multiply_depth(const struct fg_gemm *p, size_t first_run, struct strip s) {
    float packed[PACKED_ROWS * BLOCK_DEPTH];
    const float *row[FG_GEMM_BLOCK_ROWS];
    const size_t rows = cut(p->rows, p->a_transposed ? PACKED_ROWS : FG_GEMM_BLOCK_ROWS),
                 most = (rows + s.set->rows - 1) / s.set->rows * s.set->rows;
    struct block b = {.p = p, .k = p->a_runs ? first_run * (p->depth / p->runs) + s.from : s.from};
    for (b.r = 0; b.r < p->rows; b.r += most) {
        b.rows = min(most, p->rows - b.r);
        s.a = p->a_runs ? p->a_runs + first_run * p->a_stride + b.r : row;
        s.a_stride = p->a_stride;
        if (p->a_transposed) {
            pack_rows(p->a + b.k * p->a_stride + b.r, p->a_stride, b.rows, s.depth, cut(b.rows, s.set->rows),
                      packed);
            s.packed = packed;
        } else if (!p->a_runs) {
            for (size_t r = 0; r < b.rows; r++)
                row[r] = p->a + (b.r + r) * p->a_stride;
        }
        multiply_block(&b, s);
    }
}

/* A block's depth is several whole runs or a part of one. */
void fg_gemm(const struct fg_gemm *p) {
    assert(p->depth > 0 && !(p->add && p->bias) && p->residual != p->c);
    assert(!p->line || !p->a_transposed);
    const size_t runs = p->a_runs ? p->runs : 1, run = p->depth / runs, part = cut(run, BLOCK_DEPTH),
                 whole = part < run ? 1 : cut(runs, BLOCK_DEPTH / run);
    struct strip s = {.set = fg_gemm_set()};
    for (size_t r = 0; r < runs; r += whole) {
        s.runs = min(whole, runs - r);
        for (s.from = 0; s.from < run; s.from += s.depth) {
            s.depth = min(part, run - s.from);
            multiply_depth(p, r, s);
        }
    }
}
