/* The actuation thread: rejects at their points, the levels of the other outputs, and the heartbeat. */
#include "runtime/line/actuation.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "runtime/base/clock.h"
#include "runtime/base/event.h"

#define HALF_BEAT (500 * FG_MS)
#define LINE_MAY_SLEEP                                                                                       \
    FG_S /* a line that is silent for longer stops the heartbeat; it turns at every half beat */

#define UNKNOWN (-1)

enum { OUT_REJECT, OUT_PASS, OUT_READY, OUT_FAULT, OUT_HEARTBEAT, OUTS };

struct fg_actuator {
    struct fg_actuation_settings settings;
    pthread_t thread;
    int wake;
    _Atomic uint32_t wanted, missed;
    _Atomic uint32_t rounds; /* odd during a round */
    _Atomic bool quit, rejecting, pulsing, stopped, failed;
    _Atomic int64_t line_seen_ns, seen_ns;
    /* Only the actuator's thread touches what follows. */
    int level[OUTS]; /* each output as it was last set */
    bool broken[OUTS], retry;
    bool beat;
    int64_t next_beat_ns;
    struct fg_actuation state;
};

/* Sets an output to a level that it does not have. One that could not be set is tried again at each beat. */
static void set_output(struct fg_actuator *a, int out, int32_t io, bool level) {
    if (a->level[out] == (int)level || (a->broken[out] && !a->retry))
        return;
    struct fg_message message;
    a->level[out] = level;
    a->broken[out] =
        io >= 0 && a->settings.outputs->set(a->settings.outputs, (uint32_t)io, level, 0, &message) != FG_OK;
    if (!a->broken[out])
        return;
    a->level[out] = UNKNOWN;
    atomic_store(&a->failed, true);
}

/* Turns the heartbeat's level when it is due. Both levels depend on the line's proof of life. */
static void turn_heartbeat(struct fg_actuator *a, int64_t now) {
    if (now < a->next_beat_ns)
        return;
    a->next_beat_ns = now - a->next_beat_ns > HALF_BEAT ? now + HALF_BEAT : a->next_beat_ns + HALF_BEAT;
    if (now - atomic_load(&a->line_seen_ns) < LINE_MAY_SLEEP)
        a->beat = !a->beat;
}

/* Acts on all that is due, and returns when the next round is. */
static int64_t do_round(struct fg_actuator *a) {
    const struct fg_actuation_settings *s = &a->settings;
    const int64_t now = fg_clock_ns();
    const uint32_t wanted = atomic_load(&a->wanted);
    atomic_store(&a->seen_ns, now);
    fg_rejects_decide(s->rejects, s->rule, now, &a->state);
    a->retry = now >= a->next_beat_ns;
    turn_heartbeat(a, now);
    const bool halted = wanted & FG_WANT_HALT, rejecting = a->state.reject || (halted && s->reject_all);
    const bool rising = a->state.reject && a->level[OUT_REJECT] != 1;
    set_output(a, OUT_REJECT, s->reject, rejecting);
    if (rising) /* the pulse is whole however late the output came on */
        a->state.off_ns += fg_clock_ns() - now;
    set_output(a, OUT_PASS, s->pass, (wanted & FG_WANT_PASS) && !halted);
    set_output(a, OUT_READY, s->ready, (wanted & FG_WANT_READY) && !halted);
    set_output(a, OUT_FAULT, s->fault, wanted & FG_WANT_FAULT);
    if (!halted)
        set_output(a, OUT_HEARTBEAT, s->heartbeat, a->beat);
    bool news = (atomic_exchange(&a->rejecting, rejecting) != rejecting) | a->state.decided;
    atomic_store(&a->pulsing, a->state.reject);
    atomic_fetch_add(&a->missed, a->state.missed);
    if (a->state.stop) {
        atomic_store(&a->stopped, true);
        news = true;
    }
    if (news || atomic_load(&a->failed))
        fg_event_signal(s->notify);
    return a->state.next_ns < a->next_beat_ns ? a->state.next_ns : a->next_beat_ns;
}

static void *run_actuation(void *argument) {
    struct fg_actuator *a = argument;
    /* Times are as exact as the system allows. A program without the right to ask for it takes what it
     * gets. */
    prctl(PR_SET_TIMERSLACK, 1UL);
    const struct sched_param priority = {.sched_priority = 50};
    pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority);
    a->next_beat_ns = fg_clock_ns() + HALF_BEAT;
    while (!atomic_load(&a->quit)) {
        atomic_fetch_add(&a->rounds, 1);
        const int64_t left = do_round(a) - fg_clock_ns();
        atomic_fetch_add(&a->rounds, 1);
        const struct timespec timeout = {.tv_sec = left > 0 ? left / FG_S : 0,
                                         .tv_nsec = left > 0 ? left % FG_S : 0};
        struct pollfd descriptor = {.fd = a->wake, .events = POLLIN};
        if (ppoll(&descriptor, 1, &timeout, NULL) > 0)
            fg_event_take(a->wake);
    }
    a->settings.outputs->safe(a->settings.outputs);
    return NULL;
}

enum fg_status fg_actuator_open(const struct fg_actuation_settings *settings, struct fg_actuator **actuator,
                                struct fg_message *message) {
    struct fg_actuator *a = calloc(1, sizeof *a);
    if (!a)
        return fg_fail(message, FG_ENVIRONMENT, "actuation: no memory");
    a->settings = *settings;
    for (int i = 0; i < OUTS; i++)
        a->level[i] = UNKNOWN;
    atomic_store(&a->line_seen_ns, fg_clock_ns());
    a->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const int error = a->wake < 0 ? errno : pthread_create(&a->thread, NULL, run_actuation, a);
    if (error) {
        close(a->wake);
        free(a);
        return fg_fail_errno(message, FG_ENVIRONMENT, error, "actuation: cannot start its thread");
    }
    *actuator = a;
    return FG_OK;
}

bool fg_actuator_close(struct fg_actuator *actuator) {
    if (!actuator)
        return true;
    atomic_store(&actuator->quit, true);
    fg_event_signal(actuator->wake);
    pthread_join(actuator->thread, NULL);
    const bool empty = fg_actuator_empty(actuator);
    close(actuator->wake);
    free(actuator);
    return empty;
}

void fg_actuator_want(struct fg_actuator *actuator, uint32_t wanted) {
    atomic_store(&actuator->wanted, wanted);
    fg_event_signal(actuator->wake);
}

void fg_actuator_alive(struct fg_actuator *actuator, int64_t now_ns) {
    atomic_store(&actuator->line_seen_ns, now_ns);
}

bool fg_actuator_rejecting(const struct fg_actuator *actuator) {
    return atomic_load(&actuator->rejecting);
}

bool fg_actuator_empty(const struct fg_actuator *actuator) {
    const struct fg_actuation_settings *s = &actuator->settings;
    const uint32_t rounds = atomic_load(&actuator->rounds);
    return !(rounds & 1) && !fg_rejects_due(s->rejects, s->rule) && !atomic_load(&actuator->pulsing) &&
           atomic_load(&actuator->rounds) == rounds;
}

uint32_t fg_actuator_missed(struct fg_actuator *actuator) {
    return atomic_exchange(&actuator->missed, 0);
}

bool fg_actuator_stopped(struct fg_actuator *actuator) {
    return atomic_exchange(&actuator->stopped, false);
}

bool fg_actuator_failed(struct fg_actuator *actuator) {
    return atomic_exchange(&actuator->failed, false);
}

int64_t fg_actuator_seen_ns(const struct fg_actuator *actuator) {
    return atomic_load(&actuator->seen_ns);
}
