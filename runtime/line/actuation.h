/* The actuation thread: it alone sets outputs. Rejects at their points (rejects.h), and the levels that the
 * line wants of its other outputs. Absolute times; SCHED_FIFO where the system allows it.
 *
 * Errors: FG_ENVIRONMENT for memory, a descriptor or a thread that the system does not give. Owner: who opens
 * an actuator closes it; outputs, rejects and the eventfd are the caller's and must outlive it. Thread: the
 * line's calls; the actuator's own thread sets the outputs. NULL: fg_actuator_close takes it; no other
 * argument may be, but for a message. */
#ifndef FG_RUNTIME_LINE_ACTUATION_H
#define FG_RUNTIME_LINE_ACTUATION_H

#include "board/gpio/outputs.h"
#include "runtime/line/rejects.h"

/* What the line wants of the outputs, by bit. */
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
    /* While the line is halted the reject output stays on. Without it only parts under way are rejected, at
     * their points. */
    bool reject_all;
    /* Indices for outputs->set; -1: there is no such io. */
    int32_t reject, pass, ready, fault, heartbeat;
    /* An eventfd that is written when the line should look: a stop, a failed output, the reject's level, a
     * part that was decided. */
    int notify;
};

struct fg_actuator;

FG_MUST_USE enum fg_status fg_actuator_open(const struct fg_actuation_settings *settings,
                                            struct fg_actuator **actuator, struct fg_message *message);
/* Ends the thread and makes the outputs safe. False: a part is left that must be rejected, or a pulse was
 * cut. NULL is allowed. */
bool fg_actuator_close(struct fg_actuator *actuator);

/* Wakes the thread: wanted are the levels from now on (enum fg_wanted), or a part was added to the
 * rejects. */
void fg_actuator_want(struct fg_actuator *actuator, uint32_t wanted);
/* Tells that the line is well at now_ns, which keeps the heartbeat output beating; 0: it is not. */
void fg_actuator_alive(struct fg_actuator *actuator, int64_t now_ns);

/* ---- What the line reads ---- */

/* Whether the reject output is on. */
bool fg_actuator_rejecting(const struct fg_actuator *actuator);
/* Whether no part waits for its reject point that must be rejected there, and no pulse is on. False also
 * while the thread is in the middle of a round. */
bool fg_actuator_empty(const struct fg_actuator *actuator);
/* The rejects that came too late since the last call. */
uint32_t fg_actuator_missed(struct fg_actuator *actuator);
/* Whether on_inoperative = stop has met a part since the last call. */
bool fg_actuator_stopped(struct fg_actuator *actuator);
/* Whether an output could not be set since the last call; it is tried again at each beat. */
bool fg_actuator_failed(struct fg_actuator *actuator);
/* When the thread last began a round, on fg_clock_ns's clock. */
int64_t fg_actuator_seen_ns(const struct fg_actuator *actuator);

#endif
