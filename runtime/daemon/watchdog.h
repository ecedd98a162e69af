/* The watchdogs outside the process: systemd's (WATCHDOG=1) and the hardware's. Both are fed while the line
 * says that it is well, on the condition of its heartbeats, by a thread of its own, so that no part waits for
 * them.
 *
 * Errors: FG_ENVIRONMENT for a device that cannot be opened, or a thread. Owner: who opens a feeder closes
 * it; the line must outlive it. Thread: one opens and closes it. NULL: fg_feeder_close takes it; no other
 * argument may be, but for a message. */
#ifndef FG_RUNTIME_DAEMON_WATCHDOG_H
#define FG_RUNTIME_DAEMON_WATCHDOG_H

#include "runtime/line/line.h"

struct fg_feeder;

/* Starts to feed. device: the hardware watchdog, "" for none. */
FG_MUST_USE enum fg_status fg_feeder_open(const struct fg_line *line, const char *device,
                                          struct fg_feeder **feeder, struct fg_message *message);
/* Ends it and switches the hardware watchdog off: for ends that were asked for, whether all parts were waited
 * for or not, since the outputs are safe. */
void fg_feeder_close(struct fg_feeder *feeder);

#endif
