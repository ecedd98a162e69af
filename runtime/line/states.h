/* The states of the line, with the names of OPC 40100-1, and how it gets from one to the next: one table,
 * from which the published bits, the output ready and the log's lines about states follow. "flawgate
 * registers" prints it (config/modbus.md).
 *
 * Errors: none. Owner: nobody; all is constant. Thread: any. NULL: never. */
#ifndef FG_RUNTIME_LINE_STATES_H
#define FG_RUNTIME_LINE_STATES_H

#include <stdbool.h>
#include <stdint.h>

/* What a bit or an output shows in a state. */
enum fg_shown { FG_SHOWN_0, FG_SHOWN_1, FG_SHOWN_EITHER };

/* States: C name, name, then what is shown of online, trigger_ready, busy, fault and the output ready,
 * meaning. busy is either in ERROR, where parts that were under way still get their verdicts. ready is 1
 * during a part, but 0 while trigger_enable is 0. */
#define FG_STATES(X)                                                                                         \
    X(PREOPERATIONAL, "PREOPERATIONAL", 0, 0, 0, EITHER, 0,                                                  \
      "the first bundles are being loaded, and the cameras are tested")                                      \
    X(HALTED, "HALTED", 0, 0, 0, EITHER, 0, "offline is 1, or the daemon ends")                              \
    X(ERROR, "ERROR", 0, 0, EITHER, 1, 0, "a fault has stopped the line")                                    \
    X(INITIALIZED, "OPERATIONAL: INITIALIZED", 1, 0, 0, EITHER, 0,                                           \
      "a trigger would not be taken; the log says why")                                                      \
    X(READY, "OPERATIONAL: READY", 1, 1, 0, EITHER, 1, "a trigger will be taken")                            \
    X(SINGLE_EXECUTION, "OPERATIONAL: SINGLE_EXECUTION", 1, EITHER, 1, EITHER, EITHER,                       \
      "a part is between trigger and verdict; with trigger.queue > 1 the next can be taken")

#define FG_STATE_ENUM(name, text, online, trigger_ready, busy, fault, ready, meaning) FG_STATE_##name,
enum fg_state { FG_STATES(FG_STATE_ENUM) FG_STATE_COUNT };
#undef FG_STATE_ENUM

/* What decides on a state, by bit. */
enum fg_fact {
    FG_FACT_NONE = 0,
    FG_FACT_SERVING = 1 << 0, /* the first bundles are loaded, and the cameras were tested */
    FG_FACT_STOPPED = 1 << 1, /* a fault has stopped the line */
    FG_FACT_LEAVING = 1 << 2, /* offline is 1, or the end was asked for */
    FG_FACT_BUSY = 1 << 3,    /* a part is between trigger and verdict */
    FG_FACT_READY = 1 << 4,   /* a trigger given now would be taken */
};

/* Transitions: from, to, fact that must hold, fact that must not, when. The first one of a state that may be
 * taken is. */
#define FG_TRANSITIONS(X)                                                                                    \
    X(PREOPERATIONAL, ERROR, STOPPED, NONE, "a fault stops the line")                                        \
    X(PREOPERATIONAL, INITIALIZED, SERVING, NONE, "the bundles are loaded and the cameras tested")           \
    X(INITIALIZED, ERROR, STOPPED, NONE, "a fault stops the line")                                           \
    X(INITIALIZED, SINGLE_EXECUTION, BUSY, NONE, "a trigger is taken")                                       \
    X(INITIALIZED, HALTED, LEAVING, NONE, "offline is 1, or the daemon ends")                                \
    X(INITIALIZED, READY, READY, NONE, "nothing stands in the way any more")                                 \
    X(READY, ERROR, STOPPED, NONE, "a fault stops the line")                                                 \
    X(READY, SINGLE_EXECUTION, BUSY, NONE, "a trigger is taken")                                             \
    X(READY, HALTED, LEAVING, NONE, "offline is 1, or the daemon ends")                                      \
    X(READY, INITIALIZED, NONE, READY, "trigger_enable is 0, a job changes, a camera is gone, or the like")  \
    X(SINGLE_EXECUTION, ERROR, STOPPED, NONE, "a fault stops the line; parts under way get their verdicts")  \
    X(SINGLE_EXECUTION, INITIALIZED, NONE, BUSY, "the last part has its verdict")                            \
    X(HALTED, ERROR, STOPPED, NONE, "a fault stops the line")                                                \
    X(HALTED, INITIALIZED, NONE, LEAVING, "offline is 0 again")                                              \
    X(ERROR, PREOPERATIONAL, NONE, STOPPED, "clear_fault clears what stopped the line")

/* A row of each list. */
struct fg_state_row {
    const char *name;
    enum fg_shown online, trigger_ready, busy, fault, ready;
    const char *meaning;
};
struct fg_transition {
    enum fg_state from, to;
    uint32_t must, must_not; /* enum fg_fact; 0: none */
    const char *when;
};

extern const struct fg_state_row fg_states[FG_STATE_COUNT];
/* The transitions in their order, *count of them. They live as long as the program. */
const struct fg_transition *fg_transitions(uint32_t *count);

/* Takes one transition that these facts allow; the same state: there is none. */
enum fg_state fg_state_step(enum fg_state from, uint32_t facts);
/* Takes transitions until none is left: no facts make a circle. */
enum fg_state fg_state_settle(enum fg_state from, uint32_t facts);

/* What is shown where the table says shown; either is shown where it leaves that open. */
static inline bool fg_state_shows(enum fg_shown shown, bool either) {
    return shown == FG_SHOWN_EITHER ? either : shown == FG_SHOWN_1;
}

#endif
