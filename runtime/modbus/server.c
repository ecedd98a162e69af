/* The server's sockets: who connects and may write, which bytes are a frame, when a client is closed. What a
 * frame means is for the map to say. */
#include "runtime/modbus/server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <modbus.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/clock.h"

/* A frame: transaction and protocol (0), two bytes each, the length of what follows, unit, function, data. */
#define HEADER_SIZE 6u
#define UNIT_AT 6u
#define PDU_AT 7u
#define MAX_FRAME (PDU_AT + FG_MODBUS_MAX_PDU)

#define ACCEPT_PAUSE FG_S /* pause after the system had no memory or descriptor for a connection */

struct client {
    int socket;       /* -1: free */
    int64_t heard_ns; /* when it connected or its last whole request was taken */
    bool may_write;
    uint32_t used;
    uint8_t bytes[MAX_FRAME]; /* a request and perhaps the beginning of the next */
};

struct fg_modbus_server {
    int listener, wake;
    uint16_t port;
    uint8_t unit;
    int64_t idle_ns;
    int64_t accept_after_ns;
    uint32_t writers;
    struct in6_addr writer[FG_MODBUS_MAX_WRITERS]; /* IPv4 as mapped addresses */
    struct fg_modbus_rules rules;
    struct fg_modbus_line line;
    modbus_t *modbus;          /* writes the answers, to whichever client's socket it is given */
    modbus_mapping_t *mapping; /* values that libmodbus answers from */
    struct client client[FG_MODBUS_CLIENTS];
};

/* ---- Addresses ---- */

static struct in6_addr map_to_ipv6(struct in_addr v4) {
    struct in6_addr v6 = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(v6.s6_addr + 12, &v4, sizeof v4);
    return v6;
}

static bool parse_address(const char *text, struct in6_addr *address) {
    struct in_addr v4;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        *address = map_to_ipv6(v4);
        return true;
    }
    return inet_pton(AF_INET6, text, address) == 1;
}

/* Makes the socket address to bind to, and gives its size; 0 when the text is no address. */
static socklen_t parse_bind_address(const char *text, uint16_t port, struct sockaddr_storage *address) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(address, &v4, sizeof v4);
        return sizeof v4;
    }
    if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
        memcpy(address, &v6, sizeof v6);
        return sizeof v6;
    }
    return 0;
}

static bool is_writer(const struct fg_modbus_server *server, const struct sockaddr_storage *peer) {
    struct in6_addr address;
    if (peer->ss_family == AF_INET)
        address = map_to_ipv6(((const struct sockaddr_in *)peer)->sin_addr);
    else
        address = ((const struct sockaddr_in6 *)peer)->sin6_addr;
    for (uint32_t i = 0; i < server->writers; i++)
        if (!memcmp(&address, &server->writer[i], sizeof address))
            return true;
    return server->writers == 0;
}

/* ---- Opening ---- */

static enum fg_status open_listener(struct fg_modbus_server *server, const char *text, uint16_t port,
                                    struct fg_message *message) {
    struct sockaddr_storage address;
    socklen_t size = parse_bind_address(text, port, &address);
    if (size == 0)
        return fg_fail(message, FG_INPUT, "Modbus: \"%s\" is no address to listen on: give a numeric one",
                       text);
    server->listener = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (server->listener < 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "Modbus: cannot make a socket for %s", text);
    int on = 1;
    setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    int off = 0; /* "::" takes IPv4 clients too */
    if (address.ss_family == AF_INET6)
        setsockopt(server->listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(server->listener, (struct sockaddr *)&address, size) != 0 ||
        listen(server->listener, FG_MODBUS_CLIENTS) != 0) {
        const char *advice = errno == EADDRINUSE ? "another program has it: stop that or choose another port"
                             : errno == EACCES   ? "ports below 1024 need CAP_NET_BIND_SERVICE"
                                                 : "is this an address of this machine?";
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "Modbus: cannot listen on %s port %u (%s)", text,
                             (unsigned)port, advice);
    }
    size = sizeof address;
    getsockname(server->listener, (struct sockaddr *)&address, &size);
    server->port = ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
                                                      : ((struct sockaddr_in6 *)&address)->sin6_port);
    return FG_OK;
}

enum fg_status fg_modbus_server_open(const struct fg_modbus_settings *settings,
                                     const struct fg_modbus_line *line, struct fg_modbus_server **server,
                                     struct fg_message *message) {
    assert(settings->writers <= FG_MODBUS_MAX_WRITERS);
    *server = NULL;
    struct fg_modbus_server *s = calloc(1, sizeof *s);
    if (!s)
        return fg_fail(message, FG_ENVIRONMENT, "Modbus: no memory");
    s->listener = s->wake = -1;
    s->unit = settings->unit;
    s->idle_ns = settings->idle_timeout_ms * FG_MS;
    s->rules = settings->rules;
    s->line = *line;
    for (uint32_t i = 0; i < FG_MODBUS_CLIENTS; i++)
        s->client[i].socket = -1;

    enum fg_status status = FG_OK;
    for (; s->writers < settings->writers; s->writers++)
        if (!parse_address(settings->writer[s->writers], &s->writer[s->writers])) {
            status = fg_fail(message, FG_INPUT, "Modbus: the writer \"%s\" is no numeric address",
                             settings->writer[s->writers]);
            goto out;
        }
    s->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->modbus = modbus_new_tcp("127.0.0.1", MODBUS_TCP_DEFAULT_PORT); /* it never connects */
    s->mapping = modbus_mapping_new(FG_MODBUS_COILS, FG_MODBUS_DISCRETE_INPUTS, FG_MODBUS_HOLDING_REGISTERS,
                                    FG_MODBUS_INPUT_REGISTERS);
    if (s->wake < 0 || !s->modbus || !s->mapping) {
        status = fg_fail_errno(message, FG_ENVIRONMENT, errno, "Modbus: cannot start");
        goto out;
    }
    status = open_listener(s, settings->bind, settings->port, message);
out:
    if (status == FG_OK)
        *server = s;
    else
        fg_modbus_server_close(s);
    return status;
}

uint16_t fg_modbus_server_port(const struct fg_modbus_server *server) {
    return server->port;
}

static void drop_client(struct client *client) {
    close(client->socket);
    client->socket = -1;
}

void fg_modbus_server_close(struct fg_modbus_server *server) {
    if (!server)
        return;
    for (uint32_t i = 0; i < FG_MODBUS_CLIENTS; i++)
        if (server->client[i].socket >= 0)
            drop_client(&server->client[i]);
    if (server->listener >= 0)
        close(server->listener);
    if (server->wake >= 0)
        close(server->wake);
    modbus_mapping_free(server->mapping);
    modbus_free(server->modbus);
    free(server);
}

/* ---- One request ---- */

/* Fills the mapping with the values that are read; libmodbus echoes a write from the request. */
static void fill_mapping(modbus_mapping_t *mapping, const struct fg_modbus_request *request,
                         const uint16_t *values) {
    uint16_t at = request->address;
    switch (request->function) {
    case FG_MODBUS_READ_COILS:
        for (uint32_t i = 0; i < request->count; i++)
            mapping->tab_bits[at + i] = (uint8_t)values[i];
        break;
    case FG_MODBUS_READ_DISCRETE_INPUTS:
        for (uint32_t i = 0; i < request->count; i++)
            mapping->tab_input_bits[at + i] = (uint8_t)values[i];
        break;
    case FG_MODBUS_READ_HOLDING_REGISTERS:
        memcpy(mapping->tab_registers + at, values, request->count * sizeof *values);
        break;
    case FG_MODBUS_READ_INPUT_REGISTERS:
        memcpy(mapping->tab_input_registers + at, values, request->count * sizeof *values);
        break;
    default:
        break;
    }
}

/* Answers the whole frame at the front of the client's bytes; false: it cannot be answered. libmodbus sees
 * only what it will not refuse, since its own refusal sleeps. */
static bool answer_frame(struct fg_modbus_server *server, const struct client *client, uint32_t size) {
    const uint8_t *frame = client->bytes;
    if (frame[UNIT_AT] != 0 && frame[UNIT_AT] != 255 && frame[UNIT_AT] != server->unit)
        return true;
    struct fg_modbus_request request;
    struct fg_modbus_answer found = {0};
    enum fg_modbus_exception exception = fg_modbus_decode(frame + PDU_AT, size - PDU_AT, &request);
    if (exception == FG_MODBUS_DONE) {
        struct fg_snapshot snapshot;
        fg_snapshot_read(server->line.cell, &snapshot);
        fg_modbus_answer(&request, &snapshot, &server->rules, client->may_write, &found);
        exception = found.exception;
        if (found.commands.count > 0) {
            enum fg_modbus_exception refused = server->line.apply(server->line.context, &found.commands);
            exception = exception != FG_MODBUS_DONE ? exception : refused;
        }
    }
    modbus_set_socket(server->modbus, client->socket);
    if (exception != FG_MODBUS_DONE)
        return modbus_reply_exception(server->modbus, frame, exception) != -1;
    fill_mapping(server->mapping, &request, found.values);
    return modbus_reply(server->modbus, frame, (int)size, server->mapping) != -1;
}

/* ---- Clients ---- */

/* Gives the size of the frame at the front; 0 while it is not whole; -1 when it is no Modbus. */
static int32_t measure_frame(const struct client *client) {
    const uint8_t *bytes = client->bytes;
    if (client->used < HEADER_SIZE)
        return 0;
    uint32_t length = (uint32_t)bytes[4] << 8 | bytes[5];
    if (bytes[2] != 0 || bytes[3] != 0 || length < 2 || length > MAX_FRAME - HEADER_SIZE)
        return -1;
    return client->used >= HEADER_SIZE + length ? (int32_t)(HEADER_SIZE + length) : 0;
}

/* Takes one step for a client whose socket is ready: it answers a waiting request, or else reads more. A
 * request is answered only when its answer has room in the socket, so that none is cut. */
static void serve_client(struct fg_modbus_server *server, struct client *client, int64_t now) {
    int32_t frame = measure_frame(client);
    if (frame > 0) {
        if (!answer_frame(server, client, (uint32_t)frame)) {
            drop_client(client);
            return;
        }
        client->heard_ns = now;
        client->used -= (uint32_t)frame;
        memmove(client->bytes, client->bytes + frame, client->used);
    } else {
        ssize_t got =
            recv(client->socket, client->bytes + client->used, sizeof client->bytes - client->used, 0);
        if (got > 0)
            client->used += (uint32_t)got;
        else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            drop_client(client);
            return;
        }
    }
    if (measure_frame(client) < 0)
        drop_client(client);
}

/* Finds a free place, or else the client that has been silent the longest. */
static struct client *find_place(struct fg_modbus_server *server) {
    struct client *longest = &server->client[0];
    for (uint32_t i = 0; i < FG_MODBUS_CLIENTS; i++) {
        struct client *client = &server->client[i];
        if (client->socket < 0)
            return client;
        if (client->heard_ns < longest->heard_ns)
            longest = client;
    }
    drop_client(longest);
    return longest;
}

static void take_client(struct fg_modbus_server *server, int64_t now) {
    struct sockaddr_storage peer = {0};
    socklen_t size = sizeof peer;
    int socket = accept4(server->listener, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            server->accept_after_ns = now + ACCEPT_PAUSE;
        return;
    }
    int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct client *client = find_place(server);
    client->socket = socket;
    client->heard_ns = now;
    client->used = 0;
    client->may_write = is_writer(server, &peer);
}

/* ---- The loop ---- */

/* Gives the milliseconds until something is due without an event. */
static int get_wait_ms(const struct fg_modbus_server *server, int64_t now) {
    int64_t due = now + FG_MODBUS_TURN;
    for (uint32_t i = 0; i < FG_MODBUS_CLIENTS; i++) {
        const struct client *client = &server->client[i];
        if (client->socket >= 0 && client->heard_ns + server->idle_ns < due)
            due = client->heard_ns + server->idle_ns;
    }
    if (server->accept_after_ns > now && server->accept_after_ns < due)
        due = server->accept_after_ns;
    return due <= now ? 0 : (int)((due - now + FG_MS - 1) / FG_MS);
}

void fg_modbus_server_run(struct fg_modbus_server *server) {
    for (;;) {
        int64_t now = fg_clock_ns();
        if (server->line.turned_ns)
            atomic_store(server->line.turned_ns, now);
        struct pollfd ready[FG_MODBUS_CLIENTS + 2];
        for (uint32_t i = 0; i < FG_MODBUS_CLIENTS; i++) {
            const struct client *client = &server->client[i];
            bool waiting = client->socket >= 0 && measure_frame(client) > 0;
            ready[i] = (struct pollfd){.fd = client->socket, .events = waiting ? POLLOUT : POLLIN};
        }
        struct pollfd *listener = &ready[FG_MODBUS_CLIENTS], *wake = &ready[FG_MODBUS_CLIENTS + 1];
        *listener =
            (struct pollfd){.fd = server->accept_after_ns > now ? -1 : server->listener, .events = POLLIN};
        *wake = (struct pollfd){.fd = server->wake, .events = POLLIN};
        if (poll(ready, FG_MODBUS_CLIENTS + 2, get_wait_ms(server, now)) < 0)
            continue; /* a signal; the loop's stop comes by wake */

        now = fg_clock_ns();
        for (uint32_t i = 0; i < FG_MODBUS_CLIENTS; i++) {
            struct client *client = &server->client[i];
            if (ready[i].revents)
                serve_client(server, client, now);
            if (client->socket >= 0 && now - client->heard_ns >= server->idle_ns)
                drop_client(client);
        }
        uint64_t stops;
        if (wake->revents && read(server->wake, &stops, sizeof stops) == (ssize_t)sizeof stops)
            return;
        if (listener->revents)
            take_client(server, now);
    }
}

void fg_modbus_server_stop(struct fg_modbus_server *server) {
    uint64_t one = 1;
    ssize_t written = write(server->wake, &one, sizeof one);
    (void)written; /* it fails only when a stop is already waiting */
}
