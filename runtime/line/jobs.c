/* Jobs of the inference thread: what starts them, what becomes of their results, and those that do not end. */
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/line/state.h"

/* ---- Starting ---- */

static void start(struct fg_line *l, const struct fg_job *job, int64_t deadline_ns) {
    l->judging = true;
    l->judge_deadline_ns = deadline_ns;
    fg_judge_start(l->s.judge, job);
}

void fg_line_judge(struct fg_line *l) {
    const struct fg_camera_frame *frame = &l->frame;
    l->part.state = FG_PART_JUDGED;
    start(l,
          &(struct fg_job){.kind = FG_JOB_JUDGE,
                           .part = l->part.id,
                           .threshold = l->part.threshold,
                           .frame = {.pixels = frame->pixels,
                                     .width = frame->width,
                                     .height = frame->height,
                                     .format = frame->format,
                                     .pitch = frame->pitch}},
          l->part.deadline_ns);
}

void fg_line_load(struct fg_line *l, uint16_t slot) {
    l->show.updating = true;
    l->show.outcome = FG_OUTCOME_RUNNING;
    start(l, &(struct fg_job){.kind = FG_JOB_LOAD, .path = l->s.config->view[0].bundle[slot], .slot = slot},
          fg_clock_ns() + FG_LINE_LOAD_LIMIT);
}

void fg_line_start_waiting_load(struct fg_line *l) {
    if (!l->slot_waiting || l->judging || l->stop_at_ns || l->lost_at_ns || l->part.state != FG_PART_NONE)
        return;
    l->slot_waiting = false;
    fg_line_load(l, l->show.holding.slot);
}

void fg_line_self_test(struct fg_line *l) {
    l->show.outcome = FG_OUTCOME_RUNNING;
    start(l, &(struct fg_job){.kind = FG_JOB_SELF_TEST}, fg_clock_ns() + FG_LINE_LOAD_LIMIT);
}

/* ---- Ending ---- */

static void loaded(struct fg_line *l, const struct fg_job_result *r) {
    l->show.updating = false;
    if (r->status != FG_OK) {
        l->show.outcome = FG_FAULT_JOB;
        fg_line_fault(l, FG_FAULT_JOB);
        fg_log(FG_LOG_ERROR, "job change: %s", r->message.text);
        return;
    }
    l->engine = fg_judge_engine(l->s.judge);
    const struct fg_bundle_header *header = fg_engine_header(l->engine);
    l->show.outcome = FG_OUTCOME_DONE;
    l->show.active_slot = fg_judge_slot(l->s.judge);
    l->show.bundle_checksum = fg_engine_checksum(l->engine);
    l->show.security_counter = (uint16_t)header->security_counter;
    memcpy(l->show.bundle_name, header->provenance.name, sizeof l->show.bundle_name);
    char times[128];
    fg_load_times_text(fg_engine_times(l->engine), times, sizeof times);
    fg_log(FG_LOG_INFO, "slot %u: bundle %s, threshold %.4f, loaded in %s", l->show.active_slot,
           header->provenance.name, (double)header->calibration.threshold, times);
}

static void judged(struct fg_line *l, const struct fg_job_result *r) {
    l->s.camera->release(l->s.camera, &l->frame);
    if (l->part.state != FG_PART_JUDGED || l->part.id != r->part)
        return; /* its deadline came first */
    struct fg_result result = {.reason = FG_REASON_NONE};
    if (r->status != FG_OK) {
        fg_log(FG_LOG_ERROR, "part %u: %s", r->part, r->message.text);
        fg_line_fault(l, FG_FAULT_INFERENCE);
        fg_line_inoperative(l, &l->part,
                            r->status == FG_DEVICE_LOST ? FG_REASON_DEVICE_LOST
                            : r->status == FG_INPUT     ? FG_REASON_BAD_FRAME
                                                        : FG_REASON_INFERENCE_FAILED);
        return;
    }
    const struct fg_judgement *j = &r->judgement;
    if (!j->finite) {
        fg_line_inoperative(l, &l->part, FG_REASON_NOT_FINITE);
        return;
    }
    result.verdict = j->score > l->part.threshold ? FG_DEFECT : FG_PASS;
    result.score = j->score;
    result.inference = (uint32_t)(j->inference_ns / 100000);
    if (result.verdict == FG_DEFECT) {
        result.x = (uint16_t)j->box.x;
        result.y = (uint16_t)j->box.y;
        result.w = (uint16_t)j->box.w;
        result.h = (uint16_t)j->box.h;
        result.area = (uint32_t)j->box.area;
    }
    fg_line_finish(l, &l->part, &result);
}

/* Whatever was wrong before, this is what a PLC has to read now. */
static void lose_device(struct fg_line *l, const char *why) {
    l->lost_at_ns = fg_clock_ns();
    l->show.fault = false;
    fg_line_fault(l, FG_FAULT_DEVICE_LOST);
    fg_log(FG_LOG_ERROR, "device lost: %s", why);
}

void fg_line_take_job_result(struct fg_line *l) {
    static struct fg_job_result r; /* of this thread alone; too large for a short stack */
    if (!fg_judge_result(l->s.judge, &r))
        return;
    l->judging = false;
    if (r.status == FG_DEVICE_LOST && !l->lost_at_ns)
        lose_device(l, r.message.text); /* before what follows from it */
    switch (r.kind) {
    case FG_JOB_JUDGE:
        judged(l, &r);
        break;
    case FG_JOB_LOAD:
        loaded(l, &r);
        break;
    case FG_JOB_SELF_TEST:
        l->show.outcome = r.status == FG_OK ? FG_OUTCOME_DONE : FG_FAULT_SELF_TEST;
        if (r.status != FG_OK) {
            fg_line_fault(l, FG_FAULT_SELF_TEST);
            fg_log(FG_LOG_ERROR, "%s", r.message.text);
        }
        break;
    }
}

void fg_line_watch_job(struct fg_line *l, int64_t now) {
    if (!l->judging || l->lost_at_ns)
        return;
    struct fg_message why;
    if (now - l->judge_deadline_ns >= FG_LINE_HANG)
        fg_say(&why, "it hangs: a job has not ended %d s after its deadline", (int)(FG_LINE_HANG / FG_S));
    else if (l->stop_at_ns && now - l->stop_at_ns >= FG_LINE_STOP_LIMIT)
        fg_say(&why, "it hangs: a job has not ended %d s after the end was asked for",
               (int)(FG_LINE_STOP_LIMIT / FG_S));
    else
        return;
    lose_device(l, why.text);
}
