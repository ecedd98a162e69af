/* How long an engine takes, on its step's own operands. */
#include <float.h>
#include <math.h>

#include "kernels/cuda/host/context.h"

#define RUNS 5     /* runs that are timed together */
#define TIMES 3    /* fewest measurements of an engine */
#define RISE_MS 10 /* shortest time of all measurements: an idle device's clock may still rise */
#define MOST 1000  /* most measurements of an engine */

struct trial {
    cudaStream_t stream;
    cudnnHandle_t handle;
    const struct fg_cudnn_plan *plan;
    void *data[FG_CUDNN_PLACES], *workspace;
};

/* Finds the step's operands; what they hold does not matter. */
static void find_operands(void *data[FG_CUDNN_PLACES], const struct fg_step *step, enum fg_cudnn_kind kind,
                          const struct fg_memory *memory) {
    for (int place = 0; place < FG_CUDNN_PLACES; place++) {
        const struct fg_tensor *t = fg_cudnn_operand(step, kind, (enum fg_cudnn_place)place);
        if (kind == FG_CUDNN_DATA && place == FG_CUDNN_Y)
            t = step->d_in[0];
        if (kind == FG_CUDNN_FILTER && place == FG_CUDNN_Y)
            t = step->d_param[0]; /* never the weight itself */
        data[place] = t ? fg_tensor_data(t, memory) : NULL;
    }
}

static enum fg_status run_plan(const struct trial *t, struct fg_message *message) {
    return fg_cudnn_plan_run(t->plan, t->handle, t->data, t->workspace, message);
}

/* An engine that copies memory would be taken for the node that copies the frame (record.c). */
static enum fg_status refuse_copies(cudaGraph_t graph, struct fg_message *message) {
    uint32_t copies;
    cudaGraphNode_t node;
    enum fg_status status = fg_cuda_find_copies(graph, &copies, &node, message);
    return status != FG_OK || !copies ? status : fg_fail(message, FG_USAGE, "cuDNN: an engine copies memory");
}

/* Records some runs as a graph: queued one by one, short kernels would wait for the processor that queues
 * them, and its time would be measured. */
static enum fg_status record_runs(const struct trial *t, cudaGraphExec_t *exec, struct fg_message *message) {
    /* What the first run loads is not loaded inside the capture. */
    enum fg_status status = run_plan(t, message);
    if (status != FG_OK)
        return status;
    cudaError_t error = cudaStreamBeginCapture(t->stream, cudaStreamCaptureModeThreadLocal);
    if (error != cudaSuccess)
        return fg_cuda_fail(error, "beginning a capture", message);
    for (int i = 0; i < RUNS && status == FG_OK; i++)
        status = run_plan(t, message);
    cudaGraph_t graph = NULL;
    error = cudaStreamEndCapture(t->stream, &graph);
    if (error == cudaSuccess && status == FG_OK)
        status = refuse_copies(graph, message);
    if (error == cudaSuccess && status == FG_OK)
        error = cudaGraphInstantiate(exec, graph, 0);
    if (graph)
        cudaGraphDestroy(graph);
    return status != FG_OK || error == cudaSuccess ? status
                                                   : fg_cuda_fail(error, "recording an engine", message);
}

enum fg_status fg_cuda_measure(struct fg_cuda *cuda, const struct fg_step *step, enum fg_cudnn_kind kind,
                               const struct fg_cudnn_plan *plan, const struct fg_memory *memory, float *ms,
                               struct fg_message *message) {
    struct trial t = {.stream = cuda->stream[step->lane],
                      .handle = cuda->handle[step->lane],
                      .plan = plan,
                      .workspace = (char *)memory->segment[FG_SEGMENT_WORKSPACE] + step->workspace};
    find_operands(t.data, step, kind, memory);
    cudaGraphExec_t exec = NULL;
    enum fg_status status = record_runs(&t, &exec, message);
    if (status != FG_OK)
        return status;
    cudaError_t error = cudaSuccess;
    float spent = 0;
    *ms = FLT_MAX;
    for (int i = 0; (i < TIMES || (spent < RISE_MS && i < MOST)) && error == cudaSuccess; i++) {
        float all = 0;
        error = cudaEventRecord(cuda->before, t.stream);
        if (error == cudaSuccess)
            error = cudaGraphLaunch(exec, t.stream);
        if (error == cudaSuccess)
            error = cudaEventRecord(cuda->after, t.stream);
        if (error == cudaSuccess)
            error = cudaEventSynchronize(cuda->after);
        if (error == cudaSuccess)
            error = cudaEventElapsedTime(&all, cuda->before, cuda->after);
        *ms = fminf(*ms, all / RUNS);
        spent += all;
    }
    if (error != cudaSuccess)
        cudaStreamSynchronize(t.stream); /* the graph must not be destroyed while it runs */
    cudaGraphExecDestroy(exec);
    return error == cudaSuccess ? FG_OK : fg_cuda_fail(error, "measuring an engine", message);
}
