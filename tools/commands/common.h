/* What the commands have in common on their command lines: --json and --quiet, --device and --threads.
 *
 * A command's values have a struct fg_common with the name common, and its table of options has the rows
 * FG_OUTPUT_OPTIONS, and FG_DEVICE_OPTIONS where it computes. Main thread. */
#ifndef FG_TOOLS_COMMANDS_COMMON_H
#define FG_TOOLS_COMMANDS_COMMON_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/usage.h"
#include "runtime/engine/device.h"

struct fg_common {
    bool json, quiet;
    char device[FG_DEVICE_NAME];
    uint32_t threads;            /* 0: all */
    struct fg_progress choosing; /* of a GPU's engines */
    bool device_named;           /* the remark was made */
};

/* Rows of a table of options whose values are a struct type. */
#define FG_OUTPUT_OPTIONS(type)                                                                              \
    FG_JSON_OPTION(offsetof(type, common.json)), FG_QUIET_OPTION(offsetof(type, common.quiet))
#define FG_DEVICE_OPTIONS(type)                                                                              \
    FG_DEVICE_OPTION(offsetof(type, common.device)), FG_THREADS_OPTION(offsetof(type, common.threads))

/* Prints a remark, one line, to standard error; not with --json or --quiet. */
void fg_common_remark(const struct fg_common *common, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Opens the device that the options name, remarks the first time which it is and why, and shows how a GPU
 * chooses its engines. common must outlive the backend. A GPU's program may take tune_s seconds to choose
 * (0: as the device has it), and each lane workspace_mib for cuDNN (0: as the device has it). */
FG_MUST_USE enum fg_status fg_common_device(struct fg_common *common, uint32_t tune_s, uint32_t workspace_mib,
                                            struct fg_backend **backend, struct fg_message *message);

#endif
