/* What is shown of the line: the snapshot, its figures and times. The line's thread alone uses it. */
#ifndef FG_RUNTIME_LINE_PUBLISH_H
#define FG_RUNTIME_LINE_PUBLISH_H

#include <stdint.h>

#define FG_LINE_VERSION 10  /* software version x 100 */
#define FG_LINE_TIMES 65536 /* trigger to verdict, in 0.1 ms; the last one is that and more */

struct fg_line;

/* What stays as it is from start to end. */
void fg_publish_begin(struct fg_line *l);
/* The snapshot as the line is now; tells the actuation what is wanted. */
void fg_publish(struct fg_line *l);
/* Memory and uptime, for the next snapshot. */
void fg_publish_measure(struct fg_line *l);
/* One part's trigger to verdict, 0.1 ms. */
void fg_publish_time(struct fg_line *l, uint32_t total);
void fg_publish_reset(struct fg_line *l);

#endif
