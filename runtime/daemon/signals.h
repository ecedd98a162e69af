/* Signals of the daemon. SIGTERM and SIGINT ask for its end, and SIGHUP for its configuration to be read
 * again; SIGPIPE is ignored. Every other signal whose default action ends a process makes the outputs safe
 * first. SIGKILL alone cannot be caught: flawgate line --safe is for that.
 *
 * Errors: FG_ENVIRONMENT where there is no descriptor. Owner: descriptors live as long as the process, since
 * a handler on another thread can outlast everything else. Thread: one opens and closes; handlers run on any.
 * NULL: only a message may be. */
#ifndef FG_RUNTIME_DAEMON_SIGNALS_H
#define FG_RUNTIME_DAEMON_SIGNALS_H

#include "board/gpio/outputs.h"
#include "runtime/base/status.h"

struct fg_signals {
    int stop;   /* eventfd, a semaphore: one for each SIGTERM and SIGINT */
    int reload; /* eventfd: SIGHUP */
};

/* Makes the descriptors; no signal is caught yet. */
FG_MUST_USE enum fg_status fg_signals_open(struct fg_signals *signals, struct fg_message *message);
/* Catches the signals. outputs are made safe by those that end the process. */
void fg_signals_catch(const struct fg_signals *signals, struct fg_outputs *outputs);
/* From now on nothing asks for the end or for the configuration. */
void fg_signals_ignore_requests(void);
/* The outputs are safe and may go: signals that end the process do no more than that. */
void fg_signals_release(void);

#endif
