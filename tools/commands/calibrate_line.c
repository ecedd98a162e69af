/* Finds a bundle's scores in a line's log, and sets its threshold from them. */
#include "tools/commands/calibrate_line.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/store/refit.h"
#include "runtime/store/scores.h"
#include "trainer/bundle/tail.h"

/* All that is taken, to be freed. */
struct line {
    struct fg_bundle *bundle;
    struct fg_bundle_header header; /* the new one */
    float score[FG_LINE_SCORES];    /* in rising order */
    uint32_t scores;
    uint8_t *picture;
    float *map, *scene_mean, *scene_scale, *place_mean, *place_scale;
    struct fg_good *good;
    void *scratch;
};

static int compare_scores(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* Takes the newest scores of the bundle. */
static enum fg_status take_scores(struct line *l, const char *path, struct fg_message *message) {
    struct fg_score *score;
    uint32_t count, torn;
    const enum fg_status status = fg_scores_read(path, &score, &count, &torn, message);
    if (status != FG_OK)
        return status;
    const uint32_t checksum = fg_bundle_checksum(l->bundle);
    for (uint32_t i = count; i > 0 && l->scores < FG_LINE_SCORES; i--)
        if (score[i - 1].checksum == checksum && isfinite(score[i - 1].score))
            l->score[l->scores++] = score[i - 1].score;
    free(score);
    qsort(l->score, l->scores, sizeof *l->score, compare_scores);
    return FG_OK;
}

static uint32_t count_above(const struct line *l, float limit) {
    uint32_t above = 0;
    while (above < l->scores && l->score[l->scores - above - 1] > limit)
        above++;
    return above;
}

static enum fg_status find_threshold(struct line *l, const struct fg_line_calibrating *c,
                                     struct fg_calibrated *found, struct fg_message *message) {
    struct fg_calibration *calibration = &l->header.calibration;
    found->old_threshold = calibration->threshold;
    const enum fg_status status = fg_refit(l->score, l->scores, fg_score_is_local(l->header.spec.score),
                                           c->false_rejects, calibration, message);
    if (status != FG_OK)
        return fg_fail_in(message, status, c->log);
    if (c->threshold > 0) {
        calibration->threshold = c->threshold;
        calibration->doubtful = fminf(calibration->doubtful, c->threshold);
        calibration->expected = 0;
    }
    calibration->unseen = found->judged = l->scores;
    calibration->rejected = count_above(l, calibration->threshold);
    calibration->bound = (float)fg_tail_bound(calibration->rejected, calibration->unseen);
    calibration->bump = calibration->bump_anywhere = 0; /* scores do not show places */
    found->above = count_above(l, found->old_threshold);
    if (!c->force && fg_decision_are_many(found->above, found->judged))
        return fg_fail(
            message, FG_INPUT,
            "%u of %u scores are above the old threshold %.4f: if nearly all parts were good and only "
            "the light or the camera has changed, give --force",
            found->above, found->judged, (double)found->old_threshold);
    return FG_OK;
}

/* Puts the line's good scores in the place of those of an earlier calibration. */
static enum fg_status replace_good(struct line *l, struct fg_message *message) {
    const struct fg_calibration *old = &fg_bundle_header(l->bundle)->calibration;
    struct fg_calibration *calibration = &l->header.calibration;
    const uint32_t known = old->pictures + old->odd;
    uint32_t count = 0;
    l->good = calloc((size_t)known + l->scores + 1, sizeof *l->good);
    if (!l->good)
        return fg_fail(message, FG_ENVIRONMENT, "calibration: no memory for %u scores", known + l->scores);
    const enum fg_status status = fg_bundle_good(l->bundle, l->good, l->scratch, message);
    for (uint32_t i = 0; i < known && status == FG_OK; i++)
        if (l->good[i].group != FG_GOOD_ADDED)
            l->good[count++] = l->good[i];
    memset(l->good + count, 0, (known - count) * sizeof *l->good);
    for (uint32_t i = 0; i < l->scores && l->score[i] <= calibration->threshold; i++)
        l->good[count++] = (struct fg_good){.group = FG_GOOD_ADDED, .score = l->score[i]};
    calibration->odd = old->odd < count ? old->odd : count;
    calibration->pictures = count - calibration->odd;
    return status;
}

/* Takes over all else that the bundle can be checked by. */
static enum fg_status take_evidence(struct line *l, struct fg_message *message) {
    const struct fg_network_spec *spec = &l->header.spec;
    const size_t pixels = (size_t)spec->height * (size_t)spec->width;
    const size_t scene = fg_bundle_network(l->bundle)->descriptors;
    const bool has_scene = l->header.scene_limit > 0, is_local = fg_score_is_local(spec->score);
    l->scratch = malloc(fg_bundle_scratch());
    l->picture = malloc(3 * pixels);
    l->map = malloc(pixels * sizeof *l->map);
    l->scene_mean = malloc((scene + 1) * sizeof *l->scene_mean);
    l->scene_scale = malloc((scene + 1) * sizeof *l->scene_scale);
    l->place_mean = malloc(pixels * sizeof *l->place_mean);
    l->place_scale = malloc(pixels * sizeof *l->place_scale);
    if (!l->scratch || !l->picture || !l->map || !l->scene_mean || !l->scene_scale || !l->place_mean ||
        !l->place_scale)
        return fg_fail(message, FG_ENVIRONMENT, "calibration: no memory");
    enum fg_status status = fg_bundle_self_test(l->bundle, l->picture, l->map, l->scratch, message);
    if (status == FG_OK && has_scene)
        status = fg_bundle_scene(l->bundle, l->scene_mean, l->scene_scale, l->scratch, message);
    if (status == FG_OK && is_local)
        status = fg_bundle_places(l->bundle, l->place_mean, l->place_scale, l->scratch, message);
    return status;
}

static enum fg_status write_bundle(const struct line *l, const char *path, struct fg_message *message) {
    const struct fg_evidence evidence = {.input = l->picture,
                                         .map = l->map,
                                         .good = l->good,
                                         .scene_mean = l->header.scene_limit > 0 ? l->scene_mean : NULL,
                                         .scene_scale = l->header.scene_limit > 0 ? l->scene_scale : NULL,
                                         .place_mean = l->place_mean,
                                         .place_scale = l->place_scale};
    char backup[4096];
    if ((size_t)snprintf(backup, sizeof backup, "%s%s", path, FG_BACKUP_ENDING) >= sizeof backup)
        return fg_fail(message, FG_USAGE, "%.100s...: the path is too long", path);
    const enum fg_status status = fg_file_copy(path, backup, message);
    return status == FG_OK ? fg_bundle_write(l->bundle, path, &l->header, &evidence, message) : status;
}

static void free_line(struct line *l) {
    fg_bundle_close(l->bundle);
    free(l->picture);
    free(l->map);
    free(l->scene_mean);
    free(l->scene_scale);
    free(l->place_mean);
    free(l->place_scale);
    free(l->good);
    free(l->scratch);
}

enum fg_status fg_calibrate_line(const struct fg_line_calibrating *calibrating, struct fg_calibrated *found,
                                 struct fg_message *message) {
    static struct line l; /* large for a stack; a program calibrates once */
    l = (struct line){.bundle = NULL};
    *found = (struct fg_calibrated){.judged = 0};
    enum fg_status status = fg_bundle_open(calibrating->bundle, &l.bundle, message);
    if (status == FG_OK) {
        l.header = *fg_bundle_header(l.bundle);
        if (!l.header.calibrated)
            status =
                fg_fail(message, FG_INPUT,
                        "%.300s: not calibrated, so no line has scores of it; run flawgate calibrate with a "
                        "folder of pictures",
                        calibrating->bundle);
    }
    if (status == FG_OK)
        status = take_scores(&l, calibrating->log, message);
    if (status == FG_OK)
        status = find_threshold(&l, calibrating, found, message);
    if (status == FG_OK)
        status = take_evidence(&l, message);
    if (status == FG_OK)
        status = replace_good(&l, message);
    if (status == FG_OK && !calibrating->dry_run)
        status = write_bundle(&l, calibrating->bundle, message);
    found->calibration = l.header.calibration;
    free_line(&l);
    return status;
}
