/* Programs as CUDA graphs: one for each shape of frames that came lately, its lanes as branches. */
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/host/context.h"
#include "kernels/cuda/host/cuda.h"
#include "runtime/base/clock.h"

void fg_cuda_recording_drop(struct fg_cuda_recording *r) {
    if (r->exec)
        cudaGraphExecDestroy(r->exec);
    if (r->graph)
        cudaGraphDestroy(r->graph);
    *r = (struct fg_cuda_recording){0};
}

/* The step that reads the frame; NULL in a program without one. */
static const struct fg_step *find_frame_step(const struct fg_program *program) {
    for (uint32_t s = 0; s < program->steps; s++)
        if (program->step[s].op == FG_RESIZE && program->step[s].in[0]->segment == FG_SEGMENT_FRAME)
            return &program->step[s];
    return NULL;
}

/* Finds where the step copies the frame to. */
static void *find_frame_place(const struct fg_step *step, const struct fg_memory *memory) {
    return (char *)memory->segment[FG_SEGMENT_WORKSPACE] + step->workspace;
}

/* Whether a recording computes this program in this memory, wherever the frame lies. */
static bool is_recording_of(const struct fg_cuda_recording *r, const struct fg_program *program,
                            const struct fg_memory *memory) {
    if (!r->used)
        return false;
    for (int i = 0; i < FG_SEGMENTS; i++)
        if (i != FG_SEGMENT_FRAME && r->memory.segment[i] != memory->segment[i])
            return false;
    const struct fg_step *step = find_frame_step(program);
    return !step || (step->pitch == r->pitch && step->in[0]->h == r->height && step->in[0]->w == r->width &&
                     step->format == r->format && step->rotation == r->rotation &&
                     !memcmp(&step->region, &r->region, sizeof r->region));
}

struct fg_cuda_recording *fg_cuda_recording_for(struct fg_cuda_program *p, const struct fg_memory *memory) {
    struct fg_cuda_recording *oldest = p->recording;
    for (int i = 0; i < FG_CUDA_RECORDINGS; i++) {
        if (is_recording_of(&p->recording[i], p->program, memory))
            return &p->recording[i];
        if (p->recording[i].used < oldest->used)
            oldest = &p->recording[i];
    }
    fg_cuda_recording_drop(oldest);
    oldest->memory = *memory;
    const struct fg_step *step = find_frame_step(p->program);
    if (step) {
        oldest->height = step->in[0]->h;
        oldest->width = step->in[0]->w;
        oldest->pitch = step->pitch;
        oldest->format = step->format;
        oldest->region = step->region;
        oldest->rotation = step->rotation;
    }
    return oldest;
}

enum fg_status fg_cuda_find_copies(cudaGraph_t graph, uint32_t *copies, cudaGraphNode_t *node,
                                   struct fg_message *message) {
    size_t count = 0;
    cudaError_t error = cudaGraphGetNodes(graph, NULL, &count);
    cudaGraphNode_t *all = calloc(count + 1, sizeof *all);
    if (!all)
        return fg_fail(message, FG_ENVIRONMENT, "no memory for %zu nodes", count);
    if (error == cudaSuccess)
        error = cudaGraphGetNodes(graph, all, &count);
    *copies = 0;
    for (size_t i = 0; i < count && error == cudaSuccess; i++) {
        enum cudaGraphNodeType type;
        error = cudaGraphNodeGetType(all[i], &type);
        if (error == cudaSuccess && type == cudaGraphNodeTypeMemcpy) {
            *node = all[i];
            ++*copies;
        }
    }
    free(all);
    return error == cudaSuccess ? FG_OK : fg_cuda_fail(error, "a graph's nodes", message);
}

/* The node that copies the frame: RESIZE records one. Were there another, aiming it anew could leave a part
 * to be judged by the last one's frame; no engine of cuDNN that copies is chosen. */
static enum fg_status find_copy(struct fg_cuda_recording *r, struct fg_message *message) {
    uint32_t copies;
    enum fg_status status = fg_cuda_find_copies(r->graph, &copies, &r->copy, message);
    if (status == FG_OK && copies != 1)
        return fg_fail(message, FG_ENVIRONMENT,
                       "CUDA: %u copies were recorded where the frame's is the only one; use device = cpu",
                       copies);
    return status;
}

enum fg_status fg_cuda_record(struct fg_cuda *cuda, const struct fg_cuda_program *p,
                              struct fg_cuda_recording *r, const struct fg_memory *memory,
                              struct fg_message *message) {
    const int64_t begin = fg_clock_ns();
    r->memory = *memory;
    cudaError_t error = cudaStreamBeginCapture(cuda->stream[0], cudaStreamCaptureModeThreadLocal);
    if (error != cudaSuccess)
        return fg_cuda_fail(error, "beginning a capture", message);
    enum fg_status status = fg_cuda_queue_steps(cuda, p, memory, message);
    error = cudaStreamEndCapture(cuda->stream[0], &r->graph);
    if (status == FG_OK && error != cudaSuccess)
        status = fg_cuda_fail(error, "ending a capture", message);
    if (status == FG_OK && find_frame_step(p->program))
        status = find_copy(r, message);
    if (status == FG_OK) {
        error = cudaGraphInstantiate(&r->exec, r->graph, 0);
        if (error == cudaSuccess)
            error = cudaGraphUpload(r->exec, cuda->stream[0]);
        if (error != cudaSuccess)
            status = fg_cuda_fail(error, "making a graph", message);
    }
    cuda->base.times.capture_ns = fg_clock_ns() - begin;
    return status;
}

enum fg_status fg_cuda_recording_aim(const struct fg_cuda_program *p, struct fg_cuda_recording *r,
                                     const struct fg_memory *memory, struct fg_message *message) {
    void *const frame = memory->segment[FG_SEGMENT_FRAME];
    if (!r->copy || r->memory.segment[FG_SEGMENT_FRAME] == frame)
        return FG_OK;
    const struct fg_step *step = find_frame_step(p->program);
    const cudaError_t error =
        cudaGraphExecMemcpyNodeSetParams1D(r->exec, r->copy, find_frame_place(step, memory), frame,
                                           fg_cuda_frame_bytes(step), cudaMemcpyHostToDevice);
    if (error != cudaSuccess)
        return fg_cuda_fail(error, "aiming at the frame", message);
    r->memory.segment[FG_SEGMENT_FRAME] = frame;
    return FG_OK;
}
