/* The CUDA backend's own state, for its host files.
 *
 * Errors: as fg_cuda_fail says. Owner: the backend, from open to close; what a program needs, from prepare to
 * forget. Thread: as kernels/backend.h says. NULL: an argument may be NULL only where this says so; a message
 * may. */
#ifndef FG_KERNELS_CUDA_HOST_CONTEXT_H
#define FG_KERNELS_CUDA_HOST_CONTEXT_H

#include <cuda_runtime.h>
#include <pthread.h>

#include "kernels/cuda/cudnn/plan.h"
#include "kernels/plugin.h"

#define FG_CUDA_BLOCKS 64    /* blocks that reserve may have given at once */
#define FG_CUDA_RECORDINGS 2 /* a program's: one for the camera's frames, one for the self-test's picture */

/* A way to compute the graph of this description. */
struct fg_cuda_choice {
    char text[FG_CUDNN_TEXT];
    struct fg_cudnn_plan plan;
    bool relu_apart; /* the plan is of the graph without its ReLU, which is a kernel behind it (relu.cu) */
    float ms;        /* what one run takes; 0: the choice was kept, not measured */
};

/* A program as a CUDA graph, for frames of one shape. */
struct fg_cuda_recording {
    uint64_t used;           /* number of the run that used it last; 0: nothing is recorded */
    struct fg_memory memory; /* the memory that it was made for */
    int32_t height, width;   /* pixels of a frame */
    size_t pitch;
    enum fg_pixel_format format;
    struct fg_region region; /* what is seen of the frames */
    int32_t rotation;
    cudaGraph_t graph; /* NULL: its steps have been run, one by one */
    cudaGraphExec_t exec;
    cudaGraphNode_t copy; /* it copies the frame to the device; NULL: there is none */
};

/* What is kept of a program between prepare and forget. */
struct fg_cuda_program {
    const struct fg_program *program;
    struct fg_cuda_program *next;
    struct fg_cuda_choice *choice; /* one for each description */
    uint32_t choices;
    int32_t (*of)[FG_CUDNN_KINDS]; /* [step] index in choice; -1: the step has no convolution of that kind */
    cudaEvent_t *passed;           /* [step] the end of a step that another lane waits for; else NULL */

    struct fg_cuda_recording recording[FG_CUDA_RECORDINGS];
    uint64_t runs;
};

struct fg_cuda {
    struct fg_backend base; /* first: the table's functions are given it */
    struct fg_kernel kernel[FG_OPERATORS];
    char version[128];
    struct fg_cuda_settings settings;
    char facts[400]; /* device, power mode, driver, CUDA, cuDNN: what choices hold for */

    cudaStream_t stream[FG_MAX_LANES];
    cudnnHandle_t handle[FG_MAX_LANES];
    cudaEvent_t begun;                /* a run's begin */
    cudaEvent_t joined[FG_MAX_LANES]; /* the end of each lane of a run but the first */
    cudaEvent_t ended;                /* a run's end */
    cudaEvent_t before;               /* a measurement's begin */
    cudaEvent_t after;                /* a measurement's end */
    void *communicator;               /* the group's (group.c); NULL: the device stands alone */
    struct fg_cuda_program *programs;
    struct fg_cuda_program *queueing; /* the program whose steps are being queued */
    bool running;

    pthread_mutex_t mutex; /* guards the blocks, which the line's threads ask for */
    struct {
        void *memory; /* NULL: free */
        size_t bytes;
        enum fg_store store;
    } block[FG_CUDA_BLOCKS];
};

/* Makes its GPU the calling thread's. */
FG_MUST_USE enum fg_status fg_cuda_use(const struct fg_cuda *cuda, struct fg_message *message);

/* Fails with what was tried and CUDA's reason: FG_ENVIRONMENT where memory is short or nothing can be
 * recorded, FG_USAGE for a refused argument, else FG_DEVICE_LOST. */
FG_MUST_USE enum fg_status fg_cuda_fail(cudaError_t error, const char *what, struct fg_message *message);

/* The choices of a program's convolutions: read from what was kept, or measured in the lane's own workspace
 * (choose.c). FG_ENVIRONMENT where no engine does one of them in so little workspace. */
FG_MUST_USE enum fg_status fg_cuda_choose(struct fg_cuda *cuda, struct fg_cuda_program *p,
                                          const struct fg_memory *memory, struct fg_message *message);

/* What was kept in a file for these facts (keep.c), NULL when nothing was; the plan's text for a description,
 * or NULL, and whether that is without its ReLU. */
struct fg_cuda_kept;
struct fg_cuda_kept *fg_cuda_kept_read(const char *path, const char *facts);
const char *fg_cuda_kept_find(const struct fg_cuda_kept *kept, const char *text, bool *relu_apart);
void fg_cuda_kept_free(struct fg_cuda_kept *kept);
/* Writes those of a program's choices that are made. Whether it could does not matter: they are measured
 * again. */
void fg_cuda_kept_write(const char *path, const char *facts, const struct fg_cuda_choice *choice,
                        uint32_t choices);

/* A name for a program that has none: of all that its choices depend on. */
uint64_t fg_cuda_kept_key(const struct fg_cuda_choice *choice, uint32_t choices);

/* Milliseconds of one run of a plan (measure.c): of its fastest runs, since what disturbs it only makes it
 * slower. FG_USAGE: it is not to be used. */
FG_MUST_USE enum fg_status fg_cuda_measure(struct fg_cuda *cuda, const struct fg_step *step,
                                           enum fg_cudnn_kind kind, const struct fg_cudnn_plan *plan,
                                           const struct fg_memory *memory, float *ms,
                                           struct fg_message *message);

/* Whether an engine for a FORWARD convolution in float16 keeps what is not finite (probe.c); it is tried on
 * operands of its own. FG_USAGE: not. */
FG_MUST_USE enum fg_status fg_cuda_probe(struct fg_cuda *cuda, const struct fg_step *step,
                                         const struct fg_cudnn_plan *plan, const struct fg_memory *memory,
                                         struct fg_message *message);

/* Fills memory of the device; ended when it returns (memory.c). */
FG_MUST_USE enum fg_status fg_cuda_fill(void *memory, int byte, size_t bytes, struct fg_message *message);

/* Reserve, release, reaches, upload, download of the table (memory.c). */
FG_MUST_USE enum fg_status fg_cuda_reserve(struct fg_backend *backend, enum fg_store store, size_t bytes,
                                           void **block, struct fg_message *message);
void fg_cuda_release(struct fg_backend *backend, void *block);
bool fg_cuda_reaches(const struct fg_backend *backend, const void *memory, size_t bytes);
FG_MUST_USE enum fg_status fg_cuda_upload(struct fg_backend *backend, void *device, const void *host,
                                          size_t bytes, struct fg_message *message);
FG_MUST_USE enum fg_status fg_cuda_download(struct fg_backend *backend, void *host, const void *device,
                                            size_t bytes, struct fg_message *message);

/* Runs a convolution of a step of the program whose steps are being queued, with its chosen engine. */
FG_MUST_USE enum fg_status fg_cuda_run_convolution(struct fg_cuda *cuda, const struct fg_step *step,
                                                   enum fg_cudnn_kind kind, void *const data[FG_CUDNN_PLACES],
                                                   void *workspace, struct fg_message *message);

/* Queues a program's steps, one by one; all lanes begin with the first and end in it (run.c). */
FG_MUST_USE enum fg_status fg_cuda_queue_steps(struct fg_cuda *cuda, const struct fg_cuda_program *p,
                                               const struct fg_memory *memory, struct fg_message *message);

/* Recordings (record.c). The one that fits; else the one that was used least lately, emptied, for what is
 * asked. */
struct fg_cuda_recording *fg_cuda_recording_for(struct fg_cuda_program *p, const struct fg_memory *memory);
void fg_cuda_recording_drop(struct fg_cuda_recording *r);
/* Captures the steps. */
FG_MUST_USE enum fg_status fg_cuda_record(struct fg_cuda *cuda, const struct fg_cuda_program *p,
                                          struct fg_cuda_recording *r, const struct fg_memory *memory,
                                          struct fg_message *message);
/* How often a graph copies memory, and the last node that does. */
FG_MUST_USE enum fg_status fg_cuda_find_copies(cudaGraph_t graph, uint32_t *copies, cudaGraphNode_t *node,
                                               struct fg_message *message);
/* The graph copies the frame from where it is now. */
FG_MUST_USE enum fg_status fg_cuda_recording_aim(const struct fg_cuda_program *p, struct fg_cuda_recording *r,
                                                 const struct fg_memory *memory, struct fg_message *message);

/* Prepare, forget, submit, poll of the table (run.c). */
FG_MUST_USE enum fg_status fg_cuda_prepare(struct fg_backend *backend, const struct fg_program *program,
                                           const struct fg_memory *memory, struct fg_message *message);
void fg_cuda_forget(struct fg_backend *backend, const struct fg_program *program);
FG_MUST_USE enum fg_status fg_cuda_submit(struct fg_backend *backend, const struct fg_program *program,
                                          const struct fg_memory *memory, struct fg_message *message);
FG_MUST_USE enum fg_status fg_cuda_poll(struct fg_backend *backend, int64_t deadline_ns,
                                        struct fg_message *message);

#endif
