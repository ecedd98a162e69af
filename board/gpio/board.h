/* The board: where edges come from and where output levels go. The program asks for ios by name and keeps
 * their indices.
 *
 * To add a board: write one file beside this header that opens it and ends with a struct fg_board_driver, and
 * add one line to drivers.c. Its keys are then known to the configuration, and what is wrong with them to
 * flawgate check. Nothing above board/ names a driver.
 *
 * Errors: FG_INPUT for wrong settings, FG_ENVIRONMENT for a board that is not there or belongs to another
 * process. Owner: who opens a board closes it; its edges and outputs end with it. Thread: one opens and
 * closes it; edges.h and outputs.h say theirs. NULL: only a message may be. */
#ifndef FG_BOARD_GPIO_BOARD_H
#define FG_BOARD_GPIO_BOARD_H

#include "board/gpio/edges.h"
#include "board/gpio/outputs.h"
#include "runtime/base/option.h"
#include "runtime/base/report.h"

#define FG_BOARD_IOS 16   /* most ios of one board */
#define FG_BOARD_NAME 32  /* bytes of an io's name, with the ending zero */
#define FG_BOARD_PATH 512 /* bytes of a path among a driver's settings, with the ending zero */

/* One GPIO line. Levels in edges.h and outputs.h are logical: where an io is active-low, the driver turns
 * them. */
struct fg_io {
    char name[FG_BOARD_NAME];
    bool output;
    bool active_low;
};

/* An open board. edges and outputs belong to it and live until close. */
struct fg_board {
    struct fg_edges *edges;
    struct fg_outputs *outputs;
    /* Ends the board; levels stay as they are, so outputs->safe is called first. */
    void (*close)(struct fg_board *board);
};

struct fg_board_driver {
    const char *name;       /* its name in the configuration: board.driver */
    struct fg_options keys; /* keys of the configuration's section beside driver */
    size_t settings;        /* bytes of the struct that the keys fill */
    /* Adds a line to the report for everything in the settings that cannot work; it opens nothing. */
    void (*check)(const void *settings, struct fg_report *report);
    /* Says whether open would find its board usable, and touches nothing. *owner gets the process that has
     * the board now, where that is known, else 0; who owns it is no failure. FG_ENVIRONMENT: it could not be
     * opened, and the message is that of open. */
    FG_MUST_USE enum fg_status (*probe)(const void *settings, int32_t *owner, struct fg_message *message);
    /* Opens the board with these ios, at most FG_BOARD_IOS, which edges and outputs then know by their index.
     * Outputs start released. FG_ENVIRONMENT: the board is not there or belongs to another process; FG_INPUT:
     * the settings are wrong. The settings and ios are not kept. */
    FG_MUST_USE enum fg_status (*open)(const void *settings, const struct fg_io *ios, uint32_t count,
                                       struct fg_board **board, struct fg_message *message);
};

#endif
