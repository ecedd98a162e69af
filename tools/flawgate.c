/* flawgate COMMAND ...: finds the command and runs it. */
#include <stdio.h>
#include <string.h>

#include "tools/tool.h"

static const struct {
    const char *name, *does;
    int (*run)(int argc, char **argv);
} COMMANDS[] = {
    {"infer", "judges picture files with a bundle", fg_tool_infer},
    {"eval", "figures on the test pictures of a category", fg_tool_eval},
    {"calibrate", "sets a bundle's threshold anew from good parts", fg_tool_calibrate},
    {"bench", "how fast this machine judges and trains", fg_tool_bench},
    {"bundle", "show, verify or export a bundle", fg_tool_bundle},
    {"monitor", "what a PLC sees of a running line", fg_tool_monitor},
    {"check", "says what is wrong with a configuration, and its memory plan", fg_tool_check},
    {"line", "drives and watches the lines of a simulated board", fg_tool_line},
    {"demo", "makes parts, trains, evaluates and runs a simulated line", fg_tool_demo},
    {"version", "what this build has", fg_tool_version},
};

int main(int argc, char **argv) {
    if (argc >= 2)
        for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++)
            if (!strcmp(argv[1], COMMANDS[i].name))
                return COMMANDS[i].run(argc - 1, argv + 1);
    if (argc >= 2)
        fprintf(stderr, "flawgate: no command \"%s\"\n", argv[1]);
    fprintf(stderr, "usage: flawgate COMMAND ...\n");
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++)
        fprintf(stderr, "  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].does);
    return 2;
}
