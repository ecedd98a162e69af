/* The queue of requests: places whose state says who may touch them. */
#include "runtime/line/requests.h"

#include <errno.h>
#include <poll.h>

#include "runtime/base/event.h"

#define PATIENCE_MS 1000 /* how long a server waits for the line to look at its request */

/* Any server may claim a FREE place; a FILLED one belongs to that server. The line claims an ASKED one, or
 * its server does, to take it back. A TAKEN one is the line's until it signals the answer; then it is its
 * server's again. */
enum { FREE, FILLED, ASKED, TAKEN };

enum fg_status fg_requests_open(struct fg_requests *requests, struct fg_message *message) {
    bool whole = (requests->asked = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)) >= 0;
    for (int i = 0; i < FG_REQUESTS; i++)
        whole &= (requests->place[i].answered = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0;
    return whole ? FG_OK : fg_fail_errno(message, FG_ENVIRONMENT, errno, "line: cannot make a descriptor");
}

void fg_requests_close(struct fg_requests *requests) {
    close(requests->asked);
    for (int i = 0; i < FG_REQUESTS; i++)
        close(requests->place[i].answered);
}

static bool claim_request(struct fg_request *request, uint32_t from, uint32_t to) {
    return atomic_compare_exchange_strong(&request->state, &from, to);
}

enum fg_modbus_exception fg_requests_ask(struct fg_requests *requests, const struct fg_commands *commands) {
    struct fg_request *request = requests->place;
    while (request < requests->place + FG_REQUESTS && !claim_request(request, FREE, FILLED))
        request++;
    if (request == requests->place + FG_REQUESTS)
        return FG_MODBUS_BUSY;
    request->commands = *commands;
    atomic_store(&request->ticket, atomic_fetch_add(&requests->tickets, 1));
    atomic_store(&request->state, ASKED);
    fg_event_signal(requests->asked);
    struct pollfd answered = {.fd = request->answered, .events = POLLIN};
    /* A request that is taken back before the line has seen it is refused. Otherwise the answer is on its
     * way. */
    if (poll(&answered, 1, PATIENCE_MS) <= 0 && claim_request(request, ASKED, FREE))
        return FG_MODBUS_BUSY;
    while (!fg_event_take(request->answered))
        poll(&answered, 1, -1);
    const enum fg_modbus_exception exception = request->exception;
    atomic_store(&request->state, FREE);
    return exception;
}

struct fg_request *fg_requests_take(struct fg_requests *requests) {
    for (;;) {
        struct fg_request *oldest = NULL;
        for (int i = 0; i < FG_REQUESTS; i++) {
            struct fg_request *request = &requests->place[i];
            if (atomic_load(&request->state) == ASKED &&
                (!oldest || atomic_load(&request->ticket) < atomic_load(&oldest->ticket)))
                oldest = request;
        }
        /* Its server may take it back meanwhile. */
        if (!oldest || claim_request(oldest, ASKED, TAKEN))
            return oldest;
    }
}

void fg_requests_answer(struct fg_request *request, enum fg_modbus_exception exception) {
    request->exception = exception;
    fg_event_signal(request->answered);
}
