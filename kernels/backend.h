/* The one table through which the engine and the trainer reach arithmetic.
 *
 * A backend owns a device (the CPU, a GPU) and its threads or streams. Nothing else of it is visible. The
 * tests hold a second, slow and obvious implementation of this table in double precision, which is every
 * other one's reference.
 *
 * Errors: FG_USAGE for a refused argument or step, FG_ENVIRONMENT for memory and threads, FG_TIMEOUT from
 * submit and poll, FG_DEVICE_LOST for a device that only a new process can mend. Owner: who opens a backend
 * closes it, after all that was made with it; tensors, programs and memory stay the caller's. Thread: one at
 * a time submits, polls, prepares and forgets; reserve, release, reaches, upload and download may be called
 * by another meanwhile. NULL: an argument may be NULL only where this says so; a message may. */
#ifndef FG_KERNELS_BACKEND_H
#define FG_KERNELS_BACKEND_H

#include "kernels/step.h"
#include "runtime/base/status.h"

struct fg_backend;

#define FG_MAX_DEVICES 8 /* a group has no more */

/* How a backend computes a step, for who measures it. */
struct fg_way {
    const char *name;     /* "winograd" */
    double multiply_adds; /* what it really multiplies and adds in products: Winograd less than it replaces */
};

/* One operator on one backend. A NULL backward means that the operator has none. */
struct fg_kernel {
    /* Whether this step (its operand types, extents and attributes) can run here. Looks at no data. */
    bool (*supports)(const struct fg_backend *backend, const struct fg_step *step);
    /* Bytes of scratch for step->pass; NULL means none. The planner puts the answer into the step. */
    size_t (*workspace)(const struct fg_backend *backend, const struct fg_step *step);
    /* Bytes derived from frozen weights, and the derivation; NULL means none. Only asked where param[0] is
     * frozen. */
    size_t (*prepared)(const struct fg_backend *backend, const struct fg_step *step);
    FG_MUST_USE enum fg_status (*prepare)(struct fg_backend *backend, const struct fg_step *step,
                                          const struct fg_memory *memory, struct fg_message *message);
    /* How this backend computes the forward step of a finished plan; NULL: it does not say. */
    struct fg_way (*way)(const struct fg_backend *backend, const struct fg_step *step);
    /* Runs the step on its lane with all that lane's threads, and returns when it has ended (CPU) or is
     * queued (GPU). Who measures a CPU's steps calls it too, while no program runs. */
    FG_MUST_USE enum fg_status (*forward)(struct fg_backend *backend, const struct fg_step *step,
                                          const struct fg_memory *memory, struct fg_message *message);
    FG_MUST_USE enum fg_status (*backward)(struct fg_backend *backend, const struct fg_step *step,
                                           const struct fg_memory *memory, struct fg_message *message);
};

struct fg_device {
    char name[128];    /* as a person knows it: "AMD EPYC ...", "NVIDIA H100" */
    uint32_t threads;  /* processors of the host: those of one lane, or what works beside the device */
    uint32_t lanes;    /* most lanes a program may have */
    uint32_t warm_ups; /* runs of a new program before it is as fast as it will be */
    bool host_memory;  /* segments are ordinary memory: upload and download are copies inside it */
};

/* What reserve gives: memory that the device computes in; or memory that the host too reads and writes, at
 * the same address, for FG_SEGMENT_IO and FG_SEGMENT_FRAME. The same where the device is the host. */
enum fg_store { FG_STORE_DEVICE, FG_STORE_HOST };

/* What preparing a program took, and its first run after that. */
struct fg_prepare_times {
    int64_t finalise_ns, tune_ns, capture_ns; /* making plans, measuring them, recording the program */
};

struct fg_backend {
    const char *name; /* "cpu", "cuda", "reference" */
    const char *version;
    enum fg_dtype compute; /* type of weights of convolutions and of values between steps, when judging */
    bool quantised;        /* it computes int8 convolutions; false: their weights become of type compute */
    struct fg_device device;
    struct fg_prepare_times times;  /* what the last program took; zero where a backend does none of it */
    const struct fg_kernel *kernel; /* [FG_OPERATORS] */

    /* One block of memory, aligned to FG_ALIGNMENT and zeroed, given back by release. */
    FG_MUST_USE enum fg_status (*reserve)(struct fg_backend *backend, enum fg_store store, size_t bytes,
                                          void **block, struct fg_message *message);
    void (*release)(struct fg_backend *backend, void *block);
    /* Whether FG_SEGMENT_FRAME may lie there. */
    bool (*reaches)(const struct fg_backend *backend, const void *memory, size_t bytes);
    /* Copies between host and device memory; ended when they return. */
    FG_MUST_USE enum fg_status (*upload)(struct fg_backend *backend, void *device, const void *host,
                                         size_t bytes, struct fg_message *message);
    FG_MUST_USE enum fg_status (*download)(struct fg_backend *backend, void *host, const void *device,
                                           size_t bytes, struct fg_message *message);

    /* Prepares a planned program whose frozen weights are in place. May allocate and take seconds. Again
     * after the weights have changed. */
    FG_MUST_USE enum fg_status (*prepare)(struct fg_backend *backend, const struct fg_program *program,
                                          const struct fg_memory *memory, struct fg_message *message);
    /* Forgets what prepare and submit keep of a program, before it ends. Not while it runs. */
    void (*forget)(struct fg_backend *backend, const struct fg_program *program);
    /* Starts a run and returns at once. Program and memory must stay until poll has said that it ended. One
     * run at a time; a second answers FG_TIMEOUT until the first has ended. */
    FG_MUST_USE enum fg_status (*submit)(struct fg_backend *backend, const struct fg_program *program,
                                         const struct fg_memory *memory, struct fg_message *message);
    /* Waits until the run has ended or fg_clock_ns() passes deadline_ns (INT64_MAX: no deadline; 0: only
     * look). FG_TIMEOUT: it still runs. Otherwise the run's own status; FG_OK when there was none. */
    FG_MUST_USE enum fg_status (*poll)(struct fg_backend *backend, int64_t deadline_ns,
                                       struct fg_message *message);

    /* The mean of count float32 values over the backends of a group (members of them, this one the first), in
     * place on each; ended when it returns. NULL where a backend cannot. */
    FG_MUST_USE enum fg_status (*share)(struct fg_backend *const *group, float *const *values,
                                        uint32_t members, size_t count, struct fg_message *message);

    /* Ends its threads and frees everything, the backend too. Waits for a run under way. */
    void (*close)(struct fg_backend *backend);
};

/* The CPU backend: threads for each lane (1 to 64), lanes 1 to FG_MAX_LANES. FG_ENVIRONMENT also where
 * FLAWGATE_CPU asks for instructions that the processor has not. */
FG_MUST_USE enum fg_status fg_cpu_open(uint32_t threads, uint32_t lanes, struct fg_backend **backend,
                                       struct fg_message *message);

/* Submit, wait without a deadline, and answer the run's status. */
static inline FG_MUST_USE enum fg_status fg_backend_run(struct fg_backend *backend,
                                                        const struct fg_program *program,
                                                        const struct fg_memory *memory,
                                                        struct fg_message *message) {
    enum fg_status status = backend->submit(backend, program, memory, message);
    return status == FG_OK ? backend->poll(backend, INT64_MAX, message) : status;
}

#endif
