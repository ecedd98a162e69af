/* The hardware watchdog (Linux' /dev/watchdog): it resets the machine when it is not fed for its own timeout.
 *
 * Errors: FG_ENVIRONMENT for a device that cannot be opened or fed. Owner: who opens a watchdog closes it.
 * Thread: one at a time. NULL: only a message may be. */
#ifndef FG_BOARD_WATCHDOG_WATCHDOG_H
#define FG_BOARD_WATCHDOG_WATCHDOG_H

#include "runtime/base/status.h"

/* Opens the device and gives its descriptor. From now on it wants to be fed. */
FG_MUST_USE enum fg_status fg_watchdog_open(const char *device, int *descriptor, struct fg_message *message);
FG_MUST_USE enum fg_status fg_watchdog_feed(int descriptor, struct fg_message *message);
/* Switches it off and closes it. Where a process ends without this it goes on counting, and resets the
 * machine unless a new start feeds it. A driver whose "nowayout" is set always goes on. */
void fg_watchdog_close(int descriptor);

#endif
