/* Memory of the device, and memory that both reach. */
#include <string.h>

#include "kernels/cuda/host/context.h"

static void free_block(void *memory, enum fg_store store) {
    if (store == FG_STORE_HOST)
        cudaFreeHost(memory);
    else
        cudaFree(memory);
}

/* Waits for a call that has just been made, unless it failed: cudaMemset, and cudaMemcpy from pageable
 * memory, may return before the device has done it, and our streams do not wait for the default one, where it
 * is done. */
static cudaError_t wait_until_done(cudaError_t error) {
    return error == cudaSuccess ? cudaStreamSynchronize(NULL) : error;
}

enum fg_status fg_cuda_fill(void *memory, int byte, size_t bytes, struct fg_message *message) {
    const cudaError_t error = wait_until_done(cudaMemset(memory, byte, bytes));
    return error == cudaSuccess ? FG_OK : fg_cuda_fail(error, "clearing memory", message);
}

/* Takes memory of the host, pinned and mapped at the same address. */
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
    if (error != cudaSuccess)
        status = fg_cuda_fail(error, "memory that host and device reach", message);
    else if (seen != *block)
        status =
            fg_fail(message, FG_ENVIRONMENT, "CUDA: this device sees the host's memory at other addresses");
    else if (host)
        memset(*block, 0, bytes);
    else
        status = fg_cuda_fill(*block, 0, bytes, message);
    if (status != FG_OK)
        free_block(*block, store);
    return status;
}

enum fg_status fg_cuda_reserve(struct fg_backend *backend, enum fg_store store, size_t bytes, void **block,
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

void fg_cuda_release(struct fg_backend *backend, void *block) {
    struct fg_cuda *cuda = (struct fg_cuda *)backend;
    fg_ignore(fg_cuda_use(cuda, NULL)); /* a lost device keeps its memory, and nothing can be done */
    pthread_mutex_lock(&cuda->mutex);
    for (int i = 0; i < FG_CUDA_BLOCKS; i++)
        if (cuda->block[i].memory == block && block) {
            free_block(block, cuda->block[i].store);
            cuda->block[i].memory = NULL;
        }
    pthread_mutex_unlock(&cuda->mutex);
}

bool fg_cuda_reaches(const struct fg_backend *backend, const void *memory, size_t bytes) {
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

static enum fg_status copy_bytes(struct fg_backend *backend, void *to, const void *from, size_t bytes,
                                 const char *what, struct fg_message *message) {
    enum fg_status status = fg_cuda_use((struct fg_cuda *)backend, message);
    if (status != FG_OK)
        return status;
    /* What reserve calls the device's may be memory that both reach: the addresses tell. */
    const cudaError_t error = wait_until_done(cudaMemcpy(to, from, bytes, cudaMemcpyDefault));
    return error == cudaSuccess ? FG_OK : fg_cuda_fail(error, what, message);
}

enum fg_status fg_cuda_upload(struct fg_backend *backend, void *device, const void *host, size_t bytes,
                              struct fg_message *message) {
    return copy_bytes(backend, device, host, bytes, "copying to the device", message);
}

enum fg_status fg_cuda_download(struct fg_backend *backend, void *host, const void *device, size_t bytes,
                                struct fg_message *message) {
    return copy_bytes(backend, host, device, bytes, "copying from the device", message);
}
