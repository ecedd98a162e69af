/* Modbus RTU: a slave on one serial line, served by the server's thread beside the TCP clients.
 *
 * A frame ends with 3.5 characters of silence (1.75 ms at least). Bytes whose check sum is then wrong wait
 * FG_MODBUS_RTU_PATIENCE for more, because USB adapters hand a frame over in pieces; then they are dropped.
 * Frames that were read together are told apart by their check sums, since this thread may miss a silence.
 * Only frames for its own unit are answered; a broadcast (unit 0) is obeyed and never answered. Nothing
 * waits for the line: an answer that it does not take is lost, and the master asks again.
 *
 * A port that vanishes is opened again at growing intervals, up to 10 s; meanwhile "degraded" is shown. After
 * opening no call takes memory.
 *
 * Errors: FG_INPUT and FG_ENVIRONMENT from opening, as serial.h; later none. Owner: who opens it closes it;
 * the service must outlive it. Thread: the server's. NULL: fg_modbus_rtu_close takes it; no other argument
 * may be, but for a message. */
#ifndef FG_RUNTIME_MODBUS_RTU_H
#define FG_RUNTIME_MODBUS_RTU_H

#include <poll.h>

#include "runtime/modbus/serial.h"
#include "runtime/modbus/service.h"

#define FG_MODBUS_RTU_PATIENCE (20 * FG_MS)

struct fg_modbus_rtu;

/* Opens the port. The settings are copied, the device's name too. */
FG_MUST_USE enum fg_status fg_modbus_rtu_open(const struct fg_serial_settings *settings,
                                              struct fg_modbus_service *service, struct fg_modbus_rtu **rtu,
                                              struct fg_message *message);
void fg_modbus_rtu_close(struct fg_modbus_rtu *rtu);

/* What to poll for; its descriptor is -1 while the port is gone. *due becomes earlier where something is to
 * be done without an event. */
struct pollfd fg_modbus_rtu_watch(const struct fg_modbus_rtu *rtu, int64_t *due);
/* Does what is due, after poll. */
void fg_modbus_rtu_serve(struct fg_modbus_rtu *rtu, short events, int64_t now);

#endif
