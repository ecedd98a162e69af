/* Opens the device: streams, a cuDNN handle for each lane. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/host/context.h"
#include "kernels/cuda/host/cuda.h"
#include "kernels/cuda/host/group.h"

/* What the object shows. */
extern __attribute__((visibility("default"))) const char fg_plugin_version[];
const char fg_plugin_version[] = FG_VERSION;
__attribute__((visibility("default"))) fg_cuda_open_function fg_cuda_open;
__attribute__((visibility("default"))) fg_cuda_open_group_function fg_cuda_open_group;

#define KERNEL(constant, name) [FG_##constant] = &fg_cuda_##name,
static const struct fg_kernel *const kernels[FG_OPERATORS] = {FG_OPERATOR_TABLE(KERNEL)};

enum fg_status fg_cuda_fail(cudaError_t error, const char *what, struct fg_message *message) {
    enum fg_status status = FG_DEVICE_LOST;
    if (error == cudaErrorMemoryAllocation ||
        (error >= cudaErrorStreamCaptureUnsupported && error <= cudaErrorStreamCaptureWrongThread))
        status = FG_ENVIRONMENT;
    if (error == cudaErrorInvalidValue)
        status = FG_USAGE;
    return fg_fail(message, status, "CUDA: %s: %s", what, cudaGetErrorString(error));
}

enum fg_status fg_cuda_use(const struct fg_cuda *cuda, struct fg_message *message) {
    const cudaError_t error = cudaSetDevice(cuda->settings.device);
    return error == cudaSuccess ? FG_OK : fg_cuda_fail(error, "the device", message);
}

static void close_cuda(struct fg_backend *backend) {
    struct fg_cuda *cuda = (struct fg_cuda *)backend;
    /* Whatever became of the last run and of the device, all is given back. */
    fg_ignore(fg_cuda_use(cuda, NULL));
    fg_ignore(fg_cuda_poll(backend, INT64_MAX, NULL));
    fg_cuda_group_leave(cuda);
    while (cuda->programs)
        fg_cuda_forget(backend, cuda->programs->program);
    for (int i = 0; i < FG_CUDA_BLOCKS; i++)
        fg_cuda_release(backend, cuda->block[i].memory);
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

/* Reads the first line of a file; "" where there is none. */
static void read_first_line(const char *path, char *line, size_t size) {
    *line = 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    if (fgets(line, (int)size, file))
        line[strcspn(line, "\n")] = 0;
    fclose(file);
}

/* Reads the driver's own version, with a space behind it: the number behind the names in "NVRM version:
 * NVIDIA UNIX ... 580.65.06 ..."; "" where it is not known. */
static void read_driver_version(char *version, size_t size) {
    char line[256], *word = line;
    read_first_line("/proc/driver/nvidia/version", line, sizeof line);
    *version = 0;
    for (char *at; (at = strsep(&word, " "));)
        if (*at >= '0' && *at <= '9' && strchr(at, '.')) {
            snprintf(version, size, "%.20s ", at);
            return;
        }
}

/* Counts the host's processors, which work beside the device. */
static uint32_t count_processors(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) ? 1 : (uint32_t)CPU_COUNT(&set);
}

/* Without code for it every launch would fail, as if the device were lost. */
static enum fg_status find_code(const struct fg_cuda *cuda, struct fg_message *message) {
    const cudaError_t error = fg_cuda_find_code();
    return error == cudaSuccess
               ? FG_OK
               : fg_fail(message, FG_ENVIRONMENT, "CUDA: there is no code for %s in " FG_CUDA_PLUGIN ": %s",
                         cuda->base.device.name, cudaGetErrorString(error));
}

static enum fg_status describe_device(struct fg_cuda *cuda, struct fg_message *message) {
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
    device->threads = count_processors();
    device->lanes = cuda->settings.lanes;
    device->warm_ups = 4; /* step by step, and three replays (run.c) */
    const size_t cudnn = cudnnGetVersion(), built_for = cudnnGetCudartVersion();
    char number[24], mode[32];
    read_driver_version(number, sizeof number);
    snprintf(cuda->version, sizeof cuda->version, "CUDA %d.%d, cuDNN %zu.%zu.%zu, driver %sfor CUDA %d.%d",
             runtime / 1000, runtime % 1000 / 10, cudnn / 10000, cudnn / 100 % 100, cudnn % 100, number,
             driver / 1000, driver % 1000 / 10);
    /* What nvpmodel has set a Jetson to. */
    read_first_line("/var/lib/nvpmodel/status", mode, sizeof mode);
    snprintf(cuda->facts, sizeof cuda->facts,
             "%.100s; %.120s; cuDNN for CUDA %zu; power mode %s; workspace %zu%s", device->name,
             cuda->version, built_for, *mode ? mode : "-", cuda->settings.workspace,
             cuda->settings.exact ? "; exact" : "");
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
                       error == cudaSuccess ? "there are fewer GPUs" : cudaGetErrorString(error));
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
                                     .reserve = fg_cuda_reserve,
                                     .release = fg_cuda_release,
                                     .reaches = fg_cuda_reaches,
                                     .upload = fg_cuda_upload,
                                     .download = fg_cuda_download,
                                     .prepare = fg_cuda_prepare,
                                     .forget = fg_cuda_forget,
                                     .submit = fg_cuda_submit,
                                     .poll = fg_cuda_poll,
                                     .close = close_cuda};
    pthread_mutex_init(&cuda->mutex, NULL);
    enum fg_status status = fg_cuda_use(cuda, message);
    if (status == FG_OK)
        status = describe_device(cuda, message);
    if (status == FG_OK)
        status = find_code(cuda, message);
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
