/* A small bundle of the whole network, judged by an engine on the CPU or on the fake device, for cmocka
 * tests.
 *
 * Errors: opening and judging give the engine's; every other failure fails the test. Owner: who opens a
 * struct fg_judged closes it; the backend stays the caller's. Thread: the test's. NULL: a message may be, and
 * the folder; nothing else. */
#ifndef FG_TESTS_CUDA_JUDGED_H
#define FG_TESTS_CUDA_JUDGED_H

#include "kernels/plugin.h"
#include "runtime/engine/engine.h"

#define FG_JUDGED_SIDE 64
#define FG_JUDGED_WIDTH 100 /* the largest frame's */
#define FG_JUDGED_HEIGHT 80
#define FG_JUDGED_WORKSPACE ((size_t)16 << 10)

fg_cuda_open_function fg_cuda_open; /* opens the backend that is linked into the test */

/* Writes the bundle, calibrated by the CPU. changed: a parameter of the network whose values are all made
 * value; -1: none, then it has a self-test that holds. */
void fg_judged_write(const char *path, int32_t changed, float value);
/* The folded parameters that a bundle has, at most FG_NETWORK_PARAMS, and where an engine on this backend has
 * them: the segment of its weights is the first thing in its bank. Gives their number. */
struct fg_judged_parameter {
    int32_t index;
    struct fg_tensor place;
};
uint32_t fg_judged_parameters(struct fg_backend *backend, struct fg_judged_parameter *parameter);

/* An engine in arenas of exactly its need. */
struct fg_judged {
    struct fg_backend *backend; /* the caller's */
    struct fg_bundle *bundle;
    struct fg_arena *host, *device;
    struct fg_engine *engine;
};

FG_MUST_USE enum fg_status fg_judged_open(struct fg_judged *j, const char *path, struct fg_backend *backend,
                                          bool self_test, struct fg_message *message);
void fg_judged_close(struct fg_judged *j);
/* Submits and waits for ever. */
FG_MUST_USE enum fg_status fg_judged_frame(struct fg_judged *j, const struct fg_frame *frame,
                                           struct fg_judgement *judgement, struct fg_message *message);

/* As fg_cuda_open with workable settings; fails the test where it does not open. */
struct fg_backend *fg_judged_cuda(uint32_t lanes, int64_t tune_ns, const char *folder);
#define FG_JUDGED_TUNE INT64_C(10000000000)

/* Fails the test where anything of the fakes is still alive. */
void fg_judged_nothing_left(void);

#endif
