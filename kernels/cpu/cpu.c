/* The CPU backend: its table, its lanes and how they run a program. */
#include "kernels/cpu/cpu.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "kernels/cpu/gemm/gemm.h"
#include "kernels/cpu/gemm/gemm8.h"
#include "kernels/cpu/team.h"
#include "runtime/base/clock.h"

struct fg_cpu;

struct lane {
    struct fg_cpu *cpu;
    uint32_t index;
    uint32_t passed; /* every step of this lane before this number has ended */
    struct fg_team *team;
    pthread_t leader;
};

struct fg_cpu {
    struct fg_backend base;
    struct fg_kernel kernel[FG_OPERATORS];
    char version[96];
    uint32_t started; /* lanes whose leader runs */
    struct lane lane[FG_MAX_LANES];

    /* The run under way; all guarded by mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t begun, advanced, ended;
    uint32_t run; /* number of the current run; lanes start when it moves */
    uint32_t running;
    bool quit;
    const struct fg_program *program;
    const struct fg_memory *memory;
    enum fg_status status; /* status of the first step that failed */
    struct fg_message message;
};

#define KERNEL(constant, name) [FG_##constant] = &fg_cpu_##name,
static const struct fg_kernel *const kernels[FG_OPERATORS] = {FG_OPERATOR_TABLE(KERNEL)};

void fg_cpu_parallel(struct fg_backend *backend, const struct fg_step *step, uint32_t tasks,
                     fg_cpu_task *task, void *argument) {
    fg_team_run(((struct fg_cpu *)backend)->lane[step->lane].team, tasks, task, argument);
}

static bool can_start(const struct fg_cpu *cpu, const struct fg_step *step) {
    for (uint32_t i = 0; i < step->waits; i++) {
        uint32_t wait = step->wait[i];
        if (cpu->lane[cpu->program->step[wait].lane].passed <= wait) {
            return false;
        }
    }
    return true;
}

static enum fg_status run_step(struct fg_cpu *cpu, const struct fg_step *step, struct fg_message *message) {
    const struct fg_kernel *kernel = &cpu->kernel[step->op];
    return (step->pass == FG_FORWARD ? kernel->forward : kernel->backward)(&cpu->base, step, cpu->memory,
                                                                           message);
}

/* Runs the lane's own steps in order. The caller holds the mutex, and holds it again afterwards. */
static void run_lane(struct fg_cpu *cpu, struct lane *lane) {
    struct fg_message message;
    for (uint32_t i = 0; i < cpu->program->steps; i++) {
        const struct fg_step *step = &cpu->program->step[i];
        if (step->lane != lane->index) {
            continue;
        }
        while (cpu->status == FG_OK && !can_start(cpu, step)) {
            pthread_cond_wait(&cpu->advanced, &cpu->mutex);
        }
        if (cpu->status != FG_OK) {
            return;
        }
        pthread_mutex_unlock(&cpu->mutex);
        enum fg_status status = run_step(cpu, step, &message);
        pthread_mutex_lock(&cpu->mutex);
        if (status != FG_OK && cpu->status == FG_OK) {
            cpu->status = status;
            cpu->message = message;
        }
        lane->passed = i + 1;
        pthread_cond_broadcast(&cpu->advanced);
    }
}

/* Has every thread of a lane touch the code and the stack of products before the first run: of those that
 * judge, in float32 and in int8, and of those that train, whose A is transposed; an edge too. */
static void touch_products(void *argument, uint32_t task, uint32_t thread) {
    (void)argument;
    (void)task;
    (void)thread;
    enum { ROWS = 96, COLUMNS = 33, DEPTH = 256 };
    static const float zeros[ROWS * DEPTH];
    float c[ROWS * COLUMNS];
    struct fg_gemm product = {.rows = ROWS,
                              .columns = COLUMNS,
                              .depth = DEPTH,
                              .a = zeros,
                              .a_stride = DEPTH,
                              .b = zeros,
                              .b_stride = COLUMNS,
                              .c = c,
                              .c_stride = COLUMNS};
    fg_gemm(&product);
    product.a_stride = ROWS;
    product.a_transposed = true;
    fg_gemm(&product);
    fg_gemm8(&(struct fg_gemm8){.rows = ROWS,
                                .columns = COLUMNS,
                                .depth = FG_GEMM8_DEPTH,
                                .a = (const uint8_t *)zeros,
                                .a_stride = FG_GEMM8_DEPTH,
                                .b = {(const int8_t *)zeros, (const int32_t *)zeros, zeros, zeros},
                                .c = c,
                                .c_form = {.bytes = true, .scale = 1},
                                .c_stride = COLUMNS});
}

static void end_lane(struct fg_cpu *cpu) {
    if (--cpu->running == 0) {
        pthread_cond_broadcast(&cpu->ended);
    }
}

static void *lead_lane(void *argument) {
    struct lane *lane = argument;
    struct fg_cpu *cpu = lane->cpu;
    fg_team_run(lane->team, fg_cpu_threads(&cpu->base), touch_products, NULL);
    pthread_mutex_lock(&cpu->mutex);
    end_lane(cpu);
    for (uint32_t seen = 0;; seen++) {
        while (!cpu->quit && cpu->run == seen) {
            pthread_cond_wait(&cpu->begun, &cpu->mutex);
        }
        if (cpu->quit) {
            break;
        }
        run_lane(cpu, lane);
        end_lane(cpu);
    }
    pthread_mutex_unlock(&cpu->mutex);
    return NULL;
}

static enum fg_status cpu_reserve(struct fg_backend *backend, enum fg_store store, size_t bytes, void **block,
                                  struct fg_message *message) {
    (void)backend;
    (void)store;
    size_t padded;
    void *memory = NULL;
    if (fg_size_add(bytes, FG_ALIGNMENT, &padded)) {
        memory = aligned_alloc(FG_ALIGNMENT, padded & ~(FG_ALIGNMENT - 1));
    }
    if (!memory) {
        return fg_fail(message, FG_ENVIRONMENT,
                       "no memory for %zu MiB of tensors; free memory or take a smaller size or batch",
                       bytes >> 20);
    }
    memset(memory, 0, padded & ~(FG_ALIGNMENT - 1));
    *block = memory;
    return FG_OK;
}

static void cpu_release(struct fg_backend *backend, void *block) {
    (void)backend;
    free(block);
}

static bool cpu_reaches(const struct fg_backend *backend, const void *memory, size_t bytes) {
    (void)backend;
    (void)memory;
    (void)bytes;
    return true;
}

static enum fg_status cpu_upload(struct fg_backend *backend, void *device, const void *host, size_t bytes,
                                 struct fg_message *message) {
    (void)backend;
    (void)message;
    memcpy(device, host, bytes);
    return FG_OK;
}

static enum fg_status cpu_download(struct fg_backend *backend, void *host, const void *device, size_t bytes,
                                   struct fg_message *message) {
    return cpu_upload(backend, host, device, bytes, message);
}

/* Several CPU backends are one machine's: of use where the others are tested without devices. */
static enum fg_status cpu_share(struct fg_backend *const *group, float *const *values, uint32_t members,
                                size_t count, struct fg_message *message) {
    (void)group;
    (void)message;
    for (size_t i = 0; i < count; i++) {
        float sum = 0;
        for (uint32_t m = 0; m < members; m++)
            sum += values[m][i];
        for (uint32_t m = 0; m < members; m++)
            values[m][i] = sum / (float)members;
    }
    return FG_OK;
}

/* On the caller's thread alone: another program may be running on the lanes. */
static enum fg_status cpu_prepare(struct fg_backend *backend, const struct fg_program *program,
                                  const struct fg_memory *memory, struct fg_message *message) {
    const struct fg_cpu *cpu = (struct fg_cpu *)backend;
    for (uint32_t i = 0; i < program->steps; i++) {
        const struct fg_step *step = &program->step[i];
        if (step->prepared_bytes > 0) {
            enum fg_status status = cpu->kernel[step->op].prepare(backend, step, memory, message);
            if (status != FG_OK) {
                return status;
            }
        }
    }
    return FG_OK;
}

static void cpu_forget(struct fg_backend *backend, const struct fg_program *program) {
    (void)backend;
    (void)program;
}

static enum fg_status cpu_submit(struct fg_backend *backend, const struct fg_program *program,
                                 const struct fg_memory *memory, struct fg_message *message) {
    struct fg_cpu *cpu = (struct fg_cpu *)backend;
    if (program->lanes > backend->device.lanes) {
        return fg_fail(message, FG_USAGE, "the program has %u lanes, the backend was opened with %u",
                       program->lanes, backend->device.lanes);
    }
    enum fg_status status = FG_OK;
    pthread_mutex_lock(&cpu->mutex);
    if (cpu->running > 0) {
        status = fg_fail(message, FG_TIMEOUT, "a run is under way; poll until it has ended");
    } else {
        cpu->program = program;
        cpu->memory = memory;
        cpu->status = FG_OK;
        cpu->running = cpu->started;
        for (uint32_t l = 0; l < cpu->started; l++) {
            cpu->lane[l].passed = 0;
        }
        cpu->run++;
        pthread_cond_broadcast(&cpu->begun);
    }
    pthread_mutex_unlock(&cpu->mutex);
    return status;
}

static enum fg_status cpu_poll(struct fg_backend *backend, int64_t deadline_ns, struct fg_message *message) {
    struct fg_cpu *cpu = (struct fg_cpu *)backend;
    const struct timespec deadline = {.tv_sec = deadline_ns / FG_S, .tv_nsec = deadline_ns % FG_S};
    pthread_mutex_lock(&cpu->mutex);
    int error = 0;
    while (cpu->running > 0 && error == 0) {
        if (deadline_ns <= 0) {
            error = ETIMEDOUT;
        } else if (deadline_ns == INT64_MAX) {
            pthread_cond_wait(&cpu->ended, &cpu->mutex);
        } else {
            error = pthread_cond_timedwait(&cpu->ended, &cpu->mutex, &deadline);
        }
    }
    enum fg_status status = FG_OK;
    if (cpu->running > 0) {
        status = fg_fail(message, FG_TIMEOUT, "the run has not ended by its deadline");
    } else if (cpu->status != FG_OK) {
        status = cpu->status;
        cpu->status = FG_OK;
        if (message) {
            *message = cpu->message;
        }
    }
    pthread_mutex_unlock(&cpu->mutex);
    return status;
}

static void cpu_close(struct fg_backend *backend) {
    struct fg_cpu *cpu = (struct fg_cpu *)backend;
    cpu_poll(backend, INT64_MAX, NULL);
    pthread_mutex_lock(&cpu->mutex);
    cpu->quit = true;
    pthread_cond_broadcast(&cpu->begun);
    pthread_mutex_unlock(&cpu->mutex);
    for (uint32_t l = 0; l < cpu->started; l++) {
        pthread_join(cpu->lane[l].leader, NULL);
    }
    for (uint32_t l = 0; l < FG_MAX_LANES; l++) {
        fg_team_close(cpu->lane[l].team);
    }
    pthread_cond_destroy(&cpu->ended);
    pthread_cond_destroy(&cpu->advanced);
    pthread_cond_destroy(&cpu->begun);
    pthread_mutex_destroy(&cpu->mutex);
    free(cpu);
}

/* The processor's name as Linux gives it, or the machine's kind where it gives none (ARM). */
static void name_device(char *name, size_t size) {
    struct utsname machine;
    snprintf(name, size, "%s", uname(&machine) == 0 ? machine.machine : "CPU");
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file) {
        return;
    }
    char line[256];
    while (fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon && colon[1] == ' ') {
            snprintf(name, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    fclose(file);
}

static void set_up_backend(struct fg_cpu *cpu, uint32_t threads, uint32_t lanes) {
    for (int op = 0; op < FG_OPERATORS; op++) {
        cpu->kernel[op] = *kernels[op];
    }
    cpu->base = (struct fg_backend){.name = "cpu",
                                    .version = cpu->version,
                                    .compute = FG_F32,
                                    .quantised = true,
                                    .device = {.threads = threads, .lanes = lanes, .host_memory = true},
                                    .kernel = cpu->kernel,
                                    .reserve = cpu_reserve,
                                    .release = cpu_release,
                                    .reaches = cpu_reaches,
                                    .upload = cpu_upload,
                                    .download = cpu_download,
                                    .prepare = cpu_prepare,
                                    .forget = cpu_forget,
                                    .share = cpu_share,
                                    .submit = cpu_submit,
                                    .poll = cpu_poll,
                                    .close = cpu_close};
    name_device(cpu->base.device.name, sizeof cpu->base.device.name);
    const char *int8 = fg_gemm8_set()->name;
    snprintf(cpu->version, sizeof cpu->version, "%s%s%s kernels", fg_gemm_set()->name, *int8 ? " " : "",
             int8);
    pthread_mutex_init(&cpu->mutex, NULL);
    pthread_cond_init(&cpu->begun, NULL);
    pthread_cond_init(&cpu->advanced, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&cpu->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

enum fg_status fg_cpu_open(uint32_t threads, uint32_t lanes, struct fg_backend **backend,
                           struct fg_message *message) {
    if (threads < 1 || threads > FG_TEAM_THREADS || lanes < 1 || lanes > FG_MAX_LANES) {
        return fg_fail(message, FG_USAGE, "%u threads on %u lanes: give 1 to %d threads and 1 to %d lanes",
                       threads, lanes, FG_TEAM_THREADS, FG_MAX_LANES);
    }
    const enum fg_status set = fg_gemm_check(message);
    if (set != FG_OK)
        return set;
    struct fg_cpu *cpu = calloc(1, sizeof *cpu);
    if (!cpu) {
        return fg_fail(message, FG_ENVIRONMENT, "no memory for the CPU backend");
    }
    set_up_backend(cpu, threads, lanes);
    enum fg_status status = FG_OK;
    for (uint32_t l = 0; l < lanes && status == FG_OK; l++) {
        struct lane *lane = &cpu->lane[l];
        lane->cpu = cpu;
        lane->index = l;
        status = fg_team_open(threads, &lane->team, message);
        if (status != FG_OK) {
            break;
        }
        pthread_mutex_lock(&cpu->mutex);
        cpu->running++;
        int error = pthread_create(&lane->leader, NULL, lead_lane, lane);
        cpu->running -= error != 0;
        pthread_mutex_unlock(&cpu->mutex);
        if (error) {
            status = fg_fail_errno(message, FG_ENVIRONMENT, error, "cannot start lane %u of %u", l, lanes);
            break;
        }
        cpu->started++;
    }
    cpu_poll(&cpu->base, INT64_MAX, NULL);
    if (status != FG_OK) {
        cpu_close(&cpu->base);
        return status;
    }
    *backend = &cpu->base;
    return FG_OK;
}
