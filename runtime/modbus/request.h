/* A Modbus request: its function and data, decoded. What it may ask of the map is for the map to say.
 *
 * Errors: Modbus exceptions. Owner: the caller, of every argument; none is kept. Thread: any. NULL: never. */
#ifndef FG_RUNTIME_MODBUS_REQUEST_H
#define FG_RUNTIME_MODBUS_REQUEST_H

#include <stdbool.h>

#include "runtime/modbus/registers.h"

/* The protocol's limits for one request. */
#define FG_MODBUS_MAX_READ_BITS 2000
#define FG_MODBUS_MAX_READ_REGISTERS 125
#define FG_MODBUS_MAX_WRITE_BITS 1968
#define FG_MODBUS_MAX_WRITE_REGISTERS 123
#define FG_MODBUS_MAX_EXCHANGED_REGISTERS 121 /* what function 23 may write */
#define FG_MODBUS_MAX_PDU 253                 /* bytes: function and data */

enum fg_modbus_function {
    FG_MODBUS_READ_COILS = 1,
    FG_MODBUS_READ_DISCRETE_INPUTS = 2,
    FG_MODBUS_READ_HOLDING_REGISTERS = 3,
    FG_MODBUS_READ_INPUT_REGISTERS = 4,
    FG_MODBUS_WRITE_COIL = 5,
    FG_MODBUS_WRITE_REGISTER = 6,
    FG_MODBUS_WRITE_COILS = 15,
    FG_MODBUS_WRITE_REGISTERS = 16,
    FG_MODBUS_EXCHANGE_REGISTERS = 23, /* writes, then reads */
    FG_MODBUS_IDENTIFY = 43,           /* with the type 14; others answer exception 1 */
};

/* A decoded request. A coil's value is 0 or 1. */
struct fg_modbus_request {
    uint8_t function;
    uint16_t address, count;             /* what is read; where nothing is, what is written */
    uint16_t write_address, write_count; /* what function 23 writes */
    /* Values of a write, at most as many as the map has coils or holding registers. */
    uint16_t values[FG_MODBUS_HOLDING_REGISTERS];
    uint8_t access, object; /* function 43: the kind of access, and the object at which it begins */
};

/* Decodes function and data of a request; size is 1 to FG_MODBUS_MAX_PDU bytes. Gives an exception when the
 * function, a length, a count or the value of a single coil breaks the protocol. */
enum fg_modbus_exception fg_modbus_decode(const uint8_t *pdu, uint32_t size,
                                          struct fg_modbus_request *request);

/* Whether a function writes. */
bool fg_modbus_is_write(uint8_t function);

#endif
