/* Gathers the lines of a report, and makes one message of them. */
#include "runtime/base/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 320 /* a longer line is cut */

void fg_report_add(struct fg_report *report, const char *format, ...) {
    report->lines++;
    if (report->room - report->length < LINE_BYTES + 2) {
        const size_t room = 2 * report->room + LINE_BYTES + 2;
        char *text = realloc(report->text, room);
        if (!text)
            return;
        report->text = text;
        report->room = room;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(report->text + report->length, LINE_BYTES, format, args);
    va_end(args);
    report->length += strlen(report->text + report->length);
    memcpy(report->text + report->length, "\n", 2);
    report->length++;
}

void fg_report_free(struct fg_report *report) {
    free(report->text);
    memset(report, 0, sizeof *report);
}

enum fg_status fg_report_fail(const struct fg_report *report, struct fg_message *message,
                              enum fg_status status, const char *what) {
    if (!message)
        return status;
    const size_t size = sizeof message->text, rest = sizeof "; and 4294967295 more";
    size_t used = (size_t)snprintf(message->text, size, "%.*s", (int)(size / 2), what);
    uint32_t said = 0;
    for (const char *line = report->text; line && *line; said++) {
        const size_t length = strcspn(line, "\n");
        if (used + 2 + length + rest > size)
            break;
        used += (size_t)snprintf(message->text + used, size - used, "%s%.*s", said ? "; " : ": ", (int)length,
                                 line);
        line += length + 1;
    }
    if (said < report->lines)
        snprintf(message->text + used, size - used, "; and %u more", report->lines - said);
    return status;
}
