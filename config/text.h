/* The text of a configuration, made ready for libconfuse. Whatever is done to it, lines keep their numbers.
 *
 * Statements are NAME = VALUE and NAME [TITLE] { ... }.
 *
 * Errors: fg_text_read says its own; fg_text_number gives NULL without memory. Owner: the caller frees the
 * texts that it is given. Thread: any. NULL: no argument may be. */
#ifndef FG_CONFIG_TEXT_H
#define FG_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/report.h"

/* Reads the file's text, ended by zero, of *size bytes. FG_INPUT: it is no text, but UTF-16 perhaps;
 * FG_ENVIRONMENT: it cannot be read or is too long. The report then has a line that says why. */
FG_MUST_USE enum fg_status fg_text_read(const char *path, char **text, size_t *size,
                                        struct fg_report *report);

/* Makes the statement that begins with a word in a line white space, so that what follows can be read. False:
 * there is no such statement. */
bool fg_text_set_aside(char *text, int32_t line, const char *word);

/* The beginning of a section that stands in no other one. The texts are not ended by zero. */
struct fg_text_section {
    const char *name, *title; /* title is empty where there is none */
    size_t name_length, title_length;
    int32_t line;
};

enum { FG_TEXT_AS_IT_IS = -1, FG_TEXT_REMOVE = -2 };

/* Says what the title of a section becomes: a number from 0 to 9, or one of the two above. */
typedef int32_t fg_text_number_function(void *argument, const struct fg_text_section *section);

/* Gives a copy of the text that has numbers for titles; number is called in the order of the file. NULL: no
 * memory. */
char *fg_text_number(const char *text, fg_text_number_function *number, void *argument);

#endif
