/* The Modbus map as a pure function: a request, the line's snapshot and the client's rights go in; an
 * exception or values, and what the line is to do, come out. Tables and rules stand in registers.h. TCP and
 * RTU use one map; it has no socket, no clock and no state.
 *
 * Errors: Modbus exceptions. Owner: the caller, of every argument; none is kept. Thread: any. NULL: never. */
#ifndef FG_RUNTIME_MODBUS_MAP_H
#define FG_RUNTIME_MODBUS_MAP_H

#include "runtime/line/snapshot.h"
#include "runtime/modbus/request.h"

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

/* What the client may do that asks. */
struct fg_modbus_rights {
    bool may_write;     /* the write of another is refused with FG_MODBUS_BUSY */
    bool unlocked;      /* it gave the unlock code */
    bool codes_refused; /* no code is looked at now */
};

/* What a write said of the unlock code. */
enum fg_modbus_code {
    FG_MODBUS_NO_CODE,
    FG_MODBUS_CODE_RIGHT, /* unlocks for this client */
    FG_MODBUS_CODE_NONE,  /* 0 was written, which locks again */
    FG_MODBUS_CODE_WRONG,
};

struct fg_modbus_answer {
    enum fg_modbus_exception exception;
    /* Bits or registers of a read that is no exception; their number is the request's count. */
    uint16_t values[FG_MODBUS_MAX_READ_REGISTERS];
    /* What the line carries out before the answer goes out, also after an exception. */
    struct fg_commands commands;
    enum fg_modbus_code code;
};

/* Answers a decoded request. Values of function 23 are read by fg_modbus_read once its commands are carried
 * out. */
void fg_modbus_answer(const struct fg_modbus_request *request, const struct fg_snapshot *snapshot,
                      const struct fg_modbus_rules *rules, const struct fg_modbus_rights *rights,
                      struct fg_modbus_answer *answer);

/* Reads the registers of a request that fg_modbus_answer has accepted. */
void fg_modbus_read(const struct fg_modbus_request *request, const struct fg_snapshot *snapshot,
                    const struct fg_modbus_rules *rules, uint16_t values[FG_MODBUS_MAX_READ_REGISTERS]);

#endif
