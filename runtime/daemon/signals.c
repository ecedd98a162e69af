/* One handler for requests and one for ends. Both call only what a signal handler may. */
#include "runtime/daemon/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>

#include "runtime/base/event.h"

/* What handlers reach. Set before they are installed. */
static struct fg_signals requests;
static struct fg_outputs *safe_outputs;

static void on_request(int number) {
    const int error = errno;
    fg_event_signal(number == SIGHUP ? requests.reload : requests.stop);
    errno = error;
}

/* Makes the outputs safe, then takes the default action: the signal comes again when this returns. */
static void on_end(int number) {
    safe_outputs->safe(safe_outputs);
    signal(number, SIG_DFL);
    raise(number);
}

/* Whether a signal ends the process unless it is caught, and is no request. */
static bool is_end(int number) {
    switch (number) {
    case SIGKILL: /* these two cannot be caught */
    case SIGSTOP:
    case SIGHUP:
    case SIGTERM:
    case SIGINT:
    case SIGPIPE:
    case SIGCHLD: /* the rest does not end a process */
    case SIGCONT:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
    case SIGURG:
    case SIGWINCH:
        return false;
    default:
        return true;
    }
}

/* The C library keeps the signals between 31 and SIGRTMIN for itself and lets nobody catch them. It catches
 * them when it needs them, which is for threads that are cancelled and for a change of user. Until then
 * they would end the process. */
static void ignore_reserved(void) {
    const struct {
        unsigned long handler, flags, restorer, mask;
    } ignore = {.handler = (unsigned long)SIG_IGN};
    for (int number = SIGSYS + 1; number < SIGRTMIN; number++)
        syscall(SYS_rt_sigaction, number, &ignore, NULL, sizeof ignore.mask);
}

static void catch_ends(void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler};
    for (int number = 1; number <= SIGRTMAX; number++)
        if (is_end(number))
            sigaction(number, &action, NULL); /* refused for what the C library keeps for itself */
}

enum fg_status fg_signals_open(struct fg_signals *signals, struct fg_message *message) {
    signals->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
    signals->reload = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (signals->stop < 0 || signals->reload < 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "signals: cannot make a descriptor");
    return FG_OK;
}

void fg_signals_catch(const struct fg_signals *signals, struct fg_outputs *outputs) {
    requests = *signals;
    safe_outputs = outputs;
    const struct sigaction request = {.sa_handler = on_request, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &request, NULL);
    sigaction(SIGINT, &request, NULL);
    sigaction(SIGHUP, &request, NULL);
    signal(SIGPIPE, SIG_IGN);
    catch_ends(on_end);
    ignore_reserved();
    sigset_t all; /* who started the daemon may have blocked some */
    sigfillset(&all);
    sigprocmask(SIG_UNBLOCK, &all, NULL);
}

void fg_signals_ignore_requests(void) {
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}

void fg_signals_release(void) {
    if (safe_outputs)
        catch_ends(SIG_DFL);
}
