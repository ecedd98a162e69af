/* The state directory: what outlives a restart. One small file, replaced whole: how often the daemon has
 * started, the parts' ids that are used up, whether the last run ended by a drain, and which reject registers
 * a PLC has written.
 *
 * Ids are reserved in blocks, and a thread of its own writes, so that no part waits for a disk. A disk that
 * fails later is logged and tried again; the line goes on.
 *
 * Errors: FG_ENVIRONMENT for a folder that cannot be used or belongs to another process, FG_INPUT for a file
 * that is damaged. Owner: who opens a keeper closes it. Thread: one opens and closes it; fg_keeper_tell may
 * be called from one other meanwhile. NULL: fg_keeper_close takes it; no other argument may be, but for a
 * message. */
#ifndef FG_RUNTIME_DAEMON_KEEPER_H
#define FG_RUNTIME_DAEMON_KEEPER_H

#include "runtime/line/line.h"

struct fg_keeper;

/* Opens the folder, which is made where its parent is there, and reads what is kept. */
FG_MUST_USE enum fg_status fg_keeper_open(const char *folder, struct fg_keeper **keeper,
                                          struct fg_message *message);
/* What is kept, with this start counted. */
struct fg_line_kept fg_keeper_kept(const struct fg_keeper *keeper);
/* Writes that a run has begun, and that it has not ended well until fg_keeper_close says so. */
FG_MUST_USE enum fg_status fg_keeper_begin(struct fg_keeper *keeper, struct fg_message *message);
/* Tells the id of the newest part and the registers that were written; never waits. A fg_line_keep
 * function. */
void fg_keeper_tell(void *context, uint32_t last_id, uint32_t written);
/* Ends it. drained: the run that has begun ended well, and the last words of fg_keeper_tell are written. */
void fg_keeper_close(struct fg_keeper *keeper, bool drained);

#endif
