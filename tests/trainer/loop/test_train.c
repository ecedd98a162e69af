/* The training loop: it learns, it is the same every time, and a run that was cut and resumed equals the
 * unbroken one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trainer/loop/state.h"
#include "trainer/loop/train.h"

#define SIDE 64
#define COUNT 14

static struct fg_network network;
static struct fg_message message;
static struct fg_backend *backend;
static uint8_t pixels[COUNT * SIDE * SIDE * 3];
static const uint32_t train[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, held_out[] = {10, 11, 12, 13};
static const uint8_t data_hash[32] = {1, 2, 3};
static char path[64];

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s", message.text);
}

static void no_progress(void *argument, uint32_t pictures) {
    (void)argument;
    (void)pictures;
}

/* Stripes of a slightly different phase in each picture: something to learn. */
static int set_up(void **state) {
    (void)state;
    for (uint32_t i = 0; i < COUNT; i++)
        for (uint32_t y = 0; y < SIDE; y++)
            for (uint32_t x = 0; x < SIDE; x++)
                for (uint32_t k = 0; k < 3; k++)
                    pixels[((i * SIDE + y) * SIDE + x) * 3 + k] =
                        (uint8_t)(((x + i) / 4 % 2 ? 180 : 60) + (y * (k + 1) / 2) % 40);
    snprintf(path, sizeof path, "/tmp/flawgate-test-%d.state", (int)getpid());
    const struct fg_network_spec spec = {.backbone = FG_RESNET18,
                                         .height = SIDE,
                                         .width = SIDE,
                                         .base = 8,
                                         .scconv = true,
                                         .simam = true,
                                         .fmm = true,
                                         .levels = 7};
    return fg_network_init(&network, &spec, &message) != FG_OK ||
           fg_cpu_open(2, 1, &backend, &message) != FG_OK;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    backend->close(backend);
    return 0;
}

static struct fg_trainer *open_trainer(struct fg_training training) {
    training.batch = 4;
    const struct fg_pictures pictures = {
        .pixels = pixels, .count = 14, .train = train, .trains = 10, .held_out = held_out, .held_outs = 4};
    struct fg_weights weights;
    ok(fg_weights_open(&weights, &network, &message));
    fg_weights_draw(&weights, training.seed, true);
    struct fg_trainer *trainer;
    ok(fg_trainer_open(&training, &weights, &pictures, &backend, 1, &trainer, &message));
    return trainer;
}

static void epochs(struct fg_trainer *trainer, int count) {
    for (int i = 0; i < count; i++)
        ok(fg_trainer_epoch(trainer, no_progress, NULL, &message));
}

static struct fg_training recipe(uint32_t limit) {
    struct fg_training training = fg_training_defaults();
    training.epochs = limit;
    training.seed = 5;
    return training;
}

static void same_weights(const struct fg_trainer *a, const struct fg_trainer *b) {
    assert_memory_equal(fg_trainer_best(a)->block, fg_trainer_best(b)->block, fg_trainer_best(a)->bytes);
    assert_memory_equal(fg_trainer_counters(a), fg_trainer_counters(b), sizeof(struct fg_trainer_counters));
}

static void test_learns(void **state) {
    (void)state;
    struct fg_trainer *trainer = open_trainer(recipe(12));
    epochs(trainer, 1);
    const float first = fg_trainer_counters(trainer)->loss;
    epochs(trainer, 11);
    const struct fg_trainer_counters *c = fg_trainer_counters(trainer);
    printf("held-out loss %.4f after 1 epoch, best %.4f of epoch %u after 12\n", (double)first,
           (double)c->best_loss, c->best_epoch);
    assert_true(c->best_loss < 0.5f * first);
    assert_true(c->finished);
    assert_int_equal(c->epoch, 12);
    fg_trainer_close(trainer);
}

static void test_same_twice_and_resumed(void **state) {
    (void)state;
    struct fg_trainer *whole = open_trainer(recipe(5)), *again = open_trainer(recipe(5));
    epochs(whole, 5);
    epochs(again, 3);
    ok(fg_trainer_save(again, path, data_hash, &message));
    epochs(again, 2);
    same_weights(whole, again);
    fg_trainer_close(again);

    struct fg_trainer *resumed = open_trainer(recipe(5));
    ok(fg_trainer_resume(resumed, path, data_hash, &message));
    assert_int_equal(fg_trainer_counters(resumed)->epoch, 3);
    epochs(resumed, 2);
    same_weights(whole, resumed);
    fg_trainer_close(resumed);
    fg_trainer_close(whole);
}

/* The number of threads changes no bit. */
static void test_threads(void **state) {
    (void)state;
    struct fg_backend *own[3], *const two = backend;
    struct fg_trainer *trainer[3];
    for (uint32_t i = 0; i < 3; i++) {
        ok(fg_cpu_open(i + 1, 1, &own[i], &message));
        backend = own[i];
        trainer[i] = open_trainer(recipe(2));
        epochs(trainer[i], 2);
        same_weights(trainer[0], trainer[i]);
    }
    for (uint32_t i = 0; i < 3; i++) {
        fg_trainer_close(trainer[i]);
        own[i]->close(own[i]);
    }
    backend = two;
}

/* ---- Several devices ---- */

static struct fg_backend *group[2];

static struct fg_trainer *open_shared(const uint8_t *of, uint32_t trains, uint32_t batch, uint32_t devices,
                                      float mask_rate) {
    struct fg_training training = recipe(3);
    training.batch = batch;
    training.recipe.mask_rate = mask_rate;
    const struct fg_pictures pictures = {
        .pixels = of, .count = 14, .train = train, .trains = trains, .held_out = held_out, .held_outs = 4};
    struct fg_weights weights;
    struct fg_trainer *trainer;
    ok(fg_weights_open(&weights, &network, &message));
    fg_weights_draw(&weights, training.seed, true);
    ok(fg_trainer_open(&training, &weights, &pictures, group, devices, &trainer, &message));
    return trainer;
}

/* Where all pictures are the same, the mean of two devices' gradients is one device's, to the bit. */
static void test_devices_share_gradients(void **state) {
    (void)state;
    static uint8_t same[sizeof pixels];
    for (size_t i = 0; i < sizeof same; i++)
        same[i] = pixels[i % (SIDE * SIDE * 3)];
    struct fg_trainer *one = open_shared(same, 4, 4, 1, 0), *two = open_shared(same, 8, 8, 2, 0);
    epochs(one, 3);
    epochs(two, 3);
    same_weights(one, two);
    fg_trainer_close(two);
    fg_trainer_close(one);
    /* Where they differ, a device more sees more of them. */
    one = open_shared(pixels, 4, 4, 1, 0);
    two = open_shared(pixels, 8, 8, 2, 0);
    epochs(one, 1);
    epochs(two, 1);
    assert_true(fg_trainer_counters(one)->loss != fg_trainer_counters(two)->loss);
    fg_trainer_close(two);
    fg_trainer_close(one);
}

static void test_devices_resume(void **state) {
    (void)state;
    struct fg_trainer *whole = open_shared(pixels, 10, 4, 2, 0.4f),
                      *cut = open_shared(pixels, 10, 4, 2, 0.4f);
    epochs(whole, 3);
    epochs(cut, 2);
    ok(fg_trainer_save(cut, path, data_hash, &message));
    fg_trainer_close(cut);
    cut = open_shared(pixels, 10, 4, 2, 0.4f);
    ok(fg_trainer_resume(cut, path, data_hash, &message));
    epochs(cut, 1);
    same_weights(whole, cut);
    fg_trainer_close(cut);
    fg_trainer_close(whole);
}

static int open_group(void **state) {
    (void)state;
    return fg_cpu_open(1, 1, &group[0], &message) != FG_OK || fg_cpu_open(1, 1, &group[1], &message) != FG_OK;
}

static int close_group(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++)
        group[i]->close(group[i]);
    return 0;
}

static void refused(struct fg_training training, const uint8_t *hash, const char *expected) {
    struct fg_trainer *trainer = open_trainer(training);
    assert_int_equal(fg_trainer_resume(trainer, path, hash, &message), FG_INPUT);
    if (!strstr(message.text, expected))
        fail_msg("\"%s\" does not say \"%s\"", message.text, expected);
    fg_trainer_close(trainer);
}

static void test_refuses_another_run(void **state) {
    (void)state;
    struct fg_trainer *trainer = open_trainer(recipe(5));
    epochs(trainer, 1);
    ok(fg_trainer_save(trainer, path, data_hash, &message));
    fg_trainer_close(trainer);

    struct fg_training other = recipe(5);
    other.seed = 6;
    refused(other, data_hash, "--seed");
    other = recipe(5);
    other.l2 = 0;
    refused(other, data_hash, "--l2");
    other = recipe(5);
    other.recipe.global_loss = false;
    refused(other, data_hash, "--loss");
    static const uint8_t other_hash[32] = {9};
    refused(recipe(5), other_hash, "pictures");
}

static void test_refuses_damage(void **state) {
    (void)state;
    struct fg_trainer *trainer = open_trainer(recipe(5));
    epochs(trainer, 1);
    ok(fg_trainer_save(trainer, path, data_hash, &message));
    fg_trainer_close(trainer);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    FILE *file = fopen(path, "r+b");
    fseek(file, info.st_size / 2, SEEK_SET);
    const int byte = fgetc(file);
    fseek(file, info.st_size / 2, SEEK_SET);
    fputc(byte ^ 1, file);
    fclose(file);
    refused(recipe(5), data_hash, "damaged");
    assert_int_equal(truncate(path, info.st_size - 1), 0);
    refused(recipe(5), data_hash, "bytes");
    assert_int_equal(truncate(path, 10), 0);
    refused(recipe(5), data_hash, "not a training state");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_same_twice_and_resumed),
        cmocka_unit_test(test_threads),
        cmocka_unit_test_setup_teardown(test_devices_share_gradients, open_group, close_group),
        cmocka_unit_test_setup_teardown(test_devices_resume, open_group, close_group),
        cmocka_unit_test(test_refuses_another_run),
        cmocka_unit_test(test_refuses_damage),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
