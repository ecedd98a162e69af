/* Programs on the device: each is captured once as a CUDA graph, its lanes as branches, and replayed. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/cuda/context.h"
#include "kernels/cuda/cuda.h"
#include "runtime/base/clock.h"

#define SPIN_NS (100 * 1000) /* a run is looked for without a pause so long, */
#define PAUSE_NS (50 * 1000) /* then with pauses */

cudaStream_t fg_cuda_stream(struct fg_backend *backend, const struct fg_step *step) {
    return ((struct fg_cuda *)backend)->stream[step->lane];
}

static struct fg_cuda_program *find(struct fg_cuda *cuda, const struct fg_program *program) {
    struct fg_cuda_program *p = cuda->programs;
    while (p && p->program != program)
        p = p->next;
    return p;
}

/* ---- Prepare and forget ---- */

static void drop_graph(struct fg_cuda_program *p) {
    if (p->exec)
        cudaGraphExecDestroy(p->exec);
    if (p->graph)
        cudaGraphDestroy(p->graph);
    p->exec = NULL;
    p->graph = NULL;
    p->copy = NULL;
}

static void free_program(struct fg_cuda_program *p) {
    drop_graph(p);
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
    if (find(cuda, program)) /* nothing is derived from weights */
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
    /* A run whose start or end has failed may still be under way, in memory that is about to be given back. */
    cudaStreamSynchronize(cuda->stream[0]);
    *link = p->next;
    free_program(p);
}

/* ---- Capture ---- */

enum fg_status fg_cuda_run_part(struct fg_cuda *cuda, const struct fg_step *step, enum fg_cudnn_part part,
                                void *const data[FG_CUDNN_PLACES], void *workspace,
                                struct fg_message *message) {
    const struct fg_cuda_program *p = cuda->queueing;
    const int32_t i = p->of[step - p->program->step][part];
    return fg_cudnn_plan_run(&p->choice[i].plan, cuda->handle[step->lane], data, workspace, message);
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

/* All lanes begin with the first and end in it. */
static enum fg_status queue_steps(struct fg_cuda *cuda, const struct fg_cuda_program *p,
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

/* The frame's tensor; NULL in a program without one. */
static const struct fg_step *frame_step(const struct fg_program *program) {
    for (uint32_t s = 0; s < program->steps; s++)
        if (program->step[s].op == FG_RESIZE && program->step[s].in[0]->region == FG_REGION_FRAME)
            return &program->step[s];
    return NULL;
}

/* Finds the node that copies the frame: RESIZE records one. Were there another, of an engine of cuDNN, aiming it anew could
 * leave a part to be judged by the last one's frame. */
static enum fg_status find_copy(struct fg_cuda_program *p, struct fg_message *message) {
    size_t count = 0;
    cudaError_t error = cudaGraphGetNodes(p->graph, NULL, &count);
    cudaGraphNode_t *node = calloc(count + 1, sizeof *node);
    if (!node)
        return fg_fail(message, FG_ENVIRONMENT, "no memory for %zu nodes", count);
    if (error == cudaSuccess)
        error = cudaGraphGetNodes(p->graph, node, &count);
    uint32_t copies = 0;
    for (size_t i = 0; i < count && error == cudaSuccess; i++) {
        enum cudaGraphNodeType type;
        error = cudaGraphNodeGetType(node[i], &type);
        if (error == cudaSuccess && type == cudaGraphNodeTypeMemcpy) {
            p->copy = node[i];
            copies++;
        }
    }
    free(node);
    if (error != cudaSuccess)
        return fg_cuda_fail(error, "the graph's nodes", message);
    return copies == 1
               ? FG_OK
               : fg_fail(message, FG_ENVIRONMENT,
                         "CUDA: %u copies were recorded where the frame's is the only one; use device = cpu",
                         copies);
}

static enum fg_status capture(struct fg_cuda *cuda, struct fg_cuda_program *p, const struct fg_memory *memory,
                              struct fg_message *message) {
    const int64_t begin = fg_clock_ns();
    const struct fg_step *frame = frame_step(p->program);
    drop_graph(p);
    cudaError_t error = cudaStreamBeginCapture(cuda->stream[0], cudaStreamCaptureModeThreadLocal);
    if (error != cudaSuccess)
        return fg_cuda_fail(error, "beginning a capture", message);
    cuda->queueing = p;
    enum fg_status status = queue_steps(cuda, p, memory, message);
    error = cudaStreamEndCapture(cuda->stream[0], &p->graph);
    if (status == FG_OK && error != cudaSuccess)
        status = fg_cuda_fail(error, "ending a capture", message);
    if (status == FG_OK && frame)
        status = find_copy(p, message);
    if (status == FG_OK) {
        error = cudaGraphInstantiate(&p->exec, p->graph, 0);
        if (error == cudaSuccess)
            error = cudaGraphUpload(p->exec, cuda->stream[0]);
        if (error != cudaSuccess)
            status = fg_cuda_fail(error, "making a graph", message);
    }
    if (status != FG_OK) {
        drop_graph(p);
        return status;
    }
    p->memory = *memory;
    if (frame) {
        p->frame = *frame->in[0];
        p->pitch = frame->pitch;
        p->format = frame->format;
    }
    cuda->base.times.capture_ns = fg_clock_ns() - begin;
    return FG_OK;
}

/* Whether the graph computes what is asked but for where the frame lies. */
static bool captured(const struct fg_cuda_program *p, const struct fg_memory *memory) {
    if (!p->exec)
        return false;
    for (int r = 0; r < FG_REGIONS; r++)
        if (r != FG_REGION_FRAME && p->memory.region[r] != memory->region[r])
            return false;
    const struct fg_step *step = frame_step(p->program);
    return !step || (step->pitch == p->pitch && step->in[0]->h == p->frame.h &&
                     step->in[0]->w == p->frame.w && step->format == p->format);
}

/* The graph copies the frame from where it is now. */
static enum fg_status aim_copy(struct fg_cuda_program *p, const struct fg_memory *memory,
                               struct fg_message *message) {
    void *const frame = memory->region[FG_REGION_FRAME];
    if (!p->copy || p->memory.region[FG_REGION_FRAME] == frame)
        return FG_OK;
    const struct fg_step *step = frame_step(p->program);
    const cudaError_t error = cudaGraphExecMemcpyNodeSetParams1D(
        p->exec, p->copy, (char *)memory->region[FG_REGION_WORKSPACE] + step->workspace, frame,
        fg_cuda_frame_bytes(step), cudaMemcpyHostToDevice);
    if (error != cudaSuccess)
        return fg_cuda_fail(error, "aiming at the frame", message);
    p->memory.region[FG_REGION_FRAME] = frame;
    return FG_OK;
}

/* ---- Submit and poll ---- */

enum fg_status fg_cuda_submit(struct fg_backend *backend, const struct fg_program *program,
                              const struct fg_memory *memory, struct fg_message *message) {
    struct fg_cuda *cuda = (struct fg_cuda *)backend;
    if (cuda->running)
        return fg_fail(message, FG_TIMEOUT, "a run is under way; poll until it has ended");
    struct fg_cuda_program *p = find(cuda, program);
    if (!p)
        return fg_fail(message, FG_USAGE, "a program of %u steps was not prepared", program->steps);
    enum fg_status status = fg_cuda_use(cuda, message);
    if (status == FG_OK)
        status = captured(p, memory) ? aim_copy(p, memory, message) : capture(cuda, p, memory, message);
    if (status != FG_OK)
        return status;
    cudaError_t error = cudaGraphLaunch(p->exec, cuda->stream[0]);
    if (error == cudaSuccess)
        error = cudaEventRecord(cuda->ended, cuda->stream[0]);
    if (error != cudaSuccess)
        return fg_cuda_fail(error, "starting a run", message);
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
