/* Fills the snapshot that servers answer from, and tells the actuation which levels it asks for. */
#include "runtime/line/publish.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/line/cameras.h"
#include "runtime/line/part.h"
#include "runtime/line/state.h"

void fg_publish_begin(struct fg_line *l) {
    const struct fg_config *config = l->s.config;
    struct fg_snapshot *show = &l->show;
    show->coils = config->trigger.enable_at_start ? FG_COIL_TRIGGER_ENABLE : 0;
    show->holding = (struct fg_holding){.slot = (uint16_t)config->job.slot,
                                        .reject = config->reject.delay,
                                        .pulse = (uint16_t)config->reject.pulse};
    show->configuration_checksum = config->checksum;
    show->arena_size_mib = (uint32_t)((fg_arena_size(l->s.arena) + fg_arena_size(l->s.device)) >> 20);
    show->version = FG_LINE_VERSION;
    fg_publish(l);
}

void fg_publish_time(struct fg_line *l, uint32_t total) {
    const uint32_t place = total < FG_LINE_TIMES ? total : FG_LINE_TIMES - 1;
    l->show.total_min = !l->time_count || total < l->show.total_min ? total : l->show.total_min;
    l->show.total_max = total > l->show.total_max ? total : l->show.total_max;
    l->times[place]++;
    l->time_count++;
    l->time_sum += total;
    l->show.total_mean = (uint32_t)(l->time_sum / l->time_count);
    /* p99 is the smallest time that 99 % of the parts do not exceed. */
    const uint64_t wanted = (l->time_count * 99 + 99) / 100;
    uint64_t sum = 0;
    uint32_t p99 = 0;
    while (p99 < FG_LINE_TIMES - 1 && (sum += l->times[p99]) < wanted)
        p99++;
    l->show.total_p99 = p99;
}

void fg_publish_reset(struct fg_line *l) {
    l->show.counters = (struct fg_counters){.triggers = fg_part_uncounted(l)};
    memset(l->times, 0, sizeof l->times);
    l->time_sum = l->time_count = 0;
    l->show.total_min = l->show.total_mean = l->show.total_p99 = l->show.total_max = 0;
}

void fg_publish_measure(struct fg_line *l) {
    char text[128];
    const ssize_t size = l->statm < 0 ? -1 : pread(l->statm, text, sizeof text - 1, 0);
    if (size > 0) {
        text[size] = 0;
        char *resident; /* the second number, in pages */
        strtoul(text, &resident, 10);
        l->show.resident_mib =
            (uint32_t)(strtoul(resident, NULL, 10) * (unsigned long)sysconf(_SC_PAGESIZE) >> 20);
    }
    if (!l->show.updating) /* while it is updating, the judge fills a bank */
        l->show.arena_used_mib =
            (uint32_t)((fg_arena_high_water(l->s.arena) + fg_arena_high_water(l->s.device)) >> 20);
    l->show.uptime_s = (uint32_t)((fg_clock_ns() - l->started_ns) / FG_S);
}

/* Of several views the one that has drifted most counts. */
static void show_drift(struct fg_line *l) {
    l->show.drift = 0;
    l->show.drift_state = FG_DRIFT_NOT_WATCHED;
    for (uint32_t v = 0; v < l->s.config->views; v++) {
        const float level = fg_drift_level(&l->drift[v]);
        l->show.drift = level > l->show.drift ? level : l->show.drift;
        if (l->drift[v].state > l->show.drift_state)
            l->show.drift_state = l->drift[v].state;
    }
}

/* What the sink says: its thread is another one, so this looks at every snapshot. */
static void show_sink(struct fg_line *l) {
    struct fg_sink_state state;
    if (!l->s.sink)
        return;
    l->s.sink->state(l->s.sink->store, &state);
    l->show.degraded |= state.degraded;
    memcpy(l->show.proposed, state.proposed, sizeof l->show.proposed);
    if (!l->show.saving || (state.saved == l->saved && state.unsaved == l->unsaved))
        return;
    l->show.outcome = state.unsaved == l->unsaved ? FG_OUTCOME_DONE : FG_FAULT_STORE;
    l->show.saving = false;
}

/* ---- The state ---- */

/* Logs a new state, and a new reason of one. A part has a line of its own, so being at work on it is none. */
static void tell_state(struct fg_line *l, const char *why) {
    const char *name = fg_states[l->state].name;
    if (l->told == FG_STATE_ERROR && l->state != FG_STATE_ERROR)
        fg_log(FG_LOG_INFO, "line released");
    if (l->state == FG_STATE_ERROR)
        why = fg_fault_text(l->stopped_by);
    else if (l->state != FG_STATE_INITIALIZED)
        why = NULL;
    const bool news = l->state != l->told || l->told_why != why;
    if (news && l->state == FG_STATE_ERROR)
        fg_log(FG_LOG_ERROR, "line stopped, because %s", why);
    else if (news && why)
        fg_log(FG_LOG_INFO, "state %s; no trigger is taken, because %s", name, why);
    else if (news && l->state != FG_STATE_SINGLE_EXECUTION)
        fg_log(FG_LOG_INFO, "state %s", name);
    if (l->state != FG_STATE_SINGLE_EXECUTION || l->told == FG_STATE_ERROR) {
        l->told = l->state;
        l->told_why = why;
    }
}

/* obstacle: fg_line_obstacle's. */
static void find_state(struct fg_line *l, const char *obstacle) {
    const char *why = obstacle || fg_line_listening(l) ? obstacle : "trigger_enable, coil 0, is 0";
    const bool leaving = l->stop_at_ns || l->show.coils & FG_COIL_OFFLINE;
    const uint32_t facts = (l->serving ? FG_FACT_SERVING : 0u) | (l->stopped_by ? FG_FACT_STOPPED : 0u) |
                           (leaving ? FG_FACT_LEAVING : 0u) | (fg_part_any(l) ? FG_FACT_BUSY : 0u) |
                           (why ? 0u : FG_FACT_READY);
    l->state = fg_state_settle(l->state, facts);
    tell_state(l, why);
}

/* What is wanted of the outputs. Once no part must be rejected, the end waits for nothing but a job that is
 * late. */
static uint32_t find_wanted(const struct fg_line *l) {
    const bool enabled = l->show.coils & FG_COIL_TRIGGER_ENABLE && !l->stop_at_ns;
    const bool ready = fg_state_shows(fg_states[l->state].ready, enabled);
    const bool halt = l->stopped_by || (l->stop_at_ns && fg_line_may_end(l));
    return (l->last_pass ? FG_WANT_PASS : 0u) | (ready ? FG_WANT_READY : 0u) |
           (l->show.fault ? FG_WANT_FAULT : 0u) | (halt ? FG_WANT_HALT : 0u);
}

void fg_publish(struct fg_line *l) {
    struct fg_snapshot *show = &l->show;
    const char *obstacle = fg_line_obstacle(l);
    find_state(l, obstacle);
    const struct fg_state_row *state = &fg_states[l->state];
    show->state = l->state;
    show->able = !obstacle;
    show->online = fg_state_shows(state->online, false);
    show->busy = fg_state_shows(state->busy, fg_part_any(l));
    /* After a job change that failed, the earlier bundles are still in use. */
    const bool fallback =
        l->loaded && !show->updating && !l->slot_waiting && show->active_slot != show->holding.slot;
    show->degraded = fallback || fg_cameras_gone(l) || l->s.config->on_inoperative == FG_INOPERATIVE_PASS;
    show_sink(l);
    show->result_valid = l->results.valid;
    show->result_expired = l->results.expired;
    show->result_sequence = l->results.sequence;
    show->results_queued = (uint16_t)l->results.queued;
    show->result = l->results.block;
    show_drift(l);
    show->fault = l->faults && !fg_line_draining(l);
    show->updating |= fg_line_draining(l);
    show->reject_active = fg_actuator_rejecting(l->s.actuator);
    fg_snapshot_publish(&l->cell, show);
    l->fresh = false;
    fg_actuator_want(l->s.actuator, find_wanted(l));
}
