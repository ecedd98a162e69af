/* Jobs that the line gives to the judge, one at a time. The line's thread alone uses them. */
#ifndef FG_RUNTIME_LINE_JOBS_H
#define FG_RUNTIME_LINE_JOBS_H

#include <stdbool.h>
#include <stdint.h>

struct fg_line;

/* Judges the next view of the oldest part, where the judge is free and a frame waits. */
void fg_jobs_judge_next(struct fg_line *l);
/* Loads the bundles of a slot for all views. The judge must be free, here and below. */
void fg_jobs_load(struct fg_line *l, uint16_t slot);
void fg_jobs_self_test(struct fg_line *l);
/* A job change that was asked for during a part takes effect between parts: now, if there is none. */
void fg_jobs_start_waiting_load(struct fg_line *l);

/* Whether a load or a self-test is under way. */
bool fg_jobs_loading(const struct fg_line *l);

/* Takes the result of a job that has ended. */
void fg_jobs_take(struct fg_line *l);
/* A job that does not end is the device's loss (line.h: FG_LINE_HANG, FG_LINE_STOP_LIMIT): when it would be,
 * INT64_MAX: no job is under way; and what follows. */
int64_t fg_jobs_due(const struct fg_line *l);
void fg_jobs_watch(struct fg_line *l, int64_t now_ns);

#endif
