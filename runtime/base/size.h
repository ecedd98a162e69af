/* Sizes that come from outside are multiplied and added only through these functions.
 *
 * Errors: false says that the result overflows. Owner: nothing is kept. Thread: any. NULL: never. */
#ifndef FG_RUNTIME_BASE_SIZE_H
#define FG_RUNTIME_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every tensor begins at a multiple of this many bytes, in every segment and on every backend. */
#define FG_ALIGNMENT ((size_t)256)

/* Pixels of height or width: of the pictures that a network sees, which are multiples of the step, and of any
 * picture or camera frame. */
#define FG_SIDE_LEAST 64
#define FG_SIDE_MOST 1024
#define FG_SIDE_STEP 32
#define FG_SIDE_FRAME 16384

static inline bool fg_size_add(size_t a, size_t b, size_t *sum) {
    return !__builtin_add_overflow(a, b, sum);
}

static inline bool fg_size_mul(size_t a, size_t b, size_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}

/* Rounds a size up to FG_ALIGNMENT. The caller has bounded it, so this cannot overflow. */
static inline size_t fg_size_align(size_t size) {
    return (size + FG_ALIGNMENT - 1) & ~(FG_ALIGNMENT - 1);
}

#endif
