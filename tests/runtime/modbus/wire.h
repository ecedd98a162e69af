/* A serial line without hardware: two pseudo terminals, and a thread that carries the bytes from one to the
 * other. Include after cmocka.
 *
 * Errors: a failure fails the test. Owner: who opens a wire closes it. Thread: the test's. NULL: never. */
#ifndef FG_TESTS_RUNTIME_MODBUS_WIRE_H
#define FG_TESTS_RUNTIME_MODBUS_WIRE_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "runtime/base/event.h"

/* One end: what a program opens, by its name, and the side behind it. */
struct terminal {
    int behind, held; /* held keeps the terminal in being while nobody has it open */
    char name[64];
};

struct wire {
    struct terminal end[2];
    int stop;
    pthread_t thread;
};

static inline struct terminal terminal_open(void) {
    struct terminal t;
    struct termios raw;
    assert_int_equal(openpty(&t.behind, &t.held, t.name, NULL, NULL), 0);
    fcntl(t.behind, F_SETFD, FD_CLOEXEC);
    fcntl(t.held, F_SETFD, FD_CLOEXEC);
    tcgetattr(t.held, &raw);
    cfmakeraw(&raw);
    tcsetattr(t.held, TCSANOW, &raw);
    return t;
}

static inline void terminal_close(struct terminal *t) {
    close(t->held);
    close(t->behind);
}

static inline void *wire_run(void *argument) {
    struct wire *wire = argument;
    for (;;) {
        struct pollfd ready[3] = {{.fd = wire->end[0].behind, .events = POLLIN},
                                  {.fd = wire->end[1].behind, .events = POLLIN},
                                  {.fd = wire->stop, .events = POLLIN}};
        if (poll(ready, 3, -1) < 0)
            continue;
        if (ready[2].revents)
            return NULL;
        for (int i = 0; i < 2; i++) {
            uint8_t bytes[256];
            const ssize_t got = ready[i].revents ? read(ready[i].fd, bytes, sizeof bytes) : 0;
            if (got > 0 && write(wire->end[!i].behind, bytes, (size_t)got) != got)
                return NULL;
        }
    }
}

static inline void wire_open(struct wire *wire) {
    wire->end[0] = terminal_open();
    wire->end[1] = terminal_open();
    wire->stop = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(pthread_create(&wire->thread, NULL, wire_run, wire), 0);
}

static inline void wire_close(struct wire *wire) {
    fg_event_signal(wire->stop);
    pthread_join(wire->thread, NULL);
    terminal_close(&wire->end[0]);
    terminal_close(&wire->end[1]);
    close(wire->stop);
}

#endif
