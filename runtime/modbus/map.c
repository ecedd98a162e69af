/* Answers reads from the rows of registers.h, turns writes into commands for the line. */
#include "runtime/modbus/map.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static uint16_t read_word(const uint8_t *bytes) {
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
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

/* Whether a command of holding register 2 is one that may be carried out, and one that the lock is for. */
static bool is_command(uint16_t code) {
    return code == FG_CODE_SELF_TEST || code == FG_CODE_SAVE || code == FG_CODE_RELOAD;
}

static bool is_locked_command(uint16_t code) {
    return code == FG_CODE_RELOAD;
}

/* Whether a job change or a self-test is under way. Command 2 waits for a part, and nothing waits for it. */
static bool is_running(const struct fg_snapshot *s) {
    return s->outcome == FG_OUTCOME_RUNNING && !s->saving;
}

static enum fg_modbus_exception write_coils(const struct fg_modbus_request *request,
                                            const struct fg_snapshot *s, const struct fg_modbus_rules *rules,
                                            const struct fg_modbus_rights *rights,
                                            struct fg_commands *commands) {
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
        if (is_locked_command(s->holding.command) && rules->unlock_code != 0 && !rights->unlocked)
            return FG_MODBUS_BUSY;
        if (is_running(s))
            return FG_MODBUS_BUSY;
    }
    if (rising & FG_COIL_TRIGGER && listening && !s->able) {
        add_command(commands, FG_COMMAND_MISSED_TRIGGER, 0);
        return FG_MODBUS_BUSY;
    }

    commands->single = request->function == FG_MODBUS_WRITE_COIL;
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
    return true;
}

/* What the write says of the code. */
static enum fg_modbus_code get_code(const struct holding_write *write, const struct fg_modbus_rules *rules) {
    const uint16_t code = write->value[FG_HOLDING_UNLOCK];
    if (!write->has[FG_HOLDING_UNLOCK] || rules->unlock_code == 0)
        return FG_MODBUS_NO_CODE;
    return code == 0                    ? FG_MODBUS_CODE_NONE
           : code == rules->unlock_code ? FG_MODBUS_CODE_RIGHT
                                        : FG_MODBUS_CODE_WRONG;
}

static bool has_locked(const struct holding_write *write) {
    uint32_t threshold;
    for (uint32_t view = 0; view < FG_VIEWS; view++)
        if (get_threshold(write, view, &threshold))
            return true;
    return write->has[FG_HOLDING_REJECT] || write->has[FG_HOLDING_PULSE];
}

static enum fg_modbus_exception write_registers(uint32_t address, uint32_t count, const uint16_t *values,
                                                const struct fg_snapshot *s,
                                                const struct fg_modbus_rules *rules,
                                                const struct fg_modbus_rights *rights,
                                                struct fg_modbus_answer *answer) {
    struct fg_commands *commands = &answer->commands;
    struct holding_write write = {.low_first = rules->low_first};
    const bool *has = write.has;
    const uint16_t *value = write.value;
    for (uint32_t i = 0; i < count; i++) {
        write.has[address + i] = true;
        write.value[address + i] = values[i];
    }
    if (has_half_pair(&write) || !are_values_allowed(&write, rules))
        return FG_MODBUS_ILLEGAL_VALUE;
    const enum fg_modbus_code code = get_code(&write, rules);
    if (rights->codes_refused && (code == FG_MODBUS_CODE_RIGHT || code == FG_MODBUS_CODE_WRONG))
        return FG_MODBUS_BUSY; /* the same for both, or it would tell which is right */
    if (code == FG_MODBUS_CODE_WRONG) {
        answer->code = code;
        return FG_MODBUS_ILLEGAL_VALUE;
    }
    const bool unlocked = code == FG_MODBUS_NO_CODE ? rules->unlock_code == 0 || rights->unlocked
                                                    : code == FG_MODBUS_CODE_RIGHT;
    if (!unlocked && has_locked(&write))
        return FG_MODBUS_BUSY;
    /* A PLC that writes its whole block in a cycle repeats the slot while the job changes. */
    if (has[FG_HOLDING_SLOT] && value[FG_HOLDING_SLOT] != s->holding.slot && is_running(s))
        return FG_MODBUS_BUSY;

    answer->code = code;
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
    case FG_MODBUS_EXCHANGE_REGISTERS:
        return &fg_holding_registers;
    default:
        return NULL;
    }
}

/* Finds the table that a request reads, and where in it: input registers stand once more among the holding
 * registers. */
static const struct fg_register_table *find_read(const struct fg_modbus_request *request, uint32_t *first) {
    const struct fg_register_table *table = find_table(request->function);
    *first = request->address;
    if (table == &fg_holding_registers && *first >= FG_MODBUS_INPUT_COPY) {
        *first -= FG_MODBUS_INPUT_COPY;
        table = &fg_input_registers;
    }
    return table;
}

/* Whether every address of a write has a row. */
static bool has_rows(const struct fg_register_table *table, uint32_t address, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (!fg_register_find(table, address + i))
            return false;
    return true;
}

void fg_modbus_read(const struct fg_modbus_request *request, const struct fg_snapshot *snapshot,
                    const struct fg_modbus_rules *rules, uint16_t values[FG_MODBUS_MAX_READ_REGISTERS]) {
    uint16_t words[FG_MODBUS_INPUT_REGISTERS] = {0}; /* an address without a row reads 0 */
    uint32_t first;
    const struct fg_register_table *table = find_read(request, &first);
    if (table == &fg_coils)
        put_bits(words, snapshot->coils, FG_MODBUS_COILS);
    else if (table == &fg_discrete_inputs)
        put_bits(words, make_status_word(snapshot), FG_MODBUS_DISCRETE_INPUTS);
    else if (table == &fg_input_registers)
        put_input_registers(words, snapshot, rules->low_first);
    else
        put_holding_registers(words, snapshot, rules->low_first);
    memcpy(values, words + first, request->count * sizeof *words);
}

/* Answers a write whose addresses have rows. */
static void answer_write(const struct fg_modbus_request *request, const struct fg_snapshot *snapshot,
                         const struct fg_modbus_rules *rules, const struct fg_modbus_rights *rights,
                         struct fg_modbus_answer *answer) {
    const bool exchange = request->function == FG_MODBUS_EXCHANGE_REGISTERS;
    const uint32_t address = exchange ? request->write_address : request->address;
    const uint32_t count = exchange ? request->write_count : request->count;
    const struct fg_register_table *table = find_table(request->function);
    if (!has_rows(table, address, count))
        answer->exception = FG_MODBUS_ILLEGAL_ADDRESS;
    else if (!rights->may_write)
        answer->exception = FG_MODBUS_BUSY;
    else if (table == &fg_coils)
        answer->exception = write_coils(request, snapshot, rules, rights, &answer->commands);
    else
        answer->exception = write_registers(address, count, request->values, snapshot, rules, rights, answer);
}

void fg_modbus_answer(const struct fg_modbus_request *request, const struct fg_snapshot *snapshot,
                      const struct fg_modbus_rules *rules, const struct fg_modbus_rights *rights,
                      struct fg_modbus_answer *answer) {
    *answer = (struct fg_modbus_answer){0};
    const bool write = fg_modbus_is_write(request->function);
    uint32_t first;
    const struct fg_register_table *table = find_read(request, &first);
    if (!table) {
        answer->exception = FG_MODBUS_ILLEGAL_FUNCTION;
        return;
    }
    const bool read = !write || request->function == FG_MODBUS_EXCHANGE_REGISTERS;
    if (read && first + request->count > table->size)
        answer->exception = FG_MODBUS_ILLEGAL_ADDRESS;
    else if (write)
        answer_write(request, snapshot, rules, rights, answer);
    else
        fg_modbus_read(request, snapshot, rules, answer->values);
}
