/* Shares a convolution's product out, and finds its patches where they lie in the picture. */
#include <string.h>

#include "kernels/cpu/conv/conv.h"

#define FEW_CHANNELS ((size_t)16) /* with fewer, a run is all taps of a kernel row */

struct fg_conv_split fg_conv_split(const struct fg_backend *backend, const struct fg_conv_shape *s) {
    const uint32_t threads = fg_cpu_threads(backend);
    if (s->goc > s->rows)
        return (struct fg_conv_split){.by_columns = true, .block = s->rows, .tasks = threads};
    size_t tasks = (s->rows + FG_GEMM_BLOCK_ROWS - 1) / FG_GEMM_BLOCK_ROWS;
    tasks = (tasks + threads - 1) / threads * threads;
    tasks = tasks > s->rows ? s->rows : tasks;
    return (struct fg_conv_split){.block = (s->rows + tasks - 1) / tasks, .tasks = (uint32_t)tasks};
}

struct fg_conv_part fg_conv_part(const struct fg_conv_shape *s, const struct fg_conv_split *split,
                                 size_t panel, uint32_t task) {
    if (split->by_columns)
        return (struct fg_conv_part){.rows = {0, s->rows},
                                     .columns = fg_conv_columns(s->goc, panel, split->tasks, task)};
    return (struct fg_conv_part){.rows = fg_cpu_share(s->rows, split->tasks, task), .columns = {0, s->goc}};
}

/* Taps of a run. */
static size_t count_taps(const struct fg_conv_shape *s) {
    return s->groups == 1 && s->gc < FEW_CHANNELS ? s->kernel : 1;
}

size_t fg_conv_runs(const struct fg_conv_shape *s) {
    return s->kernel * s->kernel / count_taps(s);
}

/* Elements of a run. */
static size_t count_run(const struct fg_conv_shape *s) {
    return count_taps(s) * s->gc;
}

/* Scratch has where the runs begin; then the zeros and the copies. */
static size_t count_places(const struct fg_conv_shape *s, size_t rows) {
    return fg_size_align(fg_conv_runs(s) * rows * sizeof(void *));
}

size_t fg_conv_runs_bytes(const struct fg_conv_shape *s, size_t rows, size_t size) {
    const size_t copies = count_taps(s) > 1 ? rows * s->kernel : 0;
    return count_places(s, rows) + fg_size_align((1 + copies) * count_run(s) * size);
}

/* The runs of patches while they are looked for. All that is counted from a pixel's start is bytes. */
struct search {
    const struct fg_conv_shape *shape;
    ptrdiff_t pixel;    /* bytes of one */
    const void **place; /* of the next run */
    const char *zeros;  /* a run of them */
    char *copy;         /* of the next run that crosses the edge */
    uint8_t zero;
};

/* Copies the run that begins at the picture's column x, part of it outside of the row. */
static void copy_run(struct search *f, const char *row, ptrdiff_t x, ptrdiff_t taps) {
    const ptrdiff_t w = (ptrdiff_t)f->shape->w, begin = x > 0 ? x : 0, end = x + taps < w ? x + taps : w;
    *f->place++ = f->copy;
    memset(f->copy, f->zero, (size_t)(taps * f->pixel));
    memcpy(f->copy + (begin - x) * f->pixel, row + begin * f->pixel, (size_t)((end - begin) * f->pixel));
    f->copy += taps * f->pixel;
}

/* Looks for one run of each patch of output positions [ox, end) of a line. row is the picture's row that they
 * see, from the group's first channel on; first is the picture's column where the run of position 0
 * begins. */
static void find_in_line(struct search *f, const char *row, ptrdiff_t first, size_t ox, size_t end) {
    const struct fg_conv_shape *s = f->shape;
    const ptrdiff_t taps = (ptrdiff_t)count_taps(s), stride = (ptrdiff_t)s->stride, w = (ptrdiff_t)s->w,
                    inside = (w - taps - first) / stride + 1;
    for (ptrdiff_t o = (ptrdiff_t)ox; o < (ptrdiff_t)end;) {
        const ptrdiff_t x = o * stride + first;
        if (x >= 0 && x + taps <= w) {
            const ptrdiff_t last = inside < (ptrdiff_t)end ? inside : (ptrdiff_t)end;
            const char *from = row + x * f->pixel;
            for (; o < last; o++, from += stride * f->pixel)
                *f->place++ = from;
            continue;
        }
        if (x + taps <= 0 || x >= w)
            *f->place++ = f->zeros;
        else
            copy_run(f, row, x, taps);
        o++;
    }
}

const void *const *fg_conv_find_runs(const struct fg_conv_shape *s, const struct fg_conv_values *values,
                                     size_t group, struct fg_cpu_range rows, void *scratch) {
    const size_t pad = s->kernel / 2, taps = count_taps(s), run = count_run(s) * values->size,
                 pixel = s->c * values->size;
    char *zeros = (char *)scratch + count_places(s, rows.end - rows.begin);
    struct search f = {s, (ptrdiff_t)pixel, scratch, zeros, zeros + run, values->zero};
    memset(zeros, values->zero, run);
    for (size_t tap = 0; tap < s->kernel * s->kernel; tap += taps) {
        for (size_t r = rows.begin, end; r < rows.end; r = end) {
            const size_t line = r / s->ow, ox = r % s->ow;
            const size_t y = line % s->oh * s->stride + tap / s->kernel - pad;
            end = r - ox + s->ow < rows.end ? r - ox + s->ow : rows.end;
            if (y < s->h) { /* unsigned: before the first is beyond the last */
                find_in_line(&f,
                             (const char *)values->x + (line / s->oh * s->h + y) * s->w * pixel +
                                 group * s->gc * values->size,
                             (ptrdiff_t)(tap % s->kernel) - (ptrdiff_t)pad, ox, ox + end - r);
            } else {
                for (size_t i = r; i < end; i++)
                    *f.place++ = f.zeros;
            }
        }
    }
    return scratch;
}
