/* A backend for tests of the CUDA backend's own kernels: the emulator runs them, forward and backward, for
 * the operators that cuDNN has not. The entries of all others are empty.
 *
 * Errors: FG_ENVIRONMENT without memory. Owner: who opens the backend closes it. Thread: one in the process,
 * as the emulator has one state. NULL: only a message may be. */
#ifndef FG_TESTS_CUDA_EMULATED_H
#define FG_TESTS_CUDA_EMULATED_H

#include "kernels/backend.h"

/* Opens the backend. The seed draws the order of threads. */
FG_MUST_USE enum fg_status fg_emulated_open(uint64_t seed, struct fg_backend **backend,
                                            struct fg_message *message);

#endif
