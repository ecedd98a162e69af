/* ANOMALY_MAP (runtime/network/network.h, section 6): level maps resized and joined, blurred, compared with
 * what each place has in good pictures, and the largest value. */
#include <math.h>

#include "kernels/cpu/cpu.h"

#define RADIUS FG_BLUR_RADIUS
#define TAPS (2 * RADIUS + 1)

/* What one instruction, or a few of them, computes. */
#define LANES ((size_t)16)
typedef float vector __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float))));

/* Where an output place lies between two places of a level map, corners aligned. */
struct between {
    size_t first, second;
    float share; /* what the second one weighs */
};

struct anomaly {
    const struct fg_tensor *m[FG_MAX_IN], *map;
    const float *level[FG_MAX_IN];     /* {n, m[i]->h, m[i]->w, 1}; NULL: not used */
    struct between *column[FG_MAX_IN]; /* [width] */
    float *stretched[FG_MAX_IN];       /* {n, m[i]->h, width}: level maps with the map's columns */
    int levels;                        /* used ones */
    bool product;
    float *across;             /* {n, h, w, 1} of the map, blurred across */
    float *out;                /* {n, h, w, 1} */
    const float *mean, *scale; /* {h, w}; NULL: the map itself decides */
    float *decision;           /* {n, h, w, 1}; NULL like the two */
    float *row_max;            /* [n][h] */
    float *scratch;            /* [threads][row_scratch]: a row with its mirrored ends */
    size_t row_scratch;
    float tap[RADIUS + 1]; /* the middle one, and those to either side */
};

static struct between locate_place(size_t i, int32_t out, int32_t in) {
    const float scale = out > 1 ? (float)(in - 1) / (float)(out - 1) : 0, at = scale * (float)i;
    const size_t first = (size_t)at, last = (size_t)(in - 1);
    return (struct between){first, first < last ? first + 1 : last, at - (float)first};
}

/* A place mirrored without repeating the edge. */
static size_t mirror_place(int32_t i, int32_t length) {
    while (i < 0 || i >= length) {
        if (length == 1)
            return 0;
        i = i < 0 ? -i : 2 * (length - 1) - i;
    }
    return (size_t)i;
}

/* Floors at 0; NaN stays. */
static float floor_value(float m) {
    return m < 0 ? 0 : m;
}

/* The cube root of what is at least 0, or not finite, which stays so. The number's bits, as an integer, are
 * about its logarithm: a third of them is 4 % away, and each of two of Halley's steps cubes that. */
static float root_cube(float cube) {
    union {
        float value;
        int32_t bits;
    } root = {.value = cube};
    root.bits = (int32_t)((float)root.bits * (1 / 3.0f)) + 709921077;
    for (int step = 0; step < 2; step++) {
        const float third = root.value * root.value * root.value;
        root.value *= (third + 2 * cube) / (2 * third + cube);
    }
    return cube < 1e-36f ? 0 : root.value; /* less than that has no third power on the way */
}

/* Makes of the product of the levels what has the size of their sum. */
FG_CPU_CLONES static void take_root(int levels, float *row, size_t width) {
    for (size_t x = 0; x < width && levels == 2; x++)
        row[x] = 2 * sqrtf(row[x]);
    for (size_t x = 0; x < width && levels == 3; x++)
        row[x] = 3 * root_cube(row[x]);
}

static void stretch_row(const float *from, const struct between *column, size_t width, float *to) {
    for (size_t x = 0; x < width; x++)
        to[x] = from[column[x].first] * (1 - column[x].share) + from[column[x].second] * column[x].share;
}

/* Rows of all level maps, one behind the other. */
static void stretch_rows(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct anomaly *a = argument;
    const size_t width = (size_t)a->map->w;
    for (int l = 0; l < FG_MAX_IN; l++) {
        if (!a->m[l])
            continue;
        const uint32_t rows = (uint32_t)(a->m[l]->n * a->m[l]->h);
        if (task < rows) {
            stretch_row(a->level[l] + task * (size_t)a->m[l]->w, a->column[l], width,
                        a->stretched[l] + task * width);
            return;
        }
        task -= rows;
    }
}

FG_CPU_CLONES static void add_between(const float *first, const float *second, float share, size_t width,
                                      bool product, float *row) {
    for (size_t x = 0; x < width && !product; x++)
        row[x] += first[x] * (1 - share) + second[x] * share;
    for (size_t x = 0; x < width && product; x++)
        row[x] *= floor_value(first[x] * (1 - share) + second[x] * share);
}

/* One row of the level maps, joined. */
static void join_row(const struct anomaly *a, size_t n, size_t y, float *row) {
    const size_t width = (size_t)a->map->w;
    for (size_t x = 0; x < width; x++)
        row[x] = a->product ? 1 : 0;
    for (int l = 0; l < FG_MAX_IN; l++) {
        if (!a->m[l])
            continue;
        const size_t h = (size_t)a->m[l]->h;
        const struct between v = locate_place(y, a->map->h, (int32_t)h);
        add_between(a->stretched[l] + (n * h + v.first) * width, a->stretched[l] + (n * h + v.second) * width,
                    v.share, width, a->product, row);
    }
    if (a->product)
        take_root(a->levels, row, width);
}

/* Weighs TAPS rows, of which those to either side of the middle one weigh the same. */
FG_CPU_CLONES static void blur_rows(const float *const *row, const float *tap, size_t width, float *out) {
    size_t x = 0;
    for (; x + 2 * LANES <= width; x += 2 * LANES) {
        const vector *middle = (const vector *)(row[RADIUS] + x);
        vector first = middle[0] * tap[0], second = middle[1] * tap[0];
        for (int t = 1; t <= RADIUS; t++) {
            const vector *before = (const vector *)(row[RADIUS - t] + x),
                         *behind = (const vector *)(row[RADIUS + t] + x);
            first += (before[0] + behind[0]) * tap[t];
            second += (before[1] + behind[1]) * tap[t];
        }
        *(vector *)(out + x) = first;
        *(vector *)(out + x + LANES) = second;
    }
    for (; x < width; x++) {
        out[x] = row[RADIUS][x] * tap[0];
        for (int t = 1; t <= RADIUS; t++)
            out[x] += (row[RADIUS - t][x] + row[RADIUS + t][x]) * tap[t];
    }
}

static void blur_row_across(void *argument, uint32_t task, uint32_t thread) {
    const struct anomaly *a = argument;
    const int32_t width = a->map->w;
    float *ends = a->scratch + thread * a->row_scratch, *row = ends + RADIUS;
    const float *shifted[TAPS];
    join_row(a, task / (uint32_t)a->map->h, task % (uint32_t)a->map->h, row);
    for (int32_t i = 1; i <= RADIUS; i++) {
        ends[RADIUS - i] = row[mirror_place(-i, width)];
        row[width - 1 + i] = row[mirror_place(width - 1 + i, width)];
    }
    for (int32_t t = 0; t < TAPS; t++)
        shifted[t] = ends + t;
    blur_rows(shifted, a->tap, (size_t)width, a->across + (size_t)task * (size_t)width);
}

/* The largest value, or one that is not finite where there is one. */
FG_CPU_CLONES static float find_largest(const float *values, size_t count) {
    float most[LANES], away[LANES] = {0}; /* away stays 0 while all are finite */
    size_t x = 0;
    for (size_t i = 0; i < LANES; i++)
        most[i] = values[0];
    for (; x + LANES <= count; x += LANES)
        for (size_t i = 0; i < LANES; i++) {
            most[i] = values[x + i] > most[i] ? values[x + i] : most[i];
            away[i] += values[x + i] - values[x + i];
        }
    for (; x < count; x++) {
        most[0] = values[x] > most[0] ? values[x] : most[0];
        away[0] += values[x] - values[x];
    }
    for (size_t i = 0; i < LANES; i++) {
        if (away[i] != 0)
            return away[i];
        most[0] = most[i] > most[0] ? most[i] : most[0];
    }
    return most[0];
}

static void blur_row_down(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct anomaly *a = argument;
    const size_t width = (size_t)a->map->w, height = (size_t)a->map->h, n = task / height, y = task % height;
    float *out = a->out + task * width;
    const float *row[TAPS];
    for (int32_t t = 0; t < TAPS; t++)
        row[t] = a->across + (n * height + mirror_place((int32_t)y + t - RADIUS, (int32_t)height)) * width;
    blur_rows(row, a->tap, width, out);
    const float *decision = out;
    if (a->decision) {
        float *row_decision = a->decision + task * width;
        for (size_t x = 0; x < width; x++)
            row_decision[x] = (out[x] - a->mean[y * width + x]) / a->scale[y * width + x];
        decision = row_decision;
    }
    a->row_max[task] = find_largest(decision, width);
}

static bool supports_places(const struct fg_step *step) {
    const struct fg_tensor *map = step->out[0], *decision = step->out[2];
    bool right = !step->param[0] == !decision && !step->param[1] == !decision;
    for (int i = 0; i < 2 && right && decision; i++)
        right = step->param[i]->dtype == FG_F32 &&
                fg_tensor_count(step->param[i]) == (size_t)map->h * (size_t)map->w;
    return right &&
           (!decision || (decision->dtype == FG_F32 && fg_tensor_count(decision) == fg_tensor_count(map)));
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *map = step->out[0], *score = step->out[1];
    bool right = map && score && step->in[0] && map->c == 1 && map->dtype == FG_F32 &&
                 fg_tensor_count(score) == (size_t)map->n && supports_places(step);
    for (int l = 0; l < FG_MAX_IN; l++)
        right = right && (!step->in[l] || (step->in[l]->c == 1 && step->in[l]->n == map->n));
    return right;
}

static size_t get_row_scratch(const struct fg_step *step) {
    return (size_t)step->out[0]->w + 2 * RADIUS;
}

/* Rows of all level maps. */
static size_t count_level_rows(const struct fg_step *step) {
    size_t rows = 0;
    for (int l = 0; l < FG_MAX_IN; l++)
        rows += step->in[l] ? (size_t)step->in[l]->n * (size_t)step->in[l]->h : 0;
    return rows;
}

/* Where columns lie, level maps with the map's columns, the sum's blur along rows, each row's largest value,
 * and each thread's row. */
static size_t workspace(const struct fg_backend *backend, const struct fg_step *step) {
    const struct fg_tensor *map = step->out[0];
    return FG_MAX_IN * (size_t)map->w * sizeof(struct between) +
           (count_level_rows(step) * (size_t)map->w + fg_tensor_count(map) + (size_t)map->n * (size_t)map->h +
            fg_cpu_threads(backend) * get_row_scratch(step)) *
               sizeof(float);
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    const struct fg_tensor *map = step->out[0];
    struct anomaly a = {.map = map,
                        .product = step->product,
                        .out = fg_cpu_values(map, memory),
                        .mean = fg_cpu_values(step->param[0], memory),
                        .scale = fg_cpu_values(step->param[1], memory),
                        .decision = fg_cpu_values(step->out[2], memory),
                        .row_scratch = get_row_scratch(step)};
    struct between *columns = (struct between *)(void *)fg_cpu_workspace(step, memory);
    float *stretched = (float *)(columns + (size_t)FG_MAX_IN * (size_t)map->w);
    a.across = stretched + count_level_rows(step) * (size_t)map->w;
    a.row_max = a.across + fg_tensor_count(map);
    a.scratch = a.row_max + (size_t)map->n * (size_t)map->h;
    for (int l = 0; l < FG_MAX_IN; l++) {
        a.m[l] = step->in[l];
        a.levels += step->in[l] != NULL;
        a.level[l] = fg_cpu_values(step->in[l], memory);
        a.column[l] = columns + (size_t)l * (size_t)map->w;
        a.stretched[l] = stretched;
        for (int32_t x = 0; x < map->w && a.m[l]; x++)
            a.column[l][x] = locate_place((size_t)x, map->w, a.m[l]->w);
        if (a.m[l])
            stretched += (size_t)a.m[l]->n * (size_t)a.m[l]->h * (size_t)map->w;
    }
    double total = 0, tap[RADIUS + 1];
    for (int t = 0; t <= RADIUS; t++) {
        tap[t] = exp(-t * t / (2 * FG_BLUR_SIGMA * FG_BLUR_SIGMA));
        total += t ? 2 * tap[t] : tap[t];
    }
    for (int t = 0; t <= RADIUS; t++)
        a.tap[t] = (float)(tap[t] / total);
    const uint32_t rows = (uint32_t)(map->n * map->h);
    fg_cpu_parallel(backend, step, (uint32_t)count_level_rows(step), stretch_rows, &a);
    fg_cpu_parallel(backend, step, rows, blur_row_across, &a);
    fg_cpu_parallel(backend, step, rows, blur_row_down, &a);
    float *score = fg_cpu_values(step->out[1], memory);
    for (int32_t n = 0; n < map->n; n++) {
        score[n] = a.row_max[n * map->h];
        for (int32_t y = 1; y < map->h && isfinite(score[n]); y++) {
            const float row = a.row_max[n * map->h + y];
            if (row > score[n] || !isfinite(row))
                score[n] = row;
        }
    }
    return FG_OK;
}

const struct fg_kernel fg_cpu_anomaly_map = {
    .supports = supports, .workspace = workspace, .forward = forward};
