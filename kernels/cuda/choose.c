/* Which engine computes each convolution: what was kept of an earlier choice, or the fastest of those that fit into the
 * lane's workspace, measured there, as far as the time allows. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/context.h"
#include "runtime/base/clock.h"

#define RUNS 5 /* timed together */

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

/* Milliseconds of one run of a plan on a step's own operands; what they hold does not matter. */
static enum fg_status measure(struct fg_cuda *cuda, const struct fg_step *step, enum fg_cudnn_part part,
                              const struct fg_cudnn_plan *plan, const struct fg_memory *memory, float *ms,
                              struct fg_message *message) {
    cudaStream_t stream = cuda->stream[step->lane];
    cudnnHandle_t handle = cuda->handle[step->lane];
    void *data[FG_CUDNN_PLACES], *workspace = (char *)memory->region[FG_REGION_WORKSPACE] + step->workspace;
    for (int place = 0; place < FG_CUDNN_PLACES; place++) {
        const struct fg_tensor *t = fg_cudnn_operand(step, part, (enum fg_cudnn_place)place);
        if (part == FG_CUDNN_DATA && place == FG_CUDNN_Y)
            t = step->d_in[0];
        if (part == FG_CUDNN_FILTER && place == FG_CUDNN_Y)
            t = step->d_param[0]; /* never the weight itself */
        data[place] = t ? fg_tensor_data(t, memory) : NULL;
    }
    enum fg_status status = fg_cudnn_plan_run(plan, handle, data, workspace, message);
    cudaError_t error = cudaEventRecord(cuda->before, stream);
    for (int i = 0; i < RUNS && status == FG_OK && error == cudaSuccess; i++)
        status = fg_cudnn_plan_run(plan, handle, data, workspace, message);
    if (error == cudaSuccess)
        error = cudaEventRecord(cuda->after, stream);
    if (error == cudaSuccess)
        error = cudaEventSynchronize(cuda->after);
    if (error == cudaSuccess)
        error = cudaEventElapsedTime(ms, cuda->before, cuda->after);
    if (status == FG_OK && error != cudaSuccess)
        status = fg_cuda_fail(error, "measuring an engine", message);
    *ms /= RUNS;
    return status;
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

/* What a candidate's failure means: as long as the device itself answers, that another must be tried. */
static enum fg_status pass_over(struct contest *c, enum fg_status status, struct fg_message *message) {
    if (status == FG_OK)
        return FG_OK;
    if (status != FG_USAGE && status != FG_DEVICE_LOST)
        return fg_fail(message, status, "%s", c->refusal.text);
    const cudaError_t error = cudaStreamSynchronize(c->cuda->stream[c->step->lane]);
    return error == cudaSuccess ? FG_OK : fg_cuda_fail(error, "trying an engine", message);
}

static enum fg_status try_candidate(struct contest *c, struct fg_cudnn_candidates *candidates, uint32_t i,
                                    struct fg_message *message) {
    struct fg_message *why = &c->refusal;
    struct fg_backend *base = &c->cuda->base;
    const struct fg_cudnn_target target = {.handle = c->cuda->handle[c->step->lane]};
    struct fg_cudnn_plan plan;
    float ms = 0;
    int64_t begin = fg_clock_ns();
    enum fg_status status =
        fg_cudnn_plan_open(candidates, i, &target, c->cuda->settings.workspace, &plan, why);
    base->times.finalise_ns += fg_clock_ns() - begin;
    begin = fg_clock_ns();
    if (status == FG_OK && begin < c->end_ns)
        status = measure(c->cuda, c->step, c->part, &plan, c->memory, &ms, why);
    base->times.tune_ns += fg_clock_ns() - begin;
    if (status == FG_OK && (!c->choice->plan.plan || (ms > 0 && ms < c->choice->ms))) {
        fg_cudnn_plan_close(&c->choice->plan);
        c->choice->plan = plan;
        c->choice->ms = ms;
        return FG_OK;
    }
    status = pass_over(c, status, message);
    fg_cudnn_plan_close(&plan); /* behind what it has queued */
    return status;
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
    enum fg_status status = fg_cudnn_graph_open(c->step, c->part, &target, &graph, message);
    if (status != FG_OK)
        return status;
    for (int offer = 0; offer < FG_CUDNN_OFFERS && status == FG_OK && !c->choice->plan.plan; offer++)
        status = try_offer(c, &graph, (enum fg_cudnn_offer)offer, message);
    fg_cudnn_graph_close(&graph);
    if (status == FG_OK && !c->choice->plan.plan)
        return fg_fail(message, FG_ENVIRONMENT,
                       "cuDNN %zu has no engine for \"%s\" that works with %zu MiB of workspace; raise "
                       "gpu.workspace_mib, or use device = cpu%s%.200s",
                       cudnnGetVersion(), c->choice->text, c->cuda->settings.workspace >> 20,
                       *c->refusal.text ? "; the last one tried: " : "", c->refusal.text);
    return status;
}

enum fg_status fg_cuda_choose(struct fg_cuda *cuda, struct fg_cuda_program *p, const struct fg_memory *memory,
                              struct fg_message *message) {
    const struct fg_cuda_settings *settings = &cuda->settings;
    enum fg_status status = list_choices(p, message);
    if (status != FG_OK)
        return status;
    char path[4096] = "";
    if (settings->folder && p->program->key)
        snprintf(path, sizeof path, "%.4000s/engines-%016" PRIx64, settings->folder, p->program->key);
    struct fg_cuda_kept *kept = fg_cuda_kept_read(path, cuda->facts);
    const struct fg_cudnn_target target = {.handle = cuda->handle[0]};
    const int64_t end = fg_clock_ns() + settings->tune_ns;
    uint32_t done = 0, made = 0;
    for (uint32_t s = 0; s < p->program->steps && status == FG_OK; s++)
        for (int part = 0; part < FG_CUDNN_PARTS && status == FG_OK; part++) {
            if (p->of[s][part] < 0)
                continue;
            struct fg_cuda_choice *choice = &p->choice[p->of[s][part]];
            if (choice->plan.plan)
                continue;
            const char *text = fg_cuda_kept_find(kept, choice->text);
            /* What was kept and does not open is measured again. */
            const int64_t begin = fg_clock_ns(), left = end - begin; /* shared by those that are left */
            if (text &&
                fg_cudnn_plan_read(text, &target, settings->workspace, &choice->plan, NULL) == FG_OK) {
                cuda->base.times.finalise_ns += fg_clock_ns() - begin;
            } else {
                struct contest contest = {.cuda = cuda,
                                          .step = &p->program->step[s],
                                          .part = (enum fg_cudnn_part)part,
                                          .memory = memory,
                                          .end_ns = begin + (left > 0 ? left / (p->choices - done) : 0),
                                          .choice = choice};
                status = choose(&contest, message);
                made++;
            }
            done++;
            if (settings->progress)
                settings->progress(settings->argument, done, p->choices);
        }
    fg_cuda_kept_free(kept);
    if (status == FG_OK && made && *path)
        fg_cuda_kept_write(path, cuda->facts, p->choice, p->choices);
    return status;
}
