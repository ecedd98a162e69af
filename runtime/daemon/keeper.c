/* Reads and writes the file of the state directory. */
#include "runtime/daemon/keeper.h"

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
#include "runtime/base/system.h"

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
static enum fg_status read_kept(struct fg_keeper *keeper, struct fg_message *message) {
    char text[TEXT_SIZE] = "", again[TEXT_SIZE];
    struct kept *k = &keeper->kept;
    const int file = open(keeper->path, O_RDONLY | O_CLOEXEC);
    if (file < 0 && errno == ENOENT)
        return FG_OK;
    if (file < 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "state.path: cannot open %.300s", keeper->path);
    const ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    const int found = size > 0 ? sscanf(text, FORMAT, &k->starts, &k->ids, &k->running, &k->written) : 0;
    snprintf(again, sizeof again, FORMAT, k->starts, k->ids, k->running, k->written);
    if (found == 4 && !strcmp(text, again))
        return FG_OK;
    return fg_fail(
        message, FG_INPUT,
        "state.path: %.300s is damaged; remove it: the start counter and the parts' ids then begin at 1 "
        "again",
        keeper->path);
}

static enum fg_status write_kept(const struct fg_keeper *keeper, const struct kept *k,
                                 struct fg_message *message) {
    char text[TEXT_SIZE];
    struct fg_file file;
    const int size = snprintf(text, sizeof text, FORMAT, k->starts, k->ids, k->running, k->written);
    enum fg_status status = fg_file_create(&file, keeper->path, message);
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
static uint32_t count_left(const struct fg_keeper *keeper) {
    return atomic_load(&keeper->reserved) - atomic_load(&keeper->last_id);
}

static bool is_stale(const struct fg_keeper *keeper) {
    return count_left(keeper) < LOW || count_left(keeper) > BLOCK + LOW ||
           atomic_load(&keeper->written) != atomic_load(&keeper->written_down);
}

/* Writes what the line has told, with a new block of ids. */
static bool bring_up_to_date(struct fg_keeper *keeper) {
    struct fg_message message;
    keeper->kept.ids = atomic_load(&keeper->last_id) + BLOCK;
    keeper->kept.written = atomic_load(&keeper->written);
    if (write_kept(keeper, &keeper->kept, &message) != FG_OK) {
        fg_log(FG_LOG_ERROR, "state.path: %s", message.text);
        return false;
    }
    atomic_store(&keeper->reserved, keeper->kept.ids);
    atomic_store(&keeper->written_down, keeper->kept.written);
    return true;
}

static void *write_changes(void *argument) {
    struct fg_keeper *keeper = argument;
    struct pollfd wake = {.fd = keeper->wake, .events = POLLIN};
    int64_t retry_ns = 0; /* no attempt before it, however often the line tells */
    while (!atomic_load(&keeper->quit)) {
        poll(&wake, 1, is_stale(keeper) ? RETRY_MS : -1);
        fg_event_take(keeper->wake);
        if (is_stale(keeper) && fg_clock_ns() >= retry_ns && !bring_up_to_date(keeper))
            retry_ns = fg_clock_ns() + RETRY_MS * FG_MS;
    }
    return NULL;
}

void fg_keeper_tell(void *context, uint32_t last_id, uint32_t written) {
    struct fg_keeper *keeper = context;
    const bool newer = last_id != atomic_exchange(&keeper->last_id, last_id);
    const bool more = written != atomic_exchange(&keeper->written, written);
    if ((newer || more) && is_stale(keeper))
        fg_event_signal(keeper->wake);
}

/* ---- Opening and closing ---- */

static enum fg_status lock_folder(struct fg_keeper *keeper, const char *folder, struct fg_message *message) {
    char path[4096];
    if (snprintf(keeper->path, sizeof keeper->path, "%s/state", folder) >= (int)sizeof keeper->path)
        return fg_fail(message, FG_ENVIRONMENT, "state.path: the path of %.100s... is too long", folder);
    struct fg_message why;
    if (fg_system_folder(folder, FG_CONFIG_STATE_BYTES, &why) != FG_OK)
        return fg_fail(message, FG_ENVIRONMENT, "state.path: %s", why.text);
    if (mkdir(folder, 0750) && errno != EEXIST)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "state.path: cannot make the folder %.300s",
                             folder);
    snprintf(path, sizeof path, "%.4080s/" FG_CONFIG_STATE_LOCK, folder);
    keeper->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (keeper->lock < 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "state.path: cannot write in the folder %.300s",
                             folder);
    if (flock(keeper->lock, LOCK_EX | LOCK_NB))
        return fg_fail(message, FG_ENVIRONMENT,
                       "state.path: another flawgated uses the folder %.300s: end it, or name another folder",
                       folder);
    return FG_OK;
}

enum fg_status fg_keeper_open(const char *folder, struct fg_keeper **keeper, struct fg_message *message) {
    struct fg_keeper *s = calloc(1, sizeof *s);
    if (!s)
        return fg_fail(message, FG_ENVIRONMENT, "state.path: no memory");
    s->lock = -1;
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum fg_status status = s->wake < 0
                                ? fg_fail_errno(message, FG_ENVIRONMENT, errno, "state.path: no descriptor")
                                : lock_folder(s, folder, message);
    if (status == FG_OK)
        status = read_kept(s, message);
    if (status == FG_OK) {
        atomic_store(&s->last_id, s->kept.ids);
        atomic_store(&s->written, s->kept.written);
        *keeper = s;
    } else {
        fg_keeper_close(s, false);
    }
    return status;
}

struct fg_line_kept fg_keeper_kept(const struct fg_keeper *keeper) {
    return (struct fg_line_kept){.starts = keeper->kept.starts + 1,
                                 .last_id = keeper->kept.ids,
                                 .unclean = keeper->kept.running,
                                 .written = keeper->kept.written};
}

enum fg_status fg_keeper_begin(struct fg_keeper *keeper, struct fg_message *message) {
    keeper->kept.starts++;
    keeper->kept.running = 1;
    keeper->kept.ids += BLOCK;
    const enum fg_status status = write_kept(keeper, &keeper->kept, message);
    if (status != FG_OK)
        return status;
    atomic_store(&keeper->reserved, keeper->kept.ids);
    atomic_store(&keeper->written_down, keeper->kept.written);
    const int error = pthread_create(&keeper->thread, NULL, write_changes, keeper);
    keeper->begun = !error;
    return error ? fg_fail_errno(message, FG_ENVIRONMENT, error, "state.path: cannot start its thread")
                 : FG_OK;
}

void fg_keeper_close(struct fg_keeper *keeper, bool drained) {
    if (!keeper)
        return;
    if (keeper->begun) {
        atomic_store(&keeper->quit, true);
        fg_event_signal(keeper->wake);
        pthread_join(keeper->thread, NULL);
    }
    if (keeper->begun && drained) {
        struct fg_message message;
        keeper->kept.running = 0;
        keeper->kept.ids = atomic_load(&keeper->last_id);
        keeper->kept.written = atomic_load(&keeper->written);
        if (write_kept(keeper, &keeper->kept, &message) != FG_OK)
            fg_log(FG_LOG_ERROR, "state.path: %s", message.text);
    }
    if (keeper->lock >= 0)
        close(keeper->lock);
    if (keeper->wake >= 0)
        close(keeper->wake);
    free(keeper);
}
