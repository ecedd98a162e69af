/* The test board: edges through a pipe, outputs in memory. */
#include "tests/support/board.h"

#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/clock.h"

struct test_board {
    struct fg_board board;
    struct fg_edges edges;
    struct fg_outputs outputs;
    int write_end;
    uint32_t ios, sequence[FG_BOARD_IOS];
    pthread_mutex_t lock; /* guards what follows */
    bool level[FG_BOARD_IOS], broken[FG_BOARD_IOS];
    uint32_t rises[FG_BOARD_IOS];
};

static struct test_board *lock_board(struct fg_board *board) {
    struct test_board *b = (struct test_board *)board;
    pthread_mutex_lock(&b->lock);
    return b;
}

static bool next_edge(struct fg_edges *edges, struct fg_edge *edge) {
    return read(edges->descriptor, edge, sizeof *edge) == (ssize_t)sizeof *edge;
}

static struct fg_board *owner(struct fg_outputs *outputs) {
    return (struct fg_board *)((char *)outputs - offsetof(struct test_board, outputs));
}

static enum fg_status set_output(struct fg_outputs *outputs, uint32_t io, bool level, int64_t time_ns,
                                 struct fg_message *message) {
    (void)time_ns; /* the actuation sets at once */
    struct test_board *b = lock_board(owner(outputs));
    const bool broken = b->broken[io];
    if (!broken) {
        b->rises[io] += level && !b->level[io];
        b->level[io] = level;
    }
    pthread_mutex_unlock(&b->lock);
    return broken ? fg_fail(message, FG_ENVIRONMENT, "test board: output %u is broken", io) : FG_OK;
}

static void make_safe(struct fg_outputs *outputs) {
    struct test_board *b = lock_board(owner(outputs));
    for (uint32_t i = 0; i < b->ios; i++)
        b->level[i] = false;
    pthread_mutex_unlock(&b->lock);
}

static void close_board(struct fg_board *board) {
    struct test_board *b = (struct test_board *)board;
    test_board_vanish(board);
    close(b->edges.descriptor);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

struct fg_board *test_board_open(uint32_t ios) {
    struct test_board *b = calloc(1, sizeof *b);
    int ends[2];
    if (!b || pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        abort();
    b->ios = ios;
    b->edges = (struct fg_edges){.descriptor = ends[0], .next = next_edge};
    b->outputs = (struct fg_outputs){.set = set_output, .safe = make_safe};
    b->board = (struct fg_board){.edges = &b->edges, .outputs = &b->outputs, .close = close_board};
    b->write_end = ends[1];
    pthread_mutex_init(&b->lock, NULL);
    return &b->board;
}

void test_board_edge(struct fg_board *board, uint32_t io, bool level, uint32_t lost) {
    struct test_board *b = (struct test_board *)board;
    b->sequence[io] += lost + 1;
    const struct fg_edge edge = {
        .io = io, .level = level, .time_ns = fg_clock_ns(), .sequence = b->sequence[io], .lost = lost};
    if (write(b->write_end, &edge, sizeof edge) != (ssize_t)sizeof edge)
        abort();
}

void test_board_vanish(struct fg_board *board) {
    struct test_board *b = (struct test_board *)board;
    if (b->write_end >= 0)
        close(b->write_end);
    b->write_end = -1;
}

void test_board_break(struct fg_board *board, uint32_t io, bool broken) {
    struct test_board *b = lock_board(board);
    b->broken[io] = broken;
    pthread_mutex_unlock(&b->lock);
}

bool test_board_level(struct fg_board *board, uint32_t io) {
    struct test_board *b = lock_board(board);
    const bool level = b->level[io];
    pthread_mutex_unlock(&b->lock);
    return level;
}

uint32_t test_board_rises(struct fg_board *board, uint32_t io) {
    struct test_board *b = lock_board(board);
    const uint32_t rises = b->rises[io];
    pthread_mutex_unlock(&b->lock);
    return rises;
}
