/* The thread that reads the configuration again. */
#include "runtime/daemon/reload.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/live.h"
#include "runtime/base/event.h"
#include "runtime/base/log.h"
#include "runtime/line/setup.h"

struct fg_reloader {
    struct fg_reload_settings settings;
    struct fg_config next;
    int quit;
    pthread_t thread;
};

static void tell_key(void *argument, const char *key, bool live) {
    *(uint32_t *)argument += 1;
    if (live)
        fg_log(FG_LOG_INFO, "reload: %s has changed", key);
    else
        fg_log(FG_LOG_WARNING,
               "reload: %s differs and needs a restart of flawgated; until then the old one "
               "counts",
               key);
}

/* Reads and checks the file; the log says all that is wrong. */
static bool read_next(struct fg_reloader *r) {
    struct fg_report report = {0};
    enum fg_status status = fg_setup_read(r->settings.config->path, &r->next, &report);
    if (status == FG_OK)
        status = fg_setup_check(&r->next, NULL, &report);
    for (const char *line = report.text; line && *line; line += strcspn(line, "\n") + 1)
        fg_log(FG_LOG_ERROR, "reload: %.*s", (int)strcspn(line, "\n"), line);
    if (status != FG_OK)
        fg_log(FG_LOG_ERROR, "reload: the file is wrong, so nothing is changed");
    fg_report_free(&report);
    return status == FG_OK;
}

static bool is_quitting(const struct fg_reloader *r) {
    struct pollfd quit = {.fd = r->quit, .events = POLLIN};
    return poll(&quit, 1, 0) > 0;
}

static void reload(struct fg_reloader *r) {
    const struct fg_reload_settings *s = &r->settings;
    const bool right = read_next(r);
    if (right) {
        uint32_t differences = 0;
        fg_live_compare(s->config, &r->next, tell_key, &differences);
        if (!differences)
            fg_log(FG_LOG_INFO, "reload: the configuration is the same");
        s->change_servers(s->context, &r->next);
    }
    /* A line that is busy for a second has not looked at it. */
    while (fg_line_adopt(s->line, right ? &r->next : NULL) != FG_MODBUS_DONE && !is_quitting(r))
        ;
}

static void *run_reloader(void *argument) {
    struct fg_reloader *r = argument;
    struct pollfd fds[] = {{.fd = r->settings.asked, .events = POLLIN}, {.fd = r->quit, .events = POLLIN}};
    while (!is_quitting(r)) {
        poll(fds, 2, -1);
        if (fds[0].revents && fg_event_take(r->settings.asked))
            reload(r);
    }
    return NULL;
}

enum fg_status fg_reloader_open(const struct fg_reload_settings *settings, struct fg_reloader **reloader,
                                struct fg_message *message) {
    struct fg_reloader *r = calloc(1, sizeof *r);
    if (!r)
        return fg_fail(message, FG_ENVIRONMENT, "reload: no memory");
    r->settings = *settings;
    r->quit = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const int error = r->quit < 0 ? errno : pthread_create(&r->thread, NULL, run_reloader, r);
    if (error) {
        close(r->quit);
        free(r);
        return fg_fail_errno(message, FG_ENVIRONMENT, error, "reload: cannot start its thread");
    }
    *reloader = r;
    return FG_OK;
}

void fg_reloader_close(struct fg_reloader *reloader) {
    if (!reloader)
        return;
    fg_event_signal(reloader->quit);
    pthread_join(reloader->thread, NULL);
    close(reloader->quit);
    free(reloader);
}
