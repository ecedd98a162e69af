/* The Modbus TCP server: one thread, FG_MODBUS_CLIENTS clients, framing without blocking, answers through
 * libmodbus.
 *
 * A client is closed when it is silent for the idle timeout, when it sends what is no Modbus, or when it has
 * been silent the longest and one more connects. A client that does not read its answers is read no further.
 * None delays another. After fg_modbus_server_open no call takes memory.
 *
 * Errors: FG_INPUT and FG_ENVIRONMENT from opening; later a client's failure closes that client. Owner: who
 * opens a server closes it. Thread: one, which runs it; only fg_modbus_server_stop and
 * fg_modbus_server_change, this by one thread, may be called from others meanwhile. NULL:
 * fg_modbus_server_close takes it; no other argument may be, but for a message. */
#ifndef FG_RUNTIME_MODBUS_SERVER_H
#define FG_RUNTIME_MODBUS_SERVER_H

#include "runtime/base/status.h"
#include "runtime/modbus/map.h"

#define FG_MODBUS_CLIENTS 16
#define FG_MODBUS_MAX_WRITERS 16

struct fg_modbus_settings {
    const char *bind;                          /* numeric IPv4 or IPv6 address to listen on */
    uint16_t port;                             /* 0: any free one, for tests */
    uint8_t unit;                              /* unit id; 0 and 255 are answered too, others are not */
    uint32_t idle_timeout_ms;                  /* a silent client is closed after this */
    uint32_t writers;                          /* 0: any client may write */
    const char *writer[FG_MODBUS_MAX_WRITERS]; /* numeric addresses of the clients that may write */
    struct fg_modbus_rules rules;
};

/* How the server reaches the line. */
struct fg_modbus_line {
    struct fg_snapshot_cell *cell; /* what the answers are made of */
    /* Carries out a list whole, or refuses it whole with an exception. It publishes the effects before it
     * returns, since the answer goes out next, and counts a trigger that it refuses as missed. It is called
     * on the server's thread. */
    enum fg_modbus_exception (*apply)(void *context, const struct fg_commands *commands);
    void *context; /* handed to apply */
    /* Gets the time of each turn of the loop, two a second at least; NULL: it is not watched. */
    _Atomic int64_t *seen_ns;
};

struct fg_modbus_server;

/* Listens. FG_ENVIRONMENT: the port is taken or not allowed, or memory is wanting; FG_INPUT: an address is
 * wrong; *server is then NULL. Settings and line are copied, their texts are not kept; cell and context must
 * outlive the server. */
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
