/* Reading the configuration again, for SIGHUP and command 3: on a thread of its own, whole, and nothing of it
 * counts unless all of it is right. What may change live changes; the rest is named in the log.
 *
 * Errors: FG_ENVIRONMENT for a thread; a configuration that is wrong is logged, raises fault 30 and is the
 * outcome of command 3. Owner: who opens a reloader closes it; configuration, line and server must outlive
 * it. Thread: one opens and closes it. NULL: fg_reloader_close takes it; no other argument may be, but for a
 * message. */
#ifndef FG_RUNTIME_DAEMON_RELOAD_H
#define FG_RUNTIME_DAEMON_RELOAD_H

#include "runtime/line/line.h"

struct fg_reloader;

struct fg_reload_settings {
    const struct fg_config *config; /* in use; the line changes it */
    struct fg_line *line;
    int asked; /* eventfd: read the file again */
    /* Brings the servers what may change; called on the reloader's thread. */
    void (*change_servers)(void *context, const struct fg_config *next);
    void *context;
};

FG_MUST_USE enum fg_status fg_reloader_open(const struct fg_reload_settings *settings,
                                            struct fg_reloader **reloader, struct fg_message *message);
void fg_reloader_close(struct fg_reloader *reloader);

#endif
