/* What tests of the line run on: a folder with pictures and tiny bundles, made here. Include after cmocka.
 *
 * Errors: a failure fails the test. Owner: make_folder makes the folder and remove_folder removes it. Thread:
 * the test's. NULL: the state, which is not used; nothing else. */
#ifndef FG_TESTS_SUPPORT_TINY_H
#define FG_TESTS_SUPPORT_TINY_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/image/image.h"
#include "trainer/bundle/calibrate.h"

#define PICTURES 5
#define SIDE 64

static char folder[64]; /* bundles, pictures and whatever else; of the whole program */
static struct fg_message message;

#define OK(call)                                                                                             \
    do {                                                                                                     \
        if ((call) != FG_OK)                                                                                 \
            fail_msg("%s", message.text);                                                                    \
    } while (0)

static inline void draw_picture(uint8_t pixels[SIDE * SIDE * 3], int i) {
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int k = 0; k < 3; k++)
                pixels[(y * SIDE + x) * 3 + k] =
                    (uint8_t)(((x + i) / 4 % 2 ? 180 : 60) + (y * (k + 1 + i) / 2) % 40);
}

static inline void make_picture(const char *path, int i) {
    uint8_t pixels[SIDE * SIDE * 3];
    draw_picture(pixels, i);
    OK(fg_image_write_png(path, &(struct fg_image){pixels, SIDE, SIDE, 3}, &message));
}

/* An untrained network: what it says of a part is of no use, but always the same. */
static inline void make_bundle(const char *name, int32_t side, int32_t base, uint64_t seed) {
    static struct fg_network network;
    struct fg_bundle_header header = {
        .spec = {.backbone = FG_RESNET18, .height = side, .width = side, .base = base, .levels = 7},
        .contract = {.width = SIDE, .height = SIDE, .channels = 3, .format = "rgb8"}};
    struct fg_weights weights;
    struct fg_backend *backend;
    struct fg_draft draft;
    char path[128], paths[PICTURES][128];
    const char *held_out[PICTURES];
    for (int i = 0; i < PICTURES; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/pictures/%d.png", folder, i);
        held_out[i] = paths[i];
    }
    snprintf(header.provenance.name, sizeof header.provenance.name, "%s", name);
    snprintf(path, sizeof path, "%s/%s.fgb", folder, name);
    OK(fg_network_init(&network, &header.spec, &message));
    OK(fg_weights_open(&weights, &network, &message));
    OK(fg_cpu_open(1, 1, &backend, &message));
    fg_weights_draw(&weights, seed, true);
    OK(fg_draft_open(&draft, path, &weights, &header, backend, &message));
    struct fg_report remarks = {0};
    OK(fg_calibrate_draft(
        &draft,
        &(struct fg_calibrating){
            .path = held_out, .count = PICTURES, .false_rejects = 0.01f, .remarks = &remarks},
        NULL, &message));
    fg_report_free(&remarks);
    OK(fg_draft_write(&draft, path, &message));
    fg_draft_close(&draft);
    backend->close(backend);
    fg_weights_close(&weights);
}

/* Writes another bundle from a made one: its pictures were held out, and all scored much lower than the part
 * does. 0 pictures: an older program has made it. */
static inline void make_drifting_bundle(const char *from, const char *name, uint32_t pictures) {
    char path[128];
    struct fg_bundle *bundle;
    snprintf(path, sizeof path, "%s/%s.fgb", folder, from);
    OK(fg_bundle_open(path, &bundle, &message));
    struct fg_bundle_header header = *fg_bundle_header(bundle);
    const size_t pixels = (size_t)header.spec.height * (size_t)header.spec.width;
    uint8_t *input = malloc(3 * pixels);
    float *map = malloc(pixels * sizeof *map);
    struct fg_good *good = calloc(pictures + 1, sizeof *good);
    void *scratch = malloc(fg_bundle_scratch());
    assert_true(input && map && good && scratch);
    OK(fg_bundle_self_test(bundle, input, map, scratch, &message));
    for (uint32_t i = 0; i < pictures; i++)
        good[i] = (struct fg_good){.group = FG_GOOD_HELD_OUT, .score = 1e-6f};
    header.calibration.pictures = pictures;
    header.calibration.odd = 0;
    header.scene_limit = 0;
    snprintf(path, sizeof path, "%s/%s.fgb", folder, name);
    OK(fg_bundle_write(bundle, path, &header, &(struct fg_evidence){.input = input, .map = map, .good = good},
                       &message));
    free(scratch);
    free(good);
    free(map);
    free(input);
    fg_bundle_close(bundle);
}

static inline int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/flawgate-line-XXXXXX");
    assert_non_null(mkdtemp(folder));
    char path[128];
    snprintf(path, sizeof path, "%s/pictures", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    for (int i = 0; i < PICTURES; i++) {
        snprintf(path, sizeof path, "%s/pictures/%d.png", folder, i);
        make_picture(path, i);
    }
    return 0;
}

static inline int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

#endif
