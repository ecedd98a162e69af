/* flawgated whose device hangs or is lost, on a clock that the tests move: flawgated-hanging. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "runtime/line/line.h"
#include "tests/runtime/daemon/appliance.h"
#include "tests/runtime/daemon/hanging.h"

#define DEADLINE FG_S
#define HALF_BEAT (500 * FG_MS)
#define BEAT 15
#define LINE "}\ntrigger { enable_at_start = true min_interval_ms = 0 }\ndeadline_ms = 1000\n"
#define REJECTS LINE "line reject { name = REJECT }\nreject { delay_ms = 1000 }\n"
/* No part comes to its reject point, which an actuation that gets no processor in time would miss. */
#define FAR LINE "reject { delay_ms = 600000 }\n"
/* While the line is halted reject_active is 1, and nothing else makes it so. */
#define REJECTS_ALL                                                                                          \
    LINE "line reject { name = REJECT active_low = true }\nreject { delay_ms = 600000 }\n"                   \
         "fail_safe = reject-all\n"
#define HALTED 14
#define UPDATING 12

static struct hanging *world;

static int make_bundles(void **state) {
    make_folder(state);
    make_bundle("one", SIDE, 4, 1);
    make_bundle("two", SIDE, 4, 2);
    char path[128];
    snprintf(path, sizeof path, "%s/hanging", folder);
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(file, sizeof *world), 0);
    world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    assert_ptr_not_equal(world, MAP_FAILED);
    close(file);
    return setenv("FG_HANGING", path, 1);
}

/* Starts the daemon with a call that hangs in the first load. */
static void start_hanging(enum hanging_call call, const char *more) {
    atomic_store(&world->now_ns, fg_clock_ns());
    atomic_store(&world->call, call);
    atomic_store(&world->lost, HANG_NOTHING);
    assert_int_equal(sem_init(&world->go, 1, 0), 0);
    launch_daemon("flawgated-hanging", "one.fgb, two.fgb", more);
}

static void end_hang(void) {
    atomic_store(&world->call, HANG_NOTHING);
    assert_int_equal(sem_post(&world->go), 0);
}

/* The line goes around at every request, and answers in the middle of its round: at the second answer it has
 * finished one that began after the first request. */
static void turn_line(void) {
    static uint16_t watchdog;
    for (int i = 0; i < 2; i++)
        write_holding(3, ++watchdog);
}

/* Time passes, in steps that are no standstill of the line's loop. */
static void pass_time(int64_t ns) {
    while (ns > 0) {
        const int64_t step = ns < HALF_BEAT ? ns : HALF_BEAT;
        atomic_fetch_add(&world->now_ns, step);
        ns -= step;
        turn_line();
    }
}

static void wait_level(const char *name, bool level) {
    while (fg_simulated_level(board, find_io(name)) != level)
        wait_change(name);
}

/* The job that hangs is the device's loss at its limit, not before. */
static void expect_loss_after(int64_t limit) {
    pass_time(limit - FG_MS);
    assert_int_not_equal(read_input(1), FG_FAULT_DEVICE_LOST);
    pass_time(FG_MS);
    assert_true(read_status_bit(FAULT));
    assert_int_equal(read_input(1), FG_FAULT_DEVICE_LOST);
}

/* Modbus tells of the loss, which no command takes away or gives work to, while an edge is a part that the
 * device does not judge; outputs are safe; then it ends, though no call to the device returns. */
static void expect_end(uint32_t part) {
    assert_false(read_status_bit(0) || read_status_bit(READY));
    wait_level("FAULT", true);
    assert_false(fg_simulated_level(board, find_io("READY")) || fg_simulated_level(board, find_io("PASS")));
    pulse_coil(3);
    assert_true(read_status_bit(FAULT));
    uint16_t slot = 0;
    assert_int_equal(modbus_read_registers(plc, 0, 1, &slot), 1);
    assert_int_equal(modbus_write_register(plc, 0, !slot), -1);
    assert_int_equal(errno, EMBXSBUSY);
    write_holding(2, 1);
    write_coil(6, false);
    assert_int_equal(modbus_write_bit(plc, 6, true), -1);
    assert_int_equal(errno, EMBXSBUSY);
    pulse_trigger();
    assert_int_equal(wait_result(part).reason, FG_REASON_DEVICE_LOST);
    pass_time(FG_LINE_ANSWER);
    assert_int_equal(read_input(1), FG_FAULT_DEVICE_LOST);
    atomic_fetch_add(&world->now_ns, FG_MS);
    assert_int_equal(wait_end(appliance), 70);
    expect_released();
    close_connections();
}

static void hang_in_part(enum hanging_call call, const char *more) {
    start_hanging(HANG_NOTHING, more);
    wait_bit(READY, true);
    atomic_store(&world->call, call);
    write_coil(1, true);
    wait_log("hangs");
}

static void test_part_that_cannot_be_started(void **state) {
    (void)state;
    hang_in_part(HANG_SUBMIT, REJECTS);
    pass_time(DEADLINE);
    assert_int_equal(wait_result(1).reason, FG_REASON_DEADLINE);
    expect_loss_after(FG_LINE_HANG);
    expect_end(2);
}

/* Its own fault is not what a PLC reads of the device's loss. */
static void test_part_that_does_not_end(void **state) {
    (void)state;
    hang_in_part(HANG_POLL, REJECTS "on_inoperative = stop\n");
    pass_time(DEADLINE);
    assert_int_equal(wait_result(1).reason, FG_REASON_DEADLINE);
    wait_bit(FAULT, true);
    assert_int_equal(read_input(1), FG_FAULT_INOPERATIVE);
    expect_loss_after(FG_LINE_HANG);
    expect_end(2);
}

static void test_first_load_that_hangs(void **state) {
    (void)state;
    start_hanging(HANG_PREPARE, REJECTS);
    wait_log("prepare hangs");
    expect_loss_after(FG_LINE_LOAD_LIMIT + FG_LINE_HANG);
    expect_end(1);
}

static void test_job_change_that_hangs(void **state) {
    (void)state;
    start_hanging(HANG_NOTHING, REJECTS);
    wait_bit(READY, true);
    atomic_store(&world->call, HANG_PREPARE);
    write_holding(0, 1);
    wait_log("prepare hangs");
    expect_loss_after(FG_LINE_LOAD_LIMIT + FG_LINE_HANG);
    expect_end(1);
}

static void test_self_test_that_hangs(void **state) {
    (void)state;
    start_hanging(HANG_NOTHING, REJECTS);
    wait_bit(READY, true);
    atomic_store(&world->call, HANG_SUBMIT);
    write_holding(2, 1);
    write_coil(6, true);
    wait_log("submit hangs");
    expect_loss_after(FG_LINE_LOAD_LIMIT + FG_LINE_HANG);
    expect_end(1);
}

static void test_error_of_the_device(void **state) {
    (void)state;
    start_hanging(HANG_NOTHING, REJECTS);
    wait_bit(READY, true);
    atomic_store(&world->lost, HANG_SUBMIT);
    write_coil(1, true);
    assert_int_equal(wait_result(1).reason, FG_REASON_DEVICE_LOST);
    assert_int_equal(read_input(1), FG_FAULT_DEVICE_LOST);
    expect_end(2);
}

/* The job change that waited for the part is not begun. */
static void test_error_of_the_device_before_a_job_change(void **state) {
    (void)state;
    hang_in_part(HANG_POLL, REJECTS);
    write_holding(0, 1);
    atomic_store(&world->lost, HANG_POLL);
    atomic_store(&world->call, HANG_PREPARE);
    assert_int_equal(sem_post(&world->go), 0);
    assert_int_equal(wait_result(1).reason, FG_REASON_DEVICE_LOST);
    turn_line();
    assert_false(read_status_bit(UPDATING));
    expect_end(2);
}

/* The process stands still, or the clock jumps. To the server the client has been silent for too long. */
static void stand_still(int64_t ns) {
    atomic_fetch_add(&world->now_ns, ns);
    modbus_close(plc);
    assert_int_equal(modbus_connect(plc), 0);
    turn_line();
}

/* A process that was stopped for longer than a job may hang, and goes on, has stopped its device too. The
 * part is late; the job ends, and the next part is judged. */
static void test_process_that_was_stopped(void **state) {
    (void)state;
    hang_in_part(HANG_SUBMIT, FAR);
    stand_still(DEADLINE + FG_LINE_HANG + FG_S);
    wait_log("the process stood still, or the clock jumped, for");
    assert_int_equal(wait_result(1).reason, FG_REASON_DEADLINE);
    pass_time(FG_LINE_HANG / 2);
    assert_int_not_equal(read_input(1), FG_FAULT_DEVICE_LOST);
    end_hang();
    wait_bit(READY, true);
    write_coil(1, false);
    write_coil(1, true);
    assert_int_equal(wait_result(2).reason, 0);
    stop_appliance();
}

/* It is the device's loss all the same when it does not end then. */
static void test_job_that_does_not_go_on(void **state) {
    (void)state;
    hang_in_part(HANG_SUBMIT, REJECTS);
    stand_still(FG_LINE_HANG);
    pass_time(DEADLINE + FG_LINE_HANG - HALF_BEAT - FG_MS); /* the loop meant to turn within half a beat */
    assert_int_not_equal(read_input(1), FG_FAULT_DEVICE_LOST);
    for (int64_t passed = 0; read_input(1) != FG_FAULT_DEVICE_LOST; passed += FG_MS) {
        assert_true(passed <= HALF_BEAT);
        pass_time(FG_MS);
    }
    expect_end(2);
}

/* A job that is late, but ends, costs its part and no more. Both heartbeats stand still once it is a second
 * late. */
static void test_late_job(void **state) {
    (void)state;
    start_hanging(HANG_NOTHING, FAR);
    wait_bit(READY, true);
    const bool first = read_status_bit(BEAT);
    while (read_status_bit(BEAT) == first)
        pass_time(HALF_BEAT);
    wait_change("HEARTBEAT");
    atomic_store(&world->call, HANG_SUBMIT);
    write_coil(1, true);
    wait_log("submit hangs");
    pass_time(DEADLINE);
    const int64_t deadline = atomic_load(&world->now_ns);
    assert_int_equal(wait_result(1).reason, FG_REASON_DEADLINE);
    bool last = read_status_bit(BEAT);
    pass_time(HALF_BEAT);
    assert_int_equal(read_status_bit(BEAT), !last); /* one late part does not stop them */
    pass_time(HALF_BEAT);
    last = read_status_bit(BEAT);
    for (int64_t late = FG_S; late < 10 * FG_S; late += HALF_BEAT) {
        pass_time(HALF_BEAT);
        assert_int_equal(read_status_bit(BEAT), last);
    }
    pass_time(FG_LINE_HANG - 10 * FG_S - FG_MS);
    assert_false(read_status_bit(FAULT) || read_status_bit(READY));
    for (const uint64_t changes = fg_simulated_changes(board); seen < changes; seen++) {
        struct fg_simulated_change change;
        OK(fg_simulated_change(board, seen, 0, &change, &message));
        assert_false(change.io == find_io("HEARTBEAT") && change.time_ns > deadline + 3 * FG_S);
    }
    end_hang();
    wait_bit(READY, true);
    while (read_status_bit(BEAT) == last)
        pass_time(HALF_BEAT);
    wait_change("HEARTBEAT");
    write_coil(1, false);
    write_coil(1, true);
    assert_int_equal(wait_result(2).reason, 0);
    stop_appliance();
}

static void test_end_while_a_part_hangs(void **state) {
    (void)state;
    hang_in_part(HANG_POLL, REJECTS_ALL);
    kill(appliance, SIGTERM);
    pass_time(DEADLINE);
    assert_int_equal(wait_result(1).reason, FG_REASON_DEADLINE);
    wait_bit(HALTED, true);
    wait_level("REJECT", false); /* on the wire: its safe level */
    expect_loss_after(FG_LINE_HANG);
    pass_time(FG_LINE_ANSWER);
    atomic_fetch_add(&world->now_ns, FG_MS);
    assert_int_equal(wait_end(appliance), 70);
    expect_released();
    close_connections();
}

/* A load may take longer than systemd waits for an end. */
static void test_end_while_a_load_hangs(void **state) {
    (void)state;
    start_hanging(HANG_NOTHING, REJECTS_ALL);
    wait_bit(READY, true);
    atomic_store(&world->call, HANG_PREPARE);
    write_holding(0, 1);
    wait_log("prepare hangs");
    kill(appliance, SIGTERM);
    wait_bit(HALTED, true);
    expect_loss_after(FG_LINE_STOP_LIMIT);
    wait_log("after the end was asked for");
    pass_time(FG_LINE_ANSWER);
    atomic_fetch_add(&world->now_ns, FG_MS);
    assert_int_equal(wait_end(appliance), 70);
    expect_released();
    close_connections();
}

/* The end waits for a job that is late, with safe outputs. */
static void test_end_with_a_late_job(void **state) {
    (void)state;
    hang_in_part(HANG_SUBMIT, REJECTS_ALL);
    kill(appliance, SIGTERM);
    pass_time(DEADLINE);
    wait_bit(HALTED, true);
    pass_time(FG_LINE_HANG - FG_MS);
    assert_false(read_status_bit(FAULT));
    end_hang();
    assert_int_equal(wait_end(appliance), 0);
    expect_released();
    close_connections();
}

#ifdef FG_SYSTEMD
static void expect_told(int socket_, const char *expected) {
    char text[128] = "";
    assert_true(recv(socket_, text, sizeof text - 1, 0) > 0);
    assert_string_equal(text, expected);
}
static int open_manager(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", folder);
    const int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const struct timeval patience = {.tv_sec = PATIENCE / FG_S};
    assert_int_equal(setsockopt(manager, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    unlink(address.sun_path);
    assert_int_equal(bind(manager, (struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    return manager;
}
#endif

/* systemd waits for as long as a first load may take, and learns when it has ended. */
static void test_start_and_end_are_told_to_systemd(void **state) {
    (void)state;
#ifdef FG_SYSTEMD
    const int manager = open_manager();
    start_hanging(HANG_PREPARE, REJECTS);
    unsetenv("NOTIFY_SOCKET");
    wait_log("prepare hangs");
    expect_told(manager, "EXTEND_TIMEOUT_USEC=242000000");
    char text[1];
    assert_int_equal(recv(manager, text, sizeof text, MSG_DONTWAIT), -1);
    end_hang();
    expect_told(manager, "READY=1");
    stop_appliance();
    expect_told(manager, "STOPPING=1");
    close(manager);
#else
    skip();
#endif
}

#define WATCHDOG "WATCHDOG=1"

/* systemd's watchdog is told while the line is well: not while a job is late, and again afterwards. */
static void test_watchdog_of_systemd(void **state) {
    (void)state;
#ifdef FG_SYSTEMD
    const struct timeval some_periods = {.tv_sec = 1};
    char text[128] = "";
    const int manager = open_manager();
    setenv("WATCHDOG_USEC", "100000", 1);
    start_hanging(HANG_NOTHING, FAR);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    wait_bit(READY, true);
    while (strcmp(text, WATCHDOG) != 0) /* other words come too */
        assert_true(recv(manager, memset(text, 0, sizeof text), sizeof text - 1, 0) > 0);
    atomic_store(&world->call, HANG_SUBMIT);
    write_coil(1, true);
    wait_log("submit hangs");
    pass_time(DEADLINE + 5 * FG_S);
    while (recv(manager, text, sizeof text, MSG_DONTWAIT) > 0)
        ; /* what it was told before */
    setsockopt(manager, SOL_SOCKET, SO_RCVTIMEO, &some_periods, sizeof some_periods);
    assert_int_equal(recv(manager, text, sizeof text, 0), -1);
    end_hang();
    wait_bit(READY, true);
    turn_line();
    const struct timeval patience = {.tv_sec = PATIENCE / FG_S};
    setsockopt(manager, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    expect_told(manager, WATCHDOG);
    stop_appliance();
    close(manager);
#else
    skip();
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_part_that_cannot_be_started, kill_appliance),
        cmocka_unit_test_teardown(test_part_that_does_not_end, kill_appliance),
        cmocka_unit_test_teardown(test_first_load_that_hangs, kill_appliance),
        cmocka_unit_test_teardown(test_job_change_that_hangs, kill_appliance),
        cmocka_unit_test_teardown(test_self_test_that_hangs, kill_appliance),
        cmocka_unit_test_teardown(test_error_of_the_device, kill_appliance),
        cmocka_unit_test_teardown(test_error_of_the_device_before_a_job_change, kill_appliance),
        cmocka_unit_test_teardown(test_process_that_was_stopped, kill_appliance),
        cmocka_unit_test_teardown(test_job_that_does_not_go_on, kill_appliance),
        cmocka_unit_test_teardown(test_late_job, kill_appliance),
        cmocka_unit_test_teardown(test_end_while_a_part_hangs, kill_appliance),
        cmocka_unit_test_teardown(test_end_while_a_load_hangs, kill_appliance),
        cmocka_unit_test_teardown(test_end_with_a_late_job, kill_appliance),
        cmocka_unit_test_teardown(test_start_and_end_are_told_to_systemd, kill_appliance),
        cmocka_unit_test_teardown(test_watchdog_of_systemd, kill_appliance),
    };
    return cmocka_run_group_tests(tests, make_bundles, remove_folder);
}
