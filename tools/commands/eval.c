/* flawgate eval NAME.fgb DIR: prints every figure of the metrics on a category's test pictures, judged by the
 * engine. */
#include <math.h>
#include <stdio.h>

#include "runtime/base/json.h"
#include "tools/commands/common.h"
#include "tools/commands/tool.h"
#include "trainer/bundle/calibrate.h"
#include "trainer/evaluate/evaluate.h"

struct eval {
    struct fg_common common;
    struct fg_backend *backend;
    struct fg_desk desk;
    struct fg_evaluation evaluation;
};

static const struct fg_option OPTIONS[] = {
    FG_DEVICE_OPTIONS(struct eval),
    FG_OUTPUT_OPTIONS(struct eval),
};
static const struct fg_usage USAGE = {
    .name = "flawgate eval",
    .takes = "NAME.fgb DIR",
    .least = 2,
    .most = 2,
    .about =
        "Says how well a bundle judges the test pictures of DIR, a category in MVTec layout: test/good,\n"
        "test/DEFECT and ground_truth/DEFECT.\n",
    .options = FG_OPTIONS(OPTIONS),
    .computes = true,
};

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

static void print_verdicts(const struct fg_evaluation *e, const char *sentence) {
    char verdicts[4096];
    fg_evaluation_verdicts(e, verdicts, sizeof verdicts);
    printf("%s\nAt this threshold %s %.1f s.\n", sentence, verdicts, e->seconds);
    if (fg_evaluation_is_weak(e))
        printf(
            "These are few: look at the pictures with flawgate infer before this bundle goes to a line.\n");
}

static enum fg_status print_figures(struct eval *eval, struct fg_message *message) {
    struct fg_evaluation *e = &eval->evaluation;
    struct fg_figures figures;
    enum fg_status status = fg_metrics_figures(e->metrics, 0, &figures, message);
    if (status != FG_OK)
        return status;
    const struct fg_calibration *calibration = &fg_bundle_header(eval->desk.bundle)->calibration;
    char sentence[512];
    fg_decision_sentence(calibration, sentence, sizeof sentence);
    if (eval->common.json) {
        printf("{");
        print_json_figures(&figures);
        printf(", \"seconds\": %.3f, \"threshold\": ", e->seconds);
        fg_json_number(stdout, (double)calibration->threshold);
        printf(
            ", \"good\": %u, \"false_rejects\": %u, \"defective\": %u, \"detected\": %u, \"calibration\": ",
            e->pictures[0], e->rejected[0], e->defective, e->detected);
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
        print_verdicts(e, sentence);
    return status;
}

static enum fg_status evaluate_bundle(struct eval *e, const char *folder, struct fg_message *message) {
    struct fg_progress progress;
    fg_progress_begin(&progress, "judging picture", e->common.quiet);
    enum fg_status status =
        fg_evaluate(&e->evaluation, &e->desk, folder, fg_bundle_header(e->desk.bundle)->calibration.threshold,
                    fg_progress_count, &progress, message);
    fg_progress_clear(&progress);
    return status;
}

int fg_tool_eval(int argc, char **argv) {
    static struct eval e;
    struct fg_message message;
    bool over;
    enum fg_status status = fg_usage_read(&USAGE, &argc, argv, &e, &over, &message);
    if (over)
        return 0;
    if (status == FG_OK)
        status = fg_common_device(&e.common, 0, 0, &e.backend, &message);
    if (status == FG_OK)
        status = fg_desk_open(&e.desk, argv[1], e.backend, true, &message);
    if (status == FG_OK)
        status = evaluate_bundle(&e, argv[2], &message);
    if (status == FG_OK)
        status = print_figures(&e, &message);
    if (status != FG_OK)
        fg_usage_fail(&USAGE, status, &message);
    fg_evaluation_close(&e.evaluation);
    fg_desk_close(&e.desk);
    if (e.backend)
        e.backend->close(e.backend);
    return fg_exit_status(status);
}
