/* flawgate line CONFIG [IO[=0|1|pulse]] [--safe]: drives and watches the ios of a simulated board under
 * the titles of their sections. It stands for the wires of a real board. */
#include <stdio.h>
#include <string.h>

#include "board/gpio/drivers.h"
#include "board/gpio/simulated.h"
#include "runtime/line/setup.h"
#include "tools/commands/common.h"
#include "tools/commands/tool.h"

struct line {
    struct fg_common common;
    bool safe;
    struct fg_config config;
    struct fg_simulated *board;
};

static const struct fg_option OPTIONS[] = {
    {"safe", FG_OPTION_BOOL, offsetof(struct line, safe),
     .help = "puts every output in its safe state, once flawgated has ended"},
    FG_OUTPUT_OPTIONS(struct line),
};
static const struct fg_usage USAGE = {
    .name = "flawgate line",
    .takes = "CONFIG [IO[=0|1|pulse]]",
    .least = 1,
    .most = 2,
    .about = "Shows the ios of the simulated board that flawgated serves with CONFIG, or one of them, or "
             "sets one.\n"
             "IO is trigger, reject, pass, ready, fault or heartbeat.\n",
    .options = FG_OPTIONS(OPTIONS),
};

/* Finds the board's number of an io, whose title is length bytes long; -1: it is not configured. */
static int32_t find_io(const struct line *l, const char *title, size_t length) {
    for (int i = 0; i < FG_CONFIG_IOS; i++) {
        const char *name = fg_config_io_title((enum fg_config_io)i);
        if (strlen(name) == length && !memcmp(name, title, length) && *l->config.io[i].name)
            return fg_simulated_find(l->board, l->config.io[i].name);
    }
    return -1;
}

/* Prints every io, or the one whose title has length bytes; only: this title, or NULL. */
static void show_ios(const struct line *l, const char *only, size_t length) {
    const char *before = "{";
    for (int i = 0; i < FG_CONFIG_IOS; i++) {
        const char *title = fg_config_io_title((enum fg_config_io)i);
        const int32_t io = find_io(l, title, strlen(title));
        if (io < 0 || (only && (strlen(title) != length || memcmp(only, title, length))))
            continue;
        const int level = fg_simulated_level(l->board, (uint32_t)io);
        if (l->common.json)
            printf("%s\"%s\": %d", before, title, level);
        else if (only)
            printf("%d\n", level);
        else
            printf("%s=%d (%s)\n", title, level, l->config.io[i].name);
        before = ", ";
    }
    if (l->common.json)
        puts(*before == '{' ? "{}" : "}");
}

static enum fg_status drive_io(struct line *l, uint32_t io, const char *level, struct fg_message *message) {
    if (!strcmp(level, "0") || !strcmp(level, "1"))
        return fg_simulated_drive(l->board, io, *level == '1', message);
    if (strcmp(level, "pulse") != 0)
        return fg_fail(message, FG_USAGE, "an io is set to 0, 1 or pulse, not %.50s", level);
    enum fg_status status = fg_simulated_drive(l->board, io, true, message);
    return status == FG_OK ? fg_simulated_drive(l->board, io, false, message) : status;
}

/* Does what the command line asks for. what: IO or IO=LEVEL; NULL: all ios are shown. For a script the levels
 * are said after a change too. */
static enum fg_status serve_request(struct line *l, const char *what, struct fg_message *message) {
    const size_t length = what ? strcspn(what, "=") : 0;
    enum fg_status status = FG_OK;
    const int32_t io = what ? find_io(l, what, length) : -1;
    if (what && io < 0)
        return fg_fail(message, FG_USAGE, "%.50s is no io of this configuration", what);
    if (l->safe && fg_simulated_owned(l->board))
        return fg_fail(message, FG_ENVIRONMENT,
                       "flawgated runs with this board and sets its outputs itself; end flawgated first");
    const bool sets = l->safe || (what && what[length]);
    if (l->safe)
        fg_simulated_make_safe(l->board);
    else if (sets)
        status = drive_io(l, (uint32_t)io, what + length + 1, message);
    if (status == FG_OK && (!sets || l->common.json))
        show_ios(l, what, length);
    return status;
}

static enum fg_status join_board(const struct fg_config *config, struct fg_simulated **board,
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
    static struct line l;
    struct fg_report report = {0};
    struct fg_message message;
    bool over;
    enum fg_status status = fg_usage_read(&USAGE, &argc, argv, &l, &over, &message);
    if (over)
        return 0;
    if (status == FG_OK && fg_setup_read(argv[1], &l.config, &report) != FG_OK) {
        fputs(report.text ? report.text : "", stderr);
        fg_report_free(&report);
        return 3;
    }
    if (status == FG_OK)
        status = join_board(&l.config, &l.board, &message);
    if (status == FG_OK)
        status = serve_request(&l, argv[2], &message);
    fg_simulated_close(l.board);
    return status == FG_OK ? 0 : fg_usage_fail(&USAGE, status, &message);
}
