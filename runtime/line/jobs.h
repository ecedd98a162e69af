/* Jobs that the line gives to the judge, one at a time.
 *
 * Errors: none; a job that fails becomes a verdict, an outcome or a fault of the line. Owner: the line owns
 * its jobs. Thread: the line's alone. NULL: never. */
#ifndef FG_RUNTIME_LINE_JOBS_H
#define FG_RUNTIME_LINE_JOBS_H

#include "board/camera/camera.h"
#include "config/config.h"

struct fg_line;

/* Judges the next view of the oldest part, where the judge is free and a frame waits. */
void fg_jobs_judge_next(struct fg_line *l);
/* Gives the sink the next picture that it is to get, where the judge is free. */
void fg_jobs_keep_next(struct fg_line *l);
/* Whether pictures wait for that. */
bool fg_jobs_keeping(struct fg_line *l);
/* Changes to the bundles of a slot: now, or once no part and no camera's test is under way any more. A
 * threshold that the PLC chose was for the bundle in use: it is 0 from now on, and what is written meanwhile
 * is for the new bundles. If these cannot be loaded, the old ones have their old thresholds again. */
void fg_jobs_change(struct fg_line *l, uint16_t slot);
/* Loads the bundles of a slot for all views, with thresholds as above. The judge must be free. */
void fg_jobs_load(struct fg_line *l, uint16_t slot);
/* Runs the self-tests of the engines in use. The judge must be free. */
void fg_jobs_self_test(struct fg_line *l);
/* Loads the slot that was asked for during a part, where the judge is free, and no part and no test of a
 * camera is under way any more. */
void fg_jobs_start_waiting_load(struct fg_line *l);

/* Gives the frame that a view judges: what it sees of its camera's. */
struct fg_frame fg_jobs_aim(const struct fg_config_view *view, const struct fg_camera_frame *given);

/* Logs how long a part takes to judge, and warns where that is nearly all the time that there is. */
void fg_jobs_tell_time(const struct fg_line *l);

/* Whether a load or a self-test is under way. */
bool fg_jobs_loading(const struct fg_line *l);

/* Takes the result of a job that has ended. */
void fg_jobs_take(struct fg_line *l);
/* When the job under way counts as one that does not end (line.h: FG_LINE_HANG, FG_LINE_STOP_LIMIT);
 * INT64_MAX: no job is under way. */
int64_t fg_jobs_due(const struct fg_line *l);
/* Takes the device for lost where that time has come. */
void fg_jobs_watch(struct fg_line *l, int64_t now_ns);

#endif
