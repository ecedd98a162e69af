/* The example configuration: it explains every key, says what the defaults are, and is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "board/camera/directory.h"
#include "board/gpio/simulated.h"
#include "config/keys.h"
#include "runtime/line/setup.h"

#define EXAMPLE "config/example.conf"

static struct fg_config config;
static struct fg_report report;

static int forget(void **state) {
    (void)state;
    fg_report_free(&report);
    return 0;
}

/* Reads a text as a file, with the drivers of the program. */
static void read_accepted(const char *text) {
    char path[] = "/tmp/flawgate-example-XXXXXX";
    const int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, text, strlen(text)), (ssize_t)strlen(text));
    close(descriptor);
    const enum fg_status status = fg_setup_read(path, &config, &report);
    unlink(path);
    if (status != FG_OK)
        fail_msg("%s", report.text);
}

/* The comment above a key, in one line. False: the key has none, or is not there. */
static bool find_comment(const char *text, const char *section, const char *name, char *comment,
                         size_t size) {
    char begin[64], key[64];
    snprintf(begin, sizeof begin, "\n%s ", section);
    snprintf(key, sizeof key, *section ? "\n    %s = " : "\n%s = ", name);
    const char *from = *section ? strstr(text, begin) : text;
    const char *found = from ? strstr(from, key) : NULL;
    if (!found || (*section && found > strstr(from, "\n}")))
        return false;
    const char *first = found;
    for (const char *line = found; line > text; first = line) {
        do
            line--;
        while (line > text && *line != '\n');
        if (line[1 + strspn(line + 1, " ")] != '#')
            break;
    }
    size_t used = 0;
    for (const char *at = first; at < found && used + 1 < size; at++) {
        const char c = strchr("#\n", *at) ? ' ' : *at;
        if (c != ' ' || (used && comment[used - 1] != ' '))
            comment[used++] = c;
    }
    comment[used] = 0;
    return used > 0;
}

/* Every key stands in its section under what its table says of it. */
static void check_keys(const char *text, const char *section, const struct fg_options *keys) {
    for (size_t i = 0; i < keys->count; i++) {
        const struct fg_option *key = &keys->option[i];
        char comment[1024];
        if (!find_comment(text, section, key->name, comment, sizeof comment) ||
            !strcasestr(comment, key->help))
            fail_msg("%s does not say \"%s\" above %s.%s", EXAMPLE, key->help, section, key->name);
    }
}

static char example[FG_CONFIG_MAX_BYTES];

static int read_example(void **state) {
    (void)state;
    FILE *file = fopen(EXAMPLE, "r");
    assert_non_null(file);
    example[fread(example, 1, sizeof example - 1, file)] = 0;
    return fclose(file);
}

static void test_example(void **state) {
    (void)state;
    if (fg_setup_read(EXAMPLE, &config, &report) != FG_OK)
        fail_msg("%s", report.text);
    for (size_t s = 0; s < FG_CONFIG_SECTION_COUNT; s++)
        if (s != FG_SECTION_VIEW)
            check_keys(example, FG_CONFIG_SECTIONS[s].name, &FG_CONFIG_SECTIONS[s].keys);
    check_keys(example, "camera", &fg_directory_driver.keys);
    check_keys(example, "board", &fg_simulated_driver.keys);
    /* And what it says is the default, but where there is none. */
    static struct fg_config said;
    said = config;
    read_accepted("bundles = { a.fgb }\ncamera { path = p }\n");
    memcpy(config.path, said.path, sizeof said.path);
    memcpy(config.view[0].bundle, said.view[0].bundle, sizeof said.view[0].bundle);
    memcpy(config.camera[0].settings, said.camera[0].settings, FG_CAMERA_PATH);
    memcpy(config.io, said.io, sizeof said.io);
    config.checksum = said.checksum;
    assert_memory_equal(&said, &config, sizeof config);
}

/* What the example says of several cameras and views, in comments, is a configuration too. */
static void test_example_of_views(void **state) {
    (void)state;
    static char text[FG_CONFIG_MAX_BYTES];
    size_t used = 0;
    for (const char *at = strstr(example, "\n# camera "); at && *at; at += strcspn(at, "\n")) {
        at++;
        at += *at == '#' ? 1 + (at[1] == ' ') : 0;
        used += (size_t)snprintf(text + used, sizeof text - used, "\n%.*s", (int)strcspn(at, "\n"), at);
    }
    read_accepted(text);
    assert_true(config.cameras > 1 && config.views > 2);
    check_keys(text, "view", &FG_CONFIG_SECTIONS[FG_SECTION_VIEW].keys);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_example, read_example, forget),
        cmocka_unit_test_setup_teardown(test_example_of_views, read_example, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
