/* The snapshot cell: a reader gets a whole snapshot, whatever the writer does meanwhile. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/line/snapshot.h"

enum { READS = 20000, READERS = 2 };

static struct fg_snapshot_cell cell;
static atomic_bool stop;

/* Fields from the first to the last byte, all made from one number. */
static struct fg_snapshot numbered(uint32_t number) {
    struct fg_snapshot s = {.online = number & 1, .error = (uint16_t)number, .uptime_s = number};
    s.result.id = number;
    s.result.trigger_unix_ms = number;
    s.counters = (struct fg_counters){number, number, number, number, number, number, number, number};
    s.bundle_checksum = number;
    memset(s.bundle_name, (int)(number & 255), sizeof s.bundle_name);
    return s;
}

static void *write_on(void *context) {
    (void)context;
    for (uint32_t i = 0; !atomic_load(&stop); i++) {
        struct fg_snapshot snapshot = numbered(i);
        fg_snapshot_publish(&cell, &snapshot);
    }
    return NULL;
}

/* Returns non-NULL when a snapshot was torn or older than the one before. */
static void *read_on(void *context) {
    (void)context;
    uint32_t last = 0;
    for (uint32_t i = 0; i < READS; i++) {
        struct fg_snapshot s;
        fg_snapshot_read(&cell, &s);
        struct fg_snapshot expected = numbered(s.uptime_s);
        bool whole = s.online == expected.online && s.error == expected.error &&
                     s.result.id == expected.result.id &&
                     s.result.trigger_unix_ms == expected.result.trigger_unix_ms &&
                     !memcmp(&s.counters, &expected.counters, sizeof s.counters) &&
                     s.bundle_checksum == expected.bundle_checksum &&
                     !memcmp(s.bundle_name, expected.bundle_name, sizeof s.bundle_name);
        if (!whole || (int32_t)(s.uptime_s - last) < 0)
            return &cell;
        last = s.uptime_s;
    }
    return NULL;
}

static void a_snapshot_is_read_whole(void **state) {
    (void)state;
    pthread_t writer, reader[READERS];
    struct fg_snapshot first = numbered(0);
    fg_snapshot_publish(&cell, &first);
    assert_int_equal(pthread_create(&writer, NULL, write_on, NULL), 0);
    for (uint32_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&reader[i], NULL, read_on, NULL), 0);
    void *torn[READERS];
    for (uint32_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(reader[i], &torn[i]), 0);
    atomic_store(&stop, true);
    assert_int_equal(pthread_join(writer, NULL), 0);
    for (uint32_t i = 0; i < READERS; i++)
        assert_null(torn[i]);
}

static void a_new_cell_holds_zeros(void **state) {
    (void)state;
    static struct fg_snapshot_cell zeroed;
    struct fg_snapshot snapshot = numbered(5);
    fg_snapshot_read(&zeroed, &snapshot);
    assert_false(snapshot.online);
    assert_int_equal(snapshot.result.verdict, 0);
    assert_int_equal(snapshot.bundle_name[FG_BUNDLE_NAME_SIZE - 1], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_is_read_whole),
        cmocka_unit_test(a_new_cell_holds_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
