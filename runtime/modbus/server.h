/* The Modbus server: one thread that serves TCP clients (tcp.h) and, where one is configured, a serial line
 * (rtu.h), with one map and one service. After fg_modbus_server_open no call takes memory.
 *
 * Errors: FG_INPUT and FG_ENVIRONMENT from opening; later a client's failure closes that client. Owner: who
 * opens a server closes it. Thread: one, which runs it; only fg_modbus_server_stop and
 * fg_modbus_server_change, this by one thread, may be called from others meanwhile. NULL:
 * fg_modbus_server_close takes it; no other argument may be, but for a message. */
#ifndef FG_RUNTIME_MODBUS_SERVER_H
#define FG_RUNTIME_MODBUS_SERVER_H

#include "runtime/modbus/rtu.h"
#include "runtime/modbus/tcp.h"

struct fg_modbus_settings {
    struct fg_modbus_tcp_settings tcp;
    struct fg_serial_settings rtu; /* device NULL: there is no serial line */
    uint8_t unit;                  /* unit id; TCP answers 0 and 255 too */
    struct fg_modbus_rules rules;
};

struct fg_modbus_server;

/* Listens, and opens the serial line. FG_ENVIRONMENT: the port is taken or not allowed, the serial line
 * cannot be opened, or memory is wanting; FG_INPUT: an address or a rate is wrong; *server is then NULL.
 * Settings and line are copied, their texts are not kept; cell and context must outlive the server. */
FG_MUST_USE enum fg_status fg_modbus_server_open(const struct fg_modbus_settings *settings,
                                                 const struct fg_modbus_line *line,
                                                 struct fg_modbus_server **server,
                                                 struct fg_message *message);
/* The port that it listens on. */
uint16_t fg_modbus_server_port(const struct fg_modbus_server *server);

/* Takes over idle timeout, writers and rules of other settings, while the server runs, within half a second.
 * The rest of them does not count. FG_INPUT: an address is wrong, and nothing changes. */
FG_MUST_USE enum fg_status fg_modbus_server_change(struct fg_modbus_server *server,
                                                   const struct fg_modbus_settings *settings,
                                                   struct fg_message *message);

/* Serves on the calling thread until fg_modbus_server_stop is called. */
void fg_modbus_server_run(struct fg_modbus_server *server);
/* Ends the run. Any thread and a signal handler may call it. */
void fg_modbus_server_stop(struct fg_modbus_server *server);

/* Closes all connections. The server must not run. */
void fg_modbus_server_close(struct fg_modbus_server *server);

#endif
