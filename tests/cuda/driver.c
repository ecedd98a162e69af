/* A stand-in for libcuda.so.1, for machines without a driver: cuDNN finalises a plan whose kernel is compiled
 * at run time only where a driver takes the kernel, even when the plan is for a described device and nothing
 * is ever launched. This one takes every module and kernel, knows nothing about them, and refuses all else,
 * so whatever asks for a device hears that there is none. Built as a shared object with the soname
 * libcuda.so.1, by which cuDNN then finds it loaded, and opened before the first call to cuDNN; in tests
 * only, and never where there is a real driver.
 *
 * It has no need of CUDA's headers: a handle is a pointer, a status an int. An entry point that refuses looks
 * at none of its arguments, which the calling conventions of x86-64 and AArch64 allow. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VERSION 13000 /* CUDA 13.0, also the driver of the described devices */
#define STUB_LIBRARY 34
#define INVALID_VALUE 1
#define OUT_OF_MEMORY 2
#define MAX_THREADS_PER_BLOCK 0 /* CU_FUNC_ATTRIBUTE_... */

typedef void *handle;
typedef void function(void);

/* Handles of libraries, modules, kernels and functions. Each is the address of a byte of its own, never used
 * again, so that one that was unloaded cannot pass for another. */
static char handles[1 << 20];
static atomic_size_t given;

static int give(handle *to) {
    size_t i = atomic_fetch_add(&given, 1);
    if (i >= sizeof handles) {
        return OUT_OF_MEMORY;
    }
    *to = &handles[i];
    return 0;
}

int cuDriverGetVersion(int *version) {
    *version = VERSION;
    return 0;
}

int cuLibraryLoadData(handle *library, const void *code, void *jit, void **jit_values, unsigned jits,
                      void *options, void **values, unsigned count) {
    (void)code, (void)jit, (void)jit_values, (void)jits, (void)options, (void)values, (void)count;
    return give(library);
}

int cuLibraryGetKernel(handle *kernel, handle library, const char *name) {
    (void)library, (void)name;
    return give(kernel);
}

int cuLibraryGetModule(handle *module, handle library) {
    *module = library;
    return 0;
}

int cuLibraryUnload(handle library) {
    (void)library;
    return 0;
}

int cuModuleLoadData(handle *module, const void *image) {
    (void)image;
    return give(module);
}

int cuModuleLoadDataEx(handle *module, const void *image, unsigned count, void *options, void **values) {
    (void)image, (void)count, (void)options, (void)values;
    return give(module);
}

int cuModuleLoadFatBinary(handle *module, const void *image) {
    (void)image;
    return give(module);
}

int cuModuleGetFunction(handle *to, handle module, const char *name) {
    (void)module, (void)name;
    return give(to);
}

int cuModuleUnload(handle module) {
    (void)module;
    return 0;
}

int cuKernelGetFunction(handle *to, handle kernel) {
    *to = kernel;
    return 0;
}

/* 0 registers, bytes of shared and of local memory: nothing that could rule a kernel out. */
int cuFuncGetAttribute(int *value, int attribute, handle of) {
    (void)of;
    *value = attribute == MAX_THREADS_PER_BLOCK ? 1024 : 0;
    return 0;
}

int cuFuncSetAttribute(handle of, int attribute, int value) {
    (void)of, (void)attribute, (void)value;
    return 0;
}

int cuKernelGetAttribute(int *value, int attribute, handle kernel, int device) {
    (void)device;
    return cuFuncGetAttribute(value, attribute, kernel);
}

int cuKernelSetAttribute(int attribute, int value, handle kernel, int device) {
    (void)device;
    return cuFuncSetAttribute(kernel, attribute, value);
}

int cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, handle of, int block, size_t shared,
                                                         unsigned flags) {
    (void)of, (void)block, (void)shared, (void)flags;
    *blocks = 1;
    return 0;
}

int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, handle of, int block, size_t shared) {
    return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, of, block, shared, 0);
}

int cuOccupancyMaxPotentialClusterSize(int *blocks, handle of, const void *launch) {
    (void)of, (void)launch;
    *blocks = 1;
    return 0;
}

/* cuDNN looks each of these up by name and takes no driver that lacks one. */
#define REFUSED(X)                                                                                           \
    X(cuInit)                                                                                                \
    X(cuCtxGetCurrent)                                                                                       \
    X(cuCtxGetDevice)                                                                                        \
    X(cuCtxGetLimit)                                                                                         \
    X(cuCtxPopCurrent)                                                                                       \
    X(cuCtxPushCurrent)                                                                                      \
    X(cuDeviceGet)                                                                                           \
    X(cuDeviceGetAttribute)                                                                                  \
    X(cuDeviceGetCount)                                                                                      \
    X(cuDevicePrimaryCtxRelease)                                                                             \
    X(cuDevicePrimaryCtxReset)                                                                               \
    X(cuDevicePrimaryCtxRetain)                                                                              \
    X(cuLaunchCooperativeKernel)                                                                             \
    X(cuLaunchKernel)                                                                                        \
    X(cuLaunchKernelEx)                                                                                      \
    X(cuLibraryLoadFromFile)                                                                                 \
    X(cuLinkAddData)                                                                                         \
    X(cuLinkAddData_v2)                                                                                      \
    X(cuLinkAddFile_v2)                                                                                      \
    X(cuLinkComplete)                                                                                        \
    X(cuLinkCreate)                                                                                          \
    X(cuLinkCreate_v2)                                                                                       \
    X(cuLinkDestroy)                                                                                         \
    X(cuMemcpyDtoH_v2)                                                                                       \
    X(cuModuleGetGlobal_v2)                                                                                  \
    X(cuStreamGetCtx)                                                                                        \
    X(cuStreamSynchronize)                                                                                   \
    X(cuTensorMapEncodeTiled)

#define DEFINE(name)                                                                                         \
    int name(void) {                                                                                         \
        return STUB_LIBRARY;                                                                                 \
    }
REFUSED(DEFINE)

static int explain(int status, const char **text) {
    *text = status == 0 ? "no error" : "a stand-in for the driver, there is no device";
    return 0;
}

int cuGetErrorName(int status, const char **name) {
    return explain(status, name);
}

int cuGetErrorString(int status, const char **text) {
    return explain(status, text);
}

int cuGetProcAddress(const char *name, void **to, int version, uint64_t flags);
int cuGetProcAddress_v2(const char *name, void **to, int version, uint64_t flags, int *found);

#define ENTRY(name)                                                                                          \
    { #name, (function *)name }
static const struct {
    const char *name;
    function *entry;
} answered[] = {
    ENTRY(cuDriverGetVersion),
    ENTRY(cuFuncGetAttribute),
    ENTRY(cuFuncSetAttribute),
    ENTRY(cuGetErrorName),
    ENTRY(cuGetErrorString),
    ENTRY(cuKernelGetAttribute),
    ENTRY(cuKernelGetFunction),
    ENTRY(cuKernelSetAttribute),
    ENTRY(cuLibraryGetKernel),
    ENTRY(cuLibraryGetModule),
    ENTRY(cuLibraryLoadData),
    ENTRY(cuLibraryUnload),
    ENTRY(cuModuleGetFunction),
    ENTRY(cuModuleLoadData),
    ENTRY(cuModuleLoadDataEx),
    ENTRY(cuModuleLoadFatBinary),
    ENTRY(cuModuleUnload),
    ENTRY(cuOccupancyMaxActiveBlocksPerMultiprocessor),
    ENTRY(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags),
    ENTRY(cuOccupancyMaxPotentialClusterSize),
};

/* The CUDA runtime takes its entry points from here, some 500, and no driver that lacks one: whatever is not
 * answered is there all the same, and refuses. Only cuGetProcAddress has more than one form. */
int cuGetProcAddress_v2(const char *name, void **to, int version, uint64_t flags, int *found) {
    (void)flags;
    function *entry = (function *)cuInit;
    if (name == NULL || to == NULL) {
        return INVALID_VALUE;
    }
    for (size_t i = 0; i < sizeof answered / sizeof *answered; ++i) {
        if (strcmp(name, answered[i].name) == 0) {
            entry = answered[i].entry;
        }
    }
    if (strcmp(name, "cuGetProcAddress") == 0) {
        entry = version < 12000 ? (function *)cuGetProcAddress : (function *)cuGetProcAddress_v2;
    }
    *to = (void *)entry;
    if (found != NULL) {
        *found = 0; /* CU_GET_PROC_ADDRESS_SUCCESS */
    }
    return 0;
}

int cuGetProcAddress(const char *name, void **to, int version, uint64_t flags) {
    return cuGetProcAddress_v2(name, to, version, flags, NULL);
}
