/* Prints help, the version, and what is wrong with a command line, the same way for every program. */
#include "runtime/base/usage.h"

static void print_call(const struct fg_usage *usage, FILE *to) {
    fprintf(to, "usage: %s%s%s%s\n", usage->name, *usage->takes ? " " : "", usage->takes,
            usage->options.count ? " [options]" : "");
}

static void print_exit_statuses(const struct fg_usage *usage) {
    printf("Exit status:\n"
           "  0   done\n");
    if (usage->no)
        printf("  1   %s\n", usage->no);
    printf("  2   the command line is wrong\n"
           "  3   an input or this machine is wrong; a message says what\n");
    if (usage->computes)
        printf("  70  the GPU failed; a new start may mend it\n");
}

static void print_help(const struct fg_usage *usage) {
    print_call(usage, stdout);
    printf("%s\n", usage->about);
    fg_options_help(&usage->options, stdout);
    printf("\n");
    print_exit_statuses(usage);
}

enum fg_status fg_usage_read(const struct fg_usage *usage, int *argc, char **argv, void *values, bool *over,
                             struct fg_message *message) {
    enum fg_asked asked;
    enum fg_status status = fg_options_parse(&usage->options, argc, argv, values, &asked, message);
    *over = status == FG_OK && asked != FG_ASKED_NOTHING;
    if (*over && asked == FG_ASKED_HELP)
        print_help(usage);
    else if (*over)
        printf("flawgate " FG_VERSION "\n");
    if (status != FG_OK || *over)
        return status;
    const int given = *argc - 1;
    if (given > usage->most)
        return fg_fail(message, FG_USAGE, "there is one argument too many: %.200s", argv[1 + usage->most]);
    if (given < usage->least)
        return fg_fail(message, FG_USAGE, "an argument is missing: it takes %s", usage->takes);
    return FG_OK;
}

int fg_usage_fail(const struct fg_usage *usage, enum fg_status status, const struct fg_message *message) {
    fprintf(stderr, "%s: %s\n", usage->name, message->text);
    if (status == FG_USAGE) {
        print_call(usage, stderr);
        fprintf(stderr, "%s --help says more.\n", usage->name);
    }
    return fg_exit_status(status);
}
