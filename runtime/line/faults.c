/* Latches and logs what is wrong with the line. */
#include "runtime/line/faults.h"

#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/line/cameras.h"
#include "runtime/line/setup.h"
#include "runtime/line/state.h"

#define FIRST FG_FAULT_CAMERA
#define BIT(fault) (1u << ((fault)-FIRST))

void fg_faults_raise(struct fg_line *l, enum fg_fault fault) {
    if (!l->faults || fault == FG_FAULT_DEVICE_LOST)
        l->show.error = (uint16_t)fault;
    l->show.fault = true;
    if (!(l->faults & BIT(fault)))
        fg_log(FG_LOG_ERROR, "fault %u: %s", (unsigned)fault, fg_fault_text(fault));
    l->faults |= BIT(fault);
}

void fg_faults_halt(struct fg_line *l, enum fg_fault fault) {
    fg_faults_raise(l, fault);
    if (!l->halted)
        fg_log(FG_LOG_ERROR, "line stopped, because %s", fg_fault_text(fault));
    l->halted = true;
}

bool fg_faults_has(const struct fg_line *l, enum fg_fault fault) {
    return l->faults & BIT(fault);
}

/* Whether what is wrong is still so: clearing it would only hide it. */
static bool does_stay(const struct fg_line *l, uint32_t fault) {
    return fault == FG_FAULT_DEVICE_LOST || (fault == FG_FAULT_CAMERA && fg_cameras_gone(l)) ||
           (fault == FG_FAULT_EDGES_LOST && l->deaf);
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
    l->show.error = FG_FAULT_NONE;
    for (uint32_t fault = FIRST; fault < FIRST + 32; fault++) {
        if (!(l->faults & BIT(fault)))
            continue;
        if (does_stay(l, fault)) {
            l->show.error = (uint16_t)fault; /* the last of several counts: a lost device hides the others */
            continue;
        }
        l->faults &= ~BIT(fault);
        fg_log(FG_LOG_INFO, "fault %u is cleared", fault);
    }
    l->show.fault = l->faults;
    if (l->halted && !l->deaf)
        fg_log(FG_LOG_INFO, "line released");
    l->halted = l->deaf;
    l->watchdog_ns = fg_clock_ns();
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
