/* The programs beside this one, run as children: what the demo does with the product, a user could do by
 * hand. */
#ifndef FG_TOOLS_DEMO_PROCESS_H
#define FG_TOOLS_DEMO_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

#include "runtime/base/status.h"

/* Starts PROGRAM of this program's own folder. arguments end with NULL and leave the program's name out.
 * output: a file that takes standard output (NULL: this program's own). FG_ENVIRONMENT when it cannot be
 * started. */
FG_MUST_USE enum fg_status fg_process_start(const char *program, const char *const *arguments,
                                            const char *output, pid_t *child, struct fg_message *message);

/* Waits for its end; the exit status, or 128 and the signal that ended it. */
int fg_process_wait(pid_t child);

/* Both, with a failure for an exit status above most. */
FG_MUST_USE enum fg_status fg_process_run(const char *program, const char *const *arguments,
                                          const char *output, int most, struct fg_message *message);

#endif
