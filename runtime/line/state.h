/* Inside the line: its one struct. Others use line.h.
 *
 * Errors: none. Owner: the line. Thread: the line's alone. NULL: never. */
#ifndef FG_RUNTIME_LINE_STATE_H
#define FG_RUNTIME_LINE_STATE_H

#include "runtime/line/cameras.h"
#include "runtime/line/drift.h"
#include "runtime/line/faults.h"
#include "runtime/line/line.h"
#include "runtime/line/part.h"
#include "runtime/line/publish.h"
#include "runtime/line/requests.h"
#include "runtime/line/results.h"
#include "runtime/line/states.h"

/* Something that the loop waits for. */
struct fg_line_source {
    const int *descriptor;
    const bool *gone; /* while true it is not waited for; NULL: it cannot be gone */
    void (*take)(struct fg_line *l, uint32_t camera, bool dead); /* dead: it reported an error or a hang-up */
    uint32_t camera; /* index of the camera, where the source is one */
};

#define FG_LINE_SOURCES (5 + FG_CONFIG_CAMERAS)

struct fg_line {
    struct fg_line_settings s;
    struct fg_line_source source[FG_LINE_SOURCES];
    uint32_t sources;
    int judged, statm; /* descriptors */

    struct fg_snapshot show; /* what is published */
    struct fg_snapshot_cell cell;
    struct fg_results results;
    struct fg_requests requests;

    struct fg_part part[FG_PARTS]; /* by id modulo FG_PARTS */
    uint32_t parts;                /* id of the newest part */
    uint32_t finished;             /* id of the last part whose verdict was given */
    struct fg_line_camera camera[FG_CONFIG_CAMERAS];
    int64_t exposure_ns; /* the longest of the cameras' tests */
    int64_t last_edge_ns;
    uint32_t bounces;
    bool deaf; /* the board's edges are gone, for good */

    enum fg_state state;
    enum fg_state told;        /* the state that the log spoke of last */
    const char *told_why;      /* and why no trigger is taken in it */
    bool serving;              /* the first load has ended, and the cameras were tested */
    bool loaded;               /* every view has an engine */
    bool unverified;           /* a self-test of the engines in use has failed */
    int64_t judge_ns;          /* what a part takes to judge, as measured at the load */
    bool judging;              /* the judge has a job */
    enum fg_job_kind job;      /* kind of the judge's job */
    int64_t judge_deadline_ns; /* time after which the judge's job is late */
    int64_t judge_limit_ns;    /* time after which it is the device's loss */
    bool slot_waiting;         /* a job change waits for the parts to end */
    bool slot_written;         /* the PLC has written a slot */
    bool enable_written;       /* the PLC has written coil 0 */
    bool changing; /* thresholds below are those of the bundles in use, until the change has ended */
    uint32_t old_threshold[FG_VIEWS];
    bool save_next;          /* command 2: the next part with a frame is saved */
    uint32_t saved, unsaved; /* the sink's counts when the command came */

    enum fg_fault fault[FG_FAULT_KINDS]; /* latched faults in the order in which they came */
    uint32_t faults;                     /* how many */
    enum fg_fault stopped_by; /* the fault that stopped the line, and is not cleared; FG_FAULT_NONE: none */
    uint32_t unlike;          /* parts in a row that were not like those of training */
    bool last_pass;           /* level of the pass output */
    bool fresh;               /* a verdict was given since the last snapshot */
    int64_t lost_at_ns;       /* when the device was lost; 0: it is there */
    int64_t stop_at_ns;       /* when the end was asked for; 0: it was not */
    int64_t watchdog_ns;      /* when the PLC's watchdog last moved; 0: never since the start */
    bool hurried;             /* the end was asked for again: it waits for no reject point */
    bool reloading;           /* command 3 waits for its outcome */
    uint32_t written;   /* reject registers that a PLC has written, now or before: enum fg_line_written */
    uint32_t rewritten; /* those of them that it has written since the start */
    int64_t looked_ns;  /* when the loop last read the clock */
    _Atomic int64_t well_ns;
    const struct fg_config *next; /* what fg_line_adopt brings; NULL: it was wrong */
    int64_t started_ns, next_beat_ns;

    /* Trigger to verdict since the counters were reset. */
    uint32_t times[FG_LINE_TIMES];
    uint64_t time_sum, time_count;

    struct fg_drift drift[FG_VIEWS];      /* of the bundles in use */
    struct fg_drift next_drift[FG_VIEWS]; /* of those that are being loaded; the judge's meanwhile */
};

/* Whether the line drains: its end was asked for, and its device is there. */
bool fg_line_draining(const struct fg_line *l);
/* Whether a line that was asked to end need wait for no part. */
bool fg_line_may_end(const struct fg_line *l);
/* Whether triggers are taken: trigger_enable is 1 and offline is 0. */
bool fg_line_listening(const struct fg_line *l);
/* Whether the PLC has forbidden triggers: by trigger_enable = 0, which it has written itself, or by
 * offline. */
bool fg_line_forbidden(const struct fg_line *l);
/* Why a trigger given now would not be taken, were it enabled, as the end of a sentence; NULL: it
 * would be. */
const char *fg_line_obstacle(const struct fg_line *l);
static inline bool fg_line_able(const struct fg_line *l) {
    return !fg_line_obstacle(l);
}

#endif
