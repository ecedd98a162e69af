/* A small bundle for tests, of a network with 1/16 of the channels: written, opened, and forged.
 *
 * Errors: a failure fails the test. Owner: set_up makes the folder and what is written into it, tear_down
 * removes both. Thread: the test's. NULL: the state, which is not used; quantised, where all stays float. */
#ifndef FG_TESTS_RUNTIME_BUNDLE_SMALL_BUNDLE_H
#define FG_TESTS_RUNTIME_BUNDLE_SMALL_BUNDLE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/philox.h"
#include "runtime/base/bytes.h"
#include "runtime/bundle/file.h"

#define SIDE 64
#define PIXELS ((size_t)SIDE * SIDE)

static char folder[64], path[128], other[128];
static struct fg_network network;
static struct fg_bundle_header header;
static float *values[FG_NETWORK_PARAMS];
static const struct fg_quantised *quantised; /* what the bundles that are made have as int8 */
#define SCENE 56                             /* values of the descriptor of a network of base 4 */
#define GOOD 300                             /* pictures: more than a block of a stream holds */
static uint8_t picture[PIXELS * 3];
static float map[PIXELS];
static struct fg_good good[GOOD];
static float scene[2][SCENE];  /* mean and scale */
static float place[2][PIXELS]; /* mean and scale */
static const struct fg_evidence evidence = {.input = picture,
                                            .map = map,
                                            .good = good,
                                            .scene_mean = scene[0],
                                            .scene_scale = scene[1],
                                            .place_mean = place[0],
                                            .place_scale = place[1]};
static struct fg_message message;

static inline size_t count_of(uint32_t param) {
    const struct fg_tensor t = fg_param_tensor(&network.param[param]);
    return fg_tensor_count(&t);
}

static inline float draw(uint32_t tensor, uint32_t i) {
    return 0.2f * (fg_philox_uniform(fg_philox(7, i, tensor, 0, 0).word[0]) - 0.5f);
}

static inline const float *const *written(void) {
    return (const float *const *)values;
}

/* A bundle in memory. */
static inline struct fg_bundle *make_bundle(const struct fg_bundle_header *h, const float *const *from) {
    struct fg_bundle *bundle = NULL;
    if (fg_bundle_make("made.fgb", h, from, quantised, &bundle, &message) != FG_OK)
        fail_msg("%s", message.text);
    return bundle;
}

static inline void write_bundle(const char *to) {
    struct fg_bundle *bundle = make_bundle(&header, written());
    if (fg_bundle_write(bundle, to, &header, &evidence, &message) != FG_OK)
        fail_msg("%s", message.text);
    fg_bundle_close(bundle);
}

static inline struct fg_bundle *open_bundle(const char *from) {
    struct fg_bundle *bundle = NULL;
    if (fg_bundle_open(from, &bundle, &message) != FG_OK)
        fail_msg("%s", message.text);
    return bundle;
}

static inline int set_up(void **state) {
    (void)state;
    /* In memory where there is such a folder: the tests write each byte of a file. */
    snprintf(folder, sizeof folder, "%s/flawgate-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/part.fgb", folder);
    snprintf(other, sizeof other, "%s/other.fgb", folder);
    header = (struct fg_bundle_header){
        .spec = {.backbone = FG_RESNET18,
                 .height = SIDE,
                 .width = SIDE,
                 .base = 4,
                 .scconv = true,
                 .simam = true,
                 .fmm = true,
                 .levels = 7,
                 .score = FG_SCORE_PRODUCT_LOCAL},
        .contract = {.width = 900, .height = 700, .channels = 3, .format = "rgb8"},
        .calibrated = true,
        .calibration =
            {.threshold = 1.5f, .family = FG_TAIL_GUMBEL, .location = -0.25f, .pictures = GOOD - 1, .odd = 1},
        .provenance = {.seed = UINT64_MAX - 1, .epochs = 3, .learning_rate = 1e-3f, .global_loss = true},
        .compatible = "press 4",
        .security_counter = UINT32_MAX,
        .scene_limit = 2.5f,
        .self_test_score = 1.25f};
    snprintf(header.provenance.program, FG_TEXT_SIZE, "flawgate-train test");
    memset(header.provenance.name, 'n', FG_NAME_SIZE - 1);
    header.provenance.data_hash[31] = 0xee;
    header.provenance.pro = 0.5f;
    if (fg_network_init(&network, &header.spec, &message) != FG_OK)
        return -1;
    for (uint32_t i = 0; i < network.params; i++) {
        if (!fg_param_folded(&network.param[i]))
            continue;
        values[i] = malloc(count_of(i) * sizeof(float));
        for (size_t k = 0; k < count_of(i); k++)
            values[i][k] = draw(i, (uint32_t)k);
    }
    for (int i = 0; i < GOOD; i++)
        good[i] = (struct fg_good){
            .group = (enum fg_good_group)(i % 3), .score = 0.5f - (float)i, .hash = {(uint8_t)i, 7}};
    if (network.descriptors != SCENE)
        return -1;
    for (int i = 0; i < SCENE; i++) {
        scene[0][i] = (float)i - 20;
        scene[1][i] = 0.5f + (float)i;
    }
    for (size_t i = 0; i < sizeof picture; i++)
        picture[i] = (uint8_t)(i / 7);
    for (size_t i = 0; i < PIXELS; i++) {
        map[i] = (float)i * 1e-4f;
        place[0][i] = (float)(i % 1024) / 1024; /* float16 holds these */
        place[1][i] = (float)(1 + i % 7) / 64;
    }
    return 0;
}

static inline int tear_down(void **state) {
    (void)state;
    for (uint32_t i = 0; i < network.params; i++)
        free(values[i]);
    unlink(path);
    unlink(other);
    return rmdir(folder); /* so a file left behind fails the group */
}

static inline bool opens(const char *from) {
    struct fg_bundle *bundle = NULL;
    message.text[0] = 0;
    enum fg_status status = fg_bundle_open(from, &bundle, &message);
    if (status == FG_OK)
        fg_bundle_close(bundle);
    else if (status != FG_INPUT || !message.text[0])
        fail_msg("status %d: %s", status, message.text);
    return status == FG_OK;
}

/* A bundle in memory, to be changed and sealed again: no checksum gives a hostile file away. */
struct forge {
    unsigned char *bytes;
    size_t size;
};

static inline uint32_t fields_of(const struct forge *f) {
    return fg_get_u32(f->bytes + 16);
}

static inline unsigned char *entry_of(const struct forge *f, uint32_t i) {
    return f->bytes + FG_BUNDLE_HEAD + fields_of(f) + (size_t)i * FG_BUNDLE_ENTRY;
}

static inline uint32_t entries_of(const struct forge *f) {
    return fg_get_u32(f->bytes + 20);
}

static inline struct forge forge_begin(void) {
    write_bundle(path);
    FILE *file = fopen(path, "rb");
    struct stat info;
    assert_int_equal(fstat(fileno(file), &info), 0);
    struct forge f = {.size = (size_t)info.st_size, .bytes = malloc((size_t)info.st_size + 65536)};
    assert_int_equal(fread(f.bytes, f.size, 1, file), 1);
    fclose(file);
    return f;
}

/* Puts bytes in at a place of the fields. */
static inline void forge_insert(struct forge *f, size_t at, const void *bytes, size_t size) {
    memmove(f->bytes + at + size, f->bytes + at, f->size - at);
    memcpy(f->bytes + at, bytes, size);
    fg_put_u32(f->bytes + 16, fields_of(f) + (uint32_t)size);
    f->size += size;
    fg_put_u64(f->bytes + 8, f->size);
    for (uint32_t i = 0; i < entries_of(f); i++)
        fg_put_u64(entry_of(f, i) + 84, fg_get_u64(entry_of(f, i) + 84) + size);
}

static inline void forge_cut(struct forge *f, size_t at, size_t size) {
    memmove(f->bytes + at, f->bytes + at + size, f->size - at - size);
    fg_put_u32(f->bytes + 16, fields_of(f) - (uint32_t)size);
    f->size -= size;
    fg_put_u64(f->bytes + 8, f->size);
    for (uint32_t i = 0; i < entries_of(f); i++)
        fg_put_u64(entry_of(f, i) + 84, fg_get_u64(entry_of(f, i) + 84) - size);
}

/* Replaces the stream of an entry by these bytes. */
static inline void forge_stream(struct forge *f, uint32_t i, const void *bytes, size_t size) {
    unsigned char *e = entry_of(f, i);
    const size_t at = (size_t)fg_get_u64(e + 84), old = (size_t)fg_get_u64(e + 92);
    memmove(f->bytes + at + size, f->bytes + at + old, f->size - at - old);
    memcpy(f->bytes + at, bytes, size);
    f->size += size - old;
    fg_put_u64(f->bytes + 8, f->size);
    fg_put_u64(e + 92, size);
    crypto_generichash(e + 100, FG_HASH_SIZE, bytes, size, NULL, 0);
    for (uint32_t k = i + 1; k < entries_of(f); k++)
        fg_put_u64(entry_of(f, k) + 84, fg_get_u64(entry_of(f, k) + 84) + size - old);
}

static inline void forge_end(struct forge *f, const char *to) {
    const size_t head = FG_BUNDLE_HEAD + (size_t)fields_of(f) + (size_t)entries_of(f) * FG_BUNDLE_ENTRY;
    if (head <= f->size)
        fg_bundle_hash(f->bytes, head, f->bytes + FG_BUNDLE_HEAD_HASH);
    FILE *file = fopen(to, "wb");
    assert_int_equal(fwrite(f->bytes, f->size, 1, file), 1);
    assert_int_equal(fclose(file), 0);
    free(f->bytes);
}

static inline void expect_refused(struct forge f, const char *because) {
    forge_end(&f, other);
    if (opens(other))
        fail_msg("taken, but: %s", because);
    if (!strstr(message.text, because))
        fail_msg("refused, not because \"%s\" but: %s", because, message.text);
}

#endif
