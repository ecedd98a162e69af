/* What a configuration takes, for flawgated and flawgate check.
 *
 * The plan is known before anything is loaded: the arena to the byte, and a named allowance for what
 * libraries take (OpenBLAS's buffers, the C library, libmodbus, stacks). */
#ifndef FG_RUNTIME_LINE_SETUP_H
#define FG_RUNTIME_LINE_SETUP_H

#include "board/camera/camera.h"
#include "config/config.h"
#include "runtime/engine/engine.h"

#define FG_ALLOWANCE ((size_t)48 << 20) /* bytes, for libraries and stacks */

struct fg_memory_plan {
    size_t camera; /* decoded pictures */
    size_t line;   /* queues, results, statistics */
    size_t fixed;  /* both */
    size_t bank;   /* largest of the bundles, */
    size_t device; /* and of the device's own memory; 0 where it has none */
    uint32_t banks;
    struct fg_engine_need need[FG_CONFIG_BUNDLES]; /* of each slot */
};

/* Opens the head of every bundle. A line in the report for each that cannot be used, or whose contract the
 * camera cannot keep, and for a camera that is not there; FG_INPUT when there is one. */
FG_MUST_USE enum fg_status fg_setup_plan(const struct fg_config *config, struct fg_backend *backend,
                                         struct fg_memory_plan *plan, struct fg_report *report);

/* Opens the configured camera. memory: camera.memory_mib, borrowed until it is closed. */
FG_MUST_USE enum fg_status fg_setup_camera(const struct fg_config *config, void *memory,
                                           struct fg_camera **camera, struct fg_message *message);

/* The plan as people read it, to standard output. */
void fg_setup_print(const struct fg_config *config, const struct fg_memory_plan *plan);

#endif
