/* A list of everything that is wrong, one line of text for each, where the first alone would not do.
 *
 * Errors: without memory a line is counted and its text is lost. Owner: who zeroes a report frees it. Thread:
 * one at a time for one report. NULL: only a message may be. */
#ifndef FG_RUNTIME_BASE_REPORT_H
#define FG_RUNTIME_BASE_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

/* Starts zeroed. */
struct fg_report {
    char *text;          /* the lines, each ended by '\n'; NULL when there is none */
    size_t length, room; /* used and reserved bytes of text */
    uint32_t lines;      /* lines added, those without memory too */
};

/* Adds a line as printf writes it; format ends without '\n'. */
void fg_report_add(struct fg_report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Frees the text and zeroes the report. */
void fg_report_free(struct fg_report *report);

/* Gives status and fills message with "what: line; line; and 3 more": with the lines that have room in it. */
FG_MUST_USE enum fg_status fg_report_fail(const struct fg_report *report, struct fg_message *message,
                                          enum fg_status status, const char *what);

#endif
