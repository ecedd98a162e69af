/* A list of everything that is wrong, one line each, where the first alone would not do. */
#ifndef FG_RUNTIME_BASE_REPORT_H
#define FG_RUNTIME_BASE_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

/* Starts zeroed. Without memory for the text lines are still counted. */
struct fg_report {
    char *text; /* the lines, each ended by '\n'; NULL when there is none. Owned: fg_report_free */
    size_t length, room;
    uint32_t lines;
};

void fg_report_add(struct fg_report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fg_report_free(struct fg_report *report);

/* Fails with "what: line; line; and 3 more", as many lines as the message holds. */
FG_MUST_USE enum fg_status fg_report_fail(const struct fg_report *report, struct fg_message *message,
                                          enum fg_status status, const char *what);

#endif
