/* Judges a category's test pictures and collects what the metrics need. */
#include "trainer/evaluate/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"

#define FEW_DETECTED 0.5f /* a share of the known defects below which a bundle is weak */

/* An evaluation that is under way. */
struct job {
    struct fg_evaluation *evaluation;
    struct fg_desk *desk;
    float threshold;
    int32_t height, width; /* pixels of maps and masks */
    uint8_t *mask;         /* {height, width} */
};

/* Finds the number of a kind of defect, which is a new one at its first picture; 0 is good. */
static enum fg_status find_group(struct fg_evaluation *e, const char *defect, uint8_t *group,
                                 struct fg_message *message) {
    *group = 0;
    if (!strcmp(defect, "good"))
        return FG_OK;
    for (uint32_t i = 1; i <= e->groups; i++)
        if (!strcmp(e->group[i], defect)) {
            *group = (uint8_t)i;
            return FG_OK;
        }
    if (e->groups == FG_EVALUATION_GROUPS)
        return fg_fail(message, FG_INPUT, "%.300s: more than %d kinds of defect", defect,
                       FG_EVALUATION_GROUPS);
    e->group[++e->groups] = defect;
    *group = (uint8_t)e->groups;
    return FG_OK;
}

static enum fg_status judge_picture(struct job *job, const struct fg_test_picture *picture,
                                    struct fg_message *message) {
    struct fg_evaluation *e = job->evaluation;
    struct fg_image image;
    struct fg_judgement judgement;
    uint8_t group;
    enum fg_status status = find_group(e, picture->defect, &group, message);
    if (status == FG_OK)
        status = fg_image_read(picture->path, &image, message);
    if (status != FG_OK)
        return status;
    status = fg_desk_judge(job->desk, picture->path, &image, job->threshold, &judgement, message);
    fg_image_free(&image);
    if (status == FG_OK && picture->mask)
        status = fg_mask_read(picture->mask, job->height, job->width, job->mask, message);
    if (status != FG_OK)
        return status;
    fg_metrics_add(e->metrics, fg_engine_map(job->desk->engine), judgement.score, group,
                   picture->mask ? job->mask : NULL);
    const bool rejected = !judgement.finite || !judgement.alike || judgement.score > job->threshold;
    e->pictures[group]++;
    e->rejected[group] += rejected;
    e->defective += group > 0;
    e->detected += group > 0 && rejected;
    return FG_OK;
}

enum fg_status fg_evaluate(struct fg_evaluation *evaluation, struct fg_desk *desk, const char *folder,
                           float threshold, fg_progress_function *progress, void *argument,
                           struct fg_message *message) {
    struct fg_evaluation *e = evaluation;
    memset(e, 0, sizeof *e);
    enum fg_status status = fg_test_set_open(&e->set, folder, message);
    if (status != FG_OK)
        return status;
    const struct fg_network_spec *spec = &fg_bundle_header(desk->bundle)->spec;
    struct job job = {.evaluation = e,
                      .desk = desk,
                      .threshold = threshold,
                      .height = spec->height,
                      .width = spec->width,
                      .mask = malloc((size_t)spec->height * (size_t)spec->width)};
    status = job.mask ? fg_metrics_open(e->set.count, job.height, job.width, &e->metrics, message)
                      : fg_fail(message, FG_ENVIRONMENT, "no memory for a mask");
    const int64_t start = fg_clock_ns();
    for (uint32_t i = 0; i < e->set.count && status == FG_OK; i++) {
        status = judge_picture(&job, &e->set.picture[i], message);
        if (status == FG_OK && progress)
            progress(argument, i + 1, e->set.count);
    }
    e->seconds = (double)(fg_clock_ns() - start) / 1e9;
    free(job.mask);
    return status;
}

void fg_evaluation_close(struct fg_evaluation *evaluation) {
    fg_metrics_close(evaluation->metrics);
    fg_test_set_close(&evaluation->set);
}

/* Gives -1 for NaN, which a bundle's field cannot hold. */
static float replace_nan(double figure) {
    return isnan(figure) ? -1 : (float)figure;
}

void fg_evaluation_enter(const struct fg_figures *figures, struct fg_provenance *provenance) {
    provenance->test_pictures = figures->images;
    provenance->image_auroc = replace_nan(figures->image_auroc);
    provenance->pixel_auroc = replace_nan(figures->pixel_auroc);
    provenance->pro = replace_nan(figures->pro);
}

void fg_evaluation_sentence(const struct fg_figures *figures, char *text, size_t size) {
    const struct {
        const char *name;
        double value;
    } named[] = {
        {"image AUROC", figures->image_auroc}, {"pixel AUROC", figures->pixel_auroc}, {"PRO", figures->pro}};
    size_t used = (size_t)snprintf(text, size, "Of %u test pictures", figures->images);
    for (size_t i = 0; i < sizeof named / sizeof *named && used < size; i++)
        used += (size_t)(isnan(named[i].value) ? snprintf(text + used, size - used, ", no %s", named[i].name)
                                               : snprintf(text + used, size - used, ", %s %.2f %%",
                                                          named[i].name, 100 * named[i].value));
}

void fg_evaluation_verdicts(const struct fg_evaluation *e, char *text, size_t size) {
    size_t used =
        (size_t)snprintf(text, size, "%u of %u defective pictures are detected, %u of %u good ones rejected",
                         e->detected, e->defective, e->rejected[0], e->pictures[0]);
    for (uint32_t g = 1; g <= e->groups && used < size; g++)
        used += (size_t)snprintf(text + used, size - used, "%s%s %u of %u", g == 1 ? "; by kind: " : ", ",
                                 e->group[g], e->rejected[g], e->pictures[g]);
    if (used < size)
        snprintf(text + used, size - used, ".");
}

bool fg_evaluation_is_weak(const struct fg_evaluation *e) {
    return e->defective && (float)e->detected < FEW_DETECTED * (float)e->defective;
}
