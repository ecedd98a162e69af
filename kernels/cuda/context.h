/* The CUDA backend's own state, for its host files. */
#ifndef FG_KERNELS_CUDA_CONTEXT_H
#define FG_KERNELS_CUDA_CONTEXT_H

#include <cuda_runtime.h>
#include <pthread.h>

#include "kernels/cuda/cudnn_plan.h"
#include "kernels/plugin.h"

#define FG_CUDA_BLOCKS 64 /* that reserve has given, at once */

/* A way to compute the graph of this description. */
struct fg_cuda_choice {
    char text[FG_CUDNN_TEXT];
    struct fg_cudnn_plan plan;
    float ms; /* measured; 0: was not */
};

/* What is kept of a program between prepare and forget. */
struct fg_cuda_program {
    const struct fg_program *program;
    struct fg_cuda_program *next;
    struct fg_cuda_choice *choice; /* each once */
    uint32_t choices;
    int32_t (*of)[FG_CUDNN_PARTS]; /* [step] index in choice; -1: the step has no such part */
    cudaEvent_t *passed;           /* [step] a step of another lane waits for it; else NULL */

    /* The program as a CUDA graph, once it has run. */
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaGraphNode_t copy;    /* of the frame to the device; NULL: there is none */
    struct fg_memory memory; /* that it was captured with */
    struct fg_tensor frame;
    size_t pitch;
    enum fg_pixel_format format;
};

struct fg_cuda {
    struct fg_backend base; /* first: the table's functions are given it */
    struct fg_kernel kernel[FG_OPERATORS];
    char version[96];
    struct fg_cuda_settings settings;
    char facts[320]; /* device, power mode, driver, CUDA, cuDNN: what choices hold for */

    cudaStream_t stream[FG_MAX_LANES];
    cudnnHandle_t handle[FG_MAX_LANES];
    cudaEvent_t begun, joined[FG_MAX_LANES], ended; /* of a run */
    cudaEvent_t before, after;                      /* of a measurement */
    void *communicator;                             /* of its group (group.c); NULL: it stands alone */
    struct fg_cuda_program *programs;
    struct fg_cuda_program *queueing; /* whose steps are being queued */
    bool running;

    pthread_mutex_t mutex; /* of the blocks, which the line's threads ask for */
    struct {
        void *memory; /* NULL: free */
        size_t bytes;
        enum fg_store store;
    } block[FG_CUDA_BLOCKS];
};

/* Makes its GPU the calling thread's. */
enum fg_status fg_cuda_use(const struct fg_cuda *cuda, struct fg_message *message);

/* Fails with what was tried and CUDA's reason: FG_ENVIRONMENT where memory is short, FG_USAGE for a refused argument, else
 * FG_DEVICE_LOST. */
enum fg_status fg_cuda_fail(cudaError_t error, const char *what, struct fg_message *message);

/* The choices of a program's convolutions: read from what was kept, or measured in the lane's own workspace
 * (choose.c). FG_ENVIRONMENT where no engine does one of them in so little workspace. */
enum fg_status fg_cuda_choose(struct fg_cuda *cuda, struct fg_cuda_program *p, const struct fg_memory *memory,
                              struct fg_message *message);

/* What was kept in a file for these facts (keep.c), NULL when nothing was; the plan's text for a description, or NULL. */
struct fg_cuda_kept;
struct fg_cuda_kept *fg_cuda_kept_read(const char *path, const char *facts);
const char *fg_cuda_kept_find(const struct fg_cuda_kept *kept, const char *text);
void fg_cuda_kept_free(struct fg_cuda_kept *kept);
/* Writes a program's choices. Whether it could does not matter: they are measured again. */
void fg_cuda_kept_write(const char *path, const char *facts, const struct fg_cuda_choice *choice,
                        uint32_t choices);

/* Runs a part of a step of the program whose steps are being queued, with its chosen engine. */
enum fg_status fg_cuda_run_part(struct fg_cuda *cuda, const struct fg_step *step, enum fg_cudnn_part part,
                                void *const data[FG_CUDNN_PLACES], void *workspace,
                                struct fg_message *message);

/* Prepare, forget, submit, poll of the table (run.c). */
enum fg_status fg_cuda_prepare(struct fg_backend *backend, const struct fg_program *program,
                               const struct fg_memory *memory, struct fg_message *message);
void fg_cuda_forget(struct fg_backend *backend, const struct fg_program *program);
enum fg_status fg_cuda_submit(struct fg_backend *backend, const struct fg_program *program,
                              const struct fg_memory *memory, struct fg_message *message);
enum fg_status fg_cuda_poll(struct fg_backend *backend, int64_t deadline_ns, struct fg_message *message);

#endif
