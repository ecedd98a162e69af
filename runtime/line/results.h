/* The result block and what waits behind it: which verdict a PLC sees, and when it makes room for the next
 * (line.h, Results).
 *
 * Without a buffer each verdict replaces the block. With it a verdict that finds the block taken joins a
 * queue of FG_RESULTS_QUEUE; the block changes only by acknowledgement, so a PLC gets every verdict in order.
 * The struct is pure state: times are handed in.
 *
 * Errors: none. Owner: the caller, of the struct. Thread: the line's alone. NULL: never. */
#ifndef FG_RUNTIME_LINE_RESULTS_H
#define FG_RUNTIME_LINE_RESULTS_H

#include "runtime/line/snapshot.h"

#define FG_RESULTS_QUEUE 8

struct fg_results {
    bool buffer;
    int64_t ack_timeout_ns;
    struct fg_result block, queue[FG_RESULTS_QUEUE];
    uint32_t queued;
    bool valid, expired; /* as struct fg_snapshot has them */
    uint16_t sequence;
    int64_t waiting_since_ns; /* when the block was filled */
};

/* Puts a verdict into the block or the queue. True: the queue was full, and its oldest result was dropped
 * (result_overrun). */
bool fg_results_put(struct fg_results *results, const struct fg_result *result, int64_t now_ns);

/* Carries out result_ack: the next queued result fills the block; without one the block is no longer
 * valid. */
void fg_results_acknowledge(struct fg_results *results, int64_t now_ns);

/* Tells that a trigger was taken: without a buffer the block is no longer valid. */
void fg_results_trigger(struct fg_results *results);

/* When the block expires because nobody has acknowledged it; INT64_MAX: never. */
int64_t fg_results_deadline(const struct fg_results *results);

/* Expires the block when its time has come. True, once, when it does so (result_overrun). */
bool fg_results_expire(struct fg_results *results, int64_t now_ns);

#endif
