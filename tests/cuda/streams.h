/* Inside the fake runtime of the tests: streams, events, graphs, and their handles, which are numbers that
 * are never given twice.
 *
 * Errors: the CUDA runtime's own. Owner: the tables own what handles stand for, until it is destroyed.
 * Thread: any that holds the lock. NULL: find gives it for an unknown handle; the default stream may be. */
#ifndef FG_TESTS_CUDA_STREAMS_H
#define FG_TESTS_CUDA_STREAMS_H

#include <map>
#include <thread>

#include "tests/cuda/runtime.h"

namespace fake {

/* A node of a graph: a copy, or any other work. */
struct node {
    std::function<void()> run;
    double ms;
    std::vector<size_t> after;
    bool is_copy;
    void *to;
    const void *from;
    size_t bytes;
    enum cudaMemcpyKind kind;
};

struct graph {
    std::vector<struct node> nodes;
    std::vector<cudaGraphNode_t> handles;
};

struct capture {
    cudaStream_t origin;
    std::thread::id thread;
    bool invalid;
    std::shared_ptr<struct graph> graph;
};

struct stream {
    std::shared_ptr<work> last;                 /* queued */
    std::vector<std::shared_ptr<work>> awaited; /* by what is queued next */
    std::shared_ptr<struct capture> capture;
    std::vector<size_t> frontier; /* nodes that the next one comes after */
};

struct event {
    bool timed;
    std::shared_ptr<work> recorded;
    std::shared_ptr<struct capture> capture; /* where it was recorded; else NULL */
    std::vector<size_t> frontier;
};

/* What handles stand for. */
template <typename H, typename T> struct table {
    std::map<uintptr_t, std::shared_ptr<T>> of;
    static uintptr_t &next() {
        static uintptr_t number = 0x1000;
        return number;
    }
    H add(std::shared_ptr<T> thing) {
        const uintptr_t number = next() += 16;
        of[number] = std::move(thing);
        return reinterpret_cast<H>(number);
    }
    std::shared_ptr<T> find(H handle) const {
        const auto found = of.find(reinterpret_cast<uintptr_t>(handle));
        return found == of.end() ? nullptr : found->second;
    }
    bool remove(H handle) {
        return of.erase(reinterpret_cast<uintptr_t>(handle)) != 0;
    }
};

extern table<cudaStream_t, struct stream> streams;
extern table<cudaEvent_t, struct event> events;
extern table<cudaGraph_t, struct graph> graphs;
extern table<cudaGraphExec_t, struct graph> execs;
extern table<cudaGraphNode_t, struct graph> nodes; /* the graph that a node is of */

/* Work for the device, after other work. */
std::shared_ptr<work> push(std::function<void()> run, double ms, std::vector<std::shared_ptr<work>> after);
/* What a copy's work does: it may find its operands gone. */
void copy_now(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind);

} // namespace fake

#endif
