/* Inside the fakes of the tests: one device, its memory, and work on its streams. Every entry point takes
 * the lock first.
 *
 * Errors: the CUDA runtime's own. Owner: the fakes own blocks and work. Thread: any that holds the lock.
 * NULL: the default stream may be, and memory that is asked about; nothing else. */
#ifndef FG_TESTS_CUDA_RUNTIME_H
#define FG_TESTS_CUDA_RUNTIME_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include <cuda_runtime_api.h>

#include "tests/cuda/fake.h"

namespace fake {

/* Held by an entry point while it runs. */
std::unique_lock<std::recursive_mutex> lock();

/* Counts a call: true when it is to fail, as how. */
bool fails(enum fg_fake_failure *failure);
/* Loses the device because of an error that work has met. */
void lose(cudaError_t error);
/* The error of a device that is lost; else cudaSuccess. */
cudaError_t lost();

/* Notes why a call is refused, and gives the error. */
cudaError_t refuse(cudaError_t error, const char *why);
void note_refusal(const char *why);

/* A draw below count; whether the seed has drawn that the default stream comes last. */
size_t draw(size_t count);
bool default_is_late();

/* ---- Memory ---- */

enum class place { device, pinned, pageable };
enum place place_of(const void *memory);
/* Whether all these bytes lie in one live block of that place; pageable: in none. */
bool inside(enum place place, const void *memory, size_t bytes);
size_t blocks(); /* counts blocks that are alive */
size_t device_bytes();

/* While one of these lives, device memory can be touched. */
struct opened {
    opened();
    ~opened();
};

/* ---- Work ---- */

/* Something that the device does, once all that it comes after is done. */
struct work {
    std::function<void()> run; /* empty: only marks a place */
    std::vector<std::shared_ptr<work>> after;
    double ms = 0;           /* what it takes on the device */
    bool is_default = false; /* it is on the default stream */
    bool done = false;
    double passed = 0; /* the device's clock when it was done, ms */
};

/* Queues work on a stream, or adds it to the graph that is being captured there. ms: what it takes on the
 * device. */
cudaError_t queue(cudaStream_t stream, std::function<void()> run, double ms);
/* Queues a copy in the same way; a graph's owner can change its operands later. */
cudaError_t queue_copy(cudaStream_t stream, void *to, const void *from, size_t bytes,
                       enum cudaMemcpyKind kind);
/* Whether a copy's operands are where its kind says, whole. */
bool right_operands(const void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind);
/* Whether work may be queued there: cudaErrorInvalidResourceHandle where there is no such stream. */
cudaError_t check(cudaStream_t stream);
bool capturing(cudaStream_t stream);
/* Refuses what may not be called while this thread captures; the capture is then void. */
cudaError_t refuse_in_capture(const char *why);

/* Runs what has to be run, and may run, until this is done. */
void finish(const std::shared_ptr<work> &target);
void finish_all();
std::shared_ptr<work> legacy(std::function<void()> run); /* queued on the default stream */

size_t streams_left(char *text, size_t size);
size_t cudnn_left(char *text, size_t size);

} // namespace fake

/* Begins an entry point: the lock, the count, and what is injected. */
#define FG_FAKE_ENTER()                                                                                      \
    auto held = fake::lock();                                                                                \
    if (const cudaError_t injected = fake::injected(); injected != cudaSuccess)                              \
    return injected
/* Begins an entry point that gives something back, which it does before it fails. */
#define FG_FAKE_ENTER_FREE()                                                                                 \
    auto held = fake::lock();                                                                                \
    const cudaError_t injected = fake::injected()

namespace fake {
cudaError_t injected();
}

#endif
