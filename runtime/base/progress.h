/* What a person sees of work that takes more than two seconds: what is done, how far it is, and how much time
 * is left.
 *
 * It goes to standard error. On a terminal it is one line that is rewritten and taken away at the end.
 * Elsewhere (in a file, for a script) it is a line now and then: the first after two seconds, each next one
 * after twice the pause, up to a minute. The time left is what the rest takes when it goes on as before.
 *
 * Errors: none; a line that cannot be printed is lost. Owner: the caller, of struct and texts. Thread: one at
 * a time for one struct. NULL: no argument may be. */
#ifndef FG_RUNTIME_BASE_PROGRESS_H
#define FG_RUNTIME_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* What long functions call after each piece of their work, from one thread at a time. done: number of pieces
 * that are done, of count in all. */
typedef void fg_progress_function(void *argument, uint32_t done, uint32_t count);

/* fg_progress_begin fills it; callers leave its fields alone. */
struct fg_progress {
    const char *what; /* borrowed */
    bool quiet, terminal;
    bool shown;                            /* a line stands on the terminal */
    int64_t started_ns, next_ns, pause_ns; /* monotonic; nothing is shown before next_ns */
};

/* Starts the work's clock. what: the work as fg_progress_count shows it, "reading picture"; kept, not
 * copied. quiet: show nothing at all. */
void fg_progress_begin(struct fg_progress *progress, const char *what, bool quiet);

/* Shows "reading picture 3 of 20, 12 s left". progress is a struct fg_progress: an fg_progress_function. */
void fg_progress_count(void *progress, uint32_t done, uint32_t count);

/* Shows a text of the caller's, at most 200 bytes, and the time left. share: how much of the work is done, 0
 * to 1; at 0 no time is shown. */
void fg_progress_say(struct fg_progress *progress, double share, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Takes the line away, so that something else can be printed; the work may go on after it. */
void fg_progress_clear(struct fg_progress *progress);

#endif
