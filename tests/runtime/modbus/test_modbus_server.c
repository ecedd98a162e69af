/* The Modbus TCP server with real connections: framing, hostile bytes, many clients, who may write. */
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "runtime/base/clock.h"
#include "tests/runtime/modbus/modbus_bench.h"

/* ---- Requests ---- */

static void a_client_reads_and_writes(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench_start(&bench);
    modbus_t *client = bench_open_client(&bench);
    uint16_t words[128];
    uint8_t bits[16];
    assert_int_equal(modbus_read_input_registers(client, 4, 4, words), 4);
    assert_int_equal(words[0], 0x1234);
    assert_int_equal(words[1], 0x5678);
    assert_true(modbus_get_float_abcd(words + 2) == 1.0f);
    assert_int_equal(modbus_read_input_registers(client, 0, 125, words), 125);
    assert_int_equal(modbus_read_input_bits(client, 0, 16, bits), 16);
    assert_int_equal(bits[1], 1);
    assert_int_equal(modbus_read_bits(client, 0, 7, bits), 7);
    assert_int_equal(bits[0], 1);

    assert_int_equal(modbus_write_register(client, 3, 99), 1);
    const uint16_t pair[] = {1, 2};
    assert_int_equal(modbus_write_registers(client, 4, 2, pair), 2);
    assert_int_equal(modbus_read_registers(client, 0, 8, words), 8);
    assert_int_equal(words[3], 99);
    assert_int_equal(words[4], 1);
    assert_int_equal(words[5], 2);
    const uint8_t coils[] = {0, 0, 1};
    assert_int_equal(modbus_write_bits(client, 0, 3, coils), 3);
    assert_int_equal(modbus_read_bits(client, 0, 7, bits), 7);
    assert_int_equal(bits[0], 0);
    assert_int_equal(bits[2], 1);
    bench_close_client(client);
    bench_stop(&bench);
}

static void a_triggers_effect_is_there_with_its_answer(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench_start(&bench);
    modbus_t *client = bench_open_client(&bench);
    uint8_t bits[16];
    assert_int_equal(modbus_write_bit(client, 1, 1), 1);
    assert_int_equal(modbus_read_input_bits(client, 0, 16, bits), 16);
    assert_int_equal(bits[1], 0);
    assert_int_equal(bits[2], 1);
    assert_int_equal(bits[10], 0);
    assert_int_equal(modbus_write_bit(client, 1, 0), 1);
    assert_int_equal(modbus_write_bit(client, 1, 1), -1);
    assert_int_equal(errno, EMBXSBUSY);
    assert_int_equal(modbus_read_input_bits(client, 0, 16, bits), 16);
    assert_int_equal(bits[10], 1);
    bench_close_client(client);
    bench_stop(&bench);
    assert_int_equal(bench.now.last_trigger_id, 1);
}

static void the_lines_refusal_is_the_answer(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench.refusal = FG_MODBUS_BUSY;
    bench_start(&bench);
    modbus_t *client = bench_open_client(&bench);
    uint16_t word;
    assert_int_equal(modbus_write_register(client, 3, 99), -1);
    assert_int_equal(errno, EMBXSBUSY);
    assert_int_equal(modbus_read_registers(client, 3, 1, &word), 1);
    assert_int_equal(word, 0);
    bench_close_client(client);
    bench_stop(&bench);
}

static void other_units_are_not_answered(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench_start(&bench);
    int client = bench_connect(&bench);
    uint8_t frame[12], pdu[FG_MODBUS_MAX_PDU];
    for (uint16_t unit = 0; unit < 256; unit++) {
        make_frame(frame, unit, (uint8_t)unit, 6, 3, unit); /* the watchdog becomes the unit */
        send_all(client, frame, sizeof frame);
        if (unit == 0 || unit == UNIT || unit == 255)
            assert_int_equal(receive_answer(client, unit, pdu), 5);
        else if (unit % 16 == 0)
            make_round_trip(client, 1000); /* so nothing came for it or the ones before */
    }
    close(client);
    bench_stop(&bench);
    assert_int_equal(bench.now.holding.watchdog, 255);
}

static void pipelined_requests_are_answered_in_order(void **state) {
    (void)state;
    enum { REQUESTS = 64 };
    struct bench bench = bench_make();
    bench_start(&bench);
    int client = bench_connect(&bench);
    uint8_t frames[REQUESTS][12], pdu[FG_MODBUS_MAX_PDU];
    /* Good ones, and between them each kind of refusal: none may cost what comes behind it. */
    for (uint16_t i = 0; i < REQUESTS; i++)
        switch (i % 4) {
        case 0:
            make_frame(frames[i], i, UNIT, 4, 0, 8);
            break;
        case 1:
            make_frame(frames[i], i, UNIT, 4, FG_MODBUS_INPUT_REGISTERS, 1);
            break;
        case 2:
            make_frame(frames[i], i, UNIT, 3, 0, 0);
            break;
        default:
            make_frame(frames[i], i, UNIT, 0x2b, 0, 0);
            break;
        }
    send_all(client, frames, sizeof frames);
    for (uint16_t i = 0; i < REQUESTS; i++) {
        static const uint8_t REFUSALS[4][2] = {{4, 16}, {0x84, 2}, {0x83, 3}, {0xab, 1}};
        assert_int_equal(receive_answer(client, i, pdu), i % 4 == 0 ? 18 : 2);
        assert_memory_equal(pdu, REFUSALS[i % 4], 2);
    }
    close(client);
    bench_stop(&bench);
}

static void a_function_of_128_and_above_is_refused_as_one(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench_start(&bench);
    int client = bench_connect(&bench);
    uint8_t frame[12], pdu[FG_MODBUS_MAX_PDU];
    for (uint16_t function = 128; function < 256; function++) {
        make_frame(frame, function, UNIT, (uint8_t)function, 0, 1);
        send_all(client, frame, sizeof frame);
        assert_int_equal(receive_answer(client, function, pdu), 2);
        assert_int_equal(pdu[0], function); /* the error bit, and function & 127 */
        assert_int_equal(pdu[1], 1);
    }
    make_round_trip(client, 1);
    close(client);
    bench_stop(&bench);
}

static void function_23_shows_what_it_wrote(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench_start(&bench);
    modbus_t *client = bench_open_client(&bench);
    const uint16_t written[] = {77};
    uint16_t words[125];
    assert_int_equal(modbus_write_and_read_registers(client, 3, 1, written, 0, 8, words), 8);
    assert_int_equal(words[3], 77);
    assert_int_equal(modbus_write_and_read_registers(client, 3, 1, written, 1000, 125, words), 125);
    assert_int_equal(words[5], 0x5678);
    assert_int_equal(modbus_write_and_read_registers(client, 3, 1, written, 32, 1, words), -1);
    assert_int_equal(errno, EMBXILADD);
    bench_close_client(client);
    bench_stop(&bench);
}

static void clients_and_exceptions_are_counted(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench_start(&bench);
    modbus_t *client = bench_open_client(&bench);
    uint16_t words[4];
    assert_int_equal(modbus_read_registers(client, 500, 1, words), -1);
    assert_int_equal(modbus_write_register(client, 0, 99), -1);
    assert_int_equal(modbus_read_input_registers(client, 9, 4, words), 4);
    const uint16_t expected[] = {0, 1, 0, 2};
    assert_memory_equal(words, expected, sizeof expected);
    bench_close_client(client);
    bench_stop(&bench);
}

static void a_request_may_come_in_pieces(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench_start(&bench);
    int slow = bench_connect(&bench), other = bench_connect(&bench);
    uint8_t frames[24], pdu[FG_MODBUS_MAX_PDU];
    make_frame(frames, 1, UNIT, 4, 5, 1);
    make_frame(frames + 12, 2, UNIT, 4, 5, 1);
    for (size_t i = 0; i < sizeof frames; i++) {
        send_all(slow, frames + i, 1);
        make_round_trip(other, (uint16_t)i); /* not delayed by half a request */
    }
    assert_int_equal(receive_answer(slow, 1, pdu), 4);
    assert_int_equal(receive_answer(slow, 2, pdu), 4);
    close(slow);
    close(other);
    bench_stop(&bench);
}

/* Publishes new results as fast as it can. */
struct publisher {
    struct bench *bench;
    atomic_bool stop;
};

static void *publish_results(void *context) {
    struct publisher *publisher = context;
    struct fg_snapshot snapshot = publisher->bench->now;
    for (uint16_t i = 0; !atomic_load(&publisher->stop); i++) {
        snapshot.result_sequence = i;
        snapshot.result = (struct fg_result){.id = i, .verdict = FG_DEFECT, .slot = i, .x = i, .total = i};
        fg_snapshot_publish(&publisher->bench->cell, &snapshot);
    }
    return NULL;
}

static void a_result_is_never_torn(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench_start(&bench);
    modbus_t *client = bench_open_client(&bench);
    struct publisher publisher = {.bench = &bench};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, publish_results, &publisher), 0); /* no write meanwhile */
    for (uint32_t i = 0; i < 500; i++) {
        uint16_t words[25];
        assert_int_equal(modbus_read_input_registers(client, 16, 25, words), 25);
        static const uint32_t SAME[] = {2, 8, 10, 23, 24};
        for (size_t k = 0; k < sizeof SAME / sizeof *SAME; k++)
            assert_int_equal(words[SAME[k]], words[0]);
    }
    atomic_store(&publisher.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    bench_close_client(client);
    bench_stop(&bench);
}

/* ---- Hostile and slow clients ---- */

static void what_is_no_modbus_is_closed(void **state) {
    (void)state;
    static const uint8_t WRONG[][12] = {
        {0, 1, 0, 1, 0, 6, UNIT, 4, 0, 5, 0, 1}, /* another protocol */
        {0, 1, 1, 0, 0, 6, UNIT, 4, 0, 5, 0, 1},     {0, 1, 0, 0, 0, 0, UNIT, 4, 0, 5, 0, 1}, /* no unit */
        {0, 1, 0, 0, 0, 1, UNIT, 4, 0, 5, 0, 1},   /* no function */
        {0, 1, 0, 0, 0, 255, UNIT, 4, 0, 5, 0, 1}, /* longer than any */
        {0, 1, 0, 0, 255, 255, UNIT, 4, 0, 5, 0, 1}, "GET / HTTP/",
        {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0}, /* TLS */
    };
    struct bench bench = bench_make();
    bench_start(&bench);
    int other = bench_connect(&bench);
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        int client = bench_connect(&bench);
        make_round_trip(client, 1);
        send_all(client, WRONG[i], sizeof WRONG[i]);
        expect_closed(client);
        make_round_trip(other, (uint16_t)i);
    }
    close(other);
    bench_stop(&bench);
}

static void the_shortest_and_longest_requests_are_taken(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench_start(&bench);
    int client = bench_connect(&bench);
    uint8_t pdu[FG_MODBUS_MAX_PDU];
    const uint8_t shortest[] = {0, 1, 0, 0, 0, 2, UNIT, 3};
    uint8_t longest[260] = {0, 2, 0, 0, 0, 254, UNIT, 16, 0, 0, 0, 123, 246};
    send_all(client, shortest, sizeof shortest);
    send_all(client, longest, sizeof longest);
    assert_int_equal(receive_answer(client, 1, pdu), 2);
    assert_int_equal(pdu[0], 0x83);
    assert_int_equal(pdu[1], 3);
    assert_int_equal(receive_answer(client, 2, pdu), 2);
    assert_int_equal(pdu[0], 0x90);
    make_round_trip(client, 3);
    close(client);
    bench_stop(&bench);
}

static void drawn_bytes_harm_nobody(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench_start(&bench);
    int other = bench_connect(&bench);
    uint32_t draw = 7;
    for (uint32_t i = 0; i < 200; i++) {
        int client = bench_connect(&bench);
        uint8_t bytes[600];
        for (size_t k = 0; k < sizeof bytes; k++) {
            draw = draw * 1664525 + 1013904223;
            bytes[k] = (uint8_t)(draw >> 24);
        }
        if (i % 2) /* a header that passes */
            memcpy(bytes + 2, (const uint8_t[]){0, 0, 0, (uint8_t)(2 + draw % 253), UNIT}, 5);
        ssize_t sent = send(client, bytes, 1 + draw % sizeof bytes, MSG_NOSIGNAL);
        assert_true(sent > 0);
        if (i % 3 == 0)
            shutdown(client, SHUT_WR);
        make_round_trip(other, (uint16_t)i);
        close(client);
    }
    make_round_trip(other, 0);
    close(other);
    bench_stop(&bench);
}

static void who_does_not_read_waits_alone_and_loses_nothing(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench_start(&bench);
    int deaf = bench_connect(&bench), other = bench_connect(&bench);
    int size = 1 << 17; /* smaller than the system's own, but no less than one segment of loopback */
    setsockopt(deaf, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(deaf, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    /* Ask until nothing more goes out, however often the server has had its turn meanwhile. */
    size_t sent = 0;
    uint8_t frame[12], pdu[FG_MODBUS_MAX_PDU];
    for (uint32_t full = 0; full < 2000;) {
        make_frame(frame, (uint16_t)(sent / 12), UNIT, 4, 0, 125);
        ssize_t got = send(deaf, frame + sent % 12, 12 - sent % 12, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (got > 0) {
            sent += (size_t)got;
            full = 0;
        } else {
            make_round_trip(other, 1);
            full++;
        }
    }
    for (size_t i = 0; i < sent / 12; i++)
        assert_int_equal(receive_answer(deaf, (uint16_t)i, pdu), 252);
    close(deaf);
    close(other);
    bench_stop(&bench);
}

static void a_silent_client_is_closed(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench.settings.tcp.idle_timeout_ms = 30;
    bench_start(&bench);
    expect_closed(bench_connect(&bench)); /* it never says a word */
    /* Bytes that never become a request are silence too. */
    int drip = bench_connect(&bench);
    const uint8_t header[] = {0, 1, 0, 0, 0, 254, UNIT, 4};
    send_all(drip, header, sizeof header);
    while (send(drip, header, 1, MSG_NOSIGNAL) == 1) {
        uint8_t byte;
        ssize_t got = recv(drip, &byte, 1, MSG_DONTWAIT);
        assert_true(got <= 0); /* no answer to half a request */
        if (got == 0 || errno == ECONNRESET)
            break;
        poll(&(struct pollfd){.fd = drip, .events = POLLIN}, 1, 1);
    }
    close(drip);
    bench_stop(&bench);
}

/* ---- Who may write ---- */

static void only_writers_write(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench.settings.tcp.writers = 2;
    bench.settings.tcp.writer[0] = "::1";
    bench.settings.tcp.writer[1] = "127.0.0.2";
    bench_start(&bench);
    modbus_t *writer = bench_open_client_from(&bench, "127.0.0.2"), *reader = bench_open_client(&bench);
    uint16_t word;
    assert_int_equal(modbus_write_register(reader, 3, 5), -1);
    assert_int_equal(errno, EMBXSBUSY);
    assert_int_equal(modbus_write_register(writer, 3, 6), 1);
    assert_int_equal(modbus_read_registers(reader, 3, 1, &word), 1);
    assert_int_equal(word, 6);
    bench_close_client(writer);
    bench_close_client(reader);
    bench_stop(&bench);
}

/* ---- Opening ---- */

/* Who may write, and what, changes for the clients that are there too; others notice nothing. */
static void terms_change_while_it_runs(void **state) {
    (void)state;
    struct bench bench = bench_make();
    struct fg_message message;
    bench_start(&bench);
    modbus_t *client = bench_open_client_from(&bench, "127.0.0.2");
    assert_int_equal(modbus_write_register(client, FG_HOLDING_THRESHOLD, 5000), 1);
    bench.settings.rules.threshold.max = 4000;
    assert_int_equal(fg_modbus_server_change(bench.server, &bench.settings, &message), FG_OK);
    assert_int_equal(modbus_write_register(client, FG_HOLDING_THRESHOLD, 5000), -1); /* the very next one */
    assert_int_equal(errno, EMBXILVAL);
    bench.settings.tcp.writers = 1;
    bench.settings.tcp.writer[0] = "nobody";
    assert_int_equal(fg_modbus_server_change(bench.server, &bench.settings, &message), FG_INPUT);
    bench.settings.tcp.writer[0] = "127.0.0.3";
    assert_int_equal(fg_modbus_server_change(bench.server, &bench.settings, &message), FG_OK);
    assert_int_equal(modbus_write_register(client, FG_HOLDING_THRESHOLD, 3000), -1);
    assert_int_equal(errno, EMBXSBUSY);
    modbus_t *writer = bench_open_client_from(&bench, "127.0.0.3");
    assert_int_equal(modbus_write_register(writer, FG_HOLDING_THRESHOLD, 3000), 1);
    bench_close_client(client);
    bench_close_client(writer);
    bench_stop(&bench);
}

/* Who has unlocked by a code that no longer counts is locked out again, until it writes the new one. */
static void another_code_locks_again(void **state) {
    (void)state;
    struct bench bench = bench_make();
    struct fg_message message;
    bench.settings.rules.unlock_code = 1234;
    bench_start(&bench);
    modbus_t *client = bench_open_client(&bench);
    assert_int_equal(modbus_write_register(client, FG_HOLDING_UNLOCK, 1234), 1);
    assert_int_equal(modbus_write_register(client, FG_HOLDING_THRESHOLD, 5000), 1);
    bench.settings.rules.threshold.max = 6000; /* another change leaves it unlocked */
    assert_int_equal(fg_modbus_server_change(bench.server, &bench.settings, &message), FG_OK);
    assert_int_equal(modbus_write_register(client, FG_HOLDING_THRESHOLD, 5001), 1);
    bench.settings.rules.unlock_code = 4321;
    assert_int_equal(fg_modbus_server_change(bench.server, &bench.settings, &message), FG_OK);
    assert_int_equal(modbus_write_register(client, FG_HOLDING_THRESHOLD, 5002), -1);
    assert_int_equal(errno, EMBXSBUSY);
    assert_int_equal(modbus_write_register(client, FG_HOLDING_UNLOCK, 4321), 1);
    assert_int_equal(modbus_write_register(client, FG_HOLDING_THRESHOLD, 5002), 1);
    bench_close_client(client);
    bench_stop(&bench);
}

/* Each turn of its loop leaves a time, with and without clients. */
static void it_shows_that_it_turns(void **state) {
    (void)state;
    static _Atomic int64_t seen_ns;
    struct bench bench = bench_make();
    struct fg_message message;
    const struct fg_modbus_line line = {
        .cell = &bench.cell, .apply = bench_apply, .context = &bench, .seen_ns = &seen_ns};
    assert_int_equal(fg_modbus_server_open(&bench.settings, &line, &bench.server, &message), FG_OK);
    assert_int_equal(pthread_create(&bench.thread, NULL, bench_run, &bench), 0);
    for (int turn = 0; turn < 3; turn++) {
        const int64_t before = atomic_load(&seen_ns), end = fg_clock_ns() + 60 * FG_S;
        while (atomic_load(&seen_ns) == before) {
            assert_true(fg_clock_ns() < end);
            sched_yield();
        }
    }
    bench_stop(&bench);
}

static void expect_refused(const struct fg_modbus_settings *settings, enum fg_status status,
                           const char *because) {
    struct bench bench = {0};
    struct fg_modbus_line line = {.cell = &bench.cell, .apply = bench_apply, .context = &bench};
    struct fg_modbus_server *server;
    struct fg_message message = {0};
    assert_int_equal(fg_modbus_server_open(settings, &line, &server, &message), status);
    assert_null(server);
    if (!strstr(message.text, because))
        fail_msg("\"%s\" does not say \"%s\"", message.text, because);
}

static void what_cannot_be_opened_is_said(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench_start(&bench);
    struct fg_modbus_settings settings = bench.settings;
    settings.tcp.port = fg_modbus_server_port(bench.server);
    char port[32];
    snprintf(port, sizeof port, "127.0.0.1 port %u", (unsigned)settings.tcp.port);
    expect_refused(&settings, FG_ENVIRONMENT, port);
    expect_refused(&settings, FG_ENVIRONMENT, "Address already in use");
    settings.tcp.port = 0;
    settings.tcp.bind = "somewhere";
    expect_refused(&settings, FG_INPUT, "somewhere");
    settings.tcp.bind = "192.0.2.1";
    expect_refused(&settings, FG_ENVIRONMENT, "192.0.2.1");
    settings.tcp.bind = "127.0.0.1";
    settings.tcp.writers = 2;
    settings.tcp.writer[0] = "127.0.0.1";
    settings.tcp.writer[1] = "the PLC";
    expect_refused(&settings, FG_INPUT, "the PLC");
    bench_stop(&bench);
}

static void it_listens_on_ipv6_too(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench.settings.tcp.bind = "::";
    int client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    if (client < 0 || bind(client, (struct sockaddr *)&address, sizeof address) != 0) {
        if (client >= 0)
            close(client);
        print_message("skipped: this machine has no IPv6 loopback\n");
        skip();
    }
    bench.settings.tcp.writers = 2;
    bench.settings.tcp.writer[0] = "::1";
    bench.settings.tcp.writer[1] = "127.0.0.2";
    bench_start(&bench);
    address.sin6_port = htons(fg_modbus_server_port(bench.server));
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    modbus_t *modbus = modbus_new_tcp("127.0.0.1", 502);
    modbus_set_socket(modbus, client);
    modbus_set_slave(modbus, UNIT);
    assert_int_equal(modbus_write_register(modbus, 3, 5), 1);
    bench_close_client(modbus);
    modbus = bench_open_client_from(&bench, "127.0.0.2"); /* an IPv4 address is the same one there */
    assert_int_equal(modbus_write_register(modbus, 3, 6), 1);
    bench_close_client(modbus);
    modbus = bench_open_client_from(&bench, "127.0.0.3");
    assert_int_equal(modbus_write_register(modbus, 3, 7), -1);
    bench_close_client(modbus);
    bench_stop(&bench);
}

static void it_can_run_again(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench_start(&bench);
    int client = bench_connect(&bench);
    make_round_trip(client, 1);
    fg_modbus_server_stop(bench.server);
    assert_int_equal(pthread_join(bench.thread, NULL), 0);
    assert_int_equal(pthread_create(&bench.thread, NULL, bench_run, &bench), 0);
    make_round_trip(client, 2);
    bench_stop(&bench);
    expect_closed(client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_reads_and_writes),
        cmocka_unit_test(a_triggers_effect_is_there_with_its_answer),
        cmocka_unit_test(the_lines_refusal_is_the_answer),
        cmocka_unit_test(other_units_are_not_answered),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_function_of_128_and_above_is_refused_as_one),
        cmocka_unit_test(function_23_shows_what_it_wrote),
        cmocka_unit_test(clients_and_exceptions_are_counted),
        cmocka_unit_test(a_request_may_come_in_pieces),
        cmocka_unit_test(a_result_is_never_torn),
        cmocka_unit_test(what_is_no_modbus_is_closed),
        cmocka_unit_test(the_shortest_and_longest_requests_are_taken),
        cmocka_unit_test(drawn_bytes_harm_nobody),
        cmocka_unit_test(who_does_not_read_waits_alone_and_loses_nothing),
        cmocka_unit_test(a_silent_client_is_closed),
        cmocka_unit_test(only_writers_write),
        cmocka_unit_test(terms_change_while_it_runs),
        cmocka_unit_test(another_code_locks_again),
        cmocka_unit_test(it_shows_that_it_turns),
        cmocka_unit_test(what_cannot_be_opened_is_said),
        cmocka_unit_test(it_listens_on_ipv6_too),
        cmocka_unit_test(it_can_run_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
