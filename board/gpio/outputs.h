/* Outputs: what the program switches, each at its time.
 *
 * Errors: FG_ENVIRONMENT for an output that could not be set. Owner: the board. Thread: one sets them; any
 * thread, and a signal handler too, may make them safe. NULL: only a message may be. */
#ifndef FG_BOARD_GPIO_OUTPUTS_H
#define FG_BOARD_GPIO_OUTPUTS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/status.h"

struct fg_outputs {
    /* Sets an io (index in the list that the board was opened with) to a logical level at an absolute time
     * (fg_clock_ns). A time that has passed means at once; the call returns when the level is set.
     * FG_ENVIRONMENT: it could not be set. */
    FG_MUST_USE enum fg_status (*set)(struct fg_outputs *outputs, uint32_t io, bool level, int64_t time_ns,
                                      struct fg_message *message);
    /* Releases every output for good: the state that wiring and polarity make the safe one. set, of another
     * thread too, then changes nothing. Async-signal-safe. */
    void (*safe)(struct fg_outputs *outputs);
};

#endif
