/* Modbus RTU on real pseudo terminals: frames, units, broadcast, damage, a port that goes and comes back, the
 * lock, and masters that are not ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/runtime/modbus/captured.h"
#include "tests/runtime/modbus/clock.h"
#include "tests/runtime/modbus/modbus_bench.h"
#include "tests/runtime/modbus/wire.h"

#define BAUD 19200

static struct captured captured;

static struct bench bench_on(const char *device) {
    struct bench bench = bench_make();
    bench.settings.rtu =
        (struct fg_serial_settings){.device = device, .baud = BAUD, .parity = FG_PARITY_EVEN, .stop_bits = 1};
    return bench;
}

/* ---- Raw frames ---- */

/* The check sum by the table of the specification's appendix, made here once more by its polynomial. */
static uint16_t make_sum(const uint8_t *bytes, size_t size) {
    uint32_t table[256], sum = 0xffff;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] % 2 ? table[i] / 2 ^ 0xa001 : table[i] / 2;
    }
    for (size_t i = 0; i < size; i++)
        sum = sum / 256 ^ table[(sum ^ bytes[i]) % 256];
    return (uint16_t)sum;
}

static void send_frame(int behind, const uint8_t *bytes, size_t size) {
    uint8_t frame[256];
    const uint16_t sum = make_sum(bytes, size);
    memcpy(frame, bytes, size);
    frame[size] = (uint8_t)sum;
    frame[size + 1] = (uint8_t)(sum >> 8);
    assert_int_equal(write(behind, frame, size + 2), (ssize_t)size + 2);
}

static void receive_frame(int behind, const uint8_t *expected, size_t size) {
    uint8_t frame[256];
    size_t used = 0;
    while (used < size + 2) {
        struct pollfd ready = {.fd = behind, .events = POLLIN};
        assert_int_equal(poll(&ready, 1, 60000), 1);
        const ssize_t got = read(behind, frame + used, size + 2 - used);
        assert_true(got > 0);
        used += (size_t)got;
    }
    assert_memory_equal(frame, expected, size);
    assert_int_equal(frame[size] | frame[size + 1] << 8, make_sum(expected, size));
}

#define SEND(behind, ...)                                                                                    \
    send_frame(behind, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define RECEIVE(behind, ...)                                                                                 \
    receive_frame(behind, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void make_serial_round_trip(int behind) {
    SEND(behind, UNIT, 4, 0, 5, 0, 1);
    RECEIVE(behind, UNIT, 4, 2, 0x56, 0x78);
}

/* The same behind a frame that nobody answers: silence ends that one, and is all that does. Where the server
 * had no turn in it the two are one, and the master asks again. */
static void make_round_trip_after_silence(int behind) {
    struct pollfd ready = {.fd = behind, .events = POLLIN};
    do {
        poll(NULL, 0, 30);
        SEND(behind, UNIT, 4, 0, 5, 0, 1);
    } while (poll(&ready, 1, 2000) == 0);
    RECEIVE(behind, UNIT, 4, 2, 0x56, 0x78);
}

static void requests_are_answered_with_a_check_sum(void **state) {
    (void)state;
    struct terminal port = terminal_open();
    struct bench bench = bench_on(port.name);
    bench_start(&bench);
    /* A frame whose check sum is from the specification of the line, not from this test. */
    static const uint8_t KNOWN[] = {0x01, 0x04, 0x00, 0x00, 0x00, 0x01, 0x31, 0xca};
    assert_int_equal(make_sum(KNOWN, 6), 0xca31);
    make_serial_round_trip(port.behind);
    SEND(port.behind, UNIT, 6, 0, 3, 1, 2);
    RECEIVE(port.behind, UNIT, 6, 0, 3, 1, 2);
    SEND(port.behind, UNIT, 3, 0, 3, 0, 1);
    RECEIVE(port.behind, UNIT, 3, 2, 1, 2);
    SEND(port.behind, UNIT, 1, 0, 0, 0, 7);
    RECEIVE(port.behind, UNIT, 1, 1, 1);
    SEND(port.behind, UNIT, 2, 0, 0, 0, 16);
    RECEIVE(port.behind, UNIT, 2, 2, 3, 0);
    SEND(port.behind, UNIT, 16, 0, 4, 0, 2, 4, 0, 1, 0, 2);
    RECEIVE(port.behind, UNIT, 16, 0, 4, 0, 2);
    SEND(port.behind, UNIT, 15, 0, 2, 0, 2, 1, 1);
    RECEIVE(port.behind, UNIT, 15, 0, 2, 0, 2);
    SEND(port.behind, UNIT, 23, 0, 3, 0, 2, 0, 3, 0, 1, 2, 0, 9);
    RECEIVE(port.behind, UNIT, 23, 4, 0, 9, 0, 1);
    SEND(port.behind, UNIT, 43, 14, 4, 0);
    RECEIVE(port.behind, UNIT, 43, 14, 4, 0x82, 0, 0, 1, 0, 8, 'F', 'l', 'a', 'w', 'g', 'a', 't', 'e');
    SEND(port.behind, UNIT, 4, 1, 16, 0, 1);
    RECEIVE(port.behind, UNIT, 0x84, 2);
    SEND(port.behind, UNIT, 4, 0, 0, 0, 0);
    RECEIVE(port.behind, UNIT, 0x84, 3);
    SEND(port.behind, UNIT, 0x83, 0, 0, 0, 1);
    RECEIVE(port.behind, UNIT, 0x83, 1);
    bench_stop(&bench);
    terminal_close(&port);
}

static uint16_t read_watchdog(int client) {
    uint8_t frame[12], pdu[FG_MODBUS_MAX_PDU];
    make_frame(frame, 5, UNIT, 3, 3, 1);
    send_all(client, frame, sizeof frame);
    assert_int_equal(receive_answer(client, 5, pdu), 4);
    return (uint16_t)(pdu[2] << 8 | pdu[3]);
}

static void other_units_and_broadcasts_are_not_answered(void **state) {
    (void)state;
    struct terminal port = terminal_open();
    struct bench bench = bench_on(port.name);
    bench_start(&bench);
    int client = bench_connect(&bench);
    static const uint8_t OTHERS[] = {UNIT - 1, UNIT + 1, 247, 248, 255};
    for (size_t i = 0; i < sizeof OTHERS; i++) {
        SEND(port.behind, OTHERS[i], 6, 0, 3, 0, 5);
        make_round_trip_after_silence(port.behind); /* so nothing came for the one before */
    }
    assert_int_equal(read_watchdog(client), 0);
    do { /* as make_round_trip_after_silence */
        SEND(port.behind, 0, 6, 0, 3, 0, 6);
        make_round_trip_after_silence(port.behind);
    } while (read_watchdog(client) != 6);
    SEND(port.behind, 0, 6, 0, 0, 0, 99); /* nor is an exception sent */
    make_round_trip_after_silence(port.behind);
    close(client);
    bench_stop(&bench);
    terminal_close(&port);
}

static void damaged_frames_are_dropped(void **state) {
    (void)state;
    static const uint8_t RUBBISH[1100] = {UNIT, 4, 0, 5, 0, 1, 0xff, 0xff};
    struct terminal port = terminal_open();
    struct bench bench = bench_on(port.name);
    bench_start(&bench);
    begin_capture(&captured);
    for (size_t size = 1; size <= sizeof RUBBISH; size += 157) {
        assert_int_equal(write(port.behind, RUBBISH, size), (ssize_t)size);
        /* Until it is dropped a request behind it belongs to it; a master asks again. */
        struct pollfd ready = {.fd = port.behind, .events = POLLIN};
        do
            SEND(port.behind, UNIT, 4, 0, 5, 0, 1);
        while (poll(&ready, 1, 100) == 0);
        RECEIVE(port.behind, UNIT, 4, 2, 0x56, 0x78);
    }
    end_capture(&captured);
    assert_true(count_lines(&captured, "bytes are no frame: look at baud") >= 1);
    bench_stop(&bench);
    terminal_close(&port);
}

static void frames_that_follow_each_other_are_told_apart(void **state) {
    (void)state;
    struct terminal port = terminal_open();
    struct bench bench = bench_on(port.name);
    bench_start(&bench);
    /* What the master asks of another slave, and that slave's answer, are frames of their own. */
    for (int i = 0; i < 5; i++) {
        SEND(port.behind, UNIT + 1, 3, 0, 0, 0, 1);
        make_round_trip_after_silence(port.behind);
        SEND(port.behind, UNIT + 1, 3, 2, 0, 0);
        make_round_trip_after_silence(port.behind);
    }
    bench_stop(&bench);
    terminal_close(&port);
}

/* Adds a frame to those that are written at once. */
static size_t add_frame(uint8_t *all, size_t used, const uint8_t *bytes, size_t size) {
    const uint16_t sum = make_sum(bytes, size);
    memcpy(all + used, bytes, size);
    all[used + size] = (uint8_t)sum;
    all[used + size + 1] = (uint8_t)(sum >> 8);
    return used + size + 2;
}

/* As they are read by a thread that had no turn in the silence between them. */
static void frames_that_are_read_together_are_told_apart(void **state) {
    (void)state;
    static const uint8_t ASKED[] = {UNIT + 1, 3, 0, 0, 0, 100}, OWN[] = {UNIT, 4, 0, 5, 0, 1},
                         ALL[] = {0, 6, 0, 3, 0, 6}, GIVEN_UP[] = {UNIT, 6, 0, 3, 0, 9};
    uint8_t answered[203] = {UNIT + 1, 3, 200}, bytes[512];
    struct terminal port = terminal_open();
    struct bench bench = bench_on(port.name);
    bench_start(&bench);
    for (uint8_t i = 0; i < 20; i++) {
        memset(answered + 3, i, 200);
        size_t used = add_frame(bytes, 0, ASKED, sizeof ASKED);
        used = add_frame(bytes, used, answered, sizeof answered);
        used = add_frame(bytes, used, OWN, sizeof OWN);
        assert_int_equal(write(port.behind, bytes, used), (ssize_t)used);
        RECEIVE(port.behind, UNIT, 4, 2, 0x56, 0x78);
    }
    /* A broadcast is obeyed; a request that the master has given up is neither answered nor obeyed. */
    size_t used = add_frame(bytes, 0, ALL, sizeof ALL);
    used = add_frame(bytes, used, GIVEN_UP, sizeof GIVEN_UP);
    used = add_frame(bytes, used, OWN, sizeof OWN);
    assert_int_equal(write(port.behind, bytes, used), (ssize_t)used);
    RECEIVE(port.behind, UNIT, 4, 2, 0x56, 0x78);
    make_serial_round_trip(port.behind);
    bench_stop(&bench);
    terminal_close(&port);
    assert_int_equal(bench.now.holding.watchdog, 6);
}

static void a_frame_may_come_in_pieces(void **state) {
    (void)state;
    struct terminal port = terminal_open();
    struct bench bench = bench_on(port.name);
    uint8_t frame[8] = {UNIT, 4, 0, 5, 0, 1};
    const uint16_t sum = make_sum(frame, 6);
    frame[6] = (uint8_t)sum;
    frame[7] = (uint8_t)(sum >> 8);
    bench_start(&bench);
    for (size_t i = 0; i < sizeof frame; i++) {
        assert_int_equal(write(port.behind, frame + i, 1), 1);
        sched_yield();
    }
    RECEIVE(port.behind, UNIT, 4, 2, 0x56, 0x78);
    bench_stop(&bench);
    terminal_close(&port);
}

/* ---- The port ---- */

static bool is_degraded(int client) {
    uint8_t frame[12], pdu[FG_MODBUS_MAX_PDU];
    make_frame(frame, 3, UNIT, 2, 13, 1);
    send_all(client, frame, sizeof frame);
    assert_int_equal(receive_answer(client, 3, pdu), 3);
    return pdu[2] & 1;
}

static void a_port_that_vanishes_is_opened_again(void **state) {
    (void)state;
    char folder[] = "/tmp/flawgate-rtu-XXXXXX", link[64];
    assert_non_null(mkdtemp(folder));
    snprintf(link, sizeof link, "%s/port", folder);
    struct terminal port = terminal_open();
    assert_int_equal(symlink(port.name, link), 0);
    struct bench bench = bench_on(link);
    bench_start(&bench);
    int client = bench_connect(&bench);
    begin_capture(&captured);
    for (int i = 0; i < 3; i++) {
        make_serial_round_trip(port.behind);
        assert_false(is_degraded(client));
        assert_int_equal(unlink(link), 0);
        terminal_close(&port);
        while (!is_degraded(client))
            ;
        move_clock(30 * FG_S); /* it is tried, and is not there */
        assert_true(is_degraded(client));
        assert_true(is_degraded(client));
        port = terminal_open();
        assert_int_equal(symlink(port.name, link), 0);
        move_clock(30 * FG_S);
        while (is_degraded(client))
            ;
    }
    make_serial_round_trip(port.behind);
    end_capture(&captured);
    assert_int_equal(count_lines(&captured, "/port is gone"), 3);
    assert_int_equal(count_lines(&captured, "/port is back"), 3);
    close(client);
    bench_stop(&bench);
    terminal_close(&port);
    unlink(link);
    rmdir(folder);
}

static void expect_refused(const struct fg_serial_settings *settings, enum fg_status status,
                           const char *because) {
    struct bench bench = bench_make();
    struct fg_modbus_line line = {.cell = &bench.cell, .apply = bench_apply, .context = &bench};
    struct fg_modbus_server *server;
    struct fg_message message = {0};
    bench.settings.rtu = *settings;
    assert_int_equal(fg_modbus_server_open(&bench.settings, &line, &server, &message), status);
    assert_null(server);
    if (!strstr(message.text, because) || !strstr(message.text, settings->device))
        fail_msg("\"%s\" does not say \"%s\" of %s", message.text, because, settings->device);
}

static void a_port_that_cannot_be_used_is_said(void **state) {
    (void)state;
    struct terminal port = terminal_open();
    struct fg_serial_settings settings = {.device = "/dev/null", .baud = BAUD, .stop_bits = 1};
    expect_refused(&settings, FG_ENVIRONMENT, "is no serial port");
    settings.device = "/dev/no-such-port";
    expect_refused(&settings, FG_ENVIRONMENT, "No such file");
    settings.device = port.name;
    settings.rs485 = true; /* a pseudo terminal has no such mode */
    expect_refused(&settings, FG_ENVIRONMENT, "no RS-485 mode");
    settings.rs485 = false;
    settings.baud = 12345;
    expect_refused(&settings, FG_INPUT, "12345 baud");
    terminal_close(&port);
}

static void the_port_has_the_rate_that_was_asked_for(void **state) {
    (void)state;
    static const struct {
        uint32_t baud;
        speed_t speed;
    } RATES[] = {{1200, B1200}, {9600, B9600}, {115200, B115200}, {921600, B921600}};
    for (size_t i = 0; i < sizeof RATES / sizeof *RATES; i++) {
        struct terminal port = terminal_open();
        struct bench bench = bench_on(port.name);
        struct termios found;
        bench.settings.rtu.baud = RATES[i].baud;
        bench.settings.rtu.stop_bits = 2;
        bench_start(&bench);
        assert_int_equal(tcgetattr(port.held, &found), 0);
        assert_int_equal(cfgetospeed(&found), RATES[i].speed);
        assert_int_equal(cfgetispeed(&found), RATES[i].speed);
        assert_true(found.c_cflag & CSTOPB);
        make_serial_round_trip(port.behind);
        bench_stop(&bench);
        bench_start(&bench); /* on a port that is already set */
        make_serial_round_trip(port.behind);
        bench_stop(&bench);
        terminal_close(&port);
    }
}

/* ---- The lock ---- */

static void the_code_unlocks_for_60_s(void **state) {
    (void)state;
    struct terminal port = terminal_open();
    struct bench bench = bench_on(port.name);
    bench.settings.rules.unlock_code = 0x1234;
    bench_start(&bench);
    modbus_t *other = bench_open_client(&bench);
    SEND(port.behind, UNIT, 6, 0, 6, 0, 50);
    RECEIVE(port.behind, UNIT, 0x86, 6);
    SEND(port.behind, UNIT, 6, 0, 7, 0x12, 0x34);
    RECEIVE(port.behind, UNIT, 6, 0, 7, 0x12, 0x34);
    SEND(port.behind, UNIT, 6, 0, 6, 0, 50);
    RECEIVE(port.behind, UNIT, 6, 0, 6, 0, 50);
    assert_int_equal(modbus_write_register(other, 6, 60), -1); /* not for a TCP client */
    move_clock(60 * FG_S);
    SEND(port.behind, UNIT, 6, 0, 6, 0, 70);
    RECEIVE(port.behind, UNIT, 0x86, 6);
    bench_close_client(other);
    bench_stop(&bench);
    terminal_close(&port);
    assert_int_equal(bench.now.holding.pulse, 50);
}

/* ---- Masters that are not ours ---- */

static void libmodbus_reads_and_writes(void **state) {
    (void)state;
    struct wire wire;
    wire_open(&wire);
    struct bench bench = bench_on(wire.end[0].name);
    bench_start(&bench);
    modbus_t *master = modbus_new_rtu(wire.end[1].name, BAUD, 'E', 8, 1);
    uint16_t words[125];
    uint8_t bits[16];
    assert_int_equal(modbus_set_slave(master, UNIT), 0);
    assert_int_equal(modbus_set_response_timeout(master, 60, 0), 0);
    assert_int_equal(modbus_connect(master), 0);
    for (uint16_t i = 0; i < 20; i++) {
        assert_int_equal(modbus_read_input_registers(master, 0, 125, words), 125);
        assert_int_equal(words[5], 0x5678);
        assert_int_equal(modbus_write_register(master, 3, i), 1);
        assert_int_equal(modbus_read_registers(master, 0, 32, words), 32);
        assert_int_equal(words[3], i);
        assert_int_equal(modbus_read_registers(master, 1000, 125, words), 125);
        assert_int_equal(words[5], 0x5678);
        assert_int_equal(modbus_read_input_bits(master, 0, 16, bits), 16);
        assert_int_equal(modbus_read_registers(master, 500, 1, words), -1);
        assert_int_equal(errno, EMBXILADD);
    }
    bench_close_client(master);
    bench_stop(&bench);
    wire_close(&wire);
}

static void mbpoll_reads_and_writes(void **state) {
    (void)state;
    if (system("command -v mbpoll >/dev/null") != 0) {
        print_message("skipped: mbpoll is not installed\n");
        skip();
    }
    static const struct {
        const char *arguments, *value, *words;
    } CALLS[] = {{"-t 3:hex -r 5 -c 2", "", "[5]: \t0x1234\n[6]: \t0x5678"},
                 {"-t 4 -r 4", "41", "Written 1 references"},
                 {"-t 4 -r 4", "", "[4]: \t41"},
                 {"-t 4:hex -r 1005 -c 1", "", "[1005]: \t0x1234"},
                 {"-t 4 -r 33", "", "Illegal data address"},
                 {"-t 0 -r 2", "1", "Written 1 references"}};
    struct wire wire;
    wire_open(&wire);
    struct bench bench = bench_on(wire.end[0].name);
    bench_start(&bench);
    for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
        char command[256];
        snprintf(command, sizeof command, "mbpoll -m rtu -b %d -P even -a %d -o 10 -1 %s %s %s 2>&1", BAUD,
                 UNIT, CALLS[i].arguments, wire.end[1].name, CALLS[i].value);
        bench_expect_output(command, CALLS[i].words);
    }
    bench_stop(&bench);
    wire_close(&wire);
}

static void pymodbus_reads_and_writes(void **state) {
    (void)state;
    if (system("${FG_PYTHON:-/usr/bin/python3} -c 'import pymodbus, serial' 2>/dev/null") != 0) {
        print_message("skipped: python3-pymodbus and python3-serial are not installed\n");
        skip();
    }
    struct wire wire;
    wire_open(&wire);
    struct bench bench = bench_on(wire.end[0].name);
    char command[256];
    bench_start(&bench);
    snprintf(command, sizeof command,
             "${FG_PYTHON:-/usr/bin/python3} tests/runtime/modbus/peer.py %s %d 2>&1", wire.end[1].name,
             BAUD);
    bench_expect_output(command, "ok ");
    bench_stop(&bench);
    wire_close(&wire);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered_with_a_check_sum),
        cmocka_unit_test(other_units_and_broadcasts_are_not_answered),
        cmocka_unit_test(damaged_frames_are_dropped),
        cmocka_unit_test(frames_that_follow_each_other_are_told_apart),
        cmocka_unit_test(frames_that_are_read_together_are_told_apart),
        cmocka_unit_test(a_frame_may_come_in_pieces),
        cmocka_unit_test(a_port_that_vanishes_is_opened_again),
        cmocka_unit_test(a_port_that_cannot_be_used_is_said),
        cmocka_unit_test(the_port_has_the_rate_that_was_asked_for),
        cmocka_unit_test(the_code_unlocks_for_60_s),
        cmocka_unit_test(libmodbus_reads_and_writes),
        cmocka_unit_test(mbpoll_reads_and_writes),
        cmocka_unit_test(pymodbus_reads_and_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
