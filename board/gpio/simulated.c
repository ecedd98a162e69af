/* The simulated board: its shared file and FIFO, the driver that owns them, and the side of those that
 * join. */
#include "board/gpio/simulated.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/system.h"

#define MAGIC 0x31424746u /* "FGB1" read as little-endian */
#define PATH_SIZE 4096

/* One place of the ring. stamp is the change's sequence + 1, stored last. */
struct place {
    _Atomic uint64_t stamp;
    _Atomic uint32_t io, level;
    _Atomic int64_t time_ns;
};

/* The file `lines`. */
struct shared {
    _Atomic uint32_t magic; /* stored last */
    uint32_t count;
    struct fg_io io[FG_BOARD_IOS];
    _Atomic uint32_t level[FG_BOARD_IOS];
    _Atomic uint32_t wake; /* futex: moves with every change */
    _Atomic uint64_t changes;
    struct place place[FG_SIMULATED_CHANGES];
};

/* What the FIFO carries; shorter than PIPE_BUF, so it is written and read whole. */
struct record {
    uint32_t io, level;
    int64_t time_ns;
};

struct fg_simulated {
    struct fg_board board; /* what the owner is given */
    struct fg_edges edges;
    struct fg_outputs outputs;
    struct shared *shared;
    uint32_t count;
    struct fg_io io[FG_BOARD_IOS]; /* a copy that was checked */
    int file, fifo;
    uint32_t sequence[FG_BOARD_IOS];
    _Atomic bool released; /* the outputs are safe for good */
};

/* ---- Edges ---- */

static bool take_edge(struct fg_edges *edges, struct fg_edge *edge) {
    struct fg_simulated *board =
        (struct fg_simulated *)((char *)edges - offsetof(struct fg_simulated, edges));
    struct record record;
    while (read(board->fifo, &record, sizeof record) == (ssize_t)sizeof record) {
        if (record.io >= board->count || board->io[record.io].output)
            continue;
        const int64_t now = fg_clock_ns();
        *edge = (struct fg_edge){.io = record.io,
                                 .level = (record.level != 0) != board->io[record.io].active_low,
                                 .time_ns = record.time_ns < now ? record.time_ns : now,
                                 .sequence = ++board->sequence[record.io]};
        return true;
    }
    return false;
}

enum fg_status fg_simulated_drive(struct fg_simulated *board, uint32_t io, bool level,
                                  struct fg_message *message) {
    assert(io < board->count);
    const char *name = board->io[io].name;
    if (board->io[io].output)
        return fg_fail(message, FG_USAGE, "io %s is an output: it can be read, not driven", name);
    if (board->fifo < 0)
        return fg_fail(message, FG_ENVIRONMENT, "io %s: nobody reads it; is flawgated running?", name);
    if (atomic_exchange(&board->shared->level[io], level) == (uint32_t)level)
        return FG_OK;
    const struct record record = {io, level, fg_clock_ns()};
    if (write(board->fifo, &record, sizeof record) == (ssize_t)sizeof record)
        return FG_OK;
    const int error = errno;
    atomic_store(&board->shared->level[io], !level);
    return fg_fail_errno(message, FG_ENVIRONMENT, error, "io %s: its reader does not take the edge", name);
}

/* ---- Outputs ---- */

/* Async-signal-safe, and safe from several threads at once: each change reserves its own place. */
static void set_wire(struct shared *shared, uint32_t io, bool level) {
    if (atomic_exchange(&shared->level[io], level) == (uint32_t)level)
        return;
    const uint64_t sequence = atomic_fetch_add(&shared->changes, 1);
    struct place *place = &shared->place[sequence % FG_SIMULATED_CHANGES];
    atomic_store(&place->stamp, 0);
    atomic_store(&place->io, io);
    atomic_store(&place->level, level);
    atomic_store(&place->time_ns, fg_clock_ns());
    atomic_store(&place->stamp, sequence + 1);
    atomic_fetch_add(&shared->wake, 1);
    syscall(SYS_futex, &shared->wake, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static struct fg_simulated *get_owner(struct fg_outputs *outputs) {
    return (struct fg_simulated *)((char *)outputs - offsetof(struct fg_simulated, outputs));
}

static enum fg_status set_output(struct fg_outputs *outputs, uint32_t io, bool level, int64_t time_ns,
                                 struct fg_message *message) {
    (void)message;
    struct fg_simulated *board = get_owner(outputs);
    assert(io < board->count && board->io[io].output);
    const struct timespec at = {.tv_sec = time_ns / FG_S, .tv_nsec = time_ns % FG_S};
    if (time_ns > fg_clock_ns())
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
            ;
    set_wire(board->shared, io, !atomic_load(&board->released) && level != board->io[io].active_low);
    if (atomic_load(&board->released)) /* since the look at it above */
        set_wire(board->shared, io, false);
    return FG_OK;
}

void fg_simulated_make_safe(struct fg_simulated *board) {
    for (uint32_t i = 0; i < board->count; i++)
        if (board->io[i].output)
            set_wire(board->shared, i, false);
}

static void release_outputs(struct fg_outputs *outputs) {
    atomic_store(&get_owner(outputs)->released, true);
    fg_simulated_make_safe(get_owner(outputs));
}

bool fg_simulated_owned(struct fg_simulated *board) {
    return flock(board->file, LOCK_SH | LOCK_NB) != 0;
}

uint64_t fg_simulated_changes(const struct fg_simulated *board) {
    return atomic_load(&board->shared->changes);
}

enum fg_status fg_simulated_change(struct fg_simulated *board, uint64_t sequence, int64_t deadline_ns,
                                   struct fg_simulated_change *change, struct fg_message *message) {
    struct shared *shared = board->shared;
    struct place *place = &shared->place[sequence % FG_SIMULATED_CHANGES];
    for (;;) {
        const uint32_t wake = atomic_load(&shared->wake);
        const uint64_t stamp = atomic_load(&place->stamp);
        if (stamp == sequence + 1) {
            *change = (struct fg_simulated_change){.sequence = sequence,
                                                   .io = atomic_load(&place->io),
                                                   .level = atomic_load(&place->level) != 0,
                                                   .time_ns = atomic_load(&place->time_ns)};
            if (atomic_load(&place->stamp) == stamp && change->io < board->count)
                return FG_OK;
        }
        if (atomic_load(&shared->changes) > sequence + FG_SIMULATED_CHANGES)
            return fg_fail(message, FG_INPUT, "output change %llu is no longer kept",
                           (unsigned long long)sequence);
        const int64_t left = deadline_ns - fg_clock_ns();
        if (left <= 0)
            return fg_fail(message, FG_TIMEOUT, "no output has changed");
        const struct timespec patience = {.tv_sec = left / FG_S, .tv_nsec = left % FG_S};
        syscall(SYS_futex, &shared->wake, FUTEX_WAIT, wake, &patience, NULL, 0);
    }
}

/* ---- Opening ---- */

static enum fg_status make_path(char *path, const char *folder, const char *name,
                                struct fg_message *message) {
    if (snprintf(path, PATH_SIZE, "%s/%s", folder, name) >= PATH_SIZE)
        return fg_fail(message, FG_INPUT, "board: the path of %s is too long", folder);
    return FG_OK;
}

static enum fg_status allocate_board(struct fg_simulated **board, struct fg_message *message) {
    *board = calloc(1, sizeof **board);
    if (!*board)
        return fg_fail(message, FG_ENVIRONMENT, "board: no memory");
    (*board)->file = (*board)->fifo = -1;
    return FG_OK;
}

/* Maps `lines`, all of whose bytes are taken from the file system first: a full one would end the process
 * when a byte is touched. */
static enum fg_status map_file(struct fg_simulated *board, const char *path, struct fg_message *message) {
    const int error = posix_fallocate(board->file, 0, sizeof *board->shared);
    if (error)
        return fg_fail_errno(message, FG_ENVIRONMENT, error,
                             "board: %s needs %zu bytes: remove other files there, or name another folder "
                             "as board.path",
                             path, sizeof *board->shared);
    void *memory = mmap(NULL, sizeof *board->shared, PROT_READ | PROT_WRITE, MAP_SHARED, board->file, 0);
    if (memory == MAP_FAILED || !memory)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "board: cannot map %s", path);
    board->shared = memory;
    return FG_OK;
}

static bool has_same_ios(const struct shared *shared, const struct fg_simulated *board) {
    return atomic_load(&shared->magic) == MAGIC && shared->count == board->count &&
           !memcmp(shared->io, board->io, sizeof board->io);
}

/* Takes hold of `lines` for the owner: a new file, or one left behind, whose change numbers and input levels
 * go on when it has the same ios. */
static enum fg_status own_file(struct fg_simulated *board, const char *folder, struct fg_message *message) {
    char path[PATH_SIZE];
    enum fg_status status = make_path(path, folder, "lines", message);
    if (status != FG_OK)
        return status;
    board->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0660);
    if (board->file < 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "board: cannot make %s", path);
    if (flock(board->file, LOCK_EX | LOCK_NB))
        return fg_fail(message, FG_ENVIRONMENT,
                       "board: another process owns %s; end it, or name another folder", folder);
    if (ftruncate(board->file, sizeof *board->shared))
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "board: cannot size %s", path);
    status = map_file(board, path, message);
    if (status != FG_OK)
        return status;
    if (!has_same_ios(board->shared, board)) {
        memset(board->shared, 0, sizeof *board->shared);
        board->shared->count = board->count;
        memcpy(board->shared->io, board->io, sizeof board->io);
        atomic_store(&board->shared->magic, MAGIC);
    }
    fg_simulated_make_safe(board);
    return FG_OK;
}

static enum fg_status own_fifo(struct fg_simulated *board, const char *folder, struct fg_message *message) {
    char path[PATH_SIZE];
    enum fg_status status = make_path(path, folder, "edges", message);
    if (status != FG_OK)
        return status;
    if (mkfifo(path, 0660) && errno != EEXIST)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "board: cannot make %s", path);
    /* Open for writing too: it stays open when the last driver leaves. */
    board->fifo = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    struct stat found;
    if (board->fifo < 0 || fstat(board->fifo, &found) || !S_ISFIFO(found.st_mode))
        return fg_fail(message, FG_ENVIRONMENT, "board: %s cannot be opened as a FIFO; remove it", path);
    struct record old;
    while (read(board->fifo, &old, sizeof old) > 0)
        ; /* edges from before */
    board->edges.descriptor = board->fifo;
    return FG_OK;
}

static enum fg_status check_rights(const char *path, struct fg_message *message) {
    return faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0
               ? FG_OK
               : fg_fail_errno(message, FG_ENVIRONMENT, errno, "board: this user cannot read and write %s",
                               path);
}

/* Says whether the board's files are there or can be made. Nothing is opened: the board may be in use. */
static enum fg_status check_place(const char *folder, struct fg_message *message) {
    char path[PATH_SIZE];
    struct stat found;
    enum fg_status status = make_path(path, folder, "edges", message);
    if (status == FG_OK && stat(path, &found) == 0)
        status = !S_ISFIFO(found.st_mode)
                     ? fg_fail(message, FG_ENVIRONMENT, "board: %s is no FIFO: remove it", path)
                     : check_rights(path, message);
    if (status != FG_OK || (status = make_path(path, folder, "lines", message)) != FG_OK)
        return status;
    const bool made = stat(path, &found) == 0;
    if (made && !S_ISREG(found.st_mode))
        return fg_fail(message, FG_ENVIRONMENT, "board: %s is no file: remove it", path);
    if (made && (status = check_rights(path, message)) != FG_OK)
        return status;
    const bool whole = made && found.st_blocks * 512 >= (off_t)sizeof(struct shared);
    status = fg_system_folder(folder, whole ? 0 : sizeof(struct shared), message);
    return status == FG_OK ? FG_OK : fg_fail_in(message, status, "board");
}

static enum fg_status probe_board(const void *settings, int32_t *owner, struct fg_message *message) {
    const char *folder = ((const struct fg_simulated_settings *)settings)->path;
    char path[PATH_SIZE];
    const enum fg_status status = make_path(path, folder, "lines", message);
    *owner = status == FG_OK ? fg_system_lock_holder(path) : 0;
    return status == FG_OK ? check_place(folder, message) : status;
}

static void close_board(struct fg_board *board) {
    fg_simulated_close((struct fg_simulated *)board);
}

static enum fg_status open_board(const void *settings, const struct fg_io *ios, uint32_t count,
                                 struct fg_board **board, struct fg_message *message) {
    const char *folder = ((const struct fg_simulated_settings *)settings)->path;
    assert(count <= FG_BOARD_IOS);
    struct fg_simulated *b = NULL;
    enum fg_status status = allocate_board(&b, message);
    if (status != FG_OK)
        return status;
    b->count = count;
    for (uint32_t i = 0; i < count; i++) {
        /* Field by field, so that the bytes behind a name and between fields are zero and can be compared. */
        snprintf(b->io[i].name, sizeof b->io[i].name, "%s", ios[i].name);
        b->io[i].output = ios[i].output;
        b->io[i].active_low = ios[i].active_low;
    }
    b->edges.next = take_edge;
    b->outputs = (struct fg_outputs){.set = set_output, .safe = release_outputs};
    b->board = (struct fg_board){.edges = &b->edges, .outputs = &b->outputs, .close = close_board};
    status = check_place(folder, message);
    if (status == FG_OK && mkdir(folder, 0770) && errno != EEXIST)
        status = fg_fail_errno(message, FG_ENVIRONMENT, errno, "board: cannot make the folder %s", folder);
    if (status == FG_OK)
        status = own_file(b, folder, message);
    if (status == FG_OK)
        status = own_fifo(b, folder, message);
    if (status == FG_OK)
        *board = &b->board;
    else
        fg_simulated_close(b);
    return status;
}

static void check_settings(const void *settings, struct fg_report *report) {
    const char *folder = ((const struct fg_simulated_settings *)settings)->path;
    if (!*folder)
        fg_report_add(report, "board.path is missing: the folder of the simulated board");
}

static const struct fg_option KEYS[] = {
    {"path", FG_OPTION_PATH, offsetof(struct fg_simulated_settings, path), "/run/flawgate/board",
     .size = FG_BOARD_PATH, .help = "the board's folder"},
};

const struct fg_board_driver fg_simulated_driver = {.name = "simulated",
                                                    .keys = FG_OPTIONS(KEYS),
                                                    .settings = sizeof(struct fg_simulated_settings),
                                                    .check = check_settings,
                                                    .probe = probe_board,
                                                    .open = open_board};

/* ---- The other side ---- */

enum fg_status fg_simulated_join(const char *folder, struct fg_simulated **board,
                                 struct fg_message *message) {
    char path[PATH_SIZE];
    struct fg_simulated *b = NULL;
    struct stat found;
    enum fg_status status = allocate_board(&b, message);
    if (status != FG_OK)
        return status;
    status = make_path(path, folder, "lines", message);
    if (status != FG_OK)
        goto out;
    b->file = open(path, O_RDWR | O_CLOEXEC);
    if (b->file < 0 || fstat(b->file, &found) || found.st_size != (off_t)sizeof *b->shared) {
        status = fg_fail(message, FG_ENVIRONMENT,
                         "board: there is no simulated board in %s: start flawgated first", folder);
        goto out;
    }
    status = map_file(b, path, message);
    if (status != FG_OK)
        goto out;
    if (atomic_load(&b->shared->magic) != MAGIC || b->shared->count > FG_BOARD_IOS) {
        status = fg_fail(message, FG_INPUT, "board: %s is no simulated board's file", path);
        goto out;
    }
    b->count = b->shared->count;
    memcpy(b->io, b->shared->io, sizeof b->io);
    for (uint32_t i = 0; i < b->count; i++)
        b->io[i].name[FG_BOARD_NAME - 1] = 0;
    /* Without an owner there is no reader: levels can still be read, and outputs made safe. */
    status = make_path(path, folder, "edges", message);
    if (status == FG_OK)
        b->fifo = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
out:
    if (status == FG_OK)
        *board = b;
    else
        fg_simulated_close(b);
    return status;
}

void fg_simulated_close(struct fg_simulated *board) {
    if (!board)
        return;
    if (board->shared)
        munmap(board->shared, sizeof *board->shared);
    if (board->fifo >= 0)
        close(board->fifo);
    if (board->file >= 0)
        close(board->file);
    free(board);
}

/* ---- What it is ---- */

int32_t fg_simulated_find(const struct fg_simulated *board, const char *name) {
    for (uint32_t i = 0; i < board->count; i++)
        if (!strcmp(board->io[i].name, name))
            return (int32_t)i;
    return -1;
}

uint32_t fg_simulated_count(const struct fg_simulated *board) {
    return board->count;
}

const struct fg_io *fg_simulated_io(const struct fg_simulated *board, uint32_t io) {
    assert(io < board->count);
    return &board->io[io];
}

bool fg_simulated_level(const struct fg_simulated *board, uint32_t io) {
    assert(io < board->count);
    return atomic_load(&board->shared->level[io]) != 0;
}
