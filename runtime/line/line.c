/* The line's loop: a table of descriptors that it waits for, and of times at which something is due. */
#include "runtime/line/line.h"

#include <fcntl.h>
#include <poll.h>

#include "runtime/base/event.h"
#include "runtime/base/log.h"
#include "runtime/line/commands.h"
#include "runtime/line/faults.h"
#include "runtime/line/jobs.h"
#include "runtime/line/state.h"

#define HALF_BEAT (500 * FG_MS)
#define LOOP_LIMIT                                                                                           \
    FG_S /* a round of the actuation or of the server takes half of it at most; a job may be late by it */
#define STANDSTILL FG_S         /* a loop that turns so much later than it meant to was stopped */
#define DRAIN_STEP (10 * FG_MS) /* how often a line that drains looks whether it may end */

/* ---- What the line is able to do ---- */

bool fg_line_draining(const struct fg_line *l) {
    return l->stop_at_ns && !l->lost_at_ns;
}

bool fg_line_listening(const struct fg_line *l) {
    return (l->show.coils & FG_COIL_TRIGGER_ENABLE) && !(l->show.coils & FG_COIL_OFFLINE);
}

bool fg_line_forbidden(const struct fg_line *l) {
    return (l->enable_written && !(l->show.coils & FG_COIL_TRIGGER_ENABLE)) ||
           (l->show.coils & FG_COIL_OFFLINE);
}

/* Whether the PLC has named the slot in use, which job.require asks for. */
static bool is_job_named(const struct fg_line *l) {
    return !l->s.config->job.require || (l->slot_written && l->show.active_slot == l->show.holding.slot);
}

const char *fg_line_obstacle(const struct fg_line *l) {
    if (l->stopped_by)
        return "a fault has stopped the line";
    if (l->stop_at_ns)
        return "the daemon ends";
    if (fg_jobs_loading(l) || l->slot_waiting)
        return "bundles are loaded or tested";
    if (!l->loaded)
        return "no bundle is loaded; clear the fault, then write the slot, holding register 0";
    if (l->unverified)
        return "the bundles have failed their self-test; run it again, or load them again";
    if (!is_job_named(l))
        return "the PLC has not written the slot, holding register 0, which job.require asks for";
    if (l->s.config->plc_watchdog_ms && !l->watchdog_ns)
        return "the PLC has not yet changed its watchdog, holding register 3";
    if (l->rewritten != l->written)
        return "the PLC has not yet written holding registers 4 to 6 again, as before this start";
    if (fg_cameras_gone(l))
        return "a camera is gone";
    if (!l->serving || fg_cameras_testing(l))
        return "the cameras are tested";
    if (!fg_cameras_tested(l))
        return "a camera has failed its test; clear the fault to test it again";
    if (!fg_part_room(l))
        return "earlier parts are not yet judged";
    if (!fg_rejects_room(l->s.rejects))
        return "64 parts are on their way to the reject point";
    return NULL;
}

/* ---- Sources ---- */

static void take_stop(struct fg_line *l, uint32_t camera, bool dead) {
    (void)camera, (void)dead;
    if (!fg_event_take(l->s.stop_descriptor))
        return;
    l->hurried = l->stop_at_ns;
    if (l->hurried) {
        fg_log(FG_LOG_WARNING, "end: asked for again, so parts are no longer rejected at their points");
        return;
    }
    l->stop_at_ns = fg_clock_ns();
    fg_log(FG_LOG_INFO, "end: parts under way are judged and rejected first, for at most %u ms",
           l->s.config->stop_limit_ms);
}

static void take_job(struct fg_line *l, uint32_t camera, bool dead) {
    (void)camera, (void)dead;
    fg_jobs_take(l);
}

static void take_edge(struct fg_line *l, const struct fg_edge *edge) {
    if (edge->lost) {
        fg_faults_missed_trigger(l);
        fg_faults_raise(l, FG_FAULT_EDGES_LOST);
    }
    if (!edge->level || fg_line_forbidden(l))
        return;
    const bool bounce =
        l->last_edge_ns && edge->time_ns - l->last_edge_ns < l->s.config->trigger.min_interval_ms * FG_MS;
    l->last_edge_ns = edge->time_ns;
    if (bounce)
        l->bounces++;
    else if (fg_line_listening(l) && fg_line_able(l))
        fg_part_take(l, edge->time_ns);
    else
        fg_part_refuse(l, edge->time_ns);
}

static void take_edges(struct fg_line *l, uint32_t camera, bool dead) {
    (void)camera;
    struct fg_edge edge;
    while (l->s.edges->next(l->s.edges, &edge))
        if ((int64_t)edge.io == l->s.trigger_io)
            take_edge(l, &edge);
    if (!dead)
        return;
    l->deaf = true;
    fg_faults_halt(l, FG_FAULT_EDGES_LOST);
    fg_log(FG_LOG_ERROR, "the board is gone: no edge is seen any more");
}

/* Takes one request a turn, so that a server whose answer has come knows that the turn before it is over.
 * Edges that came before the request are taken first, also those that came while the line waited for it. */
static void take_request(struct fg_line *l, uint32_t camera, bool dead) {
    (void)camera, (void)dead;
    fg_event_take(l->requests.asked);
    struct fg_request *request = fg_requests_take(&l->requests);
    if (!request)
        return; /* the server has taken it back */
    take_edges(l, 0, false);
    fg_commands_answer(l, request);
}

static void take_actuation(struct fg_line *l, uint32_t camera, bool dead) {
    (void)camera, (void)dead;
    fg_event_take(l->s.actuation_descriptor);
    for (uint32_t missed = fg_actuator_missed(l->s.actuator); missed; missed--)
        fg_faults_missed_reject(l, "a reject came later than its pulse is long: this machine was too busy");
    if (fg_actuator_stopped(l->s.actuator))
        fg_faults_halt(l, FG_FAULT_INOPERATIVE);
    if (fg_actuator_failed(l->s.actuator))
        fg_faults_halt(l, FG_FAULT_OUTPUT);
}

static void add_source(struct fg_line *l, struct fg_line_source source) {
    l->source[l->sources++] = source;
}

/* Lists the sources in the order in which they are served: a part's verdict comes before the next edge. */
static void list_sources(struct fg_line *l) {
    l->judged = fg_judge_descriptor(l->s.judge);
    add_source(l, (struct fg_line_source){.descriptor = &l->s.stop_descriptor, .take = take_stop});
    add_source(l, (struct fg_line_source){.descriptor = &l->judged, .take = take_job});
    add_source(l, (struct fg_line_source){
                      .descriptor = &l->s.edges->descriptor, .gone = &l->deaf, .take = take_edges});
    add_source(l, (struct fg_line_source){.descriptor = &l->requests.asked, .take = take_request});
    for (uint32_t i = 0; i < l->s.config->cameras; i++)
        add_source(l, (struct fg_line_source){.descriptor = &l->s.camera[i]->descriptor,
                                              .gone = &l->camera[i].gone,
                                              .take = fg_cameras_take,
                                              .camera = i});
    add_source(l, (struct fg_line_source){.descriptor = &l->s.actuation_descriptor, .take = take_actuation});
}

/* ---- Times ---- */

static int64_t find_result_due(const struct fg_line *l) {
    return fg_results_deadline(&l->results);
}

static void expire_result(struct fg_line *l, int64_t now_ns) {
    if (!fg_results_expire(&l->results, now_ns))
        return;
    l->show.result_overrun = true;
    fg_count(&l->show.counters.overruns);
}

static int64_t find_watchdog_due(const struct fg_line *l) {
    const uint32_t limit_ms = l->s.config->plc_watchdog_ms;
    return !limit_ms || !l->watchdog_ns || l->stopped_by ? INT64_MAX : l->watchdog_ns + limit_ms * FG_MS;
}

static void stop_without_plc(struct fg_line *l, int64_t now_ns) {
    (void)now_ns;
    fg_faults_halt(l, FG_FAULT_WATCHDOG);
}

static int64_t find_beat_due(const struct fg_line *l) {
    return l->next_beat_ns;
}

/* Both heartbeats beat while trigger, judge, actuation and server turn. One late part stops none of them. */
static bool is_well(const struct fg_line *l, int64_t now_ns) {
    const bool judge_late = l->judging && now_ns - l->judge_deadline_ns >= LOOP_LIMIT;
    const bool server_late = l->s.server_seen_ns && now_ns - atomic_load(l->s.server_seen_ns) >= LOOP_LIMIT;
    return !judge_late && !server_late && !l->lost_at_ns &&
           now_ns - fg_actuator_seen_ns(l->s.actuator) < LOOP_LIMIT;
}

static void turn_heartbeat(struct fg_line *l, int64_t now_ns) {
    l->next_beat_ns = now_ns + HALF_BEAT;
    if (is_well(l, now_ns))
        l->show.heartbeat = !l->show.heartbeat;
    fg_publish_measure(l);
}

static const struct {
    int64_t (*due)(const struct fg_line *l); /* when it is due next; INT64_MAX: never */
    void (*act)(struct fg_line *l, int64_t now_ns);
} TIMES[] = {
    {fg_part_due, fg_part_expire},      {find_result_due, expire_result},
    {fg_jobs_due, fg_jobs_watch},       {find_watchdog_due, stop_without_plc},
    {fg_cameras_due, fg_cameras_retry}, {find_beat_due, turn_heartbeat},
};
#define TIME_COUNT (sizeof TIMES / sizeof *TIMES)

/* ---- The loop ---- */

bool fg_line_may_end(const struct fg_line *l) {
    return !fg_part_any(l) && (l->hurried || fg_actuator_empty(l->s.actuator) ||
                               fg_clock_ns() - l->stop_at_ns >= l->s.config->stop_limit_ms * FG_MS);
}

/* Reads the clock, and gives a job back the time in which this loop stood still too: it meant to look at due.
 */
static int64_t look_at_clock(struct fg_line *l, int64_t due_ns) {
    const int64_t now = l->looked_ns = fg_clock_ns(), late_ns = now - due_ns;
    if (late_ns < STANDSTILL)
        return now;
    fg_log(FG_LOG_WARNING, "the process stood still, or the clock jumped, for %.1f s",
           (double)late_ns / (double)FG_S);
    l->judge_limit_ns += late_ns;
    if (l->stop_at_ns)
        l->stop_at_ns += late_ns;
    return now;
}

/* Waits until a descriptor or a time is due, and serves the descriptors. */
static void serve_sources(struct fg_line *l) {
    struct pollfd fds[FG_LINE_SOURCES];
    for (uint32_t i = 0; i < l->sources; i++) {
        const struct fg_line_source *s = &l->source[i];
        fds[i] = (struct pollfd){.fd = s->gone && *s->gone ? -1 : *s->descriptor, .events = POLLIN};
    }
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < TIME_COUNT; i++)
        next = TIMES[i].due(l) < next ? TIMES[i].due(l) : next;
    const int64_t now = look_at_clock(l, l->looked_ns);
    if (l->stop_at_ns && next > now + DRAIN_STEP)
        next = now + DRAIN_STEP;
    const int64_t left = next - now;
    const struct timespec timeout = {.tv_sec = left > 0 ? left / FG_S : 0,
                                     .tv_nsec = left > 0 ? left % FG_S : 0};
    ppoll(fds, l->sources, &timeout, NULL);
    fg_part_expire(
        l,
        look_at_clock(l, left > 0 ? next : now)); /* a deadline comes before a verdict that is late for it */
    for (uint32_t i = 0; i < l->sources; i++)
        if (fds[i].revents && !(l->source[i].gone && *l->source[i].gone)) /* gone in this turn */
            l->source[i].take(l, l->source[i].camera, fds[i].revents & (POLLERR | POLLHUP | POLLNVAL));
}

static void take_turn(struct fg_line *l) {
    serve_sources(l);
    fg_jobs_keep_next(l);
    fg_jobs_judge_next(l);
    const int64_t now = look_at_clock(l, l->looked_ns);
    for (size_t i = 0; i < TIME_COUNT; i++)
        if (TIMES[i].due(l) <= now)
            TIMES[i].act(l, now);
    fg_jobs_start_waiting_load(l);
    const bool well = is_well(l, now);
    fg_actuator_alive(l->s.actuator, well ? now : 0); /* what is late is not told a second later */
    if (well)
        atomic_store(&l->well_ns, now);
    fg_publish(l);
    if (l->s.keep)
        l->s.keep(l->s.keep_context, l->parts, l->written);
}

/* Begins to serve, once the first load has ended and the cameras were tested. */
static void begin_serving(struct fg_line *l) {
    l->serving = true;
    if (l->loaded) {
        l->show.outcome = FG_OUTCOME_NONE;
        fg_jobs_tell_time(l);
    }
    if (!fg_line_listening(l) && !fg_line_forbidden(l))
        fg_log(FG_LOG_INFO,
               "every edge of the trigger is a part that is rejected, until a PLC writes coil 0, "
               "trigger_enable");
    fg_publish(l);
    l->s.ready();
}

int fg_line_run(struct fg_line *line) {
    struct fg_line *l = line;
    l->next_beat_ns = l->looked_ns = fg_clock_ns();
    fg_cameras_arm(l);
    fg_jobs_load(l, l->show.holding.slot);
    bool begun = false; /* the cameras' tests */
    while (l->lost_at_ns || !l->stop_at_ns || !fg_line_may_end(l) || l->judging) {
        take_turn(l);
        if (l->lost_at_ns) {
            if (fg_clock_ns() - l->lost_at_ns > FG_LINE_ANSWER)
                return fg_exit_status(FG_DEVICE_LOST);
        } else if (!l->serving && !l->judging) { /* the first load has ended */
            if (!begun)
                fg_cameras_test(l);
            begun = true;
            if (!fg_cameras_testing(l))
                begin_serving(l);
        }
    }
    const struct fg_counters *c = &l->show.counters;
    fg_log(FG_LOG_INFO, "%u triggers, %u missed, %u bounces: %u pass, %u defect, %u inoperative", c->triggers,
           c->missed_triggers, l->bounces, c->pass, c->defect, c->inoperative);
    return 0;
}

bool fg_line_cleared(const struct fg_line *line) {
    return !fg_faults_has(line, FG_FAULT_UNCLEAN_END);
}

int64_t fg_line_well_ns(const struct fg_line *line) {
    return atomic_load(&line->well_ns);
}

/* ---- Opening ---- */

/* Goes on where the last start ended. */
static void take_kept(struct fg_line *l) {
    const struct fg_line_kept *kept = &l->s.kept;
    l->parts = l->finished = kept->last_id;
    l->written = kept->written;
    l->show.start_counter = kept->starts;
    if (kept->written)
        fg_log(FG_LOG_INFO,
               "not ready until the PLC has written holding registers %s again, as it did before this start",
               kept->written == FG_WRITTEN_REJECT  ? "4 and 5"
               : kept->written == FG_WRITTEN_PULSE ? "6"
                                                   : "4 to 6");
    if (kept->unclean)
        fg_faults_halt(l, FG_FAULT_UNCLEAN_END);
}

size_t fg_line_memory(void) {
    return fg_size_align(sizeof(struct fg_line));
}

enum fg_status fg_line_open(const struct fg_line_settings *settings, struct fg_line **line,
                            struct fg_message *message) {
    struct fg_line *l = settings->memory;
    const struct fg_config *config = settings->config;
    l->s = *settings;
    l->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    const enum fg_status status = fg_requests_open(&l->requests, message);
    *line = l; /* what was opened is closed after a failure too */
    if (status != FG_OK)
        return status;
    list_sources(l);
    l->started_ns = fg_clock_ns();
    l->results.buffer = config->results.buffer;
    l->results.ack_timeout_ns = config->results.ack_timeout_ms * FG_MS;
    atomic_store(&l->well_ns, l->started_ns);
    take_kept(l);
    fg_publish_begin(l);
    return FG_OK;
}

void fg_line_close(struct fg_line *line) {
    if (!line)
        return;
    fg_requests_close(&line->requests);
    if (line->statm >= 0)
        close(line->statm);
}

struct fg_snapshot_cell *fg_line_cell(struct fg_line *line) {
    return &line->cell;
}

enum fg_modbus_exception fg_line_apply(void *line, const struct fg_commands *commands) {
    return fg_requests_ask(&((struct fg_line *)line)->requests, commands);
}

enum fg_modbus_exception fg_line_adopt(struct fg_line *line, const struct fg_config *next) {
    line->next = next; /* the line reads it only once it has the request */
    return fg_line_apply(line, &(struct fg_commands){.count = 1, .command = {{FG_COMMAND_ADOPT, 0}}});
}
