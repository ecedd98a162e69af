#include "runtime/line/state.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/log.h"

bool fg_line_listening(const struct fg_line *l) {
    return (l->show.coils & FG_COIL_TRIGGER_ENABLE) && !(l->show.coils & FG_COIL_OFFLINE);
}

/* With job.require the PLC must have named the slot in use. */
static bool job_given(const struct fg_line *l) {
    return !l->s.config->job.require || (l->slot_written && l->show.active_slot == l->show.holding.slot);
}

bool fg_line_able(const struct fg_line *l) {
    return l->part.state == FG_PART_NONE && !l->judging && !l->slot_waiting && job_given(l) && !l->halted &&
           !l->stop_at_ns && !l->lost_at_ns && l->engine && fg_rejects_room(l->s.rejects);
}

void fg_line_fault(struct fg_line *l, enum fg_fault fault) {
    if (!l->show.fault) {
        l->show.error = (uint16_t)fault;
        fg_log(FG_LOG_ERROR, "fault %u: %s", (unsigned)fault, fg_fault_text(fault));
    }
    l->show.fault = true;
}

void fg_line_clear_fault(struct fg_line *l) {
    l->show.missed_trigger = l->show.result_overrun = false;
    if (!l->lost_at_ns) { /* that stays, until the program ends */
        l->show.fault = false;
        l->show.error = FG_FAULT_NONE;
    }
    l->halted = false;
    l->watchdog_ns = fg_clock_ns();
}

void fg_line_missed_trigger(struct fg_line *l) {
    l->show.missed_trigger = true;
    fg_count(&l->show.counters.missed_triggers);
}

void fg_line_missed_reject(struct fg_line *l, const char *why) {
    fg_count(&l->show.counters.late);
    fg_line_fault(l, FG_FAULT_MISSED_REJECT);
    l->halted = l->halted || l->s.config->missed_reject == FG_MISSED_STOP;
    fg_log(FG_LOG_ERROR, "missed reject: %s", why);
}

void fg_line_reset_counters(struct fg_line *l) {
    memset(&l->show.counters, 0, sizeof l->show.counters);
    memset(l->times, 0, sizeof l->times);
    l->time_sum = l->time_count = 0;
    l->show.total_min = l->show.total_mean = l->show.total_p99 = l->show.total_max = 0;
}

static void add_time(struct fg_line *l, uint32_t total) {
    const uint32_t place = total < FG_LINE_TIMES ? total : FG_LINE_TIMES - 1;
    l->show.total_min = !l->time_count || total < l->show.total_min ? total : l->show.total_min;
    l->show.total_max = total > l->show.total_max ? total : l->show.total_max;
    l->times[place]++;
    l->time_count++;
    l->time_sum += total;
    l->show.total_mean = (uint32_t)(l->time_sum / l->time_count);
    /* The smallest time that 99 % do not exceed. */
    const uint64_t wanted = (l->time_count * 99 + 99) / 100;
    uint64_t sum = 0;
    uint32_t p99 = 0;
    while (p99 < FG_LINE_TIMES - 1 && (sum += l->times[p99]) < wanted)
        p99++;
    l->show.total_p99 = p99;
}

static void count_verdict(struct fg_line *l, enum fg_verdict verdict) {
    struct fg_counters *c = &l->show.counters;
    fg_count(verdict == FG_PASS ? &c->pass : verdict == FG_DEFECT ? &c->defect : &c->inoperative);
}

static void log_result(const struct fg_result *r) {
    static const char *const verdicts[] = {[FG_PASS] = "PASS", [FG_DEFECT] = "DEFECT"};
    if (r->verdict == FG_INOPERATIVE)
        fg_log(FG_LOG_WARNING, "part %u: INOPERATIVE, %s, %.1f ms", r->id, fg_reason_name(r->reason),
               r->total / 10.0);
    else
        fg_log(FG_LOG_INFO, "part %u: %s, score %.4f, threshold %.4f, %.1f ms", r->id, verdicts[r->verdict],
               (double)r->score, (double)r->threshold, r->total / 10.0);
}

void fg_line_finish(struct fg_line *l, struct fg_line_part *part, struct fg_result *result) {
    const int64_t now = fg_clock_ns();
    result->id = part->id;
    result->slot = part->slot;
    result->threshold = part->threshold;
    result->trigger_unix_ms = part->trigger_unix_ms;
    result->exposure = part->framed_ns ? (uint32_t)((part->framed_ns - part->trigger_ns) / 100000) : 0;
    result->total = (uint32_t)((now - part->trigger_ns) / 100000);
    if (part->reject_place >= 0 && !fg_rejects_permit(l->s.rejects, part->reject_place, result->verdict)) {
        fg_count(&l->show.counters.late);
        fg_log(FG_LOG_WARNING, "part %u: its verdict came after its reject point", part->id);
    }
    count_verdict(l, result->verdict);
    if (part->state != FG_PART_NONE) /* a part that was not taken has no time to speak of */
        add_time(l, result->total);
    if (fg_results_put(&l->results, result, now)) {
        l->show.result_overrun = true;
        fg_count(&l->show.counters.overruns);
    }
    l->show.result_toggle = !l->show.result_toggle;
    l->last_pass = result->verdict == FG_PASS;
    part->state = FG_PART_NONE;
    log_result(result);
}

void fg_line_inoperative(struct fg_line *l, struct fg_line_part *part, enum fg_reason reason) {
    struct fg_result result = {.verdict = FG_INOPERATIVE, .reason = reason};
    fg_line_finish(l, part, &result);
}

void fg_line_measure(struct fg_line *l) {
    char text[128];
    const ssize_t size = l->statm < 0 ? -1 : pread(l->statm, text, sizeof text - 1, 0);
    if (size > 0) {
        text[size] = 0;
        char *resident; /* the second number, in pages */
        strtoul(text, &resident, 10);
        l->show.resident_mib =
            (uint32_t)(strtoul(resident, NULL, 10) * (unsigned long)sysconf(_SC_PAGESIZE) >> 20);
    }
    if (!l->show.updating) /* else the inference thread is filling a bank */
        l->show.arena_used_mib =
            (uint32_t)((fg_arena_high_water(l->s.arena) + fg_arena_high_water(l->s.device)) >> 20);
    l->show.uptime_s = (uint32_t)((fg_clock_ns() - l->started_ns) / FG_S);
}

void fg_line_publish(struct fg_line *l) {
    struct fg_snapshot *show = &l->show;
    show->able = fg_line_able(l);
    show->busy = l->part.state != FG_PART_NONE;
    show->online =
        l->engine && !l->halted && !l->lost_at_ns && !((show->coils & FG_COIL_OFFLINE) && !show->busy);
    /* After a job change that failed: the bundle of before is in use. */
    show->degraded =
        l->engine && !show->updating && !l->slot_waiting && show->active_slot != show->holding.slot;
    show->result_valid = l->results.valid;
    show->result_expired = l->results.expired;
    show->result_sequence = l->results.sequence;
    show->results_queued = (uint16_t)l->results.queued;
    show->result = l->results.block;
    show->reject_active = fg_actuator_rejecting(l->s.actuator);
    fg_snapshot_publish(&l->cell, show);
    /* Once the last part has its verdict, the end waits for nothing but a job that is late. */
    const bool halt = l->halted || l->lost_at_ns || (l->stop_at_ns && !show->busy);
    const uint32_t wanted = (l->last_pass ? FG_WANT_PASS : 0u) |
                            (show->able && fg_line_listening(l) ? FG_WANT_READY : 0u) |
                            (show->fault ? FG_WANT_FAULT : 0u) | (halt ? FG_WANT_HALT : 0u);
    fg_actuator_want(l->s.actuator, wanted);
}
