/* Asks cuDNN for engines, makes plans of them, writes plans as text and runs them. */
#include "kernels/cuda/cudnn/plan.h"

#include <stdlib.h>
#include <string.h>

/* ---- Candidates ---- */

#define MOST_NOTES 16

/* Whether an engine may compute a graph: it must keep what enum fg_cudnn_math promises. */
static bool is_allowed(cudnnBackendDescriptor_t config, enum fg_cudnn_math math) {
    cudnnBackendDescriptor_t engine = NULL;
    cudnnBackendNumericalNote_t note[MOST_NOTES];
    cudnnBackendBehaviorNote_t behaviour[MOST_NOTES];
    int64_t count = 0, notes = 0, behaviours = 0;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) != CUDNN_STATUS_SUCCESS)
        return false;
    bool good = cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                         1, &count, &engine) == CUDNN_STATUS_SUCCESS &&
                cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                         MOST_NOTES, &notes, note) == CUDNN_STATUS_SUCCESS &&
                cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
                                         MOST_NOTES, &behaviours, behaviour) == CUDNN_STATUS_SUCCESS;
    for (int64_t i = 0; good && i < notes && i < MOST_NOTES; i++)
        switch (note[i]) {
        case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
        case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
        case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
        case CUDNN_NUMERICAL_NOTE_FFT:
        case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
        case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13:
            good = false;
            break;
        case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
            good = math == FG_CUDNN_FAST;
            break;
        default:
            break;
        }
    for (int64_t i = 0; good && i < behaviours && i < MOST_NOTES; i++)
        good = behaviour[i] != CUDNN_BEHAVIOR_NOTE_REQUIRES_FILTER_INT8x32_REORDER &&
               behaviour[i] != CUDNN_BEHAVIOR_NOTE_REQUIRES_BIAS_INT8x32_REORDER;
    cudnnBackendDestroyDescriptor(engine);
    return good;
}

/* Whether an engine needs no more workspace than this. Where cuDNN does not say, the plan will. */
static bool can_run_within(cudnnBackendDescriptor_t config, size_t workspace) {
    int64_t bytes = 0, count = 0;
    return cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count,
                                    &bytes) != CUDNN_STATUS_SUCCESS ||
           (bytes >= 0 && (uint64_t)bytes <= workspace);
}

static cudnnStatus_t ask_heuristic(const struct fg_cudnn_graph *graph, cudnnBackendHeurMode_t mode,
                                   const struct fg_cudnn_target *target,
                                   cudnnBackendDescriptor_t *heuristic) {
    cudnnStatus_t error = cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, heuristic);
    if (error == CUDNN_STATUS_SUCCESS)
        error = cudnnBackendSetAttribute(*heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
                                         CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->graph);
    if (error == CUDNN_STATUS_SUCCESS)
        error =
            cudnnBackendSetAttribute(*heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (error == CUDNN_STATUS_SUCCESS)
        error = fg_cudnn_aim(*heuristic, FG_CUDNN_OF_HEURISTIC, target);
    return error == CUDNN_STATUS_SUCCESS ? cudnnBackendFinalize(*heuristic) : error;
}

enum fg_status fg_cudnn_candidates_open(const struct fg_cudnn_graph *graph, enum fg_cudnn_offer offer,
                                        enum fg_cudnn_math math, size_t workspace,
                                        const struct fg_cudnn_target *target,
                                        struct fg_cudnn_candidates *candidates, struct fg_message *message) {
    memset(candidates, 0, sizeof *candidates);
    cudnnBackendDescriptor_t config[FG_CUDNN_CANDIDATES] = {NULL};
    int64_t count = 0;
    cudnnStatus_t error =
        ask_heuristic(graph, offer == FG_CUDNN_BEST ? CUDNN_HEUR_MODE_A : CUDNN_HEUR_MODE_FALLBACK, target,
                      &candidates->heuristic);
    for (int i = 0; i < FG_CUDNN_CANDIDATES && error == CUDNN_STATUS_SUCCESS; i++)
        error = cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &config[i]);
    if (error == CUDNN_STATUS_SUCCESS)
        error = cudnnBackendGetAttribute(candidates->heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                         CUDNN_TYPE_BACKEND_DESCRIPTOR, FG_CUDNN_CANDIDATES, &count, config);
    for (int64_t i = 0; i < FG_CUDNN_CANDIDATES; i++) {
        if (error == CUDNN_STATUS_SUCCESS && i < count && is_allowed(config[i], math) &&
            can_run_within(config[i], workspace))
            candidates->config[candidates->count++] = config[i];
        else if (config[i])
            cudnnBackendDestroyDescriptor(config[i]);
    }
    if (error == CUDNN_STATUS_SUCCESS || fg_cudnn_refused(error)) /* where it refuses there are none */
        return FG_OK;
    enum fg_status status = fg_cudnn_fail(error, "asking for engines", message);
    fg_cudnn_candidates_close(candidates);
    return status;
}

void fg_cudnn_candidates_close(struct fg_cudnn_candidates *candidates) {
    for (uint32_t i = 0; i < candidates->count; i++)
        if (candidates->config[i])
            cudnnBackendDestroyDescriptor(candidates->config[i]);
    if (candidates->heuristic)
        cudnnBackendDestroyDescriptor(candidates->heuristic);
    memset(candidates, 0, sizeof *candidates);
}

/* ---- Plans ---- */

/* Finalises a plan whose attributes are set, and reads what it needs. */
static enum fg_status finish_plan(struct fg_cudnn_plan *plan, size_t workspace, struct fg_message *message) {
    cudnnStatus_t error = cudnnBackendFinalize(plan->plan);
    int64_t bytes = 0, count = 0;
    if (error == CUDNN_STATUS_SUCCESS)
        error = cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                         CUDNN_TYPE_INT64, 1, &count, &bytes);
    if (error != CUDNN_STATUS_SUCCESS)
        return fg_cudnn_fail(error, "a plan", message);
    if (bytes < 0 || (uint64_t)bytes > workspace)
        return fg_fail(message, FG_USAGE, "cuDNN: a plan needs %lld bytes of workspace, more than %zu",
                       (long long)bytes, workspace);
    plan->workspace = (size_t)bytes;
    return FG_OK;
}

enum fg_status fg_cudnn_plan_open(struct fg_cudnn_candidates *candidates, uint32_t i,
                                  const struct fg_cudnn_target *target, size_t workspace,
                                  struct fg_cudnn_plan *plan, struct fg_message *message) {
    *plan = (struct fg_cudnn_plan){.config = candidates->config[i]};
    candidates->config[i] = NULL; /* a configuration that is compiled can be finalised once */
    cudnnStatus_t error = cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan->plan);
    if (error == CUDNN_STATUS_SUCCESS)
        error = fg_cudnn_aim(plan->plan, FG_CUDNN_OF_PLAN, target);
    if (error == CUDNN_STATUS_SUCCESS)
        error = cudnnBackendSetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                                         CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &plan->config);
    enum fg_status status = error == CUDNN_STATUS_SUCCESS ? finish_plan(plan, workspace, message)
                                                          : fg_cudnn_fail(error, "a plan", message);
    if (status != FG_OK)
        fg_cudnn_plan_close(plan);
    return status;
}

void fg_cudnn_plan_close(struct fg_cudnn_plan *plan) {
    if (plan->plan)
        cudnnBackendDestroyDescriptor(plan->plan);
    if (plan->config)
        cudnnBackendDestroyDescriptor(plan->config);
    memset(plan, 0, sizeof *plan);
}

enum fg_status fg_cudnn_plan_write(const struct fg_cudnn_plan *plan, char **text,
                                   struct fg_message *message) {
    int64_t length = 0;
    cudnnStatus_t error = cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION,
                                                   CUDNN_TYPE_CHAR, 0, &length, NULL);
    if (error != CUDNN_STATUS_SUCCESS)
        return fg_cudnn_fail(error, "a plan's text", message);
    *text = calloc((size_t)length + 1, 1);
    if (!*text)
        return fg_fail(message, FG_ENVIRONMENT, "no memory for a plan's text of %lld bytes",
                       (long long)length);
    error = cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION,
                                     CUDNN_TYPE_CHAR, length, &length, *text);
    if (error == CUDNN_STATUS_SUCCESS)
        return FG_OK;
    free(*text);
    *text = NULL;
    return fg_cudnn_fail(error, "a plan's text", message);
}

enum fg_status fg_cudnn_plan_read(const char *text, const struct fg_cudnn_target *target, size_t workspace,
                                  struct fg_cudnn_plan *plan, struct fg_message *message) {
    memset(plan, 0, sizeof *plan);
    cudnnStatus_t error = cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan->plan);
    if (error == CUDNN_STATUS_SUCCESS)
        error = fg_cudnn_aim(plan->plan, FG_CUDNN_OF_PLAN, target);
    if (error == CUDNN_STATUS_SUCCESS)
        error = cudnnBackendSetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION,
                                         CUDNN_TYPE_CHAR, (int64_t)strlen(text), text);
    enum fg_status status = error == CUDNN_STATUS_SUCCESS ? finish_plan(plan, workspace, message)
                                                          : fg_cudnn_fail(error, "a kept plan", message);
    if (status != FG_OK)
        fg_cudnn_plan_close(plan);
    return status;
}

enum fg_status fg_cudnn_plan_run(const struct fg_cudnn_plan *plan, cudnnHandle_t handle,
                                 void *const data[FG_CUDNN_PLACES], void *workspace,
                                 struct fg_message *message) {
    int64_t id[FG_CUDNN_PLACES], count = 0;
    void *pointer[FG_CUDNN_PLACES];
    for (int64_t p = 0; p < FG_CUDNN_PLACES; p++)
        if (data[p]) {
            id[count] = p;
            pointer[count++] = data[p];
        }
    cudnnBackendDescriptor_t pack = NULL;
    cudnnStatus_t error = cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack);
    if (error == CUDNN_STATUS_SUCCESS)
        error = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR,
                                         count, pointer);
    if (error == CUDNN_STATUS_SUCCESS)
        error =
            cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, id);
    if (error == CUDNN_STATUS_SUCCESS)
        error = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1,
                                         &workspace);
    if (error == CUDNN_STATUS_SUCCESS)
        error = cudnnBackendFinalize(pack);
    if (error == CUDNN_STATUS_SUCCESS)
        error = cudnnBackendExecute(handle, plan->plan, pack);
    if (pack)
        cudnnBackendDestroyDescriptor(pack);
    return error == CUDNN_STATUS_SUCCESS ? FG_OK : fg_cudnn_fail(error, "running a plan", message);
}
