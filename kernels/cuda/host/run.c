/* Programs on the device: prepared, started, waited for. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/cuda/host/context.h"
#include "kernels/cuda/host/cuda.h"
#include "runtime/base/clock.h"

#define SPIN_NS (3 * FG_MS)  /* a run's end is looked for without a pause for this long */
#define PAUSE_NS (50 * 1000) /* after that, between looks */

cudaStream_t fg_cuda_stream(struct fg_backend *backend, const struct fg_step *step) {
    return ((struct fg_cuda *)backend)->stream[step->lane];
}

static struct fg_cuda_program *find_program(struct fg_cuda *cuda, const struct fg_program *program) {
    struct fg_cuda_program *p = cuda->programs;
    while (p && p->program != program)
        p = p->next;
    return p;
}

/* ---- Prepare and forget ---- */

static void free_program(struct fg_cuda_program *p) {
    for (int r = 0; r < FG_CUDA_RECORDINGS; r++)
        fg_cuda_recording_drop(&p->recording[r]);
    for (uint32_t i = 0; p->choice && i < p->choices; i++)
        fg_cudnn_plan_close(&p->choice[i].plan);
    for (uint32_t s = 0; p->passed && s < p->program->steps; s++)
        if (p->passed[s])
            cudaEventDestroy(p->passed[s]);
    free(p->choice);
    free(p->of);
    free(p->passed);
    free(p);
}

/* An event for each step that another lane waits for. */
static enum fg_status make_events(struct fg_cuda_program *p, struct fg_message *message) {
    const struct fg_program *program = p->program;
    p->passed = calloc(program->steps, sizeof *p->passed);
    if (!p->passed)
        return fg_fail(message, FG_ENVIRONMENT, "no memory for %u steps", program->steps);
    for (uint32_t s = 0; s < program->steps; s++)
        for (uint32_t i = 0; i < program->step[s].waits; i++) {
            cudaEvent_t *event = &p->passed[program->step[s].wait[i]];
            const cudaError_t error =
                *event ? cudaSuccess : cudaEventCreateWithFlags(event, cudaEventDisableTiming);
            if (error != cudaSuccess)
                return fg_cuda_fail(error, "an event", message);
        }
    return FG_OK;
}

enum fg_status fg_cuda_prepare(struct fg_backend *backend, const struct fg_program *program,
                               const struct fg_memory *memory, struct fg_message *message) {
    struct fg_cuda *cuda = (struct fg_cuda *)backend;
    if (program->lanes > backend->device.lanes)
        return fg_fail(message, FG_USAGE, "the program has %u lanes, the backend was opened with %u",
                       program->lanes, backend->device.lanes);
    if (find_program(cuda, program)) /* nothing is derived from weights */
        return FG_OK;
    enum fg_status used = fg_cuda_use(cuda, message);
    if (used != FG_OK)
        return used;
    backend->times = (struct fg_prepare_times){0};
    struct fg_cuda_program *p = calloc(1, sizeof *p);
    if (!p)
        return fg_fail(message, FG_ENVIRONMENT, "no memory for a program");
    p->program = program;
    enum fg_status status = make_events(p, message);
    if (status == FG_OK)
        status = fg_cuda_choose(cuda, p, memory, message);
    if (status != FG_OK) {
        free_program(p);
        return status;
    }
    p->next = cuda->programs;
    cuda->programs = p;
    return FG_OK;
}

void fg_cuda_forget(struct fg_backend *backend, const struct fg_program *program) {
    struct fg_cuda *cuda = (struct fg_cuda *)backend;
    struct fg_cuda_program **link = &cuda->programs;
    while (*link && (*link)->program != program)
        link = &(*link)->next;
    struct fg_cuda_program *p = *link;
    if (!p)
        return;
    /* A run whose end was not seen may still be under way, in memory that is about to be given back;
     * on a lost device none is. */
    fg_ignore(fg_cuda_use(cuda, NULL));
    cudaStreamSynchronize(cuda->stream[0]);
    *link = p->next;
    free_program(p);
}

/* ---- Steps ---- */

enum fg_status fg_cuda_run_convolution(struct fg_cuda *cuda, const struct fg_step *step,
                                       enum fg_cudnn_kind kind, void *const data[FG_CUDNN_PLACES],
                                       void *workspace, struct fg_message *message) {
    const struct fg_cuda_program *p = cuda->queueing;
    const struct fg_cuda_choice *choice = &p->choice[p->of[step - p->program->step][kind]];
    enum fg_status status =
        fg_cudnn_plan_run(&choice->plan, cuda->handle[step->lane], data, workspace, message);
    if (status == FG_OK && choice->relu_apart)
        status = fg_cuda_relu(&(struct fg_cuda_call){&cuda->base, step, NULL, message}, data[FG_CUDNN_Y]);
    return status;
}

static enum fg_status queue_step(struct fg_cuda *cuda, const struct fg_cuda_program *p, uint32_t s,
                                 const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_step *step = &p->program->step[s];
    const struct fg_kernel *kernel = &cuda->kernel[step->op];
    cudaStream_t stream = cuda->stream[step->lane];
    for (uint32_t i = 0; i < step->waits; i++) {
        const cudaError_t error = cudaStreamWaitEvent(stream, p->passed[step->wait[i]], 0);
        if (error != cudaSuccess)
            return fg_cuda_fail(error, "waiting for another lane", message);
    }
    enum fg_status status =
        (step->pass == FG_FORWARD ? kernel->forward : kernel->backward)(&cuda->base, step, memory, message);
    const cudaError_t error =
        status == FG_OK && p->passed[s] ? cudaEventRecord(p->passed[s], stream) : cudaSuccess;
    return error == cudaSuccess ? status : fg_cuda_fail(error, "the end of a step", message);
}

enum fg_status fg_cuda_queue_steps(struct fg_cuda *cuda, const struct fg_cuda_program *p,
                                   const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_program *program = p->program;
    cudaError_t error = cudaEventRecord(cuda->begun, cuda->stream[0]);
    for (uint32_t l = 1; l < program->lanes && error == cudaSuccess; l++)
        error = cudaStreamWaitEvent(cuda->stream[l], cuda->begun, 0);
    if (error != cudaSuccess)
        return fg_cuda_fail(error, "beginning the lanes", message);
    for (uint32_t s = 0; s < program->steps; s++) {
        enum fg_status status = queue_step(cuda, p, s, memory, message);
        if (status != FG_OK)
            return status;
    }
    for (uint32_t l = 1; l < program->lanes && error == cudaSuccess; l++) {
        error = cudaEventRecord(cuda->joined[l], cuda->stream[l]);
        if (error == cudaSuccess)
            error = cudaStreamWaitEvent(cuda->stream[0], cuda->joined[l], 0);
    }
    return error == cudaSuccess ? FG_OK : fg_cuda_fail(error, "joining the lanes", message);
}

/* ---- Submit and poll ---- */

/* The first run for a shape of frames goes step by step, so that what a kernel's first launch loads is not
 * loaded inside a capture, which might not bear it; the second is captured; from then on the graph is
 * replayed. */
static enum fg_status start_run(struct fg_cuda *cuda, struct fg_cuda_program *p, struct fg_cuda_recording *r,
                                const struct fg_memory *memory, struct fg_message *message) {
    if (!r->used)
        return fg_cuda_queue_steps(cuda, p, memory, message);
    enum fg_status status =
        r->exec ? fg_cuda_recording_aim(p, r, memory, message) : fg_cuda_record(cuda, p, r, memory, message);
    if (status != FG_OK)
        return status;
    const cudaError_t error = cudaGraphLaunch(r->exec, cuda->stream[0]);
    return error == cudaSuccess ? FG_OK : fg_cuda_fail(error, "starting a run", message);
}

enum fg_status fg_cuda_submit(struct fg_backend *backend, const struct fg_program *program,
                              const struct fg_memory *memory, struct fg_message *message) {
    struct fg_cuda *cuda = (struct fg_cuda *)backend;
    if (cuda->running)
        return fg_fail(message, FG_TIMEOUT, "a run is under way; poll until it has ended");
    struct fg_cuda_program *p = find_program(cuda, program);
    if (!p)
        return fg_fail(message, FG_USAGE, "a program of %u steps was not prepared", program->steps);
    enum fg_status status = fg_cuda_use(cuda, message);
    if (status != FG_OK)
        return status;
    struct fg_cuda_recording *r = fg_cuda_recording_for(p, memory);
    cuda->queueing = p;
    status = start_run(cuda, p, r, memory, message);
    const cudaError_t error = status == FG_OK ? cudaEventRecord(cuda->ended, cuda->stream[0]) : cudaSuccess;
    if (error != cudaSuccess)
        status = fg_cuda_fail(error, "the end of a run", message);
    if (status != FG_OK) { /* what has been started would be in memory that the caller gives back */
        for (uint32_t l = 0; l < program->lanes; l++)
            cudaStreamSynchronize(cuda->stream[l]);
        fg_cuda_recording_drop(r);
        return status;
    }
    r->used = ++p->runs;
    cuda->running = true;
    return FG_OK;
}

enum fg_status fg_cuda_poll(struct fg_backend *backend, int64_t deadline_ns, struct fg_message *message) {
    struct fg_cuda *cuda = (struct fg_cuda *)backend;
    if (!cuda->running)
        return FG_OK;
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    const int64_t begin = fg_clock_ns();
    cudaError_t error;
    while ((error = cudaEventQuery(cuda->ended)) == cudaErrorNotReady) {
        const int64_t now = fg_clock_ns();
        if (now >= deadline_ns)
            return fg_fail(message, FG_TIMEOUT, "the run has not ended by its deadline");
        if (now - begin > SPIN_NS)
            nanosleep(&pause, NULL);
    }
    cuda->running = false;
    return error == cudaSuccess ? FG_OK : fg_cuda_fail(error, "a run", message);
}
