/* Reads the two clocks. */
#include "runtime/base/clock.h"

#include <time.h>

int64_t fg_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * FG_S + now.tv_nsec;
}

int64_t fg_clock_unix_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / FG_MS;
}
