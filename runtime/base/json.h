/* The little JSON that programs print. What is printed is valid UTF-8 whatever the text holds.
 *
 * Errors: none of its own; a failed write stays in the stream. Owner: nothing is kept. Thread: one at a time
 * for one stream. NULL: no argument may be. */
#ifndef FG_RUNTIME_BASE_JSON_H
#define FG_RUNTIME_BASE_JSON_H

#include <stdio.h>

/* Prints a string in quotes, escaped. Linux file names are bytes and may be no UTF-8, which JSON cannot hold:
 * each byte outside a valid sequence goes out as U+FFFD, so that such a file is named, but
 * cannot be opened by that name. */
void fg_json_text(FILE *out, const char *text);

/* Prints a number with nine significant digits, or null when it is not finite. */
void fg_json_number(FILE *out, double value);

#endif
