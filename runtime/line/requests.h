/* Requests of servers to the line: a fixed queue, in which each server's thread waits for its own answer.
 *
 * Any number of threads ask. One thread, the line's, answers them in the order in which they asked. Nothing
 * is allocated: more than FG_REQUESTS at once are answered with FG_MODBUS_BUSY, and so is a request that the
 * line does not look at within a second.
 *
 * Errors: FG_ENVIRONMENT from opening, for descriptors; a request's failure is a Modbus exception. Owner: the
 * caller, of a zeroed struct, which it closes; a request belongs to the queue. Thread: any to ask; the line's
 * to take and answer. NULL: never, but for a message. */
#ifndef FG_RUNTIME_LINE_REQUESTS_H
#define FG_RUNTIME_LINE_REQUESTS_H

#include <stdatomic.h>

#include "runtime/base/status.h"
#include "runtime/line/snapshot.h"

#define FG_REQUESTS 8

struct fg_request {
    _Atomic uint32_t state;
    _Atomic uint64_t ticket; /* the order of asking */
    int answered;            /* eventfd */
    struct fg_commands commands;
    enum fg_modbus_exception exception;
};

struct fg_requests {
    struct fg_request place[FG_REQUESTS];
    _Atomic uint64_t tickets;
    int asked; /* eventfd: readable while a request waits; it counts the requests */
};

/* Opens a zeroed queue. FG_ENVIRONMENT: no descriptors are left. */
FG_MUST_USE enum fg_status fg_requests_open(struct fg_requests *requests, struct fg_message *message);
/* Closes it, also after a failure to open. No thread may ask meanwhile. */
void fg_requests_close(struct fg_requests *requests);

/* A server's side: returns when the line has acted, or FG_MODBUS_BUSY when it will not. */
enum fg_modbus_exception fg_requests_ask(struct fg_requests *requests, const struct fg_commands *commands);

/* The line's side: takes the request that waits longest; NULL: none waits. It is answered before the next one
 * is taken. */
struct fg_request *fg_requests_take(struct fg_requests *requests);
void fg_requests_answer(struct fg_request *request, enum fg_modbus_exception exception);

#endif
