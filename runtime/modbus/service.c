/* One request: decoded, answered, carried out, noted. */
#include "runtime/modbus/service.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/modbus/identity.h"

#define GUESSES 5 /* wrong codes, of all clients together, after which codes are refused */
#define GUESSES_PAUSE (60 * FG_S)

enum fg_status fg_modbus_service_open(struct fg_modbus_service *service, struct fg_message *message) {
    service->mapping =
        modbus_mapping_new(FG_MODBUS_COILS, FG_MODBUS_DISCRETE_INPUTS,
                           FG_MODBUS_INPUT_COPY + FG_MODBUS_INPUT_REGISTERS, FG_MODBUS_INPUT_REGISTERS);
    return service->mapping ? FG_OK : fg_fail_errno(message, FG_ENVIRONMENT, errno, "Modbus: cannot start");
}

void fg_modbus_service_close(struct fg_modbus_service *service) {
    modbus_mapping_free(service->mapping);
}

/* ---- What a write changed ---- */

static void log_change(const struct fg_modbus_peer *peer, const char *what, uint32_t number, uint32_t before,
                       uint32_t after) {
    if (before != after)
        fg_log(FG_LOG_INFO, "Modbus: %s changed %s %" PRIu32 " from %" PRIu32 " to %" PRIu32, peer->name,
               what, number, before, after);
}

/* Logs the coils that a write changed, but for those that it writes at each part. Those that act by an edge
 * are logged when they rise. */
static void log_coils(const struct fg_modbus_peer *peer, uint32_t value, uint32_t before, uint32_t command) {
    static const struct {
        const char *name;
        uint32_t address;
        bool level;
    } LOGGED[] = {{"trigger_enable", FG_COIL_AT_TRIGGER_ENABLE, true},
                  {"clear_fault", FG_COIL_AT_CLEAR_FAULT, false},
                  {"offline", FG_COIL_AT_OFFLINE, true},
                  {"reset_counters", FG_COIL_AT_RESET_COUNTERS, false},
                  {"command", FG_COIL_AT_COMMAND, false}};
    const uint32_t written = value >> 16;
    for (size_t i = 0; i < sizeof LOGGED / sizeof *LOGGED; i++) {
        const uint32_t bit = 1u << LOGGED[i].address;
        const uint32_t was = before & bit ? 1 : 0, is = value & bit ? 1 : 0;
        if (!(written & bit) || was == is || (!LOGGED[i].level && !is))
            continue;
        char detail[32] = "";
        if (bit == FG_COIL_COMMAND)
            snprintf(detail, sizeof detail, ", command %" PRIu32, command);
        fg_log(FG_LOG_INFO, "Modbus: %s changed coil %" PRIu32 " (%s) from %" PRIu32 " to %" PRIu32 "%s",
               peer->name, LOGGED[i].address, LOGGED[i].name, was, is, detail);
    }
}

static void log_write(const struct fg_modbus_peer *peer, const struct fg_commands *commands,
                      const struct fg_snapshot *before) {
    const struct fg_holding *held = &before->holding;
    for (uint32_t i = 0; i < commands->count; i++) {
        const enum fg_command_kind kind = commands->command[i].kind;
        const uint32_t value = commands->command[i].value;
        if (kind == FG_COMMAND_COILS)
            log_coils(peer, value, before->coils, held->command);
        else if (kind == FG_COMMAND_SLOT)
            log_change(peer, "the slot, holding register", FG_HOLDING_SLOT, held->slot, value);
        else if (kind == FG_COMMAND_REJECT)
            log_change(peer, "the reject delay (0.1 ms), holding register", FG_HOLDING_REJECT, held->reject,
                       value);
        else if (kind == FG_COMMAND_PULSE)
            log_change(peer, "the reject pulse (0.1 ms), holding register", FG_HOLDING_PULSE, held->pulse,
                       value);
        else if (kind >= FG_COMMAND_THRESHOLD)
            log_change(peer, "the threshold x 10000 of view", kind - FG_COMMAND_THRESHOLD,
                       held->threshold[kind - FG_COMMAND_THRESHOLD], value);
    }
}

/* ---- The unlock code ---- */

static void take_code(struct fg_modbus_service *service, struct fg_modbus_peer *peer,
                      enum fg_modbus_code code, int64_t now) {
    if (code == FG_MODBUS_CODE_NONE)
        peer->unlocked_until_ns = 0;
    if (code == FG_MODBUS_CODE_RIGHT) {
        peer->unlocked_until_ns = peer->unlock_ns == INT64_MAX ? INT64_MAX : now + peer->unlock_ns;
        peer->unlocked_by = service->rules.unlock_code;
    }
    if (code != FG_MODBUS_CODE_WRONG)
        return;
    fg_notes_add(&service->notes, FG_NOTE_WRONG_CODE, now, FG_LOG_WARNING,
                 "Modbus: %s wrote a wrong unlock code to holding register 7", peer->name);
    if (++service->wrong_codes < GUESSES)
        return;
    service->wrong_codes = 0;
    service->codes_refused_until_ns = now + GUESSES_PAUSE;
    fg_log(FG_LOG_WARNING,
           "Modbus: %d wrong unlock codes were written, the last by %s: every code is refused for a minute",
           GUESSES, peer->name);
}

/* ---- One request ---- */

static void read_snapshot(const struct fg_modbus_service *service, struct fg_snapshot *snapshot) {
    fg_snapshot_read(service->line.cell, snapshot);
    snapshot->clients = service->clients;
    snapshot->clients_refused = service->clients_refused;
    snapshot->exceptions = service->exceptions;
    snapshot->degraded |= service->degraded;
}

static enum fg_modbus_exception ask_map(struct fg_modbus_service *service, struct fg_modbus_peer *peer,
                                        int64_t now, struct fg_modbus_reply *reply) {
    const struct fg_modbus_request *request = &reply->request;
    const bool same_code = peer->unlocked_by == service->rules.unlock_code;
    const struct fg_modbus_rights rights = {.may_write = peer->may_write,
                                            .unlocked = same_code && now < peer->unlocked_until_ns,
                                            .codes_refused = now < service->codes_refused_until_ns};
    struct fg_snapshot snapshot;
    struct fg_modbus_answer found;
    read_snapshot(service, &snapshot);
    fg_modbus_answer(request, &snapshot, &service->rules, &rights, &found);
    enum fg_modbus_exception exception = found.exception;
    if (found.commands.count > 0) {
        const enum fg_modbus_exception refused = service->line.apply(service->line.context, &found.commands);
        exception = exception != FG_MODBUS_DONE ? exception : refused;
        if (exception == FG_MODBUS_DONE)
            log_write(peer, &found.commands, &snapshot);
    }
    if (exception == FG_MODBUS_DONE || found.code == FG_MODBUS_CODE_WRONG)
        take_code(service, peer, found.code, now);
    if (exception == FG_MODBUS_DONE && request->function == FG_MODBUS_EXCHANGE_REGISTERS) {
        read_snapshot(service, &snapshot);
        fg_modbus_read(request, &snapshot, &service->rules, found.values);
    }
    memcpy(reply->values, found.values, sizeof reply->values);
    return exception;
}

static void note_exception(struct fg_modbus_service *service, const struct fg_modbus_peer *peer,
                           const struct fg_modbus_reply *reply, int64_t now) {
    const struct fg_modbus_request *request = &reply->request;
    const bool write = fg_modbus_is_write(request->function), both = request->write_count > 0;
    service->exceptions++;
    if (!reply->valid)
        fg_notes_add(&service->notes, FG_NOTE_EXCEPTION, now, FG_LOG_WARNING,
                     "Modbus: %s sent a request of function %u that is not allowed: exception %d", peer->name,
                     request->function, (int)reply->exception);
    else if (write && !peer->may_write)
        fg_notes_add(&service->notes, FG_NOTE_REFUSED_WRITE, now, FG_LOG_WARNING,
                     "Modbus: %s may not write (modbus.writers): function %u, address %u, count %u, was "
                     "refused with exception %d",
                     peer->name, request->function, both ? request->write_address : request->address,
                     both ? request->write_count : request->count, (int)reply->exception);
    else
        fg_notes_add(&service->notes, write ? FG_NOTE_REFUSED_WRITE : FG_NOTE_EXCEPTION, now, FG_LOG_WARNING,
                     "Modbus: %s: function %u, address %u, count %u, was refused with exception %d",
                     peer->name, request->function, both ? request->write_address : request->address,
                     both ? request->write_count : request->count, (int)reply->exception);
}

void fg_modbus_serve(struct fg_modbus_service *service, struct fg_modbus_peer *peer, const uint8_t *pdu,
                     uint32_t size, int64_t now, struct fg_modbus_reply *reply) {
    *reply = (struct fg_modbus_reply){0};
    const struct fg_modbus_request *request = &reply->request;
    reply->exception = fg_modbus_decode(pdu, size, &reply->request);
    reply->valid = reply->exception == FG_MODBUS_DONE;
    if (reply->valid && request->function == FG_MODBUS_IDENTIFY)
        reply->exception = fg_modbus_identify(request, reply->pdu, &reply->size);
    else if (reply->valid)
        reply->exception = ask_map(service, peer, now, reply);
    if (reply->exception != FG_MODBUS_DONE) {
        note_exception(service, peer, reply, now);
    } else if (request->function == FG_MODBUS_EXCHANGE_REGISTERS) {
        reply->pdu[reply->size++] = request->function;
        reply->pdu[reply->size++] = (uint8_t)(2 * request->count);
        for (uint32_t i = 0; i < request->count; i++) {
            reply->pdu[reply->size++] = (uint8_t)(reply->values[i] >> 8);
            reply->pdu[reply->size++] = (uint8_t)reply->values[i];
        }
    }
}
