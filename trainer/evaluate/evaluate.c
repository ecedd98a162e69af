#include "trainer/evaluate/evaluate.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"

struct job {
    struct fg_evaluation *evaluation;
    struct fg_station *station;
    const struct fg_bundle_header *header;
    uint8_t *mask;
};

/* The number of a kind of defect; 0 is good. */
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
    const float threshold = job->header->calibration.threshold;
    struct fg_image image;
    struct fg_judgement judgement;
    uint8_t group;
    enum fg_status status = find_group(e, picture->defect, &group, message);
    if (status == FG_OK)
        status = fg_image_read(picture->path, &image, message);
    if (status != FG_OK)
        return status;
    status = fg_station_judge(job->station, picture->path, &image, threshold, &judgement, message);
    fg_image_free(&image);
    if (status == FG_OK && picture->mask)
        status = fg_mask_read(picture->mask, job->header->spec.height, job->header->spec.width, job->mask,
                              message);
    if (status != FG_OK)
        return status;
    fg_metrics_add(e->metrics, fg_engine_map(job->station->engine), judgement.score, group,
                   picture->mask ? job->mask : NULL);
    const bool rejected = !judgement.finite || judgement.score > threshold;
    if (group) {
        e->defective++;
        e->detected += rejected;
    } else {
        e->good++;
        e->rejected_good += rejected;
    }
    return FG_OK;
}

enum fg_status fg_evaluate(struct fg_evaluation *evaluation, struct fg_station *station, const char *folder,
                           fg_evaluate_function *progress, void *argument, struct fg_message *message) {
    struct fg_evaluation *e = evaluation;
    memset(e, 0, sizeof *e);
    enum fg_status status = fg_test_set_open(&e->set, folder, message);
    if (status != FG_OK)
        return status;
    const struct fg_bundle_header *header = fg_bundle_header(station->bundle);
    const int32_t height = header->spec.height, width = header->spec.width;
    struct job job = {.evaluation = e,
                      .station = station,
                      .header = header,
                      .mask = malloc((size_t)height * (size_t)width)};
    status = job.mask ? fg_metrics_open(e->set.count, height, width, &e->metrics, message)
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
