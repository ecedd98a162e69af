/* Folders of pictures: lists by name, a category's test set (DIR/test/DEFECT, DIR/ground_truth/DEFECT),
 * masks. */
#ifndef FG_TRAINER_DATA_FILES_H
#define FG_TRAINER_DATA_FILES_H

#include <stdint.h>

#include "runtime/base/status.h"
#include "runtime/network/network.h"

/* A list of files, sorted by name. */
struct fg_paths {
    char **path;
    uint32_t count;
};

/* All pictures of one folder by their endings, sorted by name, with the folder in front. */
FG_MUST_USE enum fg_status fg_paths_list(struct fg_paths *paths, const char *folder,
                                         struct fg_message *message);
void fg_paths_free(struct fg_paths *paths);

/* The test pictures of a category, by defect, then by name. A category without ground_truth has no masks: its figures
 * are those of whole pictures. */
struct fg_test_picture {
    char *path, *mask; /* mask NULL: none */
    char defect[FG_NAME_SIZE];
};

struct fg_test_set {
    struct fg_test_picture *picture;
    uint32_t count;
};

/* FG_INPUT: no test folder, or a defective picture without its mask, which is named. */
FG_MUST_USE enum fg_status fg_test_set_open(struct fg_test_set *set, const char *folder,
                                            struct fg_message *message);
void fg_test_set_close(struct fg_test_set *set);

/* A mask at another size by nearest neighbour (Pillow's NEAREST: source floor((i + 0.5) * in / out)); 1 where
 * above 127, else 0. */
FG_MUST_USE enum fg_status fg_mask_read(const char *path, int32_t height, int32_t width, uint8_t *mask,
                                        struct fg_message *message);

#endif
