#include "runtime/modbus/map.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum holding_register {
    SLOT = 0,
    THRESHOLD = 1,
    COMMAND = 2,
    WATCHDOG = 3,
    REJECT = 4, /* and 5 */
    PULSE = 6,
    UNLOCK = 7,
};

static uint16_t word_at(const uint8_t *bytes) {
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* ---- Decoding ---- */

static enum fg_modbus_exception decode_coils(const uint8_t *pdu, uint32_t size,
                                             struct fg_modbus_request *request) {
    if (size < 6)
        return FG_MODBUS_ILLEGAL_VALUE;
    uint32_t bytes = (request->count + 7u) / 8u;
    if (request->count < 1 || request->count > FG_MODBUS_MAX_WRITE_BITS || pdu[5] != bytes ||
        size != 6 + bytes)
        return FG_MODBUS_ILLEGAL_VALUE;
    for (uint32_t i = 0; i < request->count && i < FG_MODBUS_COILS; i++)
        request->values[i] = pdu[6 + i / 8] >> i % 8 & 1;
    return FG_MODBUS_DONE;
}

static enum fg_modbus_exception decode_registers(const uint8_t *pdu, uint32_t size,
                                                 struct fg_modbus_request *request) {
    if (size < 6)
        return FG_MODBUS_ILLEGAL_VALUE;
    uint32_t bytes = request->count * 2u;
    if (request->count < 1 || request->count > FG_MODBUS_MAX_WRITE_REGISTERS || pdu[5] != bytes ||
        size != 6 + bytes)
        return FG_MODBUS_ILLEGAL_VALUE;
    for (uint32_t i = 0; i < request->count && i < FG_MODBUS_HOLDING_REGISTERS; i++)
        request->values[i] = word_at(pdu + 6 + 2 * i);
    return FG_MODBUS_DONE;
}

static enum fg_modbus_exception decode_read(uint32_t most, uint32_t size,
                                            const struct fg_modbus_request *request) {
    return size == 5 && request->count >= 1 && request->count <= most ? FG_MODBUS_DONE
                                                                      : FG_MODBUS_ILLEGAL_VALUE;
}

enum fg_modbus_exception fg_modbus_decode(const uint8_t *pdu, uint32_t size,
                                          struct fg_modbus_request *request) {
    assert(size >= 1 && size <= FG_MODBUS_MAX_PDU);
    *request = (struct fg_modbus_request){.function = pdu[0]};
    if (size >= 5) {
        request->address = word_at(pdu + 1);
        request->count = word_at(pdu + 3);
    }
    switch (request->function) {
    case FG_MODBUS_READ_COILS:
    case FG_MODBUS_READ_DISCRETE_INPUTS:
        return decode_read(FG_MODBUS_MAX_READ_BITS, size, request);
    case FG_MODBUS_READ_HOLDING_REGISTERS:
    case FG_MODBUS_READ_INPUT_REGISTERS:
        return decode_read(FG_MODBUS_MAX_READ_REGISTERS, size, request);
    case FG_MODBUS_WRITE_COIL:
        if (size != 5 || (request->count != 0x0000 && request->count != 0xff00))
            return FG_MODBUS_ILLEGAL_VALUE;
        request->values[0] = request->count == 0xff00;
        request->count = 1;
        return FG_MODBUS_DONE;
    case FG_MODBUS_WRITE_REGISTER:
        if (size != 5)
            return FG_MODBUS_ILLEGAL_VALUE;
        request->values[0] = request->count;
        request->count = 1;
        return FG_MODBUS_DONE;
    case FG_MODBUS_WRITE_COILS:
        return decode_coils(pdu, size, request);
    case FG_MODBUS_WRITE_REGISTERS:
        return decode_registers(pdu, size, request);
    default:
        return FG_MODBUS_ILLEGAL_FUNCTION;
    }
}

/* ---- The tables as they are read ---- */

static uint16_t u16(uint32_t value) {
    return value > UINT16_MAX ? UINT16_MAX : (uint16_t)value;
}

/* x 10000; 4294967295 only for what is no number. */
static uint32_t scaled(float value) {
    if (!isfinite(value))
        return UINT32_MAX;
    double scale = round((double)value * 10000);
    return scale <= 0 ? 0 : scale >= UINT32_MAX ? UINT32_MAX - 1 : (uint32_t)scale;
}

static void put_u32(uint16_t *at, uint32_t value, bool low_first) {
    at[low_first] = (uint16_t)(value >> 16);
    at[!low_first] = (uint16_t)value;
}

static uint16_t status_word(const struct fg_snapshot *s) {
    bool enabled = s->coils & FG_COIL_TRIGGER_ENABLE && !(s->coils & FG_COIL_OFFLINE);
    bool shown = s->result_valid && !s->result_expired;
    const bool bit[FG_MODBUS_DISCRETE_INPUTS] = {
        s->online,
        s->able && enabled,
        s->busy,
        s->result_valid,
        shown && s->result.verdict == FG_PASS,
        shown && s->result.verdict == FG_DEFECT,
        shown && s->result.verdict == FG_INOPERATIVE,
        s->fault,
        s->exposure_complete,
        s->result_toggle,
        s->missed_trigger,
        s->result_overrun,
        s->updating,
        s->degraded,
        s->reject_active,
        s->heartbeat,
    };
    uint32_t word = 0;
    for (uint32_t i = 0; i < FG_MODBUS_DISCRETE_INPUTS; i++)
        word |= (uint32_t)bit[i] << i;
    return (uint16_t)word;
}

/* Registers 16 to 40. */
static void put_result(uint16_t *table, const struct fg_snapshot *s, bool low) {
    const struct fg_result *result = &s->result;
    bool inoperative = result->verdict == FG_INOPERATIVE, defect = result->verdict == FG_DEFECT;
    uint64_t unix_ms = result->trigger_unix_ms > 0 ? (uint64_t)result->trigger_unix_ms : 0;
    table[16] = table[40] = s->result_sequence;
    put_u32(table + 17, result->id, low);
    table[19] = (uint16_t)result->verdict;
    put_u32(table + 20, inoperative ? UINT32_MAX : scaled(result->score), low);
    put_u32(table + 22, scaled(result->threshold), low);
    table[24] = result->slot;
    table[25] = inoperative ? (uint16_t)result->reason : 0;
    if (defect) {
        table[26] = result->x;
        table[27] = result->y;
        table[28] = result->w;
        table[29] = result->h;
        put_u32(table + 30, result->area, low);
    }
    put_u32(table + 32, (uint32_t)(unix_ms / 1000), low);
    table[34] = (uint16_t)(unix_ms % 1000);
    put_u32(table + 35, (uint32_t)result->encoder, low);
    table[37] = u16(result->exposure);
    table[38] = u16(result->inference);
    table[39] = u16(result->total);
}

static void put_input_registers(uint16_t *table, const struct fg_snapshot *s, bool low) {
    const struct fg_counters *c = &s->counters;
    const uint32_t counter[] = {c->triggers,        c->pass, c->defect,        c->inoperative,
                                c->missed_triggers, c->late, c->camera_errors, c->overruns};
    memset(table, 0, FG_MODBUS_INPUT_REGISTERS * sizeof *table);
    table[0] = status_word(s);
    table[1] = s->error;
    put_u32(table + 2, s->uptime_s, low);
    put_u32(table + 4, 0x12345678, low);
    put_u32(table + 6, 0x3f800000, low); /* 1.0 */
    table[8] = s->results_queued;
    put_result(table, s, low);
    put_u32(table + 42, s->last_trigger_id, low);
    table[44] = s->active_slot;
    table[45] = s->outcome;
    for (uint32_t i = 0; i < sizeof counter / sizeof *counter; i++)
        put_u32(table + 48 + 2 * i, counter[i], low);
    table[64] = u16(s->total_min);
    table[65] = u16(s->total_mean);
    table[66] = u16(s->total_p99);
    table[67] = u16(s->total_max);
    table[70] = u16(s->resident_mib);
    table[71] = u16(s->arena_used_mib);
    table[72] = u16(s->arena_size_mib);
    table[73] = u16(s->gpu_free_mib);
    table[74] = u16(scaled(s->drift));
    table[75] = (uint16_t)s->drift_state;
    put_u32(table + 80, s->configuration_checksum, low);
    put_u32(table + 82, s->bundle_checksum, low);
    table[84] = s->security_counter;
    table[85] = s->version;
    for (uint32_t i = 0; i < FG_BUNDLE_NAME_SIZE / 2; i++)
        table[96 + i] = word_at((const uint8_t *)s->bundle_name + 2 * i);
}

static void put_holding_registers(uint16_t *table, const struct fg_snapshot *s, bool low) {
    const struct fg_holding *holding = &s->holding;
    table[SLOT] = holding->slot;
    table[THRESHOLD] = u16(holding->threshold[0]);
    table[COMMAND] = holding->command;
    table[WATCHDOG] = holding->watchdog;
    put_u32(table + REJECT, holding->reject, low);
    table[PULSE] = holding->pulse;
    table[UNLOCK] = 0;
}

static void put_bits(uint16_t *table, uint32_t bits, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        table[i] = bits >> i & 1;
}

/* ---- Writes ---- */

static void ask(struct fg_commands *commands, enum fg_command_kind kind, uint32_t value) {
    assert(commands->count < FG_MAX_COMMANDS);
    commands->command[commands->count++] = (struct fg_command){.kind = kind, .value = value};
}

static bool within(uint32_t value, struct fg_modbus_range range) {
    return value >= range.min && value <= range.max;
}

static enum fg_modbus_exception write_coils(const struct fg_modbus_request *request,
                                            const struct fg_snapshot *s, struct fg_commands *commands) {
    uint32_t coils = s->coils;
    for (uint32_t i = 0; i < request->count; i++) {
        uint32_t bit = 1u << (request->address + i);
        coils = request->values[i] ? coils | bit : coils & ~bit;
    }
    uint32_t rising = coils & ~(uint32_t)s->coils;
    bool enabled = coils & FG_COIL_TRIGGER_ENABLE && !(coils & FG_COIL_OFFLINE);

    if (rising & FG_COIL_COMMAND) {
        if (s->holding.command != FG_CODE_SELF_TEST)
            return FG_MODBUS_ILLEGAL_VALUE;
        if (s->outcome == FG_OUTCOME_RUNNING)
            return FG_MODBUS_BUSY;
    }
    if (rising & FG_COIL_TRIGGER && enabled && !s->able) {
        ask(commands, FG_COMMAND_MISSED_TRIGGER, 0);
        return FG_MODBUS_BUSY;
    }

    ask(commands, FG_COMMAND_COILS, coils);
    if (rising & FG_COIL_TRIGGER && enabled)
        ask(commands, FG_COMMAND_TRIGGER, 0);
    if (rising & FG_COIL_RESULT_ACK)
        ask(commands, FG_COMMAND_RESULT_ACK, 0);
    if (rising & FG_COIL_CLEAR_FAULT)
        ask(commands, FG_COMMAND_CLEAR_FAULT, 0);
    if (rising & FG_COIL_RESET_COUNTERS)
        ask(commands, FG_COMMAND_RESET_COUNTERS, 0);
    if (rising & FG_COIL_COMMAND)
        ask(commands, FG_COMMAND_RUN, s->holding.command);
    return FG_MODBUS_DONE;
}

/* The holding registers of a write, by number. */
struct holding_write {
    bool has[FG_MODBUS_HOLDING_REGISTERS];
    uint16_t value[FG_MODBUS_HOLDING_REGISTERS];
    uint32_t reject;
};

static bool values_allowed(const struct holding_write *write, const struct fg_modbus_rules *rules) {
    const uint16_t *value = write->value;
    if (write->has[SLOT] && value[SLOT] >= rules->slots)
        return false;
    if (write->has[THRESHOLD] && value[THRESHOLD] != 0 && !within(value[THRESHOLD], rules->threshold))
        return false;
    if (write->has[COMMAND] && value[COMMAND] != FG_CODE_NONE && value[COMMAND] != FG_CODE_SELF_TEST)
        return false;
    if (write->has[REJECT] != write->has[REJECT + 1] ||
        (write->has[REJECT] && !within(write->reject, rules->reject)))
        return false;
    if (write->has[PULSE] && !within(value[PULSE], rules->pulse))
        return false;
    return !write->has[UNLOCK] || rules->unlock_code == 0 || value[UNLOCK] == 0 ||
           value[UNLOCK] == rules->unlock_code;
}

static enum fg_modbus_exception write_registers(const struct fg_modbus_request *request,
                                                const struct fg_snapshot *s,
                                                const struct fg_modbus_rules *rules,
                                                struct fg_commands *commands) {
    struct holding_write write = {0};
    for (uint32_t i = 0; i < request->count; i++) {
        write.has[request->address + i] = true;
        write.value[request->address + i] = request->values[i];
    }
    write.reject =
        (uint32_t)write.value[REJECT + rules->low_first] << 16 | write.value[REJECT + !rules->low_first];
    if (!values_allowed(&write, rules))
        return FG_MODBUS_ILLEGAL_VALUE;

    bool code_given = write.has[UNLOCK] && rules->unlock_code != 0;
    bool unlocked =
        code_given ? write.value[UNLOCK] == rules->unlock_code : rules->unlock_code == 0 || s->unlocked;
    if (!unlocked && (write.has[THRESHOLD] || write.has[REJECT] || write.has[PULSE]))
        return FG_MODBUS_BUSY;
    /* A PLC that writes its whole block in a cycle repeats the slot while the job changes. */
    if (write.has[SLOT] && write.value[SLOT] != s->holding.slot && s->outcome == FG_OUTCOME_RUNNING)
        return FG_MODBUS_BUSY;

    if (code_given)
        ask(commands, FG_COMMAND_UNLOCK, unlocked);
    if (write.has[SLOT])
        ask(commands, FG_COMMAND_SLOT, write.value[SLOT]);
    if (write.has[THRESHOLD])
        ask(commands, FG_COMMAND_THRESHOLD, write.value[THRESHOLD]);
    if (write.has[COMMAND])
        ask(commands, FG_COMMAND_CODE, write.value[COMMAND]);
    if (write.has[WATCHDOG])
        ask(commands, FG_COMMAND_WATCHDOG, write.value[WATCHDOG]);
    if (write.has[REJECT])
        ask(commands, FG_COMMAND_REJECT, write.reject);
    if (write.has[PULSE])
        ask(commands, FG_COMMAND_PULSE, write.value[PULSE]);
    return FG_MODBUS_DONE;
}

/* ---- One request ---- */

/* How many coils, inputs or registers the function's table has; 0: no function of this map. */
static uint32_t table_size(uint8_t function) {
    switch (function) {
    case FG_MODBUS_READ_COILS:
    case FG_MODBUS_WRITE_COIL:
    case FG_MODBUS_WRITE_COILS:
        return FG_MODBUS_COILS;
    case FG_MODBUS_READ_DISCRETE_INPUTS:
        return FG_MODBUS_DISCRETE_INPUTS;
    case FG_MODBUS_READ_INPUT_REGISTERS:
        return FG_MODBUS_INPUT_REGISTERS;
    case FG_MODBUS_READ_HOLDING_REGISTERS:
    case FG_MODBUS_WRITE_REGISTER:
    case FG_MODBUS_WRITE_REGISTERS:
        return FG_MODBUS_HOLDING_REGISTERS;
    default:
        return 0;
    }
}

void fg_modbus_answer(const struct fg_modbus_request *request, const struct fg_snapshot *snapshot,
                      const struct fg_modbus_rules *rules, bool may_write, struct fg_modbus_answer *answer) {
    *answer = (struct fg_modbus_answer){0};
    uint32_t size = table_size(request->function);
    if (size == 0 || (uint32_t)request->address + request->count > size) {
        answer->exception = size == 0 ? FG_MODBUS_ILLEGAL_FUNCTION : FG_MODBUS_ILLEGAL_ADDRESS;
        return;
    }
    uint16_t table[FG_MODBUS_INPUT_REGISTERS];
    switch (request->function) {
    case FG_MODBUS_READ_COILS:
        put_bits(table, snapshot->coils, size);
        break;
    case FG_MODBUS_READ_DISCRETE_INPUTS:
        put_bits(table, status_word(snapshot), size);
        break;
    case FG_MODBUS_READ_INPUT_REGISTERS:
        put_input_registers(table, snapshot, rules->low_first);
        break;
    case FG_MODBUS_READ_HOLDING_REGISTERS:
        put_holding_registers(table, snapshot, rules->low_first);
        break;
    case FG_MODBUS_WRITE_COIL:
    case FG_MODBUS_WRITE_COILS:
        answer->exception = may_write ? write_coils(request, snapshot, &answer->commands) : FG_MODBUS_BUSY;
        return;
    default:
        answer->exception =
            may_write ? write_registers(request, snapshot, rules, &answer->commands) : FG_MODBUS_BUSY;
        return;
    }
    memcpy(answer->values, table + request->address, request->count * sizeof *table);
}
