/* What is shown of the line: the snapshot, its figures and times.
 *
 * Errors: none; a figure that the system does not give stays as it was. Owner: the line owns its snapshot.
 * Thread: the line's alone. NULL: never. */
#ifndef FG_RUNTIME_LINE_PUBLISH_H
#define FG_RUNTIME_LINE_PUBLISH_H

#include <stdint.h>

#define FG_LINE_VERSION 10  /* software version x 100 */
#define FG_LINE_TIMES 65536 /* steps of 0.1 ms; the last one holds all longer times */

struct fg_line;

/* Fills in what stays as it is from start to end. */
void fg_publish_begin(struct fg_line *l);
/* Publishes the snapshot of the line as it is now, and tells the actuation which levels are wanted. */
void fg_publish(struct fg_line *l);
/* Measures memory and uptime for the next snapshot. */
void fg_publish_measure(struct fg_line *l);
/* Adds one part's time from trigger to verdict, in 0.1 ms. */
void fg_publish_time(struct fg_line *l, uint32_t total);
/* Sets counters and times to 0. Parts under way are counted among the triggers, as their verdicts will be. */
void fg_publish_reset(struct fg_line *l);

#endif
