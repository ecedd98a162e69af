/* CONV and DECONV as their sums are written. */
#include "tests/reference/operators.h"

/* Input place that tap t of output place o sees; outside of the picture it is padding. */
static int32_t seen(int32_t o, int32_t t, int32_t stride, int32_t kernel) {
    return o * stride + t - kernel / 2;
}

static bool inside(int32_t y, int32_t x, struct array a) {
    return y >= 0 && y < a.h && x >= 0 && x < a.w;
}

static enum fg_status conv_forward(struct fg_backend *backend, const struct fg_step *step,
                                   const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    if (step->param[0]->dtype == FG_I8)
        return fg_reference_int8(step, memory);
    const struct array x = array_of(step->in[0], memory), residual = array_of(step->in[1], memory),
                       weight = array_of(step->param[0], memory), bias = array_of(step->param[1], memory),
                       out = array_of(step->out[0], memory);
    for (int32_t n = 0; n < out.n; n++)
        for (int32_t oy = 0; oy < out.h; oy++)
            for (int32_t ox = 0; ox < out.w; ox++)
                for (int32_t o = 0; o < out.c; o++) {
                    const int32_t first = o / (out.c / step->groups) * weight.c;
                    double sum = bias.value ? *entry(bias, o) : 0;
                    for (int32_t ty = 0; ty < weight.h; ty++)
                        for (int32_t tx = 0; tx < weight.w; tx++)
                            for (int32_t k = 0; k < weight.c; k++) {
                                const int32_t y = seen(oy, ty, step->stride, weight.h),
                                              xx = seen(ox, tx, step->stride, weight.w);
                                if (inside(y, xx, x))
                                    sum += *at(x, n, y, xx, first + k) * *at(weight, o, ty, tx, k);
                            }
                    if (residual.value)
                        sum += *at(residual, n, oy, ox, o);
                    *at(out, n, oy, ox, o) = rectified(sum, step->relu);
                }
    return FG_OK;
}

static enum fg_status conv_backward(struct fg_backend *backend, const struct fg_step *step,
                                    const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const struct array x = array_of(step->in[0], memory), weight = array_of(step->param[0], memory),
                       out = array_of(step->out[0], memory), d_out = array_of(step->d_out[0], memory),
                       d_x = d_in(step, 0, memory), d_residual = d_in(step, 1, memory),
                       d_weight = d_param(step, 0, memory), d_bias = d_param(step, 1, memory);
    for (int32_t n = 0; n < out.n; n++)
        for (int32_t oy = 0; oy < out.h; oy++)
            for (int32_t ox = 0; ox < out.w; ox++)
                for (int32_t o = 0; o < out.c; o++) {
                    const int32_t first = o / (out.c / step->groups) * weight.c;
                    const double g = passed(*at(d_out, n, oy, ox, o), *at(out, n, oy, ox, o), step->relu);
                    give(d_residual, n, oy, ox, o, g);
                    give(d_bias, 0, 0, 0, o, g);
                    for (int32_t ty = 0; ty < weight.h; ty++)
                        for (int32_t tx = 0; tx < weight.w; tx++)
                            for (int32_t k = 0; k < weight.c; k++) {
                                const int32_t y = seen(oy, ty, step->stride, weight.h),
                                              xx = seen(ox, tx, step->stride, weight.w);
                                if (!inside(y, xx, x))
                                    continue;
                                give(d_x, n, y, xx, first + k, g * *at(weight, o, ty, tx, k));
                                give(d_weight, o, ty, tx, k, g * *at(x, n, y, xx, first + k));
                            }
                }
    return FG_OK;
}

const struct fg_kernel fg_reference_conv = {
    .supports = fg_reference_supports, .forward = conv_forward, .backward = conv_backward};

/* Output place (2y + ty, 2x + tx) sees input place (y, x) alone. */
static enum fg_status deconv_forward(struct fg_backend *backend, const struct fg_step *step,
                                     const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    if (step->param[0]->dtype == FG_I8)
        return fg_reference_int8(step, memory);
    const struct array x = array_of(step->in[0], memory), weight = array_of(step->param[0], memory),
                       bias = array_of(step->param[1], memory), out = array_of(step->out[0], memory);
    for (int32_t n = 0; n < out.n; n++)
        for (int32_t oy = 0; oy < out.h; oy++)
            for (int32_t ox = 0; ox < out.w; ox++)
                for (int32_t o = 0; o < out.c; o++) {
                    double sum = bias.value ? *entry(bias, o) : 0;
                    for (int32_t k = 0; k < x.c; k++)
                        sum += *at(x, n, oy / 2, ox / 2, k) * *at(weight, k, oy % 2, ox % 2, o);
                    *at(out, n, oy, ox, o) = rectified(sum, step->relu);
                }
    return FG_OK;
}

static enum fg_status deconv_backward(struct fg_backend *backend, const struct fg_step *step,
                                      const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)message;
    const struct array x = array_of(step->in[0], memory), weight = array_of(step->param[0], memory),
                       out = array_of(step->out[0], memory), d_out = array_of(step->d_out[0], memory),
                       d_x = d_in(step, 0, memory), d_weight = d_param(step, 0, memory),
                       d_bias = d_param(step, 1, memory);
    for (int32_t n = 0; n < out.n; n++)
        for (int32_t oy = 0; oy < out.h; oy++)
            for (int32_t ox = 0; ox < out.w; ox++)
                for (int32_t o = 0; o < out.c; o++) {
                    const double g = passed(*at(d_out, n, oy, ox, o), *at(out, n, oy, ox, o), step->relu);
                    give(d_bias, 0, 0, 0, o, g);
                    for (int32_t k = 0; k < x.c; k++) {
                        give(d_x, n, oy / 2, ox / 2, k, g * *at(weight, k, oy % 2, ox % 2, o));
                        give(d_weight, k, oy % 2, ox % 2, o, g * *at(x, n, oy / 2, ox / 2, k));
                    }
                }
    return FG_OK;
}

const struct fg_kernel fg_reference_deconv = {
    .supports = fg_reference_supports, .forward = deconv_forward, .backward = deconv_backward};
