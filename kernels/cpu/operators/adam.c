/* ADAM over all trained parameters (runtime/network/network.h, section 7; equation 14's l2 is added to the
 * gradient). */
#include <math.h>

#include "kernels/cpu/cpu.h"

struct adam {
    size_t count, decayed;
    uint32_t tasks;
    float rate, first, second, l2;
    const float *g;       /* [count] */
    float *theta, *m, *v; /* [count] each */
};

FG_CPU_CLONES static void update_parameters(const struct adam *a, size_t begin, size_t end, float l2) {
    const float rate = a->rate, first = a->first, second = a->second;
    const float *g = a->g;
    float *theta = a->theta, *m = a->m, *v = a->v;
    for (size_t i = begin; i < end; i++) {
        const float slope = g[i] + 2 * l2 * theta[i];
        m[i] = (float)FG_ADAM_FIRST * m[i] + (float)(1 - FG_ADAM_FIRST) * slope;
        v[i] = (float)FG_ADAM_SECOND * v[i] + (float)(1 - FG_ADAM_SECOND) * slope * slope;
        theta[i] -= rate * (m[i] * first) / (sqrtf(v[i] * second) + (float)FG_ADAM_EPSILON);
    }
}

static void update_share(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct adam *a = argument;
    const struct fg_cpu_range range = fg_cpu_share(a->count, a->tasks, task);
    const size_t middle = a->decayed < range.begin ? range.begin
                          : a->decayed > range.end ? range.end
                                                   : a->decayed;
    update_parameters(a, range.begin, middle, a->l2);
    update_parameters(a, middle, range.end, 0);
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *g = step->d_param[0];
    bool right = step->in[0] && fg_tensor_count(step->in[0]) == 4 && g && g->dtype == FG_F32;
    for (int i = 0; i < 3; i++)
        right = right && step->param[i] && step->param[i]->dtype == FG_F32 &&
                fg_tensor_count(step->param[i]) == fg_tensor_count(g);
    return right;
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    const float *schedule = fg_cpu_values(step->in[0], memory);
    struct adam a = {.count = fg_tensor_count(step->param[0]),
                     .decayed = step->decayed,
                     .tasks = fg_cpu_threads(backend),
                     .rate = schedule[0],
                     .first = schedule[1],
                     .second = schedule[2],
                     .l2 = schedule[3],
                     .g = fg_cpu_values(step->d_param[0], memory),
                     .theta = fg_cpu_values(step->param[0], memory),
                     .m = fg_cpu_values(step->param[1], memory),
                     .v = fg_cpu_values(step->param[2], memory)};
    fg_cpu_parallel(backend, step, a.tasks, update_share, &a);
    return FG_OK;
}

const struct fg_kernel fg_cpu_adam = {.supports = supports, .forward = forward};
