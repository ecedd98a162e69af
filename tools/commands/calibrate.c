/* flawgate calibrate NAME.fgb DIR: sets the threshold anew from good parts of the line, without training. */
#include <stdio.h>

#include "runtime/base/json.h"
#include "tools/commands/common.h"
#include "tools/commands/tool.h"
#include "trainer/bundle/calibrate.h"
#include "trainer/data/files.h"

struct calibrate {
    struct fg_common common;
    float false_rejects;
    struct fg_report skipped; /* pictures that could not be judged */
    struct fg_calibration calibration;
};

static const struct fg_option OPTIONS[] = {
    {"false-rejects", FG_OPTION_FLOAT, offsetof(struct calibrate, false_rejects), "0.001", 1e-9, 0.5,
     .value = "P", .help = "share of good parts that the threshold may reject"},
    FG_OUTPUT_OPTIONS(struct calibrate),
};
static const struct fg_usage USAGE = {
    .name = "flawgate calibrate",
    .takes = "NAME.fgb DIR",
    .least = 2,
    .most = 2,
    .about =
        "Sets a bundle's threshold anew from DIR, a folder of pictures of good parts that training did not\n"
        "see. The bundle is rewritten in place.\n",
    .options = FG_OPTIONS(OPTIONS),
    .computes = true,
};

static enum fg_status calibrate_bundle(struct calibrate *c, const char *bundle, const char *folder,
                                       struct fg_message *message) {
    struct fg_paths paths = {0};
    struct fg_backend *backend = NULL;
    struct fg_progress progress;
    enum fg_status status = fg_paths_list(&paths, folder, message);
    if (status == FG_OK && !paths.count)
        status = fg_fail(message, FG_INPUT, "%.300s: no pictures in it", folder);
    if (status == FG_OK)
        status = fg_common_device(&c->common, 0, 0, &backend, message);
    fg_progress_begin(&progress, "judging picture", c->common.quiet);
    if (status == FG_OK)
        status = fg_calibrate_bundle(bundle, bundle, (const char *const *)paths.path, paths.count,
                                     c->false_rejects, backend, fg_progress_count, &progress, &c->skipped,
                                     &c->calibration, message);
    fg_progress_clear(&progress);
    if (backend)
        backend->close(backend);
    fg_paths_free(&paths);
    return status;
}

static void print_json(const struct calibrate *c, const char *bundle, const char *sentence) {
    printf("{\"file\": ");
    fg_json_text(stdout, bundle);
    printf(", \"threshold\": ");
    fg_json_number(stdout, (double)c->calibration.threshold);
    printf(", \"pictures\": %u, \"skipped\": %u, \"rate_bound\": ", c->calibration.pictures,
           c->skipped.lines);
    fg_json_number(stdout, (double)c->calibration.rate_bound);
    printf(", \"sentence\": ");
    fg_json_text(stdout, sentence);
    printf("}\n");
}

int fg_tool_calibrate(int argc, char **argv) {
    struct calibrate c = {.common = {.device = FG_COMPUTE_AUTO}};
    struct fg_message message;
    bool over;
    enum fg_status status = fg_usage_read(&USAGE, &argc, argv, &c, &over, &message);
    if (over)
        return 0;
    if (status == FG_OK)
        status = calibrate_bundle(&c, argv[1], argv[2], &message);
    fputs(c.skipped.text ? c.skipped.text : "", stderr);
    if (status == FG_OK) {
        char sentence[512];
        fg_calibration_sentence(&c.calibration, sentence, sizeof sentence);
        if (c.common.json)
            print_json(&c, argv[1], sentence);
        else
            puts(sentence);
        fg_common_remark(
            &c.common,
            "It holds for pictures like these that training did not see. A running flawgated keeps the "
            "old threshold until it loads the bundle again: by another slot and back, or a new start.");
    } else {
        fg_usage_fail(&USAGE, status, &message);
    }
    fg_report_free(&c.skipped);
    return fg_exit_status(status);
}
