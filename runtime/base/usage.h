/* How a program, or a command of flawgate, is used: what --help prints and what its command line may be.
 *
 * A program has one struct fg_usage beside its table of options, and begins with fg_usage_read and ends a
 * failure with fg_usage_fail. These two print, as nothing else in this folder does but progress and log: they
 * are the part that every main has in common. Main thread. No argument may be NULL. */
#ifndef FG_RUNTIME_BASE_USAGE_H
#define FG_RUNTIME_BASE_USAGE_H

#include <stdbool.h>

#include "runtime/base/option.h"

struct fg_usage {
    const char *name;  /* "flawgate infer": help and messages begin with it */
    const char *takes; /* its arguments and what must be there: "NAME.fgb IMAGE..." */
    int least, most;   /* how many arguments it takes; most FG_USAGE_MANY: any number */
    const char *about; /* sentences for help, in lines of at most 100 columns, each ended */
    struct fg_options options;
    const char *no; /* when it ends with 1: "a picture is not PASS"; NULL: it never does */
    bool computes;  /* it can end with 70, device lost */
};

#define FG_USAGE_MANY 1000000

/* Rows of a table of options that mean the same wherever they stand; at: the offset of a bool. */
#define FG_JSON_OPTION(at)                                                                                   \
    { "json", FG_OPTION_BOOL, (at), .help = "prints the answer as JSON" }
#define FG_QUIET_OPTION(at)                                                                                  \
    { "quiet", FG_OPTION_BOOL, (at), .help = "no progress and no remarks: only the answer and what is wrong" }

/* Reads the command line as fg_options_parse does, and counts the arguments. *over: help or the version was
 * asked for and printed to standard output: the program ends with 0. FG_USAGE: message says what is wrong. */
FG_MUST_USE enum fg_status fg_usage_read(const struct fg_usage *usage, int *argc, char **argv, void *values,
                                         bool *over, struct fg_message *message);

/* Prints a failure to standard error, and where the command line was wrong how it is used. Gives the exit
 * status. */
int fg_usage_fail(const struct fg_usage *usage, enum fg_status status, const struct fg_message *message);

#endif
