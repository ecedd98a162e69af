/* Progress: rewritten on a terminal, now and then elsewhere, never where it is not wanted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

#include "runtime/base/progress.h"
#include "tests/runtime/base/captured.h"

static void a_terminal_has_one_line(void **state) {
    (void)state;
    struct fg_progress progress;
    capture_by_terminal();
    fg_progress_begin(&progress, "reading picture", false);
    fg_progress_count(&progress, 1, 2);
    char first[CAPTURED];
    read_captured(first);
    progress.next_ns = 0; /* as if time had passed */
    fg_progress_say(&progress, 0, "half of it");
    char second[CAPTURED];
    read_captured(second);
    fg_progress_clear(&progress);
    char last[CAPTURED];
    read_captured(last);
    fg_progress_clear(&progress);
    char nothing[CAPTURED];
    read_captured(nothing);
    end_capture();
    assert_ptr_equal(strstr(first, "\r\033[Kreading picture 1 of 2, "), first);
    assert_non_null(strstr(first, " s left"));
    assert_null(strchr(first, '\n'));
    assert_string_equal(second, "\r\033[Khalf of it"); /* there is no estimate of nothing */
    assert_string_equal(last, "\r\033[K");
    assert_string_equal(nothing, "");
}

/* What is over before anyone waits says nothing. */
static void a_file_has_a_line_now_and_then(void **state) {
    (void)state;
    struct fg_progress progress;
    capture_by_pipe();
    fg_progress_begin(&progress, "reading picture", false);
    const int64_t first_pause = progress.pause_ns;
    progress.next_ns = INT64_MAX;
    fg_progress_count(&progress, 1, 2);
    char early[CAPTURED];
    read_captured(early);
    progress.next_ns = 0;
    fg_progress_count(&progress, 1, 2);
    fg_progress_clear(&progress);
    char line[CAPTURED];
    read_captured(line);
    end_capture();
    assert_string_equal(early, "");
    assert_ptr_equal(strstr(line, "reading picture 1 of 2, "), line);
    assert_string_equal(strchr(line, '\n'), "\n");
    assert_true(progress.pause_ns == 2 * first_pause);
}

static void quiet_is_quiet(void **state) {
    (void)state;
    struct fg_progress progress;
    capture_by_terminal();
    fg_progress_begin(&progress, "reading picture", true);
    fg_progress_count(&progress, 1, 2);
    fg_progress_say(&progress, 0.5, "half");
    fg_progress_clear(&progress);
    char nothing[CAPTURED];
    read_captured(nothing);
    end_capture();
    assert_string_equal(nothing, "");
}

static void time_left_is_said_in_a_unit_of_its_size(void **state) {
    (void)state;
    static const struct {
        int64_t spent_s;
        const char *left;
    } cases[] = {{30, "half, 30 s left"}, {1200, "half, 20 min left"}, {36000, "half, 10.0 h left"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fg_progress progress;
        capture_by_terminal();
        fg_progress_begin(&progress, "", false);
        progress.started_ns -= cases[i].spent_s * 1000000000;
        fg_progress_say(&progress, 0.5, "half");
        char line[CAPTURED];
        read_captured(line);
        end_capture();
        assert_non_null(strstr(line, cases[i].left));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_terminal_has_one_line),
        cmocka_unit_test(a_file_has_a_line_now_and_then),
        cmocka_unit_test(quiet_is_quiet),
        cmocka_unit_test(time_left_is_said_in_a_unit_of_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
