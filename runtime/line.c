#include "runtime/line.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/event.h"
#include "runtime/line_state.h"
#include "runtime/log.h"

#define HALF_BEAT (500 * FG_MS)
#define APPLY_TIMEOUT_MS 1000
#define LOAD_LIMIT (60 * FG_S) /* of a load or a self-test: its deadline */
#define ACTUATION_LIMIT FG_S   /* the actuation goes around twice as often at least */
#define ANSWER_AFTER_LOSS (2 * FG_S)

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

/* ---- Commands, from a server's thread ---- */

enum fg_modbus_exception fg_line_apply(void *context, const struct fg_commands *commands) {
    struct fg_line *l = context;
    l->commands = *commands;
    fg_event_signal(l->asked);
    struct pollfd answered = {.fd = l->answered, .events = POLLIN};
    /* Taken back before the line has seen them, they are refused; else the answer is on its way. */
    if (poll(&answered, 1, APPLY_TIMEOUT_MS) <= 0 && fg_event_take(l->asked))
        return FG_MODBUS_BUSY;
    while (!fg_event_take(l->answered))
        poll(&answered, 1, -1);
    return l->exception;
}

/* ---- Jobs of the inference thread ---- */

static void start_load(struct fg_line *l, uint16_t slot) {
    l->show.updating = true;
    l->show.outcome = FG_OUTCOME_RUNNING;
    l->judging = true;
    l->judge_deadline_ns = fg_clock_ns() + LOAD_LIMIT;
    fg_judge_start(l->s.judge,
                   &(struct fg_job){.kind = FG_JOB_LOAD, .path = l->s.config->bundle[slot], .slot = slot});
}

static void loaded(struct fg_line *l, const struct fg_job_result *r) {
    l->show.updating = false;
    if (r->status != FG_OK) {
        l->show.outcome = FG_ERROR_JOB;
        fg_line_fault(l, FG_ERROR_JOB);
        fg_log(FG_LOG_ERROR, "job change: %s", r->message.text);
        return;
    }
    l->engine = fg_judge_engine(l->s.judge);
    const struct fg_bundle_header *header = fg_engine_header(l->engine);
    l->show.outcome = FG_OUTCOME_DONE;
    l->show.active_slot = fg_judge_slot(l->s.judge);
    l->show.bundle_checksum = fg_engine_checksum(l->engine);
    l->show.security_counter = (uint16_t)header->security_counter;
    memcpy(l->show.bundle_name, header->provenance.name, sizeof l->show.bundle_name);
    char times[128];
    fg_load_times_text(fg_engine_times(l->engine), times, sizeof times);
    fg_log(FG_LOG_INFO, "slot %u: bundle %s, threshold %.4f, loaded in %s", l->show.active_slot,
           header->provenance.name, (double)header->calibration.threshold, times);
}

static void judged(struct fg_line *l, const struct fg_job_result *r) {
    l->s.camera->release(l->s.camera, &l->frame);
    if (l->part.state != FG_PART_JUDGED || l->part.id != r->part)
        return; /* its deadline came first */
    struct fg_result result = {.reason = FG_REASON_NONE};
    if (r->status != FG_OK) {
        fg_log(FG_LOG_ERROR, "part %u: %s", r->part, r->message.text);
        fg_line_fault(l, FG_ERROR_INFERENCE);
        fg_line_inoperative(l, &l->part,
                            r->status == FG_DEVICE_LOST ? FG_REASON_DEVICE_LOST
                            : r->status == FG_INPUT     ? FG_REASON_BAD_FRAME
                                                        : FG_REASON_INFERENCE_FAILED);
        return;
    }
    const struct fg_judgement *j = &r->judgement;
    if (!j->finite) {
        fg_line_inoperative(l, &l->part, FG_REASON_NOT_FINITE);
        return;
    }
    result.verdict = j->score > l->part.threshold ? FG_DEFECT : FG_PASS;
    result.score = j->score;
    result.inference = (uint32_t)(j->inference_ns / 100000);
    if (result.verdict == FG_DEFECT) {
        result.x = (uint16_t)j->box.x;
        result.y = (uint16_t)j->box.y;
        result.w = (uint16_t)j->box.w;
        result.h = (uint16_t)j->box.h;
        result.area = (uint32_t)j->box.area;
    }
    fg_line_finish(l, &l->part, &result);
}

static void take_job_result(struct fg_line *l) {
    static struct fg_job_result r; /* of this thread alone; too large for a short stack */
    if (!fg_judge_result(l->s.judge, &r))
        return;
    l->judging = false;
    if (r.status == FG_DEVICE_LOST && l->lost_at_ns == 0) {
        l->lost_at_ns = fg_clock_ns();
        fg_line_fault(l, FG_ERROR_DEVICE_LOST); /* before what follows from it */
        fg_log(FG_LOG_ERROR, "device lost: %s", r.message.text);
    }
    switch (r.kind) {
    case FG_JOB_JUDGE:
        judged(l, &r);
        break;
    case FG_JOB_LOAD:
        loaded(l, &r);
        break;
    case FG_JOB_SELF_TEST:
        l->show.outcome = r.status == FG_OK ? FG_OUTCOME_DONE : FG_ERROR_SELF_TEST;
        if (r.status != FG_OK) {
            fg_line_fault(l, FG_ERROR_SELF_TEST);
            fg_log(FG_LOG_ERROR, "%s", r.message.text);
        }
        break;
    }
}

/* A job change that was asked for during a part takes effect between parts: now. */
static void start_waiting_load(struct fg_line *l) {
    if (!l->slot_waiting || l->judging || l->stopping || l->part.state != FG_PART_NONE)
        return;
    l->slot_waiting = false;
    start_load(l, l->show.holding.slot);
}

/* ---- Triggers and frames ---- */

static float threshold_of(const struct fg_line *l) {
    const uint16_t chosen = l->show.holding.threshold;
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

static void take_part(struct fg_line *l, int64_t trigger_ns) {
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
    fg_line_fault(l, FG_ERROR_CAMERA);
    fg_log(FG_LOG_ERROR, "part %u: %s", l->part.id, message.text);
    fg_line_inoperative(l, &l->part, FG_REASON_NO_FRAME);
}

static void take_edges(struct fg_line *l) {
    struct fg_edge edge;
    while (l->s.edges->next(l->s.edges, &edge)) {
        if (edge.line != l->s.trigger_line)
            continue;
        if (edge.lost) {
            fg_line_missed_trigger(l);
            fg_line_fault(l, FG_ERROR_EDGES_LOST);
        }
        if (!edge.level || !fg_line_listening(l) || l->stopping)
            continue;
        const bool bounce =
            l->last_edge_ns && edge.time_ns - l->last_edge_ns < l->s.config->trigger.min_interval_ms * FG_MS;
        l->last_edge_ns = edge.time_ns;
        if (bounce)
            l->bounces++;
        else if (fg_line_able(l))
            take_part(l, edge.time_ns);
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
        l->part.state = FG_PART_JUDGED;
        l->judging = true;
        l->judge_deadline_ns = l->part.deadline_ns;
        fg_judge_start(l->s.judge, &(struct fg_job){.kind = FG_JOB_JUDGE,
                                                    .part = l->part.id,
                                                    .threshold = l->part.threshold,
                                                    .frame = {.pixels = frame.pixels,
                                                              .width = frame.width,
                                                              .height = frame.height,
                                                              .format = frame.format,
                                                              .pitch = frame.stride}});
    }
}

/* ---- Commands ---- */

/* Whether the whole list may be carried out now. coils: as they will be. */
static enum fg_modbus_exception refuse_commands(struct fg_line *l, const struct fg_commands *commands) {
    uint8_t coils = l->show.coils;
    bool triggered = false; /* by this list */
    for (uint32_t i = 0; i < commands->count; i++) {
        const struct fg_command *c = &commands->command[i];
        if (c->kind == FG_COMMAND_COILS)
            coils = (uint8_t)c->value;
        const bool listening = (coils & FG_COIL_TRIGGER_ENABLE) && !(coils & FG_COIL_OFFLINE);
        if (c->kind == FG_COMMAND_TRIGGER && listening && (!fg_line_able(l) || l->stopping)) {
            fg_line_missed_trigger(l);
            return FG_MODBUS_BUSY;
        }
        triggered |= c->kind == FG_COMMAND_TRIGGER && listening;
        /* A PLC that writes its whole block in a cycle repeats the slot while the job changes. */
        const bool new_job = c->kind == FG_COMMAND_SLOT && c->value != l->show.holding.slot;
        if ((new_job || c->kind == FG_COMMAND_RUN) && (l->show.outcome == FG_OUTCOME_RUNNING || l->stopping))
            return FG_MODBUS_BUSY;
        if (c->kind == FG_COMMAND_RUN &&
            (triggered || l->judging || l->part.state != FG_PART_NONE || !l->engine))
            return FG_MODBUS_BUSY;
    }
    return FG_MODBUS_DONE;
}

static void change_job(struct fg_line *l, uint16_t slot) {
    l->show.holding.slot = slot;
    l->slot_written = true;
    if (l->show.outcome == FG_OUTCOME_RUNNING)
        return; /* the job change under way, or a self-test of the slot in use */
    if (l->engine && slot == l->show.active_slot) {
        l->show.outcome = FG_OUTCOME_DONE;
    } else if (l->judging || l->part.state != FG_PART_NONE) {
        l->show.outcome = FG_OUTCOME_RUNNING;
        l->slot_waiting = true;
    } else {
        start_load(l, slot);
    }
}

static void carry_out(struct fg_line *l, const struct fg_command *c) {
    struct fg_holding *holding = &l->show.holding;
    switch (c->kind) {
    case FG_COMMAND_COILS:
        l->show.coils = (uint8_t)c->value;
        break;
    case FG_COMMAND_TRIGGER:
        if (fg_line_listening(l))
            take_part(l, fg_clock_ns());
        break;
    case FG_COMMAND_MISSED_TRIGGER:
        fg_line_missed_trigger(l);
        break;
    case FG_COMMAND_RESULT_ACK:
        fg_results_acknowledge(&l->results, fg_clock_ns());
        break;
    case FG_COMMAND_CLEAR_FAULT:
        fg_line_clear_fault(l);
        break;
    case FG_COMMAND_RESET_COUNTERS:
        fg_line_reset_counters(l);
        break;
    case FG_COMMAND_RUN: /* the map lets the self-test through, and nothing else yet */
        l->show.outcome = FG_OUTCOME_RUNNING;
        l->judging = true;
        l->judge_deadline_ns = fg_clock_ns() + LOAD_LIMIT;
        fg_judge_start(l->s.judge, &(struct fg_job){.kind = FG_JOB_SELF_TEST});
        break;
    case FG_COMMAND_SLOT:
        change_job(l, (uint16_t)c->value);
        break;
    case FG_COMMAND_THRESHOLD:
        holding->threshold = (uint16_t)c->value;
        break;
    case FG_COMMAND_CODE:
        holding->command = (uint16_t)c->value;
        break;
    case FG_COMMAND_WATCHDOG:
        if (holding->watchdog != c->value)
            l->watchdog_ns = fg_clock_ns();
        holding->watchdog = (uint16_t)c->value;
        break;
    case FG_COMMAND_REJECT:
        holding->reject = c->value;
        break;
    case FG_COMMAND_PULSE:
        holding->pulse = (uint16_t)c->value;
        break;
    case FG_COMMAND_UNLOCK:
        l->show.unlocked = c->value != 0;
        break;
    }
}

static void take_commands(struct fg_line *l) {
    if (!fg_event_take(l->asked))
        return;
    l->exception = refuse_commands(l, &l->commands);
    for (uint32_t i = 0; i < l->commands.count && l->exception == FG_MODBUS_DONE; i++)
        carry_out(l, &l->commands.command[i]);
    fg_line_publish(l); /* effects come before the reply */
    fg_event_signal(l->answered);
}

/* ---- Time ---- */

static void watch_deadline(struct fg_line *l, int64_t now) {
    if (l->part.state == FG_PART_NONE || now < l->part.deadline_ns)
        return;
    const bool framed = l->part.state == FG_PART_JUDGED;
    if (!framed) {
        fg_count(&l->show.counters.camera_errors);
        fg_line_fault(l, FG_ERROR_CAMERA);
    }
    fg_line_inoperative(l, &l->part, framed ? FG_REASON_DEADLINE : FG_REASON_NO_FRAME);
}

static void watch_plc(struct fg_line *l, int64_t now) {
    const uint32_t limit_ms = l->s.config->plc_watchdog_ms;
    if (!limit_ms || l->halted || !l->engine || now - l->watchdog_ns < limit_ms * FG_MS)
        return;
    fg_line_fault(l, FG_ERROR_WATCHDOG);
    l->halted = true;
}

static void watch_actuation(struct fg_line *l) {
    fg_event_take(l->s.actuation_descriptor);
    for (uint32_t missed = fg_actuator_missed(l->s.actuator); missed; missed--)
        fg_line_missed_reject(l, "a reject came later than its pulse is long: this machine was too busy");
    if (fg_actuator_stopped(l->s.actuator)) {
        fg_line_fault(l, FG_ERROR_INOPERATIVE);
        l->halted = true;
    }
    if (fg_actuator_failed(l->s.actuator)) {
        fg_line_fault(l, FG_ERROR_OUTPUT);
        l->halted = true;
    }
}

/* Both heartbeats, bit 15 and the output, beat while trigger, inference and actuation meet their own
 * deadlines.
 */
static void beat(struct fg_line *l, int64_t now) {
    const bool judge_late = l->judging && l->judge_deadline_ns < now;
    const bool well = !judge_late && now - fg_actuator_seen_ns(l->s.actuator) < ACTUATION_LIMIT;
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
    l->stopping = fg_event_take(l->stop) || l->stopping;
    watch_deadline(l, fg_clock_ns()); /* before a verdict that came too late is taken */
    take_job_result(l);
    take_edges(l);
    take_commands(l);
    take_frames(l);
    start_waiting_load(l);
    const int64_t now = fg_clock_ns();
    if (fg_results_expire(&l->results, now)) {
        l->show.result_overrun = true;
        fg_count(&l->show.counters.overruns);
    }
    watch_plc(l, now);
    watch_actuation(l);
    beat(l, now);
    fg_line_publish(l);
}

int fg_line_run(struct fg_line *line) {
    struct fg_line *l = line;
    struct fg_message message;
    l->next_beat_ns = l->watchdog_ns = fg_clock_ns();
    if (l->s.camera->arm(l->s.camera, &message) != FG_OK) {
        fg_log(FG_LOG_ERROR, "%s", message.text);
        return 3;
    }
    start_load(l, l->show.holding.slot);
    while (!l->engine || l->judging) {
        round_once(l);
        if (l->lost_at_ns) {
            if (fg_clock_ns() - l->lost_at_ns > ANSWER_AFTER_LOSS)
                return 70;
            continue;
        }
        if (!l->judging && !l->engine)
            return 3;
        if (l->stopping && !l->judging)
            return 0;
    }
    l->show.outcome = FG_OUTCOME_NONE;
    l->watchdog_ns = fg_clock_ns();
    if (!fg_line_listening(l))
        fg_log(FG_LOG_INFO, "triggers are ignored until coil 0, trigger_enable, is set");
    l->s.ready();
    while (!(l->stopping && l->part.state == FG_PART_NONE)) {
        round_once(l);
        if (l->lost_at_ns && fg_clock_ns() - l->lost_at_ns > ANSWER_AFTER_LOSS)
            return 70;
    }
    const struct fg_counters *c = &l->show.counters;
    fg_log(FG_LOG_INFO, "%u triggers, %u missed, %u bounces: %u pass, %u defect, %u inoperative", c->triggers,
           c->missed_triggers, l->bounces, c->pass, c->defect, c->inoperative);
    return 0;
}

void fg_line_stop(struct fg_line *line) {
    fg_event_signal(line->stop);
}
