/* Rejecting by permission, in time mode: a part is left alone only if its verdict is PASS by its reject
 * point; everything else rejects (line.h, Rejects).
 *
 * The queue is shared by two threads without a lock: the line adds parts and gives verdicts, the actuation
 * takes them at their points. A verdict and its reject point meet in one atomic exchange, so exactly one
 * comes first.
 *
 * Errors: none. Owner: the caller, of a zeroed struct. Thread: one line and one actuation, each for the
 * functions of its side. NULL: never. */
#ifndef FG_RUNTIME_LINE_REJECTS_H
#define FG_RUNTIME_LINE_REJECTS_H

#include <stdatomic.h>

#include "runtime/line/snapshot.h"

#define FG_REJECTS 64
#define FG_REJECT_TARDY                                                                                      \
    ((int64_t)10000000) /* ns: the default pulse; a shorter pulse may come as late as this one */

/* What is known of a part at its reject point. */
enum fg_permission {
    FG_PERMISSION_FREE = 0, /* no part in this place */
    FG_PERMISSION_NONE,     /* no verdict yet */
    FG_PERMISSION_PASS,
    FG_PERMISSION_DEFECT,
    FG_PERMISSION_INOPERATIVE,
    FG_PERMISSION_UNCOVERED, /* INOPERATIVE, and on_inoperative = pass does not cover it */
    FG_PERMISSION_TAKEN,     /* the reject point was there first */
};

struct fg_reject {
    _Atomic uint32_t permission;
    int64_t point_ns; /* when the output must act: reject point less lead time */
    int64_t pulse_ns;
};

struct fg_rejects {
    struct fg_reject part[FG_REJECTS];
};

/* The line's side. Adds a part and gives its place. -1: no place is free, or its point has passed (a missed
 * reject). */
int32_t fg_rejects_add(struct fg_rejects *rejects, int64_t point_ns, int64_t pulse_ns, int64_t now_ns);

/* Whether there is a place for one more part. */
bool fg_rejects_room(const struct fg_rejects *rejects);

/* Whether on_inoperative = pass covers this reason: what a machine that computes wrongly, or a picture that
 * shows no part, says of a part never lets it pass. */
bool fg_rejects_covers(enum fg_reason reason);
/* Gives the verdict, and whether on_inoperative = pass covers it where it is INOPERATIVE. False: the reject
 * point was there first (a late verdict); it changes nothing. */
bool fg_rejects_permit(struct fg_rejects *rejects, int32_t place, enum fg_verdict verdict, bool covered);

/* What on_inoperative says of INOPERATIVE parts and of those without a verdict yet. */
enum fg_inoperative_rule { FG_RULE_REJECT, FG_RULE_PASS, FG_RULE_STOP };

/* Whether any part waits for its reject point that would be rejected there. */
bool fg_rejects_due(const struct fg_rejects *rejects, enum fg_inoperative_rule rule);

/* The actuation's side: what fg_rejects_decide found, and what it keeps between calls. */
struct fg_actuation {
    bool reject;     /* level of the output from now on */
    bool stop;       /* a part without a verdict came by and the line must stop */
    bool decided;    /* a part's point had come: its place is free, or soon will be */
    uint32_t missed; /* parts to reject whose point was longer ago than their pulse and FG_REJECT_TARDY */
    int64_t off_ns;  /* when the pulse ends; kept between calls */
    int64_t next_ns; /* when to look again; INT64_MAX: when a part is added */
};

/* Decides every part whose point has come. A pulse has its whole width even when the call comes late;
 * overlapping pulses merge. */
void fg_rejects_decide(struct fg_rejects *rejects, enum fg_inoperative_rule rule, int64_t now_ns,
                       struct fg_actuation *actuation);

#endif
