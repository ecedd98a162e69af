/* Inside the reference backend of the tests: its kernels, and tensors as arrays of doubles.
 *
 * Errors: none. Owner: the caller owns tensors and memory. Thread: one at a time on one memory. NULL: an
 * absent tensor may be; its array then has no values. */
#ifndef FG_TESTS_REFERENCE_OPERATORS_H
#define FG_TESTS_REFERENCE_OPERATORS_H

#include <string.h>

#include "kernels/backend.h"

#define FG_REFERENCE_KERNEL(constant, name) extern const struct fg_kernel fg_reference_##name;
FG_OPERATOR_TABLE(FG_REFERENCE_KERNEL)
#undef FG_REFERENCE_KERNEL

/* CONV and DECONV with weights of 8 bits. */
FG_MUST_USE enum fg_status fg_reference_int8(const struct fg_step *step, const struct fg_memory *memory);

bool fg_reference_supports(const struct fg_backend *backend, const struct fg_step *step);

/* A tensor's values; value is NULL for an absent tensor. */
struct array {
    double *value;
    int32_t n, h, w, c;
};

static inline struct array array_of(const struct fg_tensor *t, const struct fg_memory *memory) {
    if (!t) {
        return (struct array){.value = NULL};
    }
    return (struct array){fg_tensor_data(t, memory), t->n, t->h, t->w, t->c};
}

static inline double *at(struct array a, int32_t n, int32_t y, int32_t x, int32_t k) {
    return &a.value[(((size_t)n * (size_t)a.h + (size_t)y) * (size_t)a.w + (size_t)x) * (size_t)a.c +
                    (size_t)k];
}

/* Element k of a vector {1, 1, 1, c}. */
static inline double *entry(struct array a, int32_t k) {
    return &a.value[k];
}

/* Adds to a gradient, where it is wanted. */
static inline void give(struct array d, int32_t n, int32_t y, int32_t x, int32_t k, double value) {
    if (d.value) {
        *at(d, n, y, x, k) += value;
    }
}

/* A gradient that backward adds to: zero first, unless it holds another consumer's gradient. */
static inline struct array gradient_of(const struct fg_tensor *t, bool accumulate,
                                       const struct fg_memory *memory) {
    if (t && !accumulate) {
        memset(fg_tensor_data(t, memory), 0, fg_tensor_bytes(t));
    }
    return array_of(t, memory);
}

static inline struct array d_in(const struct fg_step *step, int i, const struct fg_memory *memory) {
    return gradient_of(step->d_in[i], step->accumulate >> i & 1, memory);
}

static inline struct array d_param(const struct fg_step *step, int i, const struct fg_memory *memory) {
    return gradient_of(step->d_param[i], false, memory);
}

/* ReLU that keeps NaN, and what it lets through of a gradient. */
static inline double rectified(double x, bool relu) {
    return relu && x < 0 ? 0 : x;
}

static inline double passed(double gradient, double out, bool relu) {
    return relu && out <= 0 ? 0 : gradient;
}

#endif
