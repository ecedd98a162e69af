/* Which engine computes each convolution: what was kept of an earlier choice, or the fastest of those that fit into the
 * lane's workspace, compiled and measured there as far as the time allows. The first that works is measured even where
 * it does not: so it is known that it can be recorded, and the next load takes the same. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/context.h"
#include "runtime/base/clock.h"

#define RUNS 5                 /* timed together, */
#define TIMES 3                /* so often */
#define WRITE_EVERY (5 * FG_S) /* while choosing */

static bool has_part(const struct fg_step *step, enum fg_cudnn_part part) {
    if (step->op != FG_CONV && step->op != FG_DECONV)
        return false;
    if (part == FG_CUDNN_FORWARD)
        return step->pass == FG_FORWARD;
    return step->pass == FG_BACKWARD && (part == FG_CUDNN_DATA ? step->d_in[0] : step->d_param[0]) != NULL;
}

/* Each description once, and which one each step's parts have. */
static enum fg_status list_choices(struct fg_cuda_program *p, struct fg_message *message) {
    const uint32_t steps = p->program->steps;
    p->of = malloc(steps * sizeof *p->of);
    p->choice = calloc((size_t)steps * FG_CUDNN_PARTS, sizeof *p->choice);
    if (!p->of || !p->choice)
        return fg_fail(message, FG_ENVIRONMENT, "no memory for the plans of %u steps", steps);
    for (uint32_t s = 0; s < steps; s++)
        for (int part = 0; part < FG_CUDNN_PARTS; part++) {
            p->of[s][part] = -1;
            if (!has_part(&p->program->step[s], (enum fg_cudnn_part)part))
                continue;
            char text[FG_CUDNN_TEXT];
            fg_cudnn_describe(&p->program->step[s], (enum fg_cudnn_part)part, text);
            uint32_t i = 0;
            while (i < p->choices && strcmp(p->choice[i].text, text))
                i++;
            if (i == p->choices)
                memcpy(p->choice[p->choices++].text, text, sizeof text);
            p->of[s][part] = (int32_t)i;
        }
    return FG_OK;
}

/* One choice on its way: the first engine that works is taken; others replace it while there is time and they are
 * faster. */
struct contest {
    struct fg_cuda *cuda;
    const struct fg_step *step;
    enum fg_cudnn_part part;
    const struct fg_memory *memory;
    int64_t end_ns;
    struct fg_cuda_choice *choice;
    struct fg_message refusal; /* of the last candidate that could not be used */
};

static void *scratch(const struct contest *c) {
    return (char *)c->memory->region[FG_REGION_WORKSPACE] + c->step->workspace;
}

/* The step's own operands; what they hold does not matter. */
static void find_operands(const struct contest *c, void *data[FG_CUDNN_PLACES]) {
    for (int place = 0; place < FG_CUDNN_PLACES; place++) {
        const struct fg_tensor *t = fg_cudnn_operand(c->step, c->part, (enum fg_cudnn_place)place);
        if (c->part == FG_CUDNN_DATA && place == FG_CUDNN_Y)
            t = c->step->d_in[0];
        if (c->part == FG_CUDNN_FILTER && place == FG_CUDNN_Y)
            t = c->step->d_param[0]; /* never the weight itself */
        data[place] = t ? fg_tensor_data(t, c->memory) : NULL;
    }
}

/* Some runs of a plan as a graph: queued one by one, short kernels would be timed by the processor that queues them. */
static enum fg_status record_runs(const struct contest *c, const struct fg_cudnn_plan *plan,
                                  cudaGraphExec_t *exec, struct fg_message *message) {
    cudaStream_t stream = c->cuda->stream[c->step->lane];
    cudnnHandle_t handle = c->cuda->handle[c->step->lane];
    void *data[FG_CUDNN_PLACES];
    find_operands(c, data);
    /* What the first run loads is not loaded inside the capture. */
    enum fg_status status = fg_cudnn_plan_run(plan, handle, data, scratch(c), message);
    if (status != FG_OK)
        return status;
    cudaError_t error = cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
    if (error != cudaSuccess)
        return fg_cuda_fail(error, "beginning a capture", message);
    for (int i = 0; i < RUNS && status == FG_OK; i++)
        status = fg_cudnn_plan_run(plan, handle, data, scratch(c), message);
    cudaGraph_t graph = NULL;
    error = cudaStreamEndCapture(stream, &graph);
    if (error == cudaSuccess && status == FG_OK)
        error = cudaGraphInstantiate(exec, graph, 0);
    if (graph)
        cudaGraphDestroy(graph);
    return status != FG_OK || error == cudaSuccess ? status
                                                   : fg_cuda_fail(error, "recording an engine", message);
}

/* Milliseconds of one run of a plan: of its fastest times, since what disturbs it only makes it slower. */
static enum fg_status measure(const struct contest *c, const struct fg_cudnn_plan *plan, float *ms,
                              struct fg_message *message) {
    struct fg_cuda *cuda = c->cuda;
    cudaStream_t stream = cuda->stream[c->step->lane];
    cudaGraphExec_t exec = NULL;
    enum fg_status status = record_runs(c, plan, &exec, message);
    if (status != FG_OK)
        return status;
    cudaError_t error = cudaGraphLaunch(exec, stream); /* uploads it */
    *ms = FLT_MAX;
    for (int i = 0; i < TIMES && error == cudaSuccess; i++) {
        float all = 0;
        error = cudaEventRecord(cuda->before, stream);
        if (error == cudaSuccess)
            error = cudaGraphLaunch(exec, stream);
        if (error == cudaSuccess)
            error = cudaEventRecord(cuda->after, stream);
        if (error == cudaSuccess)
            error = cudaEventSynchronize(cuda->after);
        if (error == cudaSuccess)
            error = cudaEventElapsedTime(&all, cuda->before, cuda->after);
        *ms = fminf(*ms, all / RUNS);
    }
    if (error != cudaSuccess)
        cudaStreamSynchronize(stream); /* before the graph ends */
    cudaGraphExecDestroy(exec);
    return error == cudaSuccess ? FG_OK : fg_cuda_fail(error, "measuring an engine", message);
}

/* Measures a plan, and takes it if it is the best so far and keeps what is not finite. */
static enum fg_status judge(struct contest *c, struct fg_cudnn_plan *plan) {
    struct fg_cuda_choice *choice = c->choice;
    struct fg_message *why = &c->refusal;
    float ms = 0;
    enum fg_status status = measure(c, plan, &ms, why);
    if (status != FG_OK || (choice->plan.plan && ms >= choice->ms))
        return status;
    if (c->part == FG_CUDNN_FORWARD && c->step->in[0]->dtype == FG_F16) /* it will judge */
        status = fg_cuda_probe(c->cuda, c->step, plan, scratch(c), why);
    if (status != FG_OK)
        return status;
    fg_cudnn_plan_close(&choice->plan);
    choice->plan = *plan;
    choice->ms = ms;
    *plan = (struct fg_cudnn_plan){0};
    return FG_OK;
}

static enum fg_status try_candidate(struct contest *c, struct fg_cudnn_candidates *candidates, uint32_t i,
                                    struct fg_message *message) {
    struct fg_prepare_times *times = &c->cuda->base.times;
    const struct fg_cudnn_target target = {.handle = c->cuda->handle[c->step->lane]};
    struct fg_cudnn_plan plan;
    int64_t begin = fg_clock_ns();
    enum fg_status status =
        fg_cudnn_plan_open(candidates, i, &target, c->cuda->settings.workspace, &plan, &c->refusal);
    times->finalise_ns += fg_clock_ns() - begin;
    begin = fg_clock_ns();
    if (status == FG_OK)
        status = judge(c, &plan);
    times->tune_ns += fg_clock_ns() - begin;
    /* A candidate that fails is passed over as long as the device answers. What it has queued ends before it does. */
    const cudaError_t error =
        status == FG_OK ? cudaSuccess : cudaStreamSynchronize(c->cuda->stream[c->step->lane]);
    fg_cudnn_plan_close(&plan);
    return error == cudaSuccess ? FG_OK : fg_cuda_fail(error, "trying an engine", message);
}

static enum fg_status try_offer(struct contest *c, const struct fg_cudnn_graph *graph,
                                enum fg_cudnn_offer offer, struct fg_message *message) {
    const struct fg_cuda_settings *settings = &c->cuda->settings;
    const struct fg_cudnn_target target = {.handle = c->cuda->handle[c->step->lane]};
    const enum fg_cudnn_math math =
        settings->exact && c->step->in[0]->dtype == FG_F32 ? FG_CUDNN_EXACT : FG_CUDNN_FAST;
    struct fg_cudnn_candidates candidates;
    enum fg_status status =
        fg_cudnn_candidates_open(graph, offer, math, settings->workspace, &target, &candidates, message);
    if (status != FG_OK)
        return status;
    for (uint32_t i = 0; i < candidates.count && status == FG_OK; i++)
        if (!c->choice->plan.plan || fg_clock_ns() < c->end_ns)
            status = try_candidate(c, &candidates, i, message);
    fg_cudnn_candidates_close(&candidates);
    return status;
}

static enum fg_status choose(struct contest *c, struct fg_message *message) {
    const struct fg_cudnn_target target = {.handle = c->cuda->handle[c->step->lane]};
    struct fg_cudnn_graph graph;
    enum fg_status status = fg_cudnn_graph_open(c->step, c->part, &target, &graph, &c->refusal);
    if (status != FG_OK && status != FG_USAGE)
        return fg_fail(message, status, "%s", c->refusal.text);
    for (int offer = 0; offer < FG_CUDNN_OFFERS && status == FG_OK && !c->choice->plan.plan; offer++)
        status = try_offer(c, &graph, (enum fg_cudnn_offer)offer, message);
    fg_cudnn_graph_close(&graph);
    if (status == FG_USAGE || (status == FG_OK && !c->choice->plan.plan))
        return fg_fail(message, FG_ENVIRONMENT,
                       "cuDNN %zu has no engine for \"%s\" that works with %zu MiB of workspace; raise "
                       "gpu.workspace_mib, or use device = cpu%s%.200s",
                       cudnnGetVersion(), c->choice->text, c->cuda->settings.workspace >> 20,
                       *c->refusal.text ? "; the last one tried: " : "", c->refusal.text);
    return status;
}

/* A program's choices on their way. */
struct choosing {
    struct fg_cuda *cuda;
    struct fg_cuda_program *p;
    const struct fg_memory *memory;
    char path[4096]; /* of what is kept; "": nothing is */
    struct fg_cuda_kept *kept;
    int64_t end_ns, written_ns;
    uint32_t done;
    bool news; /* that are not written yet */
};

static void write_news(struct choosing *c) {
    if (c->news && *c->path)
        fg_cuda_kept_write(c->path, c->cuda->facts, c->p->choice, c->p->choices);
    c->news = false;
    c->written_ns = fg_clock_ns();
}

/* One of them: as it was kept, or by trying; what was kept and does not open is tried again. */
static enum fg_status make_choice(struct choosing *c, const struct fg_step *step, enum fg_cudnn_part part,
                                  struct fg_cuda_choice *choice, struct fg_message *message) {
    struct fg_cuda *cuda = c->cuda;
    const struct fg_cudnn_target target = {.handle = cuda->handle[step->lane]};
    const char *text = fg_cuda_kept_find(c->kept, choice->text);
    const int64_t begin = fg_clock_ns(), left = c->end_ns - begin; /* shared by those that are to come */
    if (text && fg_cudnn_plan_read(text, &target, cuda->settings.workspace, &choice->plan, NULL) == FG_OK) {
        cuda->base.times.finalise_ns += fg_clock_ns() - begin;
        return FG_OK;
    }
    struct contest contest = {.cuda = cuda,
                              .step = step,
                              .part = part,
                              .memory = c->memory,
                              .end_ns = begin + (left > 0 ? left / (c->p->choices - c->done) : 0),
                              .choice = choice};
    enum fg_status status = choose(&contest, message);
    c->news |= status == FG_OK;
    if (fg_clock_ns() - c->written_ns > WRITE_EVERY) /* a load that is cut off need not begin anew */
        write_news(c);
    return status;
}

enum fg_status fg_cuda_choose(struct fg_cuda *cuda, struct fg_cuda_program *p, const struct fg_memory *memory,
                              struct fg_message *message) {
    const struct fg_cuda_settings *settings = &cuda->settings;
    enum fg_status status = list_choices(p, message);
    if (status != FG_OK)
        return status;
    const int64_t now = fg_clock_ns();
    struct choosing c = {
        .cuda = cuda, .p = p, .memory = memory, .end_ns = now + settings->tune_ns, .written_ns = now};
    if (settings->folder)
        snprintf(c.path, sizeof c.path, "%.4000s/engines-%016" PRIx64, settings->folder,
                 p->program->key ? p->program->key : fg_cuda_kept_key(p->choice, p->choices));
    c.kept = fg_cuda_kept_read(c.path, cuda->facts);
    for (uint32_t s = 0; s < p->program->steps && status == FG_OK; s++)
        for (int part = 0; part < FG_CUDNN_PARTS && status == FG_OK; part++) {
            struct fg_cuda_choice *choice = p->of[s][part] < 0 ? NULL : &p->choice[p->of[s][part]];
            if (!choice || choice->plan.plan)
                continue;
            status = make_choice(&c, &p->program->step[s], (enum fg_cudnn_part)part, choice, message);
            c.done++;
            if (settings->progress)
                settings->progress(settings->argument, c.done, p->choices);
        }
    fg_cuda_kept_free(c.kept);
    write_news(&c);
    return status;
}
