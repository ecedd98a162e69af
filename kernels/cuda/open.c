/* Opens the device: streams, a cuDNN handle for each lane, memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/context.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/group.h"

/* What the object shows. */
extern __attribute__((visibility("default"))) const char fg_plugin_version[];
const char fg_plugin_version[] = FG_VERSION;
__attribute__((visibility("default"))) fg_cuda_open_function fg_cuda_open;
__attribute__((visibility("default"))) fg_cuda_open_group_function fg_cuda_open_group;

static const struct fg_kernel *const kernels[FG_OPERATORS] = {
    [FG_RESIZE] = &fg_cuda_resize,
    [FG_NORMALISE] = &fg_cuda_normalise,
    [FG_CONV] = &fg_cuda_conv,
    [FG_DECONV] = &fg_cuda_deconv,
    [FG_BATCH_NORM] = &fg_cuda_batch_norm,
    [FG_MAX_POOL] = &fg_cuda_max_pool,
    [FG_CONCAT] = &fg_cuda_concat,
    [FG_SRU] = &fg_cuda_sru,
    [FG_CRU] = &fg_cuda_cru,
    [FG_SIMAM] = &fg_cuda_simam,
    [FG_MASK] = &fg_cuda_mask,
    [FG_COSINE] = &fg_cuda_cosine,
    [FG_DISTILL] = &fg_cuda_distill,
    [FG_ANOMALY_MAP] = &fg_cuda_anomaly_map,
    [FG_ADAM] = &fg_cuda_adam,
};

enum fg_status fg_cuda_fail(cudaError_t error, const char *what, struct fg_message *message) {
    const enum fg_status status = error == cudaErrorMemoryAllocation ? FG_ENVIRONMENT
                                  : error == cudaErrorInvalidValue   ? FG_USAGE
                                                                     : FG_DEVICE_LOST;
    return fg_fail(message, status, "CUDA: %s: %s", what, cudaGetErrorString(error));
}

enum fg_status fg_cuda_use(const struct fg_cuda *cuda, struct fg_message *message) {
    const cudaError_t error = cudaSetDevice(cuda->settings.device);
    return error == cudaSuccess ? FG_OK : fg_cuda_fail(error, "the device", message);
}

/* ---- Memory ---- */

static void free_block(void *memory, enum fg_store store) {
    if (store == FG_STORE_HOST)
        cudaFreeHost(memory);
    else
        cudaFree(memory);
}

/* cudaMemset, and cudaMemcpy from pageable memory, may return before the device has done it, and our streams do not wait
 * for the default one, where it is done. */
static cudaError_t settle(void) {
    return cudaStreamSynchronize(NULL);
}

/* Of the host: pinned, and mapped at the same address. */
static enum fg_status take_block(enum fg_store store, size_t bytes, void **block,
                                 struct fg_message *message) {
    const bool host = store == FG_STORE_HOST;
    cudaError_t error = host ? cudaHostAlloc(block, bytes, cudaHostAllocMapped | cudaHostAllocPortable)
                             : cudaMalloc(block, bytes);
    if (error == cudaErrorMemoryAllocation)
        return fg_fail(message, FG_ENVIRONMENT,
                       "CUDA: no %zu MiB of %s memory; free some, or take a smaller %s", bytes >> 20,
                       host ? "pinned" : "device", "size, batch or gpu.workspace_mib");
    if (error != cudaSuccess)
        return fg_cuda_fail(error, "memory", message);
    void *seen = *block;
    if (host)
        error = cudaHostGetDevicePointer(&seen, *block, 0);
    enum fg_status status = FG_OK;
    if (error == cudaSuccess && seen != *block)
        status =
            fg_fail(message, FG_ENVIRONMENT, "CUDA: this device sees the host's memory at other addresses");
    else if (error == cudaSuccess && host)
        memset(*block, 0, bytes);
    else if (error == cudaSuccess)
        error = cudaMemset(*block, 0, bytes);
    if (error == cudaSuccess && !host)
        error = settle();
    if (status == FG_OK && error != cudaSuccess)
        status = fg_cuda_fail(error, "clearing memory", message);
    if (status != FG_OK)
        free_block(*block, store);
    return status;
}

static enum fg_status reserve(struct fg_backend *backend, enum fg_store store, size_t bytes, void **block,
                              struct fg_message *message) {
    struct fg_cuda *cuda = (struct fg_cuda *)backend;
    enum fg_status status = fg_cuda_use(cuda, message);
    int free_place = -1;
    if (status != FG_OK)
        return status;
    pthread_mutex_lock(&cuda->mutex);
    for (int i = 0; i < FG_CUDA_BLOCKS && free_place < 0; i++)
        if (!cuda->block[i].memory)
            free_place = i;
    if (free_place < 0)
        status = fg_fail(message, FG_ENVIRONMENT, "CUDA: %d blocks of memory are taken", FG_CUDA_BLOCKS);
    if (status == FG_OK)
        status = take_block(store, bytes ? bytes : FG_ALIGNMENT, block, message);
    if (status == FG_OK) {
        cuda->block[free_place].memory = *block;
        cuda->block[free_place].bytes = bytes;
        cuda->block[free_place].store = store;
    }
    pthread_mutex_unlock(&cuda->mutex);
    return status;
}

static void release(struct fg_backend *backend, void *block) {
    struct fg_cuda *cuda = (struct fg_cuda *)backend;
    pthread_mutex_lock(&cuda->mutex);
    for (int i = 0; i < FG_CUDA_BLOCKS; i++)
        if (cuda->block[i].memory == block && block) {
            free_block(block, cuda->block[i].store);
            cuda->block[i].memory = NULL;
        }
    pthread_mutex_unlock(&cuda->mutex);
}

static bool reaches(const struct fg_backend *backend, const void *memory, size_t bytes) {
    struct fg_cuda *cuda = (struct fg_cuda *)(uintptr_t)backend;
    const char *begin = memory;
    bool inside = false;
    pthread_mutex_lock(&cuda->mutex);
    for (int i = 0; i < FG_CUDA_BLOCKS && !inside; i++) {
        const char *block = cuda->block[i].memory;
        inside = block && cuda->block[i].store == FG_STORE_HOST && begin >= block &&
                 begin + bytes <= block + cuda->block[i].bytes;
    }
    pthread_mutex_unlock(&cuda->mutex);
    return inside;
}

static enum fg_status upload(struct fg_backend *backend, void *device, const void *host, size_t bytes,
                             struct fg_message *message) {
    (void)backend;
    cudaError_t error = cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice);
    if (error == cudaSuccess)
        error = settle();
    return error == cudaSuccess ? FG_OK : fg_cuda_fail(error, "copying to the device", message);
}

static enum fg_status download(struct fg_backend *backend, void *host, const void *device, size_t bytes,
                               struct fg_message *message) {
    (void)backend;
    const cudaError_t error = cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost);
    return error == cudaSuccess ? FG_OK : fg_cuda_fail(error, "copying from the device", message);
}

/* ---- Opening ---- */

static void close_cuda(struct fg_backend *backend) {
    struct fg_cuda *cuda = (struct fg_cuda *)backend;
    fg_cuda_use(cuda, NULL);
    fg_cuda_poll(backend, INT64_MAX, NULL);
    fg_cuda_group_leave(cuda);
    while (cuda->programs)
        fg_cuda_forget(backend, cuda->programs->program);
    for (int i = 0; i < FG_CUDA_BLOCKS; i++)
        if (cuda->block[i].memory)
            free_block(cuda->block[i].memory, cuda->block[i].store);
    for (uint32_t l = 0; l < FG_MAX_LANES; l++) {
        if (cuda->handle[l])
            cudnnDestroy(cuda->handle[l]);
        if (cuda->joined[l])
            cudaEventDestroy(cuda->joined[l]);
        if (cuda->stream[l])
            cudaStreamDestroy(cuda->stream[l]);
    }
    cudaEvent_t event[] = {cuda->begun, cuda->ended, cuda->before, cuda->after};
    for (size_t i = 0; i < sizeof event / sizeof *event; i++)
        if (event[i])
            cudaEventDestroy(event[i]);
    pthread_mutex_destroy(&cuda->mutex);
    free(cuda);
}

static enum fg_status open_lanes(struct fg_cuda *cuda, struct fg_message *message) {
    cudaEvent_t *event[] = {&cuda->begun, &cuda->ended};
    cudaError_t error = cudaSuccess;
    cudnnStatus_t refused = CUDNN_STATUS_SUCCESS;
    for (uint32_t l = 0; l < cuda->settings.lanes && error == cudaSuccess && refused == CUDNN_STATUS_SUCCESS;
         l++) {
        error = cudaStreamCreateWithFlags(&cuda->stream[l], cudaStreamNonBlocking);
        if (error == cudaSuccess)
            error = cudaEventCreateWithFlags(&cuda->joined[l], cudaEventDisableTiming);
        if (error == cudaSuccess)
            refused = cudnnCreate(&cuda->handle[l]);
        if (error == cudaSuccess && refused == CUDNN_STATUS_SUCCESS)
            refused = cudnnSetStream(cuda->handle[l], cuda->stream[l]);
    }
    if (refused != CUDNN_STATUS_SUCCESS)
        return fg_cudnn_fail(refused, "a handle", message);
    for (int i = 0; i < 2 && error == cudaSuccess; i++)
        error = cudaEventCreateWithFlags(event[i], cudaEventDisableTiming);
    if (error == cudaSuccess)
        error = cudaEventCreate(&cuda->before);
    if (error == cudaSuccess)
        error = cudaEventCreate(&cuda->after);
    return error == cudaSuccess ? FG_OK : fg_cuda_fail(error, "streams and events", message);
}

/* What a Jetson is set to, as nvpmodel leaves it; "-" elsewhere. */
static void power_mode(char *mode, size_t size) {
    snprintf(mode, size, "-");
    FILE *file = fopen("/var/lib/nvpmodel/status", "re");
    if (!file)
        return;
    if (fgets(mode, (int)size, file))
        mode[strcspn(mode, "\n")] = 0;
    fclose(file);
}

static enum fg_status describe(struct fg_cuda *cuda, struct fg_message *message) {
    struct cudaDeviceProp properties;
    int runtime = 0, driver = 0;
    cudaError_t error = cudaGetDeviceProperties(&properties, cuda->settings.device);
    if (error == cudaSuccess)
        error = cudaRuntimeGetVersion(&runtime);
    if (error == cudaSuccess)
        error = cudaDriverGetVersion(&driver);
    if (error != cudaSuccess)
        return fg_cuda_fail(error, "the device's properties", message);
    struct fg_device *device = &cuda->base.device;
    snprintf(device->name, sizeof device->name, "%.100s (sm_%d%d)", properties.name, properties.major,
             properties.minor);
    device->threads = (uint32_t)properties.multiProcessorCount;
    device->lanes = cuda->settings.lanes;
    device->warm_ups = 3;
    const size_t cudnn = cudnnGetVersion();
    snprintf(cuda->version, sizeof cuda->version, "CUDA %d.%d, cuDNN %zu.%zu.%zu, driver for CUDA %d.%d",
             runtime / 1000, runtime % 1000 / 10, cudnn / 10000, cudnn / 100 % 100, cudnn % 100,
             driver / 1000, driver % 1000 / 10);
    char mode[32];
    power_mode(mode, sizeof mode);
    snprintf(cuda->facts, sizeof cuda->facts, "%.100s; %.90s; power mode %s; workspace %zu%s", device->name,
             cuda->version, mode, cuda->settings.workspace, cuda->settings.exact ? "; exact" : "");
    return FG_OK;
}

enum fg_status fg_cuda_open(const struct fg_cuda_settings *settings, struct fg_backend **backend,
                            struct fg_message *message) {
    if (settings->lanes < 1 || settings->lanes > FG_MAX_LANES)
        return fg_fail(message, FG_USAGE, "%u lanes: give 1 to %d", settings->lanes, FG_MAX_LANES);
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess || count <= settings->device)
        return fg_fail(message, FG_ENVIRONMENT, "%s",
                       error == cudaSuccess ? "there are not so many GPUs" : cudaGetErrorString(error));
    struct fg_cuda *cuda = calloc(1, sizeof *cuda);
    if (!cuda)
        return fg_fail(message, FG_ENVIRONMENT, "no memory for the CUDA backend");
    cuda->settings = *settings;
    for (int op = 0; op < FG_OPERATORS; op++)
        cuda->kernel[op] = *kernels[op];
    cuda->base = (struct fg_backend){.name = "cuda",
                                     .version = cuda->version,
                                     .compute = FG_F16,
                                     .kernel = cuda->kernel,
                                     .reserve = reserve,
                                     .release = release,
                                     .reaches = reaches,
                                     .upload = upload,
                                     .download = download,
                                     .prepare = fg_cuda_prepare,
                                     .forget = fg_cuda_forget,
                                     .submit = fg_cuda_submit,
                                     .poll = fg_cuda_poll,
                                     .close = close_cuda};
    pthread_mutex_init(&cuda->mutex, NULL);
    enum fg_status status = fg_cuda_use(cuda, message);
    if (status == FG_OK)
        status = describe(cuda, message);
    if (status == FG_OK)
        status = open_lanes(cuda, message);
    if (status != FG_OK) {
        close_cuda(&cuda->base);
        return status == FG_DEVICE_LOST ? FG_ENVIRONMENT : status; /* it was never had */
    }
    *backend = &cuda->base;
    return FG_OK;
}

enum fg_status fg_cuda_open_group(const struct fg_cuda_settings *settings, uint32_t count,
                                  struct fg_backend **backends, struct fg_message *message) {
    struct fg_cuda_settings one = *settings;
    uint32_t opened = 0;
    enum fg_status status = FG_OK;
    while (opened < count && status == FG_OK) {
        one.device = (int)opened;
        status = fg_cuda_open(&one, &backends[opened], message);
        opened += status == FG_OK;
    }
    if (status == FG_OK)
        status = fg_cuda_group_join(backends, count, message);
    for (uint32_t i = 0; status != FG_OK && i < opened; i++) {
        backends[i]->close(backends[i]);
        backends[i] = NULL;
    }
    return status;
}
