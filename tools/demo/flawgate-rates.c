/* flawgate-rates DIR: counts whether the rate of false rejects that a bundle states is true, for developers.
 *
 * For each number of parts to train with, each kind of part and some seeds, it trains a model and judges
 * thousands of good parts that the model has not seen. The rates of one number of parts are pooled: a single
 * threshold is off by chance, all of them together must not be. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/progress.h"
#include "runtime/base/usage.h"
#include "runtime/engine/device.h"
#include "tools/demo/rates_model.h"

#define LEAST_RATIO 0.3 /* of the found to the stated rate, pooled */
#define MOST_RATIO 2.0
#define MOST_SEEDS 20
#define MOST_MODELS (COUNTS * FG_PICTURE_KINDS * MOST_SEEDS)
#define MOST_WORKERS 64

static const uint32_t TRAIN[] = {31, 100, 600};
enum { COUNTS = sizeof TRAIN / sizeof *TRAIN };

/* The models, and the workers that take one after the other. */
struct rates {
    struct fg_rates_plan plan;
    uint32_t seeds, threads, score; /* score: index of the option's word */
    struct fg_rates_model model[MOST_MODELS];
    uint32_t models;
    pthread_mutex_t mutex; /* guards what follows, and standard output */
    uint32_t next, done;
    enum fg_status status;
    struct fg_message message;
    struct fg_progress progress;
};

#define AT(member) offsetof(struct rates, member)
static const struct fg_option OPTIONS[] = {
    {"size", FG_OPTION_NUMBER, AT(plan.size), "64", FG_SIDE_LEAST, 1024, .value = "N",
     .help = "pixels of a picture's side"},
    {"steps", FG_OPTION_NUMBER, AT(plan.steps), "100", 1, 1e5, .value = "N",
     .help = "steps of each training; more find more, and take longer"},
    {"parts", FG_OPTION_NUMBER, AT(plan.parts), "5000", 1, 1e6, .value = "N",
     .help = "good parts that judge each model"},
    {"defective", FG_OPTION_NUMBER, AT(plan.defective), "100", 1, 1e6, .value = "N",
     .help = "parts that judge each model, for each defect"},
    {"seeds", FG_OPTION_NUMBER, AT(seeds), "3", 1, MOST_SEEDS, .value = "N",
     .help = "models for each kind and number of parts"},
    {"score", FG_OPTION_CHOICE, AT(score), "auto", .words = &FG_SCORE_WORDS "|auto"[1], .value = "FORM",
     .help = "the form that flawgate-train is asked for, where a bundle is not there yet"},
    {"teacher", FG_OPTION_PATH, AT(plan.teacher), .size = FG_TEACHER_PATH, .value = "FILE.safetensors",
     .help = "trains with this teacher, where the demo's own is not beside the build"},
    FG_THREADS_OPTION(AT(threads)),
};
static const struct fg_usage USAGE = {
    .name = "flawgate-rates",
    .takes = "DIR",
    .least = 1,
    .most = 1,
    .about =
        "Trains models on parts that it makes, and counts the good parts that they reject against the rate\n"
        "that they state. DIR keeps pictures and bundles; a bundle that is there is not trained again.\n",
    .options = FG_OPTIONS(OPTIONS),
    .no = "a rate that was found is far from the one that was stated",
};

/* Lists the models seed by seed, so that a run that is stopped has some of each kind. */
static void list_models(struct rates *r) {
    for (uint32_t seed = 1; seed <= r->seeds; seed++)
        for (uint32_t count = 0; count < COUNTS; count++)
            for (int kind = 0; kind < FG_PICTURE_KINDS; kind++)
                r->model[r->models++] = (struct fg_rates_model){
                    .kind = (enum fg_picture_kind)kind, .train = TRAIN[count], .seed = seed};
}

static double get_percent(uint32_t part, uint32_t whole) {
    return 100.0 * part / whole;
}

static void print_heading(void) {
    printf("kind    train seed  score          tail        stated    above    unlike   bump");
    for (int d = FG_PICTURE_GOOD + 1; d < FG_PICTURE_DEFECTS; d++)
        printf(" %12s", fg_picture_defect_name((enum fg_picture_defect)d));
    putchar('\n');
}

static void print_model(const struct fg_rates_plan *plan, const struct fg_rates_model *m) {
    printf("%-7s %5u %4u  %-13s  %-10s %6.3f %% %6.3f %% %7.3f %% %6.2f", fg_picture_kind_name(m->kind),
           m->train, m->seed, fg_score_name(m->form),
           m->calibration.family == FG_TAIL_GUMBEL ? "Gumbel" : "log-normal",
           100 * (double)m->calibration.expected, get_percent(m->above, plan->parts),
           get_percent(m->unlike, plan->parts), (double)m->calibration.bump);
    for (int d = FG_PICTURE_GOOD + 1; d < FG_PICTURE_DEFECTS; d++)
        printf(" %10.0f %%", get_percent(m->detected[d], plan->defective));
    putchar('\n');
    fflush(stdout);
}

/* Takes the next model; NULL: there is none, or something has failed. */
static struct fg_rates_model *take_model(struct rates *r) {
    pthread_mutex_lock(&r->mutex);
    struct fg_rates_model *model = r->status == FG_OK && r->next < r->models ? &r->model[r->next++] : NULL;
    pthread_mutex_unlock(&r->mutex);
    return model;
}

/* Prints a model, or keeps the first failure. */
static void end_model(struct rates *r, const struct fg_rates_model *model, enum fg_status status,
                      const struct fg_message *message) {
    pthread_mutex_lock(&r->mutex);
    fg_progress_clear(&r->progress);
    if (status == FG_OK) {
        print_model(&r->plan, model);
        fg_progress_count(&r->progress, ++r->done, r->models);
    } else if (r->status == FG_OK) {
        r->status = status;
        r->message = *message;
    }
    pthread_mutex_unlock(&r->mutex);
}

/* A model is trained and judged by one thread: two at a time are faster than one with two threads. */
static void *run_models(void *argument) {
    struct rates *r = argument;
    struct fg_message message, said;
    struct fg_backend *backend = NULL;
    enum fg_status status = fg_device_open(&(struct fg_device_choice){.device = FG_COMPUTE_CPU, .threads = 1},
                                           &backend, &said, &message);
    if (status != FG_OK)
        end_model(r, NULL, status, &message);
    for (struct fg_rates_model *model = take_model(r); model; model = take_model(r)) {
        status = fg_rates_model_run(&r->plan, model, backend, &message);
        end_model(r, model, status, &message);
    }
    if (backend)
        backend->close(backend);
    return NULL;
}

/* Runs all models, as many at a time as there are processors. */
static enum fg_status run_workers(struct rates *r, struct fg_message *message) {
    pthread_t worker[MOST_WORKERS];
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t wished = r->threads ? r->threads : (uint32_t)processors, workers = 0;
    wished = wished < MOST_WORKERS ? wished : MOST_WORKERS;
    fg_progress_begin(&r->progress, "model", false);
    while (workers < wished && !pthread_create(&worker[workers], NULL, run_models, r))
        workers++;
    for (uint32_t i = 0; i < workers; i++)
        pthread_join(worker[i], NULL);
    fg_progress_clear(&r->progress);
    if (!workers)
        return fg_fail(message, FG_ENVIRONMENT, "cannot start a thread");
    *message = r->message;
    return r->status;
}

/* Prints what the models of one number of parts have found together; true where the stated rate holds. */
static bool print_pooled(const struct rates *r, uint32_t train) {
    double stated = 0, above = 0, unlike = 0, detected = 0;
    uint32_t models = 0;
    for (uint32_t i = 0; i < r->models; i++) {
        const struct fg_rates_model *m = &r->model[i];
        if (m->train != train)
            continue;
        models++;
        stated += (double)m->calibration.expected;
        above += (double)m->above / r->plan.parts;
        unlike += (double)m->unlike / r->plan.parts;
        for (int d = FG_PICTURE_GOOD + 1; d < FG_PICTURE_DEFECTS; d++)
            detected += (double)m->detected[d] / (r->plan.defective * (FG_PICTURE_DEFECTS - 1.0));
    }
    const double ratio = above / stated;
    const bool holds = ratio >= LEAST_RATIO && ratio <= MOST_RATIO;
    printf("%-4s %4u parts, %2u models: stated %.3f %%, above %.3f %%, ratio %.2f; unlike %.3f %%; detected "
           "%.1f %%\n",
           holds ? "ok" : "NO", train, models, 100 * stated / models, 100 * above / models, ratio,
           100 * unlike / models, 100 * detected / models);
    return holds;
}

static enum fg_status run_rates(struct rates *r, bool *hold, struct fg_message *message) {
    r->plan.score = r->score < FG_SCORE_FORMS ? fg_score_name((enum fg_score_form)r->score) : "auto";
    enum fg_status status = fg_teacher_find(r->plan.teacher, message);
    if (status == FG_OK && mkdir(r->plan.folder, 0777) && errno != EEXIST)
        status = fg_fail_errno(message, FG_ENVIRONMENT, errno, "%.300s: cannot create", r->plan.folder);
    if (status != FG_OK)
        return status;
    list_models(r);
    print_heading();
    status = run_workers(r, message);
    *hold = true;
    for (uint32_t count = 0; count < COUNTS && status == FG_OK; count++)
        *hold = print_pooled(r, TRAIN[count]) && *hold;
    return status;
}

int main(int argc, char **argv) {
    static struct rates rates = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct fg_message message;
    bool over, hold = false;
    enum fg_status status = fg_usage_read(&USAGE, &argc, argv, &rates, &over, &message);
    if (over)
        return 0;
    rates.plan.folder = argv[1];
    if (status == FG_OK)
        status = run_rates(&rates, &hold, &message);
    if (status != FG_OK)
        return fg_usage_fail(&USAGE, status, &message);
    return hold ? 0 : 1;
}
