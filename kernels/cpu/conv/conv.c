/* CONV: what a step's shape is, which way computes it, and its place in the backend's table. */
#include "kernels/cpu/conv/conv.h"

struct fg_conv_shape fg_conv_shape(const struct fg_step *step) {
    const struct fg_tensor *x = step->in[0], *weight = step->param[0];
    struct fg_conv_shape s = {.n = (size_t)x->n,
                              .h = (size_t)x->h,
                              .w = (size_t)x->w,
                              .c = (size_t)x->c,
                              .oc = (size_t)weight->n,
                              .kernel = (size_t)weight->h,
                              .stride = (size_t)step->stride,
                              .groups = (size_t)step->groups};
    s.oh = (s.h - 1) / s.stride + 1;
    s.ow = (s.w - 1) / s.stride + 1;
    s.gc = s.c / s.groups;
    s.goc = s.oc / s.groups;
    s.rows = s.n * s.oh * s.ow;
    s.depth = s.kernel * s.kernel * s.gc;
    return s;
}

/* What one way costs: multiply-adds for each of a weight's matrix elements, at each point. read: what it
 * costs to read an element, or first to make it. transform: what transformations cost for a row, shared by a
 * product's columns. */
static double find_cost(double points, double rows, double transform, double read) {
    return points * (rows * (1 + transform) + read);
}

size_t fg_conv_winograd(const struct fg_conv_shape *s, bool prepared) {
    if (s->kernel != 3 || s->stride != 1)
        return 0;
    const double read = 16, make = prepared ? 0 : 16, transform = 8.0 / (double)s->gc + 8.0 / (double)s->goc;
    double least = find_cost(9, (double)s->rows, 0, read);
    size_t best = 0;
    for (size_t side = 2; side <= 4; side += 2) {
        const double tiles = (double)(s->n * fg_winograd_across(s->h, side) * fg_winograd_across(s->w, side));
        const double cost = find_cost((double)fg_winograd_points(side), tiles, transform, read + make);
        if (cost < least) {
            least = cost;
            best = side;
        }
    }
    return best;
}

/* The side that a planned step has. */
static size_t find_side(const struct fg_step *step, const struct fg_conv_shape *s) {
    return fg_conv_winograd(s, step->prepared_bytes > 0);
}

static bool has_shape(const struct fg_tensor *t, size_t n, size_t h, size_t w, size_t c) {
    return (size_t)t->n == n && (size_t)t->h == h && (size_t)t->w == w && (size_t)t->c == c;
}

static bool is_float(const struct fg_tensor *t) {
    return !t || t->dtype == FG_F32;
}

static bool conv_supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0], *weight = step->param[0], *out = step->out[0];
    if (!x || !weight || !out || step->stride < 1 || step->stride > 2 || step->groups < 1 ||
        step->groups > 2 || weight->h != weight->w || weight->h % 2 == 0 || x->c % step->groups != 0 ||
        weight->n % step->groups != 0) {
        return false;
    }
    struct fg_conv_shape s = fg_conv_shape(step);
    const bool fits = has_shape(weight, s.oc, s.kernel, s.kernel, s.gc) &&
                      has_shape(out, s.n, s.oh, s.ow, s.oc) &&
                      (!step->in[1] || has_shape(step->in[1], s.n, s.oh, s.ow, s.oc)) &&
                      (!step->param[1] || has_shape(step->param[1], 1, 1, 1, s.oc));
    if (fg_conv_int8(step)) {
        return fits && fg_int8_supports(step);
    }
    return fits && is_float(x) && is_float(weight) && is_float(out) && is_float(step->in[1]) &&
           is_float(step->param[1]);
}

/* Asked before the step says how much was prepared. */
static bool can_prepare(const struct fg_step *step) {
    return step->pass == FG_FORWARD && step->param[0]->segment == FG_SEGMENT_FROZEN;
}

static size_t conv_prepared(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    struct fg_conv_shape s = fg_conv_shape(step);
    if (!can_prepare(step)) {
        return 0;
    }
    if (fg_conv_int8(step)) {
        return fg_int8_prepared(step);
    }
    const size_t side = fg_conv_winograd(&s, true);
    return side ? fg_winograd_weight_bytes(&s, side, FG_FORWARD) : fg_direct_weight_bytes(&s);
}

static enum fg_status conv_prepare(struct fg_backend *backend, const struct fg_step *step,
                                   const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    if (fg_conv_int8(step)) {
        return fg_int8_prepare(step, memory, message);
    }
    struct fg_conv_shape s = fg_conv_shape(step);
    const float *weight = fg_cpu_values(step->param[0], memory);
    float *to = (float *)((char *)memory->segment[FG_SEGMENT_PREPARED] + step->prepared);
    const size_t side = fg_conv_winograd(&s, true);
    if (side) {
        fg_winograd_weights(&s, side, weight, FG_FORWARD, 0, s.oc, to);
    } else {
        fg_direct_weights(&s, weight, to);
    }
    return FG_OK;
}

static size_t conv_workspace(const struct fg_backend *backend, const struct fg_step *step) {
    if (step->pass == FG_BACKWARD) {
        return fg_conv_backward_workspace(backend, step);
    }
    if (fg_conv_int8(step)) {
        return fg_int8_workspace(backend, step);
    }
    struct fg_conv_shape s = fg_conv_shape(step);
    bool prepared = can_prepare(step);
    const size_t side = fg_conv_winograd(&s, prepared);
    if (!side) {
        return fg_direct_workspace(backend, &s, prepared);
    }
    const struct fg_winograd run = {
        .side = side, .n = s.n, .h = s.h, .w = s.w, .src_c = s.c, .dst_c = s.oc, .groups = s.groups};
    return (prepared ? 0 : fg_winograd_weight_bytes(&s, side, FG_FORWARD)) +
           fg_winograd_workspace(backend, &run);
}

static enum fg_status conv_forward(struct fg_backend *backend, const struct fg_step *step,
                                   const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    if (fg_conv_int8(step)) {
        fg_int8_forward(backend, step, memory);
        return FG_OK;
    }
    struct fg_conv_shape s = fg_conv_shape(step);
    const size_t side = find_side(step, &s);
    if (!side) {
        fg_direct_forward(backend, step, memory);
        return FG_OK;
    }
    struct fg_winograd run = {.side = side,
                              .n = s.n,
                              .h = s.h,
                              .w = s.w,
                              .src_c = s.c,
                              .dst_c = s.oc,
                              .groups = s.groups,
                              .src = fg_cpu_values(step->in[0], memory),
                              .dst = fg_cpu_values(step->out[0], memory),
                              .bias = fg_cpu_values(step->param[1], memory),
                              .residual = fg_cpu_values(step->in[1], memory),
                              .relu = step->relu,
                              .workspace = fg_cpu_workspace(step, memory)};
    if (step->prepared_bytes > 0) {
        run.weight = (const float *)((const char *)memory->segment[FG_SEGMENT_PREPARED] + step->prepared);
    } else {
        float *transformed = run.workspace;
        fg_winograd_all_weights(backend, step, &s, side, fg_cpu_values(step->param[0], memory), FG_FORWARD,
                                transformed);
        run.weight = transformed;
        run.workspace += fg_winograd_weight_bytes(&s, side, FG_FORWARD) / sizeof(float);
    }
    fg_winograd_run(backend, step, &run);
    return FG_OK;
}

static struct fg_way conv_way(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_conv_shape s = fg_conv_shape(step);
    if (fg_conv_int8(step))
        return (struct fg_way){"int8", (double)(s.rows * s.depth * s.oc)};
    const size_t side = find_side(step, &s);
    if (side)
        return (struct fg_way){"winograd",
                               (double)(fg_winograd_points(side) * s.n * fg_winograd_across(s.h, side) *
                                        fg_winograd_across(s.w, side) * s.gc * s.oc)};
    return (struct fg_way){fg_conv_pointwise(&s) ? "pointwise" : "direct", (double)(s.rows * s.depth * s.oc)};
}

const struct fg_kernel fg_cpu_conv = {.supports = conv_supports,
                                      .workspace = conv_workspace,
                                      .prepared = conv_prepared,
                                      .prepare = conv_prepare,
                                      .way = conv_way,
                                      .forward = conv_forward,
                                      .backward = fg_conv_backward};
