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
    /* Indices for outputs->set; -1: there is no such line. */
    int32_t reject, pass, ready, fault, heartbeat;
    int notify; /* eventfd that is written when the line should look: a stop, a failed output, the reject's
                   level, a part decided */
};

struct fg_actuator;

FG_MUST_USE enum fg_status fg_actuator_open(const struct fg_actuation_settings *settings,
                                            struct fg_actuator **actuator, struct fg_message *message);
/* Ends the thread and makes the outputs safe. */
void fg_actuator_close(struct fg_actuator *actuator);

/* From the line's thread: other levels are wanted, or a part was added. */
void fg_actuator_want(struct fg_actuator *actuator, uint32_t wanted);
/* Proof of life of the line, which keeps the heartbeat output beating. */
void fg_actuator_alive(struct fg_actuator *actuator, int64_t now_ns);

/* What the line reads. */
bool fg_actuator_rejecting(const struct fg_actuator *actuator); /* the reject output is on */
uint32_t
fg_actuator_missed(struct fg_actuator *actuator); /* rejects that came too late; cleared by reading */
bool fg_actuator_stopped(
    struct fg_actuator *actuator); /* on_inoperative = stop has met a part; cleared by reading */
bool fg_actuator_failed(struct fg_actuator *actuator); /* an output could not be set; cleared by reading */
int64_t fg_actuator_seen_ns(const struct fg_actuator *actuator); /* when it last went around */

#endif
