/* The pictures to train with: a category in MVTec layout (DIR/train/good) or a flat folder of good pictures.
 *
 * Every picture is decoded once, in parallel, and kept at the network's size as RESIZE makes it: 8-bit RGB;
 * each thread holds at most one decoded picture. A picture that cannot be read is listed with its reason and
 * skipped.
 *
 * Errors: FG_INPUT for folder and pictures, FG_ENVIRONMENT for memory; messages name the folder. Owner: who
 * opens a data set closes it, after a failure too. Thread: one at a time. NULL: a message, and what a
 * function says. */
#ifndef FG_TRAINER_DATA_DATASET_H
#define FG_TRAINER_DATA_DATASET_H

#include "kernels/backend.h"
#include "runtime/base/progress.h"
#include "runtime/bundle/bundle.h"
#include "runtime/image/image.h"
#include "trainer/data/files.h"

#define FG_DATASET_LEAST 8    /* good pictures that training needs */
#define FG_HELD_OUT_LEAST 4   /* pictures that are held out of a small data set */
#define FG_DEVIATING_SHARE 20 /* more than one picture in 20: the pictures have no size, or kind, in common */
#define FG_HELD_OUT_SHARE 10  /* one picture in ten is held out */

/* A picture that could not be read. */
struct fg_skipped {
    char *path;
    struct fg_message reason;
};

struct fg_dataset {
    struct fg_paths files;      /* good pictures that could be read */
    struct fg_skipped *skipped; /* {skips}, in the order of the files */
    uint32_t skips;
    int32_t height, width;      /* pixels of a resized picture */
    uint8_t *pixels;            /* {files.count, height, width, 3} */
    uint32_t *train, *held_out; /* {trains}, {held_outs}: indices in files, ascending */
    uint32_t trains, held_outs;
    struct fg_contract contract; /* what the pictures have in common, but for those that deviate */
    /* {files.count}: true for a picture of another size or kind than nearly all; it is never held out, since
     * the line's camera cannot give it. */
    bool *deviates;
    uint8_t hash[FG_HASH_SIZE]; /* BLAKE2b-256 over names and contents, in order */
};

/* Gives the bytes of one picture at the network's size. */
static inline size_t fg_dataset_picture_bytes(const struct fg_dataset *dataset) {
    return (size_t)dataset->height * (size_t)dataset->width * 3;
}

/* Reads the good pictures of a folder. height and width 0: the size for the median aspect that the files'
 * headers have (fg_dataset_size). The seed draws which are held out. backend: one in the host's memory.
 * progress is called after each picture; NULL: it is not shown. FG_INPUT: no such folder, or fewer than
 * FG_DATASET_LEAST good pictures; the data set then still lists what was skipped. */
FG_MUST_USE enum fg_status fg_dataset_open(struct fg_dataset *dataset, const char *folder, int32_t height,
                                           int32_t width, uint64_t seed, struct fg_backend *backend,
                                           fg_progress_function *progress, void *argument,
                                           struct fg_message *message);
void fg_dataset_close(struct fg_dataset *dataset);

/* Chooses at most that many of the pictures to train with, evenly, but none that deviates. picture: {most},
 * each {height, width, 3}. Returns their number, 1 or more. */
uint32_t fg_dataset_choose(const struct fg_dataset *dataset, uint32_t most, const uint8_t **picture);

/* Chooses, of the sizes (multiples of 32 from 64 to 1024) with 0.85 to 1.0 times 65,536 pixels, the one
 * whose aspect is nearest to width / height = aspect. */
void fg_dataset_size(double aspect, int32_t *height, int32_t *width);

#endif
