/* A bench for tests of one operator: each value is there twice, as float32 for the backend under test and as
 * a double for the reference, drawn by a seed. A step is built on float32 (or float16) tensors and run on
 * both.
 *
 * What a backend may not touch is guarded: bytes between tensors are checked after each run, a workspace and
 * prepared weights have exactly the bytes that the backend asked for, and everything to be written, and the
 * workspace, is NaN before.
 *
 * Errors: a failure fails the test. Owner: who opens a bench closes it; its tensors end with it. Thread: the
 * test's. NULL: only a step's absent operands may be. */
#ifndef FG_TESTS_REFERENCE_BENCH_H
#define FG_TESTS_REFERENCE_BENCH_H

#include "kernels/backend.h"

#define FG_BENCH_TENSORS 24
#define FG_BENCH_BYTES ((size_t)2 << 20) /* float32 values of all tensors together */

struct fg_bench {
    uint64_t seed;
    uint32_t drawn; /* numbers taken from the seed so far */
    uint32_t tensors;
    struct fg_tensor narrow[FG_BENCH_TENSORS], wide[FG_BENCH_TENSORS];
    size_t narrow_bytes, wide_bytes;
    struct fg_memory narrow_memory, wide_memory;
    struct fg_backend *reference;
};

void fg_bench_open(struct fg_bench *bench, uint64_t seed);
void fg_bench_close(struct fg_bench *bench);

/* The next uniform number in [low, high); the next whole one in [low, high]. */
float fg_bench_draw(struct fg_bench *bench, float low, float high);
int32_t fg_bench_pick(struct fg_bench *bench, int32_t low, int32_t high);

/* A new tensor: uniform values in [low, high), or NaN to be written. It lives as long as the bench. */
const struct fg_tensor *fg_bench_values(struct fg_bench *bench, int32_t n, int32_t h, int32_t w, int32_t c,
                                        float low, float high);
const struct fg_tensor *fg_bench_empty(struct fg_bench *bench, int32_t n, int32_t h, int32_t w, int32_t c);
/* Makes a tensor of bytes, all zero, for a picture or a struct fg_draw. */
const struct fg_tensor *fg_bench_bytes(struct fg_bench *bench, int32_t n, int32_t h, int32_t w, int32_t c);

/* Makes a tensor of u8 or i8: uniform whole numbers in [low, high]. */
const struct fg_tensor *fg_bench_whole(struct fg_bench *bench, enum fg_dtype dtype, int32_t n, int32_t h,
                                       int32_t w, int32_t c, int32_t low, int32_t high);
/* Says how a tensor of u8 or float32 is quantised. */
void fg_bench_quantise(struct fg_bench *bench, const struct fg_tensor *tensor, float scale, int32_t zero);

/* Rounds a float32 tensor's values to float16, and gives a new tensor that has them so; or one to be written.
 */
const struct fg_tensor *fg_bench_half(struct fg_bench *bench, const struct fg_tensor *tensor);
const struct fg_tensor *fg_bench_empty_half(struct fg_bench *bench, int32_t n, int32_t h, int32_t w,
                                            int32_t c);

/* Makes a weight one that a backend may prepare. */
void fg_bench_freeze(struct fg_bench *bench, const struct fg_tensor *weight);

/* Values of a tensor, for the test to look at or to change. */
void *fg_bench_narrow(const struct fg_bench *bench, const struct fg_tensor *tensor);
double *fg_bench_wide(const struct fg_bench *bench, const struct fg_tensor *tensor);

/* Copies every float32 value to its double. */
void fg_bench_widen(const struct fg_bench *bench);

/* Runs a step on the backend (lane 0) and on the reference, which starts from the same values; or on the
 * reference alone, from its own. */
void fg_bench_run(struct fg_bench *bench, struct fg_backend *backend, const struct fg_step *step);
void fg_bench_run_reference(const struct fg_bench *bench, const struct fg_step *step);

/* max |a - b| / max |b| after a run; infinite where one is NaN and the other is not, or b is all zero and a
 * is not. */
double fg_bench_error(const struct fg_bench *bench, const struct fg_tensor *tensor);

#endif
