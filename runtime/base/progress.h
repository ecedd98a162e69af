/* What a person sees of work that takes more than two seconds: what is done, how far it is, and how much
 * time is left.
 *
 * It goes to standard error. On a terminal it is one line that is rewritten and taken away at the end.
 * Elsewhere (in a file, for a script) it is a line now and then: the first after two seconds, the next
 * each time after twice as long, up to a minute. The time left is what the rest takes when it goes on as
 * before. One thread at a time. */
#ifndef FG_RUNTIME_BASE_PROGRESS_H
#define FG_RUNTIME_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* What long functions call after each piece of their work: done of count pieces are done. */
typedef void fg_progress_function(void *argument, uint32_t done, uint32_t count);

/* Filled by fg_progress_begin; the fields are its own. */
struct fg_progress {
    const char *what; /* borrowed */
    bool quiet, terminal;
    bool shown;                            /* there is a line on the terminal */
    int64_t started_ns, next_ns, pause_ns; /* monotonic; nothing is shown before next_ns */
};

/* Starts the work's clock. what: the work as fg_progress_count shows it, "reading picture"; kept, not
 * copied. quiet: show nothing at all. */
void fg_progress_begin(struct fg_progress *progress, const char *what, bool quiet);

/* Shows "reading picture 3 of 20, 12 s left". progress is a struct fg_progress: an fg_progress_function. */
void fg_progress_count(void *progress, uint32_t done, uint32_t count);

/* Shows a text of the caller's, at most 200 bytes, and the time left. share: the part of the work that is
 * done, 0 to 1; at 0 nothing is known of the time. */
void fg_progress_say(struct fg_progress *progress, double share, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Takes the line away, so that something else can be printed; the work may go on after it. */
void fg_progress_clear(struct fg_progress *progress);

#endif
