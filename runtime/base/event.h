/* Events between threads: a Linux eventfd, which poll can wait for beside sockets and lines. Made with
 * eventfd(2). */
#ifndef FG_RUNTIME_BASE_EVENT_H
#define FG_RUNTIME_BASE_EVENT_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Signals are counted until they are taken. Async-signal-safe. */
static inline void fg_event_signal(int descriptor) {
    const uint64_t one = 1;
    while (write(descriptor, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

/* Takes all signals at once. False when there was none (EFD_NONBLOCK); waits for one otherwise. */
static inline bool fg_event_take(int descriptor) {
    uint64_t count;
    ssize_t size;
    while ((size = read(descriptor, &count, sizeof count)) < 0 && errno == EINTR)
        ;
    return size == sizeof count;
}

#endif
