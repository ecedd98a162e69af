/* Prints remarks, and opens the device that a command computes on. */
#include "tools/commands/common.h"

#include <stdarg.h>
#include <stdio.h>

void fg_common_remark(const struct fg_common *common, const char *format, ...) {
    if (common->json || common->quiet)
        return;
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

/* Shows how a program's engines are chosen. The time left is that of one program, so progress begins with the
 * program's first choice. */
static void show_choosing(void *argument, uint32_t done, uint32_t count) {
    struct fg_common *common = argument;
    if (done == 1)
        fg_progress_begin(&common->choosing, "", common->quiet);
    fg_device_show_choosing(&common->choosing, done, count);
    if (done == count)
        fg_progress_clear(&common->choosing);
}

enum fg_status fg_common_device(struct fg_common *common, uint32_t tune_s, uint32_t workspace_mib,
                                struct fg_backend **backend, struct fg_message *message) {
    const struct fg_device_choice choice = {.device = common->device,
                                            .threads = common->threads,
                                            .workspace_mib = workspace_mib,
                                            .progress = show_choosing,
                                            .argument = common};
    struct fg_message said;
    enum fg_status status = tune_s ? fg_device_open_within(&choice, tune_s, backend, &said, message)
                                   : fg_device_open(&choice, backend, &said, message);
    if (status == FG_OK && !common->device_named)
        fg_common_remark(common, "%s", said.text);
    common->device_named = true;
    return status;
}
