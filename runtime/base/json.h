/* The little JSON that programs print. */
#ifndef FG_RUNTIME_BASE_JSON_H
#define FG_RUNTIME_BASE_JSON_H

#include <stdio.h>

/* A string in quotes, escaped; bytes that are not ASCII go out as they are. */
void fg_json_text(FILE *out, const char *text);

/* A number with nine significant digits, or null when it is not finite. */
void fg_json_number(FILE *out, double value);

#endif
