/* Stands in for the CUDA runtime's header where .cu files are compiled as C++ to run on the CPU: the language
 * of device code, and the few calls that kernels/cuda makes beside it. What a kernel may do is in emulator.h.
 */
#ifndef FG_TESTS_CUDA_INCLUDE_CUDA_RUNTIME_H
#define FG_TESTS_CUDA_INCLUDE_CUDA_RUNTIME_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static /* one block runs at a time */

using std::isfinite;

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned in_x = 1, unsigned in_y = 1, unsigned in_z = 1) : x(in_x), y(in_y), z(in_z) {
    }
};

typedef struct CUstream_st *cudaStream_t;
typedef enum { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorInvalidConfiguration = 9 } cudaError_t;

enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1 };

static inline const char *cudaGetErrorString(cudaError_t error) {
    return error == cudaSuccess                     ? "no error"
           : error == cudaErrorInvalidValue         ? "invalid argument"
           : error == cudaErrorInvalidConfiguration ? "invalid configuration argument"
                                                    : "another error";
}

#include "tests/cuda/emulator.h"

#define threadIdx (fg_emulator::current()->thread)
#define blockIdx (fg_emulator::current()->block)
#define blockDim (fg_emulator::current()->block_size)
#define gridDim (fg_emulator::current()->grid_size)
#define warpSize 32

static inline void __syncthreads() {
    fg_emulator::barrier();
}

static inline double __dmul_rn(double a, double b) {
    return a * b;
}

/* mask must name the whole warp. */
template <typename T> T __shfl_xor_sync(unsigned mask, T value, int lanes) {
    static_assert(sizeof(T) <= 8);
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = fg_emulator::exchange(mask, bits, (int)(threadIdx.x % 32) ^ lanes);
    memcpy(&value, &bits, sizeof value);
    return value;
}

template <typename C, typename K, size_t... I>
C fg_emulator_copy(K kernel, void **arguments, std::index_sequence<I...>) {
    using values = decltype(C::values);
    return {kernel, values(*static_cast<std::tuple_element_t<I, values> *>(arguments[I])...)};
}

/* CUDA C++ Programming Guide, technical specifications: a block has at most 1024 threads, a grid at most
 * 65535 blocks in y and z. The arguments are copied. */
template <typename... A>
cudaError_t cudaLaunchKernel(void (*kernel)(A...), dim3 grid, dim3 block, void **arguments, size_t shared,
                             cudaStream_t stream) {
    const uint64_t threads = (uint64_t)block.x * block.y * block.z;
    if (threads == 0 || threads > 1024 || grid.x == 0 || grid.x > 0x7fffffffu || grid.y == 0 ||
        grid.y > 65535 || grid.z == 0 || grid.z > 65535 || shared > 48 * 1024)
        return cudaErrorInvalidConfiguration;
    struct call {
        void (*kernel)(A...);
        std::tuple<A...> values;
    };
    auto run =
        [grid, block,
         call = fg_emulator_copy<struct call>(kernel, arguments, std::index_sequence_for<A...>())]() mutable {
            fg_emulator::run(
                grid, block,
                [](void *context) {
                    struct call *c = static_cast<struct call *>(context);
                    std::apply(c->kernel, c->values);
                },
                &call);
        };
    if (fg_emulator::device)
        return (cudaError_t)fg_emulator::device->launch(stream, run);
    run();
    return cudaSuccess;
}

struct cudaFuncAttributes {
    int numRegs;
};

/* A kernel that is here has code. */
template <typename K> cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, K) {
    *attributes = {};
    return fg_emulator::device ? (cudaError_t)fg_emulator::device->find() : cudaSuccess;
}

static inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                                          cudaStream_t stream) {
    if (fg_emulator::device)
        return (cudaError_t)fg_emulator::device->copy(stream, to, from, bytes, kind);
    memcpy(to, from, bytes);
    return cudaSuccess;
}

#endif
