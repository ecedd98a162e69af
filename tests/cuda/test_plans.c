/* Every cuDNN graph that the engine and the trainer build becomes a real execution plan for every target,
 * from a description of the device: no GPU and no driver. What this shows: cuDNN has an engine for each, with
 * our layouts, types and arithmetic, in the workspace that is planned; kept plans open again, and only on
 * their own device. What it does not: numbers and speed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/cuda/host/context.h"
#include "runtime/base/clock.h"
#include "runtime/network/inference.h"
#include "trainer/loop/graph.h"

#define SIDE 256
#define BATCH 16
#define MOST_GRAPHS 1024
#define JUDGING ((size_t)64 << 20) /* bytes of workspace */
#define TRAINING ((size_t)256 << 20)

/* ---- The targets ---- */

/* Values from public tables, not read from devices; cuDNN wants all of these. */
static const struct target {
    const char *name;
    int version, processors, shared, blocks, threads, clock, memory_clock, l2;
    long long memory;
} targets[] = {
    {"Orin", 870, 16, 166912, 16, 1536, 1300000, 612000, 4194304, 64348573696},
    {"NVIDIA GeForce RTX 4090", 890, 128, 101376, 24, 1536, 2520000, 10501000, 75497472, 25393692672},
    {"NVIDIA H100 80GB HBM3", 900, 132, 232448, 32, 2048, 1980000, 2619000, 52428800, 85045018624},
    {"NVIDIA H200", 900, 132, 232448, 32, 2048, 1980000, 3201000, 62914560, 150754820096},
};
#define TARGETS (sizeof targets / sizeof *targets)

static void describe(const struct target *t, char *json, size_t size) {
    snprintf(
        json, size,
        "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],\"regsPerBlock\":65536,"
        "\"multiProcessorCount\":%d,\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,"
        "\"maxSharedMemoryPerBlockOptin\":%d,\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":"
        "65536,"
        "\"maxCtasPerSM\":%d,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":%d,\"pciDeviceId\":0,"
        "\"isTccDriver\":0,\"supportCoopLaunch\":1,\"totalGlobalMem\":%lld,\"smClockRateKHz\":%d,"
        "\"memClockRateKHz\":%d,\"l2CacheSize\":%d,\"cudaDeviceId\":0,\"deviceVer\":%d,\"driverVer\":13000,"
        "\"deviceName\":\"%s\"}",
        t->processors, t->shared, t->blocks, t->threads, t->memory, t->clock, t->memory_clock, t->l2,
        t->version, t->name);
}

static struct fg_cudnn_target open_target(const struct target *t) {
    char json[1024];
    struct fg_cudnn_target target = {NULL, NULL};
    describe(t, json, sizeof json);
    assert_int_equal(cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &target.description),
                     0);
    assert_int_equal(cudnnBackendSetAttribute(target.description, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                              CUDNN_TYPE_CHAR, (int64_t)strlen(json), json),
                     0);
    assert_int_equal(cudnnBackendFinalize(target.description), 0);
    return target;
}

/* ---- The graphs ---- */

/* Once each; the step is a copy, its tensors too. */
static struct graph {
    char text[FG_CUDNN_TEXT];
    struct fg_step step;
    struct fg_tensor tensor[6];
    enum fg_cudnn_kind kind;
    size_t workspace;
} graphs[MOST_GRAPHS];
static uint32_t count;
static struct fg_message message;

static const struct fg_tensor *copy(struct graph *g, int i, const struct fg_tensor *t) {
    if (!t)
        return NULL;
    g->tensor[i] = *t;
    return &g->tensor[i];
}

static void add_graph(const struct fg_step *step, enum fg_cudnn_kind kind, size_t workspace) {
    char text[FG_CUDNN_TEXT];
    fg_cudnn_describe(step, kind, text);
    for (uint32_t i = 0; i < count; i++)
        if (!strcmp(graphs[i].text, text) && graphs[i].workspace == workspace)
            return;
    assert_true(count < MOST_GRAPHS);
    struct graph *g = &graphs[count++];
    *g = (struct graph){.step = *step, .kind = kind, .workspace = workspace};
    memcpy(g->text, text, sizeof text);
    g->step.in[0] = copy(g, 0, step->in[0]);
    g->step.in[1] = copy(g, 1, step->in[1]);
    g->step.param[0] = copy(g, 2, step->param[0]);
    g->step.param[1] = copy(g, 3, step->param[1]);
    g->step.out[0] = copy(g, 4, step->out[0]);
}

static void add_graphs(const struct fg_program *program, size_t workspace) {
    for (uint32_t s = 0; s < program->steps; s++) {
        const struct fg_step *step = &program->step[s];
        if (step->op != FG_CONV && step->op != FG_DECONV)
            continue;
        if (step->pass == FG_FORWARD)
            add_graph(step, FG_CUDNN_FORWARD, workspace);
        if (step->pass == FG_BACKWARD && step->d_in[0])
            add_graph(step, FG_CUDNN_DATA, workspace);
        if (step->pass == FG_BACKWARD && step->d_param[0])
            add_graph(step, FG_CUDNN_FILTER, workspace);
    }
}

/* A backend to plan with, that runs nothing. */
static bool anything(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    (void)step;
    return true;
}

static enum fg_status nothing(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *why) {
    (void)backend;
    (void)step;
    (void)memory;
    (void)why;
    return FG_USAGE;
}

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s", message.text);
}

static void add_backbone(enum fg_backbone backbone, const struct fg_backend *backend) {
    static struct fg_network network;
    static struct fg_inference inference;
    static struct fg_graph graph;
    const struct fg_recipe recipe = {.mask_rate = 0.4f};
    const struct fg_network_spec spec = {.backbone = backbone,
                                         .height = SIDE,
                                         .width = SIDE,
                                         .base = 64,
                                         .scconv = true,
                                         .simam = true,
                                         .fmm = true,
                                         .levels = 7};
    ok(fg_network_init(&network, &spec, &message));
    for (int32_t batch = 1; batch <= BATCH; batch += BATCH - 1) {
        ok(fg_inference_open(&inference, &network, NULL, backend, batch, SIDE, SIDE, &message));
        add_graphs(inference.program, JUDGING);
        fg_inference_close(&inference);
    }
    struct fg_weights weights;
    ok(fg_weights_open(&weights, &network, &message));
    ok(fg_graph_training(&graph, &weights, &recipe, backend, NULL, BATCH, BATCH, &message));
    add_graphs(graph.program, TRAINING);
    fg_graph_close(&graph);
    for (int32_t batch = 1; batch <= BATCH; batch += BATCH - 1) {
        ok(fg_graph_validation(&graph, &network, &recipe, backend, NULL, BATCH, batch, &message));
        add_graphs(graph.program, TRAINING);
        fg_graph_close(&graph);
    }
    fg_weights_close(&weights);
}

/* ---- The tests ---- */

/* The first engine that works, as the backend takes where there is no time to measure. */
static enum fg_status make_plan(const struct graph *g, const struct fg_cudnn_target *target,
                                struct fg_cudnn_plan *plan) {
    struct fg_cudnn_graph graph;
    struct fg_cudnn_candidates candidates;
    enum fg_status status = fg_cudnn_graph_open(&g->step, g->kind, target, &graph, &message);
    if (status != FG_OK)
        return status;
    status = fg_fail(&message, FG_USAGE, "no engine is offered");
    for (int offer = 0; offer < FG_CUDNN_OFFERS && status == FG_USAGE; offer++) {
        if (fg_cudnn_candidates_open(&graph, (enum fg_cudnn_offer)offer, FG_CUDNN_FAST, g->workspace, target,
                                     &candidates, &message) != FG_OK)
            break;
        for (uint32_t i = 0; i < candidates.count && status == FG_USAGE; i++)
            status = fg_cudnn_plan_open(&candidates, i, target, g->workspace, plan, &message);
        fg_cudnn_candidates_close(&candidates);
    }
    fg_cudnn_graph_close(&graph);
    return status;
}

static void test_every_graph_finalises(void **state) {
    const struct target *t = *state;
    struct fg_cudnn_target target = open_target(t);
    size_t largest = 0;
    uint32_t missing = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct fg_cudnn_plan plan;
        if (make_plan(&graphs[i], &target, &plan) != FG_OK) {
            print_error("%s: %s: %s\n", t->name, graphs[i].text, message.text);
            missing++;
            continue;
        }
        assert_true(plan.workspace <= graphs[i].workspace);
        largest = plan.workspace > largest ? plan.workspace : largest;
        fg_cudnn_plan_close(&plan);
    }
    print_message("%s: %u of %u graphs have a plan, largest workspace %zu bytes\n", t->name, count - missing,
                  count, largest);
    assert_int_equal(missing, 0);
    cudnnBackendDestroyDescriptor(target.description);
}

/* True float32, which the GPU's check compares with the CPU: cuDNN has an engine for each graph. */
static void test_exact_engines(void **state) {
    (void)state;
    for (size_t t = 0; t < TARGETS; t++) {
        struct fg_cudnn_target target = open_target(&targets[t]);
        for (uint32_t i = 0; i < count; i++) {
            if (graphs[i].step.in[0]->dtype != FG_F32)
                continue;
            struct fg_cudnn_graph graph;
            uint32_t offered = 0;
            ok(fg_cudnn_graph_open(&graphs[i].step, graphs[i].kind, &target, &graph, &message));
            for (int offer = 0; offer < FG_CUDNN_OFFERS && !offered; offer++) {
                struct fg_cudnn_candidates candidates;
                ok(fg_cudnn_candidates_open(&graph, (enum fg_cudnn_offer)offer, FG_CUDNN_EXACT, TRAINING,
                                            &target, &candidates, &message));
                offered = candidates.count;
                fg_cudnn_candidates_close(&candidates);
            }
            fg_cudnn_graph_close(&graph);
            if (!offered)
                fail_msg("%s: %s: no engine with true float32", targets[t].name, graphs[i].text);
        }
        cudnnBackendDestroyDescriptor(target.description);
    }
}

/* A compiled plan (its kernel is in the text) and a precompiled one. */
static void test_kept_plans(void **state) {
    (void)state;
    struct fg_cudnn_target orin = open_target(&targets[0]), desktop = open_target(&targets[1]);
    uint32_t compiled = 0, precompiled = 0;
    for (uint32_t i = 0; i < count && (!compiled || !precompiled); i++) {
        struct fg_cudnn_plan plan, again;
        char *text = NULL, *back = NULL;
        ok(make_plan(&graphs[i], &orin, &plan));
        ok(fg_cudnn_plan_write(&plan, &text, &message));
        const size_t length = strlen(text);
        uint32_t *kind = length > 20000 ? &compiled : &precompiled;
        if (!*kind) {
            ok(fg_cudnn_plan_read(text, &orin, graphs[i].workspace, &again, &message));
            assert_int_equal(again.workspace, plan.workspace);
            ok(fg_cudnn_plan_write(&again, &back, &message));
            assert_string_equal(back, text);
            fg_cudnn_plan_close(&again);
            assert_int_equal(fg_cudnn_plan_read(text, &desktop, graphs[i].workspace, &again, &message),
                             FG_USAGE);
            if (plan.workspace)
                assert_int_equal(fg_cudnn_plan_read(text, &orin, plan.workspace - 1, &again, &message),
                                 FG_USAGE);
            text[length / 2] = 0;
            assert_int_not_equal(fg_cudnn_plan_read(text, &orin, graphs[i].workspace, &again, &message),
                                 FG_OK);
            (*kind)++;
        }
        free(back);
        free(text);
        fg_cudnn_plan_close(&plan);
    }
    assert_true(compiled && precompiled);
    cudnnBackendDestroyDescriptor(orin.description);
    cudnnBackendDestroyDescriptor(desktop.description);
}

/* The file of choices: what was written is found again; other facts, a flipped bit or a cut file are no file.
 */
static void test_kept_file(void **state) {
    (void)state;
    struct fg_cudnn_target orin = open_target(&targets[0]);
    struct fg_cuda_choice choice[2];
    char path[] = "/tmp/flawgate-engines-XXXXXX", *text = NULL;
    memset(choice, 0, sizeof choice);
    close(mkstemp(path));
    for (int i = 0; i < 2; i++) {
        memcpy(choice[i].text, graphs[i].text, sizeof choice[i].text);
        choice[i].relu_apart = i;
        ok(make_plan(&graphs[i], &orin, &choice[i].plan));
    }
    fg_cuda_kept_write(path, "these facts", choice, 2);
    struct fg_cuda_kept *kept = fg_cuda_kept_read(path, "these facts");
    assert_non_null(kept);
    for (int i = 0; i < 2; i++) {
        ok(fg_cudnn_plan_write(&choice[i].plan, &text, &message));
        bool apart = !i;
        assert_string_equal(fg_cuda_kept_find(kept, choice[i].text, &apart), text);
        assert_int_equal(apart, i);
        free(text);
        fg_cudnn_plan_close(&choice[i].plan);
    }
    bool apart;
    assert_null(fg_cuda_kept_find(kept, "another graph", &apart));
    fg_cuda_kept_free(kept);
    assert_null(fg_cuda_kept_read(path, "other facts"));
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    const long size = ftell(file);
    for (long at = 0; at < size; at += 1 + size / 200) {
        fseek(file, at, SEEK_SET);
        const int byte = getc(file);
        fseek(file, at, SEEK_SET);
        putc(byte ^ 1, file);
        fflush(file);
        assert_null(fg_cuda_kept_read(path, "these facts"));
        fseek(file, at, SEEK_SET);
        putc(byte, file);
        fflush(file);
    }
    kept = fg_cuda_kept_read(path, "these facts");
    assert_non_null(kept);
    fg_cuda_kept_free(kept);
    assert_int_equal(ftruncate(fileno(file), size - 1), 0);
    assert_null(fg_cuda_kept_read(path, "these facts"));
    fclose(file);
    unlink(path);
    assert_null(fg_cuda_kept_read(path, "these facts"));
    cudnnBackendDestroyDescriptor(orin.description);
}

static int set_up(void **state) {
    (void)state;
    static struct fg_kernel kernel[FG_OPERATORS];
    for (int op = 0; op < FG_OPERATORS; op++)
        kernel[op] = (struct fg_kernel){.supports = anything, .forward = nothing, .backward = nothing};
    const struct fg_backend backend = {
        .name = "planning", .compute = FG_F16, .device = {.lanes = 3}, .kernel = kernel};
    for (int backbone = 0; backbone < FG_BACKBONES; backbone++)
        add_backbone((enum fg_backbone)backbone, &backend);
    return 0;
}

int main(int argc, char **argv) {
    /* Before the first call of cuDNN, which finds it by its name. */
    if (argc < 2 || !dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL)) {
        fprintf(stderr, "usage: test_plans STAND-IN [TARGET]: %s\n", argc < 2 ? "none was given" : dlerror());
        return 1;
    }
    if (argc > 2) {
        const struct target *t = targets;
        while (t < targets + TARGETS && !strstr(t->name, argv[2]))
            t++;
        assert_true(t < targets + TARGETS);
        const struct CMUnitTest one[] = {
            cmocka_unit_test_prestate(test_every_graph_finalises, (void *)(uintptr_t)t)};
        return cmocka_run_group_tests(one, set_up, NULL);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_plans),
        cmocka_unit_test(test_kept_file),
        cmocka_unit_test(test_exact_engines),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
