/* Once it is open, the Modbus server takes no memory: with clients that poll, write, are refused, and one
 * that comes back again and again. Counts what the server's thread asks of the allocator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "tests/runtime/modbus/modbus_bench.h"
#include "tests/runtime/modbus/wire.h"

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || !defined __GLIBC__
#define COUNTED 0 /* the allocator is the sanitizer's */
#else
#define COUNTED 1
#endif

static _Thread_local bool counting;
static atomic_uint taken;

#if COUNTED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static void count(void) {
    if (counting)
        atomic_fetch_add(&taken, 1);
}

void *malloc(size_t size) {
    count();
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
    count();
    return __libc_calloc(n, size);
}

void *realloc(void *memory, size_t size) {
    count();
    return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count();
    return __libc_memalign(alignment, size);
}

void *mmap(void *address, size_t size, int protection, int flags, int file, off_t offset) {
    count();
    return (void *)syscall(SYS_mmap, address, size, protection, flags, file, offset);
}
#endif

static void *run_counted(void *context) {
    struct bench *bench = context;
    counting = true;
    fg_modbus_server_run(bench->server);
    counting = false;
    return NULL;
}

static void serving_takes_no_memory(void **state) {
    (void)state;
    if (!COUNTED) {
        print_message("skipped: the allocator cannot be counted under a sanitizer\n");
        skip();
    }
    struct bench bench = bench_make();
    struct wire wire;
    wire_open(&wire);
    bench.settings.rtu = (struct fg_serial_settings){
        .device = wire.end[0].name, .baud = 115200, .parity = FG_PARITY_NONE, .stop_bits = 1};
    bench_start(&bench);
    modbus_t *serial = modbus_new_rtu(wire.end[1].name, 115200, 'N', 8, 1);
    modbus_set_slave(serial, UNIT);
    modbus_set_response_timeout(serial, 60, 0);
    assert_int_equal(modbus_connect(serial), 0);
    int first = bench_connect(&bench); /* its line of the log reads the time zone, which takes memory once */
    make_round_trip(first, 1);
    close(first);
    fg_modbus_server_stop(bench.server);
    assert_int_equal(pthread_join(bench.thread, NULL), 0);
    assert_int_equal(pthread_create(&bench.thread, NULL, run_counted, &bench), 0);

    modbus_t *poller = bench_open_client(&bench), *writer = bench_open_client(&bench);
    for (uint16_t i = 0; i < 200; i++) {
        uint16_t words[125];
        uint8_t bits[16];
        assert_int_equal(modbus_read_input_registers(poller, 0, 125, words), 125);
        assert_int_equal(modbus_read_input_bits(poller, 0, 16, bits), 16);
        assert_int_equal(modbus_write_register(writer, 3, i), 1);
        assert_int_equal(modbus_write_register(writer, 0, 99), -1);
        assert_int_equal(
            modbus_write_and_read_registers(writer, 6, 1, &(const uint16_t){i % 90 + 1}, 1000, 9, words), 9);
        assert_int_equal(modbus_read_input_registers(serial, 0, 125, words), 125);
        assert_int_equal(modbus_read_registers(serial, 500, 1, words), -1);
        int again = bench_connect(&bench);
        make_round_trip(again, i);
        if (i % 2)
            send_all(again, "no Modbus at all", 16);
        close(again);
    }
    bench_close_client(poller);
    bench_close_client(writer);
    bench_close_client(serial);
    int crowd[2 * FG_MODBUS_CLIENTS];
    for (uint16_t i = 0; i < 2 * FG_MODBUS_CLIENTS; i++) { /* half of them are refused */
        crowd[i] = bench_connect(&bench);
        uint8_t frame[12], answer[13];
        make_frame(frame, i, UNIT, 4, 5, 1);
        send(crowd[i], frame, sizeof frame, MSG_NOSIGNAL);
        while (recv(crowd[i], answer, sizeof answer, 0) < 0 && errno == EINTR)
            ;
    }
    for (uint16_t i = 0; i < 2 * FG_MODBUS_CLIENTS; i++)
        close(crowd[i]);
    bench_stop(&bench);
    wire_close(&wire);
    assert_int_equal(atomic_load(&taken), 0);
}

static void the_count_counts(void **state) {
    (void)state;
    if (!COUNTED)
        skip();
    counting = true;
    void *volatile memory = malloc(10);
    counting = false;
    free(memory);
    assert_int_equal(atomic_load(&taken), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serving_takes_no_memory),
        cmocka_unit_test(the_count_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
