/* Clients that behave badly without pause, all at once; beside them, good ones are served as if they were
 * alone. Prints, for whoever wants the figure, how long a good one's round trip takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "runtime/base/clock.h"
#include "tests/runtime/modbus/modbus_bench.h"

#define ROUND_TRIPS 5000

enum badness {
    SLOW,
    SILENT,
    HALF_OPEN,
    BAD_QUANTITIES,
    UNKNOWN_FUNCTIONS,
    HALF_FRAMES,
    DEAF,
    NO_MODBUS,
    KINDS
};

struct bad_client {
    const struct bench *bench;
    enum badness badness;
    atomic_bool *stop;
    pthread_t thread;
    uint32_t wrong; /* answers that it should not have got */
};

/* Connects without failing the test: the server may refuse it. */
static int try_connect(const struct bench *bench) {
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(fg_modbus_server_port(bench->server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval second = {.tv_sec = 1};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    if (connect(client, (struct sockaddr *)&address, sizeof address) == 0)
        return client;
    close(client);
    return -1;
}

/* Sends a frame and takes what comes; false: it was closed. */
static bool exchange_bytes(struct bad_client *bad, int client, const uint8_t *frame, size_t size,
                           uint8_t exception) {
    uint8_t answer[260];
    if (send(client, frame, size, MSG_NOSIGNAL) != (ssize_t)size)
        return false;
    const ssize_t got = recv(client, answer, sizeof answer, 0);
    bad->wrong += got >= 9 && (!(answer[7] & 0x80) || answer[8] != exception);
    return got > 0;
}

/* One connection's worth of bad behaviour. */
static void behave_badly(struct bad_client *bad, int client) {
    uint8_t frame[12];
    bool open = true;
    make_frame(frame, 1, UNIT, 4, 0, 125);
    for (int i = 0; i < 200 && open && !atomic_load(bad->stop); i++)
        switch (bad->badness) {
        case SLOW: /* a byte at a time */
            open = send(client, frame + i % 12, 1, MSG_NOSIGNAL) == 1;
            poll(NULL, 0, 1);
            break;
        case SILENT:
            poll(NULL, 0, 10);
            break;
        case HALF_OPEN: /* says at once that it will send no more */
            open = false;
            break;
        case BAD_QUANTITIES:
            make_frame(frame, (uint16_t)i, UNIT, (uint8_t)(1 + i % 4), 0, i % 2 ? 0 : 60000);
            open = exchange_bytes(bad, client, frame, 12, 3);
            break;
        case UNKNOWN_FUNCTIONS:
            make_frame(frame, (uint16_t)i, UNIT, (uint8_t)(i % 2 ? 100 + i % 20 : 128 + i % 100), 0, 1);
            open = exchange_bytes(bad, client, frame, 12, 1);
            break;
        case HALF_FRAMES:
            open = send(client, frame, 1 + (size_t)(i % 11), MSG_NOSIGNAL) > 0;
            i = 200;
            break;
        case DEAF: /* asks, and never reads */
            if (send(client, frame, 12, MSG_NOSIGNAL | MSG_DONTWAIT) != 12)
                poll(NULL, 0, 1);
            break;
        default:
            send(client, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL);
            open = false;
            break;
        }
}

static void *run_bad(void *argument) {
    struct bad_client *bad = argument;
    while (!atomic_load(bad->stop)) {
        int client = try_connect(bad->bench);
        if (client < 0)
            continue;
        behave_badly(bad, client);
        /* It goes when the server has let it go, so that each has one place at a time. */
        uint8_t rest[256];
        shutdown(client, SHUT_WR);
        while (recv(client, rest, sizeof rest, 0) > 0)
            ;
        close(client);
    }
    return NULL;
}

static int compare(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void good_clients_are_served_beside_bad_ones(void **state) {
    (void)state;
    static int64_t took[ROUND_TRIPS];
    static const char *const NAMES[] = {"alone", "beside the bad ones"};
    struct bench bench = bench_make();
    struct bad_client bad[KINDS];
    atomic_bool stop = false;
    char command[256];
    bench_start(&bench);
    modbus_t *good = bench_open_client(&bench);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; round == 1 && i < KINDS; i++) {
            bad[i] = (struct bad_client){.bench = &bench, .badness = (enum badness)i, .stop = &stop};
            assert_int_equal(pthread_create(&bad[i].thread, NULL, run_bad, &bad[i]), 0);
        }
        for (uint16_t i = 0; i < ROUND_TRIPS; i++) {
            uint16_t words[125], word;
            const int64_t begin = fg_clock_ns();
            assert_int_equal(modbus_read_input_registers(good, 0, 125, words), 125);
            took[i] = fg_clock_ns() - begin;
            assert_int_equal(words[5], 0x5678);
            if (i % 10 == 0) {
                assert_int_equal(modbus_write_register(good, 3, i), 1);
                assert_int_equal(modbus_read_registers(good, 3, 1, &word), 1);
                assert_int_equal(word, i);
            }
        }
        qsort(took, ROUND_TRIPS, sizeof *took, compare);
        print_message("a round trip %s: median %.3f ms, 99th percentile %.3f ms, longest %.3f ms\n",
                      NAMES[round], (double)took[ROUND_TRIPS / 2] / 1e6,
                      (double)took[ROUND_TRIPS / 100 * 99] / 1e6, (double)took[ROUND_TRIPS - 1] / 1e6);
    }
    /* Programs that are not ours, while it goes on. */
    const unsigned port = fg_modbus_server_port(bench.server);
    if (system("command -v mbpoll >/dev/null") == 0) {
        snprintf(command, sizeof command, "mbpoll -m tcp -p %u -a %d -1 -t 3:hex -r 5 -c 2 127.0.0.1 2>&1",
                 port, UNIT);
        bench_expect_output(command, "[5]: \t0x1234\n[6]: \t0x5678");
    }
    if (system("/usr/bin/python3 -c 'import pymodbus' 2>/dev/null") == 0) {
        snprintf(command, sizeof command, "/usr/bin/python3 tests/runtime/modbus/peer.py %u 2>&1", port);
        bench_expect_output(command, "ok ");
    }
    atomic_store(&stop, true);
    for (int i = 0; i < KINDS; i++) {
        pthread_join(bad[i].thread, NULL);
        assert_int_equal(bad[i].wrong, 0);
    }
    bench_close_client(good);
    bench_stop(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_clients_are_served_beside_bad_ones)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
