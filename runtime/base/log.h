/* The daemon's log: one line a call to standard error. Where that is systemd's journal the line begins
 * with its priority, and the journal knows the time; elsewhere it begins with the time, as
 * 2026-11-30T16:05:09.042+01:00.
 *
 * A fixed buffer and write(2): lines of two threads never mix, and a line takes no memory but for the
 * first one, with which the C library reads the time zone. Any thread; no signal handler. */
#ifndef FG_RUNTIME_BASE_LOG_H
#define FG_RUNTIME_BASE_LOG_H

/* Journal priorities (sd-daemon(3)). */
enum fg_priority { FG_LOG_ERROR = 3, FG_LOG_WARNING = 4, FG_LOG_INFO = 6 };

/* A text of more than some 1,000 bytes is cut. A log that cannot take the line loses it: nothing waits for
 * it. */
void fg_log(enum fg_priority priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
