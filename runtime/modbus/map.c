/* Decodes requests, answers reads from the rows of registers.h, turns writes into commands for the line. */
#include "runtime/modbus/map.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static uint16_t read_word(const uint8_t *bytes) {
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
        request->values[i] = read_word(pdu + 6 + 2 * i);
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
        request->address = read_word(pdu + 1);
        request->count = read_word(pdu + 3);
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

/* ---- What the rows show ---- */

/* Multiplies a value by scale and rounds it; only what is no number gives 4294967295. */
static uint32_t scale_u32(float value, double scale) {
    if (!isfinite(value))
        return UINT32_MAX;
    double scaled = round((double)value * scale);
    return scaled <= 0 ? 0 : scaled >= UINT32_MAX ? UINT32_MAX - 1 : (uint32_t)scaled;
}

static uint32_t show_scene(float distance) {
    const uint32_t scaled = scale_u32(distance, 100);
    return scaled < UINT16_MAX ? scaled : UINT16_MAX;
}

static uint32_t show_score(enum fg_verdict verdict, float score) {
    return verdict == FG_INOPERATIVE ? UINT32_MAX : scale_u32(score, 10000);
}

static uint32_t show_reason(enum fg_verdict verdict, enum fg_reason reason) {
    return verdict == FG_INOPERATIVE ? (uint32_t)reason : FG_REASON_NONE;
}

/* Shows a value that only a defect has. */
static uint32_t show_box(enum fg_verdict verdict, uint32_t value) {
    return verdict == FG_DEFECT ? value : 0;
}

static uint32_t get_trigger_s(const struct fg_snapshot *s) {
    return s->result.trigger_unix_ms > 0 ? (uint32_t)(s->result.trigger_unix_ms / 1000) : 0;
}

static uint32_t get_trigger_ms(const struct fg_snapshot *s) {
    return s->result.trigger_unix_ms > 0 ? (uint32_t)(s->result.trigger_unix_ms % 1000) : 0;
}

static bool is_listening(uint32_t coils) {
    return coils & FG_COIL_TRIGGER_ENABLE && !(coils & FG_COIL_OFFLINE);
}

static bool is_trigger_ready(const struct fg_snapshot *s) {
    return s->able && is_listening(s->coils);
}

/* Whether the verdict of the result block is this one, and still to be read. */
static bool is_shown(const struct fg_snapshot *s, enum fg_verdict verdict) {
    return s->result_valid && !s->result_expired && s->result.verdict == verdict;
}

static uint16_t make_status_word(const struct fg_snapshot *s) {
    uint32_t word = 0;
#define ADD_BIT(address, name, text, value, meaning) word |= (uint32_t)(value) << (address);
    FG_STATUS_BITS(ADD_BIT)
#undef ADD_BIT
    return (uint16_t)word;
}

/* ---- The tables as they are read ---- */

/* One function for each type of a row. */

static void put_u16(uint16_t *at, uint32_t value, bool low_first) {
    (void)low_first;
    *at = value > UINT16_MAX ? UINT16_MAX : (uint16_t)value;
}

static void put_u32(uint16_t *at, uint32_t value, bool low_first) {
    at[low_first] = (uint16_t)(value >> 16);
    at[!low_first] = (uint16_t)value;
}

static void put_i32(uint16_t *at, int32_t value, bool low_first) {
    put_u32(at, (uint32_t)value, low_first);
}

static void put_f32(uint16_t *at, float value, bool low_first) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u32(at, bits, low_first);
}

static void put_text(uint16_t *at, const char text[FG_BUNDLE_NAME_SIZE], bool low_first) {
    (void)low_first; /* text has no words */
    for (uint32_t i = 0; i < FG_BUNDLE_NAME_SIZE / 2; i++)
        at[i] = read_word((const uint8_t *)text + 2 * i);
}

#define PUT_ROW(address, width, stride, name, type, text, unit, value, meaning)                              \
    for (uint32_t v = 0; v < ((stride) > 0 ? FG_VIEWS : 1u); v++)                                            \
        put_##type(table + (address) + (size_t)(stride)*v, value, low_first);

static void put_input_registers(uint16_t *table, const struct fg_snapshot *s, bool low_first) {
    FG_INPUT_REGISTERS(PUT_ROW)
}

static void put_holding_registers(uint16_t *table, const struct fg_snapshot *s, bool low_first) {
    FG_HOLDING_REGISTERS(PUT_ROW)
}

static void put_bits(uint16_t *table, uint32_t bits, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        table[i] = bits >> i & 1;
}

/* ---- Writes ---- */

static void add_command(struct fg_commands *commands, enum fg_command_kind kind, uint32_t value) {
    assert(commands->count < FG_MAX_COMMANDS);
    commands->command[commands->count++] = (struct fg_command){.kind = kind, .value = value};
}

static bool is_within(uint32_t value, struct fg_modbus_range range) {
    return value >= range.min && value <= range.max;
}

/* Whether coil 6 can carry the command out. */
static bool is_command(uint16_t command) {
    return command == FG_CODE_SELF_TEST || command == FG_CODE_SAVE;
}

/* Whether a job change or a self-test is under way. Command 2 waits for a part, and nothing waits for it. */
static bool is_running(const struct fg_snapshot *s) {
    return s->outcome == FG_OUTCOME_RUNNING && !s->saving;
}

static enum fg_modbus_exception write_coils(const struct fg_modbus_request *request,
                                            const struct fg_snapshot *s, struct fg_commands *commands) {
    uint32_t coils = s->coils, written = 0;
    for (uint32_t i = 0; i < request->count; i++) {
        uint32_t bit = 1u << (request->address + i);
        written |= bit;
        coils = request->values[i] ? coils | bit : coils & ~bit;
    }
    uint32_t rising = coils & ~(uint32_t)s->coils;
    bool listening = is_listening(coils);

    if (rising & FG_COIL_COMMAND) {
        if (!is_command(s->holding.command))
            return FG_MODBUS_ILLEGAL_VALUE;
        if (is_running(s))
            return FG_MODBUS_BUSY;
    }
    if (rising & FG_COIL_TRIGGER && listening && !s->able) {
        add_command(commands, FG_COMMAND_MISSED_TRIGGER, 0);
        return FG_MODBUS_BUSY;
    }

    add_command(commands, FG_COMMAND_COILS, FG_WRITTEN_COILS(written, coils));
    if (rising & FG_COIL_TRIGGER && listening)
        add_command(commands, FG_COMMAND_TRIGGER, 0);
    if (rising & FG_COIL_RESULT_ACK)
        add_command(commands, FG_COMMAND_RESULT_ACK, 0);
    if (rising & FG_COIL_CLEAR_FAULT)
        add_command(commands, FG_COMMAND_CLEAR_FAULT, 0);
    if (rising & FG_COIL_RESET_COUNTERS)
        add_command(commands, FG_COMMAND_RESET_COUNTERS, 0);
    if (rising & FG_COIL_COMMAND)
        add_command(commands, FG_COMMAND_RUN, s->holding.command);
    return FG_MODBUS_DONE;
}

/* The holding registers of a write, by address. */
struct holding_write {
    bool has[FG_MODBUS_HOLDING_REGISTERS];
    uint16_t value[FG_MODBUS_HOLDING_REGISTERS];
    bool low_first;
};

static uint32_t get_pair(const struct holding_write *write, uint32_t address) {
    return (uint32_t)write->value[address + write->low_first] << 16 |
           write->value[address + !write->low_first];
}

/* Whether the write has a threshold of the view. Register 1 and 16 never come in one write: what lies between
 * cannot be written. */
static bool get_threshold(const struct holding_write *write, uint32_t view, uint32_t *threshold) {
    uint32_t address = FG_HOLDING_VIEW_THRESHOLD + FG_VIEW_THRESHOLD_STRIDE * view;
    bool small = view == 0 && write->has[FG_HOLDING_THRESHOLD];
    *threshold = small ? write->value[FG_HOLDING_THRESHOLD] : get_pair(write, address);
    return small || write->has[address];
}

static bool has_half_pair(const struct holding_write *write) {
    for (uint32_t i = 0; i < FG_MODBUS_HOLDING_REGISTERS; i++) {
        const struct fg_register *row = fg_register_find(&fg_holding_registers, i);
        if (write->has[i] && row->width == 2 && !write->has[row->address + ((i - row->address) ^ 1)])
            return true;
    }
    return false;
}

static bool are_values_allowed(const struct holding_write *write, const struct fg_modbus_rules *rules) {
    const bool *has = write->has;
    const uint16_t *value = write->value;
    uint32_t threshold;
    for (uint32_t view = 0; view < FG_VIEWS; view++)
        if (get_threshold(write, view, &threshold) &&
            (view >= rules->views || (threshold != 0 && !is_within(threshold, rules->threshold))))
            return false;
    if (has[FG_HOLDING_SLOT] && value[FG_HOLDING_SLOT] >= rules->slots)
        return false;
    if (has[FG_HOLDING_COMMAND] && value[FG_HOLDING_COMMAND] != FG_CODE_NONE &&
        !is_command(value[FG_HOLDING_COMMAND]))
        return false;
    if (has[FG_HOLDING_REJECT] && !is_within(get_pair(write, FG_HOLDING_REJECT), rules->reject))
        return false;
    if (has[FG_HOLDING_PULSE] && !is_within(value[FG_HOLDING_PULSE], rules->pulse))
        return false;
    return !has[FG_HOLDING_UNLOCK] || rules->unlock_code == 0 || value[FG_HOLDING_UNLOCK] == 0 ||
           value[FG_HOLDING_UNLOCK] == rules->unlock_code;
}

static bool has_locked(const struct holding_write *write) {
    uint32_t threshold;
    for (uint32_t view = 0; view < FG_VIEWS; view++)
        if (get_threshold(write, view, &threshold))
            return true;
    return write->has[FG_HOLDING_REJECT] || write->has[FG_HOLDING_PULSE];
}

static enum fg_modbus_exception write_registers(const struct fg_modbus_request *request,
                                                const struct fg_snapshot *s,
                                                const struct fg_modbus_rules *rules,
                                                struct fg_commands *commands) {
    struct holding_write write = {.low_first = rules->low_first};
    const bool *has = write.has;
    const uint16_t *value = write.value;
    for (uint32_t i = 0; i < request->count; i++) {
        write.has[request->address + i] = true;
        write.value[request->address + i] = request->values[i];
    }
    if (has_half_pair(&write) || !are_values_allowed(&write, rules))
        return FG_MODBUS_ILLEGAL_VALUE;

    bool code_given = has[FG_HOLDING_UNLOCK] && rules->unlock_code != 0;
    bool unlocked =
        code_given ? value[FG_HOLDING_UNLOCK] == rules->unlock_code : rules->unlock_code == 0 || s->unlocked;
    if (!unlocked && has_locked(&write))
        return FG_MODBUS_BUSY;
    /* A PLC that writes its whole block in a cycle repeats the slot while the job changes. */
    if (has[FG_HOLDING_SLOT] && value[FG_HOLDING_SLOT] != s->holding.slot && is_running(s))
        return FG_MODBUS_BUSY;

    if (code_given)
        add_command(commands, FG_COMMAND_UNLOCK, unlocked);
    if (has[FG_HOLDING_SLOT])
        add_command(commands, FG_COMMAND_SLOT, value[FG_HOLDING_SLOT]);
    uint32_t threshold;
    for (uint32_t view = 0; view < FG_VIEWS; view++)
        if (get_threshold(&write, view, &threshold))
            add_command(commands, FG_COMMAND_THRESHOLD + view, threshold);
    if (has[FG_HOLDING_COMMAND])
        add_command(commands, FG_COMMAND_CODE, value[FG_HOLDING_COMMAND]);
    if (has[FG_HOLDING_WATCHDOG])
        add_command(commands, FG_COMMAND_WATCHDOG, value[FG_HOLDING_WATCHDOG]);
    if (has[FG_HOLDING_REJECT])
        add_command(commands, FG_COMMAND_REJECT, get_pair(&write, FG_HOLDING_REJECT));
    if (has[FG_HOLDING_PULSE])
        add_command(commands, FG_COMMAND_PULSE, value[FG_HOLDING_PULSE]);
    return FG_MODBUS_DONE;
}

/* ---- One request ---- */

/* Finds the table that a function reads or writes; NULL: the map has no such function. */
static const struct fg_register_table *find_table(uint8_t function) {
    switch (function) {
    case FG_MODBUS_READ_COILS:
    case FG_MODBUS_WRITE_COIL:
    case FG_MODBUS_WRITE_COILS:
        return &fg_coils;
    case FG_MODBUS_READ_DISCRETE_INPUTS:
        return &fg_discrete_inputs;
    case FG_MODBUS_READ_INPUT_REGISTERS:
        return &fg_input_registers;
    case FG_MODBUS_READ_HOLDING_REGISTERS:
    case FG_MODBUS_WRITE_REGISTER:
    case FG_MODBUS_WRITE_REGISTERS:
        return &fg_holding_registers;
    default:
        return NULL;
    }
}

/* Whether every address of a write has a row. */
static bool has_rows(const struct fg_register_table *table, const struct fg_modbus_request *request) {
    for (uint32_t i = 0; i < request->count; i++)
        if (!fg_register_find(table, (uint32_t)request->address + i))
            return false;
    return true;
}

/* Answers a read whose addresses are inside the function's table. */
static void answer_read(const struct fg_modbus_request *request, const struct fg_snapshot *snapshot,
                        bool low_first, uint16_t *values) {
    uint16_t table[FG_MODBUS_INPUT_REGISTERS] = {0}; /* an address without a row reads 0 */
    switch (request->function) {
    case FG_MODBUS_READ_COILS:
        put_bits(table, snapshot->coils, FG_MODBUS_COILS);
        break;
    case FG_MODBUS_READ_DISCRETE_INPUTS:
        put_bits(table, make_status_word(snapshot), FG_MODBUS_DISCRETE_INPUTS);
        break;
    case FG_MODBUS_READ_INPUT_REGISTERS:
        put_input_registers(table, snapshot, low_first);
        break;
    default:
        put_holding_registers(table, snapshot, low_first);
        break;
    }
    memcpy(values, table + request->address, request->count * sizeof *table);
}

void fg_modbus_answer(const struct fg_modbus_request *request, const struct fg_snapshot *snapshot,
                      const struct fg_modbus_rules *rules, bool may_write, struct fg_modbus_answer *answer) {
    *answer = (struct fg_modbus_answer){0};
    const struct fg_register_table *table = find_table(request->function);
    const bool read = request->function <= FG_MODBUS_READ_INPUT_REGISTERS;
    if (!table)
        answer->exception = FG_MODBUS_ILLEGAL_FUNCTION;
    else if (request->address + request->count > table->size || (!read && !has_rows(table, request)))
        answer->exception = FG_MODBUS_ILLEGAL_ADDRESS;
    else if (read)
        answer_read(request, snapshot, rules->low_first, answer->values);
    else if (!may_write)
        answer->exception = FG_MODBUS_BUSY;
    else if (table == &fg_coils)
        answer->exception = write_coils(request, snapshot, &answer->commands);
    else
        answer->exception = write_registers(request, snapshot, rules, &answer->commands);
}
