/* The demo's simulated line: parts pass a camera, a trigger rises, and a Modbus client reads the verdicts.
 *
 * Errors: FG_ENVIRONMENT names the log of the daemon, the file or the part. Owner: the caller, of all
 * arguments. Thread: the main thread. NULL: only a message may be. */
#ifndef FG_TOOLS_DEMO_DEMO_LINE_H
#define FG_TOOLS_DEMO_DEMO_LINE_H

#include <stdint.h>

#include "runtime/base/status.h"
#include "runtime/line/snapshot.h"

struct fg_demo_verdict {
    uint32_t id;
    enum fg_verdict verdict;
    double score;
    double total_ms; /* milliseconds from trigger to verdict */
};

/* Starts flawgated on the pictures of a folder (one a trigger, in the order of their names), raises the
 * trigger once for each of count parts, and reads each verdict over Modbus. folder gets configuration, board
 * and log. */
FG_MUST_USE enum fg_status fg_demo_line(const char *folder, const char *bundle, const char *pictures,
                                        uint32_t count, struct fg_demo_verdict *verdicts,
                                        struct fg_message *message);

#endif
