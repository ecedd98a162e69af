/* The first reading of a configuration's text, which refuses what libconfuse would swallow in silence: a
 * comment, text, section or variable that does not end, brackets that close nothing, a variable that is not
 * set, and signs that it skips.
 *
 * Errors: lines of the report, "FILE:LINE: what". Owner: the caller, of text and report. Thread: any, while
 * none sets environment variables. NULL: no argument may be. */
#ifndef FG_CONFIG_PROOF_H
#define FG_CONFIG_PROOF_H

#include <stdbool.h>

#include "runtime/base/report.h"

/* Makes comments and a byte order mark white space, since libconfuse counts the lines of comments more than
 * once. Lines keep their numbers. path: how lines of the report begin. False: something is wrong; where the
 * text cannot be understood from some place on, the rest is white space too. */
bool fg_proof_read(char *text, const char *path, struct fg_report *report);

#endif
