/* What may change while the line runs: two configurations compared, and the keys taken over that need no
 * restart.
 *
 * To let a key change live, add its name to the list in live.c; who has a copy of its value takes the new one
 * where the line adopts it (runtime/line/commands.c) or the server does (runtime/daemon/daemon.c).
 *
 * Errors: none. Owner: configurations stay the caller's. Thread: any, as long as no other changes them. NULL:
 * the argument of a fg_live_function may be. */
#ifndef FG_CONFIG_LIVE_H
#define FG_CONFIG_LIVE_H

#include "config/config.h"

/* Takes the name of a key whose values differ, as the file has it ("trigger.queue"); live: it needs no
 * restart. The name is borrowed for the call. */
typedef void fg_live_function(void *argument, const char *key, bool live);

/* Tells every key whose value differs. */
void fg_live_compare(const struct fg_config *config, const struct fg_config *next, fg_live_function *tell,
                     void *argument);
/* Takes over the live keys; the checksum too, where no other key differs. */
void fg_live_adopt(struct fg_config *config, const struct fg_config *next);

#endif
