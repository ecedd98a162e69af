/* The reference backend's backward against central differences of its own forward. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/reference/bench.h"

#define SEED 20240601
#define STEP 1e-5  /* step of a difference; switches stay farther away */
#define BOUND 1e-6 /* bound of the largest difference */
#define PLACES 40  /* elements tried in each tensor */

/* sum of out * d_out, whose gradient by any input is what backward gives. DISTILL has no d_out: its gradient
 * is that of the mean over images. */
static double objective(const struct fg_bench *bench, const struct fg_step *step) {
    fg_bench_run_reference(bench, step);
    double sum = 0;
    for (int i = 0; i < FG_MAX_OUT; i++) {
        for (size_t k = 0; step->out[i] && k < fg_tensor_count(step->out[i]); k++) {
            const double mean = step->op == FG_DISTILL ? 1.0 / step->out[i]->n : 0;
            const double weight = step->d_out[i] ? fg_bench_wide(bench, step->d_out[i])[k] : mean;
            sum += weight * fg_bench_wide(bench, step->out[i])[k];
        }
    }
    return sum;
}

static void check_one(struct fg_bench *bench, const struct fg_step *step, const struct fg_tensor *input,
                      const struct fg_tensor *gradient) {
    double *value = fg_bench_wide(bench, input);
    const double *given = fg_bench_wide(bench, gradient);
    double error = 0, largest = 0;
    for (int i = 0; i < PLACES; i++) {
        const int32_t k = fg_bench_pick(bench, 0, (int32_t)fg_tensor_count(input) - 1);
        const double kept = value[k];
        value[k] = kept + STEP;
        const double above = objective(bench, step);
        value[k] = kept - STEP;
        const double difference = (above - objective(bench, step)) / (2 * STEP);
        value[k] = kept;
        error = fmax(error, fabs(given[k] - difference));
        largest = fmax(largest, fabs(difference));
    }
    if (!(largest > 0 && error <= BOUND * largest)) {
        fail_msg("error %g of %g, seed %llu", error, largest, (unsigned long long)bench->seed);
    }
}

/* Gives every value operand a gradient tensor, runs both passes and tries each. */
static void check(struct fg_bench *bench, struct fg_step step, int ins, int params) {
    for (int i = 0; i < ins; i++) {
        const struct fg_tensor *t = step.in[i];
        if (t && !(step.op == FG_DISTILL && i == 0)) { /* the teacher is frozen */
            step.d_in[i] = fg_bench_empty(bench, t->n, t->h, t->w, t->c);
        }
    }
    for (int i = 0; i < params; i++) {
        const struct fg_tensor *t = step.param[i];
        step.d_param[i] = t ? fg_bench_empty(bench, t->n, t->h, t->w, t->c) : NULL;
    }
    for (int i = 0; i < FG_MAX_OUT; i++) {
        const struct fg_tensor *t = step.out[i];
        const bool statistics = step.op == FG_BATCH_NORM && i == 1;
        if (t && !statistics && step.op != FG_DISTILL) {
            step.d_out[i] = fg_bench_values(bench, t->n, t->h, t->w, t->c, -1, 1);
        }
    }
    fg_bench_widen(bench);
    fg_bench_run_reference(bench, &step);
    step.pass = FG_BACKWARD;
    fg_bench_run_reference(bench, &step);
    step.pass = FG_FORWARD;
    for (int i = 0; i < FG_MAX_IN; i++) {
        if (step.d_in[i]) {
            check_one(bench, &step, step.in[i], step.d_in[i]);
        }
    }
    for (int i = 0; i < params; i++) {
        if (step.d_param[i] && !(step.op == FG_SRU && !step.soft_gate)) { /* written as zero */
            check_one(bench, &step, step.param[i], step.d_param[i]);
        }
    }
    fg_bench_close(bench);
}

static void conv(void **state) {
    (void)state;
    for (int32_t variant = 0; variant < 8; variant++) {
        struct fg_bench b;
        fg_bench_open(&b, SEED + (uint64_t)variant);
        const int32_t stride = 1 + variant % 2, groups = 1 + variant / 2 % 2, kernel = variant < 4 ? 3 : 1;
        const int32_t h = 5, w = 4, oh = (h - 1) / stride + 1, ow = (w - 1) / stride + 1;
        struct fg_step step = {.op = FG_CONV, .stride = stride, .groups = groups, .relu = variant % 3 == 0};
        step.in[0] = fg_bench_values(&b, 2, h, w, 4, -1, 1);
        step.in[1] = fg_bench_values(&b, 2, oh, ow, 6, -1, 1);
        step.param[0] = fg_bench_values(&b, 6, kernel, kernel, 4 / groups, -1, 1);
        step.param[1] = fg_bench_values(&b, 1, 1, 1, 6, -1, 1);
        step.out[0] = fg_bench_empty(&b, 2, oh, ow, 6);
        check(&b, step, 2, 2);
    }
}

static void deconv(void **state) {
    (void)state;
    for (int relu = 0; relu < 2; relu++) {
        struct fg_bench b;
        fg_bench_open(&b, SEED);
        struct fg_step step = {.op = FG_DECONV, .relu = relu};
        step.in[0] = fg_bench_values(&b, 2, 3, 2, 5, -1, 1);
        step.param[0] = fg_bench_values(&b, 5, 2, 2, 3, -1, 1);
        step.param[1] = fg_bench_values(&b, 1, 1, 1, 3, -1, 1);
        step.out[0] = fg_bench_empty(&b, 2, 6, 4, 3);
        check(&b, step, 1, 2);
    }
}

static void batch_norm(void **state) {
    (void)state;
    for (int relu = 0; relu < 2; relu++) {
        struct fg_bench b;
        fg_bench_open(&b, SEED);
        struct fg_step step = {.op = FG_BATCH_NORM, .relu = relu};
        step.in[0] = fg_bench_values(&b, 3, 3, 2, 5, -1, 2);
        step.in[1] = fg_bench_values(&b, 3, 3, 2, 5, -1, 1);
        for (int i = 0; i < 4; i++) {
            step.param[i] = fg_bench_values(&b, 1, 1, 1, 5, 0.5f, 1.5f);
        }
        step.out[0] = fg_bench_empty(&b, 3, 3, 2, 5);
        step.out[1] = fg_bench_empty(&b, 1, 1, 2, 5);
        check(&b, step, 2, 2);
    }
}

static void max_pool_and_mask(void **state) {
    (void)state;
    struct fg_bench b;
    fg_bench_open(&b, SEED);
    struct fg_step step = {.op = FG_MAX_POOL};
    step.in[0] = fg_bench_values(&b, 2, 7, 6, 3, -1, 1);
    step.out[0] = fg_bench_empty(&b, 2, 4, 3, 3);
    check(&b, step, 1, 0);

    fg_bench_open(&b, SEED);
    step = (struct fg_step){.op = FG_MASK, .mask_rate = 0.4f, .level = 2};
    step.in[0] = fg_bench_values(&b, 2, 7, 6, 3, -1, 1);
    step.in[1] = fg_bench_bytes(&b, 1, 1, 1, sizeof(struct fg_draw));
    step.out[0] = fg_bench_empty(&b, 2, 7, 6, 3);
    check(&b, step, 1, 0);
}

static void concat(void **state) {
    (void)state;
    struct fg_bench b;
    fg_bench_open(&b, SEED);
    struct fg_step step = {.op = FG_CONCAT};
    int32_t channels = 0;
    for (int32_t i = 0; i < 3; channels += 2 + i, i++) {
        step.in[i] = fg_bench_values(&b, 2, 3, 2, 2 + i, -1, 1);
    }
    step.out[0] = fg_bench_empty(&b, 2, 3, 2, channels);
    check(&b, step, 3, 0);
}

static void sru(void **state) {
    (void)state;
    for (int soft = 0; soft < 2; soft++) {
        struct fg_bench b;
        fg_bench_open(&b, SEED);
        struct fg_step step = {.op = FG_SRU, .soft_gate = soft};
        step.in[0] = fg_bench_values(&b, 2, 3, 2, 32, -1, 1);
        step.param[0] = fg_bench_values(&b, 1, 1, 1, 32, 0.5f, 1.5f);
        step.param[1] = fg_bench_values(&b, 1, 1, 1, 32, -0.5f, 0.5f);
        step.out[0] = fg_bench_empty(&b, 2, 3, 2, 16);
        step.out[1] = fg_bench_empty(&b, 2, 3, 2, 16);
        check(&b, step, 1, 2);
    }
}

static void cru_and_simam(void **state) {
    (void)state;
    struct fg_bench b;
    fg_bench_open(&b, SEED);
    struct fg_step step = {.op = FG_CRU};
    step.in[0] = fg_bench_values(&b, 2, 3, 2, 8, -1, 1);
    step.in[1] = fg_bench_values(&b, 2, 3, 2, 6, -1, 1);
    step.in[2] = fg_bench_values(&b, 2, 3, 2, 2, -1, 1);
    step.out[0] = fg_bench_empty(&b, 2, 3, 2, 8);
    check(&b, step, 3, 0);

    fg_bench_open(&b, SEED);
    step = (struct fg_step){.op = FG_SIMAM};
    step.in[0] = fg_bench_values(&b, 2, 3, 2, 4, -1, 1);
    step.out[0] = fg_bench_empty(&b, 2, 3, 2, 4);
    check(&b, step, 1, 0);
}

static void distill(void **state) {
    (void)state;
    for (int global = 0; global < 2; global++) {
        struct fg_bench b;
        fg_bench_open(&b, SEED);
        struct fg_step step = {.op = FG_DISTILL, .global_loss = global};
        step.in[0] = fg_bench_values(&b, 2, 3, 2, 6, -1, 1);
        step.in[1] = fg_bench_values(&b, 2, 3, 2, 6, -1, 1);
        step.out[0] = fg_bench_empty(&b, 2, 1, 1, 1);
        check(&b, step, 2, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv),          cmocka_unit_test(deconv),
        cmocka_unit_test(batch_norm),    cmocka_unit_test(max_pool_and_mask),
        cmocka_unit_test(concat),        cmocka_unit_test(sru),
        cmocka_unit_test(cru_and_simam), cmocka_unit_test(distill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
