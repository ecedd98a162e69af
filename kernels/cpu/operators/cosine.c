/* COSINE and DISTILL (runtime/network/network.h, section 6; the paper's equations 12 and 13): the distance
 * between what the teacher saw and what the student made of it. */
#include <math.h>

#include "kernels/cpu/cpu.h"

struct cosine {
    size_t rows; /* number of vectors */
    size_t c;    /* length of a vector */
    uint32_t tasks;
    const float *e, *g; /* [rows][c] */
    float *out;         /* [rows] of COSINE, [images] of DISTILL */
    float *d_g;         /* [rows][c] */
    size_t images, positions;
    bool global, add;
};

/* Dot product and squared lengths. Lanes of partial sums let gcc vectorise without reordering what we wrote.
 */
#define LANES 16

struct sums {
    float dot, e, g;
};

FG_CPU_CLONES static struct sums sum_vector(const float *e, const float *g, size_t c) {
    float dot[LANES] = {0}, ee[LANES] = {0}, gg[LANES] = {0};
    size_t k = 0;
    for (; k + LANES <= c; k += LANES)
        for (size_t i = 0; i < LANES; i++) {
            dot[i] += e[k + i] * g[k + i];
            ee[i] += e[k + i] * e[k + i];
            gg[i] += g[k + i] * g[k + i];
        }
    struct sums s = {0, 0, 0};
    for (; k < c; k++) {
        s.dot += e[k] * g[k];
        s.e += e[k] * e[k];
        s.g += g[k] * g[k];
    }
    for (size_t i = 0; i < LANES; i++) {
        s.dot += dot[i];
        s.e += ee[i];
        s.g += gg[i];
    }
    return s;
}

/* Lengths are floored; a NaN is not. */
static double floor_length(double square) {
    const double length = sqrt(square);
    return length < FG_COSINE_FLOOR ? FG_COSINE_FLOOR : length;
}

static void measure_distances(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct cosine *a = argument;
    const struct fg_cpu_range range = fg_cpu_share(a->rows, a->tasks, task);
    for (size_t r = range.begin; r < range.end; r++) {
        const struct sums s = sum_vector(a->e + r * a->c, a->g + r * a->c, a->c);
        a->out[r] = (float)(1 - (double)s.dot / (floor_length((double)s.e) * floor_length((double)s.g)));
    }
}

static bool are_alike(const struct fg_tensor *e, const struct fg_tensor *g) {
    return e && g && e->dtype == FG_F32 && g->dtype == FG_F32 && e->n == g->n && e->h == g->h &&
           e->w == g->w && e->c == g->c;
}

static bool cosine_supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *e = step->in[0], *m = step->out[0];
    return are_alike(e, step->in[1]) && m && fg_tensor_count(m) * (size_t)e->c == fg_tensor_count(e);
}

static struct cosine describe_step(struct fg_backend *backend, const struct fg_step *step,
                                   const struct fg_memory *memory) {
    const struct fg_tensor *e = step->in[0];
    return (struct cosine){.rows = fg_tensor_count(e) / (size_t)e->c,
                           .c = (size_t)e->c,
                           .tasks = fg_cpu_threads(backend),
                           .e = fg_cpu_values(e, memory),
                           .g = fg_cpu_values(step->in[1], memory),
                           .out = fg_cpu_values(step->out[0], memory),
                           .images = (size_t)e->n,
                           .positions = (size_t)e->h * (size_t)e->w,
                           .global = step->global_loss,
                           .add = step->accumulate >> 1 & 1};
}

static enum fg_status cosine_forward(struct fg_backend *backend, const struct fg_step *step,
                                     const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct cosine a = describe_step(backend, step, memory);
    fg_cpu_parallel(backend, step, a.tasks, measure_distances, &a);
    return FG_OK;
}

const struct fg_kernel fg_cpu_cosine = {.supports = cosine_supports, .forward = cosine_forward};

/* The sums of one whole image, position by position. */
struct wide_sums {
    double dot, e, g;
};

static struct wide_sums sum_image(const struct cosine *a, size_t image) {
    struct wide_sums all = {0, 0, 0};
    for (size_t p = 0; p < a->positions; p++) {
        const size_t at = (image * a->positions + p) * a->c;
        const struct sums s = sum_vector(a->e + at, a->g + at, a->c);
        all.dot += (double)s.dot;
        all.e += (double)s.e;
        all.g += (double)s.g;
    }
    return all;
}

static void measure_loss(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct cosine *a = argument;
    if (a->global) {
        const struct wide_sums s = sum_image(a, task);
        a->out[task] = (float)(1 - s.dot / (floor_length(s.e) * floor_length(s.g)));
        return;
    }
    double sum = 0;
    for (size_t p = 0; p < a->positions; p++) {
        const size_t at = (task * a->positions + p) * a->c;
        const struct sums s = sum_vector(a->e + at, a->g + at, a->c);
        sum += 1 - (double)s.dot / (floor_length((double)s.e) * floor_length((double)s.g));
    }
    a->out[task] = (float)(sum / (double)a->positions);
}

/* d(1 - cos)/dg = cos g / |g|^2 - e / (|e| |g|), each times weight; where |g| is floored it does not move. */
struct slopes {
    float e, g;
};

static struct slopes find_slopes(double dot, double ee, double gg, double weight) {
    const double e = floor_length(ee), g = floor_length(gg);
    const bool moves = g > FG_COSINE_FLOOR;
    return (struct slopes){.e = (float)(-weight / (e * g)),
                           .g = moves ? (float)(weight * dot / (e * g) / (g * g)) : 0};
}

FG_CPU_CLONES static void apply_slopes(struct slopes s, const float *e, const float *g, size_t c, bool add,
                                       float *d) {
    if (add)
        for (size_t k = 0; k < c; k++)
            d[k] += s.e * e[k] + s.g * g[k];
    else
        for (size_t k = 0; k < c; k++)
            d[k] = s.e * e[k] + s.g * g[k];
}

static void write_gradient(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct cosine *a = argument;
    struct slopes slopes = {0, 0};
    if (a->global) {
        const struct wide_sums s = sum_image(a, task);
        slopes = find_slopes(s.dot, s.e, s.g, 1 / (double)a->images);
    }
    for (size_t p = 0; p < a->positions; p++) {
        const size_t at = (task * a->positions + p) * a->c;
        if (!a->global) {
            const struct sums s = sum_vector(a->e + at, a->g + at, a->c);
            slopes = find_slopes((double)s.dot, (double)s.e, (double)s.g,
                                 1 / ((double)a->images * (double)a->positions));
        }
        apply_slopes(slopes, a->e + at, a->g + at, a->c, a->add, a->d_g + at);
    }
}

static bool distill_supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *loss = step->out[0];
    return are_alike(step->in[0], step->in[1]) && loss && fg_tensor_count(loss) == (size_t)step->in[0]->n &&
           !step->d_in[0];
}

static enum fg_status distill_forward(struct fg_backend *backend, const struct fg_step *step,
                                      const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct cosine a = describe_step(backend, step, memory);
    fg_cpu_parallel(backend, step, (uint32_t)a.images, measure_loss, &a);
    return FG_OK;
}

static enum fg_status distill_backward(struct fg_backend *backend, const struct fg_step *step,
                                       const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct cosine a = describe_step(backend, step, memory);
    a.d_g = fg_cpu_values(step->d_in[1], memory);
    fg_cpu_parallel(backend, step, (uint32_t)a.images, write_gradient, &a);
    return FG_OK;
}

const struct fg_kernel fg_cpu_distill = {
    .supports = distill_supports, .forward = distill_forward, .backward = distill_backward};
