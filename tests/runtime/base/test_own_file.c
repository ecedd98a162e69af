/* Files that come with a program are found from its own folder: where it is built first, then where it is
 * installed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/base/own_file.h"

/* Whether the path is this program. */
static bool is_this(const char *path) {
    char own[4096], found[4096];
    const ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    assert_true(length > 0);
    own[length] = 0;
    return realpath(path, found) && !strcmp(own, found);
}

static void what_is_built_is_found_first(void **state) {
    (void)state;
    char path[FG_OWN_FILE_SIZE];
    assert_true(fg_own_file_find("test_own_file", "../CMakeCache.txt", path));
    assert_true(is_this(path));
}

static void what_is_installed_is_found_else(void **state) {
    (void)state;
    char path[FG_OWN_FILE_SIZE];
    assert_true(fg_own_file_find("none", "../tests/test_own_file", path));
    assert_true(is_this(path));
}

static void what_is_nowhere_is_named_where_it_is_built(void **state) {
    (void)state;
    char path[FG_OWN_FILE_SIZE];
    assert_false(fg_own_file_find("none", "../none", path));
    assert_string_equal(strrchr(path, '/'), "/none");
    assert_null(strstr(path, "../"));
}

/* Wherever it is called from. */
static void the_folder_it_is_called_from_does_not_count(void **state) {
    char before[4096], path[FG_OWN_FILE_SIZE];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir("/"), 0);
    what_is_built_is_found_first(state);
    assert_false(fg_own_file_find("etc", "etc", path));
    assert_int_equal(chdir(before), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_built_is_found_first),
        cmocka_unit_test(what_is_installed_is_found_else),
        cmocka_unit_test(what_is_nowhere_is_named_where_it_is_built),
        cmocka_unit_test(the_folder_it_is_called_from_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
