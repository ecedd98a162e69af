/* Writes a data set's folders and pictures. */
#include "tools/demo/picture_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "runtime/image/image.h"

#define PATH_SIZE 4096

/* A data set that is written, and the parts that are done. */
struct writer {
    const char *folder;
    const struct fg_picture_set *set;
    uint8_t *rgb, *mask;
    uint32_t written, parts;
    fg_progress_function *progress;
    void *argument;
};

static enum fg_status make_folder(const char *path, struct fg_message *message) {
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "cannot make the folder %s", path);
    return FG_OK;
}

/* Makes FOLDER/SPLIT and FOLDER/SPLIT/KIND. */
static enum fg_status make_split(const char *folder, const char *split, const char *kind,
                                 struct fg_message *message) {
    char path[PATH_SIZE];
    int length = snprintf(path, sizeof path, "%s/%s/%s", folder, split, kind);
    if (length < 0 || (size_t)length >= sizeof path - 32)
        return fg_fail(message, FG_ENVIRONMENT, "the path %.80s... is too long: choose a shorter one",
                       folder);
    snprintf(path, sizeof path, "%s/%s", folder, split);
    enum fg_status status = make_folder(path, message);
    if (status != FG_OK)
        return status;
    snprintf(path, sizeof path, "%s/%s/%s", folder, split, kind);
    return make_folder(path, message);
}

/* Writes count parts with one defect, and their masks where they have any. */
static enum fg_status write_parts(struct writer *w, const char *split, enum fg_picture_defect defect,
                                  uint32_t count, struct fg_message *message) {
    const char *kind = fg_picture_defect_name(defect);
    const int32_t size = w->set->size;
    if (!count)
        return FG_OK;
    enum fg_status status = make_split(w->folder, split, kind, message);
    if (status == FG_OK && defect != FG_PICTURE_GOOD)
        status = make_split(w->folder, "ground_truth", kind, message);
    for (uint32_t i = 0; status == FG_OK && i < count; i++) {
        char path[PATH_SIZE];
        fg_picture_part(w->set->kind, w->set->seed, w->written, defect, size, w->rgb, w->mask);
        snprintf(path, sizeof path, "%s/%s/%s/%03u.png", w->folder, split, kind, i);
        status = fg_image_write_png(path, &(struct fg_image){w->rgb, size, size, 3}, message);
        if (status == FG_OK && defect != FG_PICTURE_GOOD) {
            snprintf(path, sizeof path, "%s/ground_truth/%s/%03u_mask.png", w->folder, kind, i);
            status = fg_image_write_png(path, &(struct fg_image){w->mask, size, size, 1}, message);
        }
        w->written++;
        if (status == FG_OK && w->progress)
            w->progress(w->argument, w->written, w->parts);
    }
    return status;
}

enum fg_status fg_picture_set_write(const char *folder, const struct fg_picture_set *set,
                                    fg_progress_function *progress, void *argument,
                                    struct fg_message *message) {
    const size_t pixels = (size_t)set->size * (size_t)set->size;
    struct writer w = {.folder = folder,
                       .set = set,
                       .rgb = malloc(3 * pixels),
                       .mask = malloc(pixels),
                       .parts = set->train + set->good + (FG_PICTURE_DEFECTS - 1) * set->defective,
                       .progress = progress,
                       .argument = argument};
    enum fg_status status = FG_OK;
    if (!w.rgb || !w.mask) {
        status = fg_fail(message, FG_ENVIRONMENT, "no memory for pictures of %d x %d pixels", set->size,
                         set->size);
        goto out;
    }
    status = make_folder(folder, message);
    if (status == FG_OK)
        status = write_parts(&w, "train", FG_PICTURE_GOOD, set->train, message);
    for (int defect = FG_PICTURE_GOOD; status == FG_OK && defect < FG_PICTURE_DEFECTS; defect++)
        status = write_parts(&w, "test", (enum fg_picture_defect)defect,
                             defect == FG_PICTURE_GOOD ? set->good : set->defective, message);
out:
    free(w.rgb);
    free(w.mask);
    return status;
}
