/* Kernels that are right or wrong, as asked; run by the emulator. */
#ifndef FG_TESTS_CUDA_BROKEN_H
#define FG_TESTS_CUDA_BROKEN_H

#include <stdbool.h>
#include <stdint.h>

/* out[b] = the sum of in[64 b] to in[64 b + 63]; wrong without its barriers. */
void fg_broken_sum(uint64_t seed, const float *in, unsigned blocks, float *out, bool barriers);
/* out[i] = in[i + shift], i below 64. */
void fg_broken_copy(const float *in, float *out, int shift);
/* So many of 64 threads wait at a barrier. */
void fg_broken_wait(int waiting);
/* So many of 32 lanes take part in a shuffle. */
void fg_broken_shuffle(int lanes, float *out);

#endif
