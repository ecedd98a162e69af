/* How a program, or a command of flawgate, is used: what --help prints and what its command line may be.
 *
 * A program has one struct fg_usage beside its table of options, begins with fg_usage_read and ends a failure
 * with fg_usage_fail. These two print, which in this folder only progress and log do beside them: every main
 * needs them.
 *
 * Errors: FG_USAGE for a wrong command line. Owner: tables and texts stay the caller's. Thread: the main
 * thread. NULL: no argument may be. */
#ifndef FG_RUNTIME_BASE_USAGE_H
#define FG_RUNTIME_BASE_USAGE_H

#include <stdbool.h>

#include "runtime/base/option.h"

struct fg_usage {
    const char *name;  /* "flawgate infer": help and messages begin with it */
    const char *takes; /* its arguments, as help shows them: "NAME.fgb IMAGE..." */
    int least, most;   /* bounds of the number of arguments; most FG_USAGE_MANY: no bound */
    const char *about; /* sentences for help, in lines of at most 100 columns, each ended */
    struct fg_options options;
    const char *no; /* when it ends with status 1: "a picture is not PASS"; NULL: it never does */
    bool computes;  /* it can end with status 70, device lost */
};

#define FG_USAGE_MANY 1000000

/* Rows that every table of options writes in this way; at: the offset of a bool. */
#define FG_JSON_OPTION(at)                                                                                   \
    { "json", FG_OPTION_BOOL, (at), .help = "prints the answer as JSON" }
#define FG_QUIET_OPTION(at)                                                                                  \
    {                                                                                                        \
        "quiet", FG_OPTION_BOOL, (at),                                                                       \
            .help = "prints no progress and no remarks, only the answer and what is wrong"                   \
    }

/* Reads the command line as fg_options_parse does, and counts the arguments. *over: help or the version was
 * asked for and printed to standard output: the program ends with 0. FG_USAGE: message says what is wrong. */
FG_MUST_USE enum fg_status fg_usage_read(const struct fg_usage *usage, int *argc, char **argv, void *values,
                                         bool *over, struct fg_message *message);

/* Prints a failure to standard error, and how the program is used where the command line was wrong. Gives the
 * exit status. */
int fg_usage_fail(const struct fg_usage *usage, enum fg_status status, const struct fg_message *message);

#endif
