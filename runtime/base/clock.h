/* The two clocks: monotonic for order and deadlines, wall for records that people read. */
#ifndef FG_RUNTIME_BASE_CLOCK_H
#define FG_RUNTIME_BASE_CLOCK_H

#include <stdint.h>

#define FG_MS ((int64_t)1000000) /* nanoseconds */
#define FG_S ((int64_t)1000000000)

/* CLOCK_MONOTONIC in nanoseconds: the clock of the kernel's GPIO edges. */
int64_t fg_clock_ns(void);

/* CLOCK_REALTIME in milliseconds since 1970. */
int64_t fg_clock_unix_ms(void);

#endif
