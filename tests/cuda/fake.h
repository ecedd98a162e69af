/* What a test tells the fake CUDA runtime and the fake cuDNN, and asks of them.
 *
 * They answer the calls that kernels/cuda makes, under the same names. Work is done on the CPU: kernels by
 * the emulator, plans by the CPU backend's operators. Whatever the real ones would refuse is refused with the
 * documented error. Work waits in its stream until somebody waits for it; then what may run is run in an
 * order that a seed draws, so that a wait that is missing gives another result with another seed. Device
 * memory cannot be touched but by that work, and freed memory never again: the process ends with a
 * segmentation fault.
 *
 * Errors: none here; the faked calls give those of the real ones. Owner: the fakes own what their calls make;
 * the text of a refusal lives until the next one. Thread: the test's, while no other makes faked calls. NULL:
 * never. */
#ifndef FG_TESTS_CUDA_FAKE_H
#define FG_TESTS_CUDA_FAKE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sets the seed that draws the order of work from here on. */
void fg_fake_seed(uint64_t seed);

/* How an injected failure looks. LOST: this and every later call fails, as after a fault of the device. */
enum fg_fake_failure { FG_FAKE_MEMORY, FG_FAKE_UNSUPPORTED, FG_FAKE_LOST, FG_FAKE_FAILURES };

/* Counts calls anew; the call-th (from 1) fails; 0: none does. Mends a lost device. What gives back does so
 * in any case. */
void fg_fake_fail(uint64_t call, enum fg_fake_failure failure);
/* Counts the calls since fg_fake_fail. */
uint64_t fg_fake_calls(void);

/* This number of questions whether an event has passed are answered that it has not; -1: all of them. */
void fg_fake_hang(int64_t asks);

/* Captures that have ended well so far. */
uint64_t fg_fake_captures(void);

/* Blocks, streams, events, graphs, handles, descriptors that are alive, as a sentence in text. */
size_t fg_fake_left(char *text, size_t size);
/* Bytes of live device memory. */
size_t fg_fake_bytes(void);
/* The refusals so far, and the last one's words. */
uint64_t fg_fake_refusals(void);
const char *fg_fake_refusal(void);

/* What engines the fake cuDNN offers for each graph, in the order of its heuristics. */
enum fg_fake_engine {
    FG_FAKE_GREEDY,    /* fastest; needs 512 MiB of workspace, and says so */
    FG_FAKE_SLY,       /* says that it needs none, but its plan needs 512 MiB */
    FG_FAKE_DICE,      /* not deterministic */
    FG_FAKE_REFUSES,   /* its kernel compiles for no graph */
    FG_FAKE_DROPS,     /* float16 only; makes 0 of NaN */
    FG_FAKE_SATURATES, /* float16 only; makes 65,504 of infinity */
    FG_FAKE_COPIES,    /* copies memory besides */
    FG_FAKE_TENSOR,    /* tensor cores; 64 KiB */
    FG_FAKE_PLAIN,     /* 4 KiB */
    FG_FAKE_SLOW,      /* the only one of the fallback mode; none */
    FG_FAKE_ENGINES
};
/* Plans run of an engine so far. */
uint64_t fg_fake_runs(enum fg_fake_engine engine);
/* Whether the ReLU of every engine makes 0 of NaN. */
void fg_fake_relu_drops(int drops);
/* Another version of cuDNN, which does not open plans that the first has written. */
void fg_fake_update(int newer);

#ifdef __cplusplus
}
#endif
#endif
