/* flawgate bundle as a person and a script call it: exit statuses, and that what export writes is what the
 * bundle or the state holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/bundle/bundle.h"
#include "runtime/weights/safetensors.h"
#include "trainer/bundle/draft.h"
#include "trainer/loop/state.h"

static char folder[64];
static struct fg_network network;
static struct fg_weights weights;
static struct fg_message message;

static const char *in_folder(const char *name) {
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/flawgate-XXXXXX");
    const struct fg_network_spec spec = {.backbone = FG_RESNET18,
                                         .height = 64,
                                         .width = 64,
                                         .base = 4,
                                         .scconv = true,
                                         .simam = true,
                                         .fmm = true,
                                         .levels = 7};
    if (!mkdtemp(folder) || fg_network_init(&network, &spec, &message) != FG_OK ||
        fg_weights_open(&weights, &network, &message) != FG_OK)
        return -1;
    fg_weights_draw(&weights, 5, true);
    const struct fg_bundle_header header = {.spec = spec, .contract = {.channels = 3, .format = "rgb8"}};
    struct fg_backend *backend;
    struct fg_draft draft;
    if (fg_cpu_open(1, 1, &backend, &message) != FG_OK ||
        fg_draft_open(&draft, in_folder("a.fgb"), &weights, &header, backend, &message) != FG_OK)
        return -1;
    const enum fg_status status = fg_draft_write(&draft, in_folder("a.fgb"), &message);
    fg_draft_close(&draft);
    backend->close(backend);
    return status == FG_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    fg_weights_close(&weights);
    static const char *const names[] = {"a.fgb", "b.fgb", "a.state", "a.safetensors", "out"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(in_folder(names[i]));
    return rmdir(folder);
}

/* Runs the program with up to three words behind "bundle"; standard output goes to the file out. */
static int run(const char *command, const char *first, const char *second) {
    const char *build = getenv("FG_BUILD");
    char program[512];
    snprintf(program, sizeof program, "%s/flawgate", build ? build : "build/cpu");
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        const int out = open(in_folder("out"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        const int quiet = open("/dev/null", O_WRONLY);
        dup2(out, STDOUT_FILENO);
        dup2(quiet, STDERR_FILENO);
        execl(program, program, "bundle", command, first, second, (char *)NULL);
        _exit(99);
    }
    int status = 0;
    assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool printed(const char *text) {
    static char all[1 << 17];
    FILE *file = fopen(in_folder("out"), "rb");
    const size_t size = fread(all, 1, sizeof all - 1, file);
    fclose(file);
    all[size] = 0;
    return strstr(all, text) != NULL;
}

static void test_show_and_verify(void **state) {
    (void)state;
    assert_int_equal(run("show", in_folder("a.fgb"), NULL), 0);
    assert_true(printed("resnet18, 64 x 64") && printed("run flawgate calibrate"));
    assert_int_equal(run("show", in_folder("a.fgb"), "--json"), 0);
    assert_true(printed("\"calibrated\":false") && printed("{\"name\":\"fmm.2.gen2.bias\","));
    assert_int_equal(run("verify", in_folder("a.fgb"), NULL), 0);
    assert_true(printed(", of them 0 damaged"));

    /* One changed byte in the last stream. */
    struct fg_bundle *bundle;
    assert_int_equal(fg_bundle_open(in_folder("a.fgb"), &bundle, &message), FG_OK);
    assert_int_equal(fg_bundle_write(bundle, in_folder("b.fgb"), fg_bundle_header(bundle), NULL, &message),
                     FG_OK);
    fg_bundle_close(bundle);
    FILE *file = fopen(in_folder("b.fgb"), "r+b");
    fseek(file, -1, SEEK_END);
    const int last = fgetc(file);
    fseek(file, -1, SEEK_END);
    fputc(last ^ 1, file);
    fclose(file);
    assert_int_equal(run("verify", in_folder("b.fgb"), "--json"), 1);
    assert_true(printed("\"intact\":false,\"header\":true") && printed("\"damaged\":1"));
    assert_int_equal(run("show", in_folder("b.fgb"), NULL), 0); /* header and table are intact */

    assert_int_equal(run("verify", in_folder("nothing.fgb"), NULL), 3);
    assert_int_equal(run("verify", NULL, NULL), 2);
    assert_int_equal(run("prove", in_folder("a.fgb"), NULL), 2);
    assert_int_equal(run("export", in_folder("a.fgb"), in_folder("out.txt")), 2);
}

/* Loads a.safetensors into arrays of its own. */
static void load_exported(float **values) {
    for (uint32_t i = 0; i < network.params; i++)
        values[i] = malloc(fg_tensor_bytes(&weights.param[i]));
    struct fg_safetensors *file = NULL;
    struct fg_report report = {0};
    if (fg_safetensors_open(in_folder("a.safetensors"), &file, &message) != FG_OK ||
        fg_safetensors_load(file, FG_SAFETENSORS_NETWORK, &network, values, &report, &message) != FG_OK)
        fail_msg("%s", message.text);
    fg_safetensors_close(file);
}

static void drop(float **values) {
    for (uint32_t i = 0; i < FG_NETWORK_PARAMS; i++)
        free(values[i]);
}

/* A convolution that no batch norm follows comes out as float16 of what it was; all names are there. */
static void test_export_bundle(void **state) {
    (void)state;
    assert_int_equal(run("export", in_folder("a.fgb"), in_folder("a.safetensors")), 0);
    float *values[FG_NETWORK_PARAMS] = {NULL};
    load_exported(values);
    const uint32_t param = (uint32_t)fg_network_find(&network, "fmm.2.gen2.weight");
    const float *before = fg_weights_values(&weights, param);
    for (size_t k = 0; k < fg_tensor_count(&weights.param[param]); k++)
        assert_true(fabsf(values[param][k] - before[k]) <= 0x1p-11f * fabsf(before[k]) + 0x1p-25f);
    drop(values);
}

/* show names the convolutions that are not int8, and export writes what int8 weights stand for. */
static void test_int8(void **state) {
    (void)state;
    static struct fg_quantised quantised[FG_NETWORK_PARAMS];
    struct fg_bundle *bundle = NULL;
    struct fg_folded folded;
    uint32_t convolutions = 0, int8 = 0;
    assert_int_equal(fg_folded_open(&folded, &weights, &message), FG_OK);
    for (uint32_t n = 0; n < network.nodes; n++) {
        const struct fg_node *node = &network.node[n];
        convolutions += node->op == FG_CONV || node->op == FG_DECONV;
        if (!fg_node_can_be_int8(&network, node) ||
            !strcmp(network.param[node->weight].name, "fmm.0.gen2.weight"))
            continue;
        const size_t channels = (size_t)fg_param_channels(&network.param[node->weight]);
        const struct fg_tensor t = fg_param_tensor(&network.param[node->weight]);
        struct fg_quantised *q = &quantised[node->weight];
        *q = (struct fg_quantised){
            malloc(fg_tensor_count(&t)), malloc(channels * sizeof *q->scale), {0.25f, 3}};
        for (size_t c = 0; c < channels; c++)
            q->scale[c] = 0.5f;
        memset(q->weight, -3, fg_tensor_count(&t));
        int8++;
    }
    const struct fg_bundle_header header = {.spec = network.spec,
                                            .contract = {.channels = 3, .format = "rgb8"}};
    assert_int_equal(fg_bundle_make("b.fgb", &header, folded.value, quantised, &bundle, &message), FG_OK);
    assert_int_equal(fg_bundle_write(bundle, in_folder("b.fgb"), &header, NULL, &message), FG_OK);
    fg_bundle_close(bundle);
    fg_folded_close(&folded);
    for (int i = 0; i < FG_NETWORK_PARAMS; i++) {
        free(quantised[i].weight);
        free(quantised[i].scale);
    }

    char line[256];
    assert_int_equal(run("show", in_folder("b.fgb"), NULL), 0);
    snprintf(line, sizeof line, "int8: %u of %u convolutions; float: bottleneck.scconv.gwc, fmm.0.gen2\n",
             int8, convolutions);
    assert_true(printed(line));
    assert_int_equal(run("show", in_folder("b.fgb"), "--json"), 0);
    snprintf(line, sizeof line,
             "\"precision\":\"int8\",\"convolutions\":%u,\"float_convolutions\":[\"bottleneck.scconv.gwc\","
             "\"fmm.0.gen2\"],",
             convolutions);
    assert_true(printed(line) && printed("\"type\":\"int8\""));
    assert_int_equal(run("show", in_folder("a.fgb"), NULL), 0);
    snprintf(line, sizeof line, "float: all %u convolutions\n", convolutions);
    assert_true(printed(line));
    assert_int_equal(run("verify", in_folder("b.fgb"), NULL), 0);

    assert_int_equal(run("export", in_folder("b.fgb"), in_folder("a.safetensors")), 0);
    float *values[FG_NETWORK_PARAMS] = {NULL};
    load_exported(values);
    const uint32_t param = (uint32_t)fg_network_find(&network, "fmm.2.gen2.weight");
    for (size_t k = 0; k < fg_tensor_count(&weights.param[param]); k++)
        assert_true(values[param][k] == -1.5f);
    drop(values);
}

/* The best epoch's weights, not the last one's; the teacher is in both. */
static void test_export_state(void **state) {
    (void)state;
    struct fg_weights best;
    assert_int_equal(fg_weights_open(&best, &network, &message), FG_OK);
    fg_weights_draw(&best, 6, false);
    struct fg_state head = {.backbone = (uint32_t)network.spec.backbone,
                            .height = 64,
                            .width = 64,
                            .base = 4,
                            .levels = 7,
                            .switches = FG_STATE_SCCONV | FG_STATE_SIMAM | FG_STATE_FMM};
    struct fg_state_contents contents = {
        .weights = &weights, .best = best.block, .moments = calloc(2, weights.trained)};
    assert_int_equal(fg_state_write(in_folder("a.state"), &head, &contents, &message), FG_OK);
    free(contents.moments);
    assert_int_equal(run("export", in_folder("a.state"), in_folder("a.safetensors")), 0);
    float *values[FG_NETWORK_PARAMS] = {NULL};
    load_exported(values);
    for (uint32_t i = 0; i < network.params; i++)
        assert_memory_equal(values[i],
                            fg_weights_values(network.param[i].module == FG_TEACHER ? &weights : &best, i),
                            fg_tensor_bytes(&weights.param[i]));
    drop(values);
    fg_weights_close(&best);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_show_and_verify),
        cmocka_unit_test(test_export_bundle),
        cmocka_unit_test(test_int8),
        cmocka_unit_test(test_export_state),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
