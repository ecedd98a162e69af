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
    const char **picture;      /* {pictures}: files that the threshold is found with */
    uint32_t *place;           /* {pictures}: among the files of data */
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

/* Finds the place of a picture among those that the bundle knows; their number where it does not know it. */
static uint32_t find_known(const struct quantise *q, uint32_t knows, const uint8_t hash[FG_HASH_SIZE]) {
    uint32_t k = 0;
    while (k < knows && memcmp(q->known[k].hash, hash, sizeof q->known[k].hash) != 0)
        k++;
    return k;
}

/* Lists the pictures that the threshold was found with, each with its group. All must be there, or the new
 * threshold would say something else than the old one; others do not count. */
static enum fg_status list_pictures(struct quantise *q, struct fg_message *message) {
    const struct fg_calibration *c = &fg_bundle_header(q->bundle)->calibration;
    const uint32_t knows = c->pictures + c->odd;
    uint32_t others = 0;
    q->group = calloc(knows, sizeof *q->group);
    q->place = calloc(knows, sizeof *q->place);
    q->picture = calloc(knows, sizeof *q->picture);
    if (!q->group || !q->place || !q->picture)
        return fg_fail(message, FG_ENVIRONMENT, "no memory to quantise %.300s", q->path);
    for (uint32_t i = 0; i < q->data.files.count; i++) {
        uint8_t hash[FG_HASH_SIZE];
        const enum fg_status status = fg_file_hash(q->data.files.path[i], hash, message);
        if (status != FG_OK)
            return status;
        const uint32_t k = find_known(q, knows, hash);
        if (k == knows || q->picture[k]) {
            others++;
        } else {
            q->picture[k] = q->data.files.path[i];
            q->place[k] = i;
        }
    }
    for (uint32_t k = 0; k < knows; k++)
        if (q->picture[k]) {
            q->group[q->pictures] = q->known[k].group;
            q->place[q->pictures] = q->place[k];
            q->picture[q->pictures++] = q->picture[k];
        }
    if (q->pictures < knows)
        return fg_fail(
            message, FG_INPUT,
            "%.120s lacks %u of the %u pictures that the threshold of %.120s was found with; put all "
            "of them into one folder",
            q->folder, knows - q->pictures, knows, q->path);
    if (others)
        fg_report_add(&q->remarks, "%u pictures do not count: the threshold was not found with them.",
                      others);
    if (c->expected <= 0)
        fg_report_add(&q->remarks, "The old threshold %.4f was set by hand; it is found anew.",
                      (double)c->threshold);
    return FG_OK;
}

static enum fg_status make_draft(struct quantise *q, struct fg_message *message) {
    const struct fg_network *network = fg_bundle_network(q->bundle);
    const uint32_t most = q->pictures < FG_QUANTISE_PICTURES ? q->pictures : FG_QUANTISE_PICTURES;
    const uint8_t *picture[FG_QUANTISE_PICTURES];
    for (uint32_t i = 0; i < most; i++)
        picture[i] =
            q->data.pixels + q->place[(size_t)i * q->pictures / most] * fg_dataset_picture_bytes(&q->data);
    begin_progress(q, "quantising: picture");
    const struct fg_quantising quantising = {.network = network,
                                             .folded = &q->folded,
                                             .backend = q->backend,
                                             .picture = picture,
                                             .pictures = most,
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
        status = list_pictures(q, message);
    if (status == FG_OK)
        status = make_draft(q, message);
    if (status == FG_OK)
        status = calibrate_draft(q, message);
    if (status == FG_OK) {
        evaluate_draft(q);
        status = fg_draft_replace(&q->draft, path, FG_FLOAT_ENDING, message);
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
    free(q->place);
    free(q->picture);
    fg_dataset_close(&q->data);
    free(q->known);
    fg_bundle_close(q->bundle);
    if (q->backend)
        q->backend->close(q->backend);
    free(q);
    return status;
}
