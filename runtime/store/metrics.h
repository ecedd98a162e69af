/* The figures of the line as OpenMetrics text, which the textfile collector of Prometheus' node exporter
 * reads.
 *
 * Errors: FG_ENVIRONMENT for the disk. Owner: nothing is kept. Thread: one at a time. NULL: only a message
 * may be. */
#ifndef FG_RUNTIME_STORE_METRICS_H
#define FG_RUNTIME_STORE_METRICS_H

#include "runtime/base/status.h"
#include "runtime/line/snapshot.h"

/* What the store has counted since the start. */
struct fg_store_counts {
    uint32_t pictures, dropped_pictures, scores, dropped_scores;
};

/* Writes the file, whole or not at all. */
FG_MUST_USE enum fg_status fg_metrics_write(const char *path, const struct fg_snapshot *snapshot,
                                            const struct fg_store_counts *counts, struct fg_message *message);

#endif
