/* Inside the line: its one struct, and what is shown of it. Others use line.h. */
#ifndef FG_RUNTIME_LINE_STATE_H
#define FG_RUNTIME_LINE_STATE_H

#include "runtime/line.h"
#include "runtime/part.h"
#include "runtime/results.h"

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
    bool stopping;
    bool last_pass;     /* level of the pass output */
    int64_t lost_at_ns; /* when the device was lost; 0: it is there */
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
void fg_line_fault(struct fg_line *l, enum fg_line_error error);
void fg_line_clear_fault(struct fg_line *l);
void fg_line_missed_trigger(struct fg_line *l);
/* A part was not rejected in time, or cannot be; why is for the log. */
void fg_line_missed_reject(struct fg_line *l, const char *why);
void fg_line_reset_counters(struct fg_line *l);

/* Gives a part its verdict: counts, rejects, shows, logs. result has verdict, score, box and inference time;
 * the rest is the part's. Afterwards the part is gone. */
void fg_line_finish(struct fg_line *l, struct fg_line_part *part, struct fg_result *result);
void fg_line_inoperative(struct fg_line *l, struct fg_line_part *part, enum fg_reason reason);

/* Memory figures. */
void fg_line_measure(struct fg_line *l);
/* Everything else that is shown, and the snapshot itself; tells the actuation what is wanted. */
void fg_line_publish(struct fg_line *l);

#endif
