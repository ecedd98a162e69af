/* Inside the line: its one struct, and what is shown of it. Others use line.h. */
#ifndef FG_RUNTIME_LINE_STATE_H
#define FG_RUNTIME_LINE_STATE_H

#include "runtime/line/line.h"
#include "runtime/line/part.h"
#include "runtime/line/results.h"

#define FG_LINE_VERSION 10  /* software version x 100 */
#define FG_LINE_TIMES 65536 /* trigger to verdict, in 0.1 ms; the last one is that and more */

struct fg_line {
    struct fg_line_settings s;
    struct fg_snapshot show; /* what is published */
    struct fg_snapshot_cell cell;
    struct fg_results results;

    const struct fg_engine *engine; /* in use; NULL before the first is loaded */
    struct fg_line_part part;       /* the one between trigger and verdict */
    struct fg_camera_frame frame;   /* lent to the inference thread while judging a part */
    bool judging;                   /* the inference thread has a job */
    int64_t judge_deadline_ns;      /* of that job */
    bool slot_waiting;              /* a job change waits for the part to end */
    bool slot_written;              /* by the PLC */
    bool halted;                    /* a fault that stops the line, until it is cleared */
    bool last_pass;                 /* level of the pass output */
    int64_t lost_at_ns;             /* when the device was lost; 0: it is there */
    int64_t stop_at_ns;             /* when the end was asked for; 0: it was not */
    int64_t started_ns, last_edge_ns, next_beat_ns, watchdog_ns;
    uint32_t parts, bounces;

    int asked, answered, stop, statm; /* descriptors */
    struct fg_commands commands;
    enum fg_modbus_exception exception;

    /* Trigger to verdict since the counters were reset. */
    uint32_t times[FG_LINE_TIMES];
    uint64_t time_sum, time_count;
};

/* trigger_enable and not offline: triggers of any source are heard. */
bool fg_line_listening(const struct fg_line *l);
/* A trigger given now would be taken. */
bool fg_line_able(const struct fg_line *l);

/* Latches a fault; the first one's code stays. */
void fg_line_fault(struct fg_line *l, enum fg_fault fault);
void fg_line_clear_fault(struct fg_line *l);
void fg_line_missed_trigger(struct fg_line *l);
/* A part was not rejected in time, or cannot be; why is for the log. */
void fg_line_missed_reject(struct fg_line *l, const char *why);
void fg_line_reset_counters(struct fg_line *l);

/* Gives a part its verdict: counts, rejects, shows, logs. result has verdict, score, box and inference time;
 * the rest is the part's. Afterwards the part is gone. */
void fg_line_finish(struct fg_line *l, struct fg_line_part *part, struct fg_result *result);
void fg_line_inoperative(struct fg_line *l, struct fg_line_part *part, enum fg_reason reason);

/* ---- line.c ---- */

/* A trigger that is taken becomes the part between trigger and verdict. */
void fg_line_take_part(struct fg_line *l, int64_t trigger_ns);

/* ---- line_commands.c ---- */

/* Carries out the list that a server asks for, or refuses it, and answers. */
void fg_line_take_commands(struct fg_line *l);

/* ---- line_jobs.c: one at a time, while the inference thread has none ---- */

/* Judges the part's frame, which is in l->frame. */
void fg_line_judge(struct fg_line *l);
void fg_line_load(struct fg_line *l, uint16_t slot);
void fg_line_self_test(struct fg_line *l);
/* A job change that was asked for during a part takes effect between parts: now, if there is none. */
void fg_line_start_waiting_load(struct fg_line *l);

/* Takes the result of a job that has ended. */
void fg_line_take_job_result(struct fg_line *l);
/* A job that does not end is the device's loss (line.h: FG_LINE_HANG, FG_LINE_STOP_LIMIT). */
void fg_line_watch_job(struct fg_line *l, int64_t now);

/* ---- line_state.c ---- */

/* Memory figures. */
void fg_line_measure(struct fg_line *l);
/* Everything else that is shown, and the snapshot itself; tells the actuation what is wanted. */
void fg_line_publish(struct fg_line *l);

#endif
