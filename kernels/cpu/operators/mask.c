/* MASK: hides positions of FMM's input (runtime/network/network.h, sections 5 and 7). */
#include "kernels/cpu/cpu.h"
#include "kernels/philox.h"

struct mask {
    size_t positions, c;
    const struct fg_draw *draw;
    float rate;
    uint32_t level;
    const float *from; /* {n, positions, c} */
    float *to;         /* {n, positions, c} */
    bool add;
};

/* Forward and backward are the same product. */
static void mask_image(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct mask *m = argument;
    const float *from = m->from + task * m->positions * m->c;
    float *to = m->to + task * m->positions * m->c;
    for (size_t p = 0; p < m->positions; p++, from += m->c, to += m->c) {
        const float keep = fg_philox_mask(m->draw->seed, m->draw->epoch, m->draw->image[task], m->level,
                                          (uint32_t)p, m->rate);
        for (size_t k = 0; k < m->c; k++)
            to[k] = m->add ? to[k] + keep * from[k] : keep * from[k];
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *x = step->in[0], *draw = step->in[1], *y = step->out[0];
    return x && draw && y && x->dtype == FG_F32 && x->n <= FG_MAX_BATCH &&
           fg_tensor_count(x) == fg_tensor_count(y) && fg_tensor_bytes(draw) >= sizeof(struct fg_draw);
}

static void mask_images(struct fg_backend *backend, const struct fg_step *step,
                        const struct fg_memory *memory, const struct fg_tensor *from,
                        const struct fg_tensor *to, bool add) {
    const struct fg_tensor *x = step->in[0];
    struct mask m = {.positions = (size_t)x->h * (size_t)x->w,
                     .c = (size_t)x->c,
                     .draw = fg_tensor_data(step->in[1], memory),
                     .rate = step->mask_rate,
                     .level = step->level,
                     .from = fg_cpu_values(from, memory),
                     .to = fg_cpu_values(to, memory),
                     .add = add};
    fg_cpu_parallel(backend, step, (uint32_t)x->n, mask_image, &m);
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    mask_images(backend, step, memory, step->in[0], step->out[0], false);
    return FG_OK;
}

static enum fg_status backward(struct fg_backend *backend, const struct fg_step *step,
                               const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    if (step->d_in[0])
        mask_images(backend, step, memory, step->d_out[0], step->d_in[0], step->accumulate & 1);
    return FG_OK;
}

const struct fg_kernel fg_cpu_mask = {.supports = supports, .forward = forward, .backward = backward};
