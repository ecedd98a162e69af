/* The training graph as a whole: its gradients against the loss itself, and
 * that a step learns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/loop/graph.h"

#define BATCH 8

static struct fg_network network;
static struct fg_message message;
static struct fg_backend *backend;

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s", message.text);
}

struct fixture {
    struct fg_weights weights;
    struct fg_graph graph;
    struct fg_memory memory;
};

static void take_memory(const struct fg_program *program, struct fg_memory *memory) {
    memset(memory, 0, sizeof *memory);
    for (int r = 0; r < FG_SEGMENTS; r++)
        if (program->bytes[r]) {
            memory->segment[r] = aligned_alloc(FG_ALIGNMENT, fg_size_align(program->bytes[r]));
            memset(memory->segment[r], 0, fg_size_align(program->bytes[r]));
        }
}

/* pictures: BATCH, or 0 for a graph that is given features. */
static void build(struct fixture *f, struct fg_network_spec spec, const struct fg_recipe *recipe,
                  uint32_t pictures) {
    spec.height = spec.width = 64;
    spec.base = 8;
    ok(fg_network_init(&network, &spec, &message));
    ok(fg_weights_open(&f->weights, &network, &message));
    fg_weights_draw(&f->weights, 11, true);
    ok(fg_graph_training(&f->graph, &f->weights, recipe, backend, NULL, pictures, BATCH, &message));
    take_memory(f->graph.program, &f->memory);
    free(f->memory.segment[FG_SEGMENT_GRADIENTS]);
    /* Gradients of parameters that no used level needs stay zero. */
    f->memory.segment[FG_SEGMENT_GRADIENTS] = aligned_alloc(FG_ALIGNMENT, f->weights.trained);
    memset(f->memory.segment[FG_SEGMENT_GRADIENTS], 0, f->weights.trained);
    free(f->memory.segment[FG_SEGMENT_TRAINED]);
    f->memory.segment[FG_SEGMENT_TRAINED] = f->weights.block;
    fg_weights_fold(&f->weights, f->graph.frozen, FG_TEACHER, f->memory.segment[FG_SEGMENT_FROZEN]);
    uint8_t *picture = pictures ? fg_tensor_data(f->graph.pictures, &f->memory) : NULL;
    uint32_t state = 5;
    for (size_t i = 0; picture && i < fg_tensor_bytes(f->graph.pictures); i++) {
        state = state * 1664525u + 1013904223u;
        picture[i] = (uint8_t)(state >> 24);
    }
    struct fg_draw *draw = fg_tensor_data(f->graph.draw, &f->memory);
    *draw = (struct fg_draw){.seed = 3, .epoch = 1, .image = {4, 5, 6, 7, 0, 1, 2, 3}};
    ok(backend->prepare(backend, f->graph.program, &f->memory, &message));
}

static void tear_down(struct fixture *f) {
    f->memory.segment[FG_SEGMENT_TRAINED] = NULL;
    for (int r = 0; r < FG_SEGMENTS; r++)
        free(f->memory.segment[r]);
    fg_graph_close(&f->graph);
    fg_weights_close(&f->weights);
}

static double run(struct fixture *f) {
    ok(fg_backend_run(backend, f->graph.program, &f->memory, &message));
    double sum = 0;
    for (uint32_t l = 0; l < network.levels; l++) {
        const float *loss = fg_tensor_data(f->graph.loss[l], &f->memory);
        for (int i = 0; i < BATCH; i++)
            sum += loss[i];
    }
    return sum / BATCH;
}

/* SRU's gate jumps at r = 0.5, so the loss has no derivative by what comes before it. Its own backward is the
 * operator's test; here, with scconv on, only what follows is moved. */
static bool before_gate(const char *name) {
    static const char *const prefixes[] = {"bottleneck.down", "bottleneck.bn1", "bottleneck.bn2",
                                           "bottleneck.fuse", "bottleneck.bnf", "bottleneck.scconv.gn"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
            return true;
    return false;
}

/* Moves each parameter along its own gradient, both ways: the loss must change
 * by the gradient's squared length. A missing, doubled or misplaced
 * contribution anywhere behind that parameter shows. */
static void check_gradients(struct fg_network_spec spec, const struct fg_recipe *recipe, uint32_t every) {
    struct fixture f;
    build(&f, spec, recipe, BATCH);
    run(&f);
    /* The gradients of the unmoved weights: every further run writes over its own. */
    char *gradients = malloc(f.weights.trained);
    assert_non_null(gradients);
    memcpy(gradients, f.memory.segment[FG_SEGMENT_GRADIENTS], f.weights.trained);
    uint32_t checked = 0;
    double worst = 0;
    for (uint32_t p = 0; p < network.params; p++) {
        const struct fg_tensor *t = &f.weights.param[p];
        if (p % every || network.param[p].module == FG_TEACHER || t->offset >= f.weights.trained ||
            (spec.scconv && before_gate(network.param[p].name)))
            continue;
        const size_t count = fg_tensor_count(t);
        const float *gradient = (const float *)(gradients + t->offset);
        float *values = fg_weights_values(&f.weights, p);
        double square = 0;
        for (size_t i = 0; i < count; i++)
            square += (double)gradient[i] * gradient[i];
        if (square > 1e-9) {
            float *saved = malloc(count * sizeof *saved);
            memcpy(saved, values, count * sizeof *saved);
            /* A change of the loss of about 1e-4: above float32's noise, small
             * against its curvature. */
            const double h = 5e-5 / square;
            for (size_t i = 0; i < count; i++)
                values[i] = (float)(saved[i] + h * gradient[i]);
            const double up = run(&f);
            for (size_t i = 0; i < count; i++)
                values[i] = (float)(saved[i] - h * gradient[i]);
            const double down = run(&f);
            memcpy(values, saved, count * sizeof *saved);
            const double ratio = (up - down) / (2 * h * square);
            if (fabs(ratio - 1) > worst)
                worst = fabs(ratio - 1);
            if (!(fabs(ratio - 1) < 0.2))
                fail_msg("%s: the loss changes by %.3f of what the gradient says", network.param[p].name,
                         ratio);
            checked++;
            free(saved);
        }
    }
    free(gradients);
    printf("%s: %u gradients, worst deviation %.4f\n", fg_backbone_name(spec.backbone), checked, worst);
    assert_true(checked > 10);
    tear_down(&f);
}

static struct fg_network_spec full(enum fg_backbone backbone) {
    return (struct fg_network_spec){
        .backbone = backbone, .scconv = true, .simam = true, .fmm = true, .soft_gate = true, .levels = 7};
}

static void test_gradients(void **state) {
    (void)state;
    const struct fg_recipe recipe = {.mask_rate = 0.4f};
    check_gradients(full(FG_RESNET18), &recipe, 2);
    check_gradients(full(FG_RESNET50), &recipe, 7);
}

static void test_gradients_of_switches(void **state) {
    (void)state;
    const struct fg_recipe recipe = {.mask_rate = 0.4f, .global_loss = true};
    struct fg_network_spec spec = full(FG_RESNET18);
    spec.fmm = false;
    check_gradients(spec, &recipe, 3);
    spec = full(FG_RESNET18);
    spec.scconv = spec.simam = false;
    spec.levels = 6;
    check_gradients(spec, &recipe, 3);
}

/* Runs the teacher on each picture of whole, and copies what it makes to where given takes it. */
static void give_features(const struct fixture *whole, struct fixture *given) {
    struct fg_graph teacher;
    struct fg_memory memory;
    ok(fg_graph_teacher(&teacher, &network, backend, NULL, BATCH, &message));
    take_memory(teacher.program, &memory);
    for (int r = FG_SEGMENT_FROZEN; r < FG_SEGMENTS; r++)
        if (r == FG_SEGMENT_FROZEN || r == FG_SEGMENT_PICTURES)
            memcpy(memory.segment[r], whole->memory.segment[r], teacher.program->bytes[r]);
    ok(backend->prepare(backend, teacher.program, &memory, &message));
    const struct fg_draw *of = fg_tensor_data(given->graph.draw, &given->memory);
    for (uint32_t i = 0; i < BATCH; i++) {
        struct fg_draw *draw = fg_tensor_data(teacher.draw, &memory);
        draw->image[0] = of->image[i];
        ok(fg_backend_run(backend, teacher.program, &memory, &message));
        for (uint32_t l = 0; l < network.levels; l++) {
            const size_t bytes = fg_tensor_bytes(teacher.target[l]);
            memcpy((char *)fg_tensor_data(given->graph.target[l], &given->memory) + i * bytes,
                   fg_tensor_data(teacher.target[l], &memory), bytes);
        }
    }
    for (int r = 0; r < FG_SEGMENTS; r++)
        free(memory.segment[r]);
    fg_graph_close(&teacher);
}

/* A step that is given the features that the teacher's program makes does what one with a teacher does. The
 * features of one picture may be rounded otherwise than those of a batch, and gates jump. */
static void check_given(struct fg_network_spec spec) {
    const struct fg_recipe recipe = {.mask_rate = 0.4f, .global_loss = true};
    struct fixture whole, given;
    build(&whole, spec, &recipe, BATCH);
    build(&given, spec, &recipe, 0);
    assert_null(given.graph.pictures);
    give_features(&whole, &given);
    const double expected = run(&whole), loss = run(&given);
    assert_true(fabs(loss - expected) < 1e-5 * expected);
    const float *a = whole.memory.segment[FG_SEGMENT_GRADIENTS],
                *b = given.memory.segment[FG_SEGMENT_GRADIENTS];
    double both = 0, first = 0, second = 0;
    for (size_t i = 0; i < whole.weights.trained / sizeof *a; i++) {
        both += (double)a[i] * (double)b[i];
        first += (double)a[i] * (double)a[i];
        second += (double)b[i] * (double)b[i];
    }
    printf("loss %.6f and %.6f, cosine of the gradients %.6f\n", expected, loss, both / sqrt(first * second));
    assert_true(first > 0 && both > 0.99 * sqrt(first * second));
    tear_down(&given);
    tear_down(&whole);
}

static void test_features_are_given(void **state) {
    (void)state;
    check_given(full(FG_RESNET18));
    struct fg_network_spec spec = full(FG_RESNET50);
    spec.levels = 5;
    check_given(spec);
}

/* Says whether a program reads a folded parameter. */
static bool reads(const struct fg_graph *graph, const char *name) {
    const struct fg_tensor *weight = graph->frozen[fg_network_find(&network, name)];
    bool found = false;
    for (uint32_t i = 0; i < graph->program->steps; i++)
        found = found || graph->program->step[i].param[0] == weight;
    return found;
}

/* The scene takes all of the teacher; training leaves out what lies behind the last used level. */
static void test_teacher_as_far_as_used(void **state) {
    (void)state;
    struct fg_network_spec spec = full(FG_RESNET18);
    spec.levels = 1;
    struct fixture f;
    build(&f, spec, &(struct fg_recipe){.mask_rate = 0.4f}, BATCH);
    assert_true(reads(&f.graph, "teacher.layer1.1.conv2.weight"));
    assert_false(reads(&f.graph, "teacher.layer2.0.conv1.weight"));
    tear_down(&f);
}

int main(void) {
    if (fg_cpu_open(2, 1, &backend, &message) != FG_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_teacher_as_far_as_used),
        cmocka_unit_test(test_gradients_of_switches),
        cmocka_unit_test(test_features_are_given),
    };
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    backend->close(backend);
    return result;
}
