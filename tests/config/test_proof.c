/* A text that is not whole is refused with the line where the fault begins; no cut, no missing or added
 * bracket or quotation mark ever changes what a key means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/line/setup.h"

#define LEAST "bundles = { a.fgb }\ncamera { path = p }\n"

/* A configuration in which values are others than the defaults, with every kind of comment and text. */
#define WHOLE                                                                                                \
    "bundles = { \"/a/one.fgb\", '/a/two.fgb' } // the slots\n"                                              \
    "camera {\n    path = \"/a/pics\" # where they \"lie\n    cycle = false\n    max_width = 640\n}\n"       \
    "/* several\n   lines, it's { */\n"                                                                      \
    "board { path = '/a/board' }\n"                                                                          \
    "line reject {\n    name = \"R\"\n    active_low = true\n}\nline \"ready\" { name = READY1 }\n"          \
    "fail_safe = reject-all\ndeadline_ms = 250\nplc_watchdog_ms = 2500\n"                                    \
    "missed_reject = \"count\" /* one line */\n"                                                             \
    "reject { delay_ms = 1200.5 }\n"                                                                         \
    "modbus {\n    port = 1502\n    writers = { 10.0.0.1,\n        \"::1\" }\n    word_order = "             \
    "low-first\n}\n"                                                                                         \
    "on_inoperative = stop\n"

static struct fg_config config, whole, standard;
static struct fg_report report;
static char path[64];

static enum fg_status read_bytes(const char *text, size_t size) {
    fg_report_free(&report);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return fg_setup_read(path, &config, &report);
}

static int prepare(void **state) {
    (void)state;
    snprintf(path, sizeof path, "/tmp/flawgate-proof-%d.conf", (int)getpid());
    unsetenv("FG_UNSET");
    setenv("FG_PORT", "1502", 1);
    setenv("FG_EMPTY", "", 1);
    setenv("FG_KEY", "deadline_ms", 1);
    if (read_bytes(LEAST, strlen(LEAST)) != FG_OK)
        fail_msg("%s", report.text);
    standard = config;
    if (read_bytes(WHOLE, strlen(WHOLE)) != FG_OK)
        fail_msg("%s", report.text);
    whole = config;
    return 0;
}

static int clean(void **state) {
    (void)state;
    fg_report_free(&report);
    return unlink(path);
}

/* Refused, with exactly one line, which is about a line of the file and has a text. */
static void refused(const char *text, int line, const char *what) {
    assert_int_equal(read_bytes(text, strlen(text)), FG_INPUT);
    char begin[96];
    snprintf(begin, sizeof begin, "%s:%d: ", path, line);
    if (report.lines != 1 || strncmp(report.text, begin, strlen(begin)) || !strstr(report.text, what))
        fail_msg("not one line \"%s%s\" for\n%s\nbut\n%s", begin, what, text, report.text);
}

static void accepted(const char *text) {
    if (read_bytes(text, strlen(text)) != FG_OK)
        fail_msg("%s", report.text);
}

/* The files lie beside this one. */
static void refused_file(const char *name, const char *what) {
    char file[64], text[1024] = "";
    snprintf(file, sizeof file, "tests/config/cases/%s", name);
    FILE *from = fopen(file, "r");
    assert_non_null(from);
    assert_true(fread(text, 1, sizeof text - 1, from) > 0);
    fclose(from);
    refused(text, 5, what);
}

static void test_files_of_the_field(void **state) {
    (void)state;
    refused_file("comment.conf", "the comment that begins here does not end");
    refused_file("quote.conf", "the text that begins here with \" does not end");
    refused_file("section.conf", "section modbus does not end");
}

static void test_what_does_not_end(void **state) {
    (void)state;
    refused(LEAST "/*", 3, "comment");
    refused(LEAST "/* one\nplc_watchdog_ms = 9\n/* two */\n", 3, "another comment begins with /* in line 5");
    accepted(LEAST "/* all of parts/*.png */\nplc_watchdog_ms = 9\n");
    assert_int_equal(config.plc_watchdog_ms, 9);
    refused(LEAST "deadline_ms = 9\"/* one\n", 3, "does not end in its line");
    refused(LEAST "modbus { bind = \"::1\"/* one\n }", 3, "comment");
    refused(LEAST "line trigger { name = 'T }\nfail_safe = 'stop-line'\n", 3, "begins here with '");
    refused(LEAST "line trigger { name = \"T\\\"\n}\n", 3, "begins here with \"");
    refused(LEAST "line trigger { name = \"T\\\nU\"\n}\n", 3, "in its line");
    refused(LEAST "modbus {\n port = 502\njob { slot = 0 }\n", 3, "section modbus does not end");
    refused(LEAST "line\n  trigger { name = T\n", 3, "section line");
    refused("camera { path = p }\n\nbundles = { a, b\ndeadline_ms = 9\n", 3, "the list bundles does not end");
    refused(LEAST "{\n", 3, "the bracket { does not end");
    refused(LEAST "modbus { port = \"${FG_PORT\" }\n", 3, "the variable ${FG_PORT does not end");
    refused(LEAST "modbus { port = ${FG_PORT\n}\n", 3, "the variable ${FG_PORT does not end");
    refused(LEAST "plc_watchdog_ms = 25", 3, "the file ends inside this line");
    accepted(LEAST "plc_watchdog_ms = \"25\"");
    accepted(LEAST "plc_watchdog_ms = 25\r\n\r\n");
    accepted(LEAST "modbus { port = 1502 }");
    accepted(LEAST "modbus { port = 1502 } # \" ' { ${FG_UNSET}");
}

static void test_what_closes_nothing(void **state) {
    (void)state;
    refused(LEAST "}\n", 3, "this } closes nothing");
    refused(LEAST "deadline_ms = 9\nboard { path = b }\n}\nfail_safe = stop-line\n", 5,
            "a { is missing between line 4 and here");
    refused(LEAST "modbus { port = 1502 } }\n", 3, "one too many");
    refused(LEAST "*/ deadline_ms = 9\n", 3, "this */ ends no comment");
    refused(LEAST "deadline_ms = 9*\n", 3, "the sign * has no meaning");
    refused(LEAST "deadline_ms = +9\n", 3, "the sign + has no meaning");
}

/* What libconfuse takes for another name, or drops. */
static void test_names(void **state) {
    (void)state;
    refused(LEAST "modbus|port = 1503\n", 3, "the name modbus|port must not have a |");
    refused(LEAST "camera|max_width = 64\n", 3, "the name camera|max_width");
    refused(LEAST "job|slot = 0\n", 3, "the name job|slot");
    refused(LEAST "\"modbus|port\" = 1503\n", 3, "without \", ' and $");
    refused(LEAST "${FG_KEY} = 400\n", 3, "without \", ' and $");
    accepted(LEAST "line trigger { name = \"a|b\" }\nline ready { name = a|c }\n");
    refused(LEAST "modbus {\n writers = { 10.0.0.1 }\n writers = {} }\n", 4, "writers is given twice");
    accepted(LEAST "modbus { writers = {} }\n");
    accepted(LEAST "modbus { writers += { 10.0.0.1 } writers += { 10.0.0.2 } }\n");
    assert_int_equal(config.modbus.writers, 2);
}

static void test_signs(void **state) {
    (void)state;
    refused("\r" LEAST, 1, "CR alone");
    refused(LEAST "# one\rplc_watchdog_ms = 9\r# two\n", 3, "CR alone");
    refused(LEAST "deadline_ms = 9\f\n", 3, "not text, with the code 12");
    refused("bundles = { a }\ncamera { path = \xe2\x80\x9cp\xe2\x80\x9d }\n", 2, "quotation mark");
    refused(LEAST "line trigger { name =\xc2\xa0T }\n", 3, "looks like a space");
    accepted("bundles = { a }\ncamera { path = \"\xe2\x80\x9cp\xe2\x80\x9d \xc3\xa9\" }\n");
    accepted("bundles = { a }\ncamera { path = \xc3\xa9 }\n");
}

static void test_encodings(void **state) {
    (void)state;
    accepted("\xef\xbb\xbf" LEAST);
    refused(LEAST "\xef\xbb\xbf"
                  "deadline_ms = 9\n",
            3, "only looks like");
    static const char little[] = "\xff\xfe"
                                 "b\0u\0",
                      big[] = "\xfe\xff\0b\0u", bare[] = "b\0u\0n\0";
    assert_int_equal(read_bytes(little, sizeof little - 1), FG_INPUT);
    assert_non_null(strstr(report.text, ":1: the file is UTF-16: save it as UTF-8"));
    assert_int_equal(read_bytes(big, sizeof big - 1), FG_INPUT);
    assert_non_null(strstr(report.text, "UTF-16"));
    assert_int_equal(read_bytes(bare, sizeof bare - 1), FG_INPUT);
    assert_non_null(strstr(report.text, "UTF-16"));
    assert_int_equal(read_bytes(LEAST "\0", sizeof LEAST), FG_INPUT);
    assert_non_null(strstr(report.text, "not text"));
    assert_int_equal(fg_setup_read("tests", &config, &report), FG_ENVIRONMENT);
    assert_non_null(strstr(report.text, "Is a directory"));
}

static void test_variables(void **state) {
    (void)state;
    accepted(LEAST "modbus { port = ${FG_PORT} }\n");
    assert_int_equal(config.modbus.port, 1502);
    accepted(LEAST "modbus { port = \"${FG_UNSET:-1503}\" }\nline trigger { name = \"T${FG_EMPTY}\" }\n");
    assert_int_equal(config.modbus.port, 1503);
    assert_string_equal(config.io[FG_IO_TRIGGER].name, "T");
    accepted(LEAST "line trigger { name = '${FG_UNSET}' }\nline ready { name = \"\\${FG_UNSET}2\" }\n");
    assert_string_equal(config.io[FG_IO_TRIGGER].name, "${FG_UNSET}");
    assert_string_equal(config.io[FG_IO_READY].name, "${FG_UNSET}2");
    refused(LEAST "\nline trigger { name = \"T${FG_UNSET}\" }\n", 4,
            "the environment variable FG_UNSET is not set");
    refused(LEAST "line trigger { name = \"T${FG_UNSET:x-y}\" }\n", 3, "FG_UNSET:x-y is not set");
    refused(LEAST "line trigger { name = \"${FG_UNSET:-${FG_PORT}}\" }\n", 3, "does not end");
}

/* ---- Every cut, every bracket and quotation mark ---- */

/* Says whether each byte is as in the whole file or as where nothing is written. */
static bool means_no_other(void) {
    const unsigned char *now = (void *)&config, *said = (void *)&whole, *nothing = (void *)&standard;
    for (size_t i = offsetof(struct fg_config, broken); i < sizeof config; i++)
        if (now[i] != said[i] && now[i] != nothing[i])
            return false;
    return true;
}

/* Refused, with lines of the file for what the text itself has, or no other value than was written. */
static void check_text(const char *text, size_t size, const char *what, size_t at) {
    if (read_bytes(text, size) == FG_OK) {
        if (!means_no_other())
            fail_msg("%s at byte %zu makes another value:\n%.*s", what, at, (int)size, text);
    } else if (!strstr(report.text, ".conf:") && !strstr(report.text, "is missing")) {
        fail_msg("%s at byte %zu is refused without a line:\n%s", what, at, report.text);
    }
}

static void test_every_cut(void **state) {
    (void)state;
    uint32_t read = 0;
    for (size_t size = strlen(WHOLE); size > 0; size--) {
        check_text(WHOLE, size, "a cut", size);
        read += report.lines == 0;
    }
    assert_true(read > 10); /* some cuts leave a configuration */
}

/* The whole with a mark before byte i, and without the skipped bytes there. */
static const char *change_whole(size_t i, const char *mark, size_t skipped) {
    static char text[sizeof WHOLE + 8];
    memcpy(text, WHOLE, i);
    strcpy(text + i, mark);
    strcat(text, &WHOLE[i + skipped]);
    return text;
}

static void test_every_mark(void **state) {
    (void)state;
    const char *text;
    char quote = 0;
    for (size_t i = 0; i < strlen(WHOLE); i++) {
        if (strchr("\"'{}=,#/*\n", WHOLE[i]) && (!quote || WHOLE[i] == quote)) {
            text = change_whole(i, "", 1);
            check_text(text, strlen(text), "a mark that is missing", i);
        }
        static const char *const marks[] = {"\"", "'", "{", "}", "/*", "*/", "=", "${", ","};
        for (size_t m = 0; m < sizeof marks / sizeof *marks; m++) {
            if (quote && *marks[m] != quote)
                continue; /* inside a text it is a letter */
            text = change_whole(i, marks[m], 0);
            check_text(text, strlen(text), "a mark too many", i);
        }
        if (quote ? WHOLE[i] == quote : WHOLE[i] == '"' || WHOLE[i] == '\'')
            quote = quote ? 0 : WHOLE[i];
        if (WHOLE[i] == '\n')
            quote = 0; /* those of comments need no second one */
    }
}

/* The file that users begin with. */
static void test_every_cut_of_the_example(void **state) {
    (void)state;
    static char text[1 << 16];
    FILE *file = fopen("config/example.conf", "r");
    assert_non_null(file);
    const size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    assert_int_equal(read_bytes(text, size), FG_OK);
    const struct fg_config example = config;
    whole = example;
    for (size_t i = 0; i < size; i++) {
        if (i + 1 == size || strchr("\"'{}=\n0123456789", text[i]) || strchr("\"'{}=\n", text[i + 1]))
            check_text(text, i, "a cut", i);
        if (!strchr("\"'{}", text[i]))
            continue;
        const char mark = text[i];
        text[i] = ' ';
        check_text(text, size, "a mark that is missing", i);
        text[i] = mark;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_of_the_field),
        cmocka_unit_test(test_what_does_not_end),
        cmocka_unit_test(test_what_closes_nothing),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_signs),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_every_mark),
        cmocka_unit_test(test_every_cut_of_the_example),
    };
    return cmocka_run_group_tests(tests, prepare, clean);
}
