/* Answers Modbus requests, whichever way they came: what the TCP clients and the serial line share. It asks
 * the map, has the line carry out what a write asks for, keeps who has unlocked, counts, and notes in the
 * log what the clients do.
 *
 * Errors: Modbus exceptions; from opening FG_ENVIRONMENT. Owner: the caller, of a zeroed struct, which it
 * closes; what struct fg_modbus_line names must outlive it. Thread: one. NULL: never, but for a message. */
#ifndef FG_RUNTIME_MODBUS_SERVICE_H
#define FG_RUNTIME_MODBUS_SERVICE_H

#include <modbus.h>

#include "runtime/base/status.h"
#include "runtime/modbus/map.h"
#include "runtime/modbus/notes.h"

#define FG_MODBUS_PEER 64 /* bytes of a client's name */

/* How the server reaches the line. */
struct fg_modbus_line {
    struct fg_snapshot_cell *cell; /* what the answers are made of */
    /* Carries out a list whole, or refuses it whole with an exception. It publishes the effects before it
     * returns, since the answer goes out next, and counts a trigger that it refuses as missed. It is called
     * on the server's thread. */
    enum fg_modbus_exception (*apply)(void *context, const struct fg_commands *commands);
    void *context; /* handed to apply */
    _Atomic int64_t
        *seen_ns; /* gets the time of each turn of the server's loop, two a second at least; NULL: it
                                 is not watched */
};

/* Who asks. */
struct fg_modbus_peer {
    char name[FG_MODBUS_PEER]; /* for the log: its address, or the serial line's device */
    bool may_write;
    int64_t unlock_ns;         /* how long the code unlocks; INT64_MAX: until the peer is gone */
    int64_t unlocked_until_ns; /* 0: it is locked */
    uint16_t unlocked_by;      /* the code that it wrote: another one (a reload) locks it again */
};

struct fg_modbus_service {
    struct fg_modbus_rules rules;
    struct fg_modbus_line line;
    uint8_t unit;
    modbus_mapping_t *mapping; /* values that libmodbus answers from */
    struct fg_notes notes;
    uint16_t clients, clients_refused, exceptions; /* as the map shows them; the last two wrap */
    bool degraded;                                 /* the serial line is gone */
    uint32_t wrong_codes;
    int64_t codes_refused_until_ns;
};

/* Opens a service whose rules, line and unit are set. FG_ENVIRONMENT: no memory. */
FG_MUST_USE enum fg_status fg_modbus_service_open(struct fg_modbus_service *service,
                                                  struct fg_message *message);
/* Closes it, also after a failure to open. */
void fg_modbus_service_close(struct fg_modbus_service *service);

/* What to answer. */
struct fg_modbus_reply {
    enum fg_modbus_exception exception;
    bool valid; /* it was a request of the protocol, whatever the answer */
    struct fg_modbus_request request;
    uint16_t values[FG_MODBUS_MAX_READ_REGISTERS]; /* bits or registers of a read */
    uint32_t size; /* of pdu, which holds what libmodbus has no answer for; else 0 */
    uint8_t pdu[FG_MODBUS_MAX_PDU];
};

/* Does what a request of size bytes, function and data, asks for, and says what to answer. */
void fg_modbus_serve(struct fg_modbus_service *service, struct fg_modbus_peer *peer, const uint8_t *pdu,
                     uint32_t size, int64_t now, struct fg_modbus_reply *reply);

/* Sends the answer to a whole frame through a libmodbus context whose socket or tty is set. False: it did
 * not go out, and errno says why. */
bool fg_modbus_send(struct fg_modbus_service *service, modbus_t *modbus, const uint8_t *frame, uint32_t size,
                    const struct fg_modbus_reply *reply);

/* The check sum of a serial frame, CRC-16/MODBUS; its low byte goes out first. */
uint16_t fg_modbus_crc(const uint8_t *bytes, uint32_t size);

#endif
