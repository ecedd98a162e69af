/* The result block and what waits behind it: which verdict a PLC sees, and when it gives way (line.h,
 * Results).
 *
 * Not buffered: each verdict replaces the block. Buffered: a verdict that finds the block taken joins a queue
 * of 8; the block changes only by acknowledgement, so a PLC gets every verdict in order. Pure state: times
 * are handed in. */
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
    int64_t waiting_since_ns; /* since the block was filled */
};

/* A verdict. True: the queue was full and the oldest waiting result was dropped (result_overrun). */
bool fg_results_put(struct fg_results *results, const struct fg_result *result, int64_t now_ns);

/* result_ack: the next queued result into the block, or nothing valid. */
void fg_results_acknowledge(struct fg_results *results, int64_t now_ns);

/* A trigger was taken: where nothing is buffered the block is no longer valid. */
void fg_results_trigger(struct fg_results *results);

/* When the block, waited on too long, expires; INT64_MAX when it does not. */
int64_t fg_results_deadline(const struct fg_results *results);

/* True, once, when that time has come (result_overrun). */
bool fg_results_expire(struct fg_results *results, int64_t now_ns);

#endif
