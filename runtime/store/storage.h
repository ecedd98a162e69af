/* The store: keeps what the line gives away (runtime/line/sink.h), on a thread of its own.
 *
 * In store.path it keeps pictures (pictures.h), in the folder pictures, and the score of every part
 * (scores.h), in scores.fgl. It writes the file of metrics every five seconds. After 200, 1,000 and 5,000
 * scores of a view it proposes a threshold (proposal.h), in the snapshot and the log.
 *
 * The line never waits for it. Verdicts go through a queue, pictures through slots of the store's own memory,
 * which the judge fills; what finds no room is dropped and counted. A full, slow or broken disk is logged
 * once, and once more when it works again, and shows degraded meanwhile. Its thread takes no memory from the
 * system but while it looks through the folder of pictures, at the start and after a failure.
 *
 * Errors: FG_ENVIRONMENT from starting, for a descriptor or a thread; the disk's are logged. Owner: who opens
 * a store closes it; what the settings name stays the caller's and must outlive it. Thread: the sink's
 * functions as sink.h says, all others one at a time. NULL: fg_storage_close takes it; no other argument may
 * be, but for a message. */
#ifndef FG_RUNTIME_STORE_STORAGE_H
#define FG_RUNTIME_STORE_STORAGE_H

#include "runtime/line/setup.h"
#include "runtime/line/sink.h"

#define FG_STORAGE_SCORES "scores.fgl" /* in store.path */
#define FG_STORAGE_PICTURES "pictures"

struct fg_storage;

/* Adds to a plan what the store takes: a picture's slot for each view and seven more. */
void fg_storage_plan(const struct fg_config *config, struct fg_memory_plan *plan);

/* Adds a line to the report for each path of the configuration that could not be written. */
void fg_storage_check(const struct fg_config *config, struct fg_report *report);

/* Opens a store in memory of plan->store zeroed bytes. */
FG_MUST_USE enum fg_status fg_storage_open(const struct fg_config *config, const struct fg_memory_plan *plan,
                                           void *memory, struct fg_storage **store,
                                           struct fg_message *message);
/* What the line is given; it lives as long as the store. */
const struct fg_sink *fg_storage_sink(const struct fg_storage *store);
/* Starts its thread. cell: what metrics are made of. */
FG_MUST_USE enum fg_status fg_storage_start(struct fg_storage *store, struct fg_snapshot_cell *cell,
                                            struct fg_message *message);
/* Writes what is waiting, and closes it. False: a disk that hangs holds its thread, which goes on using the
 * memory, and the call may be repeated. */
bool fg_storage_close(struct fg_storage *store);

#endif
