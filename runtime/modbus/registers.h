/* What the line and its servers share of Modbus. */
#ifndef FG_RUNTIME_MODBUS_REGISTERS_H
#define FG_RUNTIME_MODBUS_REGISTERS_H

enum fg_modbus_exception {
    FG_MODBUS_DONE = 0, /* no exception */
    FG_MODBUS_ILLEGAL_FUNCTION = 1,
    FG_MODBUS_ILLEGAL_ADDRESS = 2,
    FG_MODBUS_ILLEGAL_VALUE = 3,
    FG_MODBUS_BUSY = 6,
};

#endif
