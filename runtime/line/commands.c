/* What servers ask of the line: refused or carried out, each list whole. */
#include "runtime/line/commands.h"

#include "config/live.h"
#include "runtime/base/clock.h"
#include "runtime/base/event.h"
#include "runtime/base/log.h"
#include "runtime/line/cameras.h"
#include "runtime/line/faults.h"
#include "runtime/line/jobs.h"
#include "runtime/line/part.h"
#include "runtime/line/publish.h"
#include "runtime/line/setup.h"
#include "runtime/line/state.h"

/* The coils as a list leaves them, and those that rise by it. A list that writes no coil needs no edge. */
static uint8_t apply_coils(uint8_t coils, const struct fg_commands *commands, uint32_t *rising) {
    const uint8_t before = coils;
    *rising = UINT32_MAX;
    for (uint32_t i = 0; i < commands->count; i++) {
        const uint32_t value = commands->command[i].value, written = value >> 16;
        if (commands->command[i].kind != FG_COMMAND_COILS)
            continue;
        coils = (uint8_t)((coils & ~written) | (value & written));
        *rising = coils & ~(uint32_t)before;
    }
    return coils;
}

/* The coils that a list writes, by bit. */
static uint32_t find_written(const struct fg_commands *commands) {
    uint32_t written = 0;
    for (uint32_t i = 0; i < commands->count; i++)
        if (commands->command[i].kind == FG_COMMAND_COILS)
            written |= commands->command[i].value >> 16;
    return written;
}

/* Sets the levels of coils, before the commands of their edges are carried out. */
static void write_coils(struct fg_line *l, uint8_t coils, uint32_t written) {
    l->enable_written |= (written & FG_COIL_TRIGGER_ENABLE) != 0;
    l->show.coils = coils;
}

/* Whether a command is to be carried out: one of an edge only where its coil rises. */
static bool is_due(const struct fg_command *c, uint32_t rising) {
    switch (c->kind) {
    case FG_COMMAND_TRIGGER:
        return rising & FG_COIL_TRIGGER;
    case FG_COMMAND_RESULT_ACK:
        return rising & FG_COIL_RESULT_ACK;
    case FG_COMMAND_CLEAR_FAULT:
        return rising & FG_COIL_CLEAR_FAULT;
    case FG_COMMAND_RESET_COUNTERS:
        return rising & FG_COIL_RESET_COUNTERS;
    case FG_COMMAND_RUN:
        return rising & FG_COIL_COMMAND;
    default:
        return true;
    }
}

/* Whether a command or a job change is under way. */
static bool is_running(const struct fg_line *l) {
    return l->show.outcome == FG_OUTCOME_RUNNING && !l->show.saving;
}

/* Finds why the list may not be carried out now; FG_MODBUS_DONE: it may. */
static enum fg_modbus_exception refuse_commands(struct fg_line *l, const struct fg_commands *commands) {
    uint32_t rising;
    const uint8_t coils = apply_coils(l->show.coils, commands, &rising);
    const bool listening = (coils & FG_COIL_TRIGGER_ENABLE) && !(coils & FG_COIL_OFFLINE);
    bool triggered = false; /* the list has a trigger before this command */
    for (uint32_t i = 0; i < commands->count; i++) {
        const struct fg_command *c = &commands->command[i];
        if (!is_due(c, rising))
            continue;
        if (c->kind == FG_COMMAND_TRIGGER && listening && !fg_line_able(l)) {
            fg_faults_missed_trigger(l);
            return FG_MODBUS_BUSY;
        }
        triggered |= c->kind == FG_COMMAND_TRIGGER && listening;
        /* A PLC that writes its whole block in a cycle repeats the slot while the job changes. */
        const bool new_job = c->kind == FG_COMMAND_SLOT && c->value != l->show.holding.slot;
        if ((new_job || c->kind == FG_COMMAND_RUN) &&
            (is_running(l) || l->stop_at_ns || l->lost_at_ns || fg_cameras_testing(l)))
            return FG_MODBUS_BUSY;
        if (c->kind == FG_COMMAND_RUN && c->value == FG_CODE_SELF_TEST &&
            (triggered || l->judging || fg_part_any(l) || !l->loaded))
            return FG_MODBUS_BUSY;
    }
    return FG_MODBUS_DONE;
}

static void change_job(struct fg_line *l, uint16_t slot) {
    const bool in_use = l->loaded && slot == l->show.active_slot;
    const bool repeated = l->slot_written && slot == l->show.holding.slot;
    l->show.holding.slot = slot;
    l->slot_written = true;
    if (l->stop_at_ns || l->lost_at_ns)
        return; /* what is asked for again is no longer tried: the end would wait for it */
    /* A PLC that writes its whole block in a cycle repeats the slot: no job changes, and the outcome stays
     * that of the last change or command. What could not be loaded is tried again once the fault is cleared;
     * else the bundle in use would never judge. */
    if (repeated && (in_use || fg_faults_has(l, FG_FAULT_JOB)))
        return;
    if (is_running(l))
        return;             /* the job change under way, or a self-test of the slot in use */
    l->show.saving = false; /* the frame is saved all the same, but the outcome is the job change's */
    if (in_use)
        l->show.outcome = FG_OUTCOME_DONE;
    else
        fg_jobs_change(l, slot);
}

static void ask_reload(struct fg_line *l) {
    l->show.outcome = FG_OUTCOME_RUNNING;
    l->reloading = true;
    fg_event_signal(l->s.reload_descriptor);
}

static void check_thresholds(const struct fg_line *l, uint32_t chosen[FG_VIEWS]) {
    const struct fg_config *config = l->s.config;
    char view[FG_SETUP_VIEW];
    for (uint32_t v = 0; v < config->views; v++) {
        const float threshold = (float)chosen[v] / 10000;
        if (!chosen[v] || (threshold >= config->threshold.min && threshold <= config->threshold.max))
            continue;
        chosen[v] = 0;
        fg_log(FG_LOG_WARNING,
               "reload: %sthe PLC's threshold %.4f is outside threshold.min and max; the bundle's own counts",
               fg_setup_name_view(config, v, view), (double)threshold);
    }
}

/* Values that the PLC has written and that could not be written now. */
static void check_written(struct fg_line *l) {
    const struct fg_config *config = l->s.config;
    const struct fg_holding *holding = &l->show.holding;
    check_thresholds(l, l->show.holding.threshold);
    if (l->changing) /* those of the bundles in use come back if the change fails */
        check_thresholds(l, l->old_threshold);
    if (holding->reject < config->deadline_ms * 10 + config->reject.lead)
        fg_log(FG_LOG_WARNING,
               "reload: the PLC's reject delay, %.1f ms, is shorter than deadline_ms + reject.lead_ms: late "
               "verdicts reject",
               holding->reject / 10.0);
}

/* Takes over what may change between two events. Registers that the PLC has written stay, where they may. */
static void adopt_config(struct fg_line *l) {
    const struct fg_config *config = l->s.config;
    if (l->next) {
        const uint32_t watchdog_ms = config->plc_watchdog_ms;
        fg_live_adopt(l->s.config, l->next);
        l->results.ack_timeout_ns = config->results.ack_timeout_ms * FG_MS;
        l->watchdog_ns = config->plc_watchdog_ms == watchdog_ms ? l->watchdog_ns : 0;
        if (!(l->rewritten & FG_WRITTEN_REJECT))
            l->show.holding.reject = config->reject.delay;
        if (!(l->rewritten & FG_WRITTEN_PULSE))
            l->show.holding.pulse = (uint16_t)config->reject.pulse;
        l->show.configuration_checksum = config->checksum;
        check_written(l);
    } else {
        fg_faults_raise(l, FG_FAULT_CONFIGURATION);
    }
    if (l->reloading)
        l->show.outcome = l->next ? FG_OUTCOME_DONE : FG_FAULT_CONFIGURATION;
    l->reloading = false;
}

static void note_written(struct fg_line *l, enum fg_line_written which) {
    l->written |= which;
    l->rewritten |= which;
}

/* Command 2: publish.c shows how it ended. */
static void save_next(struct fg_line *l) {
    struct fg_sink_state state;
    if (!l->s.sink || !l->s.sink->keep) {
        l->show.outcome = FG_FAULT_STORE;
        fg_log(FG_LOG_ERROR,
               "command 2: the frame cannot be saved, because the configuration has no store.path");
        return;
    }
    l->s.sink->state(l->s.sink->store, &state);
    l->saved = state.saved;
    l->unsaved = state.unsaved;
    l->save_next = l->show.saving = true;
    l->show.outcome = FG_OUTCOME_RUNNING;
}

static void carry_out_command(struct fg_line *l, const struct fg_command *c) {
    struct fg_holding *holding = &l->show.holding;
    if (c->kind >= FG_COMMAND_THRESHOLD) {
        holding->threshold[c->kind - FG_COMMAND_THRESHOLD] = c->value;
        return;
    }
    switch (c->kind) {
    case FG_COMMAND_COILS: /* fg_commands_answer */
        break;
    case FG_COMMAND_TRIGGER:
        if (fg_line_listening(l))
            fg_part_take(l, fg_clock_ns());
        break;
    case FG_COMMAND_MISSED_TRIGGER:
        fg_faults_missed_trigger(l);
        break;
    case FG_COMMAND_RESULT_ACK:
        fg_results_acknowledge(&l->results, fg_clock_ns());
        break;
    case FG_COMMAND_CLEAR_FAULT:
        fg_faults_clear(l);
        break;
    case FG_COMMAND_RESET_COUNTERS:
        fg_publish_reset(l);
        break;
    case FG_COMMAND_RUN: /* the map lets nothing else through */
        if (c->value == FG_CODE_RELOAD)
            ask_reload(l);
        else if (c->value == FG_CODE_SAVE)
            save_next(l);
        else
            fg_jobs_self_test(l);
        break;
    case FG_COMMAND_ADOPT:
        adopt_config(l);
        break;
    case FG_COMMAND_SLOT:
        change_job(l, (uint16_t)c->value);
        break;
    case FG_COMMAND_CODE:
        holding->command = (uint16_t)c->value;
        break;
    case FG_COMMAND_WATCHDOG:
        if (holding->watchdog != c->value)
            l->watchdog_ns = fg_clock_ns();
        holding->watchdog = (uint16_t)c->value;
        break;
    case FG_COMMAND_REJECT:
        holding->reject = c->value;
        note_written(l, FG_WRITTEN_REJECT);
        break;
    case FG_COMMAND_PULSE:
        holding->pulse = (uint16_t)c->value;
        note_written(l, FG_WRITTEN_PULSE);
        break;
    case FG_COMMAND_THRESHOLD: /* carried out above, before the switch */
        break;
    }
}

void fg_commands_answer(struct fg_line *l, struct fg_request *request) {
    const struct fg_commands *commands = &request->commands;
    const enum fg_modbus_exception exception = refuse_commands(l, commands);
    if (exception == FG_MODBUS_DONE) {
        uint32_t rising;
        const uint32_t written = find_written(commands);
        write_coils(l, apply_coils(l->show.coils, commands, &rising), written);
        for (uint32_t i = 0; i < commands->count; i++)
            if (is_due(&commands->command[i], rising))
                carry_out_command(l, &commands->command[i]);
        if (commands->single && l->s.config->trigger.coil_resets)
            l->show.coils &= (uint8_t) ~(written & FG_EDGE_COILS);
    }
    fg_publish(l); /* what it changed is shown before the answer goes out */
    fg_requests_answer(request, exception);
}
