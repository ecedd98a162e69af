/* Which backend computes: the choice that command lines and the configuration name.
 *
 * Errors: FG_ENVIRONMENT for a device that is not there, and what the backend's opening gives. Owner: who
 * opens a backend closes it; the choice and what it points to stay the caller's. Thread: one opens at a time.
 * NULL: a message and said may be; no other argument. */
#ifndef FG_RUNTIME_ENGINE_DEVICE_H
#define FG_RUNTIME_ENGINE_DEVICE_H

#include "kernels/plugin.h"
#include "runtime/base/compute.h"
#include "runtime/base/option.h"

struct fg_device_choice {
    enum fg_compute device;
    uint32_t threads;       /* the CPU's; 0: as many as this process may run on */
    uint32_t workspace_mib; /* cuDNN's on each lane of a GPU; 0: 64 */
    /* Called while a GPU chooses its engines for a program that is new to it, by the thread that prepares the
     * program, at most a minute for each; NULL: nobody looks. The argument must outlive the backend. */
    fg_progress_function *progress;
    void *argument;
};

/* Shows how far a GPU is with that: convolution done of count. */
void fg_device_show_choosing(struct fg_progress *progress, uint32_t done, uint32_t count);

/* Rows of a table of options for a choice; at: the offset of its enum fg_compute, of its uint32_t. */
#define FG_DEVICE_OPTION(at)                                                                                 \
    {                                                                                                        \
        "device", FG_OPTION_CHOICE, (at), "auto",                                                            \
            .words = FG_COMPUTE_WORDS, .value = "NAME",                                                      \
            .help = "says what computes; auto is an NVIDIA GPU where there is one, else the CPU"             \
    }
#define FG_THREADS_OPTION(at)                                                                                \
    {                                                                                                        \
        "threads", FG_OPTION_NUMBER, (at), .min = 1, .max = FG_COMPUTE_THREADS, .value = "N",                \
                                           .help = "uses so many processors; without it, all"                \
    }

/* Opens it. said: a line that names the device, and why it is not a GPU where "auto" was asked.
 * FG_ENVIRONMENT where "cuda" was asked and there is none.
 *
 * What a GPU's engines measured is kept in $STATE_DIRECTORY (systemd gives it), or
 * $XDG_CACHE_HOME/flawgate, or ~/.cache/flawgate; where none of them can be written it is measured each
 * time. */
FG_MUST_USE enum fg_status fg_device_open(const struct fg_device_choice *choice, struct fg_backend **backend,
                                          struct fg_message *said, struct fg_message *message);

/* Opens it in the same way, for what must end in time: a program that is new to a GPU may take tune_s
 * seconds to choose its engines, not a minute. */
FG_MUST_USE enum fg_status fg_device_open_within(const struct fg_device_choice *choice, uint32_t tune_s,
                                                 struct fg_backend **backend, struct fg_message *said,
                                                 struct fg_message *message);

/* Opens count devices (2 to FG_MAX_DEVICES) as a group that trains together, closed one by one: the first
 * GPUs, or where choice says "cpu" as many shares of this machine, which divide the threads. FG_ENVIRONMENT:
 * there are not that many GPUs; then none stays open. */
FG_MUST_USE enum fg_status fg_device_open_group(const struct fg_device_choice *choice, uint32_t count,
                                                struct fg_backend **backends, struct fg_message *said,
                                                struct fg_message *message);

/* Opens a GPU with settings of the caller's own, for checks of the device: the object beside the program
 * must be of its version. */
FG_MUST_USE enum fg_status fg_device_open_cuda(const struct fg_cuda_settings *settings,
                                               struct fg_backend **backend, struct fg_message *message);

#endif
