/* Writes the configuration, starts the daemon, passes the parts and reads their verdicts. */
#include "tools/demo/demo_line.h"

#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "board/gpio/simulated.h"
#include "runtime/base/clock.h"
#include "runtime/base/progress.h"
#include "runtime/modbus/registers.h"
#include "tools/demo/process.h"

#define PATIENCE (30 * FG_S) /* longest wait for the daemon to be ready, and for one verdict */
#define BLOCK_FIRST FG_INPUT_RESULT_SEQUENCE
#define BLOCK_COUNT (FG_INPUT_RESULT_SEQUENCE_END - FG_INPUT_RESULT_SEQUENCE + 1)

struct line {
    char config[4096], board[4096];
    uint16_t port;
    pid_t daemon;
    modbus_t *client;
    struct fg_simulated *simulated;
    uint32_t trigger;
};

/* Finds a port that nobody listens on now. */
static uint16_t find_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    const int probe = socket(AF_INET, SOCK_STREAM, 0);
    uint16_t port = 0;
    if (probe >= 0 && !bind(probe, (struct sockaddr *)&address, sizeof address) &&
        !getsockname(probe, (struct sockaddr *)&address, &size))
        port = ntohs(address.sin_port);
    if (probe >= 0)
        close(probe);
    return port;
}

static enum fg_status write_config(struct line *l, const char *folder, const char *bundle,
                                   const char *pictures, struct fg_message *message) {
    snprintf(l->config, sizeof l->config, "%s/line.conf", folder);
    snprintf(l->board, sizeof l->board, "%s/board", folder);
    l->port = find_port();
    FILE *file = fopen(l->config, "w");
    if (!file)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "%.300s: cannot create", l->config);
    fprintf(file,
            "# Written by flawgate demo: a line whose camera is a folder and whose board is simulated.\n"
            "bundles = { \"%s\" }\n"
            "deadline_ms = 600\n"
            "camera { path = \"%s\" memory_mib = 32 max_width = 256 max_height = 256 cycle = false }\n"
            "board { path = \"%s\" }\n"
            "line trigger { name = \"TRIGGER\" }\n"
            "line reject { name = \"REJECT\" }\n"
            "line ready { name = \"READY\" }\n"
            "trigger { enable_at_start = true }\n"
            "reject { delay_ms = 600 pulse_ms = 10 }\n"
            "modbus { port = %u }\n"
            "state { path = \"%s/state\" }\n",
            bundle, pictures, l->board, l->port, folder);
    return fclose(file) ? fg_fail_errno(message, FG_ENVIRONMENT, errno, "%.300s: cannot write", l->config)
                        : FG_OK;
}

static void pause_briefly(void) {
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static bool connect_client(struct line *l) {
    modbus_close(l->client);
    return !modbus_connect(l->client);
}

/* Says whether one of the status bits is set. */
static bool read_status(const struct line *l, enum fg_status_bit bit) {
    uint8_t value = 0;
    return modbus_read_input_bits(l->client, (int)bit, 1, &value) == 1 && value;
}

static enum fg_status start_line(struct line *l, const char *folder, struct fg_message *message) {
    char log[4096];
    snprintf(log, sizeof log, "%s/line.log", folder);
    const char *const arguments[] = {"-c", l->config, NULL};
    enum fg_status status = fg_process_start("flawgated", arguments, STDERR_FILENO, log, &l->daemon, message);
    if (status != FG_OK)
        return status;
    l->client = modbus_new_tcp("127.0.0.1", l->port);
    if (!l->client)
        return fg_fail(message, FG_ENVIRONMENT, "Modbus client: no memory");
    const int64_t deadline = fg_clock_ns() + PATIENCE;
    while (!connect_client(l) || !read_status(l, FG_STATUS_TRIGGER_READY)) {
        if (fg_clock_ns() > deadline || fg_process_has_ended(l->daemon))
            return fg_fail(message, FG_ENVIRONMENT, "flawgated did not become ready; %.300s says why", log);
        pause_briefly();
    }
    status = fg_simulated_join(l->board, &l->simulated, message);
    if (status != FG_OK)
        return status;
    const int32_t trigger = fg_simulated_find(l->simulated, "TRIGGER");
    l->trigger = (uint32_t)trigger;
    return trigger < 0 ? fg_fail(message, FG_ENVIRONMENT, "the board has no io TRIGGER") : FG_OK;
}

/* Gets a value of the result block, whose word order is high word first in the demo's configuration. */
static uint32_t get_pair(const uint16_t *block, enum fg_input_register at) {
    return (uint32_t)block[at - BLOCK_FIRST] << 16 | block[at - BLOCK_FIRST + 1];
}

/* Passes one part: waits for trigger_ready, raises the trigger, and reads the result block of that part. */
static enum fg_status pass_part(struct line *l, uint32_t id, struct fg_demo_verdict *verdict,
                                struct fg_message *message) {
    const int64_t deadline = fg_clock_ns() + PATIENCE;
    while (!read_status(l, FG_STATUS_TRIGGER_READY)) {
        if (fg_clock_ns() > deadline)
            return fg_fail(message, FG_ENVIRONMENT, "part %u: the line did not become ready", id);
        pause_briefly();
    }
    enum fg_status status = fg_simulated_drive(l->simulated, l->trigger, true, message);
    if (status == FG_OK)
        status = fg_simulated_drive(l->simulated, l->trigger, false, message);
    uint16_t block[BLOCK_COUNT] = {0};
    while (status == FG_OK) {
        if (modbus_read_input_registers(l->client, BLOCK_FIRST, BLOCK_COUNT, block) != BLOCK_COUNT)
            return fg_fail(message, FG_ENVIRONMENT, "part %u: Modbus: %s", id, modbus_strerror(errno));
        if (get_pair(block, FG_INPUT_RESULT_ID) == id && block[0] == block[BLOCK_COUNT - 1] &&
            read_status(l, FG_STATUS_RESULT_VALID))
            break;
        if (fg_clock_ns() > deadline)
            return fg_fail(message, FG_ENVIRONMENT, "part %u: no verdict came", id);
        pause_briefly();
    }
    *verdict = (struct fg_demo_verdict){.id = id,
                                        .verdict = (enum fg_verdict)block[FG_INPUT_VERDICT - BLOCK_FIRST],
                                        .score = get_pair(block, FG_INPUT_SCORE) / 10000.0,
                                        .total_ms = block[FG_INPUT_TOTAL_TIME - BLOCK_FIRST] / 10.0};
    return status;
}

static void stop_line(struct line *l) {
    if (l->client) {
        modbus_close(l->client);
        modbus_free(l->client);
    }
    fg_simulated_close(l->simulated);
    if (l->daemon > 0) {
        kill(l->daemon, SIGTERM);
        fg_process_wait(l->daemon);
    }
}

enum fg_status fg_demo_line(const char *folder, const char *bundle, const char *pictures, uint32_t count,
                            struct fg_demo_verdict *verdicts, struct fg_message *message) {
    struct line line = {.port = 0};
    enum fg_status status = write_config(&line, folder, bundle, pictures, message);
    if (status == FG_OK)
        status = start_line(&line, folder, message);
    struct fg_progress progress;
    fg_progress_begin(&progress, "passing part", false);
    for (uint32_t i = 0; i < count && status == FG_OK; i++) {
        status = pass_part(&line, i + 1, &verdicts[i], message);
        fg_progress_count(&progress, i + 1, count);
    }
    fg_progress_clear(&progress);
    stop_line(&line);
    return status;
}
