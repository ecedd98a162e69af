/* flawgate COMMAND ...: finds the command and runs it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/descriptors.h"
#include "tools/commands/tool.h"

#define TOOL_ROW(name, does) {#name, does, fg_tool_##name},
static const struct {
    const char *name, *does;
    int (*run)(int argc, char **argv);
} TOOLS[] = {FG_TOOLS(TOOL_ROW)};
#define COUNT (sizeof TOOLS / sizeof *TOOLS)

static void list_tools(FILE *to) {
    fprintf(to, "usage: flawgate COMMAND ...\n");
    for (size_t i = 0; i < COUNT; i++)
        fprintf(to, "  %-10s %s\n", TOOLS[i].name, TOOLS[i].does);
    fprintf(
        to,
        "flawgate COMMAND --help says more. A command ends with status 0 when it is done, 1 when the answer\n"
        "is no, 2 when the command line is wrong, 3 when an input or this machine is wrong, and 70 when the\n"
        "GPU failed.\n");
}

static int run_tool(int argc, char **argv) {
    const char *name = argc >= 2 ? argv[1] : "";
    for (size_t i = 0; i < COUNT; i++)
        if (!strcmp(name, TOOLS[i].name))
            return TOOLS[i].run(argc - 1, argv + 1);
    if (!strcmp(name, "--version"))
        return fg_tool_version(1, argv + 1);
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        list_tools(stdout);
        return 0;
    }
    if (*name)
        fprintf(stderr, "flawgate: there is no command \"%s\"\n", name);
    list_tools(stderr);
    return 2;
}

int main(int argc, char **argv) {
    fg_descriptors_fill();
    const int status = run_tool(argc, argv);
    /* A script that reads a cut file must not see success. */
    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "flawgate: standard output cannot be written: %s\n", strerror(errno));
        return status > 1 ? status : 3;
    }
    return status;
}
