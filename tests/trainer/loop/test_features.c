/* Features that are kept change no bit of training: not none, not some, not all of them, nor how many threads
 * or devices make them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trainer/loop/features.h"
#include "trainer/loop/train.h"

/* A picture's features are 126 KiB: of the pictures 1 MiB holds 8. */
#define SIDE 192
#define COUNT 14
#define SOME 1
#define ALL 1000000 /* MiB: more than the machine has */

static struct fg_network network;
static struct fg_message message;
static uint8_t pixels[COUNT * SIDE * SIDE * 3];
static const uint32_t train[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, held_out[] = {10, 11, 12, 13};
static const uint8_t data_hash[32] = {1, 2, 3};

static void ok(enum fg_status status) {
    if (status != FG_OK)
        fail_msg("%s", message.text);
}

static void no_progress(void *argument, uint32_t pictures) {
    (void)argument;
    (void)pictures;
}

static int set_up(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)((uint32_t)i * 2654435761u >> 13);
    const struct fg_network_spec spec = {.backbone = FG_RESNET18,
                                         .height = SIDE,
                                         .width = SIDE,
                                         .base = 8,
                                         .scconv = true,
                                         .simam = true,
                                         .fmm = true,
                                         .levels = 7};
    return fg_network_init(&network, &spec, &message) != FG_OK;
}

/* A trainer with backends of its own. */
struct run {
    struct fg_backend *backend[2];
    uint32_t devices;
    struct fg_trainer *trainer;
};

static struct run open_run(uint32_t cache_mib, uint32_t threads, uint32_t devices, bool host_memory) {
    struct run r = {.devices = devices};
    struct fg_training training = fg_training_defaults();
    training.epochs = 3;
    training.batch = 4;
    training.cache_mib = cache_mib;
    const struct fg_pictures pictures = {
        .pixels = pixels, .count = COUNT, .train = train, .trains = 10, .held_out = held_out, .held_outs = 4};
    struct fg_weights weights;
    ok(fg_weights_open(&weights, &network, &message));
    fg_weights_draw(&weights, 5, true);
    for (uint32_t i = 0; i < devices; i++)
        ok(fg_cpu_open(threads, 1, &r.backend[i], &message));
    for (uint32_t i = 0; i < devices; i++)
        r.backend[i]->device.host_memory = host_memory;
    ok(fg_trainer_open(&training, &weights, &pictures, r.backend, devices, &r.trainer, &message));
    return r;
}

static void close_run(struct run *r) {
    fg_trainer_close(r->trainer);
    for (uint32_t i = 0; i < r->devices; i++)
        r->backend[i]->close(r->backend[i]);
}

static void epochs(const struct run *r, int count) {
    for (int i = 0; i < count; i++)
        ok(fg_trainer_epoch(r->trainer, no_progress, NULL, &message));
}

static void same(const struct run *a, const struct run *b) {
    const struct fg_weights *best = fg_trainer_best(a->trainer);
    assert_memory_equal(best->block, fg_trainer_best(b->trainer)->block, best->bytes);
    assert_memory_equal(fg_trainer_counters(a->trainer), fg_trainer_counters(b->trainer),
                        sizeof(struct fg_trainer_counters));
}

static void test_no_bit_depends_on_what_is_kept(void **state) {
    (void)state;
    for (uint32_t devices = 1; devices <= 2; devices++) {
        struct run none = open_run(0, 2, devices, true), some = open_run(SOME, 1, devices, true),
                   all = open_run(ALL, 3, devices, true);
        epochs(&none, 3);
        epochs(&some, 3);
        epochs(&all, 3);
        same(&none, &some);
        same(&none, &all);
        close_run(&none);
        close_run(&some);
        close_run(&all);
    }
}

/* Who goes on may have another size of the store than who began. */
static void test_resumed(void **state) {
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/flawgate-test-%d.state", (int)getpid());
    struct run whole = open_run(ALL, 2, 1, true), cut = open_run(SOME, 2, 1, true);
    epochs(&whole, 3);
    epochs(&cut, 2);
    ok(fg_trainer_save(cut.trainer, path, data_hash, &message));
    close_run(&cut);
    const uint32_t sizes[] = {SOME, 0, ALL};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        cut = open_run(sizes[i], 2, 1, true);
        ok(fg_trainer_resume(cut.trainer, path, data_hash, &message));
        epochs(&cut, 1);
        same(&whole, &cut);
        close_run(&cut);
    }
    close_run(&whole);
    unlink(path);
}

/* A device with memory of its own, as a GPU has, makes the features in every step. */
static void test_own_memory(void **state) {
    (void)state;
    struct run host = open_run(ALL, 2, 1, true), own = open_run(ALL, 2, 1, false);
    epochs(&host, 1);
    epochs(&own, 1);
    const float expected = fg_trainer_counters(host.trainer)->loss,
                loss = fg_trainer_counters(own.trainer)->loss;
    assert_true(fabsf(loss - expected) < 0.02f * expected);
    close_run(&host);
    close_run(&own);
}

/* The memory that is announced follows the size that was asked for, and the pictures that there are. */
static void test_memory(void **state) {
    (void)state;
    const size_t picture = (48 * 48 * 8 + 24 * 24 * 16 + 12 * 12 * 32) * sizeof(float);
    struct fg_features *features;
    const struct {
        uint32_t mib;
        size_t bytes;
    } cases[] = {{0, 0}, {SOME, (size_t)SOME << 20}, {ALL, COUNT * picture}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ok(fg_features_open(&network, COUNT, cases[i].mib, &features, &message));
        assert_int_equal(fg_features_memory(features), cases[i].bytes + picture);
        fg_features_close(features);
    }
    fg_features_close(NULL);
    assert_int_equal(fg_features_memory(NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_bit_depends_on_what_is_kept),
        cmocka_unit_test(test_resumed),
        cmocka_unit_test(test_own_memory),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
