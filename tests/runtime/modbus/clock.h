/* A clock that a test moves on, or that it stops and then moves: the program is linked with
 * --wrap=fg_clock_ns. Include after cmocka.
 *
 * Errors: none. Owner: nothing is kept. Thread: any. NULL: never. */
#ifndef FG_TESTS_RUNTIME_MODBUS_CLOCK_H
#define FG_TESTS_RUNTIME_MODBUS_CLOCK_H

#include <stdatomic.h>

#include "runtime/base/clock.h"

static _Atomic int64_t clock_ahead, clock_stopped_at;

int64_t __real_fg_clock_ns(void);
int64_t __wrap_fg_clock_ns(void);

int64_t __wrap_fg_clock_ns(void) {
    const int64_t stopped = atomic_load(&clock_stopped_at);
    return (stopped ? stopped : __real_fg_clock_ns()) + atomic_load(&clock_ahead);
}

/* From now on the clock goes only by move_clock. */
static inline void stop_clock(void) {
    atomic_store(&clock_stopped_at, __real_fg_clock_ns());
}

/* The server sees it with its next event. */
static inline void move_clock(int64_t ns) {
    atomic_fetch_add(&clock_ahead, ns);
}

#endif
