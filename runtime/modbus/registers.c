/* The rows of registers.h as data. */
#include "runtime/modbus/registers.h"

const struct fg_register_table fg_discrete_inputs = {"discrete input", "function 2",
                                                     FG_MODBUS_DISCRETE_INPUTS, 10001, "r"};
const struct fg_register_table fg_coils = {"coil", "functions 1, 5, 15", FG_MODBUS_COILS, 1, "rw"};
const struct fg_register_table fg_input_registers = {
    "input register", "function 4; 3 and 23 at 1000 + address", FG_MODBUS_INPUT_REGISTERS, 30001, "r"};
const struct fg_register_table fg_holding_registers = {"holding register", "functions 3, 6, 16, 23",
                                                       FG_MODBUS_HOLDING_REGISTERS, 40001, "rw"};

static const struct fg_register REGISTERS[] = {
#define STATUS_ROW(address, name, text, value, meaning)                                                      \
    {&fg_discrete_inputs, (address), 1, 0, "bit", (text), "", (meaning)},
#define COIL_ROW(address, name, text, meaning) {&fg_coils, (address), 1, 0, "bit", (text), "", (meaning)},
#define INPUT_ROW(address, width, stride, name, type, text, unit, value, meaning)                            \
    {&fg_input_registers, (address), (width), (stride), #type, (text), (unit), (meaning)},
#define HOLDING_ROW(address, width, stride, name, type, text, unit, value, meaning)                          \
    {&fg_holding_registers, (address), (width), (stride), #type, (text), (unit), (meaning)},
    FG_STATUS_BITS(STATUS_ROW) FG_COILS(COIL_ROW) FG_INPUT_REGISTERS(INPUT_ROW)
        FG_HOLDING_REGISTERS(HOLDING_ROW)};
#define COUNT (sizeof REGISTERS / sizeof *REGISTERS)

const struct fg_register *fg_registers(uint32_t *count) {
    *count = COUNT;
    return REGISTERS;
}

const struct fg_register *fg_register_find(const struct fg_register_table *table, uint32_t address) {
    for (uint32_t i = 0; i < COUNT; i++) {
        const struct fg_register *r = &REGISTERS[i];
        for (uint32_t view = 0; view < (r->stride > 0 ? FG_VIEWS : 1u) && r->table == table; view++) {
            uint32_t first = r->address + view * r->stride;
            if (address >= first && address < first + r->width)
                return r;
        }
    }
    return NULL;
}
