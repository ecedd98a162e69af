/* The loop that waits for everything that the server serves. */
#include "runtime/modbus/server.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/event.h"

#define LONGEST_WAIT (500 * FG_MS) /* the loop shows so often that it turns */
#define POLL_PAUSE (100 * FG_MS)   /* pause after poll itself has failed */

/* What may change while the server runs. */
struct terms {
    struct fg_modbus_tcp_terms tcp;
    struct fg_modbus_rules rules;
};

struct fg_modbus_server {
    int wake;
    pthread_mutex_t changing;
    struct terms next; /* under the lock */
    bool changed;      /* under the lock: next is not taken over yet */
    struct fg_modbus_service service;
    struct fg_modbus_tcp *tcp;
    struct fg_modbus_rtu *rtu; /* NULL: there is none */
};

enum fg_status fg_modbus_server_open(const struct fg_modbus_settings *settings,
                                     const struct fg_modbus_line *line, struct fg_modbus_server **server,
                                     struct fg_message *message) {
    *server = NULL;
    struct fg_modbus_server *s = calloc(1, sizeof *s);
    if (!s)
        return fg_fail(message, FG_ENVIRONMENT, "Modbus: no memory");
    pthread_mutex_init(&s->changing, NULL);
    s->service.rules = settings->rules;
    s->service.line = *line;
    s->service.unit = settings->unit;
    s->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    enum fg_status status = s->wake < 0
                                ? fg_fail_errno(message, FG_ENVIRONMENT, errno, "Modbus: cannot start")
                                : fg_modbus_service_open(&s->service, message);
    if (status == FG_OK && settings->rtu.device)
        status = fg_modbus_rtu_open(&settings->rtu, &s->service, &s->rtu, message);
    if (status == FG_OK)
        status = fg_modbus_tcp_open(&settings->tcp, &s->service, &s->tcp, message);
    if (status == FG_OK)
        *server = s;
    else
        fg_modbus_server_close(s);
    return status;
}

uint16_t fg_modbus_server_port(const struct fg_modbus_server *server) {
    return fg_modbus_tcp_port(server->tcp);
}

void fg_modbus_server_close(struct fg_modbus_server *server) {
    if (!server)
        return;
    fg_modbus_tcp_close(server->tcp);
    fg_modbus_rtu_close(server->rtu);
    fg_modbus_service_close(&server->service);
    if (server->wake >= 0)
        close(server->wake);
    pthread_mutex_destroy(&server->changing);
    free(server);
}

/* ---- Changing ---- */

enum fg_status fg_modbus_server_change(struct fg_modbus_server *server,
                                       const struct fg_modbus_settings *settings,
                                       struct fg_message *message) {
    struct terms next = {.rules = settings->rules};
    const enum fg_status status = fg_modbus_tcp_read_terms(&settings->tcp, &next.tcp, message);
    if (status != FG_OK)
        return status;
    pthread_mutex_lock(&server->changing);
    server->next = next;
    server->changed = true;
    pthread_mutex_unlock(&server->changing);
    return FG_OK;
}

static void take_change(struct fg_modbus_server *server) {
    pthread_mutex_lock(&server->changing);
    if (server->changed) {
        server->service.rules = server->next.rules;
        fg_modbus_tcp_change(server->tcp, &server->next.tcp);
    }
    server->changed = false;
    pthread_mutex_unlock(&server->changing);
}

/* ---- The loop ---- */

/* Waits for an event, or until something is due. */
static int wait(struct pollfd *watched, uint32_t count, int64_t due) {
    const int64_t left = due - fg_clock_ns(), ns = left > 0 ? left : 0;
    const struct timespec limit = {.tv_sec = ns / FG_S, .tv_nsec = ns % FG_S};
    return ppoll(watched, count, &limit, NULL);
}

static int64_t show_turn(struct fg_modbus_server *server) {
    const int64_t now = fg_clock_ns();
    if (server->service.line.seen_ns)
        atomic_store(server->service.line.seen_ns, now);
    return now;
}

void fg_modbus_server_run(struct fg_modbus_server *server) {
    for (;;) {
        const int64_t begun = show_turn(server), notes = fg_notes_due(&server->service.notes);
        int64_t due = notes < begun + LONGEST_WAIT ? notes : begun + LONGEST_WAIT;
        take_change(server);
        struct pollfd watched[2 + FG_MODBUS_TCP_WATCHED] = {{.fd = server->wake, .events = POLLIN}};
        uint32_t count = 1;
        count += fg_modbus_tcp_watch(server->tcp, begun, watched + count, &due);
        struct pollfd *serial = &watched[count];
        if (server->rtu)
            watched[count++] = fg_modbus_rtu_watch(server->rtu, &due);
        if (wait(watched, count, due) < 0) {
            if (errno == EINTR)
                continue; /* the loop's stop comes by wake */
            fg_notes_add(&server->service.notes, FG_NOTE_SYSTEM, fg_clock_ns(), FG_LOG_ERROR,
                         "Modbus: nobody is served, because poll fails: %s", strerror(errno));
            nanosleep(&(struct timespec){.tv_nsec = POLL_PAUSE}, NULL);
            continue;
        }
        const int64_t now = show_turn(server);
        if (server->rtu)
            fg_modbus_rtu_serve(server->rtu, serial->revents, now);
        fg_modbus_tcp_serve(server->tcp, now);
        fg_notes_write(&server->service.notes, now);
        if (watched[0].revents && fg_event_take(server->wake))
            return;
    }
}

void fg_modbus_server_stop(struct fg_modbus_server *server) {
    fg_event_signal(server->wake);
}
