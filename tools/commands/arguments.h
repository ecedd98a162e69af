/* What the commands that compute have in common on their command lines: --json, --device NAME, --threads N.
 */
#ifndef FG_TOOLS_COMMANDS_ARGUMENTS_H
#define FG_TOOLS_COMMANDS_ARGUMENTS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernels/backend.h"

struct fg_arguments {
    const char *device; /* "auto" */
    uint32_t threads;   /* 0: all */
    bool json;
};

/* For a list of struct option: the common ones. A command's own begin at FG_OPTION_OWN. */
enum { FG_OPTION_JSON = 256, FG_OPTION_DEVICE, FG_OPTION_THREADS, FG_OPTION_OWN };
#define FG_COMMON_OPTIONS                                                                                    \
    {"json", no_argument, NULL, FG_OPTION_JSON}, {"device", required_argument, NULL, FG_OPTION_DEVICE}, {    \
        "threads", required_argument, NULL, FG_OPTION_THREADS                                                \
    }

/* Starts reading argv: defaults, and getopt's state. */
void fg_arguments_begin(struct fg_arguments *arguments);

/* Opens the device that they name; a line on standard error says which and why, unless --json. */
FG_MUST_USE enum fg_status fg_arguments_device(const struct fg_arguments *arguments,
                                               struct fg_backend **backend, struct fg_message *message);

/* Takes an option that is not the command's own. FG_USAGE: unknown, without its value, or with a wrong one.
 */
FG_MUST_USE enum fg_status fg_arguments_take(struct fg_arguments *arguments, int option, char *const *argv,
                                             struct fg_message *message);

#endif
