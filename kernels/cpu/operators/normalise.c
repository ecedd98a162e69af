/* NORMALISE: 8-bit RGB to the floats that torchvision's backbones were trained on. */
#include "kernels/cpu/cpu.h"

struct normalise {
    const uint8_t *in;          /* {N, h, w, 3} */
    const struct fg_draw *draw; /* NULL: image i is of picture i */
    float *out;                 /* {n, h, w, 3} */
    size_t pixels;              /* number of pixels in all images */
    size_t image;               /* number of pixels in one image */
    uint32_t tasks;
    float value[3][256];
};

static void normalise_share(void *argument, uint32_t task, uint32_t thread) {
    (void)thread;
    const struct normalise *a = argument;
    const struct fg_cpu_range range = fg_cpu_share(a->pixels, a->tasks, task);
    for (size_t i = range.begin; i < range.end;) {
        const size_t n = i / a->image, end = (n + 1) * a->image < range.end ? (n + 1) * a->image : range.end;
        const uint8_t *in = a->in + (a->draw ? a->draw->image[n] : n) * a->image * 3;
        for (; i < end; i++)
            for (size_t k = 0; k < 3; k++)
                a->out[i * 3 + k] = a->value[k][in[(i - n * a->image) * 3 + k]];
    }
}

static bool supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const struct fg_tensor *in = step->in[0], *out = step->out[0];
    return in && out && in->dtype == FG_U8 && out->dtype == FG_F32 && in->c == 3 && in->h == out->h &&
           in->w == out->w && out->c == 3 && out->n <= FG_MAX_BATCH &&
           (step->in[1] ? step->in[1]->c == (int32_t)sizeof(struct fg_draw) : in->n == out->n);
}

static enum fg_status forward(struct fg_backend *backend, const struct fg_step *step,
                              const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    static const float mean[3] = {FG_MEAN_RED, FG_MEAN_GREEN, FG_MEAN_BLUE},
                       deviation[3] = {FG_DEVIATION_RED, FG_DEVIATION_GREEN, FG_DEVIATION_BLUE};
    const struct fg_tensor *out = step->out[0];
    struct normalise a = {.in = fg_tensor_data(step->in[0], memory),
                          .draw = step->in[1] ? fg_tensor_data(step->in[1], memory) : NULL,
                          .out = fg_cpu_values(out, memory),
                          .pixels = fg_tensor_count(out) / 3,
                          .image = (size_t)out->h * (size_t)out->w,
                          .tasks = fg_cpu_threads(backend)};
    for (int k = 0; k < 3; k++)
        for (int v = 0; v < 256; v++)
            a.value[k][v] = ((float)v / 255.0f - mean[k]) / deviation[k];
    fg_cpu_parallel(backend, step, a.tasks, normalise_share, &a);
    return FG_OK;
}

const struct fg_kernel fg_cpu_normalise = {.supports = supports, .forward = forward};
