/* What servers ask of the line: refused or carried out, each list whole. */
#include "runtime/line/commands.h"

#include "runtime/base/clock.h"
#include "runtime/line/faults.h"
#include "runtime/line/jobs.h"
#include "runtime/line/part.h"
#include "runtime/line/publish.h"
#include "runtime/line/state.h"

/* Finds why the list may not be carried out now; FG_MODBUS_DONE: it may. coils are those that the list
 * leaves. */
static enum fg_modbus_exception refuse_commands(struct fg_line *l, const struct fg_commands *commands) {
    uint8_t coils = l->show.coils;
    bool triggered = false; /* the list has a trigger before this command */
    for (uint32_t i = 0; i < commands->count; i++) {
        const struct fg_command *c = &commands->command[i];
        if (c->kind == FG_COMMAND_COILS)
            coils = (uint8_t)c->value;
        const bool listening = (coils & FG_COIL_TRIGGER_ENABLE) && !(coils & FG_COIL_OFFLINE);
        if (c->kind == FG_COMMAND_TRIGGER && listening && !fg_line_able(l)) {
            fg_faults_missed_trigger(l);
            return FG_MODBUS_BUSY;
        }
        triggered |= c->kind == FG_COMMAND_TRIGGER && listening;
        /* A PLC that writes its whole block in a cycle repeats the slot while the job changes. */
        const bool new_job = c->kind == FG_COMMAND_SLOT && c->value != l->show.holding.slot;
        if ((new_job || c->kind == FG_COMMAND_RUN) &&
            (l->show.outcome == FG_OUTCOME_RUNNING || l->stop_at_ns || l->lost_at_ns))
            return FG_MODBUS_BUSY;
        if (c->kind == FG_COMMAND_RUN && (triggered || l->judging || fg_part_any(l) || !l->loaded))
            return FG_MODBUS_BUSY;
    }
    return FG_MODBUS_DONE;
}

static void change_job(struct fg_line *l, uint16_t slot) {
    l->show.holding.slot = slot;
    l->slot_written = true;
    if (l->show.outcome == FG_OUTCOME_RUNNING)
        return; /* the job change under way, or a self-test of the slot in use */
    if (l->loaded && slot == l->show.active_slot) {
        l->show.outcome = FG_OUTCOME_DONE;
    } else if (l->judging || fg_part_any(l)) {
        l->show.outcome = FG_OUTCOME_RUNNING;
        l->slot_waiting = true;
    } else {
        fg_jobs_load(l, slot);
    }
}

static void carry_out_command(struct fg_line *l, const struct fg_command *c) {
    struct fg_holding *holding = &l->show.holding;
    if (c->kind >= FG_COMMAND_THRESHOLD) {
        holding->threshold[c->kind - FG_COMMAND_THRESHOLD] = c->value;
        return;
    }
    switch (c->kind) {
    case FG_COMMAND_COILS:
        l->show.coils = (uint8_t)c->value;
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
    case FG_COMMAND_RUN: /* the map lets the self-test through, and nothing else yet */
        fg_jobs_self_test(l);
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
        break;
    case FG_COMMAND_PULSE:
        holding->pulse = (uint16_t)c->value;
        break;
    case FG_COMMAND_UNLOCK:
        l->show.unlocked = c->value != 0;
        break;
    case FG_COMMAND_THRESHOLD: /* carried out above, before the switch */
        break;
    }
}

void fg_commands_answer(struct fg_line *l, struct fg_request *request) {
    const struct fg_commands *commands = &request->commands;
    const enum fg_modbus_exception exception = refuse_commands(l, commands);
    for (uint32_t i = 0; i < commands->count && exception == FG_MODBUS_DONE; i++)
        carry_out_command(l, &commands->command[i]);
    fg_publish(l); /* what it changed is shown before the answer goes out */
    fg_requests_answer(request, exception);
}
