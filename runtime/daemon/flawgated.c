/* flawgated -c CONFIG: the line's daemon. */
#include <stdio.h>
#include <string.h>

#include "runtime/daemon/daemon.h"

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "-c"))
        return fg_daemon_run(argv[2]);
    fprintf(stderr, "usage: flawgated -c CONFIG\n");
    return 2;
}
