/* The text of a configuration, made ready for libconfuse. Whatever is done to it, lines keep their numbers.
 *
 * Statements are NAME = VALUE and NAME [TITLE] { ... }.
 *
 * Errors: a line of the report, or NULL without memory. Owner: the caller frees the texts that it is given.
 * Thread: any. NULL: no argument may be. */
#ifndef FG_CONFIG_TEXT_H
#define FG_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/report.h"

/* Reads the file's text, ended by zero. NULL: the report has a line that says why. */
char *fg_text_read(const char *path, size_t *size, struct fg_report *report);

/* Makes comments white space, since libconfuse counts their lines more than once. */
void fg_text_blank_comments(char *text);

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
