/* The simulated board: ios by name in a folder, driven and watched from other processes.
 *
 * The folder holds `lines`, a file that every process maps: each io's level and a ring of the last output
 * changes; and `edges`, a FIFO through which input edges reach the process that owns the board. Levels stay
 * when that process dies, as they do on a real chip. Names are those of the configuration. Levels here are
 * the wire's; where an io is active-low the interfaces of edges.h and outputs.h turn them.
 *
 * Errors: FG_ENVIRONMENT for a board that is not there or that nobody reads, FG_INPUT for a file that is no
 * board's and for a change that is no longer kept, FG_USAGE for driving an output, FG_TIMEOUT where nothing
 * has changed. Owner: who joins a board closes it. Thread: any; one at a time drives an io, so that its edges
 * keep their order. NULL: fg_simulated_close takes it; no other argument may be, but for a message. */
#ifndef FG_BOARD_GPIO_SIMULATED_H
#define FG_BOARD_GPIO_SIMULATED_H

#include "board/gpio/board.h"

#define FG_SIMULATED_CHANGES 1024

/* What its keys fill. */
struct fg_simulated_settings {
    char path[FG_BOARD_PATH]; /* the folder, which is made when it is missing */
};

/* The owner's side: open makes the board, or takes over one left by a process that died. */
extern const struct fg_board_driver fg_simulated_driver;

/* ---- The other side ---- */

/* A change of an output's wire level. */
struct fg_simulated_change {
    uint64_t sequence; /* from 0 since the board was made */
    uint32_t io;
    bool level;
    int64_t time_ns;
};

struct fg_simulated;

/* Joins a board that another process made. FG_ENVIRONMENT: there is none. */
FG_MUST_USE enum fg_status fg_simulated_join(const char *folder, struct fg_simulated **board,
                                             struct fg_message *message);
/* Leaves the board; its files stay. */
void fg_simulated_close(struct fg_simulated *board);

/* Finds the index of an io by its name; -1 when no io has it. */
int32_t fg_simulated_find(const struct fg_simulated *board, const char *name);
uint32_t fg_simulated_count(const struct fg_simulated *board);
const struct fg_io *fg_simulated_io(const struct fg_simulated *board, uint32_t io);
bool fg_simulated_level(const struct fg_simulated *board, uint32_t io);

/* Sets an input's wire level, now. FG_ENVIRONMENT: nobody owns the board, or its owner does not read.
 * FG_USAGE: the io is an output. Setting a level that it has makes no edge. */
FG_MUST_USE enum fg_status fg_simulated_drive(struct fg_simulated *board, uint32_t io, bool level,
                                              struct fg_message *message);

/* Whether a living process owns the board. Where none does, none can until this one leaves the board. */
bool fg_simulated_owned(struct fg_simulated *board);
/* Releases every output, for an owner that died without doing so. */
void fg_simulated_make_safe(struct fg_simulated *board);

/* How many output changes there were; and the change with a sequence number, waiting for it until deadline_ns
 * (fg_clock_ns). FG_TIMEOUT: it has not come; FG_INPUT: it is no longer in the ring. */
uint64_t fg_simulated_changes(const struct fg_simulated *board);
FG_MUST_USE enum fg_status fg_simulated_change(struct fg_simulated *board, uint64_t sequence,
                                               int64_t deadline_ns, struct fg_simulated_change *change,
                                               struct fg_message *message);

#endif
