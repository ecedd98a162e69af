/* Several GPUs that train together: NCCL takes the mean of their gradients. It is looked for when a group is
 * opened, so that who has one GPU needs none. */
#include "kernels/cuda/host/group.h"

#ifdef FG_NCCL

#include <dlfcn.h>
#include <nccl.h>

static struct {
    ncclResult_t (*join)(ncclComm_t *communicators, int count, const int *devices);
    ncclResult_t (*leave)(ncclComm_t communicator);
    ncclResult_t (*begin)(void);
    ncclResult_t (*end)(void);
    ncclResult_t (*reduce)(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t how,
                           ncclComm_t communicator, cudaStream_t stream);
    const char *(*explain)(ncclResult_t error);
} nccl;

static bool find_function(void *library, const char *name, void *function) {
    *(void **)function = dlsym(library, name);
    return *(void **)function != NULL;
}

/* The library stays loaded. */
static enum fg_status load_nccl(struct fg_message *message) {
    void *library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return fg_fail(message, FG_ENVIRONMENT, "training on several GPUs needs NCCL: %.300s", dlerror());
    if (find_function(library, "ncclCommInitAll", &nccl.join) &&
        find_function(library, "ncclCommDestroy", &nccl.leave) &&
        find_function(library, "ncclGroupStart", &nccl.begin) &&
        find_function(library, "ncclGroupEnd", &nccl.end) &&
        find_function(library, "ncclAllReduce", &nccl.reduce) &&
        find_function(library, "ncclGetErrorString", &nccl.explain))
        return FG_OK;
    return fg_fail(message, FG_ENVIRONMENT, "libnccl.so.2 lacks what is needed: %.300s", dlerror());
}

static enum fg_status fail_nccl(ncclResult_t error, const char *what, struct fg_message *message) {
    return fg_fail(message, FG_DEVICE_LOST, "NCCL: %s: %s", what, nccl.explain(error));
}

static enum fg_status share(struct fg_backend *const *group, float *const *values, uint32_t members,
                            size_t count, struct fg_message *message) {
    ncclResult_t error = nccl.begin();
    if (error != ncclSuccess)
        return fail_nccl(error, "beginning a mean of gradients", message);
    for (uint32_t m = 0; m < members && error == ncclSuccess; m++) {
        const struct fg_cuda *cuda = (const struct fg_cuda *)group[m];
        error = nccl.reduce(values[m], values[m], count, ncclFloat32, ncclAvg, cuda->communicator,
                            cuda->stream[0]);
    }
    const ncclResult_t ended = nccl.end();
    if (error != ncclSuccess || ended != ncclSuccess)
        return fail_nccl(error != ncclSuccess ? error : ended, "a mean of gradients", message);
    for (uint32_t m = 0; m < members; m++) {
        const cudaError_t waited = cudaStreamSynchronize(((const struct fg_cuda *)group[m])->stream[0]);
        if (waited != cudaSuccess)
            return fg_cuda_fail(waited, "a mean of gradients", message);
    }
    return FG_OK;
}

enum fg_status fg_cuda_group_join(struct fg_backend *const *group, uint32_t members,
                                  struct fg_message *message) {
    enum fg_status status = load_nccl(message);
    if (status != FG_OK)
        return status;
    ncclComm_t communicator[FG_MAX_DEVICES];
    int device[FG_MAX_DEVICES];
    for (uint32_t m = 0; m < members; m++)
        device[m] = ((const struct fg_cuda *)group[m])->settings.device;
    const ncclResult_t error = nccl.join(communicator, (int)members, device);
    if (error != ncclSuccess)
        return fail_nccl(error, "joining the GPUs", message);
    for (uint32_t m = 0; m < members; m++) {
        ((struct fg_cuda *)group[m])->communicator = communicator[m];
        group[m]->share = share;
    }
    return FG_OK;
}

void fg_cuda_group_leave(struct fg_cuda *cuda) {
    if (cuda->communicator)
        nccl.leave(cuda->communicator);
}

#else

enum fg_status fg_cuda_group_join(struct fg_backend *const *group, uint32_t members,
                                  struct fg_message *message) {
    (void)group;
    return fg_fail(message, FG_ENVIRONMENT, "training on %u GPUs: this build is without NCCL", members);
}

void fg_cuda_group_leave(struct fg_cuda *cuda) {
    (void)cuda;
}

#endif
