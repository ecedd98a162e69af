/* Options: values from text, command lines and their help, all from one table. */
#include "runtime/base/option.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/size.h"

#define DESCRIPTION 256 /* bytes of the text that says what a value may be */
#define COLUMNS 100     /* width of help's lines */
#define LONGEST_NAME 32 /* bytes of the longest name that is compared for a hint */

/* ---- What is allowed ---- */

/* Writes "a, b or c" for "a|b|c". */
static void join_words(const char *words, const char *last, char *text, size_t size) {
    size_t used = 0;
    for (const char *word = words; used < size;) {
        const size_t length = strcspn(word, "|");
        const bool first = word == words, more = word[length] == '|';
        used += (size_t)snprintf(text + used, size - used, "%s%.*s",
                                 first  ? ""
                                 : more ? ", "
                                        : last,
                                 (int)length, word);
        if (!more)
            return;
        word += length + 1;
    }
}

/* Writes "a number from 2 to 64"; bounds that are whole have no exponent. */
static void describe_range(const struct fg_option *option, const char *before, char *text, size_t size) {
    char bound[2][32];
    for (int i = 0; i < 2; i++) {
        const double value = i ? option->max : option->min;
        snprintf(bound[i], sizeof bound[i], value == floor(value) && fabs(value) < 1e15 ? "%.0f" : "%g",
                 value);
    }
    snprintf(text, size, "%s from %s to %s", before, bound[0], bound[1]);
}

/* Writes what stands behind "must be" in a message, and behind the sentence in help. */
static void describe_values(const struct fg_option *option, char text[DESCRIPTION]) {
    char words[DESCRIPTION - 64] = "";
    switch (option->kind) {
    case FG_OPTION_NUMBER:
        describe_range(option, "a whole number", text, DESCRIPTION);
        break;
    case FG_OPTION_TENTH_MS:
        describe_range(option, "a multiple of 0.1", text, DESCRIPTION);
        break;
    case FG_OPTION_FLOAT:
    case FG_OPTION_DOUBLE:
        describe_range(option, "a number", text, DESCRIPTION);
        break;
    case FG_OPTION_SEED:
        snprintf(text, DESCRIPTION, "a whole number from 0 to %llu", (unsigned long long)UINT64_MAX);
        break;
    case FG_OPTION_BOOL:
        snprintf(text, DESCRIPTION, "true or false");
        break;
    case FG_OPTION_TEXT:
    case FG_OPTION_PATH:
    case FG_OPTION_PATHS:
        snprintf(text, DESCRIPTION, "a text of at most %zu characters", option->size - 1);
        break;
    case FG_OPTION_ADDRESS:
    case FG_OPTION_ADDRESSES:
        snprintf(text, DESCRIPTION, "a numeric IPv4 or IPv6 address");
        break;
    case FG_OPTION_CHOICE:
        join_words(option->words, " or ", text, DESCRIPTION);
        break;
    case FG_OPTION_SET:
        join_words(option->words, " and ", words, sizeof words);
        snprintf(text, DESCRIPTION, "a list of %s, separated by commas", words);
        break;
    case FG_OPTION_SIZE:
        snprintf(words, sizeof words, "auto, a side or HEIGHTxWIDTH, multiples of %d", FG_SIDE_STEP);
        describe_range(option, words, text, DESCRIPTION);
        break;
    case FG_OPTION_REGION:
        snprintf(text, DESCRIPTION, "whole or X,Y,WIDTHxHEIGHT, pixels up to %.0f", option->max);
        break;
    }
}

/* ---- Values ---- */

static bool put_text(const struct fg_option *option, char *to, const char *text) {
    const size_t length = strlen(text);
    if (length >= option->size)
        return false;
    memcpy(to, text, length + 1);
    return true;
}

static bool put_address(const struct fg_option *option, char *to, const char *text) {
    struct in6_addr address;
    return (inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1) &&
           put_text(option, to, text);
}

/* Refuses, too, what strtod alone would take: spaces, hexadecimal, infinity. */
static bool read_number(const struct fg_option *option, const char *text, double *value) {
    char *end;
    *value = strtod(text, &end);
    return end != text && text[strspn(text, "0123456789+-.eE")] == 0 && *end == 0 && *value >= option->min &&
           *value <= option->max;
}

static bool put_whole(const struct fg_option *option, uint32_t *to, double scale, const char *text) {
    double value;
    if (!read_number(option, text, &value) || fabs(value * scale - nearbyint(value * scale)) >= 1e-6)
        return false;
    *to = (uint32_t)nearbyint(value * scale);
    return true;
}

static bool put_seed(uint64_t *to, const char *text) {
    errno = 0;
    const unsigned long long value = strtoull(text, NULL, 10);
    if (errno || !*text || text[strspn(text, "0123456789")])
        return false;
    *to = value;
    return true;
}

static bool put_bool(bool *to, const char *text) {
    const bool yes = strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "false") != 0)
        return false;
    *to = yes;
    return true;
}

/* Gives the index of a word of length bytes; -1: there is no such word. */
static int32_t find_word(const char *words, const char *text, size_t length) {
    for (int32_t i = 0;; i++) {
        const size_t has = strcspn(words, "|");
        if (has == length && memcmp(words, text, length) == 0)
            return i;
        if (!words[has])
            return -1;
        words += has + 1;
    }
}

static bool put_choice(const struct fg_option *option, uint32_t *to, const char *text) {
    const int32_t i = find_word(option->words, text, strlen(text));
    if (i >= 0)
        *to = (uint32_t)i;
    return i >= 0;
}

static bool put_set(const struct fg_option *option, uint32_t *to, const char *text) {
    uint32_t set = 0;
    for (;; text++) {
        const size_t length = strcspn(text, ",");
        const int32_t i = find_word(option->words, text, length);
        if (i < 0)
            return false;
        set |= UINT32_C(1) << i;
        text += length;
        if (!*text)
            break;
    }
    *to = set;
    return true;
}

/* Takes a number of at most nine digits from the front of a text. */
static bool take_digits(const char **text, uint32_t *value) {
    const size_t length = strspn(*text, "0123456789");
    if (!length || length > 9)
        return false;
    *value = (uint32_t)strtoul(*text, NULL, 10);
    *text += length;
    return true;
}

static bool put_size(const struct fg_option *option, int32_t to[2], const char *text) {
    uint32_t side[2] = {0, 0};
    if (strcmp(text, "auto") != 0) {
        if (!take_digits(&text, &side[0]))
            return false;
        side[1] = side[0];
        if (*text == 'x') {
            text++;
            if (!take_digits(&text, &side[1]))
                return false;
        }
        if (*text)
            return false;
        for (int i = 0; i < 2; i++)
            if (side[i] < option->min || side[i] > option->max || side[i] % FG_SIDE_STEP)
                return false;
    }
    to[0] = (int32_t)side[0];
    to[1] = (int32_t)side[1];
    return true;
}

static bool put_region(const struct fg_option *option, uint32_t to[4], const char *text) {
    uint32_t region[4] = {0, 0, 0, 0};
    if (strcmp(text, "whole") != 0) {
        for (int i = 0; i < 4; i++) {
            const char behind = ",,x"[i];
            if (!take_digits(&text, &region[i]) || region[i] > option->max || *text != behind)
                return false;
            text += behind != 0;
        }
        if (!region[2] || !region[3])
            return false;
    }
    memcpy(to, region, sizeof region);
    return true;
}

static bool put_value(const struct fg_option *option, void *to, const char *text) {
    double value;
    switch (option->kind) {
    case FG_OPTION_NUMBER:
        return put_whole(option, to, 1, text);
    case FG_OPTION_TENTH_MS:
        return put_whole(option, to, 10, text);
    case FG_OPTION_FLOAT:
        if (!read_number(option, text, &value))
            return false;
        *(float *)to = (float)value;
        return true;
    case FG_OPTION_DOUBLE:
        if (!read_number(option, text, &value))
            return false;
        *(double *)to = value;
        return true;
    case FG_OPTION_SEED:
        return put_seed(to, text);
    case FG_OPTION_BOOL:
        return put_bool(to, text);
    case FG_OPTION_TEXT:
    case FG_OPTION_PATH:
    case FG_OPTION_PATHS:
        return put_text(option, to, text);
    case FG_OPTION_ADDRESS:
    case FG_OPTION_ADDRESSES:
        return put_address(option, to, text);
    case FG_OPTION_CHOICE:
        return put_choice(option, to, text);
    case FG_OPTION_SET:
        return put_set(option, to, text);
    case FG_OPTION_SIZE:
        return put_size(option, to, text);
    case FG_OPTION_REGION:
        return put_region(option, to, text);
    }
    return false;
}

enum fg_status fg_option_put(const struct fg_option *option, void *values, const char *text,
                             struct fg_message *message) {
    char *to = (char *)values + option->offset;
    uint32_t *count = NULL;
    if (option->kind == FG_OPTION_PATHS || option->kind == FG_OPTION_ADDRESSES) {
        count = (uint32_t *)(void *)((char *)values + option->count);
        if (*count >= (uint32_t)option->max)
            return fg_fail(message, FG_USAGE, "the list is full: it takes at most %.0f", option->max);
        to += *count * option->size;
    }
    if (!put_value(option, to, text)) {
        char allowed[DESCRIPTION];
        describe_values(option, allowed);
        return fg_fail(message, FG_USAGE, "must be %s", allowed);
    }
    if (count)
        ++*count;
    return FG_OK;
}

void fg_options_put_defaults(const struct fg_options *options, void *values) {
    for (size_t i = 0; i < options->count; i++) {
        const struct fg_option *option = &options->option[i];
        if (!option->fallback)
            continue;
        const enum fg_status status = fg_option_put(option, values, option->fallback, NULL);
        assert(status == FG_OK);
        (void)status;
    }
}

/* ---- Command lines ---- */

const struct fg_option *fg_options_find(const struct fg_options *options, const char *name, size_t length) {
    for (size_t i = 0; i < options->count; i++) {
        const char *has = options->option[i].name;
        if (strlen(has) == length && memcmp(has, name, length) == 0)
            return &options->option[i];
    }
    return NULL;
}

/* Counts the letters to add, leave out or change to make one name of the other. */
static uint32_t count_changes(const char *a, size_t a_length, const char *b) {
    uint32_t row[LONGEST_NAME + 1];
    const size_t b_length = strlen(b);
    if (a_length > LONGEST_NAME || b_length > LONGEST_NAME)
        return LONGEST_NAME;
    for (size_t j = 0; j <= b_length; j++)
        row[j] = (uint32_t)j;
    for (size_t i = 1; i <= a_length; i++) {
        uint32_t before = row[0]++;
        for (size_t j = 1; j <= b_length; j++) {
            const uint32_t changed = before + (a[i - 1] != b[j - 1]);
            const uint32_t other = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
            before = row[j];
            row[j] = changed < other ? changed : other;
        }
    }
    return row[b_length];
}

/* Finds the option that was probably meant: its name begins with these letters, or differs in one or two.
 * NULL: none. */
static const char *guess_name(const struct fg_options *options, const char *name, size_t length) {
    const char *best = NULL;
    uint32_t least = 3;
    for (size_t i = 0; i < options->count; i++) {
        const char *has = options->option[i].name;
        if (length > 1 && strncmp(has, name, length) == 0)
            return has;
        const uint32_t changes = count_changes(name, length, has);
        if (changes < least && changes < length) {
            least = changes;
            best = has;
        }
    }
    return best;
}

static enum fg_status fail_unknown(const struct fg_options *options, const char *text,
                                   struct fg_message *message) {
    const char *name = text + strspn(text, "-");
    const char *guess = guess_name(options, name, strcspn(name, "="));
    if (guess)
        return fg_fail(message, FG_USAGE, "unknown option %.50s: is %s%s meant? See --help", text,
                       guess[1] ? "--" : "-", guess);
    return fg_fail(message, FG_USAGE, "unknown option %.50s; see --help", text);
}

static enum fg_asked find_asked(int argc, char *const *argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return FG_ASKED_HELP;
        if (strcmp(argv[i], "--version") == 0)
            return FG_ASKED_VERSION;
    }
    return FG_ASKED_NOTHING;
}

/* Takes one option. text: "--name", "--name=value" or "-n". next: the argument behind it, or NULL. */
static enum fg_status take_option(const struct fg_options *options, const char *text, const char *next,
                                  void *values, bool *next_taken, struct fg_message *message) {
    const int dashes = text[1] == '-' ? 2 : 1;
    const char *name = text + dashes;
    const size_t length = strcspn(name, "=");
    const struct fg_option *option = fg_options_find(options, name, length);
    if (!option || (length > 1) != (dashes == 2))
        return fail_unknown(options, text, message);
    const char *value = name[length] ? name + length + 1 : NULL;
    const int shown = (int)length + dashes;
    *next_taken = false;
    if (option->kind == FG_OPTION_BOOL && value)
        return fg_fail(message, FG_USAGE, "%.*s takes no value", shown, text);
    if (option->kind == FG_OPTION_BOOL) {
        value = "true";
    } else if (!value && option->alone) {
        value = option->alone;
    } else if (!value) {
        *next_taken = next && strncmp(next, "--", 2) != 0;
        if (!*next_taken)
            return fg_fail(message, FG_USAGE, "%.*s needs a value: %.*s %s", shown, text, shown, text,
                           option->value);
        value = next;
    }
    struct fg_message what;
    if (fg_option_put(option, values, value, &what) == FG_OK)
        return FG_OK;
    return fg_fail(message, FG_USAGE, "%.*s %.50s: %.300s", shown, text, value, what.text);
}

enum fg_status fg_options_parse(const struct fg_options *options, int *argc, char **argv, void *values,
                                enum fg_asked *asked, struct fg_message *message) {
    fg_options_put_defaults(options, values);
    *asked = find_asked(*argc, argv);
    if (*asked != FG_ASKED_NOTHING)
        return FG_OK;
    int kept = 1;
    bool ended = false;
    for (int i = 1; i < *argc; i++) {
        if (ended || argv[i][0] != '-' || !argv[i][1]) {
            argv[kept++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            ended = true;
        } else {
            const char *next = i + 1 < *argc ? argv[i + 1] : NULL;
            bool next_taken = false;
            enum fg_status status = take_option(options, argv[i], next, values, &next_taken, message);
            if (status != FG_OK)
                return status;
            i += next_taken;
        }
    }
    *argc = kept;
    argv[kept] = NULL;
    return FG_OK;
}

/* ---- Help ---- */

/* "--batch N", "--floor[=DEVICE]", "--json" */
static int write_label(const struct fg_option *option, char *text, size_t size) {
    const char *value = option->value ? option->value : "";
    return snprintf(text, size, "  %s%s%s%s%s", option->name[1] ? "--" : "-", option->name,
                    option->alone ? "[="
                    : *value      ? " "
                                  : "",
                    value, option->alone ? "]" : "");
}

/* Prints the words of a text from a column on, and ends the line. */
static void print_wrapped(FILE *to, int column, const char *text) {
    for (int at = column; *text;) {
        const int length = (int)strcspn(text, " ");
        if (at > column && at + 1 + length > COLUMNS) {
            fprintf(to, "\n%*s", column, "");
            at = column;
        }
        at += fprintf(to, "%s%.*s", at > column ? " " : "", length, text);
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', to);
}

/* Says whether help names the allowed values: it does where a user could not know them. */
static bool has_range(const struct fg_option *option) {
    switch (option->kind) {
    case FG_OPTION_SEED:
    case FG_OPTION_BOOL:
    case FG_OPTION_TEXT:
    case FG_OPTION_PATH:
    case FG_OPTION_PATHS:
        return false;
    default:
        return true;
    }
}

/* Finds row i of help: the table's rows come first, then those of every program. */
static const struct fg_option *find_row(const struct fg_options *options, size_t i) {
    static const struct fg_option common[] = {
        {"help", FG_OPTION_BOOL, .help = "prints this, as -h does"},
        {"version", FG_OPTION_BOOL, .help = "prints the version"},
    };
    return i < options->count ? &options->option[i] : &common[i - options->count];
}

void fg_options_help(const struct fg_options *options, FILE *to) {
    int column = 0;
    char text[1024], allowed[DESCRIPTION];
    for (size_t i = 0; i < options->count + 2; i++) {
        const int width = write_label(find_row(options, i), text, sizeof text) + 2;
        column = width > column ? width : column;
    }
    for (size_t i = 0; i < options->count + 2; i++) {
        const struct fg_option *option = find_row(options, i);
        write_label(option, text, sizeof text);
        fprintf(to, "%-*s", column, text);
        describe_values(option, allowed);
        const bool ranged = has_range(option);
        const bool fallback = option->fallback && *option->fallback && option->kind != FG_OPTION_BOOL;
        snprintf(text, sizeof text, "%s%s%s%s%s%s", option->help, ranged ? "; " : "", ranged ? allowed : "",
                 fallback ? " (default " : "", fallback ? option->fallback : "", fallback ? ")" : "");
        print_wrapped(to, column, text);
    }
}
