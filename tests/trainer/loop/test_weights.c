/* Weights: the initial draw's spread, where each section lies, and that folding a batch norm changes no
 * output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/loop/weights.h"

static struct fg_network network;
static struct fg_weights weights;
static struct fg_message message;
static struct fg_backend *backend;

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s", message.text);
}

static int set_up(void **state) {
    (void)state;
    const struct fg_network_spec spec = {.backbone = FG_RESNET50,
                                         .height = 64,
                                         .width = 64,
                                         .base = 8,
                                         .scconv = true,
                                         .simam = true,
                                         .fmm = true,
                                         .levels = 7};
    return fg_network_init(&network, &spec, &message) != FG_OK ||
           fg_weights_open(&weights, &network, &message) != FG_OK ||
           fg_cpu_open(2, 1, &backend, &message) != FG_OK;
}

static int tear_down(void **state) {
    (void)state;
    fg_weights_close(&weights);
    backend->close(backend);
    return 0;
}

/* runtime/network/network.h, section 7: std sqrt(2 / (n0 kh kw)), n0 the stored tensor's first dimension. */
static void test_draw(void **state) {
    (void)state;
    fg_weights_draw(&weights, 4, true);
    uint32_t checked = 0;
    for (uint32_t i = 0; i < network.params; i++) {
        const struct fg_param *p = &network.param[i];
        const size_t count = fg_tensor_count(&weights.param[i]);
        const float *values = fg_weights_values(&weights, i);
        if (p->kind != FG_PARAM_CONV || count < 5000)
            continue;
        double sum = 0, squares = 0;
        for (size_t k = 0; k < count; k++) {
            sum += (double)values[k];
            squares += (double)values[k] * (double)values[k];
        }
        const double expected = sqrt(2.0 / (p->shape[0] * p->shape[2] * p->shape[3]));
        /* Five standard errors of so many draws. */
        const double error = 5 / sqrt((double)count);
        if (fabs(sqrt(squares / (double)count) / expected - 1) > error ||
            fabs(sum / (double)count) > error * expected)
            fail_msg("%s: deviation %g, expected %g", p->name, sqrt(squares / (double)count), expected);
        checked++;
    }
    assert_true(checked > 20);
}

static void test_sections(void **state) {
    (void)state;
    for (uint32_t i = 0; i < network.params; i++) {
        const struct fg_param *p = &network.param[i];
        const size_t at = weights.param[i].offset;
        const bool teacher = p->module == FG_TEACHER,
                   moving = p->kind == FG_PARAM_BN_MEAN || p->kind == FG_PARAM_BN_VAR;
        assert_int_equal(at < weights.decayed, !teacher && p->kind == FG_PARAM_CONV);
        assert_int_equal(at < weights.trained, !teacher && !moving);
        assert_int_equal(at < weights.moving, !teacher);
        for (uint32_t k = 0; k < i; k++) {
            const size_t other = weights.param[k].offset;
            assert_true(at + fg_tensor_bytes(&weights.param[i]) <= other ||
                        other + fg_tensor_bytes(&weights.param[k]) <= at);
        }
    }
}

static void fill(float *values, size_t count, uint32_t seed, float low, float high) {
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = low + (high - low) * (float)(seed >> 8) * 0x1p-24f;
    }
}

/* One convolution on drawn input, by the backend. */
static void convolve(const struct fg_node *node, const struct fg_tensor *weight, const struct fg_tensor *bias,
                     void *frozen, float *x, float *y) {
    const struct fg_value *in = &network.value[node->in[0]], *out = &network.value[node->out[0]];
    struct fg_tensor tx = {
        .dtype = FG_F32, .n = 1, .h = in->h, .w = in->w, .c = in->c, .segment = FG_SEGMENT_ACTIVATIONS};
    struct fg_tensor ty = {
        .dtype = FG_F32, .n = 1, .h = out->h, .w = out->w, .c = out->c, .segment = FG_SEGMENT_IO};
    struct fg_step step = {.op = node->op,
                           .stride = node->stride,
                           .groups = node->groups,
                           .in = {&tx},
                           .param = {weight, bias},
                           .out = {&ty}};
    const struct fg_kernel *kernel = &backend->kernel[node->op];
    struct fg_memory memory = {.segment = {[FG_SEGMENT_ACTIVATIONS] = x, [FG_SEGMENT_IO] = y}};
    memory.segment[weight->segment] = frozen;
    step.workspace_bytes = fg_size_align(kernel->workspace ? kernel->workspace(backend, &step) : 0);
    void *workspace = aligned_alloc(FG_ALIGNMENT, step.workspace_bytes + FG_ALIGNMENT);
    memory.segment[FG_SEGMENT_WORKSPACE] = workspace;
    ok(fg_backend_run(backend, &(struct fg_program){.step = &step, .steps = 1, .lanes = 1}, &memory,
                      &message));
    free(workspace);
}

/* y = gamma (conv(x) - mean) / sqrt(var + eps) + beta, channel by channel, against the folded convolution. */
static void check_fold(const struct fg_node *node, struct fg_tensor *const *folded, void *segment) {
    const struct fg_value *in = &network.value[node->in[0]], *out = &network.value[node->out[0]];
    const size_t inputs = (size_t)in->h * (size_t)in->w * (size_t)in->c,
                 outputs = (size_t)out->h * (size_t)out->w * (size_t)out->c, channels = (size_t)out->c;
    float *x = aligned_alloc(FG_ALIGNMENT, fg_size_align(inputs * 4)),
          *plain = aligned_alloc(FG_ALIGNMENT, fg_size_align(outputs * 4)),
          *y = aligned_alloc(FG_ALIGNMENT, fg_size_align(outputs * 4));
    fill(x, inputs, 9, -1, 1);
    const uint32_t w = (uint32_t)node->weight, bn = (uint32_t)node->bn;
    convolve(node, &weights.param[w], NULL, weights.block, x, plain);
    convolve(node, folded[w], folded[bn + 1], segment, x, y);
    double largest = 0, difference = 0;
    for (size_t i = 0; i < outputs; i++) {
        const size_t k = i % channels;
        const double scale = (double)fg_weights_values(&weights, bn)[k] /
                             sqrt((double)fg_weights_values(&weights, bn + 3)[k] + FG_EPSILON);
        const double expected = scale * ((double)plain[i] - (double)fg_weights_values(&weights, bn + 2)[k]) +
                                (double)fg_weights_values(&weights, bn + 1)[k];
        largest = fmax(largest, fabs(expected));
        difference = fmax(difference, fabs(expected - (double)y[i]));
    }
    if (!(difference <= 4e-5 * largest)) /* two convolutions of the CPU's, either of which may be Winograd */
        fail_msg("%s: folded it differs by %g of %g", network.param[w].name, difference, largest);
    free(x);
    free(plain);
    free(y);
}

static void test_fold(void **state) {
    (void)state;
    fg_weights_draw(&weights, 4, true);
    for (uint32_t i = 0; i < network.params; i++) {
        const enum fg_param_kind kind = network.param[i].kind;
        if (kind == FG_PARAM_BN_WEIGHT || kind == FG_PARAM_BN_VAR)
            fill(fg_weights_values(&weights, i), fg_tensor_count(&weights.param[i]), i, 0.5f, 2);
        else if (kind == FG_PARAM_BN_BIAS || kind == FG_PARAM_BN_MEAN)
            fill(fg_weights_values(&weights, i), fg_tensor_count(&weights.param[i]), i, -1, 1);
    }
    struct fg_plan *plan;
    struct fg_forward forward;
    ok(fg_plan_open(FG_FORWARD_TENSORS, 1, 1, &plan, &message));
    ok(fg_forward_begin(&forward, plan, &network, 1, FG_F32, NULL, &message));
    size_t bytes = 0;
    for (uint32_t i = 0; i < network.params; i++)
        if (forward.frozen[i])
            bytes = forward.frozen[i]->offset + fg_size_align(fg_tensor_bytes(forward.frozen[i]));
    void *segment = aligned_alloc(FG_ALIGNMENT, bytes);
    fg_weights_fold(&weights, forward.frozen, -1, segment);

    /* Trained weights outside FROZEN: the convolution transforms them at each run. */
    static struct fg_tensor copy[FG_NETWORK_PARAMS];
    struct fg_tensor *folded[FG_NETWORK_PARAMS];
    for (uint32_t i = 0; i < network.params; i++)
        if (forward.frozen[i]) {
            copy[i] = *forward.frozen[i];
            copy[i].segment = FG_SEGMENT_TRAINED;
            folded[i] = &copy[i];
        }
    uint32_t checked = 0, transposed = 0;
    for (uint32_t n = 0; n < network.nodes; n++)
        if (network.node[n].bn >= 0) {
            check_fold(&network.node[n], folded, segment);
            transposed += network.node[n].op == FG_DECONV;
            checked++;
        }
    printf("%u convolutions folded, of them %u transposed\n", checked, transposed);
    assert_true(transposed == 6 && checked > 90);
    free(segment);
    fg_plan_close(plan);
}

/* Exports hold the folded weights of every name, those that no used level needs too. */
static void test_every_batch_norm_is_folded(void **state) {
    (void)state;
    static struct fg_network some;
    for (uint32_t levels = 1; levels <= 7; levels++) {
        struct fg_network_spec spec = network.spec;
        spec.levels = levels;
        ok(fg_network_init(&some, &spec, &message));
        uint32_t norms = 0;
        for (uint32_t i = 0; i < some.params; i++) {
            if (some.param[i].kind != FG_PARAM_BN_VAR)
                continue;
            norms++;
            bool found = false;
            for (uint32_t k = 0; k < some.folds; k++)
                found = found || some.fold[k].bn + 3 == i;
            if (!found)
                fail_msg("levels %u: %s is folded into nothing", levels, some.param[i].name);
        }
        assert_int_equal(norms, some.folds);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_draw),
        cmocka_unit_test(test_sections),
        cmocka_unit_test(test_every_batch_norm_is_folded),
        cmocka_unit_test(test_fold),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
