/* Who gets a place at the Modbus server, who loses it, and who has unlocked: all that takes seconds, with a
 * clock that is moved on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "tests/runtime/modbus/captured.h"
#include "tests/runtime/modbus/clock.h"
#include "tests/runtime/modbus/modbus_bench.h"

#define CODE 4711

static struct captured captured;

/* Fills every place, from the given addresses in turn. */
static void fill_places(const struct bench *bench, int *client, const char *const *from, uint16_t addresses) {
    for (uint16_t i = 0; i < FG_MODBUS_CLIENTS; i++) {
        client[i] = bench_connect_from(bench, from[i % addresses]);
        make_round_trip(client[i], i);
    }
}

static const char *const HERE[] = {"127.0.0.1"};

static void expect_counts(int client, uint16_t clients, uint16_t refused) {
    uint8_t frame[12], pdu[FG_MODBUS_MAX_PDU];
    make_frame(frame, 7, UNIT, 4, 10, 2);
    send_all(client, frame, sizeof frame);
    assert_int_equal(receive_answer(client, 7, pdu), 6);
    assert_int_equal(pdu[2] << 8 | pdu[3], clients);
    assert_int_equal(pdu[4] << 8 | pdu[5], refused);
}

/* ---- Places ---- */

static void the_seventeenth_is_refused_while_all_are_in_use(void **state) {
    (void)state;
    struct bench bench = bench_make();
    int client[FG_MODBUS_CLIENTS];
    bench_start(&bench);
    fill_places(&bench, client, HERE, 1);
    move_clock(9 * FG_S);
    begin_capture(&captured);
    for (int i = 0; i < 100; i++) /* one that leaks its connections */
        expect_closed(bench_connect(&bench));
    for (uint16_t i = 0; i < FG_MODBUS_CLIENTS; i++)
        make_round_trip(client[i], i);
    end_capture(&captured);
    assert_int_equal(count_lines(&captured, "Modbus: 127.0.0.1 is refused: all 16 places"), 1);
    expect_counts(client[0], 16, 100);
    /* A place that is left is taken without closing anybody. */
    close(client[3]);
    client[3] = bench_connect(&bench);
    for (uint16_t i = 0; i < FG_MODBUS_CLIENTS; i++) {
        make_round_trip(client[i], i);
        close(client[i]);
    }
    bench_stop(&bench);
}

static void the_longest_silent_loses_its_place(void **state) {
    (void)state;
    enum { SILENT = 5, LONGER = 11, ONLY_WRONG = 13 };
    struct bench bench = bench_make();
    int client[FG_MODBUS_CLIENTS];
    uint8_t frame[12], pdu[FG_MODBUS_MAX_PDU];
    bench_start(&bench);
    fill_places(&bench, client, HERE, 1);
    move_clock(5 * FG_S);
    make_round_trip(client[SILENT], 1);
    make_round_trip(client[ONLY_WRONG], 1);
    move_clock(10 * FG_S);
    for (uint16_t i = 0; i < FG_MODBUS_CLIENTS; i++)
        if (i != SILENT && i != LONGER && i != ONLY_WRONG)
            make_round_trip(client[i], i);
    move_clock(FG_S);
    make_frame(frame, 9, UNIT, 4, 0, 0); /* a request, but none that is valid */
    send_all(client[ONLY_WRONG], frame, sizeof frame);
    assert_int_equal(receive_answer(client[ONLY_WRONG], 9, pdu), 2);

    begin_capture(&captured);
    int late = bench_connect(&bench);
    make_round_trip(late, 17);
    end_capture(&captured);
    assert_int_equal(count_lines(&captured, "Modbus: 127.0.0.1 is closed, because 127.0.0.1 needs its place"),
                     1);
    assert_int_equal(count_lines(&captured, "for 16 s"), 1);
    expect_closed(client[LONGER]);
    client[LONGER] = late;
    /* Two are left that have been silent for 11 s; nobody else goes. */
    int more = bench_connect(&bench);
    make_round_trip(more, 18);
    expect_closed(client[SILENT]);
    client[SILENT] = more;
    more = bench_connect(&bench);
    make_round_trip(more, 19);
    expect_closed(client[ONLY_WRONG]);
    client[ONLY_WRONG] = more;
    expect_closed(bench_connect(&bench));
    expect_counts(client[0], 16, 4);
    for (uint16_t i = 0; i < FG_MODBUS_CLIENTS; i++) {
        make_round_trip(client[i], i);
        close(client[i]);
    }
    bench_stop(&bench);
}

static void a_writer_never_loses_its_place(void **state) {
    (void)state;
    static const char *const FROM[] = {"127.0.0.2", "127.0.0.1", "127.0.0.1", "127.0.0.1"};
    struct bench bench = bench_make();
    int client[FG_MODBUS_CLIENTS];
    bench.settings.tcp.writers = 1;
    bench.settings.tcp.writer[0] = "127.0.0.2";
    bench_start(&bench);
    fill_places(&bench, client, FROM, 4);
    move_clock(10 * FG_S); /* all are silent; those that may write the longest, but for one round trip each */
    for (uint16_t i = 0; i < FG_MODBUS_CLIENTS; i++)
        if (i % 4 != 0) {
            int late = bench_connect(&bench);
            make_round_trip(late, i);
            expect_closed(client[i]);
            client[i] = late;
        }
    expect_closed(bench_connect(&bench)); /* only the writers have been silent */
    for (uint16_t i = 0; i < FG_MODBUS_CLIENTS; i++) {
        make_round_trip(client[i], i);
        close(client[i]);
    }
    bench_stop(&bench);
}

/* ---- Silence ---- */

static void half_a_request_closes_after_5_s(void **state) {
    (void)state;
    struct bench bench = bench_make();
    uint8_t frame[12], pdu[FG_MODBUS_MAX_PDU];
    bench_start(&bench);
    int other = bench_connect(&bench), half = bench_connect(&bench), behind = bench_connect(&bench),
        slow = bench_connect(&bench);
    make_frame(frame, 1, UNIT, 4, 5, 1);
    send_all(half, frame, 8);
    send_all(slow, frame, 6);
    send_all(behind, frame, 12);
    send_all(behind, frame, 7); /* half a request behind a whole one */
    assert_int_equal(receive_answer(behind, 1, pdu), 4);
    make_round_trip(other, 1); /* by now the server has all of it */
    move_clock(4 * FG_S);
    make_round_trip(other, 2);
    send_all(half, frame + 8, 1); /* a byte now and then is no sign of life */
    send_all(slow, frame + 6, 6);
    assert_int_equal(receive_answer(slow, 1, pdu), 4); /* it was in time */
    make_round_trip(other, 3);
    begin_capture(&captured);
    move_clock(FG_S);
    make_round_trip(other, 4);
    expect_closed(half);
    expect_closed(behind);
    make_round_trip(other, 5);
    end_capture(&captured);
    assert_int_equal(count_lines(&captured, "is closed: it sent half a request"), 1);
    make_round_trip(slow, 1);
    close(slow);
    close(other);
    bench_stop(&bench);
}

static void by_default_silence_closes_nobody(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench_start(&bench);
    int silent = bench_connect(&bench), other = bench_connect(&bench);
    make_round_trip(silent, 1);
    move_clock(48 * 3600 * FG_S);
    make_round_trip(other, 1);
    make_round_trip(silent, 2);
    close(silent);
    close(other);
    bench_stop(&bench);
}

/* The system's list of connections says which timer the server's end has: 02 is keep-alive. */
static void tcp_asks_whether_a_silent_client_lives(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench_start(&bench);
    int client = bench_connect(&bench);
    make_round_trip(client, 1);
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    assert_int_equal(getsockname(client, (struct sockaddr *)&address, &size), 0);
    const unsigned remote = ntohs(address.sin_port), local = fg_modbus_server_port(bench.server);
    unsigned timer = 0;
    unsigned long left = 0;
    /* The answer's acknowledgement ends the timer of its repetition first. */
    while (timer != 2) {
        FILE *list = fopen("/proc/net/tcp", "r");
        char line[256];
        bool found = false;
        assert_non_null(list);
        while (fgets(line, sizeof line, list)) {
            unsigned from, to, kind;
            unsigned long when;
            if (sscanf(line, " %*d: %*8x:%4x %*8x:%4x %*2x %*8x:%*8x %2x:%8lx", &from, &to, &kind, &when) ==
                    4 &&
                from == local && to == remote) {
                found = true;
                timer = kind;
                left = when;
            }
        }
        fclose(list);
        assert_true(found);
        if (timer != 2)
            make_round_trip(client, 2);
    }
    assert_in_range(left, 1, 30 * (unsigned long)sysconf(_SC_CLK_TCK));
    close(client);
    bench_stop(&bench);
}

/* ---- Descriptors ---- */

static void too_few_descriptors_are_an_error_at_start(void **state) {
    (void)state;
    struct rlimit before, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (rlim_t limit = 8; limit <= 24; limit++) {
        struct bench bench = bench_make();
        struct fg_modbus_line line = {.cell = &bench.cell, .apply = bench_apply, .context = &bench};
        struct fg_message message = {0};
        few = (struct rlimit){.rlim_cur = limit, .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        const enum fg_status status = fg_modbus_server_open(&bench.settings, &line, &bench.server, &message);
        setrlimit(RLIMIT_NOFILE, &before);
        assert_int_equal(status, FG_ENVIRONMENT);
        if (!strstr(message.text, "raise the limit"))
            fail_msg("%s", message.text);
    }
}

static void a_limit_that_is_lowered_later_stops_nobody(void **state) {
    (void)state;
    struct bench bench = bench_make();
    struct rlimit before, few;
    bench_start(&bench);
    int client = bench_connect(&bench), waiting = bench_connect(&bench);
    make_round_trip(client, 1);
    make_round_trip(waiting, 1);
    close(waiting);
    make_round_trip(client, 2);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    waiting = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    few = (struct rlimit){.rlim_cur = 8, .rlim_max = before.rlim_max};
    begin_capture(&captured);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(fg_modbus_server_port(bench.server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(waiting, (struct sockaddr *)&address, sizeof address), 0);
    for (uint16_t i = 0; i < 1000; i++)
        make_round_trip(client, i);
    setrlimit(RLIMIT_NOFILE, &before);
    end_capture(&captured);
    assert_int_equal(count_lines(&captured, "the system gives no connection"), 1);
    /* A second later it is let in. */
    move_clock(FG_S);
    make_round_trip(client, 3);
    make_round_trip(waiting, 3);
    close(client);
    close(waiting);
    bench_stop(&bench);
}

/* ---- The lock ---- */

/* Writes the register; gives 0, or libmodbus's error. */
static int write_holding(modbus_t *client, int address, uint16_t value) {
    return modbus_write_register(client, address, value) == 1 ? 0 : errno;
}

static void the_code_unlocks_for_who_wrote_it(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench.settings.rules.unlock_code = CODE;
    bench_start(&bench);
    modbus_t *one = bench_open_client(&bench), *other = bench_open_client(&bench);
    assert_int_equal(write_holding(one, 7, CODE), 0);
    assert_int_equal(write_holding(one, 6, 50), 0);
    assert_int_equal(write_holding(other, 6, 60), EMBXSBUSY);
    move_clock(24 * 3600 * FG_S);
    assert_int_equal(write_holding(one, 6, 70), 0);
    assert_int_equal(write_holding(one, 7, 0), 0);
    assert_int_equal(write_holding(one, 6, 80), EMBXSBUSY);
    assert_int_equal(write_holding(one, 7, CODE), 0);
    assert_int_equal(write_holding(one, 6, 80), 0);
    bench_close_client(one);
    one = bench_open_client(&bench); /* perhaps at the same place */
    assert_int_equal(write_holding(one, 6, 90), EMBXSBUSY);
    bench_close_client(one);
    bench_close_client(other);
    bench_stop(&bench);
    assert_int_equal(bench.now.holding.pulse, 80);
}

static void a_code_cannot_be_guessed(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench.settings.rules.unlock_code = CODE;
    bench_start(&bench);
    modbus_t *one = bench_open_client(&bench), *other = bench_open_client(&bench);
    begin_capture(&captured);
    for (uint16_t i = 0; i < 5; i++) {
        modbus_t *guesser = bench_open_client(&bench); /* a new connection does not help */
        assert_int_equal(write_holding(guesser, 7, i + 1), EMBXILVAL);
        bench_close_client(guesser);
    }
    assert_int_equal(write_holding(one, 7, CODE), EMBXSBUSY);
    assert_int_equal(write_holding(other, 7, 9), EMBXSBUSY);
    move_clock(59 * FG_S);
    assert_int_equal(write_holding(one, 7, CODE), EMBXSBUSY);
    move_clock(FG_S);
    assert_int_equal(write_holding(one, 7, CODE), 0);
    end_capture(&captured);
    assert_int_equal(count_lines(&captured, "every code is refused for a minute"), 1);
    for (uint16_t i = 0; i < 4; i++)
        assert_int_equal(write_holding(other, 7, i + 1), EMBXILVAL);
    assert_int_equal(write_holding(one, 7, CODE), 0); /* four are not five, and do not lock who has it */
    bench_close_client(one);
    bench_close_client(other);
    bench_stop(&bench);
}

/* ---- The log ---- */

static void each_change_by_a_plc_is_logged(void **state) {
    (void)state;
    static const struct {
        bool coil;
        int address;
        uint16_t value;
        const char *line;
    } WRITES[] = {
        {false, 1, 5000, "changed the threshold x 10000 of view 0 from 0 to 5000"},
        {false, 1, 6000, "changed the threshold x 10000 of view 0 from 5000 to 6000"},
        {false, 0, 1, "changed the slot, holding register 0 from 0 to 1"},
        {false, 6, 90, "changed the reject pulse (0.1 ms), holding register 6 from 0 to 90"},
        {true, 0, 0, "changed coil 0 (trigger_enable) from 1 to 0"},
        {true, 0, 1, "changed coil 0 (trigger_enable) from 0 to 1"},
        {true, 3, 1, "changed coil 3 (clear_fault) from 0 to 1"},
        {true, 4, 1, "changed coil 4 (offline) from 0 to 1"},
        {true, 4, 0, "changed coil 4 (offline) from 1 to 0"},
        {true, 5, 1, "changed coil 5 (reset_counters) from 0 to 1"},
        {true, 6, 1, "changed coil 6 (command) from 0 to 1, command 1"},
    };
    struct bench bench = bench_make();
    bench.now.holding.command = FG_CODE_SELF_TEST;
    bench_start(&bench);
    modbus_t *client = bench_open_client_from(&bench, "127.0.0.5");
    begin_capture(&captured);
    for (int again = 0; again < 2; again++) /* the second time nothing changes */
        for (size_t i = 0; i < sizeof WRITES / sizeof *WRITES; i++) {
            if (again && (i < 2 || WRITES[i].address == 0 || WRITES[i].address == 4))
                continue;
            assert_int_equal(WRITES[i].coil
                                 ? modbus_write_bit(client, WRITES[i].address, WRITES[i].value)
                                 : modbus_write_register(client, WRITES[i].address, WRITES[i].value),
                             1);
        }
    const uint16_t pair[] = {1, 2};
    assert_int_equal(modbus_write_registers(client, 4, 2, pair), 2);
    for (uint16_t i = 0; i < 50; i++) {
        assert_int_equal(modbus_write_register(client, 3, i), 1); /* the watchdog, at each cycle */
        assert_int_equal(modbus_write_bit(client, 2, i % 2), 1);  /* and what each part needs */
    }
    end_capture(&captured);
    for (size_t i = 0; i < sizeof WRITES / sizeof *WRITES; i++) {
        char line[128];
        snprintf(line, sizeof line, "Modbus: 127.0.0.5 %s", WRITES[i].line);
        if (count_lines(&captured, line) != 1)
            fail_msg("\"%s\" is not once in:\n%s", line, captured.text);
    }
    assert_int_equal(count_lines(&captured, "holding register 4 from 0 to 65538"), 1);
    assert_int_equal(count_lines(&captured, "changed"), sizeof WRITES / sizeof *WRITES + 1);
    bench_close_client(client);
    bench_stop(&bench);
}

static void a_flood_is_one_line_a_second(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench.settings.tcp.writers = 1;
    bench.settings.tcp.writer[0] = "127.0.0.2";
    bench_start(&bench);
    modbus_t *reader = bench_open_client(&bench);
    uint16_t word;
    begin_capture(&captured);
    move_clock(2 * FG_S);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(modbus_read_registers(reader, 900, 1, &word), -1);
        assert_int_equal(modbus_write_register(reader, 3, 1), -1);
    }
    look_at_capture(&captured);
    assert_int_equal(count_lines(&captured, "function 3, address 900, count 1"), 1);
    assert_int_equal(count_lines(&captured, "127.0.0.1 may not write"), 1);
    move_clock(FG_S);
    for (int i = 0; i < 2; i++) /* with the second answer, the first one's turn has ended */
        assert_int_equal(modbus_read_registers(reader, 0, 1, &word), 1);
    end_capture(&captured);
    assert_int_equal(count_lines(&captured, "function 3, address 900, count 1"), 2);
    assert_int_equal(count_lines(&captured, "127.0.0.1 may not write"), 2);
    assert_int_equal(count_lines(&captured, "(the last of 99 like this in the last second)"), 2);
    bench_close_client(reader);
    bench_stop(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_seventeenth_is_refused_while_all_are_in_use),
        cmocka_unit_test(the_longest_silent_loses_its_place),
        cmocka_unit_test(a_writer_never_loses_its_place),
        cmocka_unit_test(half_a_request_closes_after_5_s),
        cmocka_unit_test(by_default_silence_closes_nobody),
        cmocka_unit_test(tcp_asks_whether_a_silent_client_lives),
        cmocka_unit_test(too_few_descriptors_are_an_error_at_start),
        cmocka_unit_test(a_limit_that_is_lowered_later_stops_nobody),
        cmocka_unit_test(the_code_unlocks_for_who_wrote_it),
        cmocka_unit_test(a_code_cannot_be_guessed),
        cmocka_unit_test(each_change_by_a_plc_is_logged),
        cmocka_unit_test(a_flood_is_one_line_a_second),
    };
    stop_clock();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
