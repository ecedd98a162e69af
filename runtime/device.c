#include "runtime/device.h"

#include <sched.h>
#include <string.h>

#define MOST_THREADS 64

static uint32_t processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        return 1;
    const int count = CPU_COUNT(&set);
    return count > MOST_THREADS ? MOST_THREADS : (uint32_t)count;
}

enum fg_status fg_device_open(const char *device, uint32_t threads, struct fg_backend **backend,
                              struct fg_message *message) {
    if (strcmp(device, "auto") && strcmp(device, "cpu"))
        return fg_fail(message, FG_USAGE, "device \"%.50s\": this build has auto and cpu", device);
    return fg_cpu_open(threads ? threads : processors(), 1, backend, message);
}
