/* The command line of flawgate-train: what it means, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

#include "trainer/options.h"

#define MOST 24 /* words */

static struct fg_train_options options;
static struct fg_message message;

/* Reads a command line of words between spaces, which stay as long as the options are used. */
static enum fg_status read_line(const char *line) {
    static char words[256];
    char *argv[MOST + 1] = {"flawgate-train"};
    int argc = 1;
    bool over;
    snprintf(words, sizeof words, "%s", line);
    for (char *rest, *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        assert_true(argc < MOST);
        argv[argc++] = word;
    }
    enum fg_status status = fg_train_options_read(argc, argv, &options, &over, &message);
    assert_false(over);
    return status;
}

/* The table's defaults are those that the trainer has where nobody reads a command line. */
static void defaults(void **state) {
    (void)state;
    assert_int_equal(read_line("parts --out a.fgb --teacher t.safetensors"), FG_OK);
    const struct fg_training expected = fg_training_defaults();
    assert_int_equal(options.training.epochs, expected.epochs);
    assert_int_equal(options.training.patience, expected.patience);
    assert_int_equal(options.training.batch, expected.batch);
    assert_true(options.training.learning_rate == expected.learning_rate);
    assert_true(options.training.l2 == expected.l2);
    assert_true(options.training.recipe.mask_rate == expected.recipe.mask_rate);
    assert_int_equal(options.training.recipe.global_loss, expected.recipe.global_loss);
    assert_int_equal(options.score, FG_SCORE_AUTO);
    assert_true(options.training.seed == expected.seed);
    assert_int_equal(options.training.cache_mib, expected.cache_mib);
    assert_string_equal(options.folder, "parts");
    assert_int_equal(options.device, FG_COMPUTE_AUTO);
    assert_int_equal(options.backbone, FG_BACKBONES);
    assert_true(options.scconv && options.simam && options.fmm && !options.soft_gate);
    assert_int_equal(options.levels, 7);
    assert_int_equal(options.devices, 1);
    assert_true(options.size[0] == 0 && options.size[1] == 0 && options.threads == 0);
    assert_true(options.false_rejects == 1e-3f);
    assert_false(options.resume || options.json || options.quiet);
}

static void what_is_given_counts(void **state) {
    (void)state;
    assert_int_equal(read_line("--without=simam,fmm --levels 1,3 --gate soft --loss global --size 64x96 "
                               "--backbone resnet34 parts --teacher random --out a.fgb"),
                     FG_OK);
    assert_true(options.scconv && !options.simam && !options.fmm && options.soft_gate);
    assert_true(options.training.recipe.global_loss);
    assert_int_equal(options.levels, 5);
    assert_int_equal(options.backbone, FG_RESNET34);
    assert_true(options.size[0] == 64 && options.size[1] == 96);
    assert_int_equal(read_line("parts --out a.fgb --teacher t --seed 18446744073709551615 --mask-rate 0"),
                     FG_OK);
    assert_true(options.training.seed == UINT64_MAX && options.training.recipe.mask_rate == 0);
    assert_int_equal(read_line("parts --out a.fgb --teacher t --score product-local --loss position"), FG_OK);
    assert_int_equal(options.score, FG_SCORE_PRODUCT_LOCAL);
    assert_false(options.training.recipe.global_loss);
    assert_int_equal(read_line("parts --out a.fgb --teacher t --recipe paper"), FG_OK);
    assert_true(!options.training.recipe.global_loss && options.score == FG_SCORE_SUM);
    assert_int_equal(read_line("parts --out a.fgb --teacher t --recipe paper --score auto --loss global"),
                     FG_OK);
    assert_true(options.training.recipe.global_loss && options.score == FG_SCORE_AUTO);
    assert_int_equal(read_line("parts --out a.fgb --teacher t --device cpu --devices 2"), FG_OK);
    assert_int_equal(options.devices, 2);
    assert_int_equal(read_line("parts --out a.fgb --teacher t --recipe paper --cache-mib 0"), FG_OK);
    assert_int_equal(options.training.cache_mib, 0);
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *line, *said;
    } cases[] = {
        {"--out a.fgb --teacher t", "it takes DIR --out NAME.fgb"},
        {"parts more --out a.fgb --teacher t", "more"},
        {"parts --teacher t", "--out NAME.fgb is missing"},
        {"parts --out a.txt --teacher t", "must end in .fgb"},
        {"parts --out .fgb --teacher t", "must end in .fgb"},
        {"parts --out a.fgb", "--teacher FILE is missing"},
        {"parts --out a.fgb --teacher random", "--teacher random needs --backbone NAME"},
        {"parts --out a.fgb --teacher t --backbone resnet19", "--backbone resnet19: must be resnet18"},
        {"parts --out a.fgb --teacher t --batch 1", "--batch 1: must be a whole number from 2 to 64"},
        {"parts --out a.fgb --teacher t --batch 16 --devices 3", "--batch 16 on 3 devices"},
        {"parts --out a.fgb --teacher t --device tpu", "--device tpu: must be auto, cuda or cpu"},
        {"parts --out a.fgb --teacher t --cache-mib -1", "--cache-mib -1: must be a whole number from 0 to"},
        {"parts --out a.fgb --teacher t --cache-mib 1GB", "--cache-mib 1GB: must be a whole number from 0"},
        {"parts --out a.fgb --teacher t --size 100", "--size 100: must be auto"},
        {"parts --out a.fgb --teacher t --levels 1,4", "--levels 1,4: must be a list of 1, 2 and 3"},
        {"parts --out a.fgb --teacher t --epoch 3", "is --epochs meant"},
        {"parts --out a.fgb --teacher t --lr", "--lr needs a value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(read_line(cases[i].line), FG_USAGE);
        if (!strstr(message.text, cases[i].said))
            fail_msg("%s: no \"%s\" in: %s", cases[i].line, cases[i].said, message.text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(what_is_given_counts),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
