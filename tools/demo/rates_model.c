/* Trains one model by flawgate-train, and counts what its bundle rejects. */
#include "tools/demo/rates_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/engine/desk.h"
#include "tools/demo/picture_set.h"
#include "tools/demo/process.h"

#define PATH_SIZE 4096
#define BATCH 8
#define UNSEEN (1u << 20) /* number of the first part that is judged */

/* A model's files. */
struct files {
    char pictures[PATH_SIZE], bundle[PATH_SIZE], state[PATH_SIZE];
};

static enum fg_status name_files(const struct fg_rates_plan *plan, const struct fg_rates_model *model,
                                 struct files *files, struct fg_message *message) {
    const int length = snprintf(files->pictures, sizeof files->pictures, "%s/%s-%u-%u-%u", plan->folder,
                                fg_picture_kind_name(model->kind), plan->size, model->train, model->seed);
    if (length < 0 || length > PATH_SIZE - 64)
        return fg_fail(message, FG_USAGE, "%.100s...: the path is too long", plan->folder);
    snprintf(files->bundle, sizeof files->bundle, "%.*s-%u-%s.fgb", length, files->pictures, plan->steps,
             plan->score);
    snprintf(files->state, sizeof files->state, "%.*s-%u-%s.state", length, files->pictures, plan->steps,
             plan->score);
    return FG_OK;
}

/* Gives the seed of a model's parts: no two models share one. */
static uint64_t get_seed(const struct fg_rates_model *model) {
    return (uint64_t)model->seed << 32 | model->train;
}

static enum fg_status train_model(const struct fg_rates_plan *plan, const struct fg_rates_model *model,
                                  const struct files *files, struct fg_message *message) {
    const struct fg_picture_set set = {
        .kind = model->kind, .seed = get_seed(model), .size = (int32_t)plan->size, .train = model->train};
    char size[16], batch[16], epochs[16], seed[16];
    snprintf(size, sizeof size, "%u", plan->size);
    snprintf(batch, sizeof batch, "%d", BATCH);
    snprintf(epochs, sizeof epochs, "%u", (plan->steps * BATCH + model->train - 1) / model->train);
    snprintf(seed, sizeof seed, "%u", model->seed);
    const char *const arguments[] = {files->pictures,
                                     "--out",
                                     files->bundle,
                                     "--teacher",
                                     plan->teacher,
                                     "--size",
                                     size,
                                     "--batch",
                                     batch,
                                     "--epochs",
                                     epochs,
                                     "--seed",
                                     seed,
                                     "--score",
                                     plan->score,
                                     "--threads",
                                     "1",
                                     "--quiet",
                                     access(files->state, F_OK) ? NULL : "--resume",
                                     NULL};
    enum fg_status status = fg_picture_set_write(files->pictures, &set, NULL, NULL, message);
    if (status != FG_OK)
        return status;
    status = fg_process_run("flawgate-train", arguments, NULL, 0, message);
    return status == FG_OK ? status : fg_fail_in(message, status, files->bundle);
}

/* A bundle that judges parts as they are made. */
struct judge {
    const struct fg_rates_plan *plan;
    const struct fg_rates_model *model;
    struct fg_desk desk;
    uint8_t *rgb;
    uint32_t next; /* number of the next part */
};

/* Makes parts with one defect and judges them. above, unlike: how many are above the threshold, and how many
 * others are unlike the scene. */
static enum fg_status judge_parts(struct judge *j, enum fg_picture_defect defect, uint32_t count,
                                  uint32_t *above, uint32_t *unlike, struct fg_message *message) {
    const int32_t size = (int32_t)j->plan->size;
    const float threshold = fg_bundle_header(j->desk.bundle)->calibration.threshold;
    *above = *unlike = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct fg_judgement judgement;
        char name[64];
        snprintf(name, sizeof name, "%s %u", fg_picture_defect_name(defect), j->next);
        fg_picture_part(j->model->kind, get_seed(j->model), j->next++, defect, size, j->rgb, NULL);
        enum fg_status status = fg_desk_judge(&j->desk, name, &(struct fg_image){j->rgb, size, size, 3},
                                              INFINITY, &judgement, message);
        if (status != FG_OK)
            return status;
        if (!(judgement.score <= threshold))
            ++*above;
        else
            *unlike += !judgement.alike;
    }
    return FG_OK;
}

static enum fg_status judge_model(const struct fg_rates_plan *plan, struct fg_rates_model *model,
                                  const char *bundle, struct fg_backend *backend,
                                  struct fg_message *message) {
    struct judge j = {
        .plan = plan, .model = model, .rgb = malloc((size_t)plan->size * plan->size * 3), .next = UNSEEN};
    if (!j.rgb)
        return fg_fail(message, FG_ENVIRONMENT, "no memory for a picture");
    enum fg_status status = fg_desk_open(&j.desk, bundle, backend, true, message);
    if (status == FG_OK) {
        const struct fg_bundle_header *header = fg_bundle_header(j.desk.bundle);
        model->form = header->spec.score;
        model->calibration = header->calibration;
        status = judge_parts(&j, FG_PICTURE_GOOD, plan->parts, &model->above, &model->unlike, message);
    }
    for (int d = FG_PICTURE_GOOD + 1; d < FG_PICTURE_DEFECTS && status == FG_OK; d++) {
        uint32_t above, unlike;
        status = judge_parts(&j, (enum fg_picture_defect)d, plan->defective, &above, &unlike, message);
        model->detected[d] = above + unlike;
    }
    fg_desk_close(&j.desk);
    free(j.rgb);
    return status;
}

enum fg_status fg_rates_model_run(const struct fg_rates_plan *plan, struct fg_rates_model *model,
                                  struct fg_backend *backend, struct fg_message *message) {
    struct files files;
    enum fg_status status = name_files(plan, model, &files, message);
    if (status == FG_OK && access(files.bundle, F_OK))
        status = train_model(plan, model, &files, message);
    return status == FG_OK ? judge_model(plan, model, files.bundle, backend, message) : status;
}
