/* Opens everything in order, serves, and closes everything in reverse. Only a lost device is left as it
 * is. */
#include "runtime/daemon/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef FG_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "board/gpio/board.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/daemon/keeper.h"
#include "runtime/daemon/reload.h"
#include "runtime/daemon/signals.h"
#include "runtime/daemon/watchdog.h"
#include "runtime/engine/device.h"
#include "runtime/line/line.h"
#include "runtime/line/setup.h"
#include "runtime/modbus/server.h"
#include "runtime/store/storage.h"

struct daemon {
    struct fg_config config;
    struct fg_report report;
    struct fg_backend *backend;
    struct fg_memory_plan plan;
    struct fg_arena *arena, *device;
    struct fg_camera *camera[FG_CONFIG_CAMERAS];
    struct fg_board *board;
    int32_t io_index[FG_CONFIG_IOS]; /* index of each io on the board; -1: it is not configured */
    struct fg_rejects *rejects;
    int notify;
    struct fg_actuator *actuator;
    struct fg_judge *judge;
    struct fg_storage *store;
    struct fg_line *line;
    struct fg_modbus_server *server;
    pthread_t server_thread;
    bool serving;
    _Atomic int64_t server_seen_ns;
    struct fg_signals signals;
    struct fg_keeper *keeper;
    struct fg_feeder *feeder;
    struct fg_reloader *reloader;
};

static enum fg_status take_arena(struct daemon *d, void **camera_memory, void **line_memory,
                                 void **store_memory, struct fg_message *message) {
    const struct fg_memory_plan *plan = &d->plan;
    enum fg_status status =
        fg_arena_open(d->backend, FG_STORE_HOST, plan->fixed, plan->bank, plan->banks, &d->arena, message);
    if (status == FG_OK && plan->device)
        status =
            fg_arena_open(d->backend, FG_STORE_DEVICE, 0, plan->device, plan->banks, &d->device, message);
    if (status != FG_OK)
        return status;
    struct fg_bank *fixed = fg_arena_fixed(d->arena);
    void *rejects = NULL;
    for (uint32_t i = 0; i < d->config.cameras && status == FG_OK; i++)
        status = fg_bank_take(fixed, plan->camera[i], "frames", &camera_memory[i], message);
    if (status == FG_OK)
        status = fg_bank_take(fixed, fg_line_memory(), "the line", line_memory, message);
    if (status == FG_OK)
        status = fg_bank_take(fixed, sizeof *d->rejects, "rejects", &rejects, message);
    if (status == FG_OK)
        status = fg_bank_take(fixed, plan->store, "the store", store_memory, message);
    d->rejects = rejects;
    fg_bank_seal(fixed);
    return status;
}

_Static_assert((int)FG_INOPERATIVE_REJECT == (int)FG_RULE_REJECT &&
                   (int)FG_INOPERATIVE_PASS == (int)FG_RULE_PASS &&
                   (int)FG_INOPERATIVE_STOP == (int)FG_RULE_STOP,
               "the configuration's words are the rejects' rules");

static enum fg_status open_actuator(struct daemon *d, struct fg_message *message) {
    d->notify = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (d->notify < 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "actuation: cannot make a descriptor");
    const struct fg_actuation_settings settings = {.outputs = d->board->outputs,
                                                   .rejects = d->rejects,
                                                   .rule = (enum fg_inoperative_rule)d->config.on_inoperative,
                                                   .reject_all = d->config.fail_safe == FG_REJECT_ALL,
                                                   .reject = d->io_index[FG_IO_REJECT],
                                                   .pass = d->io_index[FG_IO_PASS],
                                                   .ready = d->io_index[FG_IO_READY],
                                                   .fault = d->io_index[FG_IO_FAULT],
                                                   .heartbeat = d->io_index[FG_IO_HEARTBEAT],
                                                   .notify = d->notify};
    return fg_actuator_open(&settings, &d->actuator, message);
}

static void tell_systemd(const char *state) {
#ifdef FG_SYSTEMD
    sd_notify(0, state);
#else
    (void)state;
#endif
}

static void tell_ready(void) {
    tell_systemd("READY=1");
}

/* A first load may take longer than systemd waits for a service's start. */
static void tell_loading(uint32_t views) {
    char text[64];
    snprintf(text, sizeof text, "EXTEND_TIMEOUT_USEC=%" PRId64,
             (views * FG_LINE_LOAD_LIMIT + FG_LINE_HANG + FG_LINE_ANSWER) / 1000);
    tell_systemd(text);
}

static enum fg_status open_judge(struct daemon *d, struct fg_message *message) {
    struct fg_judge_settings settings = {
        .backend = d->backend, .arena = d->arena, .device = d->device, .views = d->config.views};
    fg_setup_frames(&d->config, settings.max_width, settings.max_height);
    return fg_judge_open(&settings, &d->judge, message);
}

static enum fg_status open_line(struct daemon *d, void *memory, struct fg_message *message) {
    atomic_store(&d->server_seen_ns, fg_clock_ns());
    struct fg_line_settings settings = {.config = &d->config,
                                        .edges = d->board->edges,
                                        .trigger_io = d->io_index[FG_IO_TRIGGER],
                                        .actuator = d->actuator,
                                        .rejects = d->rejects,
                                        .judge = d->judge,
                                        .actuation_descriptor = d->notify,
                                        .stop_descriptor = d->signals.stop,
                                        .reload_descriptor = d->signals.reload,
                                        .arena = d->arena,
                                        .device = d->device,
                                        .memory = memory,
                                        .ready = tell_ready,
                                        .kept = fg_keeper_kept(d->keeper),
                                        .keep = fg_keeper_tell,
                                        .keep_context = d->keeper,
                                        .server_seen_ns = &d->server_seen_ns,
                                        .sink = fg_storage_sink(d->store)};
    memcpy(settings.camera, d->camera, sizeof settings.camera);
    return fg_line_open(&settings, &d->line, message);
}

static struct fg_modbus_settings make_server_settings(const struct fg_config *c) {
    struct fg_modbus_settings settings = {
        .tcp = {.bind = c->modbus.bind,
                .port = (uint16_t)c->modbus.port,
                .idle_timeout_ms = c->modbus.idle_timeout_ms,
                .writers = c->modbus.writers},
        .rtu = {.device = *c->modbus_rtu.device ? c->modbus_rtu.device : NULL,
                .baud = c->modbus_rtu.baud,
                .parity = (enum fg_parity)c->modbus_rtu.parity,
                .stop_bits = c->modbus_rtu.stop_bits,
                .rs485 = c->modbus_rtu.rs485},
        .unit = (uint8_t)c->modbus.unit,
        .rules = {.low_first = c->modbus.word_order == FG_LOW_FIRST,
                  .slots = (uint16_t)c->view[0].bundles,
                  .views = c->views,
                  .threshold = {(uint32_t)(c->threshold.min * 10000 + 0.5f),
                                (uint32_t)(c->threshold.max * 10000 + 0.5f)},
                  .reject = {c->deadline_ms * 10 + c->reject.lead, 6000000},
                  .pulse = {1, UINT16_MAX},
                  .unlock_code = (uint16_t)c->unlock_code}};
    _Static_assert(FG_CONFIG_WRITERS <= FG_MODBUS_MAX_WRITERS, "the server has room for every writer");
    for (uint32_t i = 0; i < c->modbus.writers; i++)
        settings.tcp.writer[i] = c->modbus.writer[i];
    _Static_assert((int)FG_CONFIG_PARITY_NONE == (int)FG_PARITY_NONE &&
                       (int)FG_CONFIG_PARITY_EVEN == (int)FG_PARITY_EVEN &&
                       (int)FG_CONFIG_PARITY_ODD == (int)FG_PARITY_ODD,
                   "the configuration's words are the serial port's parities");
    return settings;
}

static enum fg_status open_server(struct daemon *d, struct fg_message *message) {
    const struct fg_modbus_settings settings = make_server_settings(&d->config);
    const struct fg_modbus_line line = {.cell = fg_line_cell(d->line),
                                        .apply = fg_line_apply,
                                        .context = d->line,
                                        .seen_ns = &d->server_seen_ns};
    return fg_modbus_server_open(&settings, &line, &d->server, message);
}

/* Brings the server what a configuration that was read again says. What needs a restart stays as it is. */
static void change_server(void *context, const struct fg_config *next) {
    struct daemon *d = context;
    struct fg_message message;
    struct fg_modbus_settings settings = make_server_settings(next);
    const struct fg_modbus_settings old = make_server_settings(&d->config);
    settings.rules.low_first = old.rules.low_first;
    settings.rules.slots = old.rules.slots;
    settings.rules.views = old.rules.views;
    if (fg_modbus_server_change(d->server, &settings, &message) != FG_OK)
        fg_log(FG_LOG_ERROR, "reload: %s", message.text);
}

static enum fg_status open_reloader(struct daemon *d, struct fg_message *message) {
    const struct fg_reload_settings settings = {.config = &d->config,
                                                .line = d->line,
                                                .asked = d->signals.reload,
                                                .change_servers = change_server,
                                                .context = d};
    return fg_reloader_open(&settings, &d->reloader, message);
}

static void *serve_modbus(void *argument) {
    struct daemon *d = argument;
    fg_modbus_server_run(d->server);
    return NULL;
}

static enum fg_status open_all(struct daemon *d, struct fg_message *message) {
    void *camera_memory[FG_CONFIG_CAMERAS] = {NULL}, *line_memory = NULL, *store_memory = NULL;
    enum fg_status status = fg_keeper_open(d->config.state.path, &d->keeper, message);
    if (status == FG_OK)
        status = fg_signals_open(&d->signals, message);
    if (status == FG_OK)
        status = take_arena(d, camera_memory, &line_memory, &store_memory, message);
    for (uint32_t i = 0; i < d->config.cameras && status == FG_OK; i++)
        status = fg_setup_camera(&d->config, i, camera_memory[i], &d->camera[i], message);
    if (status == FG_OK)
        status = fg_setup_board(&d->config, d->io_index, &d->board, message);
    if (status == FG_OK) {
        fg_signals_catch(&d->signals, d->board->outputs);
        status = open_actuator(d, message);
    }
    if (status == FG_OK)
        status = open_judge(d, message);
    if (status == FG_OK)
        status = fg_storage_open(&d->config, &d->plan, store_memory, &d->store, message);
    if (status == FG_OK)
        status = open_line(d, line_memory, message);
    if (status == FG_OK)
        status = fg_storage_start(d->store, fg_line_cell(d->line), message);
    if (status == FG_OK)
        status = open_server(d, message);
    if (status == FG_OK)
        status = open_reloader(d, message);
    if (status == FG_OK)
        status = fg_feeder_open(d->line, d->config.watchdog.device, &d->feeder, message);
    if (status == FG_OK) /* last, since what fails before leaves no mark of an unclean end */
        status = fg_keeper_begin(d->keeper, message);
    if (status != FG_OK)
        return status;
    /* Pages stay in memory once they are touched. A program without the right to ask for it runs without. */
    mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
    const int error = pthread_create(&d->server_thread, NULL, serve_modbus, d);
    d->serving = !error;
    return error ? fg_fail_errno(message, FG_ENVIRONMENT, error, "Modbus: cannot start its thread") : FG_OK;
}

/* Closes what the world sees, outputs first. Each signal goes before what its handler reaches: those that ask
 * go first, those that end the process once the outputs are safe. False: a part is left that must be
 * rejected. */
static bool close_outside(struct daemon *d) {
    fg_signals_ignore_requests();
    const bool empty = fg_actuator_close(d->actuator);
    fg_signals_release();
    if (d->serving) {
        fg_modbus_server_stop(d->server);
        pthread_join(d->server_thread, NULL);
    }
    return empty;
}

static void close_all(struct daemon *d) {
    const bool empty = close_outside(d), drained = empty && (!d->line || fg_line_cleared(d->line));
    fg_reloader_close(d->reloader);
    fg_modbus_server_close(d->server);
    fg_feeder_close(d->feeder);
    fg_keeper_close(d->keeper, drained);
    fg_judge_close(d->judge);
    if (!fg_storage_close(d->store)) /* its thread goes on using the memory until the process has ended */
        d->arena = NULL;
    fg_line_close(d->line);
    if (d->notify > 0)
        close(d->notify);
    if (d->board)
        d->board->close(d->board);
    for (uint32_t i = 0; i < FG_CONFIG_CAMERAS; i++)
        if (d->camera[i])
            d->camera[i]->close(d->camera[i]);
    fg_arena_close(d->arena);
    fg_arena_close(d->device);
    if (d->backend)
        d->backend->close(d->backend);
    fg_report_free(&d->report);
}

/* Ends the process of a lost device. No call to the device need return, not even those that libraries make
 * when a process exits, and a job that hangs keeps its memory. */
static _Noreturn void leave_process(struct daemon *d) {
    close_outside(d);
    _exit(fg_exit_status(FG_DEVICE_LOST));
}

static void log_line(void *argument, const char *text) {
    (void)argument;
    fg_log(FG_LOG_INFO, "%s", text);
}

static void log_report(const struct fg_report *report) {
    for (const char *line = report->text; line && *line; line += strcspn(line, "\n") + 1)
        fg_log(FG_LOG_ERROR, "%.*s", (int)strcspn(line, "\n"), line);
    if (!report->text)
        fg_log(FG_LOG_ERROR, "no memory for what is wrong");
}

/* Logs every two seconds, since a first load takes up to a minute. */
static void log_choosing(void *argument, uint32_t done, uint32_t all) {
    int64_t *next_ns = argument;
    const int64_t now = fg_clock_ns();
    if (now < *next_ns)
        return;
    *next_ns = now + 2 * FG_S;
    fg_log(FG_LOG_INFO, "choosing engines for this GPU, once: %u of %u", done, all);
}

int fg_daemon_run(const char *config_path) {
    static struct daemon d;
    struct fg_message message = {{0}};
    enum fg_status status = fg_setup_read(config_path, &d.config, &d.report);
    if (status == FG_OK) {
        static int64_t choosing_ns;
        const struct fg_device_choice choice = {.device = d.config.device,
                                                .threads = d.config.threads,
                                                .workspace_mib = d.config.gpu.workspace_mib,
                                                .progress = log_choosing,
                                                .argument = &choosing_ns};
        struct fg_message said;
        status = fg_device_open(&choice, &d.backend, &said, &message);
        if (status == FG_OK)
            fg_log(FG_LOG_INFO, "%s", said.text);
        if (status != FG_OK)
            fg_report_add(&d.report, "%s", message.text);
    }
    if (status == FG_OK) {
        const enum fg_status drivers = fg_setup_check(&d.config, NULL, &d.report);
        status = fg_setup_plan(&d.config, d.backend, &d.plan, &d.report);
        fg_storage_plan(&d.config, &d.plan);
        status = status == FG_OK ? drivers : status;
    }
    if (status != FG_OK) {
        log_report(&d.report);
        close_all(&d);
        return fg_exit_status(status);
    }
    fg_setup_describe(&d.config, &d.plan, log_line, NULL);
    int result = 3;
    status = open_all(&d, &message);
    if (status == FG_OK) {
        fg_log(FG_LOG_INFO, "listening on %s port %u", d.config.modbus.bind, fg_modbus_server_port(d.server));
        if (*d.config.modbus_rtu.device)
            fg_log(FG_LOG_INFO, "Modbus RTU: serving unit %u on %s", d.config.modbus.unit,
                   d.config.modbus_rtu.device);
        tell_loading(d.config.views);
        result = fg_line_run(d.line);
        tell_systemd("STOPPING=1");
        if (result == fg_exit_status(FG_DEVICE_LOST))
            leave_process(&d);
        fg_log(FG_LOG_INFO, "arena: planned %zu bytes, used %zu",
               fg_arena_size(d.arena) + fg_arena_size(d.device),
               fg_arena_high_water(d.arena) + fg_arena_high_water(d.device));
    } else {
        fg_log(FG_LOG_ERROR, "flawgated: %s", message.text);
    }
    close_all(&d);
    return result;
}
