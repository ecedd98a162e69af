/* Kernels with the mistakes that the emulator is there to find. */
#include "kernels/cuda/operators/device.cuh"

extern "C" {
#include "tests/cuda/broken.h"
}

/* Each block sums its 64 values in shared memory; barriers says whether it waits as it must. */
__global__ static void sum_block(const float *in, float *out, bool barriers) {
    __shared__ float values[64];
    values[threadIdx.x] = in[blockIdx.x * 64 + threadIdx.x];
    for (unsigned step = 32; step; step /= 2) {
        if (barriers)
            __syncthreads();
        if (threadIdx.x < step)
            values[threadIdx.x] += values[threadIdx.x + step];
    }
    if (threadIdx.x == 0)
        out[blockIdx.x] = values[0];
}

__global__ static void copy_shifted(const float *in, float *out, int shift) {
    out[threadIdx.x] = in[threadIdx.x + shift];
}

__global__ static void wait_apart(int waiting) {
    if ((int)threadIdx.x < waiting)
        __syncthreads();
}

__global__ static void shuffle_apart(int lanes, float *out) {
    if ((int)threadIdx.x < lanes)
        *out = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
}

template <typename... P, typename... A>
static void run(unsigned blocks, unsigned threads, void (*kernel)(P...), A... a) {
    auto launch = [&](P... p) {
        void *arguments[] = {&p...};
        cudaLaunchKernel(kernel, dim3(blocks), dim3(threads), arguments, 0, nullptr);
    };
    launch(a...);
}

void fg_broken_sum(uint64_t seed, const float *in, unsigned blocks, float *out, bool barriers) {
    fg_emulator::seed(seed);
    run(blocks, 64, sum_block, in, out, barriers);
}

void fg_broken_copy(const float *in, float *out, int shift) {
    run(1, 64, copy_shifted, in, out, shift);
}

void fg_broken_wait(int waiting) {
    run(1, 64, wait_apart, waiting);
}

void fg_broken_shuffle(int lanes, float *out) {
    run(1, 32, shuffle_apart, lanes, out);
}
