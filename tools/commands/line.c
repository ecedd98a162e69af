/* flawgate line CONFIG [IO[=0|1|pulse]] [--safe]: drives and watches the ios of a simulated board, by what
 * they are for. It is that driver's other side: a real board has real wires. */
#include <stdio.h>
#include <string.h>

#include "board/gpio/drivers.h"
#include "board/gpio/simulated.h"
#include "runtime/base/clock.h"
#include "runtime/line/setup.h"
#include "tools/commands/tool.h"

const char fg_help_line[] =
    "usage: flawgate line CONFIG [IO[=0|1|pulse]] [--safe]\n"
    "IO is trigger, reject, pass, ready, fault or heartbeat. Without one, all are shown.\n";

/* The board's io of a configured one; -1 where it is not configured. */
static int32_t find(const struct fg_simulated *board, const struct fg_config *config, const char *title,
                    size_t length) {
    for (int i = 0; i < FG_CONFIG_IOS; i++) {
        const char *name = fg_config_io_title((enum fg_config_io)i);
        if (strlen(name) == length && !memcmp(name, title, length) && *config->io[i].name)
            return fg_simulated_find(board, config->io[i].name);
    }
    return -1;
}

static void show(const struct fg_simulated *board, const struct fg_config *config) {
    for (int i = 0; i < FG_CONFIG_IOS; i++) {
        const char *title = fg_config_io_title((enum fg_config_io)i);
        const int32_t io = find(board, config, title, strlen(title));
        if (io >= 0)
            printf("%s=%d (%s)\n", title, fg_simulated_level(board, (uint32_t)io), config->io[i].name);
    }
}

static enum fg_status drive(struct fg_simulated *board, uint32_t io, const char *level,
                            struct fg_message *message) {
    if (!strcmp(level, "0") || !strcmp(level, "1"))
        return fg_simulated_drive(board, io, *level == '1', message);
    if (strcmp(level, "pulse") != 0)
        return fg_fail(message, FG_USAGE, "an io is set to 0, 1 or pulse, not %.50s", level);
    enum fg_status status = fg_simulated_drive(board, io, true, message);
    return status == FG_OK ? fg_simulated_drive(board, io, false, message) : status;
}

static enum fg_status act(struct fg_simulated *board, const struct fg_config *config, const char *what,
                          struct fg_message *message) {
    if (!what) {
        show(board, config);
        return FG_OK;
    }
    if (!strcmp(what, "--safe")) {
        fg_simulated_make_safe(board);
        return FG_OK;
    }
    const size_t length = strcspn(what, "=");
    const int32_t io = find(board, config, what, length);
    if (io < 0)
        return fg_fail(message, FG_USAGE, "%.50s is not an io of this configuration", what);
    if (what[length])
        return drive(board, (uint32_t)io, what + length + 1, message);
    printf("%d\n", fg_simulated_level(board, (uint32_t)io));
    return FG_OK;
}

static enum fg_status join(const struct fg_config *config, struct fg_simulated **board,
                           struct fg_message *message) {
    const struct fg_board_driver *driver = fg_board_drivers[config->board.driver];
    if (driver != &fg_simulated_driver)
        return fg_fail(message, FG_USAGE,
                       "%.200s: the board's driver is %s; only the simulated board is driven from here",
                       config->path, driver->name);
    const struct fg_simulated_settings *settings = (const void *)config->board.settings;
    return fg_simulated_join(settings->path, board, message);
}

int fg_tool_line(int argc, char **argv) {
    static struct fg_config config;
    struct fg_report report = {0};
    struct fg_message message;
    /* The unit's ExecStopPost= gives --safe first. */
    const bool safe_first = argc == 3 && !strcmp(argv[1], "--safe");
    const char *path = argc < 2 ? NULL : safe_first ? argv[2] : argv[1];
    const char *what = argc < 3 ? NULL : safe_first ? argv[1] : argv[2];
    if (!path || argc > 3) {
        fputs(fg_help_line, stderr);
        return 2;
    }
    if (fg_setup_read(path, &config, &report) != FG_OK) {
        fprintf(stderr, "%s", report.text ? report.text : "");
        fg_report_free(&report);
        return 3;
    }
    struct fg_simulated *board = NULL;
    enum fg_status status = join(&config, &board, &message);
    if (status == FG_OK)
        status = act(board, &config, what, &message);
    if (status != FG_OK)
        fprintf(stderr, "flawgate line: %s\n", message.text);
    fg_simulated_close(board);
    return fg_exit_status(status);
}
