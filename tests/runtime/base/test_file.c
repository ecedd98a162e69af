/* Files that are whole or not there: they keep the place, owner and mode of what they replace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"

static char folder[64], path[128], link_path[128];
static struct fg_message message;

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/flawgate-file-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/real", folder);
    snprintf(link_path, sizeof link_path, "%s/link", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    unlink(link_path);
    return rmdir(folder); /* so a file left behind fails the group */
}

static void write_file(const char *to, const char *text) {
    struct fg_file file;
    assert_int_equal(fg_file_create(&file, to, &message), FG_OK);
    assert_int_equal(fg_file_write(&file, text, strlen(text), &message), FG_OK);
    assert_int_equal(fg_file_commit(&file, &message), FG_OK);
}

static void expect_text(const char *at, const char *text) {
    char found[16] = "";
    FILE *file = fopen(at, "r");
    assert_non_null(file);
    assert_non_null(fgets(found, sizeof found, file));
    fclose(file);
    assert_string_equal(found, text);
}

static void test_mode_and_owner_stay(void **state) {
    (void)state;
    write_file(path, "one");
    assert_int_equal(chmod(path, 0640), 0);
    const bool root = geteuid() == 0;
    if (root)
        assert_int_equal(chown(path, 12, 34), 0);
    const mode_t mask = umask(077);
    write_file(path, "two");
    umask(mask);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0640);
    if (root)
        assert_true(info.st_uid == 12 && info.st_gid == 34);
    expect_text(path, "two");
}

static void test_link_is_followed(void **state) {
    (void)state;
    write_file(path, "one");
    assert_int_equal(symlink("real", link_path), 0);
    write_file(link_path, "two");
    struct stat info;
    assert_int_equal(lstat(link_path, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    expect_text(path, "two");
}

static void test_folder_is_refused(void **state) {
    (void)state;
    struct fg_file file;
    assert_int_equal(fg_file_create(&file, folder, &message), FG_ENVIRONMENT);
    assert_non_null(strstr(message.text, "directory"));
}

static void test_abandoned_leaves_the_old(void **state) {
    (void)state;
    write_file(path, "one");
    struct fg_file file;
    assert_int_equal(fg_file_create(&file, path, &message), FG_OK);
    assert_int_equal(fg_file_write(&file, "two", 3, &message), FG_OK);
    fg_file_abandon(&file);
    expect_text(path, "one");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mode_and_owner_stay),
        cmocka_unit_test(test_link_is_followed),
        cmocka_unit_test(test_folder_is_refused),
        cmocka_unit_test(test_abandoned_leaves_the_old),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
