/* Catches standard error for a test, in a pipe or in a terminal of its own. Include after cmocka.
 *
 * Errors: a failure fails the test. Owner: end_capture closes what a capture has opened. Thread: the test's;
 * one capture at a time. NULL: never. */
#ifndef FG_TESTS_RUNTIME_BASE_CAPTURED_H
#define FG_TESTS_RUNTIME_BASE_CAPTURED_H

#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static int captured_saved, captured_end;

static inline void capture_into(int from, int to) {
    captured_saved = dup(STDERR_FILENO);
    captured_end = from;
    assert_true(captured_saved >= 0 && dup2(to, STDERR_FILENO) >= 0);
    close(to);
    fcntl(from, F_SETFL, O_NONBLOCK);
}

static inline void capture_by_pipe(void) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    capture_into(ends[0], ends[1]);
}

static inline void capture_by_terminal(void) {
    const int own = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(own >= 0 && !grantpt(own) && !unlockpt(own));
    const int other = open(ptsname(own), O_RDWR | O_NOCTTY);
    struct termios raw;
    assert_true(other >= 0 && !tcgetattr(other, &raw));
    cfmakeraw(&raw);
    tcsetattr(other, TCSANOW, &raw);
    capture_into(own, other);
}

/* Gives what was written since the last call, ended by zero. */
#define CAPTURED 4096
static inline void read_captured(char text[CAPTURED]) {
    const ssize_t length = read(captured_end, text, CAPTURED - 1);
    text[length > 0 ? length : 0] = 0;
}

static inline void end_capture(void) {
    dup2(captured_saved, STDERR_FILENO);
    close(captured_saved);
    close(captured_end);
}

#endif
