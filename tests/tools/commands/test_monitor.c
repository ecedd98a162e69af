/* flawgate monitor against a server whose line is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/runtime/modbus/modbus_bench.h"
#include "tools/commands/tool.h"

/* Runs the command with its output in a file; returns its exit status. */
static int monitor(const char *port, const char *extra, char *output, size_t size) {
    char *argv[] = {"monitor", "--port", (char *)port, (char *)extra, NULL};
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    assert_true(dup2(fileno(file), STDOUT_FILENO) >= 0);
    int status = fg_tool_monitor(extra ? 4 : 3, argv);
    fflush(stdout);
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    close(saved);
    rewind(file);
    output[fread(output, 1, size - 1, file)] = 0;
    fclose(file);
    return status;
}

static void expect_text(const char *output, const char *text) {
    if (!strstr(output, text))
        fail_msg("no \"%s\" in:\n%s", text, output);
}

static void it_shows_the_last_result(void **state) {
    (void)state;
    for (int low_first = 0; low_first < 2; low_first++) {
        struct bench bench = bench_make();
        bench.settings.rules.low_first = low_first;
        bench.now.result_valid = true;
        bench.now.result_sequence = 9;
        bench.now.result = (struct fg_result){.id = 70009,
                                              .verdict = FG_DEFECT,
                                              .score = 1.5f,
                                              .threshold = 0.25f,
                                              .x = 3,
                                              .y = 4,
                                              .w = 5,
                                              .h = 6,
                                              .area = 70025,
                                              .encoder = -12,
                                              .total = 123};
        bench.now.counters.defect = 70001;
        bench.now.drift = 5.125f;
        bench.now.drift_state = FG_DRIFT_DRIFTED;
        memcpy(bench.now.bundle_name, "cap \"A\"", 7);
        bench_start(&bench);
        char port[8], output[8192];
        snprintf(port, sizeof port, "%u", (unsigned)fg_modbus_server_port(bench.server));
        assert_int_equal(monitor(port, "--json", output, sizeof output), 0);
        expect_text(output, "\"online\": true, \"trigger_ready\": true, \"busy\": false");
        expect_text(output, "\"id\": 70009, \"verdict\": \"DEFECT\", \"doubtful\": false, \"score\": 1.5, "
                            "\"threshold\": 0.25");
        expect_text(output, "\"box\": [3, 4, 5, 6], \"area\": 70025");
        expect_text(output, "\"encoder\": -12");
        expect_text(output, "\"total_ms\": 12.3");
        expect_text(output, "\"defect\": 70001");
        expect_text(output, "\"drift\": 5.125, \"drift_state\": \"drifted\"");
        expect_text(output, "\"bundle\": \"cap \\\"A\\\"\"");
        assert_int_equal(monitor(port, NULL, output, sizeof output), 0);
        expect_text(output, "part 70009  DEFECT  score 1.5000, threshold 0.2500");
        expect_text(output, "online trigger_ready result_valid defect");
        expect_text(output, "drift        drifted  statistic 10^5.1, alarm at 10^5");
        bench_stop(&bench);
    }
}

static void an_inoperative_result_has_no_score(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench.now.result = (struct fg_result){.id = 1, .verdict = FG_INOPERATIVE, .reason = FG_REASON_DEADLINE};
    bench_start(&bench);
    char port[8], output[8192];
    snprintf(port, sizeof port, "%u", (unsigned)fg_modbus_server_port(bench.server));
    assert_int_equal(monitor(port, "--json", output, sizeof output), 0);
    expect_text(output, "\"verdict\": \"INOPERATIVE\", \"doubtful\": false, \"score\": null");
    expect_text(output, "\"reason\": \"deadline\"");
    assert_int_equal(monitor(port, NULL, output, sizeof output), 0);
    expect_text(output, "INOPERATIVE (deadline)");
    bench_stop(&bench);
}

static void it_shows_each_view(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench.now.result_sequence = 9;
    bench.now.result = (struct fg_result){
        .id = 1,
        .verdict = FG_DEFECT,
        .score = 1.5f,
        .threshold = 0.25f,
        .view = {
            {.verdict = FG_PASS, .score = 0.125f, .threshold = 0.5f, .doubtful = true, .scene = 12.34f},
            {.verdict = FG_DEFECT, .score = 1.5f, .threshold = 0.25f, .x = 3, .area = 7, .decided = true}}};
    bench_start(&bench);
    char port[8], output[8192];
    snprintf(port, sizeof port, "%u", (unsigned)fg_modbus_server_port(bench.server));
    assert_int_equal(monitor(port, "--json", output, sizeof output), 0);
    expect_text(
        output,
        "\"views\": [{\"verdict\": \"PASS\", \"doubtful\": true, \"score\": 0.125, \"threshold\": 0.5, "
        "\"reason\": \"none\", \"box\": [0, 0, 0, 0], \"area\": 0, \"decided\": false, \"scene\": 12.34}, "
        "{\"verdict\": \"DEFECT\", \"doubtful\": false, \"score\": 1.5, \"threshold\": 0.25, "
        "\"reason\": \"none\", \"box\": [3, 0, 0, 0], \"area\": 7, \"decided\": true, \"scene\": null}]");
    assert_int_equal(monitor(port, NULL, output, sizeof output), 0);
    expect_text(output, "view 0  PASS (doubtful)  score 0.1250, threshold 0.5000, scene 12.34\n");
    expect_text(output, "view 1  DEFECT  score 1.5000, threshold 0.2500\n");
    expect_text(output,
                "part 1  DEFECT  score 1.5000, threshold 0.2500\n"); /* that of view 1, which decided */
    bench_stop(&bench);
}

static void before_the_first_part_there_is_no_result(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench_start(&bench);
    char port[8], output[8192];
    snprintf(port, sizeof port, "%u", (unsigned)fg_modbus_server_port(bench.server));
    assert_int_equal(monitor(port, "--json", output, sizeof output), 0);
    expect_text(output, "\"result\": null");
    bench_stop(&bench);
}

static void without_a_line_it_says_so(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench_start(&bench);
    char port[8], output[8192];
    snprintf(port, sizeof port, "%u", (unsigned)fg_modbus_server_port(bench.server));
    bench_stop(&bench); /* nobody listens there now */
    assert_int_equal(monitor(port, NULL, output, sizeof output), 3);
    assert_int_equal(monitor("0", NULL, output, sizeof output), 2);
    assert_int_equal(monitor("65536", NULL, output, sizeof output), 2);
    assert_int_equal(monitor("modbus", NULL, output, sizeof output), 2);
    assert_int_equal(monitor("502", "--what", output, sizeof output), 2);
    assert_int_equal(monitor("502", "--host", output, sizeof output), 2);
    assert_int_equal(monitor("502", "more", output, sizeof output), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_shows_the_last_result),
        cmocka_unit_test(an_inoperative_result_has_no_score),
        cmocka_unit_test(it_shows_each_view),
        cmocka_unit_test(before_the_first_part_there_is_no_result),
        cmocka_unit_test(without_a_line_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
