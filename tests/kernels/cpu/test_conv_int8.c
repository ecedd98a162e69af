/* Convolutions with weights of 8 bits against the reference, with 1, 2 and 3 threads that give the same bits:
 * every kind of input, residual and output; and what a backend must refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/reference/bench.h"

#define ROUNDS 400
#define BACKENDS 3
#define CHOICE(LIST) (LIST)[fg_bench_pick(&bench, 0, (int32_t)(sizeof(LIST) / sizeof *(LIST)) - 1)]

enum kind { ABSENT, FLOAT, BYTES };

static const int32_t zeros[] = {0, 3, 128, 255};
static struct fg_backend *backends[BACKENDS];
static struct fg_bench bench;

/* A step, with the float32 tensor that its output is before it is quantised. */
struct trial {
    struct fg_step step;
    const struct fg_tensor *exact;
};

/* A tensor of either kind, quantised so that its values are about -2 to 2. */
static const struct fg_tensor *draw(enum kind kind, int32_t n, int32_t h, int32_t w, int32_t c) {
    const struct fg_tensor *t = kind == FLOAT ? fg_bench_values(&bench, n, h, w, c, -2, 2)
                                              : fg_bench_whole(&bench, FG_U8, n, h, w, c, 0, 255);
    fg_bench_quantise(&bench, t, fg_bench_draw(&bench, 0.005f, 0.02f), CHOICE(zeros));
    return t;
}

static const struct fg_tensor *draw_row(int32_t count, float low, float high) {
    const struct fg_tensor *t = fg_bench_values(&bench, 1, 1, 1, count, low, high);
    fg_bench_freeze(&bench, t);
    return t;
}

static struct trial make(struct fg_step step, const struct fg_tensor *weight, int32_t channels, int32_t h,
                         int32_t w, enum kind in, enum kind residual, enum kind out) {
    const int32_t n = fg_bench_pick(&bench, 1, 2);
    const bool transposed = step.op == FG_DECONV;
    const int32_t c = transposed ? weight->n : weight->c * step.groups;
    const int32_t oh = transposed ? 2 * h : (h - 1) / step.stride + 1,
                  ow = transposed ? 2 * w : (w - 1) / step.stride + 1;
    /* A sum has about the square root of its terms. */
    const float size = 0.01f / sqrtf((float)(weight->h * weight->w * c));
    fg_bench_freeze(&bench, weight);
    step.relu = fg_bench_pick(&bench, 0, 1);
    step.in[0] = draw(in, n, h, w, c);
    if (residual != ABSENT)
        step.in[1] = draw(residual, n, oh, ow, channels);
    step.param[0] = weight;
    step.param[1] = fg_bench_pick(&bench, 0, 3) ? draw_row(channels, -1, 1) : NULL;
    step.param[2] = draw_row(channels, size / 4, size);
    step.out[0] = draw(out, n, oh, ow, channels);
    return (struct trial){step, fg_bench_empty(&bench, n, oh, ow, channels)};
}

/* Looks whether an element is the right one: where the exact value lies on a rounding edge, that beside it is
 * as good. */
static void hold_element(const struct fg_tensor *t, size_t i, int got, int reference, double exact) {
    const double quotient = exact / (double)t->scale + t->zero, edge = fabs(quotient - floor(quotient) - 0.5);
    if (got != reference && !(abs(got - reference) == 1 && edge < 1e-3))
        fail_msg("element %zu is %d instead of %d, exactly %g", i, got, reference, quotient);
}

static void hold_output(const struct trial *t) {
    const struct fg_tensor *out = t->step.out[0], *residual = t->step.in[1], *bias = t->step.param[1];
    const double *exact = fg_bench_wide(&bench, t->exact);
    for (size_t i = 0; i < fg_tensor_count(out); i++) {
        if (out->dtype == FG_U8) {
            hold_element(out, i, ((const uint8_t *)fg_bench_narrow(&bench, out))[i],
                         ((const uint8_t *)fg_bench_wide(&bench, out))[i], exact[i]);
            continue;
        }
        const float got = ((const float *)fg_bench_narrow(&bench, out))[i];
        double size = fabs(exact[i]);
        size += bias ? 2 * fabs(fg_bench_wide(&bench, bias)[i % (size_t)out->c]) : 0;
        size += residual && residual->dtype == FG_F32 ? 2 * fabs(fg_bench_wide(&bench, residual)[i]) : 0;
        size += residual && residual->dtype == FG_U8 ? 2 * 255 * (double)residual->scale : 0;
        if (!(fabs((double)got - exact[i]) <= 1e-6 * size))
            fail_msg("value %zu is %.9g instead of %.9g", i, (double)got, exact[i]);
    }
}

/* Runs on every backend; the output's bits are the same on all. */
static void hold(const struct trial *t) {
    const struct fg_tensor *out = t->step.out[0];
    const size_t bytes = fg_tensor_bytes(out);
    void *first = malloc(bytes);
    assert_non_null(first);
    struct fg_step exact = t->step;
    exact.out[0] = t->exact;
    for (int b = 0; b < BACKENDS; b++) {
        memset(fg_bench_narrow(&bench, out), 0x55, bytes);
        fg_bench_run(&bench, backends[b], &t->step);
        fg_bench_run_reference(&bench, &exact);
        hold_output(t);
        if (b == 0)
            memcpy(first, fg_bench_narrow(&bench, out), bytes);
        assert_memory_equal(first, fg_bench_narrow(&bench, out), bytes);
    }
    free(first);
}

static void test_conv(void **state) {
    (void)state;
    static const int32_t kernels[] = {1, 1, 3, 3, 3, 7}, channels[] = {4, 8, 12, 20, 64},
                         outputs[] = {1, 4, 13, 32, 66, 130};
    for (int r = 0; r < ROUNDS; r++) {
        fg_bench_open(&bench, (uint64_t)r);
        const int32_t kernel = CHOICE(kernels), stride = kernel == 7 ? 2 : fg_bench_pick(&bench, 1, 2),
                      groups = fg_bench_pick(&bench, 1, 2), gc = kernel == 7 ? 4 : CHOICE(channels),
                      goc = CHOICE(outputs), side = kernel == 3 && gc == 64 ? 7 : 15,
                      h = fg_bench_pick(&bench, 1, side), w = fg_bench_pick(&bench, 1, side);
        const struct fg_tensor *weight =
            fg_bench_whole(&bench, FG_I8, groups * goc, kernel, kernel, gc, -127, 127);
        const struct trial t = make(
            (struct fg_step){.op = FG_CONV, .stride = stride, .groups = groups}, weight, groups * goc, h, w,
            (enum kind)fg_bench_pick(&bench, FLOAT, BYTES), (enum kind)fg_bench_pick(&bench, ABSENT, BYTES),
            (enum kind)fg_bench_pick(&bench, FLOAT, BYTES));
        hold(&t);
        fg_bench_close(&bench);
    }
}

static void test_deconv(void **state) {
    (void)state;
    static const int32_t channels[] = {4, 8, 12, 20, 64}, outputs[] = {1, 4, 13, 32, 66};
    for (int r = 0; r < ROUNDS / 4; r++) {
        fg_bench_open(&bench, 1000 + (uint64_t)r);
        const int32_t outs = CHOICE(outputs), h = fg_bench_pick(&bench, 1, 9),
                      w = fg_bench_pick(&bench, 1, 9);
        const struct fg_tensor *weight =
            fg_bench_whole(&bench, FG_I8, CHOICE(channels), 2, 2, outs, -127, 127);
        const struct trial t = make((struct fg_step){.op = FG_DECONV}, weight, outs, h, w,
                                    (enum kind)fg_bench_pick(&bench, FLOAT, BYTES), ABSENT,
                                    (enum kind)fg_bench_pick(&bench, FLOAT, BYTES));
        hold(&t);
        fg_bench_close(&bench);
    }
}

/* The greatest sums that there are: no product of bytes may be cut off. */
static void test_extremes(void **state) {
    (void)state;
    for (int r = 0; r < 8; r++) {
        fg_bench_open(&bench, 2000 + (uint64_t)r);
        const int32_t value = r & 1 ? 127 : -127;
        const struct fg_tensor *weight = fg_bench_whole(&bench, FG_I8, 33, 3, 3, 64, value, value);
        struct trial t = make((struct fg_step){.op = FG_CONV, .stride = 1, .groups = 1}, weight, 33, 5, 5,
                              BYTES, ABSENT, r & 2 ? BYTES : FLOAT);
        memset(fg_bench_narrow(&bench, t.step.in[0]), 255, fg_tensor_bytes(t.step.in[0]));
        fg_bench_quantise(&bench, t.step.in[0], 0.01f, r & 4 ? 255 : 0);
        hold(&t);
        fg_bench_close(&bench);
    }
}

/* Every quotient of an input lies on a rounding edge, or beyond the elements' ends. */
static void test_edges(void **state) {
    (void)state;
    fg_bench_open(&bench, 3000);
    const struct fg_tensor *weight = fg_bench_whole(&bench, FG_I8, 8, 1, 1, 4, 1, 1);
    struct trial t = make((struct fg_step){.op = FG_CONV, .stride = 1, .groups = 1}, weight, 8, 16, 16, FLOAT,
                          ABSENT, FLOAT);
    float *x = fg_bench_narrow(&bench, t.step.in[0]);
    fg_bench_quantise(&bench, t.step.in[0], 0.25f, 128);
    for (size_t i = 0; i < fg_tensor_count(t.step.in[0]); i++)
        x[i] = 0.25f * ((float)(i % 300) - 150.5f);
    x[0] = INFINITY;
    x[1] = -INFINITY;
    x[2] = 3e38f;
    x[3] = NAN; /* the least element */
    hold(&t);
    fg_bench_close(&bench);
}

/* What is no finite number would be lost in bytes. */
static void test_no_numbers(void **state) {
    (void)state;
    static const struct {
        int param;
        float value;
    } wrong[] = {{1, NAN}, {1, INFINITY}, {2, NAN}, {2, -INFINITY}, {2, 3e38f}};
    for (size_t i = 0; i < 2 * (sizeof wrong / sizeof *wrong); i++) {
        fg_bench_open(&bench, 4000);
        const bool transposed = i & 1;
        const struct fg_tensor *weight = transposed ? fg_bench_whole(&bench, FG_I8, 4, 2, 2, 8, -127, 127)
                                                    : fg_bench_whole(&bench, FG_I8, 8, 3, 3, 4, -127, 127);
        struct trial t =
            make((struct fg_step){.op = transposed ? FG_DECONV : FG_CONV, .stride = 1, .groups = 1}, weight,
                 8, 3, 3, BYTES, ABSENT, BYTES);
        t.step.param[1] = draw_row(8, -1, 1);
        fg_bench_quantise(&bench, t.step.in[0], 20, 3);
        ((float *)fg_bench_narrow(&bench, t.step.param[wrong[i / 2].param]))[5] = wrong[i / 2].value;
        const struct fg_kernel *kernel = &backends[0]->kernel[t.step.op];
        struct fg_memory memory = bench.narrow_memory;
        t.step.prepared_bytes = kernel->prepared(backends[0], &t.step);
        memory.segment[FG_SEGMENT_PREPARED] = aligned_alloc(FG_ALIGNMENT, t.step.prepared_bytes);
        struct fg_message message;
        assert_int_equal(kernel->prepare(backends[0], &t.step, &memory, &message), FG_INPUT);
        assert_non_null(strstr(message.text, "output channel 5"));
        free(memory.segment[FG_SEGMENT_PREPARED]);
        fg_bench_close(&bench);
    }
}

static void test_refused(void **state) {
    (void)state;
    fg_bench_open(&bench, 5000);
    const struct fg_tensor *weight = fg_bench_whole(&bench, FG_I8, 8, 3, 3, 4, -127, 127);
    const struct fg_step good =
        make((struct fg_step){.op = FG_CONV, .stride = 1, .groups = 1}, weight, 8, 3, 3, BYTES, BYTES, BYTES)
            .step;
    const struct fg_backend *b = backends[0];
    const struct fg_kernel *kernel = &b->kernel[FG_CONV];
    assert_true(kernel->supports(b, &good));
    struct fg_step step = good;
    step.pass = FG_BACKWARD;
    assert_false(kernel->supports(b, &step));
    step = good;
    step.param[2] = NULL;
    assert_false(kernel->supports(b, &step));
    for (int operand = 0; operand < 3; operand++) {
        step = good;
        const struct fg_tensor **t = operand == 0 ? &step.in[0] : operand == 1 ? &step.in[1] : &step.out[0];
        struct fg_tensor plain = **t;
        plain.scale = 0;
        *t = &plain;
        assert_false(kernel->supports(b, &step));
        plain.dtype = FG_F32; /* only the input must be quantised */
        assert_int_equal(kernel->supports(b, &step), operand > 0);
    }
    step = good;
    struct fg_tensor trained = *weight;
    trained.segment = FG_SEGMENT_TRAINED;
    step.param[0] = &trained;
    assert_false(kernel->supports(b, &step));
    step = good;
    struct fg_tensor x = *good.in[0], six = *weight;
    x.c = six.c = 6;
    step.in[0] = &x;
    step.param[0] = &six;
    assert_false(kernel->supports(b, &step));
    fg_bench_close(&bench);
}

static void test_way(void **state) {
    (void)state;
    fg_bench_open(&bench, 6000);
    const struct fg_tensor *weight = fg_bench_whole(&bench, FG_I8, 8, 3, 3, 4, -127, 127),
                           *transposed = fg_bench_whole(&bench, FG_I8, 4, 2, 2, 8, -127, 127);
    const struct fg_step
        conv = make((struct fg_step){.op = FG_CONV, .stride = 2, .groups = 2}, weight, 8, 5, 7, BYTES, ABSENT,
                    BYTES)
                   .step,
        deconv = make((struct fg_step){.op = FG_DECONV}, transposed, 8, 5, 7, FLOAT, ABSENT, FLOAT).step;
    const struct fg_way way = backends[0]->kernel[FG_CONV].way(backends[0], &conv),
                        other = backends[0]->kernel[FG_DECONV].way(backends[0], &deconv);
    assert_string_equal(way.name, "int8");
    assert_true(way.multiply_adds == conv.out[0]->n * 3 * 4 * 8 * 9 * 4);
    assert_string_equal(other.name, "int8");
    assert_true(other.multiply_adds == deconv.in[0]->n * 5 * 7 * 4 * 4 * 8);
    fg_bench_close(&bench);
}

static int open_backends(void **state) {
    (void)state;
    for (uint32_t b = 0; b < BACKENDS; b++)
        if (fg_cpu_open(b + 1, 1, &backends[b], NULL) != FG_OK)
            return -1;
    print_message("%s\n", backends[0]->version);
    return 0;
}

static int close_backends(void **state) {
    (void)state;
    for (int b = 0; b < BACKENDS; b++)
        backends[b]->close(backends[b]);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv),  cmocka_unit_test(test_deconv),     cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_edges), cmocka_unit_test(test_no_numbers), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_way),
    };
    return cmocka_run_group_tests(tests, open_backends, close_backends);
}
