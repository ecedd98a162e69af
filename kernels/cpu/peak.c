/* Measures the processor's peaks on a team of its own. */
#include "kernels/cpu/peak.h"

#include <stdlib.h>

#include "kernels/cpu/gemm/set8.h"
#include "kernels/cpu/team.h"
#include "runtime/base/clock.h"

#define ROUNDS ((size_t)400 * 1000)
#define FLOATS ((size_t)16 << 20) /* of an array: 64 MiB, so that three of them fit into no cache */

struct fg_peak {
    uint32_t threads;
    struct fg_team *team;
    float *a, *b, *c;                           /* [FLOATS] */
    volatile float result[FG_TEAM_THREADS][16]; /* a cache line of each thread, so that it is computed */
};

FG_CPU_CLONES
static void add_scaled(float *restrict a, const float *restrict b, const float *restrict c, size_t count) {
    for (size_t i = 0; i < count; i++)
        a[i] = b[i] + 3.0f * c[i];
}

static void run_triad(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct fg_peak *p = argument;
    const struct fg_cpu_range share = fg_cpu_share(FLOATS, p->threads, task);
    add_scaled(p->a + share.begin, p->b + share.begin, p->c + share.begin, share.end - share.begin);
}

/* Each thread is the first to touch its own share, so that it lies in the memory next to it. */
static void touch_arrays(void *argument, uint32_t task, uint32_t thread) {
    const struct fg_peak *p = argument;
    const struct fg_cpu_range share = fg_cpu_share(FLOATS, p->threads, task);
    for (size_t i = share.begin; i < share.end; i++)
        p->b[i] = p->c[i] = 1.0f;
    run_triad(argument, task, thread);
}

static void saturate(void *argument, uint32_t task, uint32_t thread) {
    struct fg_peak *p = argument;
    (void)task;
    p->result[thread][0] = fg_gemm_set()->saturate(ROUNDS);
}

static void saturate_int8(void *argument, uint32_t task, uint32_t thread) {
    struct fg_peak *p = argument;
    (void)task;
    p->result[thread][0] = fg_gemm8_set()->saturate(ROUNDS);
}

static double run_seconds(struct fg_peak *p, fg_cpu_task *task) {
    const int64_t begin = fg_clock_ns();
    fg_team_run(p->team, p->threads, task, p);
    return (double)(fg_clock_ns() - begin) / 1e9;
}

enum fg_status fg_peak_open(uint32_t threads, struct fg_peak **peak, struct fg_message *message) {
    struct fg_peak *p = calloc(1, sizeof *p);
    if (!p)
        return fg_fail(message, FG_ENVIRONMENT, "no memory to measure the processor");
    p->threads = threads;
    p->a = aligned_alloc(FG_ALIGNMENT, FLOATS * sizeof *p->a);
    p->b = aligned_alloc(FG_ALIGNMENT, FLOATS * sizeof *p->b);
    p->c = aligned_alloc(FG_ALIGNMENT, FLOATS * sizeof *p->c);
    enum fg_status status =
        p->a && p->b && p->c
            ? fg_team_open(threads, &p->team, message)
            : fg_fail(message, FG_ENVIRONMENT, "no memory for %zu MiB to measure the memory's speed",
                      3 * FLOATS * sizeof *p->a >> 20);
    if (status != FG_OK) {
        fg_peak_close(p);
        return status;
    }
    fg_team_run(p->team, threads, touch_arrays, p);
    *peak = p;
    return FG_OK;
}

void fg_peak_close(struct fg_peak *peak) {
    if (!peak)
        return;
    fg_team_close(peak->team);
    free(peak->a);
    free(peak->b);
    free(peak->c);
    free(peak);
}

double fg_peak_multiply_adds(struct fg_peak *peak) {
    const struct fg_gemm_set *set = fg_gemm_set();
    return (double)(peak->threads * set->rows * set->columns * ROUNDS) / run_seconds(peak, saturate);
}

double fg_peak_int8_multiply_adds(struct fg_peak *peak) {
    const struct fg_gemm8_set *set = fg_gemm8_set();
    return (double)(peak->threads * set->rows * set->columns * FG_GEMM8_DEPTH * ROUNDS) /
           run_seconds(peak, saturate_int8);
}

double fg_peak_bytes(struct fg_peak *peak) {
    return (double)(3 * FLOATS * sizeof *peak->a) / run_seconds(peak, run_triad);
}
