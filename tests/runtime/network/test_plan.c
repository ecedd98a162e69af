/* The planner: plans of every backbone run in random legal orders, with memory
 * poisoned as soon as its tensor is dead, and give what a plain run gives; and
 * the height of plans against the floor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/network/inference.h"
#include "trainer/loop/graph.h"

static struct fg_network network;
static struct fg_message message;

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s", message.text);
}

static void build_network(enum fg_backbone backbone, int32_t base, int32_t height, int32_t width) {
    ok(fg_network_init(&network,
                       &(struct fg_network_spec){.backbone = backbone,
                                                 .height = height,
                                                 .width = width,
                                                 .base = base,
                                                 .scconv = true,
                                                 .simam = true,
                                                 .fmm = true,
                                                 .levels = 7},
                       &message));
}

static struct fg_memory take_memory(const struct fg_program *program) {
    struct fg_memory memory = {{NULL}};
    for (int r = 0; r < FG_SEGMENTS; r++)
        if (program->bytes[r] && r != FG_SEGMENT_FRAME) {
            memory.segment[r] = aligned_alloc(FG_ALIGNMENT, fg_size_align(program->bytes[r]));
            assert_non_null(memory.segment[r]);
            memset(memory.segment[r], 0, program->bytes[r]);
        }
    return memory;
}

static void free_memory(struct fg_memory *memory) {
    for (int r = 0; r < FG_SEGMENTS; r++)
        if (r != FG_SEGMENT_FRAME)
            free(memory->segment[r]);
}

static uint32_t draw_state;

static uint32_t draw(uint32_t below) {
    draw_state = draw_state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)draw_state * below >> 32);
}

static void fill_weights(const struct fg_memory *memory, const struct fg_program *program) {
    float *w = memory->segment[FG_SEGMENT_FROZEN];
    draw_state = 7;
    for (size_t i = 0; i < program->bytes[FG_SEGMENT_FROZEN] / sizeof *w; i++)
        w[i] = ((float)draw(2001) - 1000) / 6000;
}

/* Every activation that a step touches, each once. */
static uint32_t touched(const struct fg_step *step, const struct fg_tensor *list[32]) {
    const struct fg_tensor *const *groups[] = {step->in, step->out, step->d_in, step->d_out};
    const int sizes[] = {FG_MAX_IN, FG_MAX_OUT, FG_MAX_IN, FG_MAX_OUT};
    uint32_t count = 0;
    for (int g = 0; g < 4; g++)
        for (int i = 0; i < sizes[g]; i++) {
            const struct fg_tensor *t = groups[g][i];
            bool known = !t || t->segment != FG_SEGMENT_ACTIVATIONS;
            for (uint32_t k = 0; k < count && !known; k++)
                known = list[k] == t;
            if (!known)
                list[count++] = t;
        }
    return count;
}

static uint32_t uses_left(const struct fg_program *program, const bool *done,
                          const struct fg_tensor *tensor) {
    uint32_t left = 0;
    for (uint32_t s = 0; s < program->steps; s++) {
        const struct fg_tensor *list[32];
        uint32_t count = touched(&program->step[s], list);
        for (uint32_t i = 0; i < count && !done[s]; i++)
            left += list[i] == tensor;
    }
    return left;
}

static void poison(void *memory, size_t bytes) {
    memset(memory, 0xff, bytes); /* every float a NaN */
}

/* Runs all steps in a random order that keeps lanes and waits; what nobody will
 * read again turns into NaN. */
static void run_randomly(struct fg_backend *backend, const struct fg_program *program,
                         const struct fg_memory *memory, uint32_t seed) {
    bool *done = calloc(program->steps, sizeof *done);
    draw_state = seed;
    poison(memory->segment[FG_SEGMENT_ACTIVATIONS], program->bytes[FG_SEGMENT_ACTIVATIONS]);
    for (uint32_t ran = 0; ran < program->steps; ran++) {
        uint32_t ready[FG_MAX_LANES], count = 0;
        for (uint32_t lane = 0; lane < program->lanes; lane++) {
            uint32_t s = 0;
            while (s < program->steps && (done[s] || program->step[s].lane != lane))
                s++;
            bool may = s < program->steps;
            for (uint32_t i = 0; may && i < program->step[s].waits; i++)
                may = done[program->step[s].wait[i]];
            if (may)
                ready[count++] = s;
        }
        assert_true(count > 0);
        const uint32_t s = ready[draw(count)];
        const struct fg_step *step = &program->step[s];
        if (step->workspace_bytes)
            poison((char *)memory->segment[FG_SEGMENT_WORKSPACE] + step->workspace, step->workspace_bytes);
        const struct fg_kernel *kernel = &backend->kernel[step->op];
        ok((step->pass == FG_FORWARD ? kernel->forward : kernel->backward)(backend, step, memory, &message));
        done[s] = true;
        const struct fg_tensor *list[32];
        const uint32_t tensors = touched(step, list);
        for (uint32_t i = 0; i < tensors; i++)
            if (!uses_left(program, done, list[i]))
                poison(fg_tensor_data(list[i], memory), fg_tensor_bytes(list[i]));
    }
    free(done);
}

static void test_random_orders(void **state) {
    (void)state;
    static const uint32_t lanes[] = {1, 3};
    for (int backbone = 0; backbone < FG_BACKBONES; backbone++) {
        build_network((enum fg_backbone)backbone, 4, 64, 96);
        for (int k = 0; k < 2; k++) {
            struct fg_backend *backend;
            ok(fg_cpu_open(1, lanes[k], &backend, &message));
            struct fg_inference inference;
            ok(fg_inference_open(&inference, &network, NULL, backend, 1, network.spec.height,
                                 network.spec.width, &message));
            struct fg_memory memory = take_memory(inference.program);
            fill_weights(&memory, inference.program);
            const int32_t height = network.spec.height, width = network.spec.width;
            uint8_t picture[64 * 96 * 3];
            for (size_t i = 0; i < sizeof picture; i++)
                picture[i] = (uint8_t)draw(256);
            fg_inference_set_frame(&inference, &memory,
                                   &(struct fg_frame){.pixels = picture,
                                                      .width = width,
                                                      .height = height,
                                                      .format = FG_RGB8,
                                                      .pitch = (size_t)width * 3});
            ok(backend->prepare(backend, inference.program, &memory, &message));
            ok(fg_backend_run(backend, inference.program, &memory, &message));

            const size_t bytes = fg_tensor_bytes(inference.anomaly.map);
            float *expected = malloc(bytes);
            memcpy(expected, fg_tensor_data(inference.anomaly.map, &memory), bytes);
            for (size_t i = 0; i < bytes / sizeof *expected; i++)
                assert_true(expected[i] == expected[i]);
            for (uint32_t seed = 1; seed <= 8; seed++) {
                memset(fg_tensor_data(inference.anomaly.map, &memory), 0, bytes);
                run_randomly(backend, inference.program, &memory, seed);
                assert_memory_equal(expected, fg_tensor_data(inference.anomaly.map, &memory), bytes);
            }
            free(expected);
            free_memory(&memory);
            fg_inference_close(&inference);
            backend->close(backend);
        }
    }
}

/* Forward and backward: the gradients with everything dead poisoned equal those
 * of a plain run. */
static void test_training_reuse(void **state) {
    (void)state;
    struct fg_backend *backend;
    ok(fg_cpu_open(2, 1, &backend, &message));
    for (int backbone = 0; backbone < FG_BACKBONES; backbone++) {
        build_network((enum fg_backbone)backbone, 4, 64, 64);
        struct fg_weights weights;
        ok(fg_weights_open(&weights, &network, &message));
        fg_weights_draw(&weights, 3, true);
        struct fg_graph graph;
        ok(fg_graph_training(&graph, &weights, &(struct fg_recipe){.mask_rate = 0.4f}, backend, NULL, 3, 3,
                             &message));
        struct fg_memory memory = take_memory(graph.program);
        memcpy(memory.segment[FG_SEGMENT_TRAINED], weights.block, graph.program->bytes[FG_SEGMENT_TRAINED]);
        fg_weights_fold(&weights, graph.frozen, FG_TEACHER, memory.segment[FG_SEGMENT_FROZEN]);
        uint8_t *picture = fg_tensor_data(graph.pictures, &memory);
        for (size_t i = 0; i < fg_tensor_bytes(graph.pictures); i++)
            picture[i] = (uint8_t)draw(256);
        struct fg_draw *drawn = fg_tensor_data(graph.draw, &memory);
        *drawn = (struct fg_draw){.seed = 1, .image = {2, 0, 1}};
        ok(backend->prepare(backend, graph.program, &memory, &message));
        ok(fg_backend_run(backend, graph.program, &memory, &message));
        const size_t bytes = graph.program->bytes[FG_SEGMENT_GRADIENTS];
        void *expected = malloc(bytes);
        memcpy(expected, memory.segment[FG_SEGMENT_GRADIENTS], bytes);
        run_randomly(backend, graph.program, &memory, 1);
        assert_memory_equal(expected, memory.segment[FG_SEGMENT_GRADIENTS], bytes);
        free(expected);
        free_memory(&memory);
        fg_graph_close(&graph);
        fg_weights_close(&weights);
    }
    backend->close(backend);
}

static void compare_height(const char *what, enum fg_backbone backbone, const struct fg_plan_report *report) {
    printf("%s %s: %.1f MiB planned, floor %.1f MiB, ratio %.3f\n", fg_backbone_name(backbone), what,
           (double)report->planned / 1048576, (double)report->live_peak / 1048576,
           (double)report->planned / (double)report->live_peak);
    assert_true((double)report->planned <= 1.1 * (double)report->live_peak);
    assert_true(report->planned >= report->live_peak);
}

static void test_height(void **state) {
    (void)state;
    struct fg_backend *backend;
    ok(fg_cpu_open(2, 1, &backend, &message));
    for (int backbone = 0; backbone < FG_BACKBONES; backbone++) {
        build_network((enum fg_backbone)backbone, 64, 256, 256);
        struct fg_inference inference;
        ok(fg_inference_open(&inference, &network, NULL, backend, 1, network.spec.height, network.spec.width,
                             &message));
        compare_height("inference", (enum fg_backbone)backbone, &inference.report);
        fg_inference_close(&inference);
        struct fg_weights weights;
        ok(fg_weights_open(&weights, &network, &message));
        struct fg_graph graph;
        ok(fg_graph_training(&graph, &weights, &(struct fg_recipe){.mask_rate = 0.4f}, backend, NULL, 16, 16,
                             &message));
        compare_height("training, batch 16", (enum fg_backbone)backbone, &graph.report);
        fg_graph_close(&graph);
        fg_weights_close(&weights);
    }
    backend->close(backend);
}

/* What has no room is not written behind the arrays, and the plan is refused, with asserts and without. */
static void test_no_room(void **state) {
    (void)state;
    struct fg_backend *backend;
    ok(fg_cpu_open(1, 1, &backend, &message));
    for (uint32_t added = 2; added <= 6; added++) {
        struct fg_plan *plan;
        ok(fg_plan_open(4, 4, 1, &plan, &message));
        for (uint32_t i = 0; i < added; i++) {
            const struct fg_tensor *x = fg_plan_tensor(plan, FG_SEGMENT_ACTIVATIONS, FG_F32, 1, 8, 8, 4);
            assert_non_null(fg_plan_step(plan, &(struct fg_step){.op = FG_SIMAM, .in = {x}, .out = {x}}, 0));
        }
        const struct fg_program *program;
        struct fg_plan_report report;
        message.text[0] = 0;
        assert_int_equal(fg_plan_finish(plan, backend, &program, &report, &message),
                         added > 4 ? FG_USAGE : FG_OK);
        assert_int_equal(strstr(message.text, "4 tensors and 4 steps") != NULL, added > 4);
        fg_plan_close(plan);
    }
    backend->close(backend);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_orders),
        cmocka_unit_test(test_training_reuse),
        cmocka_unit_test(test_height),
        cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
