/* A terminal that shows one text again and again, at its own size, and knows when its user wants to leave.
 *
 * The text is shown on the terminal's other screen, so that what stood before comes back at the end. No line
 * wraps and nothing scrolls: what has no room is left out.
 *
 * Errors: FG_ENVIRONMENT. Owner: who opens a screen closes it, before the program ends. Thread: one; while a
 * screen is open, the signals that end a program are waited for and end it only through FG_SCREEN_QUIT. NULL:
 * only a message may be. */
#ifndef FG_TOOLS_COMMANDS_SCREEN_H
#define FG_TOOLS_COMMANDS_SCREEN_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#include "runtime/base/status.h"

struct fg_screen {
    int signals;           /* descriptor that reads them */
    sigset_t mask;         /* signals that were blocked before */
    bool keys;             /* whether standard input is a terminal too, whose keys are heard */
    struct termios before; /* how it was set */
};

FG_MUST_USE enum fg_status fg_screen_open(struct fg_screen *screen, struct fg_message *message);
void fg_screen_close(struct fg_screen *screen);

/* Gives the width of the terminal now. */
uint32_t fg_screen_columns(void);

/* Shows a first line, which stands out where it is a warning, and under it what has room of the text. */
void fg_screen_paint(const char *first, bool warning, const char *text);

enum fg_screen_event { FG_SCREEN_TIME, FG_SCREEN_QUIT, FG_SCREEN_RESIZED };

/* Waits until deadline_ns (fg_clock_ns), for q or a signal that ends the program, or for another size. */
enum fg_screen_event fg_screen_wait(const struct fg_screen *screen, int64_t deadline_ns);

#endif
