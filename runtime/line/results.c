/* The result block: filled, queued behind, acknowledged and expired. */
#include "runtime/line/results.h"

#include <string.h>

static void fill_block(struct fg_results *r, const struct fg_result *result, int64_t now_ns) {
    r->block = *result;
    r->valid = true;
    r->expired = false;
    r->sequence++;
    r->waiting_since_ns = now_ns;
}

static struct fg_result take_first(struct fg_results *r) {
    const struct fg_result first = r->queue[0];
    r->queued--;
    memmove(r->queue, r->queue + 1, r->queued * sizeof *r->queue);
    return first;
}

bool fg_results_put(struct fg_results *results, const struct fg_result *result, int64_t now_ns) {
    if (!results->buffer || !results->valid) {
        fill_block(results, result, now_ns);
        return false;
    }
    const bool full = results->queued == FG_RESULTS_QUEUE;
    if (full)
        take_first(results);
    results->queue[results->queued++] = *result;
    return full;
}

void fg_results_acknowledge(struct fg_results *results, int64_t now_ns) {
    if (results->queued) {
        const struct fg_result first = take_first(results);
        fill_block(results, &first, now_ns);
    } else {
        results->valid = results->expired = false;
    }
}

void fg_results_trigger(struct fg_results *results) {
    if (!results->buffer)
        results->valid = results->expired = false;
}

int64_t fg_results_deadline(const struct fg_results *results) {
    if (!results->buffer || !results->valid || results->expired)
        return INT64_MAX;
    return results->waiting_since_ns + results->ack_timeout_ns;
}

bool fg_results_expire(struct fg_results *results, int64_t now_ns) {
    if (now_ns < fg_results_deadline(results))
        return false;
    results->expired = true;
    return true;
}
