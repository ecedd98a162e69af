/* Events between threads: signals counted by a Linux eventfd, which poll can wait for beside sockets and
 * GPIO. Who needs an event makes its descriptor with eventfd(2).
 *
 * Errors: none. Owner: who made the descriptor closes it. Thread: any, several at a time. NULL: never. */
#ifndef FG_RUNTIME_BASE_EVENT_H
#define FG_RUNTIME_BASE_EVENT_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Adds one signal. A signal handler may call it. */
static inline void fg_event_signal(int descriptor) {
    const uint64_t one = 1;
    while (write(descriptor, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

/* Takes all signals at once. Where there is none, an EFD_NONBLOCK descriptor gives false; any other waits for
 * one. */
static inline bool fg_event_take(int descriptor) {
    uint64_t count;
    ssize_t size;
    while ((size = read(descriptor, &count, sizeof count)) < 0 && errno == EINTR)
        ;
    return size == sizeof count;
}

#endif
