#include <stdio.h>

#include "tools/tool.h"

const char fg_help_version[] = "usage: flawgate version\n";

int fg_tool_version(int argc, char **argv) {
    (void)argc;
    (void)argv;
    puts("flawgate " FG_VERSION);
    puts("CUDA: not in this build");
    puts("GenICam: not in this build");
#ifdef FG_SYSTEMD
    puts("systemd: yes");
#else
    puts("systemd: not in this build");
#endif
    return 0;
}
