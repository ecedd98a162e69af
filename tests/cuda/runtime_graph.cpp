/* The fake CUDA runtime: capture, and graphs. */
#include <algorithm>

#include "tests/cuda/streams.h"

using fake::execs;
using fake::graphs;
using fake::nodes;
using fake::streams;
using fake::work;

namespace {

uint64_t captures;

void leave_capture(const std::shared_ptr<struct fake::capture> &c) {
    for (auto &[handle, s] : streams.of)
        if (s->capture == c) {
            s->capture = nullptr;
            s->frontier.clear();
        }
}

/* Whether all that a stream has captured comes before a place of the origin. */
bool joined(const struct fake::graph &graph, const std::vector<size_t> &all, const std::vector<size_t> &end) {
    std::vector<bool> before(graph.nodes.size());
    std::vector<size_t> left = end;
    while (!left.empty()) {
        const size_t n = left.back();
        left.pop_back();
        if (before[n])
            continue;
        before[n] = true;
        left.insert(left.end(), graph.nodes[n].after.begin(), graph.nodes[n].after.end());
    }
    return std::all_of(all.begin(), all.end(), [&](size_t n) { return before[n]; });
}

} // namespace

uint64_t fg_fake_captures(void) {
    return captures;
}

/* Stream Management, cudaStreamBeginCapture: not the default stream, and not one that captures. */
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode) {
    FG_FAKE_ENTER();
    const auto s = streams.find(stream);
    if (!s || s->capture)
        return fake::refuse(cudaErrorIllegalState, "a capture begun in a stream that captures, or in none");
    /* Our own rule: the global mode would forbid other threads to take memory meanwhile. */
    if (mode != cudaStreamCaptureModeThreadLocal)
        return fake::refuse(cudaErrorInvalidValue, "a capture that is not thread-local");
    s->capture = std::make_shared<struct fake::capture>();
    *s->capture = {stream, std::this_thread::get_id(), false, std::make_shared<struct fake::graph>()};
    return cudaSuccess;
}

/* Stream Management, cudaStreamEndCapture: in the stream and thread that began it; of a void capture the
 * graph is NULL. */
static cudaError_t end_capture(cudaStream_t stream, cudaGraph_t *graph) {
    const auto s = streams.find(stream);
    *graph = nullptr;
    if (!s || !s->capture || s->capture->origin != stream)
        return fake::refuse(cudaErrorStreamCaptureUnmatched, "a capture ended that was not begun there");
    const auto c = s->capture;
    if (c->thread != std::this_thread::get_id())
        return fake::refuse(cudaErrorStreamCaptureWrongThread, "a capture ended by another thread");
    bool all = true;
    for (const auto &[handle, other] : streams.of)
        all = all && (other->capture != c || joined(*c->graph, other->frontier, s->frontier));
    leave_capture(c);
    if (c->invalid)
        return fake::refuse(cudaErrorStreamCaptureInvalidated, "the end of a void capture");
    /* Data types, cudaErrorStreamCaptureUnjoined: the capture contains a fork that was not joined. */
    if (!all)
        return fake::refuse(cudaErrorStreamCaptureUnjoined, "a lane that was not joined");
    captures++;
    *graph = graphs.add(c->graph);
    for (size_t i = 0; i < c->graph->nodes.size(); i++)
        c->graph->handles.push_back(nodes.add(c->graph));
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    FG_FAKE_ENTER_FREE();
    const cudaError_t error = end_capture(stream, graph);
    if (error != cudaSuccess || injected == cudaSuccess)
        return error;
    cudaGraph_t made = *graph;
    *graph = nullptr;
    for (const cudaGraphNode_t n : graphs.find(made)->handles)
        nodes.remove(n);
    graphs.remove(made);
    return injected;
}

/* ---- Graphs ---- */

/* Graph Management, cudaGraphGetNodes: with no place for nodes it gives their number. */
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *node, size_t *count) {
    FG_FAKE_ENTER();
    const auto g = graphs.find(graph);
    if (!g || !count)
        return fake::refuse(cudaErrorInvalidValue, "nodes of no graph");
    for (size_t i = 0; node && i < *count; i++)
        node[i] = i < g->handles.size() ? g->handles[i] : nullptr;
    *count = node ? std::min(*count, g->handles.size()) : g->handles.size();
    return cudaSuccess;
}

/* The node that a handle stands for; NULL: none. */
static struct fake::node *node_of(cudaGraphNode_t handle, struct fake::graph *graph) {
    const auto at = std::find(graph->handles.begin(), graph->handles.end(), handle);
    return at == graph->handles.end() ? nullptr : &graph->nodes[(size_t)(at - graph->handles.begin())];
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, enum cudaGraphNodeType *type) {
    FG_FAKE_ENTER();
    const auto g = nodes.find(node);
    if (!g)
        return fake::refuse(cudaErrorInvalidValue, "the type of no node");
    *type = node_of(node, g.get())->is_copy ? cudaGraphNodeTypeMemcpy : cudaGraphNodeTypeKernel;
    return cudaSuccess;
}

/* An executable graph is a copy: changing it leaves the graph as it is. */
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags) {
    FG_FAKE_ENTER();
    const auto g = graphs.find(graph);
    if (!g || flags)
        return fake::refuse(cudaErrorInvalidValue, "an instance of no graph");
    *exec = execs.add(std::make_shared<struct fake::graph>(*g));
    return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream) {
    FG_FAKE_ENTER();
    if (!execs.find(exec))
        return fake::refuse(cudaErrorInvalidValue, "an upload of no graph");
    return fake::check(stream);
}

/* Graph Management, cudaGraphExecMemcpyNodeSetParams1D: the kind of operands may not change. */
cudaError_t cudaGraphExecMemcpyNodeSetParams1D(cudaGraphExec_t exec, cudaGraphNode_t node, void *to,
                                               const void *from, size_t bytes, enum cudaMemcpyKind kind) {
    FG_FAKE_ENTER();
    const auto g = execs.find(exec);
    struct fake::node *n = g ? node_of(node, g.get()) : nullptr;
    if (!n || !n->is_copy || kind != n->kind || !fake::right_operands(to, from, bytes, kind) ||
        fake::place_of(to) != fake::place_of(n->to) || fake::place_of(from) != fake::place::pinned)
        return fake::refuse(cudaErrorInvalidValue, "a copy's operands that it cannot have");
    n->to = to;
    n->from = from;
    n->bytes = bytes;
    return cudaSuccess;
}

/* Graph Management, cudaGraphLaunch: after all that the stream has; what follows comes after all of it. */
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    FG_FAKE_ENTER();
    if (const cudaError_t error = fake::check(stream); error != cudaSuccess)
        return error;
    const auto g = execs.find(exec);
    if (!g)
        return fake::refuse(cudaErrorInvalidValue, "a launch of no graph");
    fake::queue(stream, nullptr, 0);
    const auto s = streams.find(stream);
    std::vector<std::shared_ptr<work>> all;
    for (const auto &n : g->nodes) {
        std::vector<std::shared_ptr<work>> after = {s->last};
        for (const size_t a : n.after)
            after.push_back(all[a]);
        std::function<void()> run = n.run;
        if (n.is_copy)
            run = [to = n.to, from = n.from, bytes = n.bytes, kind = n.kind] {
                fake::copy_now(to, from, bytes, kind);
            };
        all.push_back(fake::push(std::move(run), n.ms, std::move(after)));
    }
    all.push_back(s->last);
    s->last = fake::push(nullptr, 0, std::move(all));
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    FG_FAKE_ENTER_FREE();
    if (!execs.remove(exec))
        return fake::refuse(cudaErrorInvalidValue, "no such executable graph to destroy");
    return injected;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    FG_FAKE_ENTER_FREE();
    const auto g = graphs.find(graph);
    if (!g)
        return fake::refuse(cudaErrorInvalidValue, "no such graph to destroy");
    for (const cudaGraphNode_t n : g->handles)
        nodes.remove(n);
    graphs.remove(graph);
    return injected;
}
