/* The states and their transitions as data, and the step from one to the next. */
#include "runtime/line/states.h"

#define STATE_ROW(name, text, online, trigger_ready, busy, fault, ready, meaning)                            \
    {(text),           FG_SHOWN_##online, FG_SHOWN_##trigger_ready, FG_SHOWN_##busy, FG_SHOWN_##fault,       \
     FG_SHOWN_##ready, (meaning)},
const struct fg_state_row fg_states[FG_STATE_COUNT] = {FG_STATES(STATE_ROW)};

#define TRANSITION_ROW(from, to, must, must_not, when)                                                       \
    {FG_STATE_##from, FG_STATE_##to, FG_FACT_##must, FG_FACT_##must_not, (when)},
static const struct fg_transition TRANSITIONS[] = {FG_TRANSITIONS(TRANSITION_ROW)};
#define COUNT (sizeof TRANSITIONS / sizeof *TRANSITIONS)

const struct fg_transition *fg_transitions(uint32_t *count) {
    *count = COUNT;
    return TRANSITIONS;
}

enum fg_state fg_state_step(enum fg_state from, uint32_t facts) {
    for (uint32_t i = 0; i < COUNT; i++) {
        const struct fg_transition *t = &TRANSITIONS[i];
        if (t->from == from && (facts & t->must) == t->must && !(facts & t->must_not))
            return t->to;
    }
    return from;
}

enum fg_state fg_state_settle(enum fg_state from, uint32_t facts) {
    enum fg_state to;
    while ((to = fg_state_step(from, facts)) != from)
        from = to;
    return from;
}
