/* Finds sections and statements in the text of a configuration without a grammar, and changes them. */
#include "config/text.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

#define SPACE " \t\r\n"

/* Says whether a text begins with UTF-16's byte order mark, or with one zero byte of two. */
static bool is_utf16(const char *text, size_t size) {
    return size >= 2 &&
           (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0 || !text[0] != !text[1]);
}

enum fg_status fg_text_read(const char *path, char **text, size_t *size, struct fg_report *report) {
    char reason[128];
    enum fg_status status = FG_ENVIRONMENT;
    FILE *file = fopen(path, "rb");
    *text = file ? malloc(FG_CONFIG_MAX_BYTES + 1) : NULL;
    if (!*text) {
        fg_report_add(report, "%s: cannot read: %s", path, strerror_r(errno, reason, sizeof reason));
        goto out;
    }
    *size = fread(*text, 1, FG_CONFIG_MAX_BYTES + 1, file);
    if (ferror(file)) {
        fg_report_add(report, "%s: cannot read: %s", path, strerror_r(errno, reason, sizeof reason));
    } else if (*size > FG_CONFIG_MAX_BYTES) {
        fg_report_add(report, "%s: this is no configuration: it is longer than 1 MiB", path);
    } else if (is_utf16(*text, *size)) {
        fg_report_add(report, "%s:1: the file is UTF-16: save it as UTF-8", path);
        status = FG_INPUT;
    } else if (memchr(*text, 0, *size)) {
        fg_report_add(report, "%s: this is no configuration: it is not text", path);
        status = FG_INPUT;
    } else {
        (*text)[*size] = 0;
        status = FG_OK;
    }
out:
    if (file)
        fclose(file);
    if (status != FG_OK) {
        free(*text);
        *text = NULL;
    }
    return status;
}

/* ---- Finding ---- */

static const char *skip_space(const char *at) {
    return at + strspn(at, SPACE);
}

/* Gives the end of what begins at a bracket, quote or word: behind the matching bracket, the closing quote or
 * the word. */
static const char *skip_value(const char *at) {
    int depth = 0;
    do {
        if (*at == '"' || *at == '\'') {
            const char quote = *at++;
            while (*at && *at != quote)
                at += *at == '\\' && at[1] ? 2 : 1;
            at += *at != 0;
        } else if (*at == '{' || *at == '}') {
            depth += *at++ == '{' ? 1 : -1;
        } else if (depth) {
            at += *at != 0;
        } else {
            at += strcspn(at, SPACE "{}\"'");
        }
    } while (depth > 0 && *at);
    return at;
}

/* Finds where a statement's value or bracket begins: behind its name comes "=", "+=", "{" or a title and "{".
 * NULL: it is no statement. */
static const char *find_value(const char *behind_name) {
    const char *at = skip_space(behind_name);
    if (*at == '=' || (*at == '+' && at[1] == '='))
        return skip_space(at + (*at == '+' ? 2 : 1));
    if (*at != '{')
        at = skip_space(skip_value(at));
    return *at == '{' ? at : NULL;
}

static void blank_text(char *at, const char *end) {
    for (; at < end; at++)
        *at = *at == '\n' ? '\n' : ' ';
}

/* ---- Changing ---- */

/* Finds the end of a value that alone stands behind a name in its line, as where "=" is missing. Gives
 * behind_name where there is none. */
static const char *skip_lone_value(const char *behind_name) {
    const char *value = behind_name + strspn(behind_name, " \t");
    const char *end = strchr("{}\r\n", *value) ? value : skip_value(value);
    const char *next = end + strspn(end, " \t\r");
    return end > value && (*next == '\n' || *next == '}' || !*next) ? end : behind_name;
}

bool fg_text_set_aside(char *text, int32_t line, const char *word) {
    char *at = text;
    for (int32_t i = 1; i < line; i++) {
        at = strchr(at, '\n');
        if (!at)
            return false;
        at++;
    }
    const size_t length = word[strspn(word, SPACE)] ? strlen(word) : 0, rest = strcspn(at, "\n");
    char *const line_end = at + rest;
    do {
        at = length ? strstr(at, word) : NULL;
        if (!at || at >= line_end)
            return false;
        at += length;
    } while (isalnum((unsigned char)*at) || *at == '_' || *at == '-' || *at == '.');
    char *begin = at - length;
    if (begin > text && strchr("\"'", begin[-1]) && *at == begin[-1]) {
        begin--;
        at++;
    }
    const char *value = find_value(at);
    blank_text(begin, value ? skip_value(value) : skip_lone_value(at));
    return true;
}

/* A copy of the text under way, which counts lines. */
struct copy {
    char *to;
    int32_t line; /* the line of the text that is being copied */
};

static void copy_text(struct copy *copy, const char *from, const char *end) {
    for (; from < end; from++) {
        copy->line += *from == '\n';
        *copy->to++ = *from;
    }
}

static void copy_line_ends(struct copy *copy, const char *from, const char *end) {
    for (; from < end; from++)
        if (*from == '\n')
            copy_text(copy, from, from + 1);
}

char *fg_text_number(const char *text, fg_text_number_function *number, void *argument) {
    /* A section has two characters or more, and gets a digit and two spaces. */
    char *const out = malloc(3 * strlen(text) + 1);
    if (!out)
        return NULL;
    struct copy copy = {out, 1};
    for (const char *at = text; *at;) {
        const char *begin = skip_space(at);
        copy_text(&copy, at, begin);
        const char *name_end = begin + strcspn(begin, SPACE "=+{}\"'");
        const char *value = name_end > begin ? find_value(name_end) : NULL;
        const char *end = value ? skip_value(value) : name_end > begin ? name_end : skip_value(begin);
        at = end;
        int32_t title = FG_TEXT_AS_IT_IS;
        if (value && *value == '{' && !strchr("=+", *skip_space(name_end))) {
            struct fg_text_section section = {begin, skip_space(name_end), (size_t)(name_end - begin), 0,
                                              copy.line};
            const char *title_end = *section.title == '{' ? section.title : skip_value(section.title);
            if (*section.title == '"' || *section.title == '\'') {
                section.title++;
                title_end -= title_end > section.title;
            }
            section.title_length = (size_t)(title_end - section.title);
            title = number(argument, &section);
        }
        if (title == FG_TEXT_AS_IT_IS) {
            copy_text(&copy, begin, end);
        } else if (title == FG_TEXT_REMOVE) {
            copy_line_ends(&copy, begin, end);
        } else {
            copy_text(&copy, begin, name_end);
            assert(title < 10);
            const char digit[3] = {' ', (char)('0' + title), ' '};
            copy_text(&copy, digit, digit + sizeof digit);
            copy_line_ends(&copy, name_end, value);
            copy_text(&copy, value, end);
        }
    }
    *copy.to = 0;
    return out;
}
