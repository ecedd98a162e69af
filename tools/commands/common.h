/* What the commands have in common on their command lines: --json and --quiet, --device and --threads.
 *
 * A command's values have a struct fg_common with the name common, and its table of options has the rows
 * FG_OUTPUT_OPTIONS, and FG_DEVICE_OPTIONS where it computes.
 *
 * Errors: FG_USAGE and FG_ENVIRONMENT for a device that cannot be had. Owner: who opens a device closes it.
 * Thread: the main thread. NULL: only a message may be. */
#ifndef FG_TOOLS_COMMANDS_COMMON_H
#define FG_TOOLS_COMMANDS_COMMON_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/usage.h"
#include "runtime/engine/device.h"

struct fg_common {
    bool json, quiet;
    enum fg_compute device;
    uint32_t threads;            /* 0: one for each processor */
    struct fg_progress choosing; /* progress while a GPU chooses its engines */
    bool device_named;           /* whether the remark on the device was printed */
};

/* Rows of a table of options whose values are a struct type. */
#define FG_OUTPUT_OPTIONS(type)                                                                              \
    FG_JSON_OPTION(offsetof(type, common.json)), FG_QUIET_OPTION(offsetof(type, common.quiet))
#define FG_DEVICE_OPTIONS(type)                                                                              \
    FG_DEVICE_OPTION(offsetof(type, common.device)), FG_THREADS_OPTION(offsetof(type, common.threads))

/* Prints a remark, one line, to standard error; not with --json or --quiet. */
void fg_common_remark(const struct fg_common *common, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Opens the device that the options name, prints the first time which it is and why, and shows how a GPU
 * chooses its engines. common must outlive the backend. tune_s: seconds that a GPU's program may take to
 * choose. workspace_mib: MiB that cuDNN may use on each lane. 0 stands for the device's own value of both. */
FG_MUST_USE enum fg_status fg_common_device(struct fg_common *common, uint32_t tune_s, uint32_t workspace_mib,
                                            struct fg_backend **backend, struct fg_message *message);

#endif
