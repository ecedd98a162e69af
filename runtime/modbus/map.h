/* The Modbus map as a pure function: a request and the line's snapshot go in; an exception or values, and
 * what the line is to do, come out. Tables and rules stand in registers.h. TCP and RTU use one map; it has no
 * socket, no clock and no state.
 *
 * Errors: Modbus exceptions. Owner: the caller, of every argument; none is kept. Thread: any. NULL: never. */
#ifndef FG_RUNTIME_MODBUS_MAP_H
#define FG_RUNTIME_MODBUS_MAP_H

#include "runtime/line/snapshot.h"
#include "runtime/modbus/registers.h"

/* The protocol's limits for one request. */
#define FG_MODBUS_MAX_READ_BITS 2000
#define FG_MODBUS_MAX_READ_REGISTERS 125
#define FG_MODBUS_MAX_WRITE_BITS 1968
#define FG_MODBUS_MAX_WRITE_REGISTERS 123
#define FG_MODBUS_MAX_PDU 253 /* bytes: function and data */

enum fg_modbus_function {
    FG_MODBUS_READ_COILS = 1,
    FG_MODBUS_READ_DISCRETE_INPUTS = 2,
    FG_MODBUS_READ_HOLDING_REGISTERS = 3,
    FG_MODBUS_READ_INPUT_REGISTERS = 4,
    FG_MODBUS_WRITE_COIL = 5,
    FG_MODBUS_WRITE_REGISTER = 6,
    FG_MODBUS_WRITE_COILS = 15,
    FG_MODBUS_WRITE_REGISTERS = 16,
};

/* A value's smallest and largest, both allowed. */
struct fg_modbus_range {
    uint32_t min, max;
};

/* What the configuration says about the map; constant while the daemon runs. */
struct fg_modbus_rules {
    bool low_first;                   /* low word of a 32-bit value first */
    uint16_t slots;                   /* bundles in the list: slots 0 to slots - 1 exist */
    uint32_t views;                   /* configured ones: 1 to FG_VIEWS */
    struct fg_modbus_range threshold; /* any view's, x 10000; 0 is always allowed */
    struct fg_modbus_range reject;    /* in the unit of struct fg_holding */
    struct fg_modbus_range pulse;     /* 0.1 ms */
    uint16_t unlock_code; /* locks holding registers 1, 4 to 6 and 16 to 31; 0: nothing is locked */
};

/* A decoded request. A coil's value is 0 or 1. */
struct fg_modbus_request {
    uint8_t function;
    uint16_t address, count;
    /* Values of a write, at most as many as the map has coils or holding registers. */
    uint16_t values[FG_MODBUS_HOLDING_REGISTERS];
};

struct fg_modbus_answer {
    enum fg_modbus_exception exception;
    /* Bits or registers of a read that is no exception; their number is the request's count. */
    uint16_t values[FG_MODBUS_MAX_READ_REGISTERS];
    /* What the line carries out before the answer goes out, also after an exception. */
    struct fg_commands commands;
};

/* Decodes function and data of a request; size is 1 to FG_MODBUS_MAX_PDU bytes. Gives an exception when the
 * function, a length, a count or the value of a single coil breaks the protocol. */
enum fg_modbus_exception fg_modbus_decode(const uint8_t *pdu, uint32_t size,
                                          struct fg_modbus_request *request);

/* Answers a decoded request. may_write is true for a client that may write; the write of another is refused
 * with FG_MODBUS_BUSY. */
void fg_modbus_answer(const struct fg_modbus_request *request, const struct fg_snapshot *snapshot,
                      const struct fg_modbus_rules *rules, bool may_write, struct fg_modbus_answer *answer);

#endif
