/* Writes the log's lines: with their priority where the journal reads them, else with the time. */
#include "runtime/base/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"

#define LINE_BYTES 1024 /* a longer line is cut */

/* systemd gives the device and the inode of the journal's stream (systemd.exec(5)). They are compared,
 * because the variable is inherited by programs whose standard error goes elsewhere. */
static bool is_journal(void) {
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat found;
    if (!stream || fstat(STDERR_FILENO, &found))
        return false;
    char own[64];
    snprintf(own, sizeof own, "%ju:%ju", (uintmax_t)found.st_dev, (uintmax_t)found.st_ino);
    return !strcmp(stream, own);
}

/* Writes the local time and a space; gives their length. */
static size_t put_time(char *line, size_t size) {
    const int64_t unix_ms = fg_clock_unix_ms();
    const time_t seconds = (time_t)(unix_ms / 1000);
    struct tm local;
    if (!localtime_r(&seconds, &local))
        return 0;
    size_t length = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &local);
    const long minutes = local.tm_gmtoff / 60;
    length += (size_t)snprintf(line + length, size - length, ".%03d%c%02ld:%02ld ", (int)(unix_ms % 1000),
                               minutes < 0 ? '-' : '+', labs(minutes) / 60, labs(minutes) % 60);
    return length;
}

void fg_log(enum fg_priority priority, const char *format, ...) {
    char line[LINE_BYTES];
    const size_t begin =
        is_journal() ? (size_t)snprintf(line, sizeof line, "<%d>", priority) : put_time(line, sizeof line);
    va_list args;
    va_start(args, format);
    vsnprintf(line + begin, sizeof line - begin - 1, format, args);
    va_end(args);
    size_t size = begin + strlen(line + begin);
    line[size++] = '\n';
    /* A log that cannot be written, or whose reader stands still, must not stop the line. A pipe that is
     * ready takes a line whole. */
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&ready, 1, 0) > 0 && write(STDERR_FILENO, line, size) < 0)
        return;
}
