/* flawgate bundle quantise NAME.fgb DIR: makes a bundle's convolutions int8 and finds its threshold anew. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/json.h"
#include "tools/commands/bundle_command.h"
#include "trainer/bundle/calibrate.h"
#include "trainer/bundle/quantise.h"
#include "trainer/data/dataset.h"
#include "trainer/evaluate/evaluate.h"

struct quantise {
    const char *path, *folder;
    struct fg_common *common;
    struct fg_progress progress;
    struct fg_backend *backend;
    struct fg_bundle *bundle; /* as it is */
    struct fg_dataset data;
    struct fg_good *known;     /* the pictures that the bundle knows */
    const char **picture;      /* {pictures}: files that can set the threshold */
    enum fg_good_group *group; /* {pictures} */
    uint32_t pictures;
    struct fg_folded folded;
    struct fg_int8 int8;
    struct fg_draft draft; /* as it will be */
    struct fg_calibrated found;
    struct fg_report remarks;          /* pictures that could not be judged, or that are odd */
    char verdicts[4096], figures[128]; /* of the test pictures; empty: there are none */
};

static void begin_progress(struct quantise *q, const char *what) {
    fg_progress_clear(&q->progress);
    fg_progress_begin(&q->progress, what, q->common->quiet);
}

static enum fg_status open_bundle(struct quantise *q, struct fg_message *message) {
    enum fg_status status = fg_bundle_open(q->path, &q->bundle, message);
    if (status != FG_OK)
        return status;
    const struct fg_bundle_header *header = fg_bundle_header(q->bundle);
    const struct fg_calibration *c = &header->calibration;
    if (!header->calibrated || !(c->pictures + c->odd))
        return fg_fail(message, FG_INPUT,
                       "%.300s: does not know the good pictures that its threshold was found with; run "
                       "flawgate calibrate on it first",
                       q->path);
    if (fg_bundle_is_int8(q->bundle))
        return fg_fail(message, FG_INPUT, "%.300s: is int8 already", q->path);
    void *scratch = malloc(fg_bundle_scratch());
    q->known = calloc((size_t)c->pictures + c->odd, sizeof *q->known);
    status = scratch && q->known ? fg_bundle_good(q->bundle, q->known, scratch, message)
                                 : fg_fail(message, FG_ENVIRONMENT, "no memory to quantise %.300s", q->path);
    free(scratch);
    return status == FG_OK ? fg_folded_load(&q->folded, q->bundle, message) : status;
}

static enum fg_status open_data(struct quantise *q, struct fg_message *message) {
    const struct fg_bundle_header *header = fg_bundle_header(q->bundle);
    begin_progress(q, "reading picture");
    const enum fg_status status =
        fg_dataset_open(&q->data, q->folder, header->spec.height, header->spec.width, header->provenance.seed,
                        q->backend, fg_progress_count, &q->progress, message);
    fg_progress_clear(&q->progress);
    for (uint32_t i = 0; i < q->data.skips; i++)
        fprintf(stderr, "skipped: %s\n", q->data.skipped[i].reason.text);
    return status;
}

/* Lists the pictures that can set the threshold, each with the group that it has in the bundle. One that the
 * line's camera cannot give does not, as in training. */
static enum fg_status find_groups(struct quantise *q, struct fg_message *message) {
    const struct fg_calibration *c = &fg_bundle_header(q->bundle)->calibration;
    uint32_t trained = 0, unseen = 0;
    q->group = calloc(q->data.files.count, sizeof *q->group);
    q->picture = calloc(q->data.files.count, sizeof *q->picture);
    if (!q->group || !q->picture)
        return fg_fail(message, FG_ENVIRONMENT, "no memory to quantise %.300s", q->path);
    for (uint32_t i = 0; i < q->data.files.count; i++) {
        uint8_t hash[FG_HASH_SIZE];
        if (q->data.deviates[i])
            continue;
        const enum fg_status status = fg_file_hash(q->data.files.path[i], hash, message);
        if (status != FG_OK)
            return status;
        enum fg_good_group group = FG_GOOD_ADDED;
        for (uint32_t k = 0; k < c->pictures + c->odd; k++)
            if (!memcmp(q->known[k].hash, hash, sizeof q->known[k].hash))
                group = q->known[k].group;
        trained += group == FG_GOOD_TRAINING;
        unseen += group != FG_GOOD_TRAINING;
        q->picture[q->pictures] = q->data.files.path[i];
        q->group[q->pictures++] = group;
    }
    if (trained >= FG_DATASET_LEAST && unseen >= FG_HELD_OUT_LEAST)
        return FG_OK;
    return fg_fail(
        message, FG_INPUT,
        "%.250s: has %u pictures that %.250s was trained on and %u others, but it takes %d and %d; "
        "give the folder that it was trained on",
        q->folder, trained, q->path, unseen, FG_DATASET_LEAST, FG_HELD_OUT_LEAST);
}

static enum fg_status make_draft(struct quantise *q, struct fg_message *message) {
    const struct fg_network *network = fg_bundle_network(q->bundle);
    const uint8_t *picture[FG_QUANTISE_PICTURES];
    begin_progress(q, "quantising: picture");
    const struct fg_quantising quantising = {.network = network,
                                             .folded = &q->folded,
                                             .backend = q->backend,
                                             .picture = picture,
                                             .pictures =
                                                 fg_dataset_choose(&q->data, FG_QUANTISE_PICTURES, picture),
                                             .progress = fg_progress_count,
                                             .argument = &q->progress};
    enum fg_status status = fg_int8_make(&q->int8, &quantising, message);
    struct fg_bundle_header header = *fg_bundle_header(q->bundle);
    header.calibrated = false;
    header.scene_limit = 0;
    header.provenance.test_pictures = 0;
    if (status == FG_OK)
        status =
            fg_draft_open_folded(&q->draft, q->path, &q->folded, q->int8.param, &header, q->backend, message);
    return status;
}

/* Finds the threshold with what the bundle's was found with, in the form that its score has. */
static enum fg_status calibrate_draft(struct quantise *q, struct fg_message *message) {
    const struct fg_bundle_header *header = fg_bundle_header(q->bundle);
    begin_progress(q, "judging picture");
    return fg_calibrate_draft(&q->draft,
                              &(struct fg_calibrating){.path = q->picture,
                                                       .group = q->group,
                                                       .count = q->pictures,
                                                       .false_rejects = header->calibration.false_rejects,
                                                       .score = header->spec.score,
                                                       .remarks = &q->remarks,
                                                       .progress = fg_progress_count,
                                                       .argument = &q->progress},
                              &q->found, message);
}

/* Enters how well the new bundle does on the folder's test pictures. Those that are wrong do not stop it. */
static void evaluate_draft(struct quantise *q) {
    struct fg_evaluation evaluation;
    struct fg_figures figures;
    struct fg_message why;
    if (!fg_test_set_exists(q->folder))
        return;
    begin_progress(q, "evaluating on picture");
    enum fg_status status =
        fg_evaluate(&evaluation, &q->draft.desk, q->folder, q->draft.header.calibration.threshold,
                    fg_progress_count, &q->progress, &why);
    if (status == FG_OK)
        status = fg_metrics_figures(evaluation.metrics, 0, &figures, &why);
    fg_progress_clear(&q->progress);
    if (status == FG_OK) {
        fg_evaluation_enter(&figures, &q->draft.header.provenance);
        fg_evaluation_sentence(&figures, q->figures, sizeof q->figures);
        fg_evaluation_verdicts(&evaluation, q->verdicts, sizeof q->verdicts);
    } else {
        fprintf(stderr, "The test pictures were not judged: %s\n", why.text);
    }
    fg_evaluation_close(&evaluation);
}

static void print_text(const struct quantise *q) {
    char sentence[512];
    fg_decision_sentence(&q->found.calibration, sentence, sizeof sentence);
    printf("%u of %u convolutions are int8; the map differs by %.1f %% of its mean.\n", q->int8.quantised,
           q->int8.convolutions, 100 * (double)q->int8.error);
    printf("Threshold %.4f -> %.4f.\n", (double)fg_bundle_header(q->bundle)->calibration.threshold,
           (double)q->found.calibration.threshold);
    puts(sentence);
    if (*q->figures)
        printf("%s. At this threshold %s\n", q->figures, q->verdicts);
}

static void print_json(const struct quantise *q) {
    printf("{\"file\": ");
    fg_json_text(stdout, q->path);
    printf(", \"convolutions\": %u, \"int8\": %u, \"map_error\": ", q->int8.convolutions, q->int8.quantised);
    fg_json_number(stdout, (double)q->int8.error);
    printf(", \"old_threshold\": ");
    fg_json_number(stdout, (double)fg_bundle_header(q->bundle)->calibration.threshold);
    printf(", \"threshold\": ");
    fg_json_number(stdout, (double)q->found.calibration.threshold);
    puts("}");
}

enum fg_status fg_bundle_quantise(const char *path, const char *folder, struct fg_common *common,
                                  struct fg_message *message) {
    struct quantise *q = calloc(1, sizeof *q);
    if (!q)
        return fg_fail(message, FG_ENVIRONMENT, "no memory to quantise %.300s", path);
    q->path = path;
    q->folder = folder;
    q->common = common;
    enum fg_status status = open_bundle(q, message);
    if (status == FG_OK)
        status = fg_common_device(common, 0, 0, &q->backend, message);
    if (status == FG_OK)
        status = open_data(q, message);
    if (status == FG_OK)
        status = find_groups(q, message);
    if (status == FG_OK)
        status = make_draft(q, message);
    if (status == FG_OK)
        status = calibrate_draft(q, message);
    if (status == FG_OK) {
        evaluate_draft(q);
        status = fg_draft_replace(&q->draft, path, message);
    }
    fg_progress_clear(&q->progress);
    fputs(q->remarks.text ? q->remarks.text : "", stderr);
    if (status == FG_OK && common->json)
        print_json(q);
    else if (status == FG_OK)
        print_text(q);
    fg_report_free(&q->remarks);
    fg_draft_close(&q->draft);
    fg_int8_close(&q->int8);
    fg_folded_close(&q->folded);
    free(q->group);
    free(q->picture);
    fg_dataset_close(&q->data);
    free(q->known);
    fg_bundle_close(q->bundle);
    if (q->backend)
        q->backend->close(q->backend);
    free(q);
    return status;
}
