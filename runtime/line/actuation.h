/* The actuation thread: it alone sets outputs. Rejects at their points (rejects.h), and the levels that the
 * line wants of its other outputs. Absolute times; SCHED_FIFO where the system allows it. */
#ifndef FG_RUNTIME_LINE_ACTUATION_H
#define FG_RUNTIME_LINE_ACTUATION_H

#include "board/gpio/outputs.h"
#include "runtime/line/rejects.h"

/* Levels that the line wants, and that something else happened. */
enum fg_wanted {
    FG_WANT_PASS = 1 << 0,
    FG_WANT_READY = 1 << 1,
    FG_WANT_FAULT = 1 << 2,
    FG_WANT_HALT = 1 << 3, /* the line has stopped: no pass, not ready, no heartbeat; see reject_all */
};

struct fg_actuation_settings {
    struct fg_outputs *outputs;
    struct fg_rejects *rejects;
    enum fg_inoperative_rule rule;
    bool
        reject_all; /* while halted everything is rejected; else parts under way still are, at their points */
    /* Indices for outputs->set; -1: there is no such io. */
    int32_t reject, pass, ready, fault, heartbeat;
    /* An eventfd that is written when the line should look: a stop, a failed output, the reject's level, a
     * part that was decided. */
    int notify;
};

struct fg_actuator;

FG_MUST_USE enum fg_status fg_actuator_open(const struct fg_actuation_settings *settings,
                                            struct fg_actuator **actuator, struct fg_message *message);
/* Ends the thread and makes the outputs safe. NULL is allowed. */
void fg_actuator_close(struct fg_actuator *actuator);

/* From the line's thread: other levels are wanted, or a part was added. */
void fg_actuator_want(struct fg_actuator *actuator, uint32_t wanted);
/* Proof of life of the line, which keeps the heartbeat output beating. */
void fg_actuator_alive(struct fg_actuator *actuator, int64_t now_ns);

/* ---- What the line reads ---- */

/* The reject output is on. */
bool fg_actuator_rejecting(const struct fg_actuator *actuator);
/* Rejects that came too late. Reading clears it, here and below. */
uint32_t fg_actuator_missed(struct fg_actuator *actuator);
/* on_inoperative = stop has met a part. */
bool fg_actuator_stopped(struct fg_actuator *actuator);
/* An output could not be set; it is tried again at each beat. */
bool fg_actuator_failed(struct fg_actuator *actuator);
/* When it last went around, fg_clock_ns. */
int64_t fg_actuator_seen_ns(const struct fg_actuator *actuator);

#endif
