/* A backend in a shared object of its own, which a program opens when it starts: it runs where the driver and
 * the libraries that the object needs are not installed.
 *
 * Errors: FG_ENVIRONMENT where there is no device, no driver or no cuDNN. Owner: the program, which closes
 * what it opens before it closes the object. Thread: any, one at a time. NULL: an argument may be NULL only
 * where this says so; a message may. */
#ifndef FG_KERNELS_PLUGIN_H
#define FG_KERNELS_PLUGIN_H

#include "kernels/backend.h"
#include "runtime/base/progress.h"

#define FG_CUDA_PLUGIN "flawgate-cuda.so"

struct fg_cuda_settings {
    int device;         /* which GPU, from 0 */
    uint32_t lanes;     /* 1 to FG_MAX_LANES */
    size_t workspace;   /* bytes for cuDNN on each lane: only engines that need no more are used */
    bool exact;         /* float32 products of float32 values; false: as TF32 on tensor cores */
    int64_t tune_ns;    /* how long prepare may compile and measure engines; 0: only the first that works */
    const char *folder; /* keeps what was measured; the text stays valid. NULL: none */
    /* Called while prepare chooses: done of all graphs. NULL: not called. */
    fg_progress_function *progress;
    void *argument;
};

/* What the object gives under the names FG_PLUGIN_VERSION and FG_PLUGIN_OPEN. A version other than the
 * program's own (FG_VERSION) is not for it. open: FG_ENVIRONMENT where there is no device or no driver. */
#define FG_PLUGIN_VERSION "fg_plugin_version"
#define FG_PLUGIN_OPEN "fg_cuda_open"
typedef FG_MUST_USE enum fg_status fg_cuda_open_function(const struct fg_cuda_settings *settings,
                                                         struct fg_backend **backend,
                                                         struct fg_message *message);

/* FG_PLUGIN_GROUP: opens GPUs 0 to count - 1 (2 to FG_MAX_DEVICES), alike, as a group that can share; closed
 * one by one. */
#define FG_PLUGIN_GROUP "fg_cuda_open_group"
typedef FG_MUST_USE enum fg_status fg_cuda_open_group_function(const struct fg_cuda_settings *settings,
                                                               uint32_t count, struct fg_backend **backends,
                                                               struct fg_message *message);

#endif
