/* The daemon's log: one line a call to standard error, which systemd's journal takes. A fixed buffer and
 * write(2): it takes no memory, and lines of two threads never mix. */
#ifndef FG_RUNTIME_BASE_LOG_H
#define FG_RUNTIME_BASE_LOG_H

/* Journal priorities (sd-daemon(3)). */
enum fg_priority { FG_LOG_ERROR = 3, FG_LOG_WARNING = 4, FG_LOG_INFO = 6 };

void fg_log(enum fg_priority priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
