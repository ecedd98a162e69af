/* Which engine computes each convolution: what was kept of an earlier choice, or the fastest of those that
 * fit into the lane's workspace, compiled and measured there as far as the time allows. The first that works
 * is measured even where it does not: so it is known that it can be recorded, and the next load takes the
 * same. Where no engine of a convolution with its ReLU keeps NaN, the convolution is computed without it, and
 * the ReLU behind it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/host/context.h"
#include "runtime/base/clock.h"

#define LIMIT (60 * FG_S)      /* the longest search for one choice, where nothing works */
#define WRITE_EVERY (5 * FG_S) /* pause between two writings of the file while engines are chosen */

static bool has_convolution(const struct fg_step *step, enum fg_cudnn_kind kind) {
    if (step->op != FG_CONV && step->op != FG_DECONV)
        return false;
    if (kind == FG_CUDNN_FORWARD)
        return step->pass == FG_FORWARD;
    return step->pass == FG_BACKWARD && (kind == FG_CUDNN_DATA ? step->d_in[0] : step->d_param[0]) != NULL;
}

/* Lists each description once, and which one each convolution of a step has. */
static enum fg_status list_choices(struct fg_cuda_program *p, struct fg_message *message) {
    const uint32_t steps = p->program->steps;
    p->of = malloc(steps * sizeof *p->of);
    p->choice = calloc((size_t)steps * FG_CUDNN_KINDS, sizeof *p->choice);
    if (!p->of || !p->choice)
        return fg_fail(message, FG_ENVIRONMENT, "no memory for the plans of %u steps", steps);
    for (uint32_t s = 0; s < steps; s++)
        for (int kind = 0; kind < FG_CUDNN_KINDS; kind++) {
            p->of[s][kind] = -1;
            if (!has_convolution(&p->program->step[s], (enum fg_cudnn_kind)kind))
                continue;
            char text[FG_CUDNN_TEXT];
            fg_cudnn_describe(&p->program->step[s], (enum fg_cudnn_kind)kind, text);
            uint32_t i = 0;
            while (i < p->choices && strcmp(p->choice[i].text, text))
                i++;
            if (i == p->choices)
                memcpy(p->choice[p->choices++].text, text, sizeof text);
            p->of[s][kind] = (int32_t)i;
        }
    return FG_OK;
}

/* One choice on its way: the first engine that works is taken; others replace it while there is time and they
 * are faster. */
struct contest {
    struct fg_cuda *cuda;
    const struct fg_step *step;
    enum fg_cudnn_kind kind;
    const struct fg_memory *memory;
    int64_t end_ns;  /* until then other engines are tried */
    int64_t last_ns; /* until then a first one that works is looked for */
    struct fg_cuda_choice *choice;
    bool relu_apart;           /* the graph that is tried now lacks its ReLU */
    uint32_t tried;            /* number of candidates that were tried */
    uint32_t drop;             /* number of candidates that make a number of what is not finite */
    struct fg_message refusal; /* why the last candidate that failed could not be used */
};

static bool has_time(const struct contest *c) {
    return fg_clock_ns() < (c->choice->plan.plan ? c->end_ns : c->last_ns);
}

/* Whether verdicts depend on the convolution: inference computes in float16, training does not. */
static bool is_for_verdict(const struct contest *c) {
    return c->kind == FG_CUDNN_FORWARD && c->step->in[0]->dtype == FG_F16;
}

/* Measures a plan, and takes it if it is the best so far and keeps what is not finite. */
static enum fg_status try_plan(struct contest *c, struct fg_cudnn_plan *plan) {
    struct fg_cuda_choice *choice = c->choice;
    struct fg_message *why = &c->refusal;
    float ms = 0;
    enum fg_status status = fg_cuda_measure(c->cuda, c->step, c->kind, plan, c->memory, &ms, why);
    if (status != FG_OK || (choice->plan.plan && ms >= choice->ms))
        return status;
    if (is_for_verdict(c))
        status = fg_cuda_probe(c->cuda, c->step, plan, c->memory, why);
    c->drop += status == FG_USAGE;
    if (status != FG_OK)
        return status;
    fg_cudnn_plan_close(&choice->plan);
    choice->plan = *plan;
    choice->relu_apart = c->relu_apart;
    choice->ms = ms;
    *plan = (struct fg_cudnn_plan){0};
    return FG_OK;
}

static enum fg_status try_candidate(struct contest *c, struct fg_cudnn_candidates *candidates, uint32_t i,
                                    struct fg_message *message) {
    struct fg_prepare_times *times = &c->cuda->base.times;
    const struct fg_cudnn_target target = {.handle = c->cuda->handle[c->step->lane]};
    struct fg_cudnn_plan plan;
    c->tried++;
    int64_t begin = fg_clock_ns();
    enum fg_status status =
        fg_cudnn_plan_open(candidates, i, &target, c->cuda->settings.workspace, &plan, &c->refusal);
    times->finalise_ns += fg_clock_ns() - begin;
    begin = fg_clock_ns();
    if (status == FG_OK)
        status = try_plan(c, &plan);
    times->tune_ns += fg_clock_ns() - begin;
    /* A candidate that fails is passed over as long as the device answers. What it has queued ends before it
     * does. */
    const cudaError_t error =
        status == FG_OK ? cudaSuccess : cudaStreamSynchronize(c->cuda->stream[c->step->lane]);
    fg_cudnn_plan_close(&plan);
    return error == cudaSuccess ? FG_OK : fg_cuda_fail(error, "trying an engine", message);
}

static enum fg_status try_candidates(struct contest *c, const struct fg_cudnn_graph *graph,
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
    for (uint32_t i = 0; i < candidates.count && status == FG_OK && has_time(c); i++)
        status = try_candidate(c, &candidates, i, message);
    fg_cudnn_candidates_close(&candidates);
    return status;
}

/* Tries what cuDNN offers for the convolution as it is, or without its ReLU. */
static enum fg_status try_offer(struct contest *c, enum fg_cudnn_offer offer, bool relu_apart,
                                struct fg_message *message) {
    const struct fg_cudnn_target target = {.handle = c->cuda->handle[c->step->lane]};
    struct fg_step step = *c->step;
    struct fg_cudnn_graph graph;
    step.relu = step.relu && !relu_apart;
    c->relu_apart = relu_apart;
    enum fg_status status = fg_cudnn_graph_open(&step, c->kind, &target, &graph, &c->refusal);
    if (status != FG_OK)
        return status == FG_USAGE ? FG_OK : fg_fail(message, status, "%s", c->refusal.text);
    status = try_candidates(c, &graph, offer, message);
    fg_cudnn_graph_close(&graph);
    return status;
}

static enum fg_status choose_plan(struct contest *c, struct fg_message *message) {
    const bool may_separate = is_for_verdict(c) && c->step->relu;
    enum fg_status status = FG_OK;
    for (int offer = 0; offer < FG_CUDNN_OFFERS; offer++)
        for (int apart = 0; apart <= may_separate && status == FG_OK && !c->choice->plan.plan; apart++)
            status = try_offer(c, (enum fg_cudnn_offer)offer, apart, message);
    if (status == FG_OK && !c->choice->plan.plan)
        return fg_fail(
            message, FG_ENVIRONMENT,
            "cuDNN %zu has no engine for \"%s\" that works with %zu MiB of workspace; raise "
            "gpu.workspace_mib, or use device = cpu; %u were tried, %u make a number of what is not "
            "finite%s%.200s",
            cudnnGetVersion(), c->choice->text, c->cuda->settings.workspace >> 20, c->tried, c->drop,
            *c->refusal.text ? "; the last one: " : "", c->refusal.text);
    return status;
}

/* A program's choices on their way. */
struct choosing {
    struct fg_cuda *cuda;
    struct fg_cuda_program *p;
    const struct fg_memory *memory;
    char path[4096]; /* the file of kept choices; "": nothing is kept */
    struct fg_cuda_kept *kept;
    int64_t end_ns;     /* until then engines are compared */
    int64_t written_ns; /* when the file was last written */
    uint32_t done;      /* number of choices that are made */
    bool news;          /* some choices are not written yet */
};

static void write_news(struct choosing *c) {
    if (c->news && *c->path)
        fg_cuda_kept_write(c->path, c->cuda->facts, c->p->choice, c->p->choices);
    c->news = false;
    c->written_ns = fg_clock_ns();
}

/* Takes one choice as it was kept, or by trying; a kept choice that does not open is made again. */
static enum fg_status make_choice(struct choosing *c, const struct fg_step *step, enum fg_cudnn_kind kind,
                                  struct fg_cuda_choice *choice, struct fg_message *message) {
    struct fg_cuda *cuda = c->cuda;
    const struct fg_cudnn_target target = {.handle = cuda->handle[step->lane]};
    const char *text = fg_cuda_kept_find(c->kept, choice->text, &choice->relu_apart);
    const int64_t begin = fg_clock_ns(), left = c->end_ns - begin; /* shared by those that are to come */
    if (text && fg_cudnn_plan_read(text, &target, cuda->settings.workspace, &choice->plan, NULL) == FG_OK) {
        cuda->base.times.finalise_ns += fg_clock_ns() - begin;
        return FG_OK;
    }
    struct contest contest = {.cuda = cuda,
                              .step = step,
                              .kind = kind,
                              .memory = c->memory,
                              .end_ns = begin + (left > 0 ? left / (c->p->choices - c->done) : 0),
                              .last_ns = begin + LIMIT,
                              .choice = choice};
    enum fg_status status = choose_plan(&contest, message);
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
        for (int kind = 0; kind < FG_CUDNN_KINDS && status == FG_OK; kind++) {
            struct fg_cuda_choice *choice = p->of[s][kind] < 0 ? NULL : &p->choice[p->of[s][kind]];
            if (!choice || choice->plan.plan)
                continue;
            status = make_choice(&c, &p->program->step[s], (enum fg_cudnn_kind)kind, choice, message);
            c.done++;
            if (settings->progress)
                settings->progress(settings->argument, c.done, p->choices);
        }
    fg_cuda_kept_free(c.kept);
    write_news(&c);
    return status;
}
