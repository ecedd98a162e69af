#include <stdio.h>

#include "runtime/engine/device.h"
#include "tools/commands/tool.h"

const char fg_help_version[] = "usage: flawgate version\n";

/* What a program would say that asked for a GPU. */
static void print_cuda(void) {
    struct fg_backend *gpu;
    struct fg_message message;
    if (fg_device_open_cuda(&(struct fg_cuda_settings){.lanes = 1}, &gpu, &message) != FG_OK) {
        printf("CUDA: not available: %s\n", message.text);
        return;
    }
    printf("CUDA: %s, %s\n", gpu->device.name, gpu->version);
    gpu->close(gpu);
}

int fg_tool_version(int argc, char **argv) {
    (void)argc;
    (void)argv;
    puts("flawgate " FG_VERSION);
    print_cuda();
    puts("GenICam: not in this build");
#ifdef FG_SYSTEMD
    puts("systemd: yes");
#else
    puts("systemd: not in this build");
#endif
    return 0;
}
