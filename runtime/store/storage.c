/* The store's thread, and the queue and the slots that lead to it. */
#include "runtime/store/storage.h"

#include <errno.h>
#include <libgen.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "runtime/base/clock.h"
#include "runtime/base/event.h"
#include "runtime/base/log.h"
#include "runtime/store/metrics.h"
#include "runtime/store/pictures.h"
#include "runtime/store/proposal.h"
#include "runtime/store/scores.h"

#define QUEUE 2048      /* entries that may wait for the thread: a power of two */
#define FOR_BUNDLES 64  /* of these, places that no verdict takes: which bundles are in use is never lost */
#define ROOM (1u << 20) /* records of the score log: 32 MiB */
#define SPARE_SLOTS 7   /* more than a part has views */
#define TICK FG_S       /* how often the score log is flushed */
#define METRICS_EVERY (5 * FG_S) /* how often the metrics are written */
#define TRIM_EVERY (60 * FG_S)   /* how often old pictures are looked for */
#define REOPEN_EVERY (10 * FG_S) /* how often a folder is tried that could not be used */
#define PATIENCE_S 10            /* how long the end waits for the disk */
#define NICE 10

/* What the line says: a score, or that a view has another bundle. */
struct entry {
    bool loaded;
    struct fg_score score; /* of loaded, only view and threshold */
    float false_rejects;
    bool local;
};

/* A picture on its way from the judge to the disk. */
struct slot {
    _Atomic bool full; /* the thread's; else the judge's */
    bool last;
    struct fg_picture picture;
    uint8_t *pixels;
    float *map;
};

/* Something on disk that may fail, and is logged when it begins to and when it ends. */
struct trouble {
    const char *what;
    _Atomic bool now;
    bool usable;       /* what is written there was opened, and has not failed since */
    int64_t reopen_ns; /* when it is tried again */
};

struct fg_storage {
    const struct fg_config *config;
    struct fg_sink sink;
    struct fg_snapshot_cell *cell;
    pthread_t thread;
    bool running;
    int wake; /* eventfd */
    _Atomic bool quit;

    uint32_t checksum[FG_VIEWS]; /* of the bundles in use; the line's thread's */
    uint32_t good;               /* good parts; the line's thread's */
    struct entry queue[QUEUE];
    _Atomic uint32_t put, taken; /* entries, counted on */

    struct slot slot[FG_VIEWS + SPARE_SLOTS];
    uint32_t slots, map_pixels;
    size_t frame_bytes;
    uint32_t fill, empty; /* the next slot of the judge, and of the thread */

    struct fg_pictures pictures;
    struct fg_scores scores;
    struct fg_proposal proposal[FG_VIEWS];
    int64_t tick_ns, metrics_ns, trim_ns; /* when each is due */

    struct trouble pictures_fail, scores_fail, metrics_fail;
    _Atomic uint32_t drops, seen; /* what was dropped, and of that before all was written that waited then */
    _Atomic bool asked_failed;
    _Atomic uint32_t saved, unsaved;
    _Atomic uint32_t stored, dropped_pictures, logged, dropped_scores;
};

/* ---- Memory ---- */

static void find_largest(const struct fg_config *config, int32_t *width, int32_t *height) {
    int32_t widths[FG_CONFIG_VIEWS], heights[FG_CONFIG_VIEWS];
    fg_setup_frames(config, widths, heights);
    *width = *height = 0;
    for (uint32_t v = 0; v < config->views; v++) {
        *width = widths[v] > *width ? widths[v] : *width;
        *height = heights[v] > *height ? heights[v] : *height;
    }
}

/* The bytes of a frame in the format that takes most. */
static size_t measure_frame(const struct fg_config *config) {
    int32_t width, height;
    find_largest(config, &width, &height);
    return fg_size_align((size_t)width * (size_t)height * 3);
}

static size_t measure_map(const struct fg_memory_plan *plan) {
    return fg_size_align(plan->map_pixels * sizeof(float));
}

void fg_storage_plan(const struct fg_config *config, struct fg_memory_plan *plan) {
    int32_t width, height;
    find_largest(config, &width, &height);
    plan->store = fg_size_align(sizeof(struct fg_storage));
    if (*config->store.path)
        plan->store += fg_pictures_memory(width, height) +
                       (config->views + SPARE_SLOTS) * (measure_frame(config) + measure_map(plan));
    plan->fixed += plan->store;
}

/* The folder itself where it is there, else the one that it would be made in. */
static void check_folder(const char *key, const char *path, bool made, struct fg_report *report) {
    char folder[FG_CONFIG_TEXT];
    struct stat found;
    snprintf(folder, sizeof folder, "%s", path);
    if (made || stat(folder, &found))
        dirname(folder);
    if (stat(folder, &found))
        fg_report_add(report, "store.%s = \"%s\": there is no folder %s", key, path, folder);
    else if (!S_ISDIR(found.st_mode))
        fg_report_add(report, "store.%s = \"%s\": %s is no folder", key, path, folder);
    else if (access(folder, W_OK | X_OK))
        fg_report_add(report, "store.%s = \"%s\": this user may not write into %s", key, path, folder);
}

void fg_storage_check(const struct fg_config *config, struct fg_report *report) {
    if (*config->store.path)
        check_folder("path", config->store.path, false, report);
    if (*config->store.metrics)
        check_folder("metrics", config->store.metrics, true, report);
}

/* ---- What the line calls: nothing here waits ---- */

static void drop(struct fg_storage *s, _Atomic uint32_t *counter, const char *what) {
    atomic_fetch_add(counter, 1);
    if (atomic_fetch_add(&s->drops, 1) == atomic_load(&s->seen)) /* the first of several */
        fg_log(FG_LOG_WARNING, "store: the disk is too slow: %s are dropped; look at %s", what,
               s->config->store.path);
}

static void put_entry(struct fg_storage *s, const struct entry *entry) {
    const uint32_t put = atomic_load_explicit(&s->put, memory_order_relaxed);
    const uint32_t room = entry->loaded ? QUEUE : QUEUE - FOR_BUNDLES;
    if (put - atomic_load_explicit(&s->taken, memory_order_acquire) >= room) {
        drop(s, &s->dropped_scores, "scores");
        return;
    }
    s->queue[put % QUEUE] = *entry;
    atomic_store_explicit(&s->put, put + 1, memory_order_release);
    fg_event_signal(s->wake);
}

static void note_bundle(void *store, uint32_t view, const struct fg_bundle_header *bundle,
                        uint32_t checksum) {
    struct fg_storage *s = store;
    const struct fg_calibration *c = &bundle->calibration;
    s->checksum[view] = checksum;
    put_entry(s, &(struct entry){.loaded = true,
                                 .score = {.view = (uint8_t)view, .threshold = c->threshold},
                                 .false_rejects = c->false_rejects,
                                 .local = fg_score_is_local(bundle->spec.score)});
}

static uint32_t want_pictures(void *store, const struct fg_result *result) {
    struct fg_storage *s = store;
    const uint32_t every = s->config->store.good_every;
    uint32_t wanted = 0;
    if (!s->slots)
        return 0;
    for (uint32_t v = 0; v < s->config->views; v++)
        wanted |= result->view[v].verdict == FG_DEFECT || result->view[v].doubtful ? 1u << v : 0;
    if (result->verdict == FG_PASS && every && ++s->good % every == 0)
        wanted = (1u << s->config->views) - 1;
    return wanted;
}

static void record_part(void *store, const struct fg_result *result) {
    struct fg_storage *s = store;
    for (uint32_t v = 0; v < s->config->views; v++) {
        const struct fg_view_result *r = &result->view[v];
        const bool has_score = r->verdict != FG_INOPERATIVE;
        put_entry(s, &(struct entry){.score = {.part = result->id,
                                               .unix_s = (uint32_t)(result->trigger_unix_ms / 1000),
                                               .score = has_score ? r->score : NAN,
                                               .threshold = r->threshold,
                                               .checksum = s->checksum[v],
                                               .verdict = (uint8_t)r->verdict,
                                               .reason = (uint8_t)r->reason,
                                               .view = (uint8_t)v,
                                               .slot = (uint8_t)result->slot,
                                               .decided = r->decided,
                                               .doubtful = r->doubtful}});
    }
}

static void end_asked(struct fg_storage *s, bool last) {
    if (last)
        atomic_fetch_add(atomic_exchange(&s->asked_failed, false) ? &s->unsaved : &s->saved, 1);
}

/* Copies the frame with its rows side by side. */
static void copy_frame(struct slot *slot, const struct fg_frame *frame) {
    const size_t row = fg_pixel_row_bytes(frame->format, frame->width);
    const size_t rows = fg_pixel_frame_bytes(frame->format, frame->height, 1); /* with those of colour */
    for (size_t y = 0; y < rows; y++)
        memcpy(slot->pixels + y * row, frame->pixels + y * frame->pitch, row);
    slot->picture.frame = *frame;
    slot->picture.frame.pixels = slot->pixels;
    slot->picture.frame.pitch = row;
}

static void keep_picture(void *store, const struct fg_sink_picture *given) {
    struct fg_storage *s = store;
    const struct fg_frame *frame = &given->frame;
    const int32_t height = given->bundle->spec.height, width = given->bundle->spec.width;
    const size_t pixels = (size_t)height * (size_t)width;
    struct slot *slot = &s->slot[s->fill];
    const bool fits =
        fg_pixel_frame_bytes(frame->format, frame->height, fg_pixel_row_bytes(frame->format, frame->width)) <=
            s->frame_bytes &&
        pixels <= s->map_pixels;
    if (atomic_load_explicit(&slot->full, memory_order_acquire) || !fits) {
        drop(s, &s->dropped_pictures, "pictures");
        if (given->asked) {
            atomic_store(&s->asked_failed, true);
            end_asked(s, given->last);
        }
        return;
    }
    slot->last = given->last;
    slot->picture.result = *given->result;
    slot->picture.view = given->view;
    slot->picture.view_name = s->config->view[given->view].name;
    slot->picture.asked = given->asked;
    slot->picture.checksum = given->checksum;
    memcpy(slot->picture.bundle, given->bundle->provenance.name, sizeof slot->picture.bundle - 1);
    copy_frame(slot, frame);
    slot->picture.map = given->map ? slot->map : NULL;
    slot->picture.map_height = height;
    slot->picture.map_width = width;
    if (given->map)
        memcpy(slot->map, given->map, pixels * sizeof *slot->map);
    atomic_store_explicit(&slot->full, true, memory_order_release);
    s->fill = (s->fill + 1) % s->slots;
    fg_event_signal(s->wake);
}

static void tell_state(void *store, struct fg_sink_state *state) {
    struct fg_storage *s = store;
    state->degraded = atomic_load(&s->drops) != atomic_load(&s->seen) || atomic_load(&s->pictures_fail.now) ||
                      atomic_load(&s->scores_fail.now) || atomic_load(&s->metrics_fail.now);
    state->saved = atomic_load(&s->saved);
    state->unsaved = atomic_load(&s->unsaved);
    for (uint32_t v = 0; v < FG_VIEWS; v++)
        state->proposed[v] = atomic_load(&s->proposal[v].threshold);
}

/* ---- The thread: the disk ---- */

/* Logs a failure when it is the first, and the first success after it. */
static bool note(struct trouble *trouble, enum fg_status status, const struct fg_message *message) {
    const bool failed = status != FG_OK;
    if (atomic_exchange(&trouble->now, failed) != failed) {
        if (failed)
            fg_log(FG_LOG_ERROR, "store: %s cannot be written: %s", trouble->what, message->text);
        else
            fg_log(FG_LOG_INFO, "store: %s can be written again", trouble->what);
    }
    return !failed;
}

/* Whether it is time to open what cannot be written now. */
static bool is_reopened(struct trouble *trouble) {
    const int64_t now = fg_clock_ns();
    if (trouble->usable || now < trouble->reopen_ns)
        return false;
    trouble->reopen_ns = now + REOPEN_EVERY;
    return true;
}

static void open_scores(struct fg_storage *s) {
    char path[FG_PICTURES_PATH];
    struct fg_message message;
    fg_scores_close(&s->scores);
    snprintf(path, sizeof path, "%s/%s", s->config->store.path, FG_STORAGE_SCORES);
    s->scores_fail.usable = note(&s->scores_fail, fg_scores_open(&s->scores, path, ROOM, &message), &message);
}

/* A folder that can be read is not yet a disk that can be written: a picture shows that. */
static void open_pictures(struct fg_storage *s) {
    struct fg_message message;
    const enum fg_status status = fg_pictures_open(&s->pictures, &message);
    s->pictures_fail.usable = status == FG_OK || note(&s->pictures_fail, status, &message);
}

static void log_score(struct fg_storage *s, const struct fg_score *score) {
    struct fg_message message;
    struct trouble *fail = &s->scores_fail;
    if (!*s->config->store.path)
        return;
    fail->usable = fail->usable && note(fail, fg_scores_add(&s->scores, score, &message), &message);
    atomic_fetch_add(fail->usable ? &s->logged : &s->dropped_scores, 1);
}

static void store_picture(struct fg_storage *s, const struct slot *slot) {
    struct fg_message message;
    struct trouble *fail = &s->pictures_fail;
    fail->usable =
        fail->usable && note(fail, fg_pictures_write(&s->pictures, &slot->picture, &message), &message);
    if (fail->usable)
        fg_pictures_trim(&s->pictures, fg_clock_unix_ms());
    atomic_fetch_add(fail->usable ? &s->stored : &s->dropped_pictures, 1);
    if (!slot->picture.asked)
        return;
    if (!fail->usable)
        atomic_store(&s->asked_failed, true);
    end_asked(s, slot->last);
}

/* ---- The thread: its loop ---- */

static void take_entries(struct fg_storage *s) {
    uint32_t taken = atomic_load_explicit(&s->taken, memory_order_relaxed);
    while (taken != atomic_load_explicit(&s->put, memory_order_acquire)) {
        const struct entry *entry = &s->queue[taken % QUEUE];
        const struct fg_score *score = &entry->score;
        struct fg_proposal *proposal = &s->proposal[score->view];
        if (entry->loaded) {
            fg_setup_name_view(s->config, score->view, proposal->view);
            fg_proposal_begin(proposal, score->threshold, entry->false_rejects, entry->local);
        } else {
            log_score(s, score);
            fg_proposal_add(proposal, score->score);
        }
        atomic_store_explicit(&s->taken, ++taken, memory_order_release);
    }
}

/* Takes one picture; false: there is none. */
static bool take_picture(struct fg_storage *s) {
    struct slot *slot = &s->slot[s->empty];
    if (!s->slots || !atomic_load_explicit(&slot->full, memory_order_acquire))
        return false;
    store_picture(s, slot);
    atomic_store_explicit(&slot->full, false, memory_order_release);
    s->empty = (s->empty + 1) % s->slots;
    return true;
}

static void write_metrics(struct fg_storage *s) {
    struct fg_snapshot snapshot;
    struct fg_message message;
    const struct fg_store_counts counts = {.pictures = atomic_load(&s->stored),
                                           .dropped_pictures = atomic_load(&s->dropped_pictures),
                                           .scores = atomic_load(&s->logged),
                                           .dropped_scores = atomic_load(&s->dropped_scores)};
    fg_snapshot_read(s->cell, &snapshot);
    note(&s->metrics_fail, fg_metrics_write(s->config->store.metrics, &snapshot, &counts, &message),
         &message);
}

/* Whether a time has come; it comes again after as long. */
static bool is_due(int64_t *due_ns, int64_t every_ns, int64_t now_ns) {
    if (now_ns < *due_ns)
        return false;
    *due_ns = now_ns + every_ns;
    return true;
}

static void tick(struct fg_storage *s, bool last) {
    struct fg_message message;
    const int64_t now = fg_clock_ns();
    if (*s->config->store.path) {
        if (is_reopened(&s->scores_fail)) {
            mkdir(s->config->store.path, 0777); /* where that fails, opening says why */
            open_scores(s);
        }
        if (is_reopened(&s->pictures_fail))
            open_pictures(s);
        if (s->scores_fail.usable && (is_due(&s->tick_ns, TICK, now) || last) && s->scores.dirty)
            s->scores_fail.usable = note(&s->scores_fail, fg_scores_flush(&s->scores, &message), &message);
        if (s->pictures_fail.usable && is_due(&s->trim_ns, TRIM_EVERY, now))
            fg_pictures_trim(&s->pictures, fg_clock_unix_ms());
    }
    if (*s->config->store.metrics && (is_due(&s->metrics_ns, METRICS_EVERY, now) || last))
        write_metrics(s);
}

static void *run_store(void *argument) {
    struct fg_storage *s = argument;
    setpriority(PRIO_PROCESS, 0, NICE); /* of this thread: compressing waits for the judge */
    for (;;) {
        struct pollfd wake = {.fd = s->wake, .events = POLLIN};
        tick(s, false);
        poll(&wake, 1, (int)(TICK / FG_MS));
        fg_event_take(s->wake);
        const bool quit = atomic_load(&s->quit);
        const uint32_t drops = atomic_load(&s->drops);
        do
            take_entries(s);
        while (take_picture(s));
        atomic_store(&s->seen, drops);
        if (quit)
            break;
    }
    tick(s, true);
    return NULL;
}

/* ---- Opening and closing ---- */

enum fg_status fg_storage_open(const struct fg_config *config, const struct fg_memory_plan *plan,
                               void *memory, struct fg_storage **store, struct fg_message *message) {
    struct fg_storage *s = memory;
    unsigned char *at = (unsigned char *)memory + fg_size_align(sizeof *s);
    s->config = config;
    s->sink = (struct fg_sink){.store = s,
                               .loaded = note_bundle,
                               .want = want_pictures,
                               .record = record_part,
                               .keep = *config->store.path ? keep_picture : NULL,
                               .state = tell_state};
    s->scores.descriptor = -1;
    s->pictures_fail.what = "pictures";
    s->scores_fail.what = "the score log";
    s->metrics_fail.what = "the metrics";
    if (*config->store.path) {
        char folder[FG_PICTURES_PATH];
        int32_t width, height;
        find_largest(config, &width, &height);
        snprintf(folder, sizeof folder, "%s/%s", config->store.path, FG_STORAGE_PICTURES);
        fg_pictures_begin(&s->pictures, at, width, height, folder, config->store.quota_mib,
                          config->store.days);
        at += fg_pictures_memory(width, height);
        s->frame_bytes = measure_frame(config);
        s->map_pixels = plan->map_pixels;
        s->slots = config->views + SPARE_SLOTS;
    }
    for (uint32_t i = 0; i < s->slots; i++) {
        s->slot[i].pixels = at;
        s->slot[i].map = (float *)(void *)(at + s->frame_bytes);
        at += s->frame_bytes + measure_map(plan);
    }
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake < 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "store: cannot make a descriptor");
    *store = s;
    return FG_OK;
}

const struct fg_sink *fg_storage_sink(const struct fg_storage *store) {
    return &store->sink;
}

enum fg_status fg_storage_start(struct fg_storage *store, struct fg_snapshot_cell *cell,
                                struct fg_message *message) {
    store->cell = cell;
    const int error = pthread_create(&store->thread, NULL, run_store, store);
    store->running = !error;
    return error ? fg_fail_errno(message, FG_ENVIRONMENT, error, "store: cannot start its thread") : FG_OK;
}

bool fg_storage_close(struct fg_storage *store) {
    if (!store)
        return true;
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    atomic_store(&store->quit, true);
    fg_event_signal(store->wake);
    if (store->running && pthread_timedjoin_np(store->thread, NULL, &end)) {
        fg_log(FG_LOG_ERROR, "store: the disk hangs; what waits for %s is lost", store->config->store.path);
        return false;
    }
    fg_scores_close(&store->scores);
    close(store->wake);
    return true;
}
