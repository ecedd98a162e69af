/* A real flawgated on a simulated line, for tests: tiny bundles, pictures made here, the board and Modbus as
 * the world sees them. Include after cmocka.
 *
 * Errors: a failure fails the test. Owner: stop_appliance closes what start_appliance has opened, and
 * kill_appliance does after a failed test. Thread: the test's. NULL: never. */
#ifndef FG_TESTS_RUNTIME_DAEMON_APPLIANCE_H
#define FG_TESTS_RUNTIME_DAEMON_APPLIANCE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <modbus.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "board/gpio/simulated.h"
#include "runtime/base/clock.h"
#include "runtime/line/snapshot.h"
#include "tests/support/tiny.h"

#define PATIENCE (60 * FG_S) /* the longest wait for what must come; only a failing test waits so long */

/* Parts of configurations. */
#define TRIGGERS "trigger { enable_at_start = true min_interval_ms = 0 }\n"
/* A deadline that only a broken line misses, on a machine with other work too. */
#define PATIENT "deadline_ms = 20000\nreject { delay_ms = 20000 }\n"
#define ENABLED TRIGGERS PATIENT
#define REJECT "line reject { name = REJECT }\n"
#define ALL_DEFECT 1 /* threshold x 10000 */
#define ALL_PASS UINT16_MAX

/* What is running. */
static pid_t appliance;
static FILE *appliance_log;
static struct fg_simulated *board;
static modbus_t *plc;
static uint64_t seen; /* output changes that came before the test */

static inline uint16_t find_free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    const int probe = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(probe, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(probe, (struct sockaddr *)&address, &size), 0);
    close(probe);
    return ntohs(address.sin_port);
}

/* ---- Running it ---- */

static inline pid_t spawn_program(const char *program, const char *first, const char *second,
                                  const char *third, int output) {
    char path[512];
    const char *build = getenv("FG_BUILD");
    snprintf(path, sizeof path, "%s/%s", build ? build : "build/cpu", program);
    const pid_t child = fork();
    if (child == 0) {
        if (output >= 0) {
            dup2(output, STDOUT_FILENO);
            dup2(output, STDERR_FILENO);
        }
        execl(path, program, first, second, third, (char *)NULL);
        _exit(127);
    }
    return child;
}

/* Waits until a process ends, and gives its exit status, or 128 and the signal that ended it. The log of an
 * appliance that did not end well follows. */
static inline int wait_end(pid_t child) {
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    char line[1024];
    while (child == appliance && status && fgets(line, sizeof line, appliance_log))
        fputs(line, stderr);
    appliance = child == appliance ? 0 : appliance;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Where a test does not say otherwise, the first slot serves at once, and the end waits for no reject
 * point. */
static inline const char *choose(const char *more, const char *key, const char *otherwise) {
    return strstr(more, key) ? "" : otherwise;
}

static inline void write_config(const char *bundles, const char *more, uint16_t port) {
    char path[128];
    snprintf(path, sizeof path, "%s/line.conf", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "bundles = { %s }\n"
            "camera { path = pictures memory_mib = 1 max_width = 64 max_height = 64 %s\n"
            "line trigger { name = TRIGGER }\nline pass { name = PASS }\nline ready { name = READY }\n"
            "line fault { name = FAULT }\nline heartbeat { name = HEARTBEAT }\n"
            "compute { threads = 1 }\nmodbus { port = %u }\n%s%s%s%s",
            bundles, more, port, choose(more, "board {", "board { path = board }\n"),
            choose(more, "state {", "state { path = state }\n"),
            choose(more, "job {", "job { require = false }\n"),
            choose(more, "stop_limit_ms", "stop_limit_ms = 0\n"));
    assert_int_equal(fclose(file), 0);
}

/* Reads its log to a line that has this text. */
static inline void wait_log(const char *text) {
    char line[1024];
    while (fgets(line, sizeof line, appliance_log)) {
        if (strstr(line, text))
            return;
        fputs(line, stderr);
    }
    fail_msg("flawgated ended before it said \"%s\"", text);
}

/* Forgets what the daemons before have kept, so that a test's parts begin at 1. */
static inline void forget_state(void) {
    char path[128];
    snprintf(path, sizeof path, "%s/state/state", folder);
    unlink(path);
}

/* Starts a daemon, which finds what an earlier one has kept, and returns when it listens. more: the rest of
 * the camera's section and whatever follows. */
static inline void relaunch_daemon(const char *program, const char *bundles, const char *more) {
    char path[128];
    int log[2];
    const uint16_t port = find_free_port();
    write_config(bundles, more, port);
    snprintf(path, sizeof path, "%s/line.conf", folder);
    assert_int_equal(pipe2(log, O_CLOEXEC), 0);
    fflush(stdout);
    appliance = spawn_program(program, "-c", path, NULL, log[1]);
    close(log[1]);
    appliance_log = fdopen(log[0], "r");
    wait_log("listening on");
    snprintf(path, sizeof path, "%s/board", folder);
    OK(fg_simulated_join(path, &board, &message));
    plc = modbus_new_tcp("127.0.0.1", port);
    modbus_set_response_timeout(plc, 60, 0);
    assert_int_equal(modbus_connect(plc), 0);
    seen = fg_simulated_changes(board);
}

/* Starts a daemon that finds nothing kept. */
static inline void launch_daemon(const char *program, const char *bundles, const char *more) {
    forget_state();
    relaunch_daemon(program, bundles, more);
}

/* Starts flawgated and returns when it is ready. */
static inline void start_appliance(const char *bundles, const char *more) {
    launch_daemon("flawgated", bundles, more);
    wait_log("slot 0: bundle");
}

/* Starts it again. */
static inline void restart_appliance(const char *bundles, const char *more) {
    relaunch_daemon("flawgated", bundles, more);
    wait_log("slot 0: bundle");
}

static inline void close_connections(void) {
    modbus_close(plc);
    modbus_free(plc);
    fg_simulated_close(board);
    fclose(appliance_log);
}

/* Ends it as systemd does. */
static inline void stop_appliance(void) {
    kill(appliance, SIGTERM);
    assert_int_equal(wait_end(appliance), 0);
    close_connections();
}

/* Ends what a failed test has left. */
static inline int kill_appliance(void **state) {
    (void)state;
    if (appliance > 0) {
        kill(appliance, SIGKILL);
        waitpid(appliance, NULL, 0);
        appliance = 0;
        close_connections();
    }
    return 0;
}

/* ---- The world's view ---- */

static inline uint32_t find_io(const char *name) {
    const int32_t io = fg_simulated_find(board, name);
    assert_true(io >= 0);
    return (uint32_t)io;
}

static inline void expect_released(void) {
    for (uint32_t i = 0; i < fg_simulated_count(board); i++)
        assert_false(fg_simulated_io(board, i)->output && fg_simulated_level(board, i));
}

static inline int64_t pulse_trigger(void) {
    const int64_t now = fg_clock_ns();
    OK(fg_simulated_drive(board, find_io("TRIGGER"), true, &message));
    OK(fg_simulated_drive(board, find_io("TRIGGER"), false, &message));
    return now;
}

/* Waits for the next change of an output after those seen. */
static inline struct fg_simulated_change wait_change(const char *name) {
    struct fg_simulated_change change;
    do
        OK(fg_simulated_change(board, seen++, fg_clock_ns() + PATIENCE, &change, &message));
    while (change.io != find_io(name));
    return change;
}

static inline uint16_t read_input(int address) {
    uint16_t value = 0;
    assert_int_equal(modbus_read_input_registers(plc, address, 1, &value), 1);
    return value;
}

static inline uint32_t read_input_u32(int address) {
    uint16_t value[2] = {0};
    assert_int_equal(modbus_read_input_registers(plc, address, 2, value), 2);
    return (uint32_t)value[0] << 16 | value[1];
}

static inline bool read_status_bit(int bit) {
    return read_input(0) >> bit & 1;
}

enum { READY = 1, BUSY = 2, RESULT_VALID = 3, PASS = 4, DEFECT = 5, INOPERATIVE = 6, FAULT = 7, MISSED = 10 };

/* Polls, as a PLC does, until a bit has a level. */
static inline void wait_bit(int bit, bool level) {
    const int64_t end = fg_clock_ns() + PATIENCE;
    while (read_status_bit(bit) != level)
        if (fg_clock_ns() > end)
            fail_msg("status bit %d did not become %d: status %04x, error %u", bit, level, read_input(0),
                     read_input(1));
}

struct block {
    uint32_t id, score;
    uint16_t verdict, slot, reason, w, h;
};

/* Reads the result block in one request; it must be whole. */
static inline struct block read_block(void) {
    uint16_t r[25] = {0};
    assert_int_equal(modbus_read_input_registers(plc, 16, 25, r), 25);
    assert_int_equal(r[0], r[24]);
    return (struct block){.id = (uint32_t)r[1] << 16 | r[2],
                          .verdict = r[3],
                          .score = (uint32_t)r[4] << 16 | r[5],
                          .slot = r[8],
                          .reason = r[9],
                          .w = r[12],
                          .h = r[13]};
}

static inline struct block wait_result(uint32_t id) {
    const int64_t end = fg_clock_ns() + PATIENCE;
    for (;;) {
        const struct block block = read_block();
        if (block.id == id)
            return block;
        if (fg_clock_ns() > end)
            fail_msg("no verdict of part %u: the block has part %u, status %04x", id, block.id,
                     read_input(0));
    }
}

/* A line that gets no processor for a second answers "busy" and has done nothing: a PLC asks again. */
static inline void expect_busy(int64_t end) {
    if (errno != EMBXSBUSY || fg_clock_ns() > end)
        fail_msg("a write failed: %s", modbus_strerror(errno));
}

static inline void write_coil(int address, bool level) {
    const int64_t end = fg_clock_ns() + PATIENCE;
    while (modbus_write_bit(plc, address, level) != 1)
        expect_busy(end);
}

static inline void pulse_coil(int address) {
    write_coil(address, true);
    write_coil(address, false);
}

static inline void write_holding(int address, uint16_t value) {
    const int64_t end = fg_clock_ns() + PATIENCE;
    while (modbus_write_register(plc, address, value) != 1)
        expect_busy(end);
}

#endif
