/* Scores good pictures, sets a bundle's threshold from the scores, and makes its self-test. */
#include "trainer/bundle/calibrate.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/bundle/scene.h"
#include "trainer/bundle/score.h"
#include "trainer/data/files.h"
#include "trainer/data/picture.h"

/* A calibration that is under way. */
struct job {
    struct fg_draft *draft;
    const struct fg_calibrating *calibrating;
    struct fg_backend *host; /* a backend in the host's memory: the draft's own, or one that the job owns */
    struct fg_scorer *scorer;
    struct fg_good *good;  /* {known + calibrating.count}: what the bundle knows first, then what is judged */
    const char **path;     /* of each; NULL for what the bundle knows */
    bool *odd;             /* of each */
    float *descriptor;     /* {judged, descriptors}; NULL: the bundle knows its scene */
    float *distance;       /* {judged}: from the scene */
    uint32_t known, count; /* pictures from the bundle, and all so far */
    bool has_picture;      /* the self-test has its picture */
    struct fg_calibrated found;
};

/* Resizes a picture for the self-test: RESIZE gives the same bytes on every backend, and here they are needed
 * in the host's memory. */
static enum fg_status make_test_picture(const struct job *job, const struct fg_image *image,
                                        struct fg_message *message) {
    const struct fg_network_spec *spec = &job->draft->header.spec;
    return fg_picture_resize(job->host, image, spec->height, spec->width, job->draft->picture, message);
}

/* Takes over what the bundle knows of training's own pictures; those of an earlier calibration make place
 * for the new ones. */
static enum fg_status take_known(struct job *job, struct fg_message *message) {
    const struct fg_bundle *bundle = job->draft->desk.bundle;
    const struct fg_calibration *c = &fg_bundle_header(bundle)->calibration;
    void *scratch = malloc(fg_bundle_scratch());
    if (!scratch)
        return fg_fail(message, FG_ENVIRONMENT, "calibration: no memory");
    enum fg_status status = fg_bundle_good(bundle, job->good, scratch, message);
    if (status == FG_OK && !job->descriptor)
        status = fg_bundle_scene(bundle, job->draft->scene_mean, job->draft->scene_scale, scratch, message);
    if (status == FG_OK && fg_score_is_local(job->draft->header.spec.score))
        status = fg_bundle_places(bundle, job->draft->place_mean, job->draft->place_scale, scratch, message);
    for (uint32_t i = 0; status == FG_OK && i < c->pictures + c->odd; i++)
        if (job->good[i].group != FG_GOOD_ADDED)
            job->good[job->known++] = job->good[i];
    job->count = job->known;
    free(scratch);
    return status;
}

/* Finds a picture of the same contents; job->count: there is none. */
static uint32_t find_same(const struct job *job, const uint8_t hash[FG_HASH_SIZE]) {
    uint32_t i = 0;
    while (i < job->count && memcmp(job->good[i].hash, hash, FG_GOOD_HASH) != 0)
        i++;
    return i;
}

static uint32_t count_descriptors(const struct fg_draft *draft) {
    return fg_bundle_network(draft->desk.bundle)->descriptors;
}

/* Judges picture i, decoded already, and enters its score. */
static enum fg_status score_picture(struct job *job, uint32_t i, const struct fg_image *image,
                                    struct fg_message *message) {
    const struct fg_calibrating *c = job->calibrating;
    uint8_t hash[FG_HASH_SIZE];
    enum fg_status status = fg_file_hash(c->path[i], hash, message);
    const uint32_t same = status == FG_OK ? find_same(job, hash) : job->count;
    if (same < job->count) {
        if (same < job->known)
            job->found.known++;
        else
            fg_report_add(c->remarks, "%s: a copy of %s, so it does not count", c->path[i], job->path[same]);
        return FG_OK;
    }
    struct fg_judgement judgement;
    if (status == FG_OK)
        status = fg_desk_judge(&job->draft->desk, c->path[i], image, INFINITY, &judgement, message);
    if (status == FG_OK && !job->has_picture)
        status = make_test_picture(job, image, message);
    if (status == FG_OK)
        status = fg_scorer_add(job->scorer, job->draft->desk.engine, message);
    if (status != FG_OK)
        return status;
    job->has_picture = true;
    job->found.judged++;
    job->found.above += job->found.old_threshold > 0 && judgement.score > job->found.old_threshold;
    struct fg_good *good = &job->good[job->count];
    *good = (struct fg_good){.group = c->group ? c->group[i] : FG_GOOD_ADDED, .score = judgement.score};
    memcpy(good->hash, hash, sizeof good->hash);
    const uint32_t judged = job->count - job->known;
    job->distance[judged] = judgement.scene;
    if (job->descriptor)
        fg_engine_descriptor(job->draft->desk.engine,
                             job->descriptor + (size_t)judged * count_descriptors(job->draft));
    job->path[job->count++] = c->path[i];
    return FG_OK;
}

static enum fg_status score_pictures(struct job *job, struct fg_message *message) {
    const struct fg_calibrating *c = job->calibrating;
    for (uint32_t i = 0; i < c->count; i++) {
        struct fg_image image;
        enum fg_status status = fg_image_read(c->path[i], &image, message);
        if (status == FG_INPUT && c->skips) {
            fg_report_add(c->remarks, "skipped: %s", message->text);
            job->found.skipped++;
            continue;
        }
        if (status != FG_OK)
            return status;
        status = score_picture(job, i, &image, message);
        fg_image_free(&image);
        if (status != FG_OK)
            return status;
        if (c->progress)
            c->progress(c->argument, i + 1, c->count);
    }
    if (job->found.known && job->found.judged < FG_DECISION_LEAST)
        return fg_fail(message, FG_INPUT,
                       "calibration: training had %u of the pictures; it takes at least %d that it did not "
                       "have, and there are %u",
                       job->found.known, FG_DECISION_LEAST, job->found.judged);
    return FG_OK;
}

static void report_odd(struct job *job) {
    for (uint32_t i = job->known; i < job->count; i++)
        if (job->odd[i]) {
            job->found.odd++;
            fg_report_add(job->calibrating->remarks,
                          "%s: its score %.4f lies far above the others; look whether the part is good. It "
                          "does not count",
                          job->path[i], (double)job->good[i].score);
        }
}

/* Finds the scene; or, where it is known, widens its limit to the new good pictures. */
static enum fg_status enter_scene(struct job *job, struct fg_message *message) {
    struct fg_draft *draft = job->draft;
    const uint32_t judged = job->count - job->known;
    float limit = draft->header.scene_limit;
    enum fg_status status = FG_OK;
    if (job->descriptor)
        status = fg_scene_find(job->descriptor, judged, count_descriptors(draft), draft->scene_mean,
                               draft->scene_scale, &limit, job->distance, message);
    for (uint32_t i = 0; i < judged && status == FG_OK; i++)
        if (!(job->distance[i] <= limit)) {
            job->found.unlike++;
            fg_report_add(
                job->calibrating->remarks,
                "%s: it is unlike the others (distance %.1f, limit %.1f); look whether it shows a part",
                job->path[job->known + i], (double)job->distance[i], (double)limit);
        }
    /* A few are odd ones, and named; where they are many, only --force has brought them here. */
    if (status == FG_OK && !job->descriptor && fg_decision_are_many(job->found.unlike, judged)) {
        float wider;
        status = fg_scene_limit(job->distance, judged, &wider, message);
        limit = status == FG_OK ? fmaxf(limit, wider) : limit;
    }
    draft->header.scene_limit = limit;
    return status;
}

/* Lets training choose the form of the score; a bundle that is a file keeps its own. */
static enum fg_status choose_score(struct job *job, struct fg_message *message) {
    struct fg_draft *draft = job->draft;
    return job->calibrating->group
               ? fg_scorer_choose(job->scorer, job->calibrating->score, job->calibrating->false_rejects,
                                  job->good, &draft->header.spec.score, draft->place_mean, draft->place_scale,
                                  job->odd, message)
               : FG_OK;
}

/* Measures what the threshold finds, on the pictures that training did not see. */
static enum fg_status enter_bump(struct job *job, struct fg_message *message) {
    const struct fg_draft *draft = job->draft;
    const bool local = fg_score_is_local(draft->header.spec.score);
    struct fg_calibration *c = &job->draft->header.calibration;
    struct fg_bump bump = {.form = draft->header.spec.score,
                           .mean = local ? draft->place_mean : NULL,
                           .scale = local ? draft->place_scale : NULL,
                           .threshold = c->threshold,
                           .good = job->good + job->known,
                           .odd = job->odd + job->known};
    const enum fg_status status = fg_scorer_bump(job->scorer, &bump, message);
    c->bump = bump.median;
    c->bump_anywhere = bump.anywhere;
    return status;
}

static void enter_table(struct job *job) {
    struct fg_calibrated *f = &job->found;
    f->rows = fg_decision_table(job->good, job->count, job->odd, &job->draft->header.calibration, f->row);
    f->largest = -INFINITY;
    for (uint32_t i = job->known; i < job->count; i++)
        if (!job->odd[i] && job->good[i].group != FG_GOOD_TRAINING)
            f->largest = fmaxf(f->largest, job->good[i].score);
}

/* Keeps what the engine makes of the self-test's picture: it must give that from now on. */
static enum fg_status make_self_test(struct fg_draft *draft, struct fg_message *message) {
    const struct fg_network_spec *spec = &draft->header.spec;
    struct fg_judgement judgement;
    enum fg_status status = fg_engine_judge_picture(draft->desk.engine, draft->picture, &judgement, message);
    if (status != FG_OK)
        return status;
    draft->header.self_test_score = judgement.score;
    memcpy(draft->map, fg_engine_map(draft->desk.engine),
           (size_t)spec->height * (size_t)spec->width * sizeof *draft->map);
    return FG_OK;
}

static enum fg_status open_job(struct job *job, struct fg_message *message) {
    struct fg_draft *draft = job->draft;
    const struct fg_calibration *old = &draft->header.calibration;
    const size_t pixels = (size_t)draft->header.spec.height * (size_t)draft->header.spec.width;
    const size_t most = (size_t)old->pictures + old->odd + job->calibrating->count + 1;
    assert(!draft->picture && !draft->map && !draft->good);
    assert(!job->calibrating->group || !draft->header.calibrated);
    draft->picture = malloc(pixels * 3);
    draft->map = calloc(pixels, sizeof *draft->map);
    draft->place_mean = malloc(pixels * sizeof *draft->place_mean);
    draft->place_scale = malloc(pixels * sizeof *draft->place_scale);
    job->good = draft->good = calloc(most, sizeof *job->good);
    job->path = calloc(most, sizeof *job->path);
    job->odd = calloc(most, sizeof *job->odd);
    job->distance = calloc(most, sizeof *job->distance);
    const size_t scene = count_descriptors(draft) * sizeof(float);
    draft->scene_mean = malloc(scene);
    draft->scene_scale = malloc(scene);
    const bool knows = draft->header.calibrated && draft->header.scene_limit > 0;
    job->descriptor = knows ? NULL : malloc(((size_t)job->calibrating->count + 1) * scene);
    if (!draft->picture || !draft->map || !job->good || !job->path || !job->odd || !job->distance ||
        !draft->scene_mean || !draft->scene_scale || !draft->place_mean || !draft->place_scale ||
        (!knows && !job->descriptor))
        return fg_fail(message, FG_ENVIRONMENT, "calibration: no memory for %zu scores", most);
    struct fg_backend *own = draft->desk.backend;
    job->host = own;
    enum fg_status status =
        own->device.host_memory ? FG_OK : fg_cpu_open(own->device.threads, 1, &job->host, message);
    if (status == FG_OK)
        status = fg_scorer_open(fg_bundle_network(draft->desk.bundle), job->calibrating->count, job->host,
                                &job->scorer, message);
    if (status != FG_OK)
        return status;
    job->found.old_threshold = draft->header.calibrated ? old->threshold : 0;
    return job->calibrating->group || !draft->header.calibrated ? FG_OK : take_known(job, message);
}

enum fg_status fg_calibrate_draft(struct fg_draft *draft, const struct fg_calibrating *calibrating,
                                  struct fg_calibrated *found, struct fg_message *message) {
    struct job job = {.draft = draft, .calibrating = calibrating};
    enum fg_status status = open_job(&job, message);
    if (status == FG_OK)
        status = score_pictures(&job, message);
    if (status == FG_OK)
        status = choose_score(&job, message);
    if (status == FG_OK)
        status = fg_decide(job.good, job.count, draft->header.spec.score, calibrating->false_rejects, job.odd,
                           &draft->header.calibration, message);
    if (status == FG_OK)
        enter_table(&job);
    if (status == FG_OK && calibrating->threshold > 0)
        fg_decide_by_hand(job.good, job.count, calibrating->threshold, &draft->header.calibration);
    if (status == FG_OK)
        status = enter_bump(&job, message);
    if (status == FG_OK)
        status = enter_scene(&job, message);
    if (status == FG_OK) {
        report_odd(&job);
        draft->header.calibrated = true;
        status = fg_draft_reload(draft, message);
    }
    if (status == FG_OK)
        status = make_self_test(draft, message);
    draft->header.calibrated = status == FG_OK;
    job.found.calibration = draft->header.calibration;
    fg_scorer_close(job.scorer);
    if (job.host && job.host != draft->desk.backend)
        job.host->close(job.host);
    if (found)
        *found = job.found;
    free(job.descriptor);
    free(job.distance);
    free(job.path);
    free(job.odd);
    return status;
}
