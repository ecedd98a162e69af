/* Kernels for the tests of the emulator: each is right, or has the mistake that the caller asks for.
 *
 * Errors: the emulator ends the process where a GPU must refuse. Owner: the caller owns all arrays. Thread:
 * one in the process. NULL: never. */
#ifndef FG_TESTS_CUDA_BROKEN_H
#define FG_TESTS_CUDA_BROKEN_H

#include <stdbool.h>
#include <stdint.h>

/* Stores the sum of in[64 b] to in[64 b + 63] in out[b]; without its barriers the sum is wrong. */
void fg_broken_sum(uint64_t seed, const float *in, unsigned blocks, float *out, bool barriers);
/* Copies in[i + shift] to out[i], for each i below 64. */
void fg_broken_copy(const float *in, float *out, int shift);
/* Lets a number of 64 threads wait at a barrier. */
void fg_broken_wait(int waiting);
/* Lets a number of 32 lanes come to a shuffle. */
void fg_broken_shuffle(int lanes, float *out);

#endif
