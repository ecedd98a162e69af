#include "runtime/line/judge.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/event.h"

struct fg_judge {
    struct fg_judge_settings settings;
    struct fg_engine *engine;
    uint32_t bank; /* that the engine is in */
    uint16_t slot;
    pthread_t thread;
    int start, done; /* eventfds: a job is there, a result is there */
    bool quit;
    struct fg_job job; /* the starter's until start is written, the thread's until done is */
    struct fg_job_result result;
};

static enum fg_status judge_frame(struct fg_judge *j) {
    struct fg_job_result *r = &j->result;
    enum fg_status status = fg_engine_submit(j->engine, &j->job.frame, &r->message);
    if (status != FG_OK)
        return status;
    return fg_engine_finish(j->engine, INT64_MAX, j->job.threshold, &r->judgement, &r->message);
}

static enum fg_status load(struct fg_judge *j) {
    const struct fg_judge_settings *s = &j->settings;
    const uint32_t bank = j->engine ? (j->bank + 1) % FG_JUDGE_BANKS : 0;
    struct fg_message *message = &j->result.message;
    struct fg_bundle *bundle = NULL;
    struct fg_engine *engine = NULL;
    enum fg_status status = fg_bundle_open(j->job.path, &bundle, message);
    if (status == FG_OK) {
        const struct fg_engine_bank place = {fg_arena_bank(s->arena, bank), fg_arena_bank(s->device, bank)};
        status =
            fg_engine_open(bundle, s->backend, &place, s->max_width, s->max_height, true, &engine, message);
    }
    fg_bundle_close(bundle);
    if (status != FG_OK)
        return status;
    fg_engine_close(j->engine);
    j->engine = engine;
    j->bank = bank;
    j->slot = j->job.slot;
    return FG_OK;
}

static void *run(void *argument) {
    struct fg_judge *j = argument;
    for (;;) {
        fg_event_take(j->start);
        if (j->quit)
            return NULL;
        j->result = (struct fg_job_result){.kind = j->job.kind, .part = j->job.part};
        switch (j->job.kind) {
        case FG_JOB_JUDGE:
            j->result.status = judge_frame(j);
            break;
        case FG_JOB_LOAD:
            j->result.status = load(j);
            break;
        case FG_JOB_SELF_TEST:
            j->result.status = fg_engine_self_test(j->engine, &j->result.message);
            break;
        }
        fg_event_signal(j->done);
    }
}

enum fg_status fg_judge_open(const struct fg_judge_settings *settings, struct fg_judge **judge,
                             struct fg_message *message) {
    struct fg_judge *j = calloc(1, sizeof *j);
    if (!j)
        return fg_fail(message, FG_ENVIRONMENT, "inference: no memory");
    j->settings = *settings;
    j->start = eventfd(0, EFD_CLOEXEC);
    j->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const int error = j->start < 0 || j->done < 0 ? errno : pthread_create(&j->thread, NULL, run, j);
    if (error) {
        close(j->start);
        close(j->done);
        free(j);
        return fg_fail_errno(message, FG_ENVIRONMENT, error, "inference: cannot start its thread");
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
    fg_engine_close(judge->engine);
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

const struct fg_engine *fg_judge_engine(const struct fg_judge *judge) {
    return judge->engine;
}

uint16_t fg_judge_slot(const struct fg_judge *judge) {
    return judge->slot;
}
