/* Chooses and opens the device that a program computes on: the CPU, or GPUs through flawgate-cuda.so. */
#include "runtime/engine/device.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/own_file.h"

#define GPU_LANES 3      /* one for the trunk, two for the branches beside it (network.c) */
#define GPU_WORKSPACE 64 /* MiB */
#define GPU_TUNE_S 60    /* seconds that a first load may take to choose engines */

static uint32_t count_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        return 1;
    const int count = CPU_COUNT(&set);
    return count > FG_COMPUTE_THREADS ? FG_COMPUTE_THREADS : (uint32_t)count;
}

static enum fg_status open_cpu(uint32_t threads, struct fg_backend **backend, struct fg_message *message) {
    return fg_cpu_open(threads ? threads : count_processors(), 1, backend, message);
}

/* Makes the folder for what is measured, where it is missing; false where there is none. */
static bool make_state_folder(char *path, size_t size) {
    const char *state = getenv("STATE_DIRECTORY"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int length = -1;
    if (state && *state)
        length = snprintf(path, size, "%s", state);
    else if (cache && *cache)
        length = snprintf(path, size, "%s/flawgate", cache);
    else if (home && *home && snprintf(path, size, "%s/.cache", home) < (int)size &&
             (!mkdir(path, 0700) || errno == EEXIST))
        length = snprintf(path, size, "%s/.cache/flawgate", home);
    return length > 0 && length < (int)size && (!mkdir(path, 0755) || errno == EEXIST);
}

static void *load_object(struct fg_message *message) {
    char path[FG_OWN_FILE_SIZE];
    if (!fg_own_file_find(FG_CUDA_PLUGIN, "../lib/flawgate/" FG_CUDA_PLUGIN, path)) {
        fg_say(message, "this build is without CUDA (no " FG_CUDA_PLUGIN " beside the program)");
        return NULL;
    }
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!object)
        fg_say(message, "%.300s", dlerror());
    return object;
}

/* A function of the object, which must be of this program's version. The object stays loaded: the CUDA
 * runtime does not bear being unloaded. */
static enum fg_status find_function(const char *name, void *function, struct fg_message *message) {
    void *object = load_object(message);
    if (!object)
        return FG_ENVIRONMENT;
    const char *version = dlsym(object, FG_PLUGIN_VERSION);
    *(void **)function = dlsym(object, name);
    if (version && *(void **)function && !strcmp(version, FG_VERSION))
        return FG_OK;
    return fg_fail(message, FG_ENVIRONMENT,
                   "%s is of another version (%.20s, not " FG_VERSION "); install both again", FG_CUDA_PLUGIN,
                   version ? version : "none");
}

enum fg_status fg_device_open_cuda(const struct fg_cuda_settings *settings, struct fg_backend **backend,
                                   struct fg_message *message) {
    fg_cuda_open_function *open = NULL;
    enum fg_status status = find_function(FG_PLUGIN_OPEN, &open, message);
    return status == FG_OK ? open(settings, backend, message) : status;
}

static struct fg_cuda_settings make_settings(const struct fg_device_choice *choice, uint32_t tune_s) {
    static char folder[3072];
    return (struct fg_cuda_settings){
        .lanes = GPU_LANES,
        .workspace = (size_t)(choice->workspace_mib ? choice->workspace_mib : GPU_WORKSPACE) << 20,
        .tune_ns = tune_s * FG_S,
        .folder = make_state_folder(folder, sizeof folder) ? folder : NULL,
        .progress = choice->progress,
        .argument = choice->argument};
}

void fg_device_show_choosing(struct fg_progress *progress, uint32_t done, uint32_t count) {
    fg_progress_say(progress, count > 1 ? (done - 1.0) / (count - 1.0) : 0,
                    "choosing engines for this GPU, once: %u of %u", done, count);
}

static enum fg_status open_gpus(const struct fg_device_choice *choice, uint32_t count,
                                struct fg_backend **backends, struct fg_message *said,
                                struct fg_message *message) {
    const struct fg_cuda_settings settings = make_settings(choice, GPU_TUNE_S);
    fg_cuda_open_group_function *open = NULL;
    enum fg_status status = find_function(FG_PLUGIN_GROUP, &open, message);
    if (status == FG_OK)
        status = open(&settings, count, backends, message);
    if (status == FG_OK)
        fg_say(said,
               "device: %u times %.100s, %.95s; this was never run on more than one GPU: compare the first "
               "epochs' losses with those of --devices 1",
               count, backends[0]->device.name, backends[0]->version);
    return status;
}

/* Opens CPUs that divide the threads. */
static enum fg_status open_cpus(uint32_t threads, uint32_t count, struct fg_backend **backends,
                                struct fg_message *said, struct fg_message *message) {
    const uint32_t all = threads ? threads : count_processors();
    enum fg_status status = FG_OK;
    uint32_t opened = 0;
    while (opened < count && status == FG_OK) {
        status = open_cpu(all > count ? all / count : 1, &backends[opened], message);
        opened += status == FG_OK;
    }
    if (status == FG_OK)
        fg_say(said, "device: %u times cpu, %.100s, %.95s", count, backends[0]->device.name,
               backends[0]->version);
    while (status != FG_OK && opened) {
        opened--;
        backends[opened]->close(backends[opened]);
        backends[opened] = NULL;
    }
    return status;
}

enum fg_status fg_device_open_group(const struct fg_device_choice *choice, uint32_t count,
                                    struct fg_backend **backends, struct fg_message *said,
                                    struct fg_message *message) {
    if (choice->device == FG_COMPUTE_CPU)
        return open_cpus(choice->threads, count, backends, said, message);
    const enum fg_status status = open_gpus(choice, count, backends, said, message);
    return status == FG_OK ? status
                           : fg_fail_in(message, status,
                                        "several devices are GPUs, or parts of the CPU with --device cpu");
}

enum fg_status fg_device_open(const struct fg_device_choice *choice, struct fg_backend **backend,
                              struct fg_message *said, struct fg_message *message) {
    return fg_device_open_within(choice, GPU_TUNE_S, backend, said, message);
}

enum fg_status fg_device_open_within(const struct fg_device_choice *choice, uint32_t tune_s,
                                     struct fg_backend **backend, struct fg_message *said,
                                     struct fg_message *message) {
    const bool cuda = choice->device == FG_COMPUTE_CUDA;
    struct fg_message why = {""};
    enum fg_status status = FG_ENVIRONMENT;
    if (choice->device != FG_COMPUTE_CPU) {
        const struct fg_cuda_settings settings = make_settings(choice, tune_s);
        status = fg_device_open_cuda(&settings, backend, cuda ? message : &why);
    }
    if (cuda && status != FG_OK)
        return fg_fail_in(message, status, "device = cuda");
    if (status != FG_OK)
        status = open_cpu(choice->threads, backend, message);
    if (status == FG_OK) {
        const struct fg_backend *b = *backend;
        fg_say(said, "device: %s, %.100s, %.95s%s%.200s", b->name, b->device.name, b->version,
               *why.text ? "; no GPU: " : "", why.text);
    }
    return status;
}
