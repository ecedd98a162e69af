/* Options: what each kind takes and refuses, with what words; command lines; help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/option.h"

struct values {
    uint32_t batch, delay;
    float rate;
    double quantile;
    uint64_t seed;
    bool json;
    char name[8], out[16], bind[64];
    uint32_t loss, without;
    int32_t size[2];
    uint32_t region[4];
    char from[2][16];
    uint32_t froms;
    char writer[2][64];
    uint32_t writers;
    char floor[16], config[16];
};

#define AT(member) offsetof(struct values, member)
#define SIZE_OF(member) sizeof(((struct values *)0)->member)

static const struct fg_option TABLE[] = {
    {"batch", FG_OPTION_NUMBER, AT(batch), "16", 2, 64, .value = "N", .help = "pictures a step"},
    {"delay", FG_OPTION_TENTH_MS, AT(delay), "10", 0.1, 600000, .value = "MS", .help = "to the reject point"},
    {"rate", FG_OPTION_FLOAT, AT(rate), "0.4", 0, 1, .value = "X", .help = "share of positions"},
    {"quantile", FG_OPTION_DOUBLE, AT(quantile), "0.001", 1e-9, 0.5, .value = "X", .help = "of the tail"},
    {"seed", FG_OPTION_SEED, AT(seed), "0", .value = "N", .help = "of what is drawn"},
    {"json", FG_OPTION_BOOL, AT(json), "false", .help = "one object a line"},
    {"name", FG_OPTION_TEXT, AT(name), "part", .size = SIZE_OF(name), .value = "NAME", .help = "a name"},
    {"out", FG_OPTION_PATH, AT(out), NULL, .size = SIZE_OF(out), .value = "FILE", .help = "what is written"},
    {"bind", FG_OPTION_ADDRESS, AT(bind), "127.0.0.1", .size = SIZE_OF(bind), .value = "ADDRESS",
     .help = "where it listens"},
    {"loss", FG_OPTION_CHOICE, AT(loss), "global", .words = "position|global", .value = "KIND",
     .help = "what is minimised"},
    {"without", FG_OPTION_SET, AT(without), NULL, .words = "scconv|simam|fmm", .value = "LIST",
     .help = "what is left out"},
    {"size", FG_OPTION_SIZE, AT(size), "auto", 64, 1024, .value = "SIZE", .help = "of the network's input"},
    {"region", FG_OPTION_REGION, AT(region), "whole", 0, 4096, .value = "REGION", .help = "what is judged"},
    {"from", FG_OPTION_PATHS, AT(from), NULL, 0, 2, .size = SIZE_OF(from[0]), .count = AT(froms),
     .value = "FILE", .help = "what is read"},
    {"writer", FG_OPTION_ADDRESSES, AT(writer), NULL, 0, 2, .size = SIZE_OF(writer[0]), .count = AT(writers),
     .value = "ADDRESS", .help = "who may write"},
    {"floor", FG_OPTION_TEXT, AT(floor), "", .size = SIZE_OF(floor), .alone = "measured", .value = "DEVICE",
     .help =
         "the least time that could be needed, from rates that are measured, or from a data sheet where a "
         "device is given"},
    {"c", FG_OPTION_PATH, AT(config), NULL, .size = SIZE_OF(config), .value = "CONFIG",
     .help = "the configuration"},
};
static const struct fg_options OPTIONS = FG_OPTIONS(TABLE);

static struct values values;
static struct fg_message message;
static enum fg_asked asked;
static char *line[16];
static int count;

static int start(void **state) {
    (void)state;
    memset(&values, 0, sizeof values);
    message.text[0] = 0;
    return 0;
}

/* ---- Values ---- */

static enum fg_status put(const char *name, const char *text) {
    const struct fg_option *option = fg_options_find(&OPTIONS, name, strlen(name));
    assert_non_null(option);
    return fg_option_put(option, &values, text, &message);
}

/* Refused with these words, and nothing is stored. */
static void refuse(const char *name, const char *text, const char *words) {
    const struct values before = values;
    assert_int_equal(put(name, text), FG_USAGE);
    assert_string_equal(message.text, words);
    assert_memory_equal(&values, &before, sizeof values);
}

static void test_numbers(void **state) {
    (void)state;
    assert_int_equal(put("batch", "64"), FG_OK);
    assert_int_equal(values.batch, 64);
    const char *const none[] = {"1", "65", "", "8x", "8.5", "nan", "inf", "-8", "0x10", " 8", "8 ", "1e300"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        refuse("batch", none[i], "must be a whole number from 2 to 64");
    assert_int_equal(put("delay", "700.3"), FG_OK);
    assert_int_equal(values.delay, 7003);
    refuse("delay", "0", "must be a multiple of 0.1 from 0.1 to 600000");
    refuse("delay", "600.05", "must be a multiple of 0.1 from 0.1 to 600000");
    assert_int_equal(put("rate", "1e-1"), FG_OK);
    assert_true(values.rate == 0.1f);
    refuse("rate", "1.1", "must be a number from 0 to 1");
    assert_int_equal(put("quantile", "1e-9"), FG_OK);
    assert_true(values.quantile == 1e-9);
    refuse("quantile", "0", "must be a number from 1e-09 to 0.5");
}

static void test_seeds_keep_64_bits(void **state) {
    (void)state;
    assert_int_equal(put("seed", "18446744073709551615"), FG_OK);
    assert_true(values.seed == UINT64_MAX);
    const char *const none[] = {"18446744073709551616", "-1", "+1", "", "1.0", "1e3"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        refuse("seed", none[i], "must be a whole number from 0 to 18446744073709551615");
}

static void test_texts(void **state) {
    (void)state;
    assert_int_equal(put("json", "true"), FG_OK);
    assert_true(values.json);
    refuse("json", "yes", "must be true or false");
    assert_int_equal(put("name", "1234567"), FG_OK);
    assert_string_equal(values.name, "1234567");
    refuse("name", "12345678", "must be a text of at most 7 characters");
    assert_int_equal(put("bind", "::1"), FG_OK);
    assert_string_equal(values.bind, "::1");
    refuse("bind", "localhost", "must be a numeric IPv4 or IPv6 address");
}

static void test_words(void **state) {
    (void)state;
    assert_int_equal(put("loss", "global"), FG_OK);
    assert_int_equal(values.loss, 1);
    const char *const none[] = {"", "pos", "position|global", "Global", "globall"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        refuse("loss", none[i], "must be position or global");
    assert_int_equal(put("without", "fmm,scconv"), FG_OK);
    assert_int_equal(values.without, 5);
    assert_int_equal(put("without", "simam"), FG_OK);
    assert_int_equal(values.without, 2);
    refuse("without", "simam,", "must be a list of scconv, simam and fmm, separated by commas");
    refuse("without", "", "must be a list of scconv, simam and fmm, separated by commas");
}

static void test_sizes(void **state) {
    (void)state;
    assert_int_equal(put("size", "256"), FG_OK);
    assert_true(values.size[0] == 256 && values.size[1] == 256);
    assert_int_equal(put("size", "64x1024"), FG_OK);
    assert_true(values.size[0] == 64 && values.size[1] == 1024);
    const char *const none[] = {"",    "x",       "256x",    "x256",      "256x256x", "65",
                                "32",  "1056",    "-64",     "64 x 64",   "64X64",    "99999999999999999999",
                                "64x", "64x64.5", "autox64", "64x999999", "0x0"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        refuse("size", none[i], "must be auto, a side or HEIGHTxWIDTH, multiples of 32 from 64 to 1024");
    assert_int_equal(put("size", "auto"), FG_OK);
    assert_true(values.size[0] == 0 && values.size[1] == 0);
}

static void test_regions(void **state) {
    (void)state;
    assert_int_equal(put("region", "0,4096,1x20"), FG_OK);
    const uint32_t region[4] = {0, 4096, 1, 20};
    assert_memory_equal(values.region, region, sizeof region);
    const char *const none[] = {"",          "1,2,3",      "1,2,3x",   "1,2,0x4",         "1,2,3x0",
                                "1,2,3x4x5", "1, 2, 3x4",  "-1,2,3x4", "4097,0,1x1",      "1.5,2,3x4",
                                "whole,1",   "1,2,3,4",    "1,2,3x4 ", "1x2,3,4",         ",,x",
                                "0,0,1x",    "0,0,1x4097", "0,0,,1x1", "0000000000,0,1x1"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        refuse("region", none[i], "must be whole or X,Y,WIDTHxHEIGHT, pixels up to 4096");
    assert_int_equal(put("region", "whole"), FG_OK);
    assert_int_equal(values.region[2], 0);
}

static void test_lists(void **state) {
    (void)state;
    assert_int_equal(put("from", "a"), FG_OK);
    refuse("from", "1234567890123456", "must be a text of at most 15 characters");
    assert_int_equal(put("from", "b"), FG_OK);
    refuse("from", "c", "the list is full: it takes at most 2");
    assert_int_equal(values.froms, 2);
    assert_string_equal(values.from[1], "b");
    assert_int_equal(put("writer", "10.0.0.1"), FG_OK);
    refuse("writer", "plc", "must be a numeric IPv4 or IPv6 address");
    assert_int_equal(values.writers, 1);
}

static void test_defaults(void **state) {
    (void)state;
    values.without = 7;
    fg_options_put_defaults(&OPTIONS, &values);
    assert_int_equal(values.batch, 16);
    assert_int_equal(values.delay, 100);
    assert_int_equal(values.loss, 1);
    assert_string_equal(values.name, "part");
    assert_int_equal(values.without, 7); /* it has none */
}

/* ---- Command lines ---- */

/* Reads "program" and these words. */
static enum fg_status parse(const char *words) {
    static char text[256];
    snprintf(text, sizeof text, "program %s", words);
    start(NULL);
    count = 0;
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        line[count++] = word;
    line[count] = NULL;
    return fg_options_parse(&OPTIONS, &count, line, &values, &asked, &message);
}

static void test_any_order(void **state) {
    (void)state;
    assert_int_equal(parse("dir --batch 8 --json -c x.conf file --out=a=b --batch=4 - -- --rate"), FG_OK);
    assert_int_equal(asked, FG_ASKED_NOTHING);
    assert_int_equal(values.batch, 4);
    assert_true(values.json);
    assert_string_equal(values.out, "a=b");
    assert_string_equal(values.config, "x.conf");
    assert_true(values.rate == 0.4f); /* by default */
    assert_int_equal(count, 5);
    const char *const left[] = {"program", "dir", "file", "-", "--rate"};
    for (int i = 0; i < 5; i++)
        assert_string_equal(line[i], left[i]);
    assert_null(line[5]);
}

static void test_lists_grow_and_values_may_be_left_out(void **state) {
    (void)state;
    assert_int_equal(parse("--from a --from b --floor c"), FG_OK);
    assert_int_equal(values.froms, 2);
    assert_string_equal(values.floor, "measured");
    assert_string_equal(line[1], "c");
    assert_int_equal(parse("--floor=h200"), FG_OK);
    assert_string_equal(values.floor, "h200");
    assert_int_equal(count, 1);
}

static void refuse_line(const char *words, const char *text) {
    assert_int_equal(parse(words), FG_USAGE);
    assert_string_equal(message.text, text);
}

static void test_wrong_lines(void **state) {
    (void)state;
    refuse_line("--batch 1", "--batch 1: must be a whole number from 2 to 64");
    refuse_line("--batch=1", "--batch 1: must be a whole number from 2 to 64");
    refuse_line("--out", "--out needs a value: --out FILE");
    refuse_line("--out --json", "--out needs a value: --out FILE");
    refuse_line("-c", "-c needs a value: -c CONFIG");
    refuse_line("--json=true", "--json takes no value");
    refuse_line("--bat 8", "unknown option --bat: is --batch meant? See --help");
    refuse_line("--bacth 8", "unknown option --bacth: is --batch meant? See --help");
    refuse_line("--wthout=fmm", "unknown option --wthout=fmm: is --without meant? See --help");
    refuse_line("--colour red", "unknown option --colour; see --help");
    refuse_line("-json", "unknown option -json: is --json meant? See --help");
    refuse_line("--c x", "unknown option --c: is -c meant? See --help");
    refuse_line("-x", "unknown option -x; see --help");
    refuse_line("--=", "unknown option --=; see --help");
    refuse_line("---", "unknown option ---; see --help");
}

static void test_help_and_version_win(void **state) {
    (void)state;
    assert_int_equal(parse("--colour --help"), FG_OK);
    assert_int_equal(asked, FG_ASKED_HELP);
    assert_int_equal(parse("x -h"), FG_OK);
    assert_int_equal(asked, FG_ASKED_HELP);
    assert_int_equal(parse("--version"), FG_OK);
    assert_int_equal(asked, FG_ASKED_VERSION);
    assert_int_equal(parse("-- --help"), FG_OK);
    assert_int_equal(asked, FG_ASKED_NOTHING);
}

/* ---- Help ---- */

static void test_help(void **state) {
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    assert_non_null(to);
    fg_options_help(&OPTIONS, to);
    fclose(to);
    const char *const lines[] = {
        "  --batch N         pictures a step; a whole number from 2 to 64 (default 16)\n",
        "  --seed N          of what is drawn (default 0)\n",
        "  --json            one object a line\n",
        "  --out FILE        what is written\n",
        "  --loss KIND       what is minimised; position or global (default global)\n",
        "  --without LIST    what is left out; a list of scconv, simam and fmm, separated by commas\n",
        "\n                    data sheet where a device is given\n",
        "  -c CONFIG         the configuration\n",
        "  --help            prints this, as -h does\n",
        "  --version         prints the version\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(text, lines[i]))
            fail_msg("no \"%s\" in:\n%s", lines[i], text);
    for (const char *at = text; *at; at += strcspn(at, "\n") + 1)
        assert_true(strcspn(at, "\n") <= 100);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_numbers, start),
        cmocka_unit_test_setup(test_seeds_keep_64_bits, start),
        cmocka_unit_test_setup(test_texts, start),
        cmocka_unit_test_setup(test_words, start),
        cmocka_unit_test_setup(test_sizes, start),
        cmocka_unit_test_setup(test_regions, start),
        cmocka_unit_test_setup(test_lists, start),
        cmocka_unit_test_setup(test_defaults, start),
        cmocka_unit_test_setup(test_any_order, start),
        cmocka_unit_test_setup(test_lists_grow_and_values_may_be_left_out, start),
        cmocka_unit_test_setup(test_wrong_lines, start),
        cmocka_unit_test_setup(test_help_and_version_win, start),
        cmocka_unit_test_setup(test_help, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
