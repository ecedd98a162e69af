/* Fills the snapshot that servers answer from, and tells the actuation which levels it asks for. */
#include "runtime/line/publish.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/line/cameras.h"
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
    memset(&l->show.counters, 0, sizeof l->show.counters);
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

void fg_publish(struct fg_line *l) {
    struct fg_snapshot *show = &l->show;
    show->able = fg_line_able(l);
    show->busy = fg_part_any(l);
    show->online =
        l->loaded && !l->halted && !l->lost_at_ns && !((show->coils & FG_COIL_OFFLINE) && !show->busy);
    /* After a job change that failed, the earlier bundles are still in use. */
    const bool fallback =
        l->loaded && !show->updating && !l->slot_waiting && show->active_slot != show->holding.slot;
    show->degraded = fallback || fg_cameras_gone(l);
    show_sink(l);
    show->result_valid = l->results.valid;
    show->result_expired = l->results.expired;
    show->result_sequence = l->results.sequence;
    show->results_queued = (uint16_t)l->results.queued;
    show->result = l->results.block;
    show_drift(l);
    show->reject_active = fg_actuator_rejecting(l->s.actuator);
    fg_snapshot_publish(&l->cell, show);
    l->fresh = false;
    /* Once the last part has its verdict, the end waits for nothing but a job that is late. */
    const bool halt = l->halted || l->lost_at_ns || (l->stop_at_ns && !show->busy);
    const uint32_t wanted = (l->last_pass ? FG_WANT_PASS : 0u) |
                            (show->able && fg_line_listening(l) ? FG_WANT_READY : 0u) |
                            (show->fault ? FG_WANT_FAULT : 0u) | (halt ? FG_WANT_HALT : 0u);
    fg_actuator_want(l->s.actuator, wanted);
}
