/* The pictures to train with: a category in MVTec layout (DIR/train/good) or a flat folder of good pictures.
 *
 * Every picture is decoded once, in parallel, and kept at the network's size as RESIZE makes it: 8-bit RGB;
 * no more than one decoded picture a thread is in memory. A picture that cannot be read is listed with its
 * reason and skipped. */
#ifndef FG_TRAINER_DATA_DATASET_H
#define FG_TRAINER_DATA_DATASET_H

#include "kernels/backend.h"
#include "runtime/bundle/bundle.h"
#include "runtime/image/image.h"
#include "trainer/data/files.h"

#define FG_DATASET_LEAST 8 /* good pictures */
#define FG_HELD_OUT_LEAST 4
#define FG_HELD_OUT_SHARE 10 /* one in so many */

struct fg_skipped {
    char *path;
    struct fg_message reason;
};

struct fg_dataset {
    struct fg_paths files;      /* good pictures that could be read */
    struct fg_skipped *skipped; /* and those that could not */
    uint32_t skips;
    int32_t height, width;      /* of the pictures below */
    uint8_t *pixels;            /* files.count * height * width * 3 */
    uint32_t *train, *held_out; /* indices, ascending */
    uint32_t trains, held_outs;
    struct fg_contract contract;
    uint8_t hash[FG_HASH_SIZE]; /* BLAKE2b-256 over names and contents, in order */
};

/* Bytes of one picture at the network's size. */
static inline size_t fg_dataset_picture_bytes(const struct fg_dataset *dataset) {
    return (size_t)dataset->height * (size_t)dataset->width * 3;
}

/* Called from one thread at a time, after each picture. */
typedef void fg_dataset_function(void *argument, uint32_t done, uint32_t count);

/* Reads the good pictures of a folder. height and width 0: the size for their median aspect, as
 * their headers say it (fg_dataset_size). The seed draws which are held out. FG_INPUT: no such folder, or
 * fewer than FG_DATASET_LEAST good pictures; the dataset then still lists what was skipped and must be
 * closed. */
FG_MUST_USE enum fg_status fg_dataset_open(struct fg_dataset *dataset, const char *folder, int32_t height,
                                           int32_t width, uint64_t seed, struct fg_backend *backend,
                                           fg_dataset_function *progress, void *argument,
                                           struct fg_message *message);
void fg_dataset_close(struct fg_dataset *dataset);

/* Of the sizes (multiples of 32 from 64 to 1024) with 0.85 to 1.0 times 65,536 pixels, the one whose aspect
 * is nearest to width / height = aspect. */
void fg_dataset_size(double aspect, int32_t *height, int32_t *width);

/* A decoded picture at another size, through the RESIZE of a backend in the host's memory: out is height * width * 3
 * bytes. */
FG_MUST_USE enum fg_status fg_picture_resize(struct fg_backend *backend, const struct fg_image *image,
                                             int32_t height, int32_t width, uint8_t *out,
                                             struct fg_message *message);

#endif
