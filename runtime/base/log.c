#include "runtime/base/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE 1024

void fg_log(enum fg_priority priority, const char *format, ...) {
    char line[LINE];
    int length = 0;
    va_list args;
    va_start(args, format);
    /* The journal reads priorities; a person at a terminal does not want to. */
    if (getenv("JOURNAL_STREAM"))
        length = snprintf(line, sizeof line, "<%d>", priority);
    vsnprintf(line + length, sizeof line - (size_t)length - 1, format, args);
    va_end(args);
    size_t size = strlen(line);
    line[size++] = '\n';
    /* A log that cannot be written, or whose reader stands still, must not stop the line. A pipe that is
     * ready takes a line whole. */
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&ready, 1, 0) > 0 && write(STDERR_FILENO, line, size) < 0)
        return;
}
