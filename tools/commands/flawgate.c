/* flawgate COMMAND ...: finds the command and runs it. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tools/commands/tool.h"

static const struct {
    const char *name, *does, *help;
    int (*run)(int argc, char **argv);
} COMMANDS[] = {
    {"infer", "judges picture files with a bundle", fg_help_infer, fg_tool_infer},
    {"eval", "figures on the test pictures of a category", fg_help_eval, fg_tool_eval},
    {"calibrate", "sets a bundle's threshold anew from good parts", fg_help_calibrate, fg_tool_calibrate},
    {"bench", "how fast this machine judges and trains", fg_help_bench, fg_tool_bench},
    {"bundle", "show, verify or export a bundle", fg_help_bundle, fg_tool_bundle},
    {"monitor", "what a PLC sees of a running line", fg_help_monitor, fg_tool_monitor},
    {"registers", "the Modbus map: for people, as CSV, as Markdown", fg_help_registers, fg_tool_registers},
    {"check", "says what is wrong with a configuration, and its memory plan", fg_help_check, fg_tool_check},
    {"line", "drives and watches the lines of a simulated board", fg_help_line, fg_tool_line},
    {"demo", "makes parts, trains, evaluates and runs a simulated line", fg_help_demo, fg_tool_demo},
    {"version", "what this build has", fg_help_version, fg_tool_version},
};
#define COUNT (sizeof COMMANDS / sizeof *COMMANDS)

static void list_commands(FILE *to) {
    fprintf(to, "usage: flawgate COMMAND ...\n");
    for (size_t i = 0; i < COUNT; i++)
        fprintf(to, "  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].does);
    fprintf(to, "flawgate COMMAND --help says more.\n");
}

static bool asks(int argc, char **argv, const char *for_what) {
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], for_what))
            return true;
    return false;
}

static int run(int argc, char **argv) {
    for (size_t i = 0; i < COUNT && argc >= 2; i++)
        if (!strcmp(argv[1], COMMANDS[i].name)) {
            if (!asks(argc - 1, argv + 1, "--help"))
                return COMMANDS[i].run(argc - 1, argv + 1);
            fputs(COMMANDS[i].help, stdout);
            return 0;
        }
    if (argc == 2 && !strcmp(argv[1], "--version"))
        return fg_tool_version(1, argv + 1);
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))) {
        list_commands(stdout);
        return 0;
    }
    if (argc >= 2)
        fprintf(stderr, "flawgate: no command \"%s\"\n", argv[1]);
    list_commands(stderr);
    return 2;
}

int main(int argc, char **argv) {
    const int status = run(argc, argv);
    /* A script that reads a cut file must not see success. */
    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "flawgate: standard output cannot be written: %s\n", strerror(errno));
        return status > 1 ? status : 3;
    }
    return status;
}
