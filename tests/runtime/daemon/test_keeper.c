/* What the state directory keeps over ends of every kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/daemon/keeper.h"

#define PATIENCE (60 * FG_S)

static char folder[] = "/tmp/flawgate-state-XXXXXX", path[64];
static struct fg_message message;

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/kept", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static struct fg_keeper *begin_run(struct fg_line_kept *kept) {
    struct fg_keeper *keeper = NULL;
    if (fg_keeper_open(path, &keeper, &message) != FG_OK)
        fail_msg("%s", message.text);
    *kept = fg_keeper_kept(keeper);
    if (fg_keeper_begin(keeper, &message) != FG_OK)
        fail_msg("%s", message.text);
    return keeper;
}

/* The last id that the file has reserved. */
static uint32_t read_reserved(void) {
    char name[128];
    unsigned ids = 0;
    snprintf(name, sizeof name, "%s/state", path);
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "flawgate state 1\nstarts %*u\nids %u", &ids), 1);
    fclose(file);
    return ids;
}

static void test_what_is_kept(void **unused) {
    (void)unused;
    struct fg_line_kept kept;
    struct fg_keeper *keeper = begin_run(&kept);
    assert_int_equal(kept.starts, 1);
    assert_int_equal(kept.last_id, 0);
    assert_false(kept.unclean || kept.written);
    fg_keeper_tell(keeper, 5, 0);
    fg_keeper_close(keeper, true);
    /* After a drain, ids go on where they ended. */
    keeper = begin_run(&kept);
    assert_int_equal(kept.starts, 2);
    assert_int_equal(kept.last_id, 5);
    assert_false(kept.unclean || kept.written);
    /* Ids are on the disk before they are given, however many. */
    const int64_t end = fg_clock_ns() + PATIENCE;
    for (uint32_t id = 6; id <= 20000; id++) {
        fg_keeper_tell(keeper, id, FG_WRITTEN_PULSE);
        while (id % 1000 == 0 && read_reserved() < id + 1000) {
            assert_true(fg_clock_ns() < end);
            sched_yield();
        }
    }
    fg_keeper_close(keeper, false);
    /* After any other end, no id comes twice. */
    keeper = begin_run(&kept);
    assert_int_equal(kept.starts, 3);
    assert_true(kept.last_id >= 20000);
    assert_true(kept.unclean);
    assert_int_equal(kept.written, FG_WRITTEN_PULSE);
    fg_keeper_close(keeper, false);
    keeper = begin_run(&kept);
    assert_true(kept.unclean);
    fg_keeper_close(keeper, true);
    keeper = begin_run(&kept);
    assert_false(kept.unclean);
    assert_int_equal(kept.starts, 5);
    fg_keeper_close(keeper, true);
}

/* A start that fails before its run has begun changes nothing. */
static void test_start_that_fails(void **unused) {
    (void)unused;
    struct fg_line_kept before, after;
    fg_keeper_close(begin_run(&before), true);
    struct fg_keeper *keeper = NULL;
    assert_int_equal(fg_keeper_open(path, &keeper, &message), FG_OK);
    fg_keeper_close(keeper, true);
    fg_keeper_close(begin_run(&after), true);
    assert_int_equal(after.starts, before.starts + 1);
    assert_false(after.unclean);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_kept),
        cmocka_unit_test(test_start_that_fails),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
