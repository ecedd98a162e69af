/* The life of flawgated: how it ends, what a new start finds, what it takes over while it runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/runtime/daemon/appliance.h"

#define HEARS                                                                                                \
    "}\ntrigger { enable_at_start = true min_interval_ms = 0 }\nline reject { name = REJECT }\n"             \
    "deadline_ms = 3000\n"
/* Parts reach their reject points soon, and the end waits for that. */
#define NEAR HEARS "reject { delay_ms = 3000 pulse_ms = 20 }\nstop_limit_ms = 60000\n"
#define LINE HEARS "reject { delay_ms = 20000 }\n"
/* They never do. */
#define FAR HEARS "reject { delay_ms = 600000 }\n"
#define ALL_DEFECT 1 /* threshold x 10000 */
#define UPDATING 12

static int make_bundles(void **state) {
    /* Signals that end a process must leave no file behind. */
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    make_folder(state);
    make_bundle("one", SIDE, 4, 1);
    make_bundle("two", SIDE, 4, 2);
    return 0;
}

static void wait_level(const char *name, bool level) {
    while (fg_simulated_level(board, find_io(name)) != level)
        wait_change(name);
}

static void make_defect(void) {
    wait_bit(READY, true);
    write_holding(1, ALL_DEFECT);
}

/* How often an output has risen since the start, and when it last fell. */
static uint32_t count_rises(const char *name, int64_t *fell_ns) {
    uint32_t rises = 0;
    *fell_ns = 0;
    for (const uint64_t changes = fg_simulated_changes(board); seen < changes; seen++) {
        struct fg_simulated_change change;
        OK(fg_simulated_change(board, seen, 0, &change, &message));
        if (change.io != find_io(name))
            continue;
        rises += change.level;
        *fell_ns = change.level ? *fell_ns : change.time_ns;
    }
    return rises;
}

/* ---- Signals ---- */

static void test_every_end_makes_outputs_safe(void **state) {
    (void)state;
    const int ends[] = {SIGQUIT,   SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGFPE,
                        SIGILL,    SIGXCPU, SIGXFSZ, SIGSYS,  SIGTRAP,   SIGIO,   SIGPWR,
                        SIGSTKFLT, SIGSEGV, SIGBUS,  SIGABRT, SIGRTMIN,  SIGRTMAX};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        start_appliance("one.fgb", LINE);
        wait_level("READY", true);
        wait_level("HEARTBEAT", true);
        kill(appliance, ends[i]);
        assert_int_equal(wait_end(appliance), 128 + ends[i]);
        expect_released();
        close_connections();
    }
}

/* A closed terminal, a socket that is gone, and the signals that the C library keeps for itself. */
static void test_signals_that_end_nothing(void **state) {
    (void)state;
    start_appliance("one.fgb", LINE);
    kill(appliance, SIGPIPE);
    for (int number = SIGSYS + 1; number < SIGRTMIN; number++)
        kill(appliance, number);
    kill(appliance, SIGHUP);
    wait_log("reload: the configuration is the same");
    wait_bit(READY, true);
    assert_false(read_status_bit(FAULT));
    stop_appliance();
}

/* ---- The end ---- */

static void write_wrong_config(void) {
    char path[128];
    snprintf(path, sizeof path, "%s/line.conf", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("deadline_ms = never\n", file);
    assert_int_equal(fclose(file), 0);
}

/* SIGTERM shortly after a DEFECT verdict: the defect is rejected, edges are still parts, the PLC is told. */
static void test_drain(void **state) {
    (void)state;
    start_appliance("one.fgb", NEAR);
    make_defect();
    write_wrong_config(); /* something that latches a fault */
    kill(appliance, SIGHUP);
    wait_bit(FAULT, true);
    wait_level("FAULT", true);
    pulse_trigger();
    assert_int_equal(wait_result(1).verdict, FG_DEFECT);
    wait_bit(READY, true);
    kill(appliance, SIGTERM);
    wait_bit(UPDATING, true);
    assert_false(read_status_bit(FAULT) || read_status_bit(READY));
    assert_int_equal(modbus_write_bit(plc, 1, true), -1);
    assert_int_equal(errno, EMBXSBUSY);
    const int64_t last = pulse_trigger();
    assert_int_equal(wait_result(2).reason, FG_REASON_NOT_READY);
    wait_level("FAULT", false);
    wait_level("READY", false);
    assert_false(read_status_bit(FAULT) || read_status_bit(READY));
    assert_int_equal(wait_end(appliance), 0);
    int64_t fell_ns;
    assert_true(count_rises("REJECT", &fell_ns) >= 1); /* the pulses of the two may have met */
    assert_true(fell_ns >= last + 3020 * FG_MS);
    expect_released();
    close_connections();
    /* Nothing is wrong at the next start, and ids go on. */
    restart_appliance("one.fgb", NEAR);
    wait_bit(READY, true);
    assert_int_equal(read_input(1), 0);
    pulse_trigger();
    assert_int_equal(wait_result(3).reason, 0);
    stop_appliance();
}

static void expect_unclean_start(void) {
    assert_int_equal(read_input(1), FG_FAULT_UNCLEAN_END);
    assert_true(read_status_bit(FAULT));
    assert_false(read_status_bit(READY) || read_status_bit(0));
    pulse_coil(3);
    wait_bit(READY, true);
    assert_int_equal(read_input(1), 0);
}

/* A second signal does not wait for the reject point. The next start says that a part has lost its place. */
static void test_hurried_end(void **state) {
    (void)state;
    start_appliance("one.fgb", FAR "stop_limit_ms = 60000\n");
    make_defect();
    pulse_trigger();
    assert_int_equal(wait_result(1).verdict, FG_DEFECT);
    kill(appliance, SIGTERM);
    wait_bit(UPDATING, true);
    kill(appliance, SIGTERM);
    assert_int_equal(wait_end(appliance), 0);
    expect_released();
    close_connections();
    restart_appliance("one.fgb", LINE);
    expect_unclean_start();
    stop_appliance();
}

static void test_end_has_a_limit(void **state) {
    (void)state;
    start_appliance("one.fgb", FAR "stop_limit_ms = 100\n");
    make_defect();
    pulse_trigger();
    assert_int_equal(wait_result(1).verdict, FG_DEFECT);
    kill(appliance, SIGTERM);
    assert_int_equal(wait_end(appliance), 0);
    expect_released();
    close_connections();
}

/* ---- Starts ---- */

/* After kill -9 the line waits for a person; parts meanwhile are rejected, and no id comes twice. */
static void test_start_after_a_kill(void **state) {
    (void)state;
    start_appliance("one.fgb", NEAR);
    wait_bit(READY, true);
    pulse_trigger();
    assert_int_equal(wait_result(1).reason, 0);
    kill(appliance, SIGKILL);
    assert_int_equal(wait_end(appliance), 128 + SIGKILL);
    close_connections();
    /* An end that was asked for does not clear it: nobody has looked. */
    for (int start = 0; start < 2; start++) {
        restart_appliance("one.fgb", NEAR);
        assert_int_equal(read_input(1), FG_FAULT_UNCLEAN_END);
        assert_false(read_status_bit(READY));
        stop_appliance();
    }
    restart_appliance("one.fgb", NEAR);
    pulse_trigger();
    while (!read_input_u32(48))
        ;
    const struct block block = read_block();
    assert_int_equal(block.reason, FG_REASON_NOT_READY);
    assert_true(block.id > 1);
    expect_unclean_start();
    pulse_trigger();
    assert_int_equal(wait_result(block.id + 1).reason, 0);
    stop_appliance();
    restart_appliance("one.fgb", NEAR);
    wait_bit(READY, true);
    stop_appliance();
}

/* What a PLC has set is awaited again: the configuration's delay would reject at another place. */
static void test_reject_registers_are_awaited_again(void **state) {
    (void)state;
    const uint16_t delay[] = {0, 30000};
    start_appliance("one.fgb", NEAR);
    wait_bit(READY, true);
    assert_int_equal(modbus_write_registers(plc, 4, 2, delay), 2);
    stop_appliance();
    for (int pulse = 0; pulse < 2; pulse++) {
        restart_appliance("one.fgb", NEAR);
        pulse_trigger();
        while (!read_input_u32(48))
            ;
        assert_int_equal(read_block().reason, FG_REASON_NOT_READY);
        assert_int_equal(modbus_write_registers(plc, 4, 2, delay), 2);
        if (pulse) {
            assert_false(read_status_bit(READY));
            write_holding(6, 200);
        }
        assert_true(read_status_bit(READY));
        write_holding(6, 100);
        stop_appliance();
    }
}

/* With several slots the PLC names one. */
static void test_several_slots_require_a_job(void **state) {
    (void)state;
    start_appliance("one.fgb, two.fgb", LINE "job { slot = 0 }\n");
    assert_false(read_status_bit(READY));
    write_holding(0, 0);
    wait_bit(READY, true);
    stop_appliance();
}

static void expect_refusal(const char *more, const char *why) {
    char path[128], text[4096] = "";
    int log[2];
    write_config("one.fgb", more, find_free_port());
    snprintf(path, sizeof path, "%s/line.conf", folder);
    assert_int_equal(pipe2(log, O_CLOEXEC), 0);
    const pid_t child = spawn_program("flawgated", "-c", path, NULL, log[1]);
    close(log[1]);
    size_t used = 0;
    for (ssize_t got; (got = read(log[0], text + used, sizeof text - 1 - used)) > 0;)
        used += (size_t)got;
    close(log[0]);
    assert_int_equal(wait_end(child), 3);
    if (!strstr(text, why))
        fail_msg("\"%s\" is not in: %s", why, text);
}

static void test_state_folder_that_cannot_be_used(void **state) {
    (void)state;
    start_appliance("one.fgb", LINE);
    expect_refusal(LINE "board { path = other }\n", "another flawgated uses the folder");
    stop_appliance();
    expect_refusal(LINE "state { path = not/there }\n", "is not there, nor the one above it");
    expect_refusal(LINE "state { path = one.fgb }\n", "is a file, not a folder");
    char path[128];
    snprintf(path, sizeof path, "%s/state/state", folder);
    const int file = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(file, "flawgate", 8), 8);
    close(file);
    expect_refusal(LINE, "is damaged");
}

/* ---- The configuration read again ---- */

static void rewrite_config(const char *more) {
    write_config("one.fgb", more, find_free_port());
}

static void wait_threshold(uint16_t threshold, bool allowed) {
    const int64_t end = fg_clock_ns() + PATIENCE;
    while ((modbus_write_register(plc, 1, threshold) == 1) != allowed)
        assert_true(fg_clock_ns() < end);
}

static void test_reload(void **state) {
    (void)state;
    start_appliance("one.fgb", LINE);
    wait_bit(READY, true);
    const uint32_t checksum = read_input_u32(80);
    wait_threshold(20000, true);
    /* The port differs, and is said to; it needs a restart. The rest counts at once. */
    rewrite_config(FAR "threshold { max = 1 }\n");
    kill(appliance, SIGHUP);
    wait_log("reload: reject.delay_ms has changed");
    wait_log("reload: modbus.port differs and needs a restart");
    wait_log("reload: threshold.max has changed");
    wait_threshold(20000, false);
    const int64_t end = fg_clock_ns() + PATIENCE;
    for (uint16_t delay[2] = {0}; ((uint32_t)delay[0] << 16 | delay[1]) != 6000000;) {
        assert_int_equal(modbus_read_registers(plc, 4, 2, delay), 2);
        assert_true(fg_clock_ns() < end);
    }
    uint16_t threshold = 1; /* it could not be written any more */
    assert_int_equal(modbus_read_registers(plc, 1, 1, &threshold), 1);
    assert_int_equal(threshold, 0);
    assert_int_equal(read_input_u32(80), checksum); /* it is not yet that file which counts */
    assert_true(read_status_bit(READY));
    stop_appliance();
}

static void run_reload(void) {
    write_coil(6, false);
    write_coil(6, true);
    while (read_input(45) == FG_OUTCOME_RUNNING)
        ;
}

static void test_reload_by_command(void **state) {
    (void)state;
    start_appliance("one.fgb", LINE "lock { code = 77 }\n");
    wait_bit(READY, true);
    write_holding(2, 3);
    assert_int_equal(modbus_write_bit(plc, 6, true), -1);
    assert_int_equal(errno, EMBXSBUSY);
    write_holding(7, 77);
    run_reload();
    assert_int_equal(read_input(45), FG_OUTCOME_DONE);
    write_wrong_config();
    run_reload();
    wait_log("line.conf:1: deadline_ms");
    wait_log("reload: the file is wrong, so nothing is changed");
    assert_int_equal(read_input(45), FG_FAULT_CONFIGURATION);
    assert_int_equal(read_input(1), FG_FAULT_CONFIGURATION);
    wait_bit(READY, true);
    pulse_trigger();
    assert_int_equal(wait_result(1).reason, 0);
    stop_appliance();
}

/* ---- What lies around the process ---- */

static void test_safe_is_refused_while_it_lives(void **state) {
    (void)state;
    char path[128];
    start_appliance("one.fgb", LINE);
    wait_level("READY", true);
    snprintf(path, sizeof path, "%s/line.conf", folder);
    assert_int_equal(wait_end(spawn_program("flawgate", "line", path, "--safe", -1)), 3);
    assert_true(fg_simulated_level(board, find_io("READY")));
    stop_appliance();
}

static void expect_null_device(int descriptor) {
    char path[64], target[64] = "";
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)appliance, descriptor);
    assert_true(readlink(path, target, sizeof target - 1) > 0);
    assert_string_equal(target, "/dev/null");
}

/* What has no standard output must not write into its files instead. */
static void test_closed_descriptors(void **state) {
    (void)state;
    char path[128];
    start_appliance("one.fgb", LINE);
    stop_appliance();
    snprintf(path, sizeof path, "%s/line.conf", folder);
    appliance = fork();
    if (appliance == 0) {
        for (int descriptor = 0; descriptor <= 2; descriptor++)
            close(descriptor);
        char program[512];
        const char *build = getenv("FG_BUILD");
        snprintf(program, sizeof program, "%s/flawgated", build ? build : "build/cpu");
        execl(program, program, "-c", path, (char *)NULL);
        _exit(127);
    }
    appliance_log = fopen("/dev/null", "r");
    snprintf(path, sizeof path, "%s/board", folder);
    OK(fg_simulated_join(path, &board, &message));
    seen = fg_simulated_changes(board);
    plc = modbus_new_tcp("127.0.0.1", 1);
    wait_level("READY", true);
    for (int descriptor = 0; descriptor <= 2; descriptor++)
        expect_null_device(descriptor);
    /* The same of flawgate, which opens the board's file. */
    const pid_t child = fork();
    if (child == 0) {
        close(1);
        close(2);
        char config[128];
        snprintf(config, sizeof config, "%s/line.conf", folder);
        _exit(wait_end(spawn_program("flawgate", "line", config, "ready", -1)));
    }
    assert_int_equal(wait_end(child), 0);
    char magic[5] = "";
    snprintf(path, sizeof path, "%s/board/lines", folder);
    const int lines = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(lines, magic, 4), 4);
    close(lines);
    assert_string_equal(magic, "FGB1");
    stop_appliance();
}

/* Fed while it runs; switched off by an end that was asked for, also one that did not wait for the reject
 * point of a part, and by no other. */
static void test_hardware_watchdog(void **state) {
    (void)state;
    char path[128], bytes[256];
    snprintf(path, sizeof path, "%s/watchdog", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    const int device = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    for (int end = 0; end < 3; end++) {
        const bool crash = end == 2;
        start_appliance("one.fgb", FAR "stop_limit_ms = 100\nwatchdog { device = watchdog }\n");
        int fed = 0;
        while (fed < 3)
            fed += read(device, bytes, 1) == 1 && !bytes[0];
        if (end == 1) {
            make_defect();
            pulse_trigger();
            assert_int_equal(wait_result(1).verdict, FG_DEFECT);
        }
        kill(appliance, crash ? SIGKILL : SIGTERM);
        assert_int_equal(wait_end(appliance), crash ? 128 + SIGKILL : 0);
        ssize_t got, last = 0;
        while ((got = read(device, bytes, sizeof bytes)) > 0)
            last = bytes[got - 1];
        assert_int_equal(last, crash ? 0 : 'V');
        close_connections();
    }
    close(device);
    expect_refusal(LINE "watchdog { device = none }\n", "watchdog: cannot open");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_every_end_makes_outputs_safe, kill_appliance),
        cmocka_unit_test_teardown(test_signals_that_end_nothing, kill_appliance),
        cmocka_unit_test_teardown(test_drain, kill_appliance),
        cmocka_unit_test_teardown(test_hurried_end, kill_appliance),
        cmocka_unit_test_teardown(test_end_has_a_limit, kill_appliance),
        cmocka_unit_test_teardown(test_start_after_a_kill, kill_appliance),
        cmocka_unit_test_teardown(test_reject_registers_are_awaited_again, kill_appliance),
        cmocka_unit_test_teardown(test_several_slots_require_a_job, kill_appliance),
        cmocka_unit_test_teardown(test_state_folder_that_cannot_be_used, kill_appliance),
        cmocka_unit_test_teardown(test_reload, kill_appliance),
        cmocka_unit_test_teardown(test_reload_by_command, kill_appliance),
        cmocka_unit_test_teardown(test_safe_is_refused_while_it_lives, kill_appliance),
        cmocka_unit_test_teardown(test_closed_descriptors, kill_appliance),
        cmocka_unit_test_teardown(test_hardware_watchdog, kill_appliance),
    };
    return cmocka_run_group_tests(tests, make_bundles, remove_folder);
}
