/* Options: what a user may set, in one form for the keys of a configuration, the keys of a driver and the
 * options of a command line.
 *
 * A table says name, kind, range, default and help of each option, and where its value goes in a struct of
 * the caller's; reading, messages and --help come from it. To add an option, add a member to that struct
 * and a row to the table:
 *
 *     {"batch", FG_OPTION_NUMBER, offsetof(struct train, batch), "16", 2, 64, .value = "N", .help = "..."}
 *
 * Errors: FG_USAGE for a value that an option refuses. Owner: tables, texts and values stay the caller's.
 * Thread: any, as long as no other uses the same values. NULL: a message may be. */
#ifndef FG_RUNTIME_BASE_OPTION_H
#define FG_RUNTIME_BASE_OPTION_H

#include <stddef.h>
#include <stdio.h>

#include "runtime/base/status.h"

/* What is written, and what is stored. */
enum fg_option_kind {
    FG_OPTION_NUMBER,   /* a whole number: uint32_t */
    FG_OPTION_TENTH_MS, /* milliseconds: uint32_t in units of 0.1 ms */
    FG_OPTION_FLOAT,    /* a number: float */
    FG_OPTION_DOUBLE,   /* a number: double */
    FG_OPTION_SEED,     /* a whole number of 64 bits: uint64_t; it has no range */
    FG_OPTION_BOOL,     /* true or false, on a command line its name alone: bool */
    FG_OPTION_TEXT,     /* char[size], ended by zero */
    FG_OPTION_PATH,     /* stored as TEXT; a configuration makes it relative to its file's folder first */
    FG_OPTION_ADDRESS,  /* a numeric IPv4 or IPv6 address, stored as TEXT */
    FG_OPTION_CHOICE,   /* one of the words: uint32_t, its index */
    FG_OPTION_SET,      /* several of the words, separated by commas: uint32_t, bit i for word i */
    FG_OPTION_SIZE,     /* auto, SIDE or HEIGHTxWIDTH, multiples of FG_SIDE_STEP: int32_t[2]; auto is 0, 0 */
    FG_OPTION_REGION,   /* whole or X,Y,WIDTHxHEIGHT: uint32_t[4], x, y, width, height; whole is 0, 0, 0, 0 */
    FG_OPTION_PATHS,    /* at most max entries: char[max][size] and a uint32_t that counts them */
    FG_OPTION_ADDRESSES, /* numeric addresses, stored as PATHS */
};

struct fg_option {
    const char *name; /* a name of one letter has one dash on a command line: -n */
    enum fg_option_kind kind;
    size_t offset;        /* where the value, or a list's first entry, is in the caller's struct */
    const char *fallback; /* the default as it would be written; NULL: none, the value stays as it is */
    double min, max;      /* NUMBER, TENTH_MS (in ms), FLOAT, DOUBLE, SIZE: both are allowed; REGION: max */
    const char *words;    /* CHOICE, SET: "a|b|c", at most 32 */
    size_t size;          /* TEXT, PATH, ADDRESS: bytes with the ending zero; lists: bytes of one entry */
    size_t count;         /* lists: offset of the uint32_t that counts the entries */
    const char *alone;    /* the value where a command line has the name alone; it then takes --name=VALUE
                             and no --name VALUE. NULL: a value is needed */
    const char *value;    /* how help calls the value: "N", "FILE"; NULL for BOOL */
    const char *help;     /* what it is for, without a full stop */
};

struct fg_options {
    const struct fg_option *option;
    size_t count;
};

/* A default that is a constant elsewhere, in a command line's words. */
#define FG_OPTION_TEXT(constant) FG_OPTION_QUOTE(constant)
#define FG_OPTION_QUOTE(words) #words

/* A table that is an array: struct fg_options keys = FG_OPTIONS(KEYS). */
#define FG_OPTIONS(array)                                                                                    \
    { (array), sizeof(array) / sizeof *(array) }

/* Finds the option whose name has length bytes; NULL: there is none. */
const struct fg_option *fg_options_find(const struct fg_options *options, const char *name, size_t length);

/* Stores one value as it was written; a list gets one more entry. FG_USAGE: message says "must be ..." and
 * values is as it was; name and text are the caller's to put before it. */
FG_MUST_USE enum fg_status fg_option_put(const struct fg_option *option, void *values, const char *text,
                                         struct fg_message *message);

/* Stores every default. A value without a default, and a list, stay as they are: values usually start
 * zeroed. */
void fg_options_put_defaults(const struct fg_options *options, void *values);

/* What every program knows beside its own options. */
enum fg_asked { FG_ASKED_NOTHING, FG_ASKED_HELP, FG_ASKED_VERSION };

/* Stores the defaults, then what the command line says: --name VALUE, --name=VALUE, in any order among the
 * arguments; the last of two counts; behind -- all are arguments. Options are taken out of argv, so that
 * argv[1] to argv[*argc - 1] are the arguments. --help, -h and --version, wherever they stand, only set
 * asked. FG_USAGE: message names the option and says what it takes; argv and values are then half read. */
FG_MUST_USE enum fg_status fg_options_parse(const struct fg_options *options, int *argc, char **argv,
                                            void *values, enum fg_asked *asked, struct fg_message *message);

/* Prints one option a line with what it may be and its default, aligned, within 100 columns; --help and
 * --version are the last. */
void fg_options_help(const struct fg_options *options, FILE *to);

#endif
