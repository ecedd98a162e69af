/* The log's lines: a priority for the journal, the time for everyone else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <regex.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/log.h"
#include "tests/runtime/base/captured.h"

static void expect_time(const char *line) {
    regex_t expected;
    assert_int_equal(
        regcomp(&expected,
                "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}[+-][0-9]{2}:[0-9]{2} "
                "part 7: PASS\n$",
                REG_EXTENDED | REG_NOSUB),
        0);
    if (regexec(&expected, line, 0, NULL, 0))
        fail_msg("no time, or not only a line: \"%s\"", line);
    regfree(&expected);
}

static void elsewhere_a_line_has_the_time(void **state) {
    (void)state;
    unsetenv("JOURNAL_STREAM");
    capture_by_pipe();
    fg_log(FG_LOG_INFO, "part %d: PASS", 7);
    char line[CAPTURED];
    read_captured(line);
    end_capture();
    expect_time(line);
}

static void the_journal_gets_the_priority(void **state) {
    (void)state;
    capture_by_pipe();
    struct stat found;
    char stream[64];
    fstat(STDERR_FILENO, &found);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)found.st_dev, (uintmax_t)found.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    fg_log(FG_LOG_WARNING, "part %d: PASS", 7);
    char line[CAPTURED];
    read_captured(line);
    end_capture();
    assert_string_equal(line, "<4>part 7: PASS\n");
}

/* The variable alone says nothing: a program that the service starts inherits it. */
static void another_stream_is_not_the_journal(void **state) {
    (void)state;
    setenv("JOURNAL_STREAM", "9:123456789", 1);
    capture_by_pipe();
    fg_log(FG_LOG_ERROR, "part %d: PASS", 7);
    char line[CAPTURED];
    read_captured(line);
    end_capture();
    expect_time(line);
}

static void a_long_line_is_cut_and_ended(void **state) {
    (void)state;
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    capture_by_pipe();
    fg_log(FG_LOG_INFO, "%s", text);
    char line[CAPTURED];
    read_captured(line);
    end_capture();
    assert_true(strlen(line) <= 1024 && strchr(line, '\n') == line + strlen(line) - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elsewhere_a_line_has_the_time),
        cmocka_unit_test(the_journal_gets_the_priority),
        cmocka_unit_test(another_stream_is_not_the_journal),
        cmocka_unit_test(a_long_line_is_cut_and_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
