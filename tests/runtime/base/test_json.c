/* JSON is valid UTF-8 whatever a text holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "runtime/base/json.h"

#define BAD "\xef\xbf\xbd" /* U+FFFD */

static void texts(void **state) {
    (void)state;
    static const struct {
        const char *text, *printed;
    } cases[] = {
        {"", "\"\""},
        {"a \"b\" \\ c", "\"a \\\"b\\\" \\\\ c\""},
        {"\n\x01\x7f", "\"\\u000a\\u0001\x7f\""},
        {"pr\xc3\xbc"
         "f \xe2\x82\xac \xf0\x9f\x98\x80",
         "\"pr\xc3\xbc"
         "f \xe2\x82\xac \xf0\x9f\x98\x80\""},
        {"\xff\xff.png", "\"" BAD BAD ".png\""},
        {"\xfc.png", "\"" BAD ".png\""},       /* Latin-1 */
        {"\xc3", "\"" BAD "\""},               /* cut */
        {"\xe2\x82\"", "\"" BAD BAD "\\\"\""}, /* cut; the quote is not part of it */
        {"\x80"
         "a",
         "\"" BAD "a\""},                                        /* without a beginning */
        {"\xc0\xaf\xe0\x80\xaf", "\"" BAD BAD BAD BAD BAD "\""}, /* longer than needed */
        {"\xed\xa0\x80", "\"" BAD BAD BAD "\""},                 /* a surrogate */
        {"\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\""},            /* the last number */
        {"\xf4\x90\x80\x80", "\"" BAD BAD BAD BAD "\""},         /* one more */
        {"\xf8\x88\x80\x80\x80", "\"" BAD BAD BAD BAD BAD "\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *printed = NULL;
        size_t size;
        FILE *out = open_memstream(&printed, &size);
        fg_json_text(out, cases[i].text);
        fclose(out);
        assert_string_equal(printed, cases[i].printed);
        free(printed);
    }
}

static void numbers(void **state) {
    (void)state;
    char *printed = NULL;
    size_t size;
    FILE *out = open_memstream(&printed, &size);
    const double values[] = {0.1, -3, (double)INFINITY, (double)NAN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        fg_json_number(out, values[i]);
        fputc(' ', out);
    }
    fclose(out);
    assert_string_equal(printed, "0.1 -3 null null ");
    free(printed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
