/* The cases of each operator: drawn shapes and attributes, against the reference. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/reference/cases.h"

#include "tests/reference/bench.h"

#define ROUNDS 12   /* drawn shapes of each operator */
#define MARGIN 1e-3 /* inputs of a switch keep away from it */

static struct fg_cases cases;

/* The largest error of each operator and pass, printed at the end. */
static struct {
    const char *name;
    double forward, backward;
} largest[32];
static size_t kinds;

static void note(const char *name, bool backward, double error) {
    size_t i = 0;
    while (i < kinds && strcmp(largest[i].name, name) != 0) {
        i++;
    }
    if (i == kinds) {
        largest[kinds++].name = name;
    }
    double *kept = backward ? &largest[i].backward : &largest[i].forward;
    *kept = error > *kept ? error : *kept;
}

static void hold(const struct fg_bench *bench, const char *name, const char *what, bool backward,
                 const struct fg_tensor *t, double bound) {
    const double error = fg_bench_error(bench, t);
    note(name, backward, error);
    if (!(error <= bound)) {
        fail_msg("%s, %s {%d, %d, %d, %d}: error %g, bound %g, seed %llu", name, what, t->n, t->h, t->w, t->c,
                 error, bound, (unsigned long long)bench->seed);
    }
}

static struct fg_bench bench;

/* Starts round r of an operator, and gives the backend that runs it. */
static struct fg_backend *begin(enum fg_operator op, uint32_t r) {
    fg_bench_open(&bench, cases.seed << 16 | (uint64_t)op << 8 | r);
    return cases.backend[r % 3];
}

static bool coin(void) {
    return fg_bench_pick(&bench, 0, 1) == 1;
}

static const struct fg_tensor *values(int32_t n, int32_t h, int32_t w, int32_t c) {
    return fg_bench_values(&bench, n, h, w, c, -1, 1);
}

static const struct fg_tensor *empty_like(const struct fg_tensor *t) {
    return fg_bench_empty(&bench, t->n, t->h, t->w, t->c);
}

static const struct fg_tensor *values_like(const struct fg_tensor *t) {
    return values(t->n, t->h, t->w, t->c);
}

/* The step with values, and a convolution's weights, in float16, as an engine has them: vectors and what
 * comes of a cosine stay float32. */
static struct fg_step halved(struct fg_step step) {
    for (int i = 0; i < FG_MAX_IN; i++) {
        if (step.in[i] && step.in[i]->dtype == FG_F32) {
            step.in[i] = fg_bench_half(&bench, step.in[i]);
        }
    }
    if (step.op == FG_CONV || step.op == FG_DECONV) {
        step.param[0] = fg_bench_half(&bench, step.param[0]);
    }
    for (int i = 0; i < FG_MAX_OUT && step.op != FG_COSINE && step.op != FG_MOMENTS; i++) {
        const struct fg_tensor *out = step.out[i];
        step.out[i] = out ? fg_bench_empty_half(&bench, out->n, out->h, out->w, out->c) : NULL;
    }
    return step;
}

static void forward(struct fg_backend *backend, const char *name, const struct fg_step *whole, double bound) {
    const bool half = cases.half > 0 && whole->op != FG_DISTILL;
    const struct fg_step narrowed = half ? halved(*whole) : *whole, *step = &narrowed;
    bound = half ? cases.half : bound;
    fg_bench_run(&bench, backend, step);
    for (int i = 0; i < FG_MAX_OUT; i++) {
        if (step->out[i]) {
            hold(&bench, name, "output", false, step->out[i], bound);
        }
    }
}

/* The backward pass of a step whose forward has run: inputs 0 to ins - 1 and parameters 0 to params - 1 are
 * given gradients, drawn to be written or added to, and one in four left out. */
static void backward(struct fg_backend *backend, const char *name, struct fg_step step, int ins, int params) {
    if (cases.half > 0) {
        return;
    }
    step.pass = FG_BACKWARD;
    for (int i = 0; i < ins; i++) {
        if (step.in[i] && fg_bench_pick(&bench, 0, 3) > 0) {
            const bool add = coin();
            step.d_in[i] = add ? values_like(step.in[i]) : empty_like(step.in[i]);
            step.accumulate |= (uint32_t)add << i;
        }
    }
    for (int i = 0; i < params; i++) {
        if (step.param[i] && fg_bench_pick(&bench, 0, 3) > 0) {
            step.d_param[i] = empty_like(step.param[i]);
        }
    }
    fg_bench_run(&bench, backend, &step);
    for (int i = 0; i < ins; i++) {
        if (step.d_in[i]) {
            hold(&bench, name, "gradient of an input", true, step.d_in[i], cases.backward);
        }
    }
    for (int i = 0; i < params; i++) {
        if (step.d_param[i]) {
            hold(&bench, name, "gradient of a parameter", true, step.d_param[i], cases.backward);
        }
    }
}

void fg_case_conv(void **state) {
    (void)state;
    for (uint32_t r = 0; r < 4 * ROUNDS; r++) {
        struct fg_backend *backend = begin(FG_CONV, r);
        const int32_t sizes[] = {1, 3, 3, 3, 7}, kernel = sizes[fg_bench_pick(&bench, 0, 4)];
        const int32_t stride = fg_bench_pick(&bench, 1, 2), groups = fg_bench_pick(&bench, 1, 2);
        const int32_t most = r % 2 ? 4 : 24; /* few channels, one among them, or many */
        const int32_t n = fg_bench_pick(&bench, 1, 3), h = fg_bench_pick(&bench, 1, 13),
                      w = fg_bench_pick(&bench, 1, 13), c = groups * fg_bench_pick(&bench, 1, most),
                      oc = groups * fg_bench_pick(&bench, 1, most);
        struct fg_step step = {.op = FG_CONV, .stride = stride, .groups = groups, .relu = coin()};
        step.in[0] = values(n, h, w, c);
        step.param[0] = values(oc, kernel, kernel, c / groups);
        step.param[1] = coin() ? values(1, 1, 1, oc) : NULL;
        step.out[0] = fg_bench_empty(&bench, n, (h - 1) / stride + 1, (w - 1) / stride + 1, oc);
        step.in[1] = coin() ? values_like(step.out[0]) : NULL;
        step.d_out[0] = values_like(step.out[0]);
        if (coin()) {
            fg_bench_freeze(&bench, step.param[0]);
        }
        const char *name = kernel == 1   ? "conv 1x1"
                           : kernel == 7 ? "conv 7x7"
                           : stride == 2 ? "conv 3x3 stride 2"
                                         : "conv 3x3";
        forward(backend, name, &step, kernel == 3 && stride == 1 ? cases.winograd : cases.direct);
        backward(backend, name, step, 2, 2);
        fg_bench_close(&bench);
    }
}

/* Shapes that are worth Winograd's tiles of either size, with prepared weights and without. */
void fg_case_large_conv(void **state) {
    (void)state;
    for (uint32_t r = 0; r < ROUNDS / 2; r++) {
        struct fg_backend *backend = begin(FG_CONV, 4 * ROUNDS + r);
        const bool wide = coin(); /* then Winograd's larger tile is worth it, else the smaller one */
        const int32_t least = wide ? 14 : 8, channels = wide ? 16 : 36;
        const int32_t groups = fg_bench_pick(&bench, 1, 2), n = wide ? fg_bench_pick(&bench, 1, 2) : 1,
                      h = fg_bench_pick(&bench, least, least + 2),
                      w = fg_bench_pick(&bench, least, least + 2),
                      c = groups * fg_bench_pick(&bench, channels, channels + 4),
                      oc = groups * fg_bench_pick(&bench, channels, channels + 4);
        struct fg_step step = {.op = FG_CONV, .stride = 1, .groups = groups, .relu = coin()};
        step.in[0] = values(n, h, w, c);
        step.param[0] = values(oc, 3, 3, c / groups);
        step.param[1] = coin() ? values(1, 1, 1, oc) : NULL;
        step.out[0] = fg_bench_empty(&bench, n, h, w, oc);
        step.in[1] = coin() ? values_like(step.out[0]) : NULL;
        step.d_out[0] = values_like(step.out[0]);
        if (coin()) {
            fg_bench_freeze(&bench, step.param[0]);
            assert_true(!backend->kernel[FG_CONV].prepared ||
                        backend->kernel[FG_CONV].prepared(backend, &step) > 0);
        }
        forward(backend, "conv 3x3, large", &step, cases.winograd);
        backward(backend, "conv 3x3, large", step, 2, 2);
        fg_bench_close(&bench);
    }
}

void fg_case_deconv(void **state) {
    (void)state;
    for (uint32_t r = 0; r < ROUNDS; r++) {
        struct fg_backend *backend = begin(FG_DECONV, r);
        const int32_t n = fg_bench_pick(&bench, 1, 3), h = fg_bench_pick(&bench, 1, 9),
                      w = fg_bench_pick(&bench, 1, 9), c = fg_bench_pick(&bench, 1, 20),
                      oc = fg_bench_pick(&bench, 1, 20);
        struct fg_step step = {.op = FG_DECONV, .relu = coin()};
        step.in[0] = values(n, h, w, c);
        step.param[0] = values(c, 2, 2, oc);
        step.param[1] = coin() ? values(1, 1, 1, oc) : NULL;
        step.out[0] = fg_bench_empty(&bench, n, 2 * h, 2 * w, oc);
        step.d_out[0] = values_like(step.out[0]);
        forward(backend, "deconv", &step, cases.direct);
        backward(backend, "deconv", step, 1, 2);
        fg_bench_close(&bench);
    }
}

void fg_case_batch_norm(void **state) {
    (void)state;
    for (uint32_t r = 0; r < 2 * ROUNDS; r++) {
        struct fg_backend *backend = begin(FG_BATCH_NORM, r);
        const int32_t n = fg_bench_pick(&bench, 1, 4), h = fg_bench_pick(&bench, 1, 17),
                      w = fg_bench_pick(&bench, 3, 17), c = fg_bench_pick(&bench, 1, 40);
        struct fg_step step = {.op = FG_BATCH_NORM, .relu = coin()};
        step.in[0] = fg_bench_values(&bench, n, h, w, c, -1, r % 2 ? 3 : 1);
        step.in[1] = coin() ? values(n, h, w, c) : NULL;
        for (int i = 0; i < 4; i++) {
            step.param[i] = fg_bench_values(&bench, 1, 1, 1, c, i == 3 ? 0.5f : -1, 2);
        }
        step.out[0] = fg_bench_empty(&bench, n, h, w, c);
        step.out[1] = fg_bench_empty(&bench, 1, 1, 2, c);
        step.d_out[0] = values(n, h, w, c);
        forward(backend, "batch norm", &step, cases.direct);
        hold(&bench, "batch norm", "running mean", false, step.param[2], cases.direct);
        hold(&bench, "batch norm", "running variance", false, step.param[3], cases.direct);
        backward(backend, "batch norm", step, 2, 2);
        fg_bench_close(&bench);
    }
}

void fg_case_max_pool(void **state) {
    (void)state;
    for (uint32_t r = 0; r < ROUNDS; r++) {
        struct fg_backend *backend = begin(FG_MAX_POOL, r);
        const int32_t n = fg_bench_pick(&bench, 1, 3), h = fg_bench_pick(&bench, 1, 12),
                      w = fg_bench_pick(&bench, 1, 12), c = fg_bench_pick(&bench, 1, 20);
        struct fg_step step = {.op = FG_MAX_POOL};
        step.in[0] = values(n, h, w, c);
        step.out[0] = fg_bench_empty(&bench, n, (h + 1) / 2, (w + 1) / 2, c);
        step.d_out[0] = values_like(step.out[0]);
        forward(backend, "max pool", &step, 0);
        backward(backend, "max pool", step, 1, 0);
        fg_bench_close(&bench);
    }
}

void fg_case_concat(void **state) {
    (void)state;
    for (uint32_t r = 0; r < ROUNDS; r++) {
        struct fg_backend *backend = begin(FG_CONCAT, r);
        const int32_t n = fg_bench_pick(&bench, 1, 3), h = fg_bench_pick(&bench, 1, 7),
                      w = fg_bench_pick(&bench, 1, 7), inputs = fg_bench_pick(&bench, 1, 3);
        struct fg_step step = {.op = FG_CONCAT};
        int32_t channels = 0;
        for (int32_t i = 0; i < inputs; i++) {
            step.in[i] = values(n, h, w, fg_bench_pick(&bench, 1, 9));
            channels += step.in[i]->c;
        }
        step.out[0] = fg_bench_empty(&bench, n, h, w, channels);
        step.d_out[0] = values(n, h, w, channels);
        forward(backend, "concat", &step, 0);
        backward(backend, "concat", step, inputs, 0);
        fg_bench_close(&bench);
    }
}

/* Moves values until no gate's input, GN(x), is near the switch. */
static void keep_off_gate(const struct fg_step *step) {
    const struct fg_tensor *x = step->in[0];
    const int32_t size = x->c / FG_GROUP_NORM_GROUPS, positions = x->h * x->w;
    const float *gamma = fg_bench_narrow(&bench, step->param[0]),
                *beta = fg_bench_narrow(&bench, step->param[1]);
    for (int32_t i = 0; i < x->n * FG_GROUP_NORM_GROUPS; i++) {
        const int32_t group = i % FG_GROUP_NORM_GROUPS, count = positions * size;
        float *image = (float *)fg_bench_narrow(&bench, x) + i / FG_GROUP_NORM_GROUPS * positions * x->c;
        bool near = true;
        while (near) {
            double mean = 0, squares = 0;
            for (int32_t k = 0; k < count; k++) {
                const double value = (double)image[k / size * x->c + group * size + k % size];
                mean += value / count;
                squares += value * value / count;
            }
            const double inverse = 1 / sqrt(squares - mean * mean + FG_EPSILON);
            near = false;
            for (int32_t k = 0; k < count; k++) {
                const int32_t channel = group * size + k % size;
                float *value = &image[k / size * x->c + channel];
                const double norm =
                    ((double)*value - mean) * inverse * (double)gamma[channel] + (double)beta[channel];
                if (fabs(norm) < 2 * MARGIN) {
                    *value = fg_bench_draw(&bench, -1, 1);
                    near = true;
                }
            }
        }
    }
}

void fg_case_sru(void **state) {
    (void)state;
    for (uint32_t r = 0; r < 2 * ROUNDS; r++) {
        struct fg_backend *backend = begin(FG_SRU, r);
        const int32_t most = r % 6 < 4 ? 4 : 80; /* small groups, and some wider than what is kept at once */
        const int32_t n = fg_bench_pick(&bench, 1, 3), h = fg_bench_pick(&bench, 1, most == 4 ? 7 : 3),
                      w = fg_bench_pick(&bench, 1, most == 4 ? 7 : 3),
                      c = FG_GROUP_NORM_GROUPS * fg_bench_pick(&bench, 1, most);
        struct fg_step step = {.op = FG_SRU, .soft_gate = r % 2};
        step.in[0] = values(n, h, w, c);
        step.param[0] = fg_bench_values(&bench, 1, 1, 1, c, 0.5f, 1.5f);
        step.param[1] = fg_bench_values(&bench, 1, 1, 1, c, 0.1f, 0.5f);
        keep_off_gate(&step);
        for (int i = 0; i < 2; i++) {
            step.out[i] = fg_bench_empty(&bench, n, h, w, c / 2);
            step.d_out[i] = values(n, h, w, c / 2);
        }
        const char *name = step.soft_gate ? "sru, soft" : "sru, hard";
        forward(backend, name, &step, cases.direct);
        backward(backend, name, step, 1, 2);
        fg_bench_close(&bench);
    }
}

void fg_case_cru(void **state) {
    (void)state;
    for (uint32_t r = 0; r < ROUNDS; r++) {
        struct fg_backend *backend = begin(FG_CRU, r);
        const int32_t n = fg_bench_pick(&bench, 1, 3), h = fg_bench_pick(&bench, 1, 9),
                      w = fg_bench_pick(&bench, 1, 9), quarter = fg_bench_pick(&bench, 1, r % 2 ? 40 : 9);
        struct fg_step step = {.op = FG_CRU};
        step.in[0] = values(n, h, w, 4 * quarter);
        step.in[1] = values(n, h, w, 3 * quarter);
        step.in[2] = values(n, h, w, quarter);
        step.out[0] = fg_bench_empty(&bench, n, h, w, 4 * quarter);
        step.d_out[0] = values(n, h, w, 4 * quarter);
        forward(backend, "cru", &step, cases.direct);
        backward(backend, "cru", step, 3, 0);
        fg_bench_close(&bench);
    }
}

void fg_case_simam(void **state) {
    (void)state;
    for (uint32_t r = 0; r < ROUNDS; r++) {
        struct fg_backend *backend = begin(FG_SIMAM, r);
        const int32_t n = fg_bench_pick(&bench, 1, 3), h = fg_bench_pick(&bench, 1, 9),
                      w = fg_bench_pick(&bench, 2, 9), c = fg_bench_pick(&bench, 1, 70);
        struct fg_step step = {.op = FG_SIMAM};
        step.in[0] = values(n, h, w, c);
        step.out[0] = fg_bench_empty(&bench, n, h, w, c);
        step.d_out[0] = values(n, h, w, c);
        forward(backend, "simam", &step, cases.direct);
        backward(backend, "simam", step, 1, 0);
        fg_bench_close(&bench);
    }
}

void fg_case_moments(void **state) {
    (void)state;
    for (uint32_t r = 0; r < ROUNDS; r++) {
        struct fg_backend *backend = begin(FG_MOMENTS, r);
        const int32_t n = fg_bench_pick(&bench, 1, 3), h = fg_bench_pick(&bench, 1, 20),
                      w = fg_bench_pick(&bench, 1, 9), c = fg_bench_pick(&bench, 1, 70);
        struct fg_step step = {.op = FG_MOMENTS};
        step.in[0] = values(n, h, w, c);
        step.out[0] = fg_bench_empty(&bench, n, 1, 1, 2 * c);
        forward(backend, "moments", &step, cases.direct);
        fg_bench_close(&bench);
    }
}

/* With and without a draw that chooses among more pictures. */
void fg_case_normalise(void **state) {
    (void)state;
    for (uint32_t r = 0; r < ROUNDS; r++) {
        struct fg_backend *backend = begin(FG_NORMALISE, r);
        const bool drawn = coin();
        const int32_t n = fg_bench_pick(&bench, 1, 4), h = fg_bench_pick(&bench, 1, 20),
                      w = fg_bench_pick(&bench, 1, 20), pictures = drawn ? fg_bench_pick(&bench, 1, 5) : n;
        struct fg_step step = {.op = FG_NORMALISE};
        step.in[0] = fg_bench_bytes(&bench, pictures, h, w, 3);
        uint8_t *pixels = fg_bench_narrow(&bench, step.in[0]);
        for (size_t i = 0; i < fg_tensor_count(step.in[0]); i++) {
            pixels[i] = (uint8_t)fg_bench_pick(&bench, 0, 255);
        }
        if (drawn) {
            step.in[1] = fg_bench_bytes(&bench, 1, 1, 1, sizeof(struct fg_draw));
            struct fg_draw *draw = fg_bench_narrow(&bench, step.in[1]);
            for (int32_t i = 0; i < n; i++) {
                draw->image[i] = (uint32_t)fg_bench_pick(&bench, 0, pictures - 1);
            }
        }
        step.out[0] = fg_bench_empty(&bench, n, h, w, 3);
        forward(backend, "normalise", &step, 1e-5);
        fg_bench_close(&bench);
    }
}

void fg_case_mask(void **state) {
    (void)state;
    for (uint32_t r = 0; r < ROUNDS; r++) {
        struct fg_backend *backend = begin(FG_MASK, r);
        const int32_t n = fg_bench_pick(&bench, 1, 4), h = fg_bench_pick(&bench, 1, 9),
                      w = fg_bench_pick(&bench, 1, 9), c = fg_bench_pick(&bench, 1, 9);
        struct fg_step step = {.op = FG_MASK, .level = 1 + r % 3, .mask_rate = fg_bench_draw(&bench, 0, 1)};
        step.in[0] = values(n, h, w, c);
        step.in[1] = fg_bench_bytes(&bench, 1, 1, 1, sizeof(struct fg_draw));
        struct fg_draw *draw = fg_bench_narrow(&bench, step.in[1]);
        draw->seed = bench.seed;
        draw->epoch = r;
        for (int32_t i = 0; i < n; i++) {
            draw->image[i] = (uint32_t)fg_bench_pick(&bench, 0, 1000);
        }
        step.out[0] = fg_bench_empty(&bench, n, h, w, c);
        step.d_out[0] = values(n, h, w, c);
        forward(backend, "mask", &step, 0);
        backward(backend, "mask", step, 1, 0);
        fg_bench_close(&bench);
    }
}

void fg_case_cosine_and_distill(void **state) {
    (void)state;
    for (uint32_t r = 0; r < 3 * ROUNDS; r++) {
        struct fg_backend *backend = begin(FG_DISTILL, r);
        const int32_t n = fg_bench_pick(&bench, 1, 4), h = fg_bench_pick(&bench, 1, 7),
                      w = fg_bench_pick(&bench, 1, 7), c = fg_bench_pick(&bench, 1, 70);
        struct fg_step step = {.op = FG_COSINE};
        step.in[0] = values(n, h, w, c);
        step.in[1] = values(n, h, w, c);
        /* Vectors all alike have a distance of nothing but rounding: the first two differ. */
        *(float *)fg_bench_narrow(&bench, step.in[0]) = 0.5f;
        *(float *)fg_bench_narrow(&bench, step.in[1]) = -0.5f;
        step.out[0] = fg_bench_empty(&bench, n, h, w, 1);
        forward(backend, "cosine", &step, cases.direct);
        if (c == 1) { /* one number has no direction to change: so is the gradient */
            fg_bench_close(&bench);
            continue;
        }
        step.op = FG_DISTILL;
        step.global_loss = coin();
        step.out[0] = fg_bench_empty(&bench, n, 1, 1, 1);
        const char *name = step.global_loss ? "distill, global" : "distill, position";
        forward(backend, name, &step, cases.direct);
        step.pass = FG_BACKWARD;
        step.accumulate = coin() ? 2 : 0;
        step.d_in[1] = step.accumulate ? values(n, h, w, c) : fg_bench_empty(&bench, n, h, w, c);
        fg_bench_run(&bench, backend, &step);
        hold(&bench, name, "gradient", true, step.d_in[1], cases.backward);
        fg_bench_close(&bench);
    }
}

void fg_case_anomaly_map(void **state) {
    (void)state;
    for (uint32_t r = 0; r < ROUNDS; r++) {
        struct fg_backend *backend = begin(FG_ANOMALY_MAP, r);
        const int32_t n = fg_bench_pick(&bench, 1, 2), h = fg_bench_pick(&bench, 1, 40),
                      w = fg_bench_pick(&bench, 1, 40), levels = fg_bench_pick(&bench, 1, 3);
        struct fg_step step = {.op = FG_ANOMALY_MAP};
        for (int32_t i = 0; i < levels; i++) {
            step.in[i] = fg_bench_values(&bench, n, fg_bench_pick(&bench, 1, h), fg_bench_pick(&bench, 1, w),
                                         1, -0.2f, 2);
        }
        step.out[0] = fg_bench_empty(&bench, n, h, w, 1);
        step.out[1] = fg_bench_empty(&bench, n, 1, 1, 1);
        step.product = coin();
        if (coin()) {
            step.param[0] = fg_bench_values(&bench, 1, h, w, 1, 0, 2);
            step.param[1] = fg_bench_values(&bench, 1, h, w, 1, 0.5f, 2);
            step.out[2] = fg_bench_empty(&bench, n, h, w, 1);
        }
        forward(backend, step.product ? "anomaly map, product" : "anomaly map, sum", &step, cases.direct);
        fg_bench_close(&bench);
    }
}

void fg_case_adam(void **state) {
    (void)state;
    for (uint32_t r = 0; r < ROUNDS; r++) {
        struct fg_backend *backend = begin(FG_ADAM, r);
        const int32_t count = fg_bench_pick(&bench, 1, 3000);
        struct fg_step step = {.op = FG_ADAM, .decayed = (size_t)fg_bench_pick(&bench, 0, count)};
        step.in[0] = fg_bench_values(&bench, 1, 1, 1, 4, 0, 0);
        const float schedule[4] = {1e-3f, 1.8f, 90, 1e-2f};
        memcpy(fg_bench_narrow(&bench, step.in[0]), schedule, sizeof schedule);
        for (int i = 0; i < 3; i++) {
            step.param[i] = fg_bench_values(&bench, 1, 1, 1, count, i == 2 ? 0 : -1, 1);
        }
        step.d_param[0] = values(1, 1, 1, count);
        fg_bench_run(&bench, backend, &step);
        for (int i = 0; i < 3; i++) {
            hold(&bench, "adam", "parameter", false, step.param[i], cases.direct);
        }
        fg_bench_close(&bench);
    }
}

void fg_cases_open(const struct fg_cases *opened) {
    cases = *opened;
    kinds = 0;
    const char *given = getenv("FG_SEED");
    cases.seed = given ? strtoull(given, NULL, 10) : 1;
    print_message("seed %llu\n", (unsigned long long)cases.seed);
}

void fg_cases_print(void) {
    for (size_t i = 0; i < kinds; i++) {
        print_message("%-20s forward %.1e  backward %.1e\n", largest[i].name, largest[i].forward,
                      largest[i].backward);
    }
}
