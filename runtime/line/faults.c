/* Latches and logs what is wrong with the line. */
#include "runtime/line/faults.h"

#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/line/cameras.h"
#include "runtime/line/setup.h"
#include "runtime/line/state.h"

bool fg_faults_has(const struct fg_line *l, enum fg_fault fault) {
    for (uint32_t i = 0; i < l->faults; i++)
        if (l->fault[i] == fault)
            return true;
    return false;
}

/* The first fault counts that is not cleared; a lost device hides the others, since a PLC has to read it. */
static void show_faults(struct fg_line *l) {
    const enum fg_fault first = l->faults ? l->fault[0] : FG_FAULT_NONE;
    l->show.fault = l->faults;
    l->show.error = (uint16_t)(fg_faults_has(l, FG_FAULT_DEVICE_LOST) ? FG_FAULT_DEVICE_LOST : first);
}

void fg_faults_raise(struct fg_line *l, enum fg_fault fault) {
    if (fg_faults_has(l, fault))
        return;
    l->fault[l->faults++] = fault;
    show_faults(l);
    fg_log(FG_LOG_ERROR, "fault %u: %s", (unsigned)fault, fg_fault_text(fault));
}

void fg_faults_halt(struct fg_line *l, enum fg_fault fault) {
    fg_faults_raise(l, fault);
    if (!l->stopped_by)
        l->stopped_by = fault;
}

/* Whether what is wrong is still so: clearing it would only hide it. */
static bool does_stay(const struct fg_line *l, enum fg_fault fault) {
    return fault == FG_FAULT_DEVICE_LOST || (fault == FG_FAULT_CAMERA && fg_cameras_gone(l)) ||
           (fault == FG_FAULT_EDGES_LOST && l->deaf) || (fault == FG_FAULT_SELF_TEST && l->unverified);
}

/* A view that has not drifted goes on with what it knows: many a PLC clears faults that there are not. */
static void clear_drift(struct fg_line *l) {
    char view[FG_SETUP_VIEW];
    for (uint32_t v = 0; v < l->s.config->views; v++) {
        if (l->drift[v].state != FG_DRIFT_DRIFTED)
            continue;
        fg_drift_begin_anew(&l->drift[v]);
        fg_log(FG_LOG_INFO, "%sdrift: the watch begins anew", fg_setup_name_view(l->s.config, v, view));
    }
}

void fg_faults_clear(struct fg_line *l) {
    clear_drift(l);
    l->show.missed_trigger = l->show.result_overrun = false;
    uint32_t stay = 0;
    for (uint32_t i = 0; i < l->faults; i++)
        if (does_stay(l, l->fault[i]))
            l->fault[stay++] = l->fault[i];
        else
            fg_log(FG_LOG_INFO, "fault %u is cleared: %s", (unsigned)l->fault[i], fg_fault_text(l->fault[i]));
    l->faults = stay;
    show_faults(l);
    l->stopped_by = l->lost_at_ns ? FG_FAULT_DEVICE_LOST : l->deaf ? FG_FAULT_EDGES_LOST : FG_FAULT_NONE;
    if (l->watchdog_ns)
        l->watchdog_ns = fg_clock_ns();
    fg_cameras_test(l);
}

void fg_faults_missed_trigger(struct fg_line *l) {
    l->show.missed_trigger = true;
    fg_count(&l->show.counters.missed_triggers);
}

void fg_faults_missed_reject(struct fg_line *l, const char *why) {
    fg_count(&l->show.counters.late);
    if (l->s.config->missed_reject == FG_MISSED_STOP)
        fg_faults_halt(l, FG_FAULT_MISSED_REJECT);
    else
        fg_faults_raise(l, FG_FAULT_MISSED_REJECT);
    fg_log(FG_LOG_ERROR, "missed reject: %s", why);
}
