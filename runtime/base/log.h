/* The daemon's log: one line a call to standard error. Where that is systemd's journal the line begins
 * with its priority, and the journal knows the time; elsewhere it begins with the time, as
 * 2026-11-30T16:05:09.042+01:00.
 *
 * A line goes from a fixed buffer through write(2): lines of two threads never mix, and none takes memory but
 * the first, with which the C library reads the time zone.
 *
 * Errors: none; a log that cannot take a line loses it, and nothing waits for it. Owner: nothing is kept.
 * Thread: any, but no signal handler. NULL: no argument may be. */
#ifndef FG_RUNTIME_BASE_LOG_H
#define FG_RUNTIME_BASE_LOG_H

/* Journal priorities (sd-daemon(3)). */
enum fg_priority { FG_LOG_ERROR = 3, FG_LOG_WARNING = 4, FG_LOG_INFO = 6 };

/* Writes one line, as printf does; format ends without '\n'. A text of more than some 1,000 bytes is cut. */
void fg_log(enum fg_priority priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
