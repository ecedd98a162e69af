/* Who is let in, who keeps a place, which bytes are a frame, when a client is closed. */
#include "runtime/modbus/tcp.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "runtime/modbus/address.h"

/* A frame: transaction and protocol (0), two bytes each, the length of what follows, unit, function, data. */
#define HEADER_SIZE 6u
#define UNIT_AT 6u
#define PDU_AT 7u
#define MAX_FRAME (PDU_AT + FG_MODBUS_MAX_PDU)

#define ACCEPT_PAUSE FG_S /* pause after the system had no memory or descriptor for a connection */
#define SPARE_FILES 8     /* descriptors that the rest of the process may need beside the clients' */

/* TCP asks a client that has been quiet for 30 s whether it is there, and gives one up that has left three
 * questions, or an answer for 30 s, without a sign of life. */
enum { KEEP_ALIVE_S = 30, KEEP_ALIVE_STEP_S = 5, KEEP_ALIVE_TRIES = 3, UNHEARD_MS = 30000 };

struct client {
    int socket;          /* -1: free */
    int64_t asked_ns;    /* when it connected or its last valid request was taken */
    int64_t half_ns;     /* when the bytes began that are no whole request yet; 0: there are none */
    const short *events; /* what poll says of it */
    struct in6_addr address;
    bool writer; /* its address is one of the configured writers */
    struct fg_modbus_peer peer;
    uint32_t used;
    uint8_t bytes[MAX_FRAME]; /* a request and perhaps the beginning of the next */
};

struct fg_modbus_tcp {
    struct fg_modbus_service *service;
    int listener;
    uint16_t port;
    struct fg_modbus_tcp_terms terms;
    int64_t accept_after_ns;
    const short *events; /* what poll says of the listener */
    modbus_t *modbus;    /* writes the answers, to whichever client's socket it is given */
    struct client client[FG_MODBUS_CLIENTS];
};

/* ---- Opening ---- */

/* A listener that could not take its clients would be worse than none. */
static enum fg_status check_files(int descriptor, struct fg_message *message) {
    struct rlimit limit;
    const rlim_t needed = (rlim_t)descriptor + 1 + FG_MODBUS_CLIENTS + SPARE_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed)
        return FG_OK;
    return fg_fail(message, FG_ENVIRONMENT,
                   "Modbus: this process may open %" PRIuMAX " files, but needs %" PRIuMAX
                   " to serve %d clients: raise the limit (ulimit -n, or LimitNOFILE= of the unit)",
                   (uintmax_t)limit.rlim_cur, (uintmax_t)needed, FG_MODBUS_CLIENTS);
}

/* Opens *listener, which stays open after a failure too. taken: another socket listens there. */
static enum fg_status open_listener(const char *text, uint16_t port, int *listener, bool *taken,
                                    struct fg_message *message) {
    struct sockaddr_storage address;
    socklen_t size = fg_address_to_bind(text, port, &address);
    *taken = false;
    if (size == 0)
        return fg_fail(message, FG_INPUT, "Modbus: \"%s\" is no address to listen on: give a numeric one",
                       text);
    *listener = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*listener < 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "Modbus: cannot make a socket for %s", text);
    int on = 1;
    setsockopt(*listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    int off = 0; /* "::" takes IPv4 clients too */
    if (address.ss_family == AF_INET6)
        setsockopt(*listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(*listener, (struct sockaddr *)&address, size) != 0 ||
        listen(*listener, FG_MODBUS_CLIENTS) != 0) {
        *taken = errno == EADDRINUSE;
        const char *advice = *taken            ? "another program has it: stop that or choose another port"
                             : errno == EACCES ? "ports below 1024 need CAP_NET_BIND_SERVICE"
                                               : "is this an address of this machine?";
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "Modbus: cannot listen on %s port %u (%s)", text,
                             (unsigned)port, advice);
    }
    return FG_OK;
}

enum fg_status fg_modbus_tcp_probe(const char *bind, uint16_t port, bool *taken, struct fg_message *message) {
    int listener = -1;
    const enum fg_status status = open_listener(bind, port, &listener, taken, message);
    if (listener >= 0)
        close(listener);
    return status;
}

static uint16_t find_port(int listener) {
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &size);
    return fg_address_port(&address);
}

enum fg_status fg_modbus_tcp_read_terms(const struct fg_modbus_tcp_settings *settings,
                                        struct fg_modbus_tcp_terms *terms, struct fg_message *message) {
    assert(settings->writers <= FG_MODBUS_MAX_WRITERS);
    *terms = (struct fg_modbus_tcp_terms){.idle_ns = settings->idle_timeout_ms * FG_MS,
                                          .writers = settings->writers};
    for (uint32_t i = 0; i < settings->writers; i++)
        if (!fg_address_parse(settings->writer[i], &terms->writer[i]))
            return fg_fail(message, FG_INPUT, "Modbus: the writer \"%s\" is no numeric address",
                           settings->writer[i]);
    return FG_OK;
}

enum fg_status fg_modbus_tcp_open(const struct fg_modbus_tcp_settings *settings,
                                  struct fg_modbus_service *service, struct fg_modbus_tcp **tcp,
                                  struct fg_message *message) {
    *tcp = NULL;
    struct fg_modbus_tcp *t = calloc(1, sizeof *t);
    if (!t)
        return fg_fail(message, FG_ENVIRONMENT, "Modbus: no memory");
    t->service = service;
    t->listener = -1;
    for (uint32_t i = 0; i < FG_MODBUS_CLIENTS; i++)
        t->client[i].socket = -1;

    enum fg_status status = fg_modbus_tcp_read_terms(settings, &t->terms, message);
    if (status != FG_OK)
        goto out;
    t->modbus = modbus_new_tcp("127.0.0.1", MODBUS_TCP_DEFAULT_PORT); /* it never connects */
    if (!t->modbus) {
        status = fg_fail_errno(message, FG_ENVIRONMENT, errno, "Modbus: cannot start");
        goto out;
    }
    bool taken;
    status = open_listener(settings->bind, settings->port, &t->listener, &taken, message);
    if (status == FG_OK)
        status = check_files(t->listener, message);
    if (status == FG_OK)
        t->port = find_port(t->listener);
out:
    if (status == FG_OK)
        *tcp = t;
    else
        fg_modbus_tcp_close(t);
    return status;
}

uint16_t fg_modbus_tcp_port(const struct fg_modbus_tcp *tcp) {
    return tcp->port;
}

static void drop_client(struct fg_modbus_tcp *tcp, struct client *client) {
    close(client->socket);
    client->socket = -1;
    tcp->service->clients--;
}

void fg_modbus_tcp_close(struct fg_modbus_tcp *tcp) {
    if (!tcp)
        return;
    for (uint32_t i = 0; i < FG_MODBUS_CLIENTS; i++)
        if (tcp->client[i].socket >= 0)
            drop_client(tcp, &tcp->client[i]);
    if (tcp->listener >= 0)
        close(tcp->listener);
    modbus_free(tcp->modbus);
    free(tcp);
}

/* ---- Requests ---- */

/* Closes a client that is to blame for it. */
static void close_client(struct fg_modbus_tcp *tcp, struct client *client, const char *why, int64_t now) {
    fg_notes_add(&tcp->service->notes, FG_NOTE_CLOSED, now, FG_LOG_WARNING, "Modbus: %s is closed: %s",
                 client->peer.name, why);
    drop_client(tcp, client);
}

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

/* Answers the whole frame at the front of the client's bytes; false: the answer did not go out. libmodbus
 * sees only what it will not refuse, since its own refusal sleeps. */
static bool answer_frame(struct fg_modbus_tcp *tcp, struct client *client, uint32_t size, int64_t now) {
    const uint8_t *frame = client->bytes;
    if (frame[UNIT_AT] != 0 && frame[UNIT_AT] != 255 && frame[UNIT_AT] != tcp->service->unit)
        return true;
    struct fg_modbus_reply reply;
    fg_modbus_serve(tcp->service, &client->peer, frame + PDU_AT, size - PDU_AT, now, &reply);
    if (reply.valid)
        client->asked_ns = now;
    modbus_set_socket(tcp->modbus, client->socket);
    return fg_modbus_send(tcp->service, tcp->modbus, frame, size, &reply);
}

/* Reads more; false: the client is gone. */
static bool read_client(struct client *client) {
    ssize_t got = recv(client->socket, client->bytes + client->used, sizeof client->bytes - client->used, 0);
    if (got > 0)
        client->used += (uint32_t)got;
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Takes one step for a client whose socket is ready: it answers a waiting request, or else reads more. A
 * request is answered only when its answer has room in the socket, so that none is cut. */
static void serve_client(struct fg_modbus_tcp *tcp, struct client *client, int64_t now) {
    const int32_t frame = measure_frame(client);
    if (frame > 0 ? !answer_frame(tcp, client, (uint32_t)frame, now) : !read_client(client)) {
        fg_notes_add(&tcp->service->notes, FG_NOTE_CLOSED, now, FG_LOG_INFO, "Modbus: %s disconnected",
                     client->peer.name);
        drop_client(tcp, client);
        return;
    }
    if (frame > 0) {
        client->used -= (uint32_t)frame;
        memmove(client->bytes, client->bytes + frame, client->used);
        client->half_ns = 0;
    }
    const int32_t next = measure_frame(client);
    if (next < 0)
        close_client(tcp, client, "it sends what is no Modbus TCP", now);
    else if (next > 0 || client->used == 0)
        client->half_ns = 0;
    else if (client->half_ns == 0)
        client->half_ns = now;
}

/* Closes a client that has been silent for too long. */
static void time_out(struct fg_modbus_tcp *tcp, struct client *client, int64_t now) {
    if (client->half_ns != 0 && now - client->half_ns >= FG_MODBUS_HALF)
        close_client(tcp, client, "it sent half a request and not the rest", now);
    else if (tcp->terms.idle_ns > 0 && now - client->asked_ns >= tcp->terms.idle_ns)
        close_client(tcp, client, "no request came for modbus.idle_timeout_ms", now);
}

/* ---- Places ---- */

/* Finds the client that is to leave for a newcomer; NULL: none is silent enough. */
static struct client *find_silent(struct fg_modbus_tcp *tcp, int64_t now) {
    struct client *longest = NULL;
    for (uint32_t i = 0; i < FG_MODBUS_CLIENTS; i++) {
        struct client *client = &tcp->client[i];
        if (!client->writer && now - client->asked_ns >= FG_MODBUS_SILENT &&
            (!longest || client->asked_ns < longest->asked_ns))
            longest = client;
    }
    return longest;
}

/* Finds a place for a newcomer; NULL: it is refused. */
static struct client *find_place(struct fg_modbus_tcp *tcp, const char *newcomer, int64_t now) {
    for (uint32_t i = 0; i < FG_MODBUS_CLIENTS; i++)
        if (tcp->client[i].socket < 0)
            return &tcp->client[i];
    tcp->service->clients_refused++;
    struct client *silent = find_silent(tcp, now);
    if (silent) {
        fg_notes_add(&tcp->service->notes, FG_NOTE_EVICTED, now, FG_LOG_WARNING,
                     "Modbus: %s is closed, because %s needs its place and no valid request came from it for "
                     "%" PRId64 " s",
                     silent->peer.name, newcomer, (now - silent->asked_ns) / FG_S);
        drop_client(tcp, silent);
    } else {
        fg_notes_add(&tcp->service->notes, FG_NOTE_REFUSED, now, FG_LOG_WARNING,
                     "Modbus: %s is refused: all %d places are taken by clients that are in use", newcomer,
                     FG_MODBUS_CLIENTS);
    }
    return silent;
}

static bool is_writer(const struct fg_modbus_tcp *tcp, const struct in6_addr *address) {
    for (uint32_t i = 0; i < tcp->terms.writers; i++)
        if (!memcmp(address, &tcp->terms.writer[i], sizeof *address))
            return true;
    return false;
}

static void set_rights(const struct fg_modbus_tcp *tcp, struct client *client) {
    client->writer = is_writer(tcp, &client->address);
    client->peer.may_write = tcp->terms.writers == 0 || client->writer;
}

void fg_modbus_tcp_change(struct fg_modbus_tcp *tcp, const struct fg_modbus_tcp_terms *terms) {
    tcp->terms = *terms;
    for (uint32_t i = 0; i < FG_MODBUS_CLIENTS; i++)
        if (tcp->client[i].socket >= 0)
            set_rights(tcp, &tcp->client[i]);
}

static void set_socket(int socket) {
    const int on = 1, idle = KEEP_ALIVE_S, step = KEEP_ALIVE_STEP_S, tries = KEEP_ALIVE_TRIES;
    const unsigned unheard = UNHEARD_MS;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &step, sizeof step);
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof tries);
    setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &unheard, sizeof unheard);
    setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

static void take_client(struct fg_modbus_tcp *tcp, int64_t now) {
    struct sockaddr_storage from = {0};
    socklen_t size = sizeof from;
    int socket = accept4(tcp->listener, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) {
        if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
            return;
        tcp->accept_after_ns = now + ACCEPT_PAUSE;
        fg_notes_add(&tcp->service->notes, FG_NOTE_SYSTEM, now, FG_LOG_ERROR,
                     "Modbus: a client waits, because the system gives no connection: %s", strerror(errno));
        return;
    }
    const struct in6_addr address = fg_address_of(&from);
    char name[INET6_ADDRSTRLEN];
    fg_address_print(&address, name, sizeof name);
    struct client *client = find_place(tcp, name, now);
    if (!client) {
        close(socket);
        return;
    }
    set_socket(socket);
    *client = (struct client){.socket = socket, .asked_ns = now, .address = address};
    set_rights(tcp, client);
    client->peer.unlock_ns = INT64_MAX;
    _Static_assert(sizeof name <= sizeof client->peer.name, "every address is a name");
    memcpy(client->peer.name, name, sizeof name);
    tcp->service->clients++;
    fg_notes_add(&tcp->service->notes, FG_NOTE_CONNECTED, now, FG_LOG_INFO,
                 "Modbus: %s connected (%u of %d places are taken)", name, tcp->service->clients,
                 FG_MODBUS_CLIENTS);
}

/* ---- The loop's side ---- */

static void bring_forward(int64_t *due, int64_t when) {
    if (when < *due)
        *due = when;
}

uint32_t fg_modbus_tcp_watch(struct fg_modbus_tcp *tcp, int64_t now,
                             struct pollfd watched[FG_MODBUS_TCP_WATCHED], int64_t *due) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < FG_MODBUS_CLIENTS; i++) {
        struct client *client = &tcp->client[i];
        client->events = NULL;
        if (client->socket < 0)
            continue;
        watched[count].fd = client->socket;
        watched[count].events = measure_frame(client) > 0 ? POLLOUT : POLLIN;
        client->events = &watched[count++].revents;
        if (client->half_ns != 0)
            bring_forward(due, client->half_ns + FG_MODBUS_HALF);
        if (tcp->terms.idle_ns > 0)
            bring_forward(due, client->asked_ns + tcp->terms.idle_ns);
    }
    tcp->events = NULL;
    if (tcp->accept_after_ns > now) {
        bring_forward(due, tcp->accept_after_ns);
    } else {
        watched[count] = (struct pollfd){.fd = tcp->listener, .events = POLLIN};
        tcp->events = &watched[count++].revents;
    }
    return count;
}

void fg_modbus_tcp_serve(struct fg_modbus_tcp *tcp, int64_t now) {
    for (uint32_t i = 0; i < FG_MODBUS_CLIENTS; i++) {
        struct client *client = &tcp->client[i];
        if (client->events && *client->events)
            serve_client(tcp, client, now);
        if (client->socket >= 0)
            time_out(tcp, client, now);
    }
    if (tcp->events && *tcp->events)
        take_client(tcp, now);
}
