/* Parts: made, framed, decided by the worst of their views, and finished in the order of their triggers. */
#include "runtime/line/part.h"

#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/line/cameras.h"
#include "runtime/line/faults.h"
#include "runtime/line/publish.h"
#include "runtime/line/setup.h"
#include "runtime/line/state.h"

#define UNLIKE_IN_A_ROW 3 /* parts that raise a fault */

/* ---- Places ---- */

static struct fg_part *find_part(struct fg_line *l, uint32_t id) {
    struct fg_part *p = &l->part[id % FG_PARTS];
    return p->state != FG_PART_NONE && p->id == id ? p : NULL;
}

static bool is_open(const struct fg_part *p) {
    return p->state == FG_PART_EXPOSING || p->state == FG_PART_FRAMED;
}

bool fg_part_room(const struct fg_line *l) {
    uint32_t taken = 0;
    for (uint32_t i = 0; i < FG_PARTS; i++) {
        const struct fg_part *p = &l->part[i];
        if (p->state == FG_PART_EXPOSING)
            return false;
        /* One whose pictures alone are not kept yet is over for whoever triggers. */
        taken += p->taken && p->state != FG_PART_NONE && (p->state != FG_PART_FINISHED || p->judged >= 0);
    }
    return taken < l->s.config->trigger.queue && l->part[(l->parts + 1) % FG_PARTS].state == FG_PART_NONE;
}

bool fg_part_any(const struct fg_line *l) {
    return l->finished != l->parts;
}

uint32_t fg_part_uncounted(struct fg_line *l) {
    uint32_t count = 0;
    for (uint32_t id = l->finished + 1; id != l->parts + 1; id++)
        count += find_part(l, id) != NULL;
    return count;
}

/* ---- The verdict ---- */

/* How far from its threshold a finite score is decides between views of one verdict; of two INOPERATIVE ones
 * the one counts that must not pass. */
static bool is_worse(const struct fg_view_result *a, const struct fg_view_result *b) {
    if (a->verdict != b->verdict)
        return a->verdict > b->verdict; /* PASS, DEFECT, INOPERATIVE */
    if (a->verdict == FG_INOPERATIVE)
        return fg_rejects_covers(b->reason) && !fg_rejects_covers(a->reason);
    return (double)a->score * (double)b->threshold > (double)b->score * (double)a->threshold;
}

/* Finds the views whose picture is to be kept, of those that have a frame. */
static void choose_pictures(struct fg_line *l, struct fg_part *p) {
    const struct fg_sink *sink = l->s.sink;
    uint32_t framed = 0;
    for (uint32_t v = 0; v < l->s.config->views; v++)
        framed |= p->held & 1u << l->s.config->view[v].camera ? 1u << v : 0;
    if (!sink || !framed)
        return;
    p->kept = sink->want(sink->store, &p->result) & framed;
    p->asked = l->save_next;
    if (p->asked)
        p->kept = framed;
    l->save_next = false;
}

/* Decides a part whose views are all judged: the worst verdict is the part's. */
static void decide_part(struct fg_line *l, struct fg_part *p) {
    struct fg_result *r = &p->result;
    struct fg_view_result *worst = &r->view[0];
    for (uint32_t v = 1; v < l->s.config->views; v++)
        worst = is_worse(&r->view[v], worst) ? &r->view[v] : worst;
    worst->decided = true;
    bool covered = fg_rejects_covers(worst->reason);
    for (uint32_t v = 0; v < l->s.config->views; v++) {
        r->doubtful |= worst->verdict == FG_PASS && r->view[v].doubtful;
        covered &=
            r->view[v].verdict != FG_DEFECT; /* that another view has no verdict does not let it pass */
    }
    r->verdict = worst->verdict;
    r->reason = worst->reason;
    r->score = worst->score;
    r->threshold = worst->threshold;
    r->x = worst->x;
    r->y = worst->y;
    r->w = worst->w;
    r->h = worst->h;
    r->area = worst->area;
    r->exposure = p->framed_ns ? (uint32_t)((p->framed_ns - p->trigger_ns) / (FG_MS / 10)) : 0;
    p->state = FG_PART_DECIDED;
    if (p->reject_place >= 0 && !fg_rejects_permit(l->s.rejects, p->reject_place, r->verdict, covered)) {
        fg_count(&l->show.counters.late);
        fg_log(FG_LOG_WARNING, "part %u: its verdict came after its reject point", p->id);
    }
    choose_pictures(l, p);
}

static void count_verdict(struct fg_line *l, enum fg_verdict verdict) {
    struct fg_counters *c = &l->show.counters;
    fg_count(verdict == FG_PASS ? &c->pass : verdict == FG_DEFECT ? &c->defect : &c->inoperative);
}

static void log_result(const struct fg_line *l, const struct fg_result *r) {
    char view[FG_CONFIG_NAME + sizeof " by view "] = "", scene[32] = "";
    for (uint32_t v = 0; v < l->s.config->views; v++) {
        if (!r->view[v].decided)
            continue;
        if (l->s.config->views > 1)
            snprintf(view, sizeof view, " by view %s", l->s.config->view[v].name);
        if (r->view[v].scene > 0)
            snprintf(scene, sizeof scene, ", scene %.2f", (double)r->view[v].scene);
    }
    if (r->verdict == FG_INOPERATIVE)
        fg_log(FG_LOG_WARNING, "part %u: %s%s, %s%s, %.1f ms", r->id, fg_verdict_name(r->verdict), view,
               fg_reason_name(r->reason), scene, r->total / 10.0);
    else
        fg_log(FG_LOG_INFO, "part %u: %s%s%s, score %.4f, threshold %.4f%s, %.1f ms", r->id,
               fg_verdict_name(r->verdict), r->doubtful ? " (doubtful)" : "", view, (double)r->score,
               (double)r->threshold, scene, r->total / 10.0);
}

/* Counts, logs and keeps a verdict. */
static void record_verdict(struct fg_line *l, struct fg_part *p) {
    p->result.total = (uint32_t)((fg_clock_ns() - p->trigger_ns) / (FG_MS / 10));
    count_verdict(l, p->result.verdict);
    log_result(l, &p->result);
    if (l->s.sink)
        l->s.sink->record(l->s.sink->store, &p->result);
}

static void lose_result(struct fg_line *l) {
    l->show.result_overrun = true;
    fg_count(&l->show.counters.overruns);
}

/* One odd part can be a wrong one; several in a row are a lamp, a lens or another job. */
static void watch_scene(struct fg_line *l, const struct fg_result *r) {
    l->unlike = r->reason == FG_REASON_UNLIKE_TRAINING ? l->unlike + 1 : 0;
    if (l->unlike == UNLIKE_IN_A_ROW) {
        fg_faults_raise(l, FG_FAULT_UNLIKE_TRAINING);
        l->unlike = 0;
    }
}

/* A lamp, a lens or parts that change slowly raise the scores long before good parts are rejected. */
static void watch_drift(struct fg_line *l, const struct fg_result *r) {
    char view[FG_SETUP_VIEW];
    for (uint32_t v = 0; v < l->s.config->views; v++)
        if (r->view[v].verdict == FG_PASS && fg_drift_add(&l->drift[v], r->view[v].score))
            fg_log(FG_LOG_WARNING,
                   "%sdrift: the scores of good parts have risen; look at lamp, lens and parts, and if the "
                   "parts are good, calibrate the bundle anew; coil 3 clears this",
                   fg_setup_name_view(l->s.config, v, view));
}

static void finish_part(struct fg_line *l, struct fg_part *p) {
    record_verdict(l, p);
    watch_drift(l, &p->result);
    if (p->taken)
        watch_scene(l, &p->result);
    if (p->taken) /* a refused part has no time from trigger to verdict */
        fg_publish_time(l, p->result.total);
    /* Where nothing is buffered, nobody has seen a verdict that gives way before it was published. */
    if (fg_results_put(&l->results, &p->result, fg_clock_ns()) || (l->fresh && !l->results.buffer))
        lose_result(l);
    if (!l->fresh) /* two flips in one snapshot would be none */
        l->show.result_toggle = !l->show.result_toggle;
    l->fresh = true;
    l->last_pass = p->result.verdict == FG_PASS;
    p->state = p->judged < 0 && !p->kept ? FG_PART_NONE : FG_PART_FINISHED;
}

/* Gives the verdicts that are next in the order of triggers. Parts that found no place have had their
 * verdicts. */
static void finish_in_order(struct fg_line *l) {
    while (fg_part_any(l)) {
        struct fg_part *p = find_part(l, l->finished + 1);
        if (p && p->state != FG_PART_DECIDED)
            return;
        l->finished++;
        if (p)
            finish_part(l, p);
    }
}

/* Whether the judge looks at a camera's frame, or will, or the sink is to get it. */
static bool is_frame_needed(const struct fg_line *l, const struct fg_part *p, uint32_t camera) {
    for (uint32_t v = 0; v < l->s.config->views; v++)
        if (l->s.config->view[v].camera == camera &&
            (p->judged == (int32_t)v || p->kept & 1u << v || (is_open(p) && !p->result.view[v].verdict)))
            return true;
    return false;
}

/* Moves a part on whose views or frames have changed. Its place may be free afterwards. */
static void settle_part(struct fg_line *l, struct fg_part *p) {
    bool judged = true;
    for (uint32_t v = 0; v < l->s.config->views; v++)
        judged = judged && p->result.view[v].verdict;
    if (p->state == FG_PART_EXPOSING && !p->awaited)
        p->state = FG_PART_FRAMED;
    if (is_open(p) && judged)
        decide_part(l, p);
    for (uint32_t c = 0; c < l->s.config->cameras; c++)
        if (p->held & 1u << c && !is_frame_needed(l, p, c)) {
            l->s.camera[c]->release(l->s.camera[c], &p->frame[c]);
            p->held &= ~(1u << c);
        }
    if (p->state == FG_PART_FINISHED && p->judged < 0 && !p->kept)
        p->state = FG_PART_NONE;
    finish_in_order(l);
}

/* Makes every view of a camera (-1: of any) that is not judged INOPERATIVE. */
static void fail_views(const struct fg_line *l, struct fg_part *p, int32_t camera, enum fg_reason reason) {
    for (uint32_t v = 0; v < l->s.config->views; v++) {
        struct fg_view_result *r = &p->result.view[v];
        if (!r->verdict && (camera < 0 || l->s.config->view[v].camera == (uint32_t)camera)) {
            r->verdict = FG_INOPERATIVE;
            r->reason = reason;
        }
    }
}

/* ---- Making ---- */

static struct fg_part make_part(struct fg_line *l, int64_t trigger_ns, enum fg_part_state state) {
    const int64_t now = fg_clock_ns();
    const struct fg_holding *holding = &l->show.holding;
    struct fg_part part = {.state = state,
                           .id = ++l->parts,
                           .trigger_ns = trigger_ns,
                           .trigger_unix_ms = fg_clock_unix_ms() - (now - trigger_ns) / FG_MS,
                           .deadline_ns = trigger_ns + l->s.config->deadline_ms * FG_MS,
                           .judged = -1};
    const int64_t point = trigger_ns + ((int64_t)holding->reject - l->s.config->reject.lead) * (FG_MS / 10);
    part.reject_place = fg_rejects_add(l->s.rejects, point, holding->pulse * (FG_MS / 10), now);
    part.result = (struct fg_result){
        .id = part.id, .slot = l->show.active_slot, .trigger_unix_ms = part.trigger_unix_ms};
    fg_count(&l->show.counters.triggers);
    if (part.reject_place < 0)
        fg_faults_missed_reject(l, fg_rejects_room(l->s.rejects)
                                       ? "a part's reject point had passed at its trigger"
                                       : "64 parts were on their way to the reject point");
    return part;
}

static float find_threshold(const struct fg_line *l, uint32_t view) {
    const uint32_t chosen = l->show.holding.threshold[view];
    return chosen ? (float)chosen / 10000
                  : fg_engine_header(fg_judge_engine(l->s.judge, view))->calibration.threshold;
}

void fg_part_take(struct fg_line *l, int64_t trigger_ns) {
    const struct fg_part part = make_part(l, trigger_ns, FG_PART_EXPOSING);
    struct fg_part *p = &l->part[part.id % FG_PARTS];
    *p = part;
    p->taken = true;
    for (uint32_t v = 0; v < l->s.config->views; v++) {
        p->result.view[v].threshold = find_threshold(l, v);
        p->awaited |= 1u << l->s.config->view[v].camera;
    }
    l->show.last_trigger_id = p->id;
    fg_results_trigger(&l->results);
    l->show.exposure_complete = false;
    l->last_pass = false;
    fg_cameras_trigger(l, p->awaited);
}

void fg_part_refuse(struct fg_line *l, int64_t trigger_ns) {
    struct fg_part part = make_part(l, trigger_ns, FG_PART_FRAMED), *p = &l->part[part.id % FG_PARTS];
    fg_faults_missed_trigger(l);
    fail_views(l, &part, -1,
               l->lost_at_ns   ? FG_REASON_DEVICE_LOST
               : l->unverified ? FG_REASON_NOT_VERIFIED
                               : FG_REASON_NOT_READY);
    if (p->state == FG_PART_NONE) {
        *p = part;
        settle_part(l, p);
    } else { /* all places wait for one part's verdict, so this result is not kept */
        decide_part(l, &part);
        record_verdict(l, &part);
        lose_result(l);
        finish_in_order(l);
    }
}

/* ---- Frames ---- */

static struct fg_part *find_exposed(struct fg_line *l) {
    for (uint32_t i = 0; i < FG_PARTS; i++)
        if (l->part[i].state == FG_PART_EXPOSING)
            return &l->part[i];
    return NULL;
}

bool fg_part_frame(struct fg_line *l, uint32_t camera, const struct fg_camera_frame *frame) {
    struct fg_part *p = find_exposed(l);
    /* A frame exposed before the trigger is another part's. */
    if (!p || !(p->awaited & 1u << camera) || frame->exposed_ns < p->trigger_ns)
        return false;
    const bool whole = frame->status == FG_FRAME_WHOLE;
    p->awaited &= ~(1u << camera);
    if (!p->awaited) {
        p->framed_ns = fg_clock_ns();
        l->show.exposure_complete = true;
    }
    if (whole) {
        p->frame[camera] = *frame;
        p->held |= 1u << camera;
    } else {
        fg_count(&l->show.counters.camera_errors);
        fail_views(l, p, (int32_t)camera, FG_REASON_BAD_FRAME);
    }
    settle_part(l, p);
    return whole;
}

void fg_part_no_frame(struct fg_line *l, uint32_t camera) {
    struct fg_part *p = find_exposed(l);
    if (!p || !(p->awaited & 1u << camera))
        return;
    p->awaited &= ~(1u << camera);
    fail_views(l, p, (int32_t)camera, FG_REASON_NO_FRAME);
    settle_part(l, p);
}

/* ---- Judging ---- */

struct fg_part *fg_part_next(struct fg_line *l, uint32_t *view) {
    for (uint32_t id = l->finished + 1; id != l->parts + 1; id++) {
        struct fg_part *p = find_part(l, id);
        for (uint32_t v = 0; p && is_open(p) && v < l->s.config->views; v++)
            if (!p->result.view[v].verdict && p->held & 1u << l->s.config->view[v].camera) {
                *view = v;
                return p;
            }
    }
    return NULL;
}

/* Whatever threshold the PLC has chosen, the bundle says which scores few good parts reach. */
static bool is_doubtful(const struct fg_line *l, uint32_t view, const struct fg_view_result *r) {
    const float limit = fg_engine_header(fg_judge_engine(l->s.judge, view))->calibration.doubtful;
    return r->verdict == FG_PASS && limit > 0 && r->score > limit;
}

/* Whether an engine has made a map, whatever the verdict is. */
static bool is_judged(const struct fg_view_result *r) {
    return r->verdict != FG_INOPERATIVE || r->reason == FG_REASON_NOT_FINITE ||
           r->reason == FG_REASON_UNLIKE_TRAINING;
}

void fg_part_judged(struct fg_line *l, uint32_t id, uint32_t view, const struct fg_view_result *result,
                    uint32_t inference) {
    struct fg_part *p = find_part(l, id);
    struct fg_view_result *r = &p->result.view[view];
    p->judged = -1;
    p->mapped |= is_judged(result) ? 1u << view : 0;
    if (is_open(p)) { /* a part that is not open met its deadline first */
        const float threshold = r->threshold;
        *r = *result;
        r->threshold = threshold;
        r->doubtful = is_doubtful(l, view, r);
        p->result.inference += inference;
    }
    settle_part(l, p);
}

/* ---- Keeping ---- */

struct fg_part *fg_part_keep(struct fg_line *l, uint32_t *view) {
    for (uint32_t i = 0; i < FG_PARTS; i++) {
        struct fg_part *p = &l->part[i];
        if (p->state == FG_PART_NONE || is_open(p) || !p->kept || p->judged >= 0)
            continue;
        *view = (uint32_t)__builtin_ctz(p->kept);
        return p;
    }
    return NULL;
}

void fg_part_kept(struct fg_line *l, uint32_t id, uint32_t view) {
    struct fg_part *p = find_part(l, id);
    p->kept &= ~(1u << view);
    settle_part(l, p);
}

/* ---- Ends without a judgement ---- */

static void abandon_part(struct fg_line *l, struct fg_part *p, enum fg_reason reason) {
    for (uint32_t c = 0; c < l->s.config->cameras; c++)
        if (p->awaited & 1u << c && reason == FG_REASON_DEADLINE) {
            fg_cameras_report(l, c, "it gave no frame in time");
            fail_views(l, p, (int32_t)c, FG_REASON_NO_FRAME);
        }
    p->awaited = 0;
    fail_views(l, p, -1, reason);
    settle_part(l, p);
}

void fg_part_abandon_all(struct fg_line *l, enum fg_reason reason) {
    for (uint32_t i = 0; i < FG_PARTS; i++)
        if (is_open(&l->part[i]))
            abandon_part(l, &l->part[i], reason);
}

int64_t fg_part_due(const struct fg_line *l) {
    int64_t due = INT64_MAX;
    for (uint32_t i = 0; i < FG_PARTS; i++)
        if (is_open(&l->part[i]) && l->part[i].deadline_ns < due)
            due = l->part[i].deadline_ns;
    return due;
}

/* Takes the frames that are there: one that was not looked at in time is not the camera's fault. */
static void look_for_frames(struct fg_line *l, const struct fg_part *p) {
    const uint32_t awaited = p->awaited;
    for (uint32_t c = 0; c < l->s.config->cameras; c++)
        if (awaited & 1u << c)
            fg_cameras_take(l, c, false);
}

void fg_part_expire(struct fg_line *l, int64_t now_ns) {
    for (uint32_t i = 0; i < FG_PARTS; i++) {
        struct fg_part *p = &l->part[i];
        if (!is_open(p) || p->deadline_ns > now_ns)
            continue;
        look_for_frames(l, p);
        if (is_open(p))
            abandon_part(l, p, FG_REASON_DEADLINE);
    }
}
