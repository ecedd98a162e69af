/* The judge's thread: jobs in, results out, and the engines of all views in two sets of banks. */
#include "runtime/line/judge.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/base/clock.h"
#include "runtime/base/event.h"

struct fg_judge {
    struct fg_judge_settings settings;
    struct fg_engine *engine[FG_VIEWS];
    uint32_t set; /* the set of banks that the engines are in: 0 or 1 */
    uint16_t slot;
    pthread_t thread;
    int start, done; /* eventfds: a job is there, a result is there */
    bool quit;
    struct fg_job job; /* belongs to the starter, and to the thread from start to done */
    struct fg_job_result result;
};

static enum fg_status judge_frame(struct fg_judge *j) {
    struct fg_job_result *r = &j->result;
    struct fg_engine *engine = j->engine[j->job.view];
    enum fg_status status = fg_engine_submit(engine, &j->job.frame, &r->message);
    if (status != FG_OK)
        return status;
    return fg_engine_finish(engine, INT64_MAX, j->job.threshold, &r->judgement, &r->message);
}

/* Begins a view's watch for drift with the good pictures of its bundle. */
static enum fg_status begin_drift(const struct fg_bundle *bundle, uint32_t view, struct fg_drift *drift,
                                  struct fg_message *message) {
    const struct fg_calibration *calibration = &fg_bundle_header(bundle)->calibration;
    const uint32_t count = calibration->pictures + calibration->odd;
    struct fg_good *good = malloc(count * sizeof *good + 1);
    void *scratch = malloc(fg_bundle_scratch());
    enum fg_status status = good && scratch
                                ? fg_bundle_good(bundle, good, scratch, message)
                                : fg_fail(message, FG_ENVIRONMENT, "judge: no memory to load a bundle");
    if (status == FG_OK)
        fg_drift_begin(drift, calibration, good, count, view);
    free(scratch);
    free(good);
    return status;
}

/* Measures what a view takes to judge: a black frame, of the size that its bundle was trained on, or of the
 * largest. */
static enum fg_status measure_engine(struct fg_judge *j, uint32_t view, struct fg_engine *engine) {
    const struct fg_contract *contract = &fg_engine_header(engine)->contract;
    struct fg_frame frame = j->job.sample[view];
    const bool whole = !frame.region.width && contract->width, turned = frame.rotation % 180;
    frame.width = !whole ? j->settings.max_width[view] : turned ? contract->height : contract->width;
    frame.height = !whole ? j->settings.max_height[view] : turned ? contract->width : contract->height;
    frame.format = fg_pixel_decoded(contract->channels);
    frame.pitch = fg_pixel_row_bytes(frame.format, frame.width);
    const size_t bytes = fg_pixel_frame_bytes(frame.format, frame.height, frame.pitch);
    /* Pages that are only read take no memory. */
    void *pixels = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pixels == MAP_FAILED)
        return fg_fail(&j->result.message, FG_ENVIRONMENT, "judge: no memory to load a bundle");
    frame.pixels = pixels;
    struct fg_judgement judgement;
    const int64_t begin = fg_clock_ns();
    enum fg_status status = fg_engine_submit(engine, &frame, &j->result.message);
    if (status == FG_OK)
        status = fg_engine_finish(engine, INT64_MAX, 0, &judgement, &j->result.message);
    j->result.judge_ns += fg_clock_ns() - begin;
    munmap(pixels, bytes);
    return status;
}

static enum fg_status open_engine(struct fg_judge *j, uint32_t view, uint32_t set,
                                  struct fg_engine **engine) {
    const struct fg_judge_settings *s = &j->settings;
    const uint32_t bank = set * s->views + view;
    struct fg_message *message = &j->result.message;
    struct fg_bundle *bundle = NULL;
    enum fg_status status = fg_bundle_open(j->job.path[view], &bundle, message);
    if (status == FG_OK) {
        const struct fg_engine_bank place = {fg_arena_bank(s->arena, bank), fg_arena_bank(s->device, bank)};
        status = fg_engine_open(bundle, s->backend, &place, s->max_width[view], s->max_height[view], true,
                                engine, message);
    }
    if (status == FG_OK)
        status = begin_drift(bundle, view, &j->job.drift[view], message);
    if (status == FG_OK)
        status = measure_engine(j, view, *engine);
    fg_bundle_close(bundle);
    return status;
}

/* Loads the bundles of all views, or changes nothing. */
static enum fg_status load_slot(struct fg_judge *j) {
    const uint32_t views = j->settings.views, set = j->engine[0] ? 1 - j->set : 0;
    struct fg_engine *engine[FG_VIEWS] = {NULL};
    enum fg_status status = FG_OK;
    for (uint32_t v = 0; v < views && status == FG_OK; v++) {
        j->result.view = v;
        status = open_engine(j, v, set, &engine[v]);
    }
    for (uint32_t v = 0; v < views; v++) {
        fg_engine_close(status == FG_OK ? j->engine[v] : engine[v]);
        if (status == FG_OK)
            j->engine[v] = engine[v];
    }
    if (status != FG_OK)
        return status;
    j->set = set;
    j->slot = j->job.slot;
    return FG_OK;
}

static enum fg_status test_engines(struct fg_judge *j) {
    enum fg_status status = FG_OK;
    for (uint32_t v = 0; v < j->settings.views && status == FG_OK; v++) {
        j->result.view = v;
        status = fg_engine_self_test(j->engine[v], &j->result.message);
    }
    return status;
}

/* Gives a picture to the sink while the map is still the part's. */
static void keep_picture(struct fg_judge *j) {
    struct fg_sink_picture *picture = &j->job.picture;
    const struct fg_engine *engine = j->engine[j->job.view];
    picture->bundle = fg_engine_header(engine);
    picture->checksum = fg_engine_checksum(engine);
    picture->map = j->job.judged ? fg_engine_map(engine) : NULL;
    j->job.sink->keep(j->job.sink->store, picture);
}

static void *run_judge(void *argument) {
    struct fg_judge *j = argument;
    for (;;) {
        fg_event_take(j->start);
        if (j->quit)
            return NULL;
        j->result = (struct fg_job_result){
            .kind = j->job.kind, .part = j->job.part, .view = j->job.view, .threshold = j->job.threshold};
        switch (j->job.kind) {
        case FG_JOB_JUDGE:
            j->result.status = judge_frame(j);
            break;
        case FG_JOB_LOAD:
            j->result.status = load_slot(j);
            break;
        case FG_JOB_SELF_TEST:
            j->result.status = test_engines(j);
            break;
        case FG_JOB_KEEP:
            keep_picture(j);
            break;
        }
        fg_event_signal(j->done);
    }
}

enum fg_status fg_judge_open(const struct fg_judge_settings *settings, struct fg_judge **judge,
                             struct fg_message *message) {
    struct fg_judge *j = calloc(1, sizeof *j);
    if (!j)
        return fg_fail(message, FG_ENVIRONMENT, "judge: no memory");
    j->settings = *settings;
    j->start = eventfd(0, EFD_CLOEXEC);
    j->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const int error = j->start < 0 || j->done < 0 ? errno : pthread_create(&j->thread, NULL, run_judge, j);
    if (error) {
        close(j->start);
        close(j->done);
        free(j);
        return fg_fail_errno(message, FG_ENVIRONMENT, error, "judge: cannot start its thread");
    }
    *judge = j;
    return FG_OK;
}

void fg_judge_close(struct fg_judge *judge) {
    if (!judge)
        return;
    judge->quit = true;
    fg_event_signal(judge->start);
    pthread_join(judge->thread, NULL);
    for (uint32_t v = 0; v < FG_VIEWS; v++)
        fg_engine_close(judge->engine[v]);
    close(judge->start);
    close(judge->done);
    free(judge);
}

int fg_judge_descriptor(const struct fg_judge *judge) {
    return judge->done;
}

void fg_judge_start(struct fg_judge *judge, const struct fg_job *job) {
    judge->job = *job;
    fg_event_signal(judge->start);
}

bool fg_judge_result(struct fg_judge *judge, struct fg_job_result *result) {
    if (!fg_event_take(judge->done))
        return false;
    *result = judge->result;
    return true;
}

const struct fg_engine *fg_judge_engine(const struct fg_judge *judge, uint32_t view) {
    return judge->engine[view];
}

uint16_t fg_judge_slot(const struct fg_judge *judge) {
    return judge->slot;
}
