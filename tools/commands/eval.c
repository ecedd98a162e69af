/* flawgate eval NAME.fgb DIR: every figure of the metrics on a category's test pictures, judged by the
 * engine. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/json.h"
#include "tools/commands/arguments.h"
#include "tools/commands/tool.h"
#include "trainer/bundle/calibrate.h"
#include "trainer/evaluate/evaluate.h"

const char fg_help_eval[] =
    "usage: flawgate eval NAME.fgb DIR [--json] [--device NAME] [--threads N]\n"
    "DIR is a category in MVTec layout: test/good, test/DEFECT and ground_truth/DEFECT.\n";

struct eval {
    struct fg_arguments common;
    const char *bundle, *folder;
    struct fg_backend *backend;
    struct fg_station station;
    struct fg_evaluation evaluation;
    int64_t started_ns;
};

static enum fg_status read_arguments(int argc, char **argv, struct eval *e, struct fg_message *message) {
    static const struct option names[] = {FG_COMMON_OPTIONS, {NULL, 0, NULL, 0}};
    memset(e, 0, sizeof *e);
    fg_arguments_begin(&e->common);
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        enum fg_status status = fg_arguments_take(&e->common, option, argv, message);
        if (status != FG_OK)
            return status;
    }
    if (argc - optind != 2)
        return fg_fail(message, FG_USAGE, "a bundle and a folder are needed");
    e->bundle = argv[optind];
    e->folder = argv[optind + 1];
    return FG_OK;
}

static void show(void *argument, uint32_t done, uint32_t count) {
    const struct eval *e = argument;
    const double spent = (double)(fg_clock_ns() - e->started_ns) / 1e9;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\rpicture %u of %u, %.0f s left  %s", done, count, spent / done * (count - done),
                done == count ? "\n" : "");
}

static void print_json_figures(const struct fg_figures *f) {
    const struct {
        const char *name;
        double value;
    } figures[] = {
        {"image_auroc", f->image_auroc}, {"pixel_auroc", f->pixel_auroc}, {"pro", f->pro},
        {"pro_rd4ad", f->pro_rd4ad},     {"image_ap", f->image_ap},       {"pixel_ap", f->pixel_ap},
        {"image_f1max", f->image_f1max}, {"pixel_f1max", f->pixel_f1max}};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        printf("\"%s\": ", figures[i].name);
        fg_json_number(stdout, figures[i].value);
        printf(", ");
    }
    printf("\"images\": %u", f->images);
}

static void print_row(const char *name, const struct fg_figures *f) {
    const double value[] = {f->image_auroc, f->pixel_auroc, f->pro,         f->pro_rd4ad,
                            f->image_ap,    f->pixel_ap,    f->image_f1max, f->pixel_f1max};
    printf("%-16.16s %6u", name, f->images);
    for (size_t i = 0; i < sizeof value / sizeof *value; i++)
        printf(isnan(value[i]) ? "        -" : "  %7.2f", 100 * value[i]);
    printf("\n");
}

static enum fg_status print(struct eval *eval, struct fg_message *message) {
    struct fg_evaluation *e = &eval->evaluation;
    struct fg_figures figures;
    enum fg_status status = fg_metrics_figures(e->metrics, 0, &figures, message);
    if (status != FG_OK)
        return status;
    const struct fg_calibration *calibration = &fg_bundle_header(eval->station.bundle)->calibration;
    char sentence[512];
    fg_calibration_sentence(calibration, sentence, sizeof sentence);
    if (eval->common.json) {
        printf("{");
        print_json_figures(&figures);
        printf(", \"seconds\": %.3f, \"threshold\": ", e->seconds);
        fg_json_number(stdout, (double)calibration->threshold);
        printf(
            ", \"good\": %u, \"false_rejects\": %u, \"defective\": %u, \"detected\": %u, \"calibration\": ",
            e->good, e->rejected_good, e->defective, e->detected);
        fg_json_text(stdout, sentence);
        printf(", \"defects\": {");
    } else {
        printf("%-16s %6s  %7s  %7s  %7s  %7s  %7s  %7s  %7s  %7s\n", "percent", "images", "img AUR",
               "pix AUR", "PRO", "PRO rd4", "img AP", "pix AP", "img F1", "pix F1");
        print_row("all", &figures);
    }
    for (uint32_t g = 1; g <= e->groups && status == FG_OK; g++) {
        status = fg_metrics_figures(e->metrics, (uint8_t)g, &figures, message);
        if (status != FG_OK)
            break;
        if (eval->common.json) {
            printf("%s", g > 1 ? ", " : "");
            fg_json_text(stdout, e->group[g]);
            printf(": {");
            print_json_figures(&figures);
            printf("}");
        } else {
            print_row(e->group[g], &figures);
        }
    }
    if (eval->common.json)
        printf("}}\n");
    else
        printf("%s\nAt this threshold: %u of %u good pictures rejected, %u of %u defective ones detected. "
               "%.1f s.\n",
               sentence, e->rejected_good, e->good, e->detected, e->defective, e->seconds);
    return status;
}

int fg_tool_eval(int argc, char **argv) {
    struct eval e;
    struct fg_message message;
    enum fg_status status = read_arguments(argc, argv, &e, &message);
    if (status != FG_OK) {
        fprintf(stderr, "flawgate eval: %s\n%s", message.text, fg_help_eval);
        return fg_exit_status(status);
    }
    status = fg_arguments_device(&e.common, &e.backend, &message);
    if (status == FG_OK)
        status = fg_station_open(&e.station, e.bundle, e.backend, true, &message);
    e.started_ns = fg_clock_ns();
    if (status == FG_OK)
        status = fg_evaluate(&e.evaluation, &e.station, e.folder,
                             fg_bundle_header(e.station.bundle)->calibration.threshold, show, &e, &message);
    if (status == FG_OK)
        status = print(&e, &message);
    if (status != FG_OK)
        fprintf(stderr, "flawgate eval: %s\n", message.text);
    fg_evaluation_close(&e.evaluation);
    fg_station_close(&e.station);
    if (e.backend)
        e.backend->close(e.backend);
    return fg_exit_status(status);
}
