/* The simulated board: edges and outputs between processes, and what is left when the owner is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "board/gpio/simulated.h"
#include "runtime/base/clock.h"

#define PATIENCE (60 * FG_S)

enum { TRIGGER, SENSOR, REJECT, READY, IOS };

static const struct fg_io ios[IOS] = {
    [TRIGGER] = {.name = "TRIGGER"},
    [SENSOR] = {.name = "SENSOR", .active_low = true},
    [REJECT] = {.name = "REJECT", .output = true, .active_low = true},
    [READY] = {.name = "READY", .output = true},
};

static char folder[64];
static struct fg_simulated_settings settings;
static struct fg_board *owner;
static struct fg_simulated *peer;
static struct fg_message message;

#define OK(call)                                                                                             \
    do {                                                                                                     \
        if ((call) != FG_OK)                                                                                 \
            fail_msg("%s", message.text);                                                                    \
    } while (0)

static int set_up(void **state) {
    (void)state;
    strcpy(folder, "/tmp/flawgate-board-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(settings.path, sizeof settings.path, "%s", folder);
    OK(fg_simulated_driver.open(&settings, ios, IOS, &owner, &message));
    OK(fg_simulated_join(folder, &peer, &message));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    fg_simulated_close(peer);
    if (owner)
        owner->close(owner);
    owner = NULL;
    peer = NULL;
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static void set(uint32_t io, bool level) {
    OK(owner->outputs->set(owner->outputs, io, level, 0, &message));
}

static struct fg_simulated_change change(uint64_t sequence) {
    struct fg_simulated_change found;
    OK(fg_simulated_change(peer, sequence, fg_clock_ns() + PATIENCE, &found, &message));
    assert_int_equal(found.sequence, sequence);
    return found;
}

static void test_edges_come_in_order_with_their_time(void **state) {
    (void)state;
    struct fg_edges *edges = owner->edges;
    struct fg_edge edge;
    assert_false(edges->next(edges, &edge));
    const int64_t before = fg_clock_ns();
    OK(fg_simulated_drive(peer, TRIGGER, true, &message));
    OK(fg_simulated_drive(peer, TRIGGER, true, &message)); /* no edge */
    OK(fg_simulated_drive(peer, SENSOR, true, &message));
    OK(fg_simulated_drive(peer, TRIGGER, false, &message));
    const int64_t after = fg_clock_ns();
    struct pollfd ready = {.fd = edges->descriptor, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 0), 1);
    const struct fg_edge expected[] = {{.io = TRIGGER, .level = true, .sequence = 1},
                                       {.io = SENSOR, .level = false, .sequence = 1},
                                       {.io = TRIGGER, .level = false, .sequence = 2}};
    int64_t last = before;
    for (size_t i = 0; i < 3; i++) {
        assert_true(edges->next(edges, &edge));
        assert_int_equal(edge.io, expected[i].io);
        assert_int_equal(edge.level, expected[i].level); /* active-low is undone */
        assert_int_equal(edge.sequence, expected[i].sequence);
        assert_int_equal(edge.lost, 0);
        assert_true(edge.time_ns >= last && edge.time_ns <= after);
        last = edge.time_ns;
    }
    assert_false(edges->next(edges, &edge));
    assert_int_equal(poll(&ready, 1, 0), 0);
    assert_true(fg_simulated_level(peer, SENSOR)); /* the wire's */
    assert_int_equal(fg_simulated_drive(peer, READY, true, &message), FG_USAGE);
}

/* What no driver of ours writes: ios that are none, outputs, times to come. */
static void test_hostile_edges(void **state) {
    (void)state;
    const struct {
        uint32_t io, level;
        int64_t time_ns;
    } records[] = {{IOS, 1, 0}, {UINT32_MAX, 1, 0}, {READY, 1, 0}, {TRIGGER, 7, INT64_MAX}};
    char path[96];
    snprintf(path, sizeof path, "%s/edges", folder);
    const int fifo = open(path, O_WRONLY | O_NONBLOCK);
    assert_true(fifo >= 0);
    assert_int_equal(write(fifo, records, sizeof records), sizeof records);
    close(fifo);
    struct fg_edges *edges = owner->edges;
    struct fg_edge edge;
    assert_true(edges->next(edges, &edge));
    assert_int_equal(edge.io, TRIGGER);
    assert_true(edge.level);
    assert_true(edge.time_ns <= fg_clock_ns());
    assert_false(edges->next(edges, &edge));
}

static void test_outputs_are_seen_as_changes(void **state) {
    (void)state;
    const uint64_t first = fg_simulated_changes(peer);
    set(REJECT, false);
    assert_true(fg_simulated_level(peer, REJECT)); /* active-low */
    set(REJECT, false);                            /* no change */
    set(READY, true);
    set(REJECT, true);
    assert_int_equal(fg_simulated_changes(peer), first + 3);
    const uint32_t io[] = {REJECT, READY, REJECT};
    const bool level[] = {true, true, false};
    for (uint64_t i = 0; i < 3; i++) {
        const struct fg_simulated_change found = change(first + i);
        assert_int_equal(found.io, io[i]);
        assert_int_equal(found.level, level[i]);
    }
    struct fg_simulated_change none;
    assert_int_equal(fg_simulated_change(peer, first + 3, 0, &none, &message), FG_TIMEOUT);
}

static void test_an_output_keeps_its_time(void **state) {
    (void)state;
    struct fg_outputs *outputs = owner->outputs;
    const int64_t at = fg_clock_ns() + 20 * FG_MS;
    const uint64_t first = fg_simulated_changes(peer);
    OK(outputs->set(outputs, READY, true, at, &message));
    assert_true(change(first).time_ns >= at);
}

static void *wait_for_ready(void *sequence) {
    struct fg_simulated_change found;
    const uint64_t *first = sequence;
    return fg_simulated_change(peer, *first, fg_clock_ns() + PATIENCE, &found, NULL) == FG_OK ? sequence
                                                                                              : NULL;
}

static void test_a_watcher_is_woken(void **state) {
    (void)state;
    uint64_t first = fg_simulated_changes(peer);
    pthread_t watcher;
    void *result;
    assert_int_equal(pthread_create(&watcher, NULL, wait_for_ready, &first), 0);
    set(READY, true);
    assert_int_equal(pthread_join(watcher, &result), 0);
    assert_ptr_equal(result, &first);
}

static void test_old_changes_are_said_to_be_gone(void **state) {
    (void)state;
    const uint64_t first = fg_simulated_changes(peer);
    for (int i = 0; i <= FG_SIMULATED_CHANGES; i++)
        set(READY, i % 2 == 0);
    struct fg_simulated_change none;
    assert_int_equal(fg_simulated_change(peer, first, fg_clock_ns() + PATIENCE, &none, &message), FG_INPUT);
    assert_true(change(first + 1).io == READY);
}

/* Once they are made safe, as a process that crashes does, another thread does not bring them back. */
static void test_safe_is_for_good(void **state) {
    (void)state;
    set(READY, true);
    assert_true(fg_simulated_level(peer, READY));
    owner->outputs->safe(owner->outputs);
    assert_false(fg_simulated_level(peer, READY));
    set(READY, true);
    assert_false(fg_simulated_level(peer, READY));
    assert_true(fg_simulated_owned(peer));
}

static void test_one_owner(void **state) {
    (void)state;
    struct fg_board *second = NULL;
    assert_int_equal(fg_simulated_driver.open(&settings, ios, IOS, &second, &message), FG_ENVIRONMENT);
    assert_non_null(strstr(message.text, folder));
    assert_null(second);
}

/* Levels stay when the owner is gone; they can still be made safe; a new owner takes the board over, releases
 * its outputs and does not see edges of before. */
static void test_the_owner_dies(void **state) {
    (void)state;
    set(READY, true);
    OK(fg_simulated_drive(peer, TRIGGER, true, &message));
    owner->close(owner);
    owner = NULL;
    assert_true(fg_simulated_level(peer, READY));
    fg_simulated_close(peer);
    OK(fg_simulated_join(folder, &peer, &message));
    assert_int_equal(fg_simulated_drive(peer, TRIGGER, false, &message), FG_ENVIRONMENT);
    assert_true(fg_simulated_level(peer, TRIGGER));
    fg_simulated_make_safe(peer);
    assert_false(fg_simulated_level(peer, READY));

    const uint64_t changes = fg_simulated_changes(peer);
    OK(fg_simulated_driver.open(&settings, ios, IOS, &owner, &message));
    assert_int_equal(fg_simulated_changes(peer), changes);
    struct fg_edge edge;
    struct fg_edges *edges = owner->edges;
    assert_false(edges->next(edges, &edge));
    set(READY, true);
    assert_int_equal(change(changes).io, READY);
}

static void test_no_board(void **state) {
    (void)state;
    struct fg_simulated *none = NULL;
    assert_int_equal(fg_simulated_join("/tmp/flawgate-nowhere", &none, &message), FG_ENVIRONMENT);
    char path[96];
    snprintf(path, sizeof path, "%s/lines", folder);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(fg_simulated_join(folder, &none, &message), FG_ENVIRONMENT);
    assert_null(none);
}

/* ---- A place that cannot be used ---- */

static void refused(const char *path, const char *why) {
    struct fg_simulated_settings other = {{0}};
    struct fg_board *none = NULL;
    int32_t process;
    snprintf(other.path, sizeof other.path, "%s", path);
    for (int probe = 0; probe < 2; probe++) {
        const enum fg_status status = probe ? fg_simulated_driver.probe(&other, &process, &message)
                                            : fg_simulated_driver.open(&other, ios, IOS, &none, &message);
        assert_int_equal(status, FG_ENVIRONMENT);
        if (!strstr(message.text, why))
            fail_msg("no \"%s\" in: %s", why, message.text);
    }
}

/* open and probe say the same, and a probe makes nothing. */
static void test_wrong_places(void **state) {
    (void)state;
    char path[128];
    int32_t process = -1;
    refused("/tmp/flawgate-nowhere/deeper/board", "is not there, nor the one above it");
    snprintf(path, sizeof path, "%s/lines", folder);
    refused(path, "lines is a file, not a folder");
    snprintf(path, sizeof path, "%s/lines/board", folder);
    refused(path, "Not a directory");
    snprintf(path, sizeof path, "%s/other", folder);
    snprintf(settings.path, sizeof settings.path, "%s", path);
    OK(fg_simulated_driver.probe(&settings, &process, &message));
    assert_int_equal(process, 0);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(mkdir(path, 0700), 0);
    strcat(path, "/edges");
    assert_int_equal(mkdir(path, 0700), 0);
    refused(settings.path, "is no FIFO: remove it");
}

static void test_a_probe_finds_the_owner(void **state) {
    (void)state;
    int32_t process = 0;
    set(READY, true);
    const uint64_t changes = fg_simulated_changes(peer);
    OK(fg_simulated_driver.probe(&settings, &process, &message));
    assert_int_equal(process, getpid());
    assert_true(fg_simulated_level(peer, READY));
    assert_int_equal(fg_simulated_changes(peer), changes);
    OK(fg_simulated_drive(peer, TRIGGER, true, &message));
    struct fg_edge edge;
    assert_true(owner->edges->next(owner->edges, &edge));
}

static bool write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    return file && fputs(text, file) >= 0 && fclose(file) == 0;
}

/* Makes this process root in a view of the system of its own, in which it may mount. */
static bool leave_system(void) {
    const unsigned user = geteuid();
    char users[32], groups[32];
    snprintf(users, sizeof users, "0 %u 1", user);
    snprintf(groups, sizeof groups, "0 %u 1", getegid());
    if (unshare(user ? CLONE_NEWUSER | CLONE_NEWNS : CLONE_NEWNS) != 0)
        return false;
    if (user && !(write_text("/proc/self/setgroups", "deny") && write_text("/proc/self/uid_map", users) &&
                  write_text("/proc/self/gid_map", groups)))
        return false;
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* Runs in a process of its own, which ends by a signal where memory cannot be had. The folder becomes a file
 * system of a few pages, all taken. 2: the system lets this user mount nothing. */
static int use_full_folder(void) {
    char path[96];
    if (!leave_system() || mount("none", folder, "tmpfs", 0, "size=128k") != 0)
        return 2;
    OK(fg_simulated_driver.open(&settings, ios, IOS, &owner, &message)); /* where there is room */
    owner->close(owner);
    owner = NULL;
    snprintf(path, sizeof path, "%s/lines", folder);
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(truncate(path, found.st_size), 0); /* as one made by an older program: it has no bytes */
    snprintf(path, sizeof path, "%s/filling", folder);
    const int filling = open(path, O_WRONLY | O_CREAT, 0600);
    static const char page[4096];
    while (write(filling, page, sizeof page) > 0)
        ;
    close(filling);
    struct fg_simulated *joined = NULL;
    assert_int_equal(fg_simulated_join(folder, &joined, &message), FG_ENVIRONMENT);
    assert_non_null(strstr(message.text, "bytes: remove other files there"));
    refused(folder, "has no room for");
    return 0;
}

static void test_a_full_folder(void **state) {
    (void)state;
    owner->close(owner);
    owner = NULL;
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0)
        _exit(use_full_folder());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
        skip();
    assert_int_equal(status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_edges_come_in_order_with_their_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hostile_edges, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_outputs_are_seen_as_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_output_keeps_its_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_watcher_is_woken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_old_changes_are_said_to_be_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_safe_is_for_good, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_owner, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_owner_dies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_board, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wrong_places, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_probe_finds_the_owner, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_full_folder, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
