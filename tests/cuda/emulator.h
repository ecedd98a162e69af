/* Runs kernels on the CPU: blocks one after the other, the threads of a block as fibers in an order that a
 * seed draws anew between any two barriers, so that a missing barrier gives another result with another seed.
 *
 * It refuses (prints and aborts) what has no meaning on a GPU: a barrier that a thread of the block never
 * reaches, a shuffle that a lane of the warp never reaches or that does not name all 32 lanes. Shared memory
 * is a block's own only while it runs and is not cleared between blocks. Under the address sanitizer every
 * access is checked.
 *
 * Errors: it ends the process, as said above; a device gives the runtime's error. Owner: the caller owns what
 * a kernel touches. Thread: one at a time in the process. NULL: device may be, and a kernel's context;
 * nothing else. */
#ifndef FG_TESTS_CUDA_EMULATOR_H
#define FG_TESTS_CUDA_EMULATOR_H

#include <cstddef>
#include <cstdint>
#include <functional>

namespace fg_emulator {

struct place {
    dim3 thread, block, block_size, grid_size;
};

/* Gives the place of the thread that asks. */
const struct place *current();

/* Sets the seed that draws the order of threads from here on. */
void seed(uint64_t value);

void run(dim3 grid, dim3 block, void (*kernel)(void *), void *context);
void barrier();
uint64_t exchange(unsigned mask, uint64_t value, int lane);

/* Who is given launches and copies on a stream, and asked for a kernel's code
 * (tests/cuda/runtime_stream.cpp); NULL: they are done at once. All give the runtime's error. */
struct device {
    int (*launch)(cudaStream_t stream, std::function<void()> kernel);
    int (*copy)(cudaStream_t stream, void *to, const void *from, size_t bytes, int kind);
    int (*find)();
};
extern const struct device *device;

} // namespace fg_emulator

#endif
