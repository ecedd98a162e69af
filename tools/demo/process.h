/* The programs beside this one, run as children: what the demo does with the product, a user could do by
 * hand.
 *
 * Errors: FG_ENVIRONMENT when a program cannot be started or fails, FG_USAGE for too many arguments; messages
 * name the program. Owner: who starts a child waits for it. Thread: any. NULL: only output and a message may
 * be. */
#ifndef FG_TOOLS_DEMO_PROCESS_H
#define FG_TOOLS_DEMO_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "runtime/base/status.h"

/* Starts PROGRAM of this program's own folder. arguments end with NULL and leave the program's name out.
 * output: a file that takes what the program writes to descriptor, STDOUT_FILENO or STDERR_FILENO; NULL: it
 * writes where this program does. FG_ENVIRONMENT when it cannot be started. */
FG_MUST_USE enum fg_status fg_process_start(const char *program, const char *const *arguments, int descriptor,
                                            const char *output, pid_t *child, struct fg_message *message);

/* Whether a child has ended; fg_process_wait still gives how. */
bool fg_process_has_ended(pid_t child);

/* Waits for the end of a child; gives its exit status, or 128 plus the signal that ended it. */
int fg_process_wait(pid_t child);

/* Starts a program and waits for its end, with a failure for an exit status above most. output takes standard
 * output. */
FG_MUST_USE enum fg_status fg_process_run(const char *program, const char *const *arguments,
                                          const char *output, int most, struct fg_message *message);

#endif
