/* The text of a configuration, made ready for libconfuse. Whatever is done to it, lines keep their numbers.
 *
 * Statements are NAME = VALUE and NAME [TITLE] { ... }. Any thread; no argument may be NULL. */
#ifndef FG_CONFIG_TEXT_H
#define FG_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/report.h"

/* The file's text, ended by zero, to be freed; NULL with a line in the report. */
char *fg_text_read(const char *path, size_t *size, struct fg_report *report);

/* Makes comments white space, since libconfuse counts their lines more than once. */
void fg_text_blank_comments(char *text);

/* Makes the statement that begins with a word in a line white space, so that what follows can be read. False:
 * it is not to be found. */
bool fg_text_set_aside(char *text, int32_t line, const char *word);

/* A section in no other, as it begins. The texts are not ended. */
struct fg_text_section {
    const char *name, *title; /* title "": it has none */
    size_t name_length, title_length;
    int32_t line;
};

enum { FG_TEXT_AS_IT_IS = -1, FG_TEXT_REMOVE = -2 };

/* What the title of a section becomes: a number from 0 to 9, or one of the two above. */
typedef int32_t fg_text_number_function(void *argument, const struct fg_text_section *section);

/* The text with numbers for titles, in the order of the file, to be freed; NULL: no memory. */
char *fg_text_number(const char *text, fg_text_number_function *number, void *argument);

#endif
