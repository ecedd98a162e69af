/* Jobs of the judge: what starts them, what becomes of their results, and those that do not end. */
#include "runtime/line/jobs.h"

#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/line/cameras.h"
#include "runtime/line/faults.h"
#include "runtime/line/part.h"
#include "runtime/line/setup.h"
#include "runtime/line/state.h"

#define JUDGE_SHARE 0.8        /* of the time that there is, which judging may take without a warning */
#define KEEP_LIMIT (10 * FG_S) /* of copying a picture */

/* ---- Starting ---- */

static void start_job(struct fg_line *l, const struct fg_job *job, int64_t deadline_ns) {
    l->judging = true;
    l->job = job->kind;
    l->judge_deadline_ns = deadline_ns;
    const int64_t now = fg_clock_ns();
    l->judge_limit_ns = (deadline_ns > now ? deadline_ns : now) + FG_LINE_HANG;
    fg_judge_start(l->s.judge, job);
}

struct fg_frame fg_jobs_aim(const struct fg_config_view *view, const struct fg_camera_frame *given) {
    struct fg_frame frame = {.pixels = given->pixels,
                             .width = given->width,
                             .height = given->height,
                             .format = given->format,
                             .pitch = given->pitch};
    fg_setup_aim(view, &frame);
    return frame;
}

void fg_jobs_judge_next(struct fg_line *l) {
    uint32_t view = 0;
    struct fg_part *part = l->judging || l->lost_at_ns ? NULL : fg_part_next(l, &view);
    if (!part)
        return;
    const struct fg_config_view *config = &l->s.config->view[view];
    part->judged = (int32_t)view;
    const struct fg_job job = {.kind = FG_JOB_JUDGE,
                               .part = part->id,
                               .view = view,
                               .threshold = part->result.view[view].threshold,
                               .frame = fg_jobs_aim(config, &part->frame[config->camera])};
    start_job(l, &job, part->deadline_ns);
}

/* Sets the thresholds of the bundles in use aside. No part is begun until the change has ended, and parts
 * under way have theirs already. */
static void set_thresholds_aside(struct fg_line *l) {
    uint32_t *threshold = l->show.holding.threshold;
    if (l->changing)
        return;
    l->changing = true;
    memcpy(l->old_threshold, threshold, sizeof l->old_threshold);
    memset(threshold, 0, sizeof l->old_threshold);
}

/* Whether the bundles in use have to stay: the judge is at work, a part or a picture needs them, or the test
 * of a camera, which asks them whether they take its frame. */
static bool is_bundle_needed(struct fg_line *l) {
    return l->judging || fg_part_any(l) || fg_jobs_keeping(l) || fg_cameras_testing(l);
}

void fg_jobs_change(struct fg_line *l, uint16_t slot) {
    set_thresholds_aside(l);
    l->slot_waiting = is_bundle_needed(l);
    l->show.outcome = FG_OUTCOME_RUNNING;
    if (!l->slot_waiting)
        fg_jobs_load(l, slot);
}

void fg_jobs_keep_next(struct fg_line *l) {
    uint32_t view = 0;
    const struct fg_part *part = l->judging || l->lost_at_ns ? NULL : fg_part_keep(l, &view);
    if (!part)
        return;
    const struct fg_config_view *config = &l->s.config->view[view];
    const struct fg_job job = {.kind = FG_JOB_KEEP,
                               .part = part->id,
                               .view = view,
                               .sink = l->s.sink,
                               .picture = {.result = &part->result,
                                           .view = view,
                                           .asked = part->asked,
                                           .last = part->kept == 1u << view,
                                           .frame = fg_jobs_aim(config, &part->frame[config->camera])},
                               .judged = part->mapped & 1u << view};
    start_job(l, &job, fg_clock_ns() + KEEP_LIMIT);
}

void fg_jobs_load(struct fg_line *l, uint16_t slot) {
    set_thresholds_aside(l);
    struct fg_job job = {.kind = FG_JOB_LOAD, .slot = slot, .drift = l->next_drift};
    for (uint32_t v = 0; v < l->s.config->views; v++) {
        job.path[v] = l->s.config->view[v].bundle[slot];
        fg_setup_aim(&l->s.config->view[v], &job.sample[v]);
    }
    l->show.updating = true;
    l->show.outcome = FG_OUTCOME_RUNNING;
    l->show.saving = false;
    start_job(l, &job, fg_clock_ns() + l->s.config->views * FG_LINE_LOAD_LIMIT);
}

void fg_jobs_start_waiting_load(struct fg_line *l) {
    if (!l->slot_waiting || l->stop_at_ns || l->lost_at_ns || is_bundle_needed(l))
        return;
    l->slot_waiting = false;
    fg_jobs_load(l, l->show.holding.slot);
}

void fg_jobs_self_test(struct fg_line *l) {
    l->show.outcome = FG_OUTCOME_RUNNING;
    l->show.saving = false;
    start_job(l, &(struct fg_job){.kind = FG_JOB_SELF_TEST}, fg_clock_ns() + FG_LINE_LOAD_LIMIT);
}

bool fg_jobs_loading(const struct fg_line *l) {
    return l->judging && l->job != FG_JOB_JUDGE && l->job != FG_JOB_KEEP;
}

bool fg_jobs_keeping(struct fg_line *l) {
    uint32_t view;
    return fg_part_keep(l, &view);
}

/* ---- Ending ---- */

static void end_load(struct fg_line *l, const struct fg_job_result *r) {
    char view[FG_SETUP_VIEW], times[128];
    l->show.updating = l->changing = false;
    if (r->status != FG_OK) {
        l->unverified |= !l->loaded;
        memcpy(l->show.holding.threshold, l->old_threshold, sizeof l->old_threshold);
        l->show.outcome = FG_FAULT_JOB;
        fg_faults_raise(l, FG_FAULT_JOB);
        fg_log(FG_LOG_ERROR, "job change: %s%s", fg_setup_name_view(l->s.config, r->view, view),
               r->message.text);
        return;
    }
    const struct fg_engine *first = fg_judge_engine(l->s.judge, 0);
    const struct fg_bundle_header *header = fg_engine_header(first);
    l->loaded = true;
    l->unverified = false;
    l->judge_ns = r->judge_ns;
    /* The first load is part of the start. */
    l->show.outcome = l->serving ? FG_OUTCOME_DONE : FG_OUTCOME_RUNNING;
    l->show.active_slot = fg_judge_slot(l->s.judge);
    l->show.bundle_checksum = fg_engine_checksum(first);
    l->show.security_counter = (uint16_t)header->security_counter;
    memcpy(l->show.bundle_name, header->provenance.name, sizeof l->show.bundle_name);
    memcpy(l->drift, l->next_drift, sizeof l->drift);
    for (uint32_t v = 0; v < l->s.config->views; v++) {
        const struct fg_engine *engine = fg_judge_engine(l->s.judge, v);
        header = fg_engine_header(engine);
        fg_load_times_text(fg_engine_times(engine), times, sizeof times);
        fg_log(FG_LOG_INFO, "slot %u: %sbundle %s, threshold %.4f, loaded in %s", l->show.active_slot,
               fg_setup_name_view(l->s.config, v, view), header->provenance.name,
               (double)header->calibration.threshold, times);
        if (l->s.sink)
            l->s.sink->loaded(l->s.sink->store, v, header, fg_engine_checksum(engine));
        if (l->drift[v].state == FG_DRIFT_NOT_WATCHED)
            fg_log(FG_LOG_WARNING,
                   "%sdrift is not watched, because an older program has made the bundle: calibrate it anew",
                   fg_setup_name_view(l->s.config, v, view));
    }
    if (l->serving)
        fg_jobs_tell_time(l);
}

void fg_jobs_tell_time(const struct fg_line *l) {
    const double judging = (double)l->judge_ns / (double)FG_MS;
    const double left = l->s.config->deadline_ms - (double)fg_cameras_exposure(l) / (double)FG_MS;
    if (judging > JUDGE_SHARE * left)
        fg_log(
            FG_LOG_WARNING,
            "slot %u: a part takes %.1f ms to judge, but deadline_ms less exposure is %.1f ms: parts may be "
            "late and INOPERATIVE; set a longer deadline_ms, or use a smaller bundle or a faster device",
            l->show.active_slot, judging, left);
    else
        fg_log(FG_LOG_INFO,
               "slot %u: a part takes %.1f ms to judge, and deadline_ms less exposure is %.1f ms",
               l->show.active_slot, judging, left);
}

static void end_judgement(struct fg_line *l, const struct fg_job_result *r) {
    const struct fg_judgement *j = &r->judgement;
    struct fg_view_result result = {.verdict = FG_INOPERATIVE, .scene = r->status == FG_OK ? j->scene : 0};
    char view[FG_SETUP_VIEW];
    if (r->status != FG_OK) {
        fg_log(FG_LOG_ERROR, "part %u: %s%s", r->part, fg_setup_name_view(l->s.config, r->view, view),
               r->message.text);
        fg_faults_raise(l, FG_FAULT_INFERENCE);
        result.reason = r->status == FG_DEVICE_LOST ? FG_REASON_DEVICE_LOST
                        : r->status == FG_INPUT     ? FG_REASON_BAD_FRAME
                                                    : FG_REASON_INFERENCE_FAILED;
    } else if (!j->finite) {
        result.reason = FG_REASON_NOT_FINITE;
    } else if (j->score <= r->threshold && !j->alike) {
        result.reason = FG_REASON_UNLIKE_TRAINING;
    } else {
        result.verdict = j->score > r->threshold ? FG_DEFECT : FG_PASS;
        result.score = j->score;
        if (result.verdict == FG_DEFECT) {
            result.x = (uint16_t)j->box.x;
            result.y = (uint16_t)j->box.y;
            result.w = (uint16_t)j->box.w;
            result.h = (uint16_t)j->box.h;
            result.area = (uint32_t)j->box.area;
        }
    }
    fg_part_judged(l, r->part, r->view, &result, (uint32_t)(j->inference_ns / (FG_MS / 10)));
}

static void end_self_test(struct fg_line *l, const struct fg_job_result *r) {
    char view[FG_SETUP_VIEW];
    l->show.outcome = r->status == FG_OK ? FG_OUTCOME_DONE : FG_FAULT_SELF_TEST;
    l->unverified = r->status != FG_OK;
    if (r->status == FG_OK)
        return;
    fg_faults_raise(l, FG_FAULT_SELF_TEST);
    fg_log(FG_LOG_ERROR, "%s%s", fg_setup_name_view(l->s.config, r->view, view), r->message.text);
}

static void lose_device(struct fg_line *l, const char *why) {
    l->lost_at_ns = fg_clock_ns();
    fg_faults_halt(l, FG_FAULT_DEVICE_LOST);
    l->stopped_by = FG_FAULT_DEVICE_LOST;
    fg_log(FG_LOG_ERROR, "device lost: %s", why);
    fg_part_abandon_all(l, FG_REASON_DEVICE_LOST);
}

void fg_jobs_take(struct fg_line *l) {
    static struct fg_job_result r; /* static, because it is large for a stack; only this thread uses it */
    if (!fg_judge_result(l->s.judge, &r))
        return;
    l->judging = false;
    if (r.status == FG_DEVICE_LOST && !l->lost_at_ns)
        lose_device(l, r.message.text); /* what follows must find the device lost */
    switch (r.kind) {
    case FG_JOB_JUDGE:
        end_judgement(l, &r);
        break;
    case FG_JOB_LOAD:
        end_load(l, &r);
        break;
    case FG_JOB_SELF_TEST:
        end_self_test(l, &r);
        break;
    case FG_JOB_KEEP:
        fg_part_kept(l, r.part, r.view);
        break;
    }
    if (l->serving && (r.kind == FG_JOB_LOAD || r.kind == FG_JOB_SELF_TEST))
        fg_cameras_test(l); /* those that came back meanwhile had to wait for the engines */
    fg_jobs_keep_next(l);   /* before anything else makes another map */
}

int64_t fg_jobs_due(const struct fg_line *l) {
    if (!l->judging || l->lost_at_ns)
        return INT64_MAX;
    const int64_t stop = l->stop_at_ns + FG_LINE_STOP_LIMIT;
    return l->stop_at_ns && stop < l->judge_limit_ns ? stop : l->judge_limit_ns;
}

void fg_jobs_watch(struct fg_line *l, int64_t now_ns) {
    struct fg_message why;
    if (now_ns >= l->judge_limit_ns)
        fg_say(&why, "it hangs: a job has not ended %d s after its deadline", (int)(FG_LINE_HANG / FG_S));
    else
        fg_say(&why, "it hangs: a job has not ended %d s after the end was asked for",
               (int)(FG_LINE_STOP_LIMIT / FG_S));
    lose_device(l, why.text);
}
