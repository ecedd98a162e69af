/* COSINE, DISTILL (runtime/network/network.h, section 6) and ADAM (section 7). */
#include <math.h>

#include "tests/reference/operators.h"

/* Dot product and floored lengths of two vectors. */
struct angle {
    double dot, e, g;
};

static double floored(double square) {
    const double length = sqrt(square);
    return length < FG_COSINE_FLOOR ? FG_COSINE_FLOOR : length;
}

static struct angle angle_of(const double *e, const double *g, size_t count) {
    double dot = 0, ee = 0, gg = 0;
    for (size_t k = 0; k < count; k++) {
        dot += e[k] * g[k];
        ee += e[k] * e[k];
        gg += g[k] * g[k];
    }
    return (struct angle){dot, floored(ee), floored(gg)};
}

static double distance(const double *e, const double *g, size_t count) {
    const struct angle a = angle_of(e, g, count);
    return 1 - a.dot / (a.e * a.g);
}

/* d += weight * the distance's gradient by g. */
static void give_distance(double *d, const double *e, const double *g, size_t count, double weight) {
    const struct angle a = angle_of(e, g, count);
    const bool moves = a.g > FG_COSINE_FLOOR; /* a floored length is a constant */
    for (size_t k = 0; k < count; k++) {
        const double d_dot = -e[k] / (a.e * a.g);
        const double d_length = moves ? a.dot / (a.e * a.g * a.g) * g[k] / a.g : 0;
        d[k] += weight * (d_dot + d_length);
    }
}

static enum fg_status cosine_forward(struct fg_backend *backend, const struct fg_step *step,
                                     const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const struct array e = array_of(step->in[0], memory), g = array_of(step->in[1], memory),
                       out = array_of(step->out[0], memory);
    for (int32_t n = 0; n < e.n; n++)
        for (int32_t y = 0; y < e.h; y++)
            for (int32_t x = 0; x < e.w; x++)
                *at(out, n, y, x, 0) = distance(at(e, n, y, x, 0), at(g, n, y, x, 0), (size_t)e.c);
    return FG_OK;
}

const struct fg_kernel fg_reference_cosine = {.supports = fg_reference_supports, .forward = cosine_forward};

static enum fg_status distill_forward(struct fg_backend *backend, const struct fg_step *step,
                                      const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const struct array e = array_of(step->in[0], memory), g = array_of(step->in[1], memory),
                       out = array_of(step->out[0], memory);
    const size_t positions = (size_t)e.h * (size_t)e.w, count = positions * (size_t)e.c;
    for (int32_t n = 0; n < e.n; n++) {
        double sum = 0;
        for (int32_t y = 0; y < e.h; y++)
            for (int32_t x = 0; x < e.w; x++)
                sum += distance(at(e, n, y, x, 0), at(g, n, y, x, 0), (size_t)e.c);
        *at(out, n, 0, 0, 0) = step->global_loss ? distance(at(e, n, 0, 0, 0), at(g, n, 0, 0, 0), count)
                                                 : sum / (double)positions;
    }
    return FG_OK;
}

/* Gives the gradient of the mean over images. */
static enum fg_status distill_backward(struct fg_backend *backend, const struct fg_step *step,
                                       const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const struct array e = array_of(step->in[0], memory), g = array_of(step->in[1], memory),
                       d_g = d_in(step, 1, memory);
    const double images = e.n, positions = (double)e.h * e.w;
    for (int32_t n = 0; n < e.n; n++) {
        if (step->global_loss) {
            give_distance(at(d_g, n, 0, 0, 0), at(e, n, 0, 0, 0), at(g, n, 0, 0, 0),
                          (size_t)positions * (size_t)e.c, 1 / images);
            continue;
        }
        for (int32_t y = 0; y < e.h; y++)
            for (int32_t x = 0; x < e.w; x++)
                give_distance(at(d_g, n, y, x, 0), at(e, n, y, x, 0), at(g, n, y, x, 0), (size_t)e.c,
                              1 / (images * positions));
    }
    return FG_OK;
}

const struct fg_kernel fg_reference_distill = {
    .supports = fg_reference_supports, .forward = distill_forward, .backward = distill_backward};

/* Kingma and Ba, ICLR 2015, algorithm 1; the gradient has equation 14's penalty in it. */
static enum fg_status adam_forward(struct fg_backend *backend, const struct fg_step *step,
                                   const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const double *schedule = fg_tensor_data(step->in[0], memory),
                 *gradient = fg_tensor_data(step->d_param[0], memory);
    double *theta = fg_tensor_data(step->param[0], memory), *m = fg_tensor_data(step->param[1], memory),
           *v = fg_tensor_data(step->param[2], memory);
    const double rate = schedule[0], c1 = schedule[1], c2 = schedule[2], l2 = schedule[3];
    for (size_t i = 0; i < fg_tensor_count(step->param[0]); i++) {
        const double g = i < step->decayed ? gradient[i] + 2 * l2 * theta[i] : gradient[i];
        m[i] = 0.9 * m[i] + (1 - 0.9) * g;
        v[i] = 0.999 * v[i] + (1 - 0.999) * g * g;
        theta[i] -= rate * (m[i] * c1) / (sqrt(v[i] * c2) + 1e-8);
    }
    return FG_OK;
}

const struct fg_kernel fg_reference_adam = {.supports = fg_reference_supports, .forward = adam_forward};
