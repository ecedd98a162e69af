/* Two servers on one line, as TCP and RTU will be: what one PLC writes, the other's writes leave alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <modbus.h>

#include "runtime/modbus/server.h"
#include "tests/runtime/line/running.h"

#define SERVERS 2
#define ROUNDS 500

static int make(void **state) {
    make_folder(state);
    make_bundle("one", SIDE, 4, 1);
    return 0;
}

/* A server, its thread, and a PLC that raises and lowers one coil. */
struct served {
    struct fg_modbus_server *server;
    pthread_t thread, plc;
    int coil;
    int failed_at; /* the round in which the coil did not read as written; 0: none */
};

static void *run_server(void *argument) {
    fg_modbus_server_run(((struct served *)argument)->server);
    return NULL;
}

static void *write_coil(void *argument) {
    struct served *s = argument;
    modbus_t *plc = modbus_new_tcp("127.0.0.1", fg_modbus_server_port(s->server));
    s->failed_at = modbus_connect(plc) ? -1 : 0;
    for (int i = 1; i <= ROUNDS && !s->failed_at; i++) {
        uint8_t level = 2;
        if (modbus_write_bit(plc, s->coil, i % 2) != 1 || modbus_read_bits(plc, s->coil, 1, &level) != 1 ||
            level != i % 2)
            s->failed_at = i;
    }
    modbus_close(plc);
    modbus_free(plc);
    return NULL;
}

static void test_coils_of_two_servers(void **state) {
    static const int COILS[SERVERS] = {FG_COIL_AT_OFFLINE, FG_COIL_AT_RESULT_ACK};
    struct served served[SERVERS];
    reset_config(state);
    add_bundle(0, "one");
    begin_line();
    for (int i = 0; i < SERVERS; i++) {
        struct served *s = &served[i];
        const struct fg_modbus_settings settings = {.bind = "127.0.0.1", .unit = 1, .idle_timeout_ms = 60000};
        const struct fg_modbus_line to = {
            .cell = fg_line_cell(line), .apply = fg_line_apply, .context = line};
        *s = (struct served){.coil = COILS[i]};
        OK(fg_modbus_server_open(&settings, &to, &s->server, &message));
        assert_int_equal(pthread_create(&s->thread, NULL, run_server, s), 0);
    }
    for (int i = 0; i < SERVERS; i++)
        assert_int_equal(pthread_create(&served[i].plc, NULL, write_coil, &served[i]), 0);
    for (int i = 0; i < SERVERS; i++)
        pthread_join(served[i].plc, NULL);
    for (int i = 0; i < SERVERS; i++) {
        fg_modbus_server_stop(served[i].server);
        pthread_join(served[i].thread, NULL);
        fg_modbus_server_close(served[i].server);
    }
    for (int i = 0; i < SERVERS; i++)
        assert_int_equal(served[i].failed_at, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(test_coils_of_two_servers, end_line)};
    return cmocka_run_group_tests(tests, make, remove_folder);
}
