/* The thread that feeds. */
#include "runtime/daemon/watchdog.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef FG_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "board/watchdog/watchdog.h"
#include "runtime/base/event.h"
#include "runtime/base/log.h"

#define WELL (1500 * FG_MS) /* a line that turns twice a second was well not longer ago */
#define PERIOD_MS 500       /* hardware watchdogs want more than a second */

struct fg_feeder {
    const struct fg_line *line;
    int device, quit;
    int period_ms;
    bool systemd; /* it wants to be told */
    pthread_t thread;
};

/* Asks systemd how often it wants to be told. One feeding that fails leaves time for the next. */
static void ask_systemd(struct fg_feeder *f) {
    f->period_ms = f->device < 0 ? -1 : PERIOD_MS;
#ifdef FG_SYSTEMD
    uint64_t limit_us;
    f->systemd = sd_watchdog_enabled(0, &limit_us) > 0;
    if (f->systemd)
        f->period_ms = limit_us / 4000 < PERIOD_MS ? (int)(limit_us / 4000) : PERIOD_MS;
#endif
}

static void feed_all(struct fg_feeder *f, bool *fed) {
    struct fg_message message;
#ifdef FG_SYSTEMD
    if (f->systemd)
        sd_notify(0, "WATCHDOG=1");
#endif
    if (f->device < 0)
        return;
    const bool before = *fed;
    *fed = fg_watchdog_feed(f->device, &message) == FG_OK;
    if (before && !*fed)
        fg_log(FG_LOG_ERROR, "%s", message.text);
}

static void *run_feeder(void *argument) {
    struct fg_feeder *f = argument;
    struct pollfd quit = {.fd = f->quit, .events = POLLIN};
    bool fed = true;
    do
        if (fg_clock_ns() - fg_line_well_ns(f->line) < WELL)
            feed_all(f, &fed);
    while (poll(&quit, 1, f->period_ms) <= 0);
    return NULL;
}

enum fg_status fg_feeder_open(const struct fg_line *line, const char *device, struct fg_feeder **feeder,
                              struct fg_message *message) {
    struct fg_feeder *f = calloc(1, sizeof *f);
    if (!f)
        return fg_fail(message, FG_ENVIRONMENT, "watchdog: no memory");
    *f = (struct fg_feeder){.line = line, .device = -1, .quit = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    enum fg_status status = *device ? fg_watchdog_open(device, &f->device, message) : FG_OK;
    ask_systemd(f);
    if (status == FG_OK) {
        const int error = f->quit < 0 ? errno : pthread_create(&f->thread, NULL, run_feeder, f);
        if (error)
            status = fg_fail_errno(message, FG_ENVIRONMENT, error, "watchdog: cannot start its thread");
    }
    if (status == FG_OK) {
        *feeder = f;
        return FG_OK;
    }
    if (f->device >= 0)
        fg_watchdog_close(f->device);
    if (f->quit >= 0)
        close(f->quit);
    free(f);
    return status;
}

void fg_feeder_close(struct fg_feeder *feeder) {
    if (!feeder)
        return;
    fg_event_signal(feeder->quit);
    pthread_join(feeder->thread, NULL);
    if (feeder->device >= 0)
        fg_watchdog_close(feeder->device);
    close(feeder->quit);
    free(feeder);
}
