/* Reads and writes the file of the state directory. */
#include "runtime/daemon/state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "runtime/base/clock.h"
#include "runtime/base/event.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"

#define BLOCK 4096u    /* ids that are reserved at once */
#define LOW 2048u      /* reserved ids that are left when more are reserved */
#define RETRY_MS 10000 /* after a failure to write */
#define FORMAT "flawgate state 1\nstarts %u\nids %u\nrunning %u\nwritten %u\n"
#define TEXT_SIZE 128

/* What the file says. */
struct kept {
    uint32_t starts;
    uint32_t ids;     /* the last id that is used or reserved */
    uint32_t running; /* 1: a run has begun, and has not ended by a drain */
    uint32_t written; /* enum fg_line_written */
};

struct fg_keeper {
    char path[4096];
    int lock, wake;
    struct kept kept; /* the thread's, once it runs */
    pthread_t thread;
    bool begun;
    _Atomic bool quit;
    _Atomic uint32_t last_id, written, reserved; /* as the line told; as the file says */
    _Atomic uint32_t written_down;
};

/* ---- The file ---- */

/* Reads the file; one that is not there says nothing. */
static enum fg_status read_kept(struct fg_keeper *state, struct fg_message *message) {
    char text[TEXT_SIZE] = "", again[TEXT_SIZE];
    struct kept *k = &state->kept;
    const int file = open(state->path, O_RDONLY | O_CLOEXEC);
    if (file < 0 && errno == ENOENT)
        return FG_OK;
    if (file < 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "state: cannot open %.300s", state->path);
    const ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    const int found = size > 0 ? sscanf(text, FORMAT, &k->starts, &k->ids, &k->running, &k->written) : 0;
    snprintf(again, sizeof again, FORMAT, k->starts, k->ids, k->running, k->written);
    if (found == 4 && !strcmp(text, again))
        return FG_OK;
    return fg_fail(
        message, FG_INPUT,
        "state: %.300s is damaged; remove it: the start counter and the parts' ids then begin at 1 "
        "again",
        state->path);
}

static enum fg_status write_kept(const struct fg_keeper *state, const struct kept *k,
                                 struct fg_message *message) {
    char text[TEXT_SIZE];
    struct fg_file file;
    const int size = snprintf(text, sizeof text, FORMAT, k->starts, k->ids, k->running, k->written);
    enum fg_status status = fg_file_create(&file, state->path, message);
    if (status != FG_OK)
        return status;
    status = fg_file_write(&file, text, (size_t)size, message);
    if (status == FG_OK)
        return fg_file_commit(&file, message);
    fg_file_abandon(&file);
    return status;
}

/* ---- The thread ---- */

/* How many ids are reserved and not used. Ids wrap. */
static uint32_t count_left(const struct fg_keeper *state) {
    return atomic_load(&state->reserved) - atomic_load(&state->last_id);
}

static bool is_stale(const struct fg_keeper *state) {
    return count_left(state) < LOW || count_left(state) > BLOCK + LOW ||
           atomic_load(&state->written) != atomic_load(&state->written_down);
}

/* Writes what the line has told, with a new block of ids. */
static bool bring_up_to_date(struct fg_keeper *state) {
    struct fg_message message;
    state->kept.ids = atomic_load(&state->last_id) + BLOCK;
    state->kept.written = atomic_load(&state->written);
    if (write_kept(state, &state->kept, &message) != FG_OK) {
        fg_log(FG_LOG_ERROR, "state: %s", message.text);
        return false;
    }
    atomic_store(&state->reserved, state->kept.ids);
    atomic_store(&state->written_down, state->kept.written);
    return true;
}

static void *keep_state(void *argument) {
    struct fg_keeper *state = argument;
    struct pollfd wake = {.fd = state->wake, .events = POLLIN};
    int64_t retry_ns = 0; /* no attempt before it, however often the line tells */
    while (!atomic_load(&state->quit)) {
        poll(&wake, 1, is_stale(state) ? RETRY_MS : -1);
        fg_event_take(state->wake);
        if (is_stale(state) && fg_clock_ns() >= retry_ns && !bring_up_to_date(state))
            retry_ns = fg_clock_ns() + RETRY_MS * FG_MS;
    }
    return NULL;
}

void fg_keeper_tell(void *state_, uint32_t last_id, uint32_t written) {
    struct fg_keeper *state = state_;
    const bool newer = last_id != atomic_exchange(&state->last_id, last_id);
    const bool more = written != atomic_exchange(&state->written, written);
    if ((newer || more) && is_stale(state))
        fg_event_signal(state->wake);
}

/* ---- Opening and closing ---- */

static enum fg_status lock_folder(struct fg_keeper *state, const char *folder, struct fg_message *message) {
    char path[4096];
    if (snprintf(state->path, sizeof state->path, "%s/state", folder) >= (int)sizeof state->path)
        return fg_fail(message, FG_ENVIRONMENT, "state: the path of %.100s... is too long", folder);
    if (mkdir(folder, 0750) && errno != EEXIST)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno,
                             "state: cannot make the folder %.300s; make it, or name another by state.path",
                             folder);
    snprintf(path, sizeof path, "%.4080s/lock", folder);
    state->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (state->lock < 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno,
                             "state: cannot write into the folder %.300s; allow it, or name another by "
                             "state.path",
                             folder);
    if (flock(state->lock, LOCK_EX | LOCK_NB))
        return fg_fail(
            message, FG_ENVIRONMENT,
            "state: another flawgated uses the folder %.300s; end it, or name another by state.path", folder);
    return FG_OK;
}

enum fg_status fg_keeper_open(const char *folder, struct fg_keeper **state, struct fg_message *message) {
    struct fg_keeper *s = calloc(1, sizeof *s);
    if (!s)
        return fg_fail(message, FG_ENVIRONMENT, "state: no memory");
    s->lock = -1;
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum fg_status status = s->wake < 0
                                ? fg_fail_errno(message, FG_ENVIRONMENT, errno, "state: no descriptor")
                                : lock_folder(s, folder, message);
    if (status == FG_OK)
        status = read_kept(s, message);
    if (status == FG_OK) {
        atomic_store(&s->last_id, s->kept.ids);
        atomic_store(&s->written, s->kept.written);
        *state = s;
    } else {
        fg_keeper_close(s, false);
    }
    return status;
}

struct fg_line_kept fg_keeper_kept(const struct fg_keeper *state) {
    return (struct fg_line_kept){.starts = state->kept.starts + 1,
                                 .last_id = state->kept.ids,
                                 .unclean = state->kept.running,
                                 .written = state->kept.written};
}

enum fg_status fg_keeper_begin(struct fg_keeper *state, struct fg_message *message) {
    state->kept.starts++;
    state->kept.running = 1;
    state->kept.ids += BLOCK;
    const enum fg_status status = write_kept(state, &state->kept, message);
    if (status != FG_OK)
        return status;
    atomic_store(&state->reserved, state->kept.ids);
    atomic_store(&state->written_down, state->kept.written);
    const int error = pthread_create(&state->thread, NULL, keep_state, state);
    state->begun = !error;
    return error ? fg_fail_errno(message, FG_ENVIRONMENT, error, "state: cannot start its thread") : FG_OK;
}

void fg_keeper_close(struct fg_keeper *state, bool drained) {
    if (!state)
        return;
    if (state->begun) {
        atomic_store(&state->quit, true);
        fg_event_signal(state->wake);
        pthread_join(state->thread, NULL);
    }
    if (state->begun && drained) {
        struct fg_message message;
        state->kept.running = 0;
        state->kept.ids = atomic_load(&state->last_id);
        state->kept.written = atomic_load(&state->written);
        if (write_kept(state, &state->kept, &message) != FG_OK)
            fg_log(FG_LOG_ERROR, "state: %s", message.text);
    }
    if (state->lock >= 0)
        close(state->lock);
    if (state->wake >= 0)
        close(state->wake);
    free(state);
}
