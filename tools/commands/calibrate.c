/* flawgate calibrate NAME.fgb DIR|--from-line LOG: sets the threshold anew from good parts of the line, or
 * from the scores that it has logged, without training. */
#include <stdio.h>

#include "runtime/base/json.h"
#include "runtime/store/storage.h"
#include "tools/commands/calibrate_line.h"
#include "tools/commands/common.h"
#include "tools/commands/tool.h"
#include "trainer/bundle/defective.h"
#include "trainer/data/files.h"

struct calibrate {
    struct fg_common common;
    float false_rejects;
    float threshold;      /* set by hand; 0: found */
    char defective[4096]; /* a folder of pictures of defective parts; empty: none are known */
    char from_line[4096]; /* a line's log of scores; empty: a folder of pictures is given */
    bool dry_run, force;
    struct fg_report remarks; /* pictures that could not be judged, or that are odd */
    struct fg_calibrated found;
    struct fg_defective defects;
};

static const struct fg_option OPTIONS[] = {
    {"false-rejects", FG_OPTION_FLOAT, offsetof(struct calibrate, false_rejects), "0.001", 1e-9, 0.5,
     .value = "P", .help = "share of good parts that the threshold may reject"},
    {"threshold", FG_OPTION_FLOAT, offsetof(struct calibrate, threshold), .min = 1e-6, .max = 1e6,
     .value = "X", .help = "takes this threshold, and says what it does to the pictures"},
    {"defective", FG_OPTION_PATH, offsetof(struct calibrate, defective),
     .size = sizeof((struct calibrate *)0)->defective, .value = "DIR",
     .help = "says what thresholds find of the defective parts in DIR, which do not set it"},
    {"from-line", FG_OPTION_PATH, offsetof(struct calibrate, from_line),
     .size = sizeof((struct calibrate *)0)->from_line, .value = "LOG",
     .help =
         "takes the scores that a line has logged in LOG, its " FG_STORAGE_SCORES ", instead of pictures"},
    {"dry-run", FG_OPTION_BOOL, offsetof(struct calibrate, dry_run), .help = "leaves the bundle as it is"},
    {"force", FG_OPTION_BOOL, offsetof(struct calibrate, force),
     .help = "goes on where many pictures are odd, above the old threshold or unlike training's"},
    FG_OUTPUT_OPTIONS(struct calibrate),
};
static const struct fg_usage USAGE = {
    .name = "flawgate calibrate",
    .takes = "NAME.fgb DIR | NAME.fgb --from-line LOG",
    .least = 1,
    .most = 2,
    .about =
        "Sets a bundle's threshold anew from DIR, a folder of pictures of good parts that training did not\n"
        "see. Pictures that training saw are known by their contents and do not count. Or from the scores\n"
        "that a line has logged of this very bundle, of which a few may be defects'. The bundle is\n"
        "rewritten in place; NAME.fgb" FG_BACKUP_ENDING " keeps the old one.\n",
    .options = FG_OPTIONS(OPTIONS),
    .computes = true,
};

/* Refuses pictures that look as if they were not all of good parts: such a threshold would pass defects. */
static enum fg_status check_pictures(const struct calibrate *c, struct fg_message *message) {
    const struct fg_calibrated *f = &c->found;
    if (c->force)
        return FG_OK;
    if (fg_decision_are_many(f->above, f->judged))
        return fg_fail(
            message, FG_INPUT,
            "%u of %u pictures are above the old threshold %.4f: if all parts are good and only the "
            "light or the camera has changed, give --force",
            f->above, f->judged, (double)f->old_threshold);
    if (fg_decision_are_many(f->unlike, f->judged))
        return fg_fail(
            message, FG_INPUT,
            "%u of %u pictures are not like those that training saw: if all show a good part and only "
            "the light or the camera has changed, give --force",
            f->unlike, f->judged);
    if (fg_decision_are_many(f->odd, f->judged))
        return fg_fail(
            message, FG_INPUT,
            "%u of %u pictures are unlike the others: take those out that show no good part, or give "
            "--force",
            f->odd, f->judged);
    return FG_OK;
}

static enum fg_status calibrate_bundle(struct calibrate *c, struct fg_draft *draft, const char *bundle,
                                       const struct fg_paths *paths, struct fg_message *message) {
    struct fg_progress progress;
    fg_progress_begin(&progress, "judging picture", c->common.quiet);
    enum fg_status status =
        fg_calibrate_draft(draft,
                           &(struct fg_calibrating){.path = (const char *const *)paths->path,
                                                    .count = paths->count,
                                                    .false_rejects = c->false_rejects,
                                                    .threshold = c->threshold,
                                                    .remarks = &c->remarks,
                                                    .skips = true,
                                                    .progress = fg_progress_count,
                                                    .argument = &progress},
                           &c->found, message);
    fg_progress_clear(&progress);
    if (status == FG_OK)
        status = check_pictures(c, message);
    if (status == FG_OK && *c->defective)
        status = fg_defective_judge(&c->defects, &draft->desk, c->defective, message);
    return status == FG_OK && !c->dry_run ? fg_draft_replace(draft, bundle, FG_BACKUP_ENDING, message)
                                          : status;
}

/* Takes the CPU for an int8 bundle: it computes int8, and a GPU's scores differ. */
static enum fg_status choose_device(struct calibrate *c, const char *path, struct fg_message *message) {
    struct fg_bundle *bundle;
    const enum fg_status status = fg_bundle_open(path, &bundle, message);
    if (status != FG_OK)
        return status;
    if (fg_bundle_is_int8(bundle) && c->common.device == FG_COMPUTE_AUTO)
        c->common.device = FG_COMPUTE_CPU;
    fg_bundle_close(bundle);
    return FG_OK;
}

static enum fg_status open_and_calibrate(struct calibrate *c, const char *bundle, const char *folder,
                                         struct fg_message *message) {
    struct fg_paths paths = {0};
    struct fg_backend *backend = NULL;
    struct fg_draft draft = {.picture = NULL};
    enum fg_status status = fg_paths_list(&paths, folder, message);
    if (status == FG_OK && !paths.count)
        status = fg_fail(message, FG_INPUT, "%.300s: there are no pictures in it", folder);
    if (status == FG_OK)
        status = choose_device(c, bundle, message);
    if (status == FG_OK)
        status = fg_common_device(&c->common, 0, 0, &backend, message);
    if (status == FG_OK)
        status = fg_draft_open_file(&draft, bundle, backend, message);
    if (status == FG_OK)
        status = calibrate_bundle(c, &draft, bundle, &paths, message);
    fg_draft_close(&draft);
    if (backend)
        backend->close(backend);
    fg_paths_free(&paths);
    return status;
}

static enum fg_status calibrate_from_line(struct calibrate *c, const char *bundle,
                                          struct fg_message *message) {
    const struct fg_line_calibrating calibrating = {.bundle = bundle,
                                                    .log = c->from_line,
                                                    .false_rejects = c->false_rejects,
                                                    .threshold = c->threshold,
                                                    .dry_run = c->dry_run,
                                                    .force = c->force};
    return fg_calibrate_line(&calibrating, &c->found, message);
}

/* argc: of the arguments without options. */
static enum fg_status run_calibration(struct calibrate *c, int argc, char **argv,
                                      struct fg_message *message) {
    if (!*c->from_line && argc < 3)
        return fg_fail(message, FG_USAGE, "give a folder of pictures, or --from-line with a line's log");
    if (*c->from_line && argc > 2)
        return fg_fail(message, FG_USAGE, "give a folder of pictures or --from-line, not both");
    if (*c->from_line && *c->defective)
        return fg_fail(message, FG_USAGE, "--defective judges pictures, so it cannot go with --from-line");
    return *c->from_line ? calibrate_from_line(c, argv[1], message)
                         : open_and_calibrate(c, argv[1], argv[2], message);
}

static void print_json(const struct calibrate *c, const char *bundle, const char *sentence) {
    const struct fg_calibration *calibration = &c->found.calibration;
    printf("{\"file\": ");
    fg_json_text(stdout, bundle);
    printf(", \"written\": %s, \"old_threshold\": ", c->dry_run ? "false" : "true");
    fg_json_number(stdout, (double)c->found.old_threshold);
    printf(", \"threshold\": ");
    fg_json_number(stdout, (double)calibration->threshold);
    printf(
        ", \"pictures\": %u, \"known\": %u, \"above_old\": %u, \"odd\": %u, \"unlike\": %u, \"skipped\": %u, "
        "\"expected_rejects\": ",
        c->found.judged, c->found.known, c->found.above, c->found.odd, c->found.unlike, c->found.skipped);
    fg_json_number(stdout, (double)calibration->expected);
    printf(", \"rate_bound\": ");
    fg_json_number(stdout, (double)calibration->bound);
    printf(", \"bump\": ");
    fg_json_number(stdout, (double)calibration->bump);
    printf(", \"bump_anywhere\": ");
    fg_json_number(stdout, (double)calibration->bump_anywhere);
    if (c->defects.count)
        fg_defective_print_json(&c->defects, &c->found, stdout);
    printf(", \"sentence\": ");
    fg_json_text(stdout, sentence);
    printf("}\n");
}

static void print_text(const struct calibrate *c, const char *sentence) {
    if (c->found.old_threshold > 0)
        printf("Threshold %.4f -> %.4f; %u of %u %s are above the old one.\n", (double)c->found.old_threshold,
               (double)c->found.calibration.threshold, c->found.above, c->found.judged,
               *c->from_line ? "scores" : "pictures");
    if (c->found.known)
        printf("%u pictures were at hand when the bundle was trained; they do not count as unseen.\n",
               c->found.known);
    puts(sentence);
    if (c->defects.count)
        fg_defective_print(&c->defects, &c->found, c->threshold, stdout);
}

int fg_tool_calibrate(int argc, char **argv) {
    struct calibrate c = {.common = {.device = FG_COMPUTE_AUTO}};
    struct fg_message message;
    bool over;
    enum fg_status status = fg_usage_read(&USAGE, &argc, argv, &c, &over, &message);
    if (over)
        return 0;
    if (status == FG_OK)
        status = run_calibration(&c, argc, argv, &message);
    fputs(c.remarks.text ? c.remarks.text : "", stderr);
    if (status == FG_OK) {
        char sentence[512];
        fg_decision_sentence(&c.found.calibration, sentence, sizeof sentence);
        if (c.common.json)
            print_json(&c, argv[1], sentence);
        else
            print_text(&c, sentence);
        fg_common_remark(&c.common,
                         c.dry_run ? "The bundle is as it was."
                                   : "A running flawgated keeps the old threshold until it loads the bundle "
                                     "again: by another slot and back, or a new start.");
    } else {
        fg_usage_fail(&USAGE, status, &message);
    }
    fg_report_free(&c.remarks);
    fg_defective_close(&c.defects);
    return fg_exit_status(status);
}
