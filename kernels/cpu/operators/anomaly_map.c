/* ANOMALY_MAP (runtime/network/network.h, section 6): level maps resized and joined, blurred, compared with
 * what each place has in good pictures, and the largest value. */
#include <math.h>

#include "kernels/cpu/cpu.h"

#define RADIUS FG_BLUR_RADIUS
#define TAPS (2 * RADIUS + 1)

/* Where an output place lies between two places of a level map, corners aligned. */
struct between {
    size_t first, second;
    float share; /* what the second one weighs */
};

struct anomaly {
    const struct fg_tensor *m[FG_MAX_IN], *map;
    const float *level[FG_MAX_IN];     /* {n, m[i]->h, m[i]->w, 1}; NULL: not used */
    struct between *column[FG_MAX_IN]; /* [width] */
    int levels;                        /* used ones */
    bool product;
    float *across;             /* {n, h, w, 1} of the map, blurred across */
    float *out;                /* {n, h, w, 1} */
    const float *mean, *scale; /* {h, w}; NULL: the map itself decides */
    float *decision;           /* {n, h, w, 1}; NULL like the two */
    float *row_max;            /* [n][h] */
    float *scratch; /* [threads][row_scratch]: a row with its mirrored ends, and a row of a level map */
    size_t row_scratch;
    float tap[TAPS];
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

/* Makes of the product of the levels what has the size of their sum. */
static void take_root(int levels, float *row, size_t width) {
    for (size_t x = 0; x < width; x++)
        row[x] = levels == 3 ? 3 * cbrtf(row[x]) : levels == 2 ? 2 * sqrtf(row[x]) : row[x];
}

/* One row of the level maps, joined; line is room for a row of the widest. */
static void join_row(const struct anomaly *a, size_t n, size_t y, float *row, float *line) {
    const int32_t height = a->map->h, width = a->map->w;
    for (int32_t x = 0; x < width; x++)
        row[x] = a->product ? 1 : 0;
    for (int l = 0; l < FG_MAX_IN; l++) {
        if (!a->m[l])
            continue;
        const size_t h = (size_t)a->m[l]->h, w = (size_t)a->m[l]->w;
        const struct between v = locate_place(y, height, (int32_t)h);
        const float *top = a->level[l] + (n * h + v.first) * w,
                    *bottom = a->level[l] + (n * h + v.second) * w;
        for (size_t x = 0; x < w; x++)
            line[x] = top[x] * (1 - v.share) + bottom[x] * v.share;
        for (int32_t x = 0; x < width; x++) {
            const struct between u = a->column[l][x];
            const float m = line[u.first] * (1 - u.share) + line[u.second] * u.share;
            row[x] = a->product ? row[x] * floor_value(m) : row[x] + m;
        }
    }
    if (a->product)
        take_root(a->levels, row, (size_t)width);
}

FG_CPU_CLONES static void add_row(float *sum, const float *row, float tap, size_t width) {
    for (size_t x = 0; x < width; x++)
        sum[x] += tap * row[x];
}

static void blur_row_across(void *argument, uint32_t task, uint32_t thread) {
    const struct anomaly *a = argument;
    const int32_t width = a->map->w;
    float *ends = a->scratch + thread * a->row_scratch, *row = ends + RADIUS, *line = row + width + RADIUS;
    float *out = a->across + (size_t)task * (size_t)width;
    join_row(a, task / (uint32_t)a->map->h, task % (uint32_t)a->map->h, row, line);
    for (int32_t i = 1; i <= RADIUS; i++) {
        ends[RADIUS - i] = row[mirror_place(-i, width)];
        row[width - 1 + i] = row[mirror_place(width - 1 + i, width)];
    }
    for (int32_t x = 0; x < width; x++)
        out[x] = 0;
    for (int32_t t = 0; t < TAPS; t++)
        add_row(out, ends + t, a->tap[t], (size_t)width);
}

static void blur_row_down(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct anomaly *a = argument;
    const size_t width = (size_t)a->map->w, height = (size_t)a->map->h, n = task / height, y = task % height;
    float *out = a->out + task * width;
    for (size_t x = 0; x < width; x++)
        out[x] = 0;
    for (int32_t t = -RADIUS; t <= RADIUS; t++)
        add_row(out, a->across + (n * height + mirror_place((int32_t)y + t, (int32_t)height)) * width,
                a->tap[t + RADIUS], width);
    const float *decision = out;
    if (a->decision) {
        float *row = a->decision + task * width;
        for (size_t x = 0; x < width; x++)
            row[x] = (out[x] - a->mean[y * width + x]) / a->scale[y * width + x];
        decision = row;
    }
    float largest = decision[0];
    for (size_t x = 0; x < width; x++)
        if (decision[x] > largest || !isfinite(decision[x]))
            largest = isfinite(largest) ? decision[x] : largest;
    a->row_max[task] = largest;
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

static size_t find_widest_level(const struct fg_step *step) {
    int32_t widest = 0;
    for (int l = 0; l < FG_MAX_IN; l++)
        widest = step->in[l] && step->in[l]->w > widest ? step->in[l]->w : widest;
    return (size_t)widest;
}

static size_t get_row_scratch(const struct fg_step *step) {
    return (size_t)step->out[0]->w + 2 * RADIUS + find_widest_level(step);
}

/* Where columns lie, the sum's blur along rows, each row's largest value, and each thread's rows. */
static size_t workspace(const struct fg_backend *backend, const struct fg_step *step) {
    const struct fg_tensor *map = step->out[0];
    return FG_MAX_IN * (size_t)map->w * sizeof(struct between) +
           (fg_tensor_count(map) + (size_t)map->n * (size_t)map->h +
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
    a.across = (float *)(columns + (size_t)FG_MAX_IN * (size_t)map->w);
    a.row_max = a.across + fg_tensor_count(map);
    a.scratch = a.row_max + (size_t)map->n * (size_t)map->h;
    for (int l = 0; l < FG_MAX_IN; l++) {
        a.m[l] = step->in[l];
        a.levels += step->in[l] != NULL;
        a.level[l] = fg_cpu_values(step->in[l], memory);
        a.column[l] = columns + (size_t)l * (size_t)map->w;
        for (int32_t x = 0; x < map->w && a.m[l]; x++)
            a.column[l][x] = locate_place((size_t)x, map->w, a.m[l]->w);
    }
    double total = 0, tap[TAPS];
    for (int t = -RADIUS; t <= RADIUS; t++)
        total += tap[t + RADIUS] = exp(-t * t / (2 * FG_BLUR_SIGMA * FG_BLUR_SIGMA));
    for (int t = 0; t < TAPS; t++)
        a.tap[t] = (float)(tap[t] / total);
    const uint32_t rows = (uint32_t)(map->n * map->h);
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
