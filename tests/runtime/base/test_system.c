/* What the system is asked: folders, serial ports, who holds a lock and who listens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/system.h"

static struct fg_message message;

static void says(enum fg_status status, const char *what) {
    assert_int_equal(status, FG_ENVIRONMENT);
    if (!strstr(message.text, what))
        fail_msg("no \"%s\" in: %s", what, message.text);
}

static void test_folders(void **state) {
    (void)state;
    char folder[] = "/tmp/flawgate-system-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    assert_int_equal(fg_system_folder(folder, 1000, &message), FG_OK);
    says(fg_system_folder(folder, SIZE_MAX, &message), "has no room for 18446744073709551615 bytes");
    snprintf(path, sizeof path, "%s/new", folder);
    assert_int_equal(fg_system_folder(path, 1000, &message), FG_OK);
    assert_int_equal(access(path, F_OK), -1); /* it was only asked */
    strcat(path, "/deeper");
    says(fg_system_folder(path, 0, &message), "is not there, nor the one above it");
    says(fg_system_folder("/proc/self/cmdline", 0, &message), "is a file, not a folder");
    if (geteuid() != 0) {
        assert_int_equal(chmod(folder, 0500), 0);
        says(fg_system_folder(folder, 0, &message), "this user may not write in");
    }
    rmdir(folder);
}

static void test_serial_ports(void **state) {
    (void)state;
    int ours, theirs;
    char name[64];
    assert_int_equal(openpty(&ours, &theirs, name, NULL, NULL), 0);
    assert_int_equal(fg_system_tty(name, &message), FG_OK);
    close(ours);
    close(theirs);
    says(fg_system_tty("/dev/ttyNONE9", &message), "is the adapter plugged in?");
    says(fg_system_tty("/dev/null", &message), "is no serial port");
    says(fg_system_tty("/tmp", &message), "cannot open the serial port /tmp");
}

static void test_lock_holder(void **state) {
    (void)state;
    char path[] = "/tmp/flawgate-lock-XXXXXX", name[FG_SYSTEM_NAME];
    const int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(fg_system_lock_holder(path), 0);
    assert_int_equal(flock(file, LOCK_EX), 0);
    assert_int_equal(fg_system_lock_holder(path), getpid());
    close(file);
    assert_int_equal(fg_system_lock_holder(path), 0);
    unlink(path);
    assert_int_equal(fg_system_lock_holder(path), 0);
    fg_system_name(getpid(), name);
    assert_string_equal(name, "test_system");
    fg_system_name(-1, name);
    assert_string_equal(name, "");
}

static void check_listener(struct sockaddr *address, socklen_t size, in_port_t *port) {
    const int listener = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, address, size) != 0) {
        close(listener);
        assert_int_equal(address->sa_family, AF_INET6); /* which a system may be without */
        return;
    }
    assert_int_equal(getsockname(listener, address, &size), 0);
    assert_int_equal(fg_system_listener(ntohs(*port)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(fg_system_listener(ntohs(*port)), getpid());
    close(listener);
}

static void test_listeners(void **state) {
    (void)state;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    check_listener((struct sockaddr *)&v4, sizeof v4, &v4.sin_port);
    check_listener((struct sockaddr *)&v6, sizeof v6, &v6.sin6_port);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_serial_ports),
        cmocka_unit_test(test_lock_holder),
        cmocka_unit_test(test_listeners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
