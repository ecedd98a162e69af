/* Inside the CPU backend: its kernels, one file each, and the threads that they share.
 *
 * Errors: none. Owner: the backend. Thread: fg_cpu_parallel is called by the thread that runs the step's
 * lane, and a task by any of that lane's threads. NULL: an argument may be NULL only where this says so; a
 * message may. */
#ifndef FG_KERNELS_CPU_CPU_H
#define FG_KERNELS_CPU_CPU_H

#include "kernels/backend.h"

#define FG_CPU_KERNEL(constant, name) extern const struct fg_kernel fg_cpu_##name;
FG_OPERATOR_TABLE(FG_CPU_KERNEL)
#undef FG_CPU_KERNEL

/* Put before a function whose loops gcc vectorises: it is compiled for each of these instruction sets, and
 * the best one that the machine has is taken at start. (Sanitizers cannot run the code that chooses.) */
#if defined(__x86_64__) && defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) &&                        \
    !defined(__SANITIZE_THREAD__)
#define FG_CPU_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FG_CPU_CLONES
#endif

/* Put before what such a function calls: what is not inlined is compiled for the default instruction set
 * only. */
#define FG_INLINE static inline __attribute__((always_inline))

/* One of tasks equal pieces of work, run by the given thread (0 to threads - 1) of the step's lane. */
typedef void fg_cpu_task(void *argument, uint32_t task, uint32_t thread);

/* Runs all tasks on the threads of the step's lane and returns when the last has ended. Task t goes to thread
 * t % threads in ascending order, always: sums that a thread keeps come out the same in every run. */
void fg_cpu_parallel(struct fg_backend *backend, const struct fg_step *step, uint32_t tasks,
                     fg_cpu_task *task, void *argument);

/* Threads of one lane. */
static inline uint32_t fg_cpu_threads(const struct fg_backend *backend) {
    return backend->device.threads;
}

/* The half-open range of count items that one of pieces gets; pieces differ by at most one item. */
struct fg_cpu_range {
    size_t begin, end;
};

static inline struct fg_cpu_range fg_cpu_share(size_t count, uint32_t pieces, uint32_t piece) {
    return (struct fg_cpu_range){count * piece / pieces, count * (piece + 1) / pieces};
}

/* A tensor's elements; NULL for an absent tensor. */
static inline float *fg_cpu_values(const struct fg_tensor *t, const struct fg_memory *memory) {
    return t ? fg_tensor_data(t, memory) : NULL;
}

/* Writes gradients, or adds them to another consumer's, as the step's accumulate says. */
static inline void fg_cpu_give(const float *value, size_t count, bool add, float *gradient) {
    if (add)
        for (size_t k = 0; k < count; k++)
            gradient[k] += value[k];
    else
        for (size_t k = 0; k < count; k++)
            gradient[k] = value[k];
}

/* The step's own scratch, of the size that its workspace function gave. */
static inline float *fg_cpu_workspace(const struct fg_step *step, const struct fg_memory *memory) {
    return step->workspace_bytes > 0
               ? (float *)((char *)memory->segment[FG_SEGMENT_WORKSPACE] + step->workspace)
               : NULL;
}

#endif
