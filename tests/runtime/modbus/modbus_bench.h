/* A bench for tests of the Modbus server: the server runs over a line that is nothing but its snapshot, and
 * raw frames talk to it. Include after cmocka.
 *
 * Errors: a failure fails the test. Owner: who starts a bench stops it, and who connects closes the
 * connection. Thread: the test's; the server runs on a thread of its own. NULL: never. */
#ifndef FG_TESTS_RUNTIME_MODBUS_MODBUS_BENCH_H
#define FG_TESTS_RUNTIME_MODBUS_MODBUS_BENCH_H

#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/modbus/server.h"

#define UNIT 7

struct bench {
    struct fg_modbus_settings settings;
    struct fg_snapshot now; /* the server's thread's own once it runs */
    struct fg_snapshot_cell cell;
    enum fg_modbus_exception refusal; /* what apply answers */
    struct fg_modbus_server *server;
    pthread_t thread;
};

/* The line: carries out what its snapshot can show. */
static enum fg_modbus_exception bench_apply(void *context, const struct fg_commands *commands) {
    struct bench *bench = context;
    struct fg_snapshot *now = &bench->now;
    if (bench->refusal != FG_MODBUS_DONE)
        return bench->refusal;
    for (uint32_t i = 0; i < commands->count; i++) {
        uint32_t value = commands->command[i].value;
        switch (commands->command[i].kind) {
        case FG_COMMAND_COILS:
            now->coils = (uint8_t)value;
            break;
        case FG_COMMAND_TRIGGER:
            now->able = false;
            now->busy = true;
            now->last_trigger_id++;
            break;
        case FG_COMMAND_MISSED_TRIGGER:
            now->missed_trigger = true;
            break;
        case FG_COMMAND_CLEAR_FAULT:
            now->missed_trigger = false;
            break;
        case FG_COMMAND_WATCHDOG:
            now->holding.watchdog = (uint16_t)value;
            break;
        case FG_COMMAND_REJECT:
            now->holding.reject = value;
            break;
        case FG_COMMAND_PULSE:
            now->holding.pulse = (uint16_t)value;
            break;
        case FG_COMMAND_SLOT:
            now->holding.slot = (uint16_t)value;
            break;
        case FG_COMMAND_THRESHOLD:
            now->holding.threshold[0] = value;
            break;
        default:
            break;
        }
    }
    fg_snapshot_publish(&bench->cell, now);
    return FG_MODBUS_DONE;
}

static void *bench_run(void *context) {
    struct bench *bench = context;
    fg_modbus_server_run(bench->server);
    return NULL;
}

/* Defaults that a test may change before bench_start. */
static inline struct bench bench_make(void) {
    return (struct bench){
        .settings = {.tcp = {.bind = "127.0.0.1"},
                     .unit = UNIT,
                     .rules = {.slots = 2,
                               .views = 1,
                               .threshold = {1, 65535},
                               .reject = {0, UINT32_MAX},
                               .pulse = {1, 65535}}},
        .now = {.online = true, .able = true, .coils = FG_COIL_TRIGGER_ENABLE},
    };
}

static inline void bench_start(struct bench *bench) {
    struct fg_message message = {0};
    fg_snapshot_publish(&bench->cell, &bench->now);
    struct fg_modbus_line line = {.cell = &bench->cell, .apply = bench_apply, .context = bench};
    if (fg_modbus_server_open(&bench->settings, &line, &bench->server, &message) != FG_OK)
        fail_msg("%s", message.text);
    assert_int_equal(pthread_create(&bench->thread, NULL, bench_run, bench), 0);
}

static inline void bench_stop(struct bench *bench) {
    fg_modbus_server_stop(bench->server);
    assert_int_equal(pthread_join(bench->thread, NULL), 0);
    fg_modbus_server_close(bench->server);
}

/* A connection from the given loopback address; a read that waits a minute fails the test. */
static inline int bench_connect_from(const struct bench *bench, const char *source) {
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client >= 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, source, &address.sin_addr), 1);
    assert_int_equal(bind(client, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &address.sin_addr), 1);
    address.sin_port = htons(fg_modbus_server_port(bench->server));
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    struct timeval minute = {.tv_sec = 60};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute);
    int on = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return client;
}

static inline int bench_connect(const struct bench *bench) {
    return bench_connect_from(bench, "127.0.0.1");
}

/* A libmodbus client on such a connection. */
static inline modbus_t *bench_open_client_from(const struct bench *bench, const char *source) {
    modbus_t *client = modbus_new_tcp("127.0.0.1", fg_modbus_server_port(bench->server));
    assert_non_null(client);
    modbus_set_socket(client, bench_connect_from(bench, source));
    modbus_set_response_timeout(client, 60, 0);
    modbus_set_slave(client, UNIT);
    return client;
}

static inline modbus_t *bench_open_client(const struct bench *bench) {
    return bench_open_client_from(bench, "127.0.0.1");
}

static inline void bench_close_client(modbus_t *client) {
    modbus_close(client);
    modbus_free(client);
}

/* A request with an address and a word, 12 bytes, into frame. */
static inline void make_frame(uint8_t *frame, uint16_t transaction, uint8_t unit, uint8_t function,
                              uint16_t address, uint16_t word) {
    const uint8_t bytes[12] = {(uint8_t)(transaction >> 8),
                               (uint8_t)transaction,
                               0,
                               0,
                               0,
                               6,
                               unit,
                               function,
                               (uint8_t)(address >> 8),
                               (uint8_t)address,
                               (uint8_t)(word >> 8),
                               (uint8_t)word};
    memcpy(frame, bytes, sizeof bytes);
}

static inline void send_all(int client, const void *bytes, size_t size) {
    assert_int_equal(send(client, bytes, size, MSG_NOSIGNAL), size);
}

static inline void receive_exactly(int client, uint8_t *bytes, size_t size) {
    assert_int_equal(recv(client, bytes, size, MSG_WAITALL), size);
}

/* Receives one answer; its transaction must be the given one. Returns the size of function and data. */
static inline uint32_t receive_answer(int client, uint16_t transaction, uint8_t pdu[FG_MODBUS_MAX_PDU]) {
    uint8_t header[7];
    receive_exactly(client, header, sizeof header);
    assert_int_equal(header[0] << 8 | header[1], transaction);
    assert_int_equal(header[2] << 8 | header[3], 0);
    uint32_t length = (uint32_t)header[4] << 8 | header[5];
    assert_in_range(length, 2, FG_MODBUS_MAX_PDU + 1);
    receive_exactly(client, pdu, length - 1);
    return length - 1;
}

/* One register 5 (its value is known: 0x5678) there and back. */
static inline void make_round_trip(int client, uint16_t transaction) {
    uint8_t frame[12], pdu[FG_MODBUS_MAX_PDU];
    static const uint8_t EXPECTED[] = {4, 2, 0x56, 0x78};
    make_frame(frame, transaction, UNIT, 4, 5, 1);
    send_all(client, frame, sizeof frame);
    assert_int_equal(receive_answer(client, transaction, pdu), sizeof EXPECTED);
    assert_memory_equal(pdu, EXPECTED, sizeof EXPECTED);
}

/* Waits until the server has closed the connection; nothing more may come from it. */
static inline void expect_closed(int client) {
    uint8_t byte;
    ssize_t got = recv(client, &byte, 1, 0);
    if (got != 0 && !(got < 0 && errno == ECONNRESET))
        fail_msg("not closed: recv gave %zd (%s)", got, strerror(errno));
    close(client);
}

/* Runs a command; its output must have the words. */
static inline void bench_expect_output(const char *command, const char *words) {
    char output[8192];
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    const size_t used = fread(output, 1, sizeof output - 1, pipe);
    output[used] = 0;
    const int status = pclose(pipe);
    if (!strstr(output, words))
        fail_msg("%s: status %d, no \"%s\" in:\n%s", command, status, words, output);
}

#endif
