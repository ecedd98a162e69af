/* Whether this object has code that the device can run. */
#include "kernels/cuda/operators/device.cuh"

/* Compiled for the same targets as the others. */
__global__ static void do_nothing() {
}

cudaError_t fg_cuda_find_code(void) {
    struct cudaFuncAttributes attributes;
    return cudaFuncGetAttributes(&attributes, do_nothing);
}
