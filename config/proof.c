/* Reads the text sign by sign, with the rules of libconfuse's own reader, and counts brackets and lines. */
#include "config/proof.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE " \t\r\n"
#define MOST_FAULTS 100                /* faults that are told before the reading ends */
#define WORD_ENDS SPACE "#\"'={}()+,*" /* what no word of libconfuse contains */

/* A bracket that stands in no other one. */
struct bracket {
    char *from;   /* where its statement begins */
    int32_t line; /* the line of from */
    bool list;    /* whether it stands behind "=" */
};

struct proof {
    const char *path;
    struct fg_report *report;
    bool right;
    char *text, *at; /* the whole, and what is read next */
    int32_t line;    /* the line of at */
    uint32_t depth;  /* brackets that are open */
    struct bracket outermost;
    /* The statement that is under way outside brackets; NULL: none. */
    char *statement;
    int32_t statement_line;
    bool valued; /* whether its "=" has been read */
    /* Where the last bracket outside others was closed, or the text's beginning. */
    char *closed;
    int32_t closed_line;
};

static void add_fault(struct proof *p, int32_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add_fault(struct proof *p, int32_t line, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fg_report_add(p->report, "%s:%d: %s", p->path, (int)line, text);
    p->right = false;
}

/* ---- Moving on ---- */

static void move_to(struct proof *p, const char *end) {
    for (; p->at < end; p->at++)
        p->line += *p->at == '\n';
}

static void blank_to(struct proof *p, const char *end) {
    for (; p->at < end; p->at++) {
        p->line += *p->at == '\n';
        if (*p->at != '\n')
            *p->at = ' ';
    }
}

/* Ends the reading: what stands from here on cannot be understood. */
static void cut_from(struct proof *p, char *from) {
    p->at = from;
    blank_to(p, from + strlen(from));
    p->depth = 0;
    p->statement = NULL;
}

/* ---- Comments, texts and variables ---- */

static bool is_comment(const char *at) {
    return *at == '#' || (at[0] == '/' && (at[1] == '/' || at[1] == '*'));
}

static void read_comment(struct proof *p) {
    char *const begin = p->at;
    const int32_t line = p->line;
    if (begin[0] == '#' || begin[1] == '/') {
        blank_to(p, begin + strcspn(begin, "\n"));
        return;
    }
    char *end = strstr(begin + 2, "*/"), *second = strstr(begin + 2, "/*");
    while (second && !strchr(SPACE, second[-1]))
        second = strstr(second + 2, "/*"); /* that one stands in a word: a pattern of files */
    if (!end) {
        add_fault(p, line, "the comment that begins here does not end: */ is missing");
        cut_from(p, begin);
    } else if (second && second < end) {
        move_to(p, second); /* the first has perhaps no end, and the keys between them were hidden */
        add_fault(p, line, "another comment begins with /* in line %d before this one ends: */ is missing",
                  (int)p->line);
        cut_from(p, begin);
    } else {
        blank_to(p, end + 2);
    }
}

/* Reads "${NAME}" or "${NAME:-DEFAULT}". False: the reading has ended. */
static bool read_variable(struct proof *p) {
    const char *const name = p->at + 2;
    const size_t length = strcspn(name, "}\n\"$");
    if (name[length] != '}') {
        add_fault(p, p->line, "the variable ${%.*s does not end: } is missing",
                  length < 40 ? (int)length : 40, name);
        cut_from(p, p->at);
        return false;
    }
    const char *colon = memchr(name, ':', length);
    char variable[128];
    snprintf(variable, sizeof variable, "%.*s", (int)length, name);
    if (!(colon && colon[1] == '-') && (length >= sizeof variable || !getenv(variable)))
        add_fault(p, p->line, "the environment variable %.60s is not set: set it, or write ${%.60s:-DEFAULT}",
                  variable, variable);
    move_to(p, name + length + 1);
    return true;
}

/* Reads a text in quotation marks. In single ones a variable is plain text. */
static void read_text(struct proof *p) {
    char *const begin = p->at;
    const char quote = *begin;
    p->at++;
    while (*p->at && *p->at != '\n' && *p->at != quote) {
        if (*p->at == '\\' && p->at[1] && p->at[1] != '\n')
            p->at += 2;
        else if (quote == '"' && p->at[0] == '$' && p->at[1] == '{') {
            if (!read_variable(p))
                return;
        } else
            p->at++;
    }
    if (*p->at == quote) {
        p->at++;
        return;
    }
    add_fault(p, p->line,
              "the text that begins here with %c does not end in its line: the second %c is missing", quote,
              quote);
    cut_from(p, begin);
}

/* ---- Words and signs ---- */

/* Says whether a sign looks like white space or a quotation mark and is none: editors put it there. */
static size_t find_lookalike(const unsigned char *at) {
    if (at[0] == 0xc2 && at[1] == 0xa0) /* no-break space */
        return 2;
    if (at[0] == 0xef && at[1] == 0xbb && at[2] == 0xbf) /* byte order mark */
        return 3;
    /* Spaces without width; typographic quotation marks; ends of lines and narrow spaces. */
    if (at[0] == 0xe2 && at[1] == 0x80 &&
        ((at[2] >= 0x80 && at[2] <= 0x8f) || (at[2] >= 0x98 && at[2] <= 0x9f) ||
         (at[2] >= 0xa8 && at[2] <= 0xaf)))
        return 3;
    return 0;
}

/* Makes a sign white space, so that libconfuse does not stumble over what is told already. */
static void blank_sign(char *at, size_t size) {
    memset(at, ' ', size);
}

/* Refuses names of keys that libconfuse takes for others: in one it reads | as the way into a section. begin
 * and end: of a word or text. */
static void check_name(struct proof *p, const char *begin, const char *end) {
    const char *next = end + strspn(end, SPACE);
    const size_t length = (size_t)(end - begin);
    const int shown = length < 60 ? (int)length : 60;
    if (*next != '=' && !(next[0] == '+' && next[1] == '='))
        return;
    if (strchr("\"'$", *begin))
        add_fault(p, p->line, "write the name %.*s as it is, without \", ' and $", shown, begin);
    else if (memchr(begin, '|', length))
        add_fault(p, p->line, "the name %.*s must not have a |: a key stands inside its section's { }", shown,
                  begin);
}

static void read_word(struct proof *p) {
    char *const end = p->at + strcspn(p->at, WORD_ENDS);
    bool told = false;
    for (; p->at < end; p->at++) {
        const size_t size = find_lookalike((unsigned char *)p->at);
        blank_sign(p->at, size);
        if (size && !told)
            add_fault(
                p, p->line,
                "a sign here only looks like a space or a quotation mark: type the line again, with \" and "
                "plain spaces");
        told = told || size;
    }
    if (!*end && p->depth == 0 && p->valued)
        add_fault(p, p->line, "the file ends inside this line: if nothing is missing, end the line");
}

/* Notes where a statement outside brackets begins and whether its value is next. */
static void note_word(struct proof *p) {
    if (p->depth > 0)
        return;
    if (p->valued || !p->statement) {
        p->statement = p->valued ? NULL : p->at;
        p->statement_line = p->line;
    }
}

static void open_bracket(struct proof *p) {
    if (p->depth++ > 0)
        return;
    p->outermost = (struct bracket){p->statement ? p->statement : p->at,
                                    p->statement ? p->statement_line : p->line, p->valued};
}

static void close_bracket(struct proof *p) {
    if (p->depth == 0) {
        add_fault(p, p->line,
                  "this } closes nothing: it is one too many, or a { is missing between line %d and here",
                  (int)p->closed_line);
        cut_from(p, p->closed);
        return;
    }
    p->at++;
    if (--p->depth > 0)
        return;
    p->statement = NULL;
    p->valued = false;
    p->closed = p->at;
    p->closed_line = p->line;
}

static void read_sign(struct proof *p) {
    const unsigned char sign = (unsigned char)*p->at;
    if (sign == '{') {
        open_bracket(p);
        p->at++;
    } else if (sign == '}') {
        close_bracket(p);
    } else if (sign == '=' || (sign == '+' && p->at[1] == '=')) {
        p->valued = p->valued || p->depth == 0;
        p->at += sign == '+' ? 2 : 1;
    } else if (sign == '*' && p->at[1] == '/') {
        add_fault(p, p->line, "this */ ends no comment");
        blank_sign(p->at, 2);
    } else if (sign == '*' || sign == '+') {
        add_fault(p, p->line, "the sign %c has no meaning here: remove it, or put the text in \" \"", sign);
        blank_sign(p->at, 1);
    } else {
        p->at++;
    }
}

static void read_next(struct proof *p) {
    const char *at = p->at;
    const bool variable = at[0] == '$' && at[1] == '{';
    if (strchr(SPACE, *at)) {
        move_to(p, at + 1);
    } else if (is_comment(at)) {
        read_comment(p);
    } else if (strchr(WORD_ENDS, *at) && *at != '"' && *at != '\'') {
        read_sign(p);
    } else {
        note_word(p);
        if (variable)
            read_variable(p);
        else if (*at == '"' || *at == '\'')
            read_text(p);
        else
            read_word(p);
        check_name(p, at, p->at);
        p->valued = p->valued && p->statement;
    }
}

/* ---- The whole ---- */

/* Refuses what would make several lines one, so that a comment hides keys, and what is no text. */
static void check_bytes(struct proof *p) {
    int32_t line = 1;
    for (char *at = p->text; *at; at++) {
        line += *at == '\n';
        const bool lone = *at == '\r' && at[1] != '\n';
        if (!lone && ((unsigned char)*at >= ' ' || strchr(SPACE, *at)))
            continue;
        if (lone)
            add_fault(p, line, "a line ends with CR alone: save the file with line ends LF or CR LF");
        else
            add_fault(p, line, "there is a sign that is not text, with the code %d", *at);
        blank_sign(at, 1);
        return; /* there are probably many */
    }
}

static void check_end(struct proof *p) {
    if (p->depth == 0)
        return;
    const struct bracket *b = &p->outermost;
    size_t length = strcspn(b->from, "{=\n");
    while (length && strchr(SPACE, b->from[length - 1]))
        length--;
    add_fault(p, b->line, "%s%.*s%sdoes not end: } is missing",
              !length   ? "the bracket { "
              : b->list ? "the list "
                        : "section ",
              length < 60 ? (int)length : 60, b->from, length ? " " : "");
    cut_from(p, b->from);
}

bool fg_proof_read(char *text, const char *path, struct fg_report *report) {
    struct proof p = {.path = path,
                      .report = report,
                      .right = true,
                      .text = text,
                      .at = text,
                      .line = 1,
                      .closed = text,
                      .closed_line = 1};
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
        blank_to(&p, text + 3);
    check_bytes(&p);
    const uint32_t before = report->lines;
    while (*p.at && report->lines - before < MOST_FAULTS)
        read_next(&p);
    if (*p.at)
        cut_from(&p, p.at);
    check_end(&p);
    return p.right;
}
