/* Sets a bundle's threshold from the scores of good pictures, and makes its self-test. */
#include "trainer/bundle/calibrate.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/data/picture.h"

/* Finds z with P(Z > z) = tail for a standard normal Z, 0 < tail <= 0.5, by bisection on erfc, as exactly
 * as a double can hold it. */
static double find_quantile(double tail) {
    double low = 0, high = 40;
    for (int i = 0; i < 200; i++) {
        double z = (low + high) / 2;
        if (0.5 * erfc(z * 0.70710678118654752440) > tail)
            low = z;
        else
            high = z;
    }
    return low;
}

enum fg_status fg_calibrate_scores(const float *scores, uint32_t count, float false_rejects,
                                   struct fg_calibration *calibration, struct fg_message *message) {
    if (count < FG_CALIBRATION_LEAST)
        return fg_fail(message, FG_INPUT, "calibration: %u good pictures, but it takes at least %d", count,
                       FG_CALIBRATION_LEAST);
    double sum = 0, squares = 0;
    float largest = 0, smallest = INFINITY;
    for (uint32_t i = 0; i < count; i++) {
        if (!isfinite(scores[i]) || scores[i] <= 0)
            return fg_fail(message, FG_INPUT,
                           "calibration: the score of picture %u is %g, but must be finite and above 0; the "
                           "weights are damaged or training went wrong",
                           i + 1, (double)scores[i]);
        sum += log(scores[i]);
        largest = fmaxf(largest, scores[i]);
        smallest = fminf(smallest, scores[i]);
    }
    const double mean = sum / count;
    for (uint32_t i = 0; i < count; i++)
        squares += (log(scores[i]) - mean) * (log(scores[i]) - mean);
    const double deviation = sqrt(squares / (count - 1));
    if (smallest == largest || !(deviation > 0)) /* rounding leaves equal scores a deviation */
        return fg_fail(message, FG_INPUT,
                       "calibration: all %u scores are the same; are the pictures copies of one?", count);
    *calibration =
        (struct fg_calibration){.tail_quantile = (float)exp(mean + find_quantile(false_rejects) * deviation),
                                .largest_score = largest,
                                .log_mean = (float)mean,
                                .log_deviation = (float)deviation,
                                .false_rejects = false_rejects,
                                .rate_bound = fminf(1, 3.0f / (float)count),
                                .pictures = count};
    calibration->threshold = fmaxf(calibration->tail_quantile, largest);
    if (!isfinite(calibration->threshold))
        return fg_fail(message, FG_INPUT,
                       "calibration: the tail of the scores is not finite; their spread is "
                       "too large to set a threshold from");
    return FG_OK;
}

void fg_calibration_sentence(const struct fg_calibration *c, char *text, size_t size) {
    snprintf(text, size,
             "Threshold %.4f (tail quantile %.4f for %g %% false rejects, "
             "largest score %.4f) from %u good pictures, none of which exceeds it: that number supports a "
             "false-reject rate below %.1f %% (95 %% confidence).",
             (double)c->threshold, (double)c->tail_quantile, 100 * (double)c->false_rejects,
             (double)c->largest_score, c->pictures, 100 * (double)c->rate_bound);
}

/* A calibration that is under way. */
struct job {
    struct fg_draft *draft;
    const char *const *paths;
    float *scores;
    uint32_t count, scored;
    struct fg_report *skipped;
    fg_progress_function *progress;
    void *argument;
};

/* Resizes a picture for the self-test on the CPU: RESIZE gives the same bytes on every backend, and here they
 * are needed in the host's memory. */
static enum fg_status make_test_picture(const struct fg_draft *draft, const struct fg_image *image,
                                        struct fg_message *message) {
    struct fg_backend *cpu = NULL, *own = draft->desk.backend;
    const struct fg_network_spec *spec = &draft->header.spec;
    enum fg_status status = own->device.host_memory ? FG_OK : fg_cpu_open(1, 1, &cpu, message);
    if (status == FG_OK)
        status =
            fg_picture_resize(cpu ? cpu : own, image, spec->height, spec->width, draft->picture, message);
    if (cpu)
        cpu->close(cpu);
    return status;
}

static enum fg_status score_pictures(struct job *job, struct fg_message *message) {
    for (uint32_t i = 0; i < job->count; i++) {
        struct fg_image image;
        enum fg_status status = fg_image_read(job->paths[i], &image, message);
        if (status == FG_INPUT && job->skipped) {
            fg_report_add(job->skipped, "skipped: %s", message->text);
            continue;
        }
        if (status != FG_OK)
            return status;
        struct fg_judgement judgement;
        status = fg_desk_judge(&job->draft->desk, job->paths[i], &image, INFINITY, &judgement, message);
        if (status == FG_OK && job->scored == 0)
            status = make_test_picture(job->draft, &image, message);
        fg_image_free(&image);
        if (status != FG_OK)
            return status;
        job->scores[job->scored++] = judgement.score;
        if (job->progress)
            job->progress(job->argument, i + 1, job->count);
    }
    return FG_OK;
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

enum fg_status fg_calibrate_draft(struct fg_draft *draft, const char *const *pictures, uint32_t count,
                                  float false_rejects, fg_progress_function *progress, void *argument,
                                  struct fg_report *skipped, struct fg_message *message) {
    const size_t pixels = (size_t)draft->header.spec.height * (size_t)draft->header.spec.width;
    struct job job = {.draft = draft,
                      .paths = pictures,
                      .scores = calloc(count ? count : 1, sizeof *job.scores),
                      .count = count,
                      .skipped = skipped,
                      .progress = progress,
                      .argument = argument};
    assert(!draft->picture && !draft->map);
    draft->picture = malloc(pixels * 3);
    draft->map = malloc(pixels * sizeof *draft->map);
    enum fg_status status = FG_OK;
    if (!job.scores || !draft->picture || !draft->map)
        status = fg_fail(message, FG_ENVIRONMENT, "calibration: no memory for %u scores", count);
    if (status == FG_OK)
        status = score_pictures(&job, message);
    if (status == FG_OK)
        status =
            fg_calibrate_scores(job.scores, job.scored, false_rejects, &draft->header.calibration, message);
    if (status == FG_OK)
        status = make_self_test(draft, message);
    draft->header.calibrated = status == FG_OK;
    free(job.scores);
    return status;
}

enum fg_status fg_calibrate_bundle(const char *bundle_path, const char *path, const char *const *pictures,
                                   uint32_t count, float false_rejects, struct fg_backend *backend,
                                   fg_progress_function *progress, void *argument, struct fg_report *skipped,
                                   struct fg_calibration *calibration, struct fg_message *message) {
    struct fg_draft draft;
    enum fg_status status = fg_draft_open_file(&draft, bundle_path, backend, message);
    if (status == FG_OK)
        status =
            fg_calibrate_draft(&draft, pictures, count, false_rejects, progress, argument, skipped, message);
    if (status == FG_OK)
        status = fg_draft_write(&draft, path, message);
    *calibration = draft.header.calibration;
    fg_draft_close(&draft);
    return status;
}
