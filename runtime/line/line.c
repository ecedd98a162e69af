#include "runtime/line/line.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "runtime/base/clock.h"
#include "runtime/base/event.h"
#include "runtime/base/log.h"
#include "runtime/line/state.h"

#define HALF_BEAT (500 * FG_MS)
#define ACTUATION_LIMIT FG_S /* the actuation goes around twice as often at least */

size_t fg_line_memory(void) {
    return fg_size_align(sizeof(struct fg_line));
}

enum fg_status fg_line_open(const struct fg_line_settings *settings, struct fg_line **line,
                            struct fg_message *message) {
    struct fg_line *l = settings->memory;
    const struct fg_config *config = settings->config;
    l->s = *settings;
    l->asked = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->answered = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (l->asked < 0 || l->answered < 0 || l->stop < 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "line: cannot make a descriptor");
    l->started_ns = fg_clock_ns();
    l->results.buffer = config->results.buffer;
    l->results.ack_timeout_ns = config->results.ack_timeout_ms * FG_MS;
    struct fg_snapshot *show = &l->show;
    show->coils = config->trigger.enable_at_start ? FG_COIL_TRIGGER_ENABLE : 0;
    show->holding = (struct fg_holding){.slot = (uint16_t)config->job.slot,
                                        .reject = config->reject.delay,
                                        .pulse = (uint16_t)config->reject.pulse};
    show->configuration_checksum = config->checksum;
    show->arena_size_mib =
        (uint32_t)((fg_arena_size(settings->arena) + fg_arena_size(settings->device)) >> 20);
    show->version = FG_LINE_VERSION;
    *line = l;
    fg_line_publish(l);
    return FG_OK;
}

void fg_line_close(struct fg_line *line) {
    if (!line)
        return;
    close(line->asked);
    close(line->answered);
    close(line->stop);
    if (line->statm >= 0)
        close(line->statm);
}

struct fg_snapshot_cell *fg_line_cell(struct fg_line *line) {
    return &line->cell;
}

/* ---- Triggers and frames ---- */

static float threshold_of(const struct fg_line *l) {
    const uint32_t chosen = l->show.holding.threshold[0];
    return chosen ? (float)chosen / 10000 : fg_engine_header(l->engine)->calibration.threshold;
}

static struct fg_line_part make_part(struct fg_line *l, int64_t trigger_ns) {
    const int64_t now = fg_clock_ns();
    const struct fg_holding *holding = &l->show.holding;
    struct fg_line_part part = {.id = ++l->parts,
                                .trigger_ns = trigger_ns,
                                .trigger_unix_ms = fg_clock_unix_ms() - (now - trigger_ns) / FG_MS,
                                .deadline_ns = trigger_ns + l->s.config->deadline_ms * FG_MS,
                                .slot = l->show.active_slot};
    const int64_t point = trigger_ns + ((int64_t)holding->reject - l->s.config->reject.lead) * (FG_MS / 10);
    part.reject_place = fg_rejects_add(l->s.rejects, point, holding->pulse * (FG_MS / 10), now);
    fg_count(&l->show.counters.triggers);
    if (part.reject_place < 0)
        fg_line_missed_reject(l, fg_rejects_room(l->s.rejects)
                                     ? "a part's reject point had passed at its trigger"
                                     : "64 parts were on their way to the reject point");
    return part;
}

/* A trigger that cannot be taken still is a part, if a hardware line saw it. */
static void refuse_part(struct fg_line *l, int64_t trigger_ns) {
    struct fg_line_part part = make_part(l, trigger_ns);
    fg_line_missed_trigger(l);
    fg_line_inoperative(l, &part, l->lost_at_ns ? FG_REASON_DEVICE_LOST : FG_REASON_NOT_READY);
}

void fg_line_take_part(struct fg_line *l, int64_t trigger_ns) {
    struct fg_message message;
    l->part = make_part(l, trigger_ns);
    l->part.state = FG_PART_EXPOSING;
    l->part.threshold = threshold_of(l);
    l->show.last_trigger_id = l->part.id;
    fg_results_trigger(&l->results);
    l->show.exposure_complete = false;
    l->last_pass = false;
    if (l->s.camera->trigger(l->s.camera, &message) == FG_OK)
        return;
    fg_count(&l->show.counters.camera_errors);
    fg_line_fault(l, FG_FAULT_CAMERA);
    fg_log(FG_LOG_ERROR, "part %u: %s", l->part.id, message.text);
    fg_line_inoperative(l, &l->part, FG_REASON_NO_FRAME);
}

static void take_edges(struct fg_line *l) {
    struct fg_edge edge;
    while (l->s.edges->next(l->s.edges, &edge)) {
        if (edge.io != l->s.trigger_io)
            continue;
        if (edge.lost) {
            fg_line_missed_trigger(l);
            fg_line_fault(l, FG_FAULT_EDGES_LOST);
        }
        if (!edge.level || !fg_line_listening(l) || l->stop_at_ns)
            continue;
        const bool bounce =
            l->last_edge_ns && edge.time_ns - l->last_edge_ns < l->s.config->trigger.min_interval_ms * FG_MS;
        l->last_edge_ns = edge.time_ns;
        if (bounce)
            l->bounces++;
        else if (fg_line_able(l))
            fg_line_take_part(l, edge.time_ns);
        else
            refuse_part(l, edge.time_ns);
    }
}

static void take_frames(struct fg_line *l) {
    struct fg_message message;
    struct fg_camera_frame frame;
    while (l->s.camera->next(l->s.camera, 0, &frame, &message) == FG_OK) {
        /* A frame of before its trigger is another part's. */
        if (l->part.state != FG_PART_EXPOSING || frame.exposed_ns < l->part.trigger_ns || l->judging) {
            l->s.camera->release(l->s.camera, &frame);
            continue;
        }
        l->part.framed_ns = fg_clock_ns();
        l->show.exposure_complete = true;
        if (frame.status != FG_FRAME_WHOLE) {
            l->s.camera->release(l->s.camera, &frame);
            fg_count(&l->show.counters.camera_errors);
            fg_line_inoperative(l, &l->part, FG_REASON_BAD_FRAME);
            continue;
        }
        l->frame = frame;
        fg_line_judge(l);
    }
}

/* ---- Time ---- */

static void watch_deadline(struct fg_line *l, int64_t now) {
    if (l->part.state == FG_PART_NONE || now < l->part.deadline_ns)
        return;
    const bool framed = l->part.state == FG_PART_JUDGED;
    if (!framed) {
        fg_count(&l->show.counters.camera_errors);
        fg_line_fault(l, FG_FAULT_CAMERA);
    }
    fg_line_inoperative(l, &l->part, framed ? FG_REASON_DEADLINE : FG_REASON_NO_FRAME);
}

static void watch_plc(struct fg_line *l, int64_t now) {
    const uint32_t limit_ms = l->s.config->plc_watchdog_ms;
    if (!limit_ms || l->halted || !l->engine || now - l->watchdog_ns < limit_ms * FG_MS)
        return;
    fg_line_fault(l, FG_FAULT_WATCHDOG);
    l->halted = true;
}

static void watch_actuation(struct fg_line *l) {
    fg_event_take(l->s.actuation_descriptor);
    for (uint32_t missed = fg_actuator_missed(l->s.actuator); missed; missed--)
        fg_line_missed_reject(l, "a reject came later than its pulse is long: this machine was too busy");
    if (fg_actuator_stopped(l->s.actuator)) {
        fg_line_fault(l, FG_FAULT_INOPERATIVE);
        l->halted = true;
    }
    if (fg_actuator_failed(l->s.actuator)) {
        fg_line_fault(l, FG_FAULT_OUTPUT);
        l->halted = true;
    }
}

/* Both heartbeats, bit 15 and the output, beat while trigger, inference and actuation meet their own
 * deadlines.
 */
static void beat(struct fg_line *l, int64_t now) {
    const bool judge_late = l->judging && l->judge_deadline_ns <= now;
    const bool well =
        !judge_late && !l->lost_at_ns && now - fg_actuator_seen_ns(l->s.actuator) < ACTUATION_LIMIT;
    if (well)
        fg_actuator_alive(l->s.actuator, now);
    if (now < l->next_beat_ns)
        return;
    l->next_beat_ns = now + HALF_BEAT;
    if (well)
        l->show.heartbeat = !l->show.heartbeat;
    fg_line_measure(l);
}

static int64_t next_time(const struct fg_line *l) {
    int64_t next = l->next_beat_ns;
    const int64_t expire = fg_results_deadline(&l->results);
    next = expire < next ? expire : next;
    if (l->part.state != FG_PART_NONE && l->part.deadline_ns < next)
        next = l->part.deadline_ns;
    const int64_t watchdog = l->watchdog_ns + l->s.config->plc_watchdog_ms * FG_MS;
    if (l->s.config->plc_watchdog_ms && !l->halted && l->engine && watchdog < next)
        next = watchdog;
    return next;
}

static void wait_for_events(struct fg_line *l) {
    struct pollfd fds[] = {{.fd = l->s.edges->descriptor, .events = POLLIN},
                           {.fd = l->s.camera->descriptor, .events = POLLIN},
                           {.fd = l->asked, .events = POLLIN},
                           {.fd = fg_judge_descriptor(l->s.judge), .events = POLLIN},
                           {.fd = l->s.actuation_descriptor, .events = POLLIN},
                           {.fd = l->stop, .events = POLLIN}};
    const int64_t left = next_time(l) - fg_clock_ns();
    const struct timespec timeout = {.tv_sec = left > 0 ? left / FG_S : 0,
                                     .tv_nsec = left > 0 ? left % FG_S : 0};
    ppoll(fds, sizeof fds / sizeof *fds, &timeout, NULL);
}

static void round_once(struct fg_line *l) {
    wait_for_events(l);
    if (fg_event_take(l->stop) && !l->stop_at_ns)
        l->stop_at_ns = fg_clock_ns();
    watch_deadline(l, fg_clock_ns()); /* before a verdict that came too late is taken */
    fg_line_take_job_result(l);
    take_edges(l);
    fg_line_take_commands(l);
    take_frames(l);
    fg_line_start_waiting_load(l);
    const int64_t now = fg_clock_ns();
    if (fg_results_expire(&l->results, now)) {
        l->show.result_overrun = true;
        fg_count(&l->show.counters.overruns);
    }
    fg_line_watch_job(l, now);
    watch_plc(l, now);
    watch_actuation(l);
    beat(l, now);
    fg_line_publish(l);
}

/* The first bundle is there. */
static void serve(struct fg_line *l) {
    l->show.outcome = FG_OUTCOME_NONE;
    l->watchdog_ns = fg_clock_ns();
    if (!fg_line_listening(l))
        fg_log(FG_LOG_INFO, "triggers are ignored until coil 0, trigger_enable, is set");
    l->s.ready();
}

int fg_line_run(struct fg_line *line) {
    struct fg_line *l = line;
    struct fg_message message;
    l->next_beat_ns = l->watchdog_ns = fg_clock_ns();
    if (l->s.camera->arm(l->s.camera, &message) != FG_OK) {
        fg_log(FG_LOG_ERROR, "%s", message.text);
        return 3;
    }
    fg_line_load(l, l->show.holding.slot);
    bool serving = false;
    while (l->lost_at_ns || !l->stop_at_ns || l->part.state != FG_PART_NONE || l->judging) {
        round_once(l);
        if (l->lost_at_ns) {
            if (fg_clock_ns() - l->lost_at_ns > FG_LINE_ANSWER)
                return fg_exit_status(FG_DEVICE_LOST);
        } else if (!serving && !l->judging) { /* the first load has ended */
            if (!l->engine)
                return 3;
            serving = true;
            serve(l);
        }
    }
    const struct fg_counters *c = &l->show.counters;
    fg_log(FG_LOG_INFO, "%u triggers, %u missed, %u bounces: %u pass, %u defect, %u inoperative", c->triggers,
           c->missed_triggers, l->bounces, c->pass, c->defect, c->inoperative);
    return 0;
}

void fg_line_stop(struct fg_line *line) {
    fg_event_signal(line->stop);
}
