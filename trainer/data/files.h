/* Folders of pictures: lists by name, a category's test set (DIR/test/DEFECT, DIR/ground_truth/DEFECT),
 * masks.
 *
 * Errors: FG_INPUT for what cannot be read, FG_ENVIRONMENT for memory; messages name the path. Owner: who
 * lists or opens frees or closes; a failure leaves nothing to free. Thread: any. NULL: only a message may
 * be. */
#ifndef FG_TRAINER_DATA_FILES_H
#define FG_TRAINER_DATA_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/status.h"
#include "runtime/bundle/bundle.h"

/* A list of files, sorted by name. */
struct fg_paths {
    char **path;
    uint32_t count;
};

/* Lists all files of a folder that end as pictures do, sorted by name, with the folder before each name. */
FG_MUST_USE enum fg_status fg_paths_list(struct fg_paths *paths, const char *folder,
                                         struct fg_message *message);
void fg_paths_free(struct fg_paths *paths);

/* Hashes the bytes of a file (BLAKE2b-256). */
FG_MUST_USE enum fg_status fg_file_hash(const char *path, uint8_t hash[FG_HASH_SIZE],
                                        struct fg_message *message);

struct fg_test_picture {
    char *path, *mask;         /* mask NULL: a good picture, or a category without masks */
    char defect[FG_NAME_SIZE]; /* the folder's name: "good", or the kind of defect */
};

/* The test pictures of a category, by defect, then by name. A category without ground_truth has no masks:
 * its figures are those of whole pictures. */
struct fg_test_set {
    struct fg_test_picture *picture; /* {count} */
    uint32_t count;
};

/* Says whether a folder is a category with test pictures. */
bool fg_test_set_exists(const char *folder);
/* Lists a category's test pictures. FG_INPUT: no test folder, or a defective picture without its mask, which
 * is named. */
FG_MUST_USE enum fg_status fg_test_set_open(struct fg_test_set *set, const char *folder,
                                            struct fg_message *message);
void fg_test_set_close(struct fg_test_set *set);

/* Reads a mask at another size by nearest neighbour (Pillow's NEAREST: source floor((i + 0.5) * in / out)).
 * mask: {height, width}, the caller's; 1 where the file is above 127, else 0. */
FG_MUST_USE enum fg_status fg_mask_read(const char *path, int32_t height, int32_t width, uint8_t *mask,
                                        struct fg_message *message);

#endif
