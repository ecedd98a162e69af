/* The two clocks: the monotonic one for order and deadlines, the wall clock for records that people read.
 *
 * Errors: none, as Linux always has both. Owner: nothing is kept. Thread: any. NULL: never. */
#ifndef FG_RUNTIME_BASE_CLOCK_H
#define FG_RUNTIME_BASE_CLOCK_H

#include <stdint.h>

#define FG_MS ((int64_t)1000000)   /* a millisecond in nanoseconds */
#define FG_S ((int64_t)1000000000) /* a second in nanoseconds */

/* Gives CLOCK_MONOTONIC in nanoseconds: the kernel stamps GPIO edges with it. */
int64_t fg_clock_ns(void);

/* Gives CLOCK_REALTIME in milliseconds since 1970. */
int64_t fg_clock_unix_ms(void);

#endif
