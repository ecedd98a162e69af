/* The one printer of progress: when a line is due, and how the time left is said. */
#include "runtime/base/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "runtime/base/clock.h"

#define REWRITE (FG_S / 10)    /* time between two texts on a terminal */
#define FIRST_PAUSE (2 * FG_S) /* time before the first line elsewhere */
#define LAST_PAUSE (60 * FG_S) /* longest time between two lines elsewhere */

void fg_progress_begin(struct fg_progress *progress, const char *what, bool quiet) {
    const int64_t now = fg_clock_ns();
    *progress = (struct fg_progress){
        .what = what, .quiet = quiet, .terminal = isatty(STDERR_FILENO), .started_ns = now, .next_ns = now};
    if (progress->terminal)
        return;
    progress->pause_ns = FIRST_PAUSE;
    progress->next_ns = now + FIRST_PAUSE;
}

/* Says whether a text is due, and sets when the next one is. */
static bool take_turn(struct fg_progress *p) {
    const int64_t now = fg_clock_ns();
    if (p->quiet || now < p->next_ns)
        return false;
    if (!p->terminal && p->pause_ns < LAST_PAUSE)
        p->pause_ns *= 2;
    p->next_ns = now + (p->terminal ? REWRITE : p->pause_ns);
    return true;
}

/* Writes "40 s", "12 min" or "3.5 h". */
static void put_duration(char *text, size_t size, double seconds) {
    if (seconds < 120)
        snprintf(text, size, "%.0f s", seconds);
    else if (seconds < 7200)
        snprintf(text, size, "%.0f min", seconds / 60);
    else
        snprintf(text, size, "%.1f h", seconds / 3600);
}

/* The line is composed first: standard error has no buffer, and other programs' lines would cut a line that
 * comes in pieces. */
static void print_line(struct fg_progress *p, double share, const char *text) {
    char line[256], left[32] = "";
    const double spent_s = (double)(fg_clock_ns() - p->started_ns) / 1e9;
    if (share > 0)
        put_duration(left, sizeof left, spent_s / share * (1 - share));
    snprintf(line, sizeof line, "%s%s%s%s%s", p->terminal ? "\r\033[K" : "", text, *left ? ", " : "", left,
             *left ? " left" : "");
    fprintf(stderr, p->terminal ? "%s" : "%s\n", line);
    p->shown = p->terminal;
}

void fg_progress_count(void *progress, uint32_t done, uint32_t count) {
    struct fg_progress *p = progress;
    fg_progress_say(p, count ? (double)done / count : 0, "%s %u of %u", p->what, done, count);
}

void fg_progress_say(struct fg_progress *progress, double share, const char *format, ...) {
    if (!take_turn(progress))
        return;
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print_line(progress, share, text);
}

void fg_progress_clear(struct fg_progress *progress) {
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
}
