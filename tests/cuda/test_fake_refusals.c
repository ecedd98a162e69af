/* What the fake runtime and the fake cuDNN refuse, each with the documented error: so that a mistake of the
 * backend's would show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cuda_runtime_api.h>
#include <cudnn.h>

#include "kernels/cuda/cudnn/plan.h"
#include "tests/cuda/fake.h"
#include "tests/cuda/judged.h"

#define is(call, error) assert_int_equal((call), (error))
#define BYTES 4096

static cudaStream_t a, b;
static cudaEvent_t event;
static char *device, *pinned, pageable[BYTES];

static int set_up(void **state) {
    (void)state;
    return cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking) ||
           cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking) ||
           cudaEventCreateWithFlags(&event, cudaEventDisableTiming) || cudaMalloc((void **)&device, BYTES) ||
           cudaHostAlloc((void **)&pinned, BYTES, cudaHostAllocMapped);
}

static int tear_down(void **state) {
    (void)state;
    cudaFree(device);
    cudaFreeHost(pinned);
    cudaEventDestroy(event);
    cudaStreamDestroy(a);
    cudaStreamDestroy(b);
    fg_judged_nothing_left();
    return 0;
}

static void test_memory(void **state) {
    (void)state;
    is(cudaMemcpy(device + 1, pageable, BYTES, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    is(cudaMemcpy(pageable, device, BYTES, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    is(cudaMemcpy(pageable, device, BYTES + 1, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    is(cudaMemset(device, 0, BYTES + 1), cudaErrorInvalidValue);
    is(cudaMemset(pageable, 0, 1), cudaErrorInvalidValue);
    is(cudaMemcpyAsync(device, pageable, BYTES, cudaMemcpyHostToDevice, a), cudaErrorInvalidValue);
    is(cudaMemcpyAsync(device, pinned + 1, BYTES, cudaMemcpyHostToDevice, a), cudaErrorInvalidValue);
    is(cudaFree(device + 16), cudaErrorInvalidValue);
    is(cudaFree(pinned), cudaErrorInvalidValue);
    void *seen, *freed = NULL;
    is(cudaHostGetDevicePointer(&seen, pageable, 0), cudaErrorInvalidValue);
    is(cudaMalloc(&freed, BYTES), cudaSuccess);
    is(cudaFree(freed), cudaSuccess);
    is(cudaFree(freed), cudaErrorInvalidValue);
    is(cudaMemcpy(freed, pageable, 1, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    is(cudaMalloc(&freed, (size_t)1 << 40), cudaErrorMemoryAllocation);
}

/* Whether a process of its own reads a byte and lives. */
static bool survives(const volatile char *byte) {
    const pid_t child = fork();
    if (child == 0) {
        (void)!freopen("/dev/null", "w", stderr); /* without it the log is only longer */
        signal(SIGSEGV, SIG_DFL);
        _exit(*byte == 77);
    }
    int status;
    is(waitpid(child, &status, 0), child);
    return WIFEXITED(status);
}

static void test_the_host_cannot_reach(void **state) {
    (void)state;
    assert_true(survives(pinned));
    assert_false(survives(device));
    char *freed;
    is(cudaMalloc((void **)&freed, BYTES), cudaSuccess);
    is(cudaFree(freed), cudaSuccess);
    assert_false(survives(freed));
}

/* A capture in stream a, void or ended by the one that asked for it. */
static void begin(void) {
    is(cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal), cudaSuccess);
}

static void ends_with(cudaError_t error) {
    cudaGraph_t graph = (cudaGraph_t)pageable;
    is(cudaStreamEndCapture(a, &graph), error);
    if (error != cudaSuccess)
        assert_null(graph);
    else
        is(cudaGraphDestroy(graph), cudaSuccess);
}

static void *allocate_elsewhere(void *result) {
    void *block = NULL;
    *(cudaError_t *)result = cudaMalloc(&block, 16);
    cudaFree(block);
    return NULL;
}

static void *end_elsewhere(void *result) {
    cudaGraph_t graph;
    *(cudaError_t *)result = cudaStreamEndCapture(a, &graph);
    return NULL;
}

static cudaError_t elsewhere(void *(*run)(void *)) {
    pthread_t thread;
    cudaError_t result = cudaErrorUnknown;
    is(pthread_create(&thread, NULL, run, &result), 0);
    pthread_join(thread, NULL);
    return result;
}

static void test_capture(void **state) {
    (void)state;
    void *block;
    is(cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal), cudaErrorInvalidValue);
    is(cudaStreamBeginCapture(NULL, cudaStreamCaptureModeThreadLocal), cudaErrorIllegalState);
    ends_with(cudaErrorStreamCaptureUnmatched);
    begin();
    is(cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal), cudaErrorIllegalState);
    is(elsewhere(allocate_elsewhere), cudaSuccess); /* the mode is this thread's */
    is(elsewhere(end_elsewhere), cudaErrorStreamCaptureWrongThread);
    ends_with(cudaSuccess);
    begin();
    is(cudaMalloc(&block, 16), cudaErrorStreamCaptureUnsupported);
    is(cudaEventRecord(event, a), cudaErrorStreamCaptureInvalidated);
    ends_with(cudaErrorStreamCaptureInvalidated);
    begin();
    is(cudaMemcpy(device, pageable, 16, cudaMemcpyHostToDevice), cudaErrorStreamCaptureUnsupported);
    ends_with(cudaErrorStreamCaptureInvalidated);
    begin();
    is(cudaStreamSynchronize(a), cudaErrorStreamCaptureUnsupported);
    ends_with(cudaErrorStreamCaptureInvalidated);
    begin();
    is(cudaEventRecord(event, a), cudaSuccess);
    ends_with(cudaSuccess);
    is(cudaEventQuery(event), cudaErrorCapturedEvent);
    is(cudaStreamWaitEvent(b, event, 0), cudaErrorInvalidValue);
    /* What was not captured is not waited for in a capture. */
    is(cudaEventRecord(event, b), cudaSuccess);
    begin();
    is(cudaStreamWaitEvent(a, event, 0), cudaErrorStreamCaptureIsolation);
    ends_with(cudaErrorStreamCaptureInvalidated);
}

static void test_lanes(void **state) {
    (void)state;
    begin();
    is(cudaEventRecord(event, a), cudaSuccess);
    is(cudaStreamWaitEvent(b, event, 0), cudaSuccess);
    is(cudaMemcpyAsync(device, pinned, 16, cudaMemcpyHostToDevice, b), cudaSuccess);
    ends_with(cudaErrorStreamCaptureUnjoined);
    begin();
    is(cudaEventRecord(event, a), cudaSuccess);
    is(cudaStreamWaitEvent(b, event, 0), cudaSuccess);
    is(cudaMemcpyAsync(device, pinned, 16, cudaMemcpyHostToDevice, b), cudaSuccess);
    is(cudaEventRecord(event, b), cudaSuccess);
    is(cudaStreamWaitEvent(a, event, 0), cudaSuccess);
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    is(cudaStreamEndCapture(a, &graph), cudaSuccess);
    is(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    cudaGraphNode_t node;
    size_t count = 1;
    enum cudaGraphNodeType type;
    is(cudaGraphGetNodes(graph, &node, &count), cudaSuccess);
    is(cudaGraphNodeGetType(node, &type), cudaSuccess);
    is(type, cudaGraphNodeTypeMemcpy);
    is(cudaGraphExecMemcpyNodeSetParams1D(exec, node, device, pageable, 16, cudaMemcpyHostToDevice),
       cudaErrorInvalidValue);
    is(cudaGraphExecMemcpyNodeSetParams1D(exec, node, device, pinned + 1, BYTES, cudaMemcpyHostToDevice),
       cudaErrorInvalidValue);
    is(cudaGraphExecMemcpyNodeSetParams1D(exec, node, device, pinned + 16, 16, cudaMemcpyHostToDevice),
       cudaSuccess);
    memset(pinned, 1, BYTES);
    memset(pinned + 16, 2, 16);
    is(cudaGraphLaunch(exec, a), cudaSuccess);
    is(cudaStreamSynchronize(a), cudaSuccess);
    is(cudaMemcpy(pageable, device, 16, cudaMemcpyDeviceToHost), cudaSuccess);
    assert_int_equal(pageable[0], 2);
    is(cudaGraphExecDestroy(exec), cudaSuccess);
    is(cudaGraphLaunch(exec, a), cudaErrorInvalidValue);
    is(cudaGraphExecDestroy(exec), cudaErrorInvalidValue);
    is(cudaGraphDestroy(graph), cudaSuccess);
    is(cudaGraphDestroy(graph), cudaErrorInvalidValue);
}

static void test_handles(void **state) {
    (void)state;
    cudaStream_t gone;
    cudaEvent_t other;
    float ms;
    is(cudaStreamCreateWithFlags(&gone, cudaStreamDefault), cudaErrorInvalidValue);
    is(cudaStreamCreateWithFlags(&gone, cudaStreamNonBlocking), cudaSuccess);
    is(cudaStreamDestroy(gone), cudaSuccess);
    is(cudaStreamDestroy(gone), cudaErrorInvalidResourceHandle);
    is(cudaEventRecord(event, gone), cudaErrorInvalidResourceHandle);
    is(cudaEventRecord(event, a), cudaSuccess);
    is(cudaEventElapsedTime(&ms, event, event), cudaErrorInvalidResourceHandle); /* it has no timing */
    is(cudaEventCreate(&other), cudaSuccess);
    is(cudaEventElapsedTime(&ms, other, other), cudaErrorInvalidResourceHandle);
    is(cudaEventRecord(other, a), cudaSuccess);
    is(cudaEventElapsedTime(&ms, other, other), cudaErrorNotReady);
    is(cudaEventSynchronize(other), cudaSuccess);
    is(cudaEventElapsedTime(&ms, other, other), cudaSuccess);
    is(cudaEventDestroy(other), cudaSuccess);
    is(cudaEventQuery(other), cudaErrorInvalidResourceHandle);
}

/* ---- cuDNN ---- */

static cudnnBackendDescriptor_t tensor(const int64_t extent[4], const int64_t stride[4], int64_t alignment,
                                       cudnnStatus_t expected) {
    cudnnBackendDescriptor_t d;
    const cudnnDataType_t type = CUDNN_DATA_HALF;
    const int64_t id = 1;
    is(cudnnBackendCreateDescriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR, &d), CUDNN_STATUS_SUCCESS);
    is(cudnnBackendSetAttribute(d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type), 0);
    is(cudnnBackendSetAttribute(d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, extent), 0);
    is(cudnnBackendSetAttribute(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id), 0);
    is(cudnnBackendSetAttribute(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment), 0);
    is(cudnnBackendFinalize(d), CUDNN_STATUS_BAD_PARAM); /* no strides yet */
    is(cudnnBackendSetAttribute(d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, stride), 0);
    is(cudnnBackendFinalize(d), expected);
    return d;
}

static void test_descriptors(void **state) {
    (void)state;
    const int64_t extent[] = {1, 8, 4, 4}, nhwc[] = {128, 1, 32, 8}, nchw[] = {128, 16, 4, 1}, id = 2;
    cudnnBackendDescriptor_t d = tensor(extent, nchw, 16, CUDNN_STATUS_NOT_SUPPORTED);
    is(cudnnBackendDestroyDescriptor(d), 0);
    d = tensor(extent, nhwc, 3, CUDNN_STATUS_BAD_PARAM);
    int64_t value, count;
    is(cudnnBackendGetAttribute(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &count, &value),
       CUDNN_STATUS_NOT_INITIALIZED);
    is(cudnnBackendDestroyDescriptor(d), 0);
    d = tensor(extent, nhwc, 16, CUDNN_STATUS_SUCCESS);
    is(cudnnBackendSetAttribute(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id),
       CUDNN_STATUS_NOT_INITIALIZED);
    is(cudnnBackendFinalize(d), CUDNN_STATUS_BAD_PARAM);
    is(cudnnBackendDestroyDescriptor(d), 0);
    is(cudnnBackendDestroyDescriptor(d), CUDNN_STATUS_BAD_PARAM);
    is(cudnnBackendCreateDescriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR, &d), 0);
    is(cudnnBackendSetAttribute(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_FLOAT, 1, &id),
       CUDNN_STATUS_BAD_PARAM);
    is(cudnnBackendSetAttribute(d, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &id),
       CUDNN_STATUS_BAD_PARAM);
    is(cudnnBackendDestroyDescriptor(d), 0);
}

/* A plan of a convolution that needs workspace, and what it is not run with. */
static void test_execution(void **state) {
    (void)state;
    const struct fg_tensor x = {.dtype = FG_F16, .n = 1, .h = 4, .w = 4, .c = 8, .segment = FG_SEGMENT_IO},
                           w = {.dtype = FG_F16, .n = 8, .h = 3, .w = 3, .c = 8, .segment = FG_SEGMENT_IO};
    struct fg_step step = {.op = FG_CONV, .stride = 1, .groups = 1, .in = {&x}, .param = {&w}, .out = {&x}};
    struct fg_cudnn_target target = {NULL, NULL};
    struct fg_cudnn_graph graph;
    struct fg_cudnn_candidates candidates;
    struct fg_cudnn_plan plan = {.plan = NULL};
    char *block, *workspace;
    is(cudaMalloc((void **)&block, 3 * BYTES), 0);
    is(cudaMalloc((void **)&workspace, 65536), 0);
    is(cudnnCreate(&target.handle), 0);
    is(cudnnSetStream(target.handle, a), 0);
    is(fg_cudnn_graph_open(&step, FG_CUDNN_FORWARD, &target, &graph, NULL), FG_OK);
    is(fg_cudnn_candidates_open(&graph, FG_CUDNN_BEST, FG_CUDNN_FAST, 65536, &target, &candidates, NULL),
       FG_OK);
    for (uint32_t i = 0; i < candidates.count && !plan.workspace; i++) {
        fg_cudnn_plan_close(&plan);
        /* One that is refused has no workspace: the next is tried. */
        fg_ignore(fg_cudnn_plan_open(&candidates, i, &target, 65536, &plan, NULL));
    }
    is(plan.workspace, 65536);
    void *data[FG_CUDNN_PLACES] = {block, block + BYTES, block + 2 * BYTES};
    is(fg_cudnn_plan_run(&plan, target.handle, data, workspace, NULL), FG_OK);
    const struct {
        int place;
        void *pointer, *workspace;
    } wrong[] = {
        {FG_CUDNN_X, block + 8, workspace},               /* not aligned */
        {FG_CUDNN_Y, block + 3 * BYTES - 128, workspace}, /* beyond the block */
        {FG_CUDNN_W, pinned, workspace},                  /* not of the device */
        {FG_CUDNN_W, NULL, workspace},                    /* missing */
        {FG_CUDNN_BIAS, block, workspace},                /* one too many */
        {FG_CUDNN_X, block, NULL},
        {FG_CUDNN_X, block, workspace + 16}, /* too small */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        void *given[FG_CUDNN_PLACES];
        memcpy(given, data, sizeof data);
        given[wrong[i].place] = wrong[i].pointer;
        assert_int_not_equal(fg_cudnn_plan_run(&plan, target.handle, given, wrong[i].workspace, NULL), FG_OK);
    }
    is(cudaFree(workspace), 0);
    assert_int_not_equal(fg_cudnn_plan_run(&plan, target.handle, data, workspace, NULL), FG_OK);
    /* Its text opens here, and not with another version. */
    char *text = NULL;
    struct fg_cudnn_plan again;
    is(fg_cudnn_plan_write(&plan, &text, NULL), FG_OK);
    is(fg_cudnn_plan_read(text, &target, 65536, &again, NULL), FG_OK);
    fg_cudnn_plan_close(&again);
    is(fg_cudnn_plan_read(text, &target, 65535, &again, NULL), FG_USAGE);
    fg_fake_update(1);
    is(fg_cudnn_plan_read(text, &target, 65536, &again, NULL), FG_USAGE);
    fg_fake_update(0);
    free(text);
    fg_cudnn_plan_close(&plan);
    fg_cudnn_candidates_close(&candidates);
    fg_cudnn_graph_close(&graph);
    is(cudnnDestroy(target.handle), 0);
    is(cudnnDestroy(target.handle), CUDNN_STATUS_BAD_PARAM);
    is(cudaFree(block), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),    cmocka_unit_test(test_the_host_cannot_reach),
        cmocka_unit_test(test_capture),   cmocka_unit_test(test_lanes),
        cmocka_unit_test(test_handles),   cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_execution),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
