/* The fake CUDA runtime: the device, injected failures, memory. Streams are runtime_stream.cpp's, graphs
 * runtime_graph.cpp's. */
#include "tests/cuda/runtime.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include <sys/mman.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(begin, size) ((void)(begin), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(begin, size) ((void)(begin), (void)(size))
#endif

#define DEVICE_BYTES ((size_t)8 << 30) /* the device's memory */
#define ADDRESSES ((size_t)1 << 40)    /* the device's addresses; none is given twice */
#define PINNED_BYTES ((size_t)1 << 30)
#define ALIGNMENT 256 /* CUDA C++ Programming Guide, device memory accesses: of every allocation, at least */

namespace {

std::recursive_mutex mutex;

/* ---- Failures ---- */

uint64_t calls, fail_at;
enum fg_fake_failure failure;
cudaError_t lost_by = cudaSuccess;
uint64_t refusals;
char refusal[256];
uint64_t order = 1;
bool late;

/* ---- Memory ---- */

struct block {
    size_t bytes, mapped; /* mapped: of device memory, whole pages */
    fake::place place;
};
std::map<uintptr_t, struct block> live;
char *addresses;
size_t taken, device_live, pinned_live;
int open_count;

size_t page() {
    static const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    return size;
}

void protect_all(int protection) {
    for (const auto &[at, block] : live)
        if (block.place == fake::place::device)
            mprotect(reinterpret_cast<void *>(at), block.mapped, protection);
}

/* The block that a place lies in, or the end. */
std::map<uintptr_t, struct block>::const_iterator find(const void *memory) {
    const uintptr_t at = reinterpret_cast<uintptr_t>(memory);
    auto after = live.upper_bound(at);
    if (after == live.begin())
        return live.end();
    --after;
    return at < after->first + after->second.bytes ? after : live.end();
}

/* A page lies between any two blocks. What lies in new memory is NaN. */
void *take_device(size_t bytes) {
    if (!addresses)
        addresses = static_cast<char *>(
            mmap(nullptr, ADDRESSES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    const size_t mapped = (bytes + page() - 1) / page() * page();
    if (addresses == MAP_FAILED || device_live + bytes > DEVICE_BYTES || taken + mapped + page() > ADDRESSES)
        return nullptr;
    char *memory = addresses + taken;
    taken += mapped + page();
    mprotect(memory, mapped, PROT_READ | PROT_WRITE);
    memset(memory, 0xff, mapped);
    ASAN_POISON_MEMORY_REGION(memory + bytes, mapped - bytes);
    if (!open_count)
        mprotect(memory, mapped, PROT_NONE);
    live[reinterpret_cast<uintptr_t>(memory)] = {bytes, mapped, fake::place::device};
    device_live += bytes;
    return memory;
}

void *take_pinned(size_t bytes) {
    void *memory = nullptr;
    if (pinned_live + bytes > PINNED_BYTES || posix_memalign(&memory, ALIGNMENT, bytes))
        return nullptr;
    memset(memory, 0xff, bytes);
    live[reinterpret_cast<uintptr_t>(memory)] = {bytes, 0, fake::place::pinned};
    pinned_live += bytes;
    return memory;
}

void copy_bytes(void *to, const void *from, size_t bytes) {
    const fake::opened device;
    memcpy(to, from, bytes);
}

} // namespace

std::unique_lock<std::recursive_mutex> fake::lock() {
    return std::unique_lock(mutex);
}

bool fake::fails(enum fg_fake_failure *how) {
    calls++;
    if (calls == fail_at && failure == FG_FAKE_LOST)
        lost_by = cudaErrorLaunchFailure;
    *how = lost_by == cudaSuccess ? failure : FG_FAKE_LOST;
    return calls == fail_at || lost_by != cudaSuccess;
}

cudaError_t fake::injected() {
    enum fg_fake_failure how;
    if (!fails(&how))
        return cudaSuccess;
    return how == FG_FAKE_MEMORY        ? cudaErrorMemoryAllocation
           : how == FG_FAKE_UNSUPPORTED ? cudaErrorNotSupported
                                        : lost_by;
}

void fake::lose(cudaError_t error) {
    lost_by = error;
}

cudaError_t fake::lost() {
    return lost_by;
}

void fake::note_refusal(const char *why) {
    refusals++;
    snprintf(refusal, sizeof refusal, "%s", why);
}

cudaError_t fake::refuse(cudaError_t error, const char *why) {
    note_refusal(why);
    return error;
}

/* xorshift64*, Vigna 2016. */
size_t fake::draw(size_t count) {
    order ^= order >> 12;
    order ^= order << 25;
    order ^= order >> 27;
    return (size_t)(order * 2685821657736338717u >> 32) % count;
}

bool fake::default_is_late() {
    return late;
}

fake::place fake::place_of(const void *memory) {
    const auto found = find(memory);
    return found == live.end() ? place::pageable : found->second.place;
}

bool fake::inside(enum place place, const void *memory, size_t bytes) {
    const uintptr_t at = reinterpret_cast<uintptr_t>(memory);
    const auto found = find(memory);
    if (place == place::pageable) {
        const auto next = live.lower_bound(at);
        return memory && found == live.end() && (next == live.end() || at + bytes <= next->first);
    }
    return found != live.end() && found->second.place == place &&
           at + bytes <= found->first + found->second.bytes;
}

bool fake::right_operands(const void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
    const auto host = [&](const void *memory) {
        return fake::inside(fake::place::pinned, memory, bytes) ||
               fake::inside(fake::place::pageable, memory, bytes);
    };
    const auto device = [&](const void *memory) {
        return fake::inside(fake::place::device, memory, bytes) ||
               fake::inside(fake::place::pinned, memory, bytes);
    };
    /* Data types, cudaMemcpyDefault: the direction is inferred from the addresses. */
    return kind == cudaMemcpyHostToDevice   ? device(to) && host(from)
           : kind == cudaMemcpyDeviceToHost ? host(to) && device(from)
           : kind == cudaMemcpyDefault      ? (host(to) || device(to)) && (host(from) || device(from))
                                            : false;
}

size_t fake::blocks() {
    return live.size();
}

size_t fake::device_bytes() {
    return device_live;
}

fake::opened::opened() {
    if (open_count++ == 0)
        protect_all(PROT_READ | PROT_WRITE);
}

fake::opened::~opened() {
    if (--open_count == 0)
        protect_all(PROT_NONE);
}

/* ---- What tests ask for ---- */

void fg_fake_seed(uint64_t seed) {
    auto held = fake::lock();
    order = seed * 2 + 1;
    late = seed % 2;
}

void fg_fake_fail(uint64_t call, enum fg_fake_failure how) {
    auto held = fake::lock();
    fake::finish_all();
    calls = 0;
    fail_at = call;
    failure = how;
    lost_by = cudaSuccess;
}

uint64_t fg_fake_calls(void) {
    return calls;
}

size_t fg_fake_bytes(void) {
    return device_live;
}

uint64_t fg_fake_refusals(void) {
    return refusals;
}

const char *fg_fake_refusal(void) {
    return refusal;
}

size_t fg_fake_left(char *text, size_t size) {
    auto held = fake::lock();
    char streams[128], cudnn[128];
    const size_t left =
        live.size() + fake::streams_left(streams, sizeof streams) + fake::cudnn_left(cudnn, sizeof cudnn);
    snprintf(text, size, "%zu blocks, %s, %s", live.size(), streams, cudnn);
    return left;
}

/* ---- The runtime: the device ---- */

cudaError_t cudaGetDeviceCount(int *count) {
    FG_FAKE_ENTER();
    *count = 1;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
    FG_FAKE_ENTER();
    /* CUDA Runtime API, Device Management, cudaSetDevice */
    return device == 0 ? cudaSuccess : fake::refuse(cudaErrorInvalidDevice, "no such device");
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device) {
    FG_FAKE_ENTER();
    if (device != 0) /* CUDA Runtime API, Device Management, cudaGetDeviceProperties */
        return fake::refuse(cudaErrorInvalidDevice, "no such device");
    memset(properties, 0, sizeof *properties);
    snprintf(properties->name, sizeof properties->name, "Fake");
    properties->major = 9;
    properties->multiProcessorCount = 4;
    properties->totalGlobalMem = DEVICE_BYTES;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version) {
    FG_FAKE_ENTER();
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version) {
    FG_FAKE_ENTER();
    *version = CUDART_VERSION;
    return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t error) {
    static thread_local char text[32];
    snprintf(text, sizeof text, "fake error %d", (int)error);
    return text;
}

/* ---- The runtime: memory ---- */

/* CUDA Runtime API, Stream Management, cudaThreadExchangeStreamCaptureMode: calls that are potentially
 * unsafe, such as cudaMalloc, are prohibited while the thread captures. */
#define FG_FAKE_NOT_IN_CAPTURE(name)                                                                         \
    if (const cudaError_t refused = fake::refuse_in_capture(name " while this thread captures");             \
        refused != cudaSuccess)                                                                              \
    return refused

cudaError_t cudaMalloc(void **memory, size_t bytes) {
    FG_FAKE_ENTER();
    FG_FAKE_NOT_IN_CAPTURE("cudaMalloc");
    if (!memory) /* Memory Management, cudaMalloc */
        return fake::refuse(cudaErrorInvalidValue, "cudaMalloc without a place for the address");
    *memory = bytes ? take_device(bytes) : nullptr;
    return *memory || !bytes ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned flags) {
    FG_FAKE_ENTER();
    FG_FAKE_NOT_IN_CAPTURE("cudaHostAlloc");
    if (!memory || flags & ~7u) /* Memory Management, cudaHostAlloc */
        return fake::refuse(cudaErrorInvalidValue, "cudaHostAlloc with unknown flags");
    *memory = bytes ? take_pinned(bytes) : nullptr;
    return *memory || !bytes ? cudaSuccess : cudaErrorMemoryAllocation;
}

/* Memory Management, cudaHostGetDevicePointer: of memory that cudaHostAlloc has given. */
cudaError_t cudaHostGetDevicePointer(void **device, void *host, unsigned flags) {
    FG_FAKE_ENTER();
    if (flags || fake::place_of(host) != fake::place::pinned)
        return fake::refuse(cudaErrorInvalidValue, "cudaHostGetDevicePointer of memory that is not pinned");
    *device = host;
    return cudaSuccess;
}

/* Both wait for the device (API synchronization behaviour); NULL is nothing. Memory Management, cudaFree: an
 * address that was not given, or was given back already, is cudaErrorInvalidValue. */
static cudaError_t give_back(void *memory, fake::place place) {
    const auto found = live.find(reinterpret_cast<uintptr_t>(memory));
    if (!memory)
        return cudaSuccess;
    if (found == live.end() || found->second.place != place)
        return fake::refuse(cudaErrorInvalidValue, "memory freed that is not there");
    const struct block block = found->second;
    fake::finish_all();
    live.erase(found);
    if (place == fake::place::pinned) {
        pinned_live -= block.bytes;
        free(memory);
        return cudaSuccess;
    }
    device_live -= block.bytes;
    ASAN_UNPOISON_MEMORY_REGION(memory, block.mapped);
    madvise(memory, block.mapped, MADV_DONTNEED);
    mprotect(memory, block.mapped, PROT_NONE);
    return cudaSuccess;
}

cudaError_t cudaFree(void *memory) {
    FG_FAKE_ENTER_FREE();
    FG_FAKE_NOT_IN_CAPTURE("cudaFree");
    const cudaError_t error = give_back(memory, fake::place::device);
    return injected == cudaSuccess ? error : injected;
}

cudaError_t cudaFreeHost(void *memory) {
    FG_FAKE_ENTER_FREE();
    FG_FAKE_NOT_IN_CAPTURE("cudaFreeHost");
    const cudaError_t error = give_back(memory, fake::place::pinned);
    return injected == cudaSuccess ? error : injected;
}

/* API synchronization behaviour, memset: asynchronous with respect to the host, but where the target is
 * pinned. */
cudaError_t cudaMemset(void *memory, int value, size_t bytes) {
    FG_FAKE_ENTER();
    FG_FAKE_NOT_IN_CAPTURE("cudaMemset");
    const fake::place place = fake::place_of(memory);
    if (place == fake::place::pageable || !fake::inside(place, memory, bytes))
        return fake::refuse(cudaErrorInvalidValue, "cudaMemset beyond a block");
    auto done = fake::legacy([=] {
        const fake::opened device;
        memset(memory, value, bytes);
    });
    if (place == fake::place::pinned)
        fake::finish(done);
    return cudaSuccess;
}

/* API synchronization behaviour, memcpy, synchronous. From pageable memory to the device the call returns
 * when the bytes have been copied to a staging place, which may be before they have come to the device. */
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
    FG_FAKE_ENTER();
    FG_FAKE_NOT_IN_CAPTURE("cudaMemcpy");
    if (!fake::right_operands(to, from, bytes, kind)) /* Memory Management, cudaMemcpy */
        return fake::refuse(cudaErrorInvalidValue, "cudaMemcpy beyond a block, or of another kind");
    if (fake::place_of(to) != fake::place::pageable && fake::place_of(from) == fake::place::pageable) {
        const char *bytes_at = static_cast<const char *>(from);
        auto staged = std::make_shared<std::vector<char>>(bytes_at, bytes_at + bytes);
        fake::legacy([=] { copy_bytes(to, staged->data(), bytes); });
        return cudaSuccess;
    }
    fake::finish(fake::legacy([=] { copy_bytes(to, from, bytes); }));
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream) {
    FG_FAKE_ENTER();
    if (const cudaError_t error = fake::check(stream); error != cudaSuccess)
        return error;
    if (!fake::right_operands(to, from, bytes, kind)) /* Memory Management, cudaMemcpyAsync */
        return fake::refuse(cudaErrorInvalidValue, "cudaMemcpyAsync beyond a block, or of another kind");
    /* Our own rule: what a graph copies lies in pinned memory, from where the copy really is asynchronous. */
    if (fake::place_of(from) == fake::place::pageable || fake::place_of(to) == fake::place::pageable)
        return fake::refuse(cudaErrorInvalidValue, "cudaMemcpyAsync of pageable memory");
    return fake::queue_copy(stream, to, from, bytes, kind);
}
