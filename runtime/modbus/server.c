/* The loop that waits for everything that the server serves. */
#include "runtime/modbus/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/event.h"

#define POLL_PAUSE (100 * FG_MS) /* pause after poll itself has failed */

struct fg_modbus_server {
    int wake;
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
    free(server);
}

/* ---- The loop ---- */

/* Waits for an event, or until something is due. */
static int wait(struct pollfd *watched, uint32_t count, int64_t due) {
    const int64_t left = due - fg_clock_ns(), ns = left > 0 ? left : 0;
    const struct timespec limit = {.tv_sec = ns / FG_S, .tv_nsec = ns % FG_S};
    return ppoll(watched, count, due == INT64_MAX ? NULL : &limit, NULL);
}

void fg_modbus_server_run(struct fg_modbus_server *server) {
    for (;;) {
        int64_t due = fg_notes_due(&server->service.notes);
        struct pollfd watched[2 + FG_MODBUS_TCP_WATCHED] = {{.fd = server->wake, .events = POLLIN}};
        uint32_t count = 1;
        count += fg_modbus_tcp_watch(server->tcp, fg_clock_ns(), watched + count, &due);
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
        const int64_t now = fg_clock_ns();
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
