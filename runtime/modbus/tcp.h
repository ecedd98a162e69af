/* Modbus TCP: a listener and FG_MODBUS_CLIENTS places for clients, framing without blocking.
 *
 * A newcomer that finds no place takes that of a client from which no whole valid request has come for
 * FG_MODBUS_SILENT, the one silent longest, but never that of a configured writer; else it is refused. A
 * client is closed when it sends what is no Modbus, when half a request has waited FG_MODBUS_HALF for the
 * rest, when it is silent for the idle timeout where there is one, and when TCP finds that it is dead. One
 * that does not read its answers is read no further. None delays another. After opening no call takes memory.
 *
 * Errors: FG_INPUT and FG_ENVIRONMENT from opening; later a client's failure closes that client. Owner: who
 * opens it closes it; the service must outlive it. Thread: the server's. NULL: fg_modbus_tcp_close takes it;
 * no other argument may be, but for a message. */
#ifndef FG_RUNTIME_MODBUS_TCP_H
#define FG_RUNTIME_MODBUS_TCP_H

#include <netinet/in.h>
#include <poll.h>

#include "runtime/base/clock.h"
#include "runtime/modbus/service.h"

#define FG_MODBUS_CLIENTS 16
#define FG_MODBUS_MAX_WRITERS 16
#define FG_MODBUS_TCP_WATCHED (FG_MODBUS_CLIENTS + 1)
#define FG_MODBUS_SILENT (10 * FG_S)
#define FG_MODBUS_HALF (5 * FG_S)

struct fg_modbus_tcp_settings {
    const char *bind;                          /* numeric IPv4 or IPv6 address to listen on */
    uint16_t port;                             /* 0: any free one, for tests */
    uint32_t idle_timeout_ms;                  /* a silent client is closed after this; 0: never */
    uint32_t writers;                          /* 0: any client may write */
    const char *writer[FG_MODBUS_MAX_WRITERS]; /* numeric addresses of the clients that may write */
};

struct fg_modbus_tcp;

/* What of the settings may change while clients are served. */
struct fg_modbus_tcp_terms {
    int64_t idle_ns; /* 0: never */
    uint32_t writers;
    struct in6_addr writer[FG_MODBUS_MAX_WRITERS]; /* IPv4 as mapped addresses */
};

/* Reads the terms of settings. FG_INPUT: an address is wrong. */
FG_MUST_USE enum fg_status fg_modbus_tcp_read_terms(const struct fg_modbus_tcp_settings *settings,
                                                    struct fg_modbus_tcp_terms *terms,
                                                    struct fg_message *message);

/* Listens. FG_ENVIRONMENT: the port is taken or not allowed, memory is wanting, or the process may not open
 * as many files as there are places; FG_INPUT: an address is wrong. The settings are not kept. */
FG_MUST_USE enum fg_status fg_modbus_tcp_open(const struct fg_modbus_tcp_settings *settings,
                                              struct fg_modbus_service *service, struct fg_modbus_tcp **tcp,
                                              struct fg_message *message);
/* Listens and ends it at once: says whether that could be done now. FG_ENVIRONMENT and FG_INPUT: it could
 * not, and the message is that of fg_modbus_tcp_open. *taken: another socket listens there. */
FG_MUST_USE enum fg_status fg_modbus_tcp_probe(const char *bind, uint16_t port, bool *taken,
                                               struct fg_message *message);
/* Closes all connections. */
void fg_modbus_tcp_close(struct fg_modbus_tcp *tcp);

/* Takes over other terms, for the clients that are there too. */
void fg_modbus_tcp_change(struct fg_modbus_tcp *tcp, const struct fg_modbus_tcp_terms *terms);

/* The port that it listens on. */
uint16_t fg_modbus_tcp_port(const struct fg_modbus_tcp *tcp);

/* Writes what to poll for, and gives how many; poll's answer is looked for there by fg_modbus_tcp_serve. *due
 * becomes earlier where something is to be done without an event. */
uint32_t fg_modbus_tcp_watch(struct fg_modbus_tcp *tcp, int64_t now,
                             struct pollfd watched[FG_MODBUS_TCP_WATCHED], int64_t *due);
/* Does what is due, with what poll has said since fg_modbus_tcp_watch. */
void fg_modbus_tcp_serve(struct fg_modbus_tcp *tcp, int64_t now);

#endif
