/* A NaN in any input or parameter reaches an operator's output on the CPU, everywhere it does on the
 * reference: from there it reaches the score, and the part is not called good. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/reference/bench.h"

#define DRAWS 8 /* places tried in each operand */

static struct fg_backend *cpu;
static struct fg_bench bench;

static const struct fg_tensor *values(int32_t n, int32_t h, int32_t w, int32_t c) {
    return fg_bench_values(&bench, n, h, w, c, 0.25f, 1);
}

/* All outputs: on the CPU NaN wherever the reference has it, and somewhere. */
static void check_outputs(const struct fg_step *step, const char *what, int operand) {
    bool reached = false;
    for (int i = 0; i < FG_MAX_OUT; i++) {
        for (size_t k = 0; step->out[i] && k < fg_tensor_count(step->out[i]); k++) {
            const bool expected = isnan(fg_bench_wide(&bench, step->out[i])[k]);
            const bool found = isnan(((const float *)fg_bench_narrow(&bench, step->out[i]))[k]);
            reached = reached || found;
            if (expected && !found) {
                fail_msg("operator %d: NaN in %s %d does not reach element %zu of output %d", step->op, what,
                         operand, k, i);
            }
        }
    }
    if (!reached) {
        fail_msg("operator %d: NaN in %s %d is lost", step->op, what, operand);
    }
}

static void try_operand(const struct fg_step *step, const struct fg_tensor *t, const char *what,
                        int operand) {
    if (!t || t->dtype != FG_F32) {
        return;
    }
    float *value = fg_bench_narrow(&bench, t);
    for (int i = 0; i < DRAWS; i++) {
        const int32_t place = fg_bench_pick(&bench, 0, (int32_t)fg_tensor_count(t) - 1);
        const float kept = value[place];
        value[place] = NAN;
        fg_bench_run(&bench, cpu, step);
        value[place] = kept;
        check_outputs(step, what, operand);
    }
}

static void check(const struct fg_step *step) {
    for (int i = 0; i < FG_MAX_IN; i++) {
        try_operand(step, step->in[i], "input", i);
    }
    /* Batch norm's running mean and variance are written here, not read for the output. */
    for (int i = 0; i < (step->op == FG_BATCH_NORM ? 2 : FG_MAX_PARAM); i++) {
        try_operand(step, step->param[i], "parameter", i);
    }
    fg_bench_close(&bench);
}

static void conv(void **state) {
    (void)state;
    for (int32_t variant = 0; variant < 8; variant++) {
        const int32_t kernel = variant % 2 ? 3 : 1, side = variant < 4 ? 5 : 16, c = variant < 4 ? 3 : 20;
        fg_bench_open(&bench, (uint64_t)variant);
        struct fg_step step = {.op = FG_CONV, .stride = 1, .groups = 1, .relu = variant / 2 % 2};
        step.in[0] = values(1, side, side, c);
        step.in[1] = values(1, side, side, c);
        step.param[0] = values(c, kernel, kernel, c);
        step.param[1] = values(1, 1, 1, c);
        step.out[0] = fg_bench_empty(&bench, 1, side, side, c);
        check(&step);
    }
}

static void deconv_and_batch_norm(void **state) {
    (void)state;
    fg_bench_open(&bench, 1);
    struct fg_step step = {.op = FG_DECONV, .relu = true};
    step.in[0] = values(2, 3, 4, 5);
    step.param[0] = values(5, 2, 2, 6);
    step.param[1] = values(1, 1, 1, 6);
    step.out[0] = fg_bench_empty(&bench, 2, 6, 8, 6);
    check(&step);

    fg_bench_open(&bench, 2);
    step = (struct fg_step){.op = FG_BATCH_NORM, .relu = true};
    step.in[0] = values(2, 5, 4, 9);
    step.in[1] = values(2, 5, 4, 9);
    for (int i = 0; i < 4; i++) {
        step.param[i] = values(1, 1, 1, 9);
    }
    step.out[0] = fg_bench_empty(&bench, 2, 5, 4, 9);
    step.out[1] = fg_bench_empty(&bench, 1, 1, 2, 9);
    check(&step);
}

static void max_pool_concat_and_mask(void **state) {
    (void)state;
    fg_bench_open(&bench, 1);
    struct fg_step step = {.op = FG_MAX_POOL};
    step.in[0] = values(1, 7, 8, 17);
    step.out[0] = fg_bench_empty(&bench, 1, 4, 4, 17);
    check(&step);

    fg_bench_open(&bench, 2);
    step = (struct fg_step){.op = FG_CONCAT};
    for (int i = 0; i < 3; i++) {
        step.in[i] = values(1, 3, 3, 2);
    }
    step.out[0] = fg_bench_empty(&bench, 1, 3, 3, 6);
    check(&step);

    fg_bench_open(&bench, 3);
    step = (struct fg_step){.op = FG_MASK, .level = 1, .mask_rate = 0};
    step.in[0] = values(1, 3, 3, 2);
    step.in[1] = fg_bench_bytes(&bench, 1, 1, 1, sizeof(struct fg_draw));
    step.out[0] = fg_bench_empty(&bench, 1, 3, 3, 2);
    check(&step);
}

static void attention(void **state) {
    (void)state;
    for (int soft = 0; soft < 2; soft++) {
        fg_bench_open(&bench, (uint64_t)soft);
        struct fg_step step = {.op = FG_SRU, .soft_gate = soft};
        step.in[0] = values(2, 3, 3, 32);
        step.param[0] = values(1, 1, 1, 32);
        step.param[1] = values(1, 1, 1, 32);
        step.out[0] = fg_bench_empty(&bench, 2, 3, 3, 16);
        step.out[1] = fg_bench_empty(&bench, 2, 3, 3, 16);
        check(&step);
    }
    fg_bench_open(&bench, 2);
    struct fg_step step = {.op = FG_CRU};
    step.in[0] = values(1, 3, 3, 8);
    step.in[1] = values(1, 3, 3, 6);
    step.in[2] = values(1, 3, 3, 2);
    step.out[0] = fg_bench_empty(&bench, 1, 3, 3, 8);
    check(&step);

    fg_bench_open(&bench, 3);
    step = (struct fg_step){.op = FG_SIMAM};
    step.in[0] = values(1, 3, 3, 4);
    step.out[0] = fg_bench_empty(&bench, 1, 3, 3, 4);
    check(&step);

    fg_bench_open(&bench, 4);
    step = (struct fg_step){.op = FG_MOMENTS};
    step.in[0] = values(1, 3, 3, 4);
    step.out[0] = fg_bench_empty(&bench, 1, 1, 1, 8);
    check(&step);
}

static void loss_map_and_score(void **state) {
    (void)state;
    for (int global = 0; global < 3; global++) { /* 2: COSINE */
        fg_bench_open(&bench, (uint64_t)global);
        struct fg_step step = {.op = global == 2 ? FG_COSINE : FG_DISTILL, .global_loss = global == 1};
        step.in[0] = values(2, 3, 3, 37);
        step.in[1] = values(2, 3, 3, 37);
        step.out[0] = global == 2 ? fg_bench_empty(&bench, 2, 3, 3, 1) : fg_bench_empty(&bench, 2, 1, 1, 1);
        check(&step);
    }
    for (int form = 0; form < 4; form++) { /* sum and product, each alone and by place */
        fg_bench_open(&bench, 3);
        struct fg_step step = {.op = FG_ANOMALY_MAP, .product = form % 2};
        for (int32_t i = 0; i < 3; i++) {
            step.in[i] = values(1, 9 >> i, 9 >> i, 1);
        }
        step.out[0] = fg_bench_empty(&bench, 1, 70, 70, 1);
        step.out[1] = fg_bench_empty(&bench, 1, 1, 1, 1);
        if (form >= 2) {
            step.out[2] = fg_bench_empty(&bench, 1, 70, 70, 1);
            step.param[0] = fg_bench_values(&bench, 1, 70, 70, 1, 0, 1);
            step.param[1] = fg_bench_values(&bench, 1, 70, 70, 1, 1, 2);
        }
        check(&step);
    }
}

/* An infinite value is no score either. */
static void an_infinite_map_has_no_finite_score(void **state) {
    (void)state;
    fg_bench_open(&bench, 1);
    struct fg_step step = {.op = FG_ANOMALY_MAP};
    step.in[0] = values(1, 4, 4, 1);
    step.out[0] = fg_bench_empty(&bench, 1, 20, 20, 1);
    step.out[1] = fg_bench_empty(&bench, 1, 1, 1, 1);
    for (int sign = -1; sign <= 1; sign += 2) {
        ((float *)fg_bench_narrow(&bench, step.in[0]))[5] = sign < 0 ? -INFINITY : INFINITY;
        fg_bench_run(&bench, cpu, &step);
        assert_true(!isfinite(*(const float *)fg_bench_narrow(&bench, step.out[1])));
    }
    fg_bench_close(&bench);
}

static int open_backend(void **state) {
    (void)state;
    return fg_cpu_open(2, 1, &cpu, NULL) == FG_OK ? 0 : -1;
}

static int close_backend(void **state) {
    (void)state;
    cpu->close(cpu);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv),
        cmocka_unit_test(deconv_and_batch_norm),
        cmocka_unit_test(max_pool_concat_and_mask),
        cmocka_unit_test(attention),
        cmocka_unit_test(loss_map_and_score),
        cmocka_unit_test(an_infinite_map_has_no_finite_score),
    };
    return cmocka_run_group_tests(tests, open_backend, close_backend);
}
