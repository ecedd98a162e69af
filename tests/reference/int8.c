/* CONV and DECONV with weights of 8 bits, as kernels/step.h writes their sums. The elements of a float32
 * input are found in float32, since a double would round to another one now and then; all else is in
 * doubles. */
#include <math.h>

#include "tests/reference/operators.h"

/* A tensor of doubles or of bytes. */
struct place {
    const struct fg_tensor *t;
    void *values;
};

static struct place place_of(const struct fg_tensor *t, const struct fg_memory *memory) {
    return (struct place){t, t ? fg_tensor_data(t, memory) : NULL};
}

static size_t index_of(const struct fg_tensor *t, int32_t n, int32_t y, int32_t x, int32_t k) {
    return (((size_t)n * (size_t)t->h + (size_t)y) * (size_t)t->w + (size_t)x) * (size_t)t->c + (size_t)k;
}

/* The element of a quotient that was rounded. */
static int32_t element_of(double rounded, int32_t zero) {
    const double least = -zero, most = 255 - zero;
    return (int32_t)(rounded > least ? rounded < most ? rounded : most : least) + zero;
}

static int32_t read_element(struct place p, size_t i) {
    if (p.t->dtype == FG_U8)
        return ((const uint8_t *)p.values)[i];
    return element_of(rintf((float)((const double *)p.values)[i] / p.t->scale), p.t->zero);
}

static double read_value(struct place p, size_t i) {
    if (p.t->dtype == FG_U8)
        return (double)p.t->scale * (((const uint8_t *)p.values)[i] - p.t->zero);
    return ((const double *)p.values)[i];
}

static void write_value(struct place p, size_t i, double value) {
    if (p.t->dtype == FG_U8)
        ((uint8_t *)p.values)[i] = (uint8_t)element_of(rint(value / (double)p.t->scale), p.t->zero);
    else
        ((double *)p.values)[i] = value;
}

/* x - zero times a weight of CONV, summed over what an output sees; outside of the picture there is zero. */
static int64_t sum_conv(const struct fg_step *step, struct place x, const int8_t *weight, int32_t n,
                        int32_t oy, int32_t ox, int32_t o) {
    const struct fg_tensor *w = step->param[0];
    const int32_t first = o / (w->n / step->groups) * w->c;
    int64_t sum = 0;
    for (int32_t ty = 0; ty < w->h; ty++)
        for (int32_t tx = 0; tx < w->w; tx++)
            for (int32_t k = 0; k < w->c; k++) {
                const int32_t y = oy * step->stride + ty - w->h / 2, xx = ox * step->stride + tx - w->w / 2;
                if (y >= 0 && y < x.t->h && xx >= 0 && xx < x.t->w)
                    sum += (int64_t)(read_element(x, index_of(x.t, n, y, xx, first + k)) - x.t->zero) *
                           weight[index_of(w, o, ty, tx, k)];
            }
    return sum;
}

static int64_t sum_deconv(const struct fg_step *step, struct place x, const int8_t *weight, int32_t n,
                          int32_t oy, int32_t ox, int32_t o) {
    const struct fg_tensor *w = step->param[0];
    int64_t sum = 0;
    for (int32_t k = 0; k < x.t->c; k++)
        sum += (int64_t)(read_element(x, index_of(x.t, n, oy / 2, ox / 2, k)) - x.t->zero) *
               weight[index_of(w, k, oy % 2, ox % 2, o)];
    return sum;
}

enum fg_status fg_reference_int8(const struct fg_step *step, const struct fg_memory *memory) {
    const struct place x = place_of(step->in[0], memory), residual = place_of(step->in[1], memory),
                       out = place_of(step->out[0], memory);
    const int8_t *weight = fg_tensor_data(step->param[0], memory);
    const struct array bias = array_of(step->param[1], memory), scale = array_of(step->param[2], memory);
    for (int32_t n = 0; n < out.t->n; n++)
        for (int32_t oy = 0; oy < out.t->h; oy++)
            for (int32_t ox = 0; ox < out.t->w; ox++)
                for (int32_t o = 0; o < out.t->c; o++) {
                    const size_t at_out = index_of(out.t, n, oy, ox, o);
                    double value = (double)(step->op == FG_CONV ? sum_conv(step, x, weight, n, oy, ox, o)
                                                                : sum_deconv(step, x, weight, n, oy, ox, o)) *
                                   (double)x.t->scale * *entry(scale, o);
                    value += bias.value ? *entry(bias, o) : 0;
                    value += residual.t ? read_value(residual, at_out) : 0;
                    write_value(out, at_out, rectified(value, step->relu));
                }
    return FG_OK;
}
