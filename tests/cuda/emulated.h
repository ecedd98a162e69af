/* A backend of the CUDA backend's own kernels, run by the emulator: forward and backward of the operators
 * that cuDNN has not. The others' entries are empty. */
#ifndef FG_TESTS_CUDA_EMULATED_H
#define FG_TESTS_CUDA_EMULATED_H

#include "kernels/backend.h"

/* seed: of the order of threads. */
FG_MUST_USE enum fg_status fg_emulated_open(uint64_t seed, struct fg_backend **backend,
                                            struct fg_message *message);

#endif
