/* The fake CUDA runtime: streams and events, and the order in which work is done. */
#include "tests/cuda/streams.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "tests/cuda/emulator.h"

namespace {

using fake::events;
using fake::push;
using fake::streams;
using fake::work;

std::vector<std::shared_ptr<work>> pending;
std::shared_ptr<work> default_last;
double device_clock; /* ms */
int64_t hanging;

void run_one() {
    std::vector<size_t> may;
    for (size_t i = 0; i < pending.size(); i++)
        if (std::all_of(pending[i]->after.begin(), pending[i]->after.end(),
                        [](const auto &a) { return a->done; }))
            may.push_back(i);
    /* With half of the seeds the default stream is as late as it may be: what others do does not wait for it.
     */
    if (fake::default_is_late())
        std::stable_partition(may.begin(), may.end(), [](size_t i) { return !pending[i]->is_default; });
    const auto late = std::find_if(may.begin(), may.end(), [](size_t i) { return pending[i]->is_default; });
    const size_t choice =
        fake::default_is_late() && late != may.begin() ? (size_t)(late - may.begin()) : may.size();
    const size_t i = may[fake::draw(choice)];
    auto w = pending[i];
    pending.erase(pending.begin() + (std::ptrdiff_t)i);
    if (w->run && fake::lost() == cudaSuccess)
        w->run();
    device_clock += w->ms;
    w->passed = device_clock;
    w->done = true;
    w->run = nullptr;
    w->after.clear();
}

/* Stream Management, cudaStreamBeginCapture: operations are not executed but captured. */
void add_node(struct fake::stream *s, struct fake::node n) {
    n.after = s->frontier;
    s->capture->graph->nodes.push_back(std::move(n));
    s->frontier = {s->capture->graph->nodes.size() - 1};
}

/* The runtime as the emulator sees it. */
int launch(cudaStream_t stream, std::function<void()> kernel) {
    FG_FAKE_ENTER();
    return fake::queue(
        stream,
        [kernel] {
            const fake::opened device;
            kernel();
        },
        0.01);
}

int copy(cudaStream_t stream, void *to, const void *from, size_t bytes, int kind) {
    return cudaMemcpyAsync(to, from, bytes, (enum cudaMemcpyKind)kind, stream);
}

int find() {
    FG_FAKE_ENTER();
    return fake::lost();
}

const struct fg_emulator::device runtime = {launch, copy, find};
const bool attached = (fg_emulator::device = &runtime, true);

} // namespace

namespace fake {
table<cudaStream_t, struct stream> streams;
table<cudaEvent_t, struct event> events;
table<cudaGraph_t, struct graph> graphs;
table<cudaGraphExec_t, struct graph> execs;
table<cudaGraphNode_t, struct graph> nodes;
} // namespace fake

std::shared_ptr<work> fake::push(std::function<void()> run, double ms,
                                 std::vector<std::shared_ptr<work>> after) {
    auto w = std::make_shared<work>();
    w->run = std::move(run);
    w->ms = ms;
    for (auto &a : after)
        if (a && !a->done)
            w->after.push_back(std::move(a));
    pending.push_back(w);
    return w;
}

void fake::copy_now(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
    if (!fake::right_operands(to, from, bytes, kind)) {
        fake::note_refusal("a graph copies from or to memory that is gone");
        fake::lose(cudaErrorIllegalAddress);
        return;
    }
    const fake::opened device;
    memcpy(to, from, bytes);
}

void fake::finish(const std::shared_ptr<work> &target) {
    while (target && !target->done)
        run_one();
}

void fake::finish_all() {
    while (!pending.empty())
        run_one();
}

std::shared_ptr<work> fake::legacy(std::function<void()> run) {
    default_last = push(std::move(run), 0, {default_last});
    default_last->is_default = true;
    return default_last;
}

/* An invalid handle: CUDA Runtime API, Data types, cudaErrorInvalidResourceHandle. Our own streams only:
 * nothing may run on the default stream but copies that are waited for. */
cudaError_t fake::check(cudaStream_t stream) {
    const auto s = streams.find(stream);
    if (!s)
        return refuse(cudaErrorInvalidResourceHandle, "no such stream");
    if (s->capture && s->capture->invalid) /* Data types, cudaErrorStreamCaptureInvalidated */
        return refuse(cudaErrorStreamCaptureInvalidated, "the capture is void");
    return cudaSuccess;
}

bool fake::capturing(cudaStream_t stream) {
    const auto s = streams.find(stream);
    return s && s->capture;
}

cudaError_t fake::refuse_in_capture(const char *why) {
    for (auto &[handle, s] : streams.of)
        if (s->capture && s->capture->thread == std::this_thread::get_id()) {
            s->capture->invalid = true;
            return refuse(cudaErrorStreamCaptureUnsupported, why);
        }
    return cudaSuccess;
}

cudaError_t fake::queue(cudaStream_t stream, std::function<void()> run, double ms) {
    if (const cudaError_t error = check(stream); error != cudaSuccess)
        return error;
    const auto s = streams.find(stream);
    if (s->capture) {
        add_node(s.get(), {std::move(run), ms, {}, false, nullptr, nullptr, 0, cudaMemcpyDefault});
        return cudaSuccess;
    }
    s->awaited.push_back(s->last);
    s->last = push(std::move(run), ms, std::move(s->awaited));
    s->awaited.clear();
    return cudaSuccess;
}

cudaError_t fake::queue_copy(cudaStream_t stream, void *to, const void *from, size_t bytes,
                             enum cudaMemcpyKind kind) {
    const auto s = streams.find(stream);
    if (!s->capture)
        return queue(
            stream, [=] { copy_now(to, from, bytes, kind); }, 0);
    add_node(s.get(), {nullptr, 0, {}, true, to, from, bytes, kind});
    return cudaSuccess;
}

size_t fake::streams_left(char *text, size_t size) {
    snprintf(text, size, "%zu streams, %zu events, %zu graphs, %zu executable graphs", streams.of.size(),
             events.of.size(), graphs.of.size(), execs.of.size());
    return streams.of.size() + events.of.size() + graphs.of.size() + execs.of.size();
}

void fg_fake_hang(int64_t asks) {
    hanging = asks;
}

/* ---- Streams ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
    FG_FAKE_ENTER();
    /* Our own rule: a blocking stream would wait for the default one. */
    if (flags != cudaStreamNonBlocking)
        return fake::refuse(cudaErrorInvalidValue, "a stream that is not non-blocking");
    *stream = streams.add(std::make_shared<struct fake::stream>());
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    FG_FAKE_ENTER_FREE();
    const auto s = streams.find(stream);
    if (!s)
        return fake::refuse(cudaErrorInvalidResourceHandle, "no such stream to destroy");
    fake::finish(s->last);
    streams.remove(stream);
    return injected;
}

/* Stream Management, cudaStreamSynchronize; of a capturing stream: cudaErrorStreamCaptureUnsupported. */
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    FG_FAKE_ENTER();
    if (const cudaError_t error = fake::refuse_in_capture("cudaStreamSynchronize while this thread captures");
        error != cudaSuccess)
        return error;
    if (!stream) {
        fake::finish(default_last);
        return fake::lost();
    }
    if (const cudaError_t error = fake::check(stream); error != cudaSuccess)
        return error;
    fake::finish(streams.find(stream)->last);
    return fake::lost();
}

/* Event Management, cudaStreamWaitEvent: an event that was never recorded is no wait. */
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
    FG_FAKE_ENTER();
    if (const cudaError_t error = fake::check(stream); error != cudaSuccess)
        return error;
    const auto s = streams.find(stream);
    const auto e = events.find(event);
    if (!e || flags)
        return fake::refuse(cudaErrorInvalidResourceHandle, "a wait for no event");
    if (!e->capture) {
        /* Data types, cudaErrorStreamCaptureIsolation: a dependency that crosses the boundary of a capture.
         */
        if (s->capture && e->recorded) {
            s->capture->invalid = true;
            return fake::refuse(cudaErrorStreamCaptureIsolation, "a captured wait for what was not captured");
        }
        s->awaited.push_back(e->recorded);
        return cudaSuccess;
    }
    /* Data types, cudaErrorStreamCaptureMerge: dependencies of two captures would be merged; of one that has
     * ended: cudaErrorInvalidValue. */
    const bool active =
        streams.find(e->capture->origin) && streams.find(e->capture->origin)->capture == e->capture;
    if (!active)
        return fake::refuse(cudaErrorInvalidValue, "a wait for an event of a capture that has ended");
    if (s->capture && s->capture != e->capture)
        return fake::refuse(cudaErrorStreamCaptureMerge, "a wait for an event of another capture");
    s->capture =
        e->capture; /* it spreads: CUDA C++ Programming Guide, cross-stream dependencies and events */
    for (const size_t n : e->frontier)
        if (std::find(s->frontier.begin(), s->frontier.end(), n) == s->frontier.end())
            s->frontier.push_back(n);
    return cudaSuccess;
}

/* ---- Events ---- */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
    FG_FAKE_ENTER();
    *event = events.add(std::make_shared<struct fake::event>());
    events.find(*event)->timed = !(flags & cudaEventDisableTiming);
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event) {
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    FG_FAKE_ENTER_FREE();
    if (!events.remove(event))
        return fake::refuse(cudaErrorInvalidResourceHandle, "no such event to destroy");
    return injected;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    FG_FAKE_ENTER();
    if (const cudaError_t error = fake::check(stream); error != cudaSuccess)
        return error;
    const auto s = streams.find(stream);
    const auto e = events.find(event);
    if (!e)
        return fake::refuse(cudaErrorInvalidResourceHandle, "a record of no event");
    e->capture = s->capture;
    e->frontier = s->frontier;
    if (s->capture)
        return cudaSuccess;
    fake::queue(stream, nullptr, 0);
    e->recorded = s->last;
    return cudaSuccess;
}

/* The event, or the error of asking for it now. */
static cudaError_t ask(cudaEvent_t event, std::shared_ptr<struct fake::event> *e) {
    if (const cudaError_t error = fake::refuse_in_capture("an event asked for while this thread captures");
        error != cudaSuccess)
        return error;
    *e = events.find(event);
    if (!*e)
        return fake::refuse(cudaErrorInvalidResourceHandle, "no such event");
    /* Data types, cudaErrorCapturedEvent: not permitted on an event that was last recorded in a capturing
     * stream. */
    if ((*e)->capture)
        return fake::refuse(cudaErrorCapturedEvent, "a captured event asked for");
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    FG_FAKE_ENTER();
    std::shared_ptr<struct fake::event> e;
    if (const cudaError_t error = ask(event, &e); error != cudaSuccess)
        return error;
    if (hanging) {
        hanging -= hanging > 0;
        return cudaErrorNotReady;
    }
    fake::finish(e->recorded);
    return fake::lost();
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    FG_FAKE_ENTER();
    std::shared_ptr<struct fake::event> e;
    if (const cudaError_t error = ask(event, &e); error != cudaSuccess)
        return error;
    fake::finish(e->recorded);
    return fake::lost();
}

/* Event Management, cudaEventElapsedTime: cudaErrorInvalidResourceHandle where one was not recorded or has no
 * timing, cudaErrorNotReady where one has not passed. */
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to) {
    FG_FAKE_ENTER();
    const auto a = events.find(from), b = events.find(to);
    if (!a || !b || !a->timed || !b->timed || !a->recorded || !b->recorded)
        return fake::refuse(cudaErrorInvalidResourceHandle, "time between events that have none");
    if (!a->recorded->done || !b->recorded->done)
        return fake::refuse(cudaErrorNotReady, "time of an event that has not passed");
    *ms = (float)(b->recorded->passed - a->recorded->passed);
    return cudaSuccess;
}
