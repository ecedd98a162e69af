/* Pictures on disk: a ring of files with a quota in bytes and in age.
 *
 * A picture is three files in the folder: NAME.png, what the view saw (its region, rotated); NAME.map.png,
 * the anomaly map with 16 bits, where there is one; and NAME.json, which says all about it and comes last. A
 * name begins with a sequence number and the time of the trigger:
 * 0000000012_20261201T045840.123Z_part7_view0_defect. Each file is whole or not there.
 *
 * Errors: FG_ENVIRONMENT for the disk; messages name the path. Owner: who opens pictures has given their
 * memory; there is nothing to close. Thread: one. NULL: only a message may be. */
#ifndef FG_RUNTIME_STORE_PICTURES_H
#define FG_RUNTIME_STORE_PICTURES_H

#include "runtime/base/pixel.h"
#include "runtime/image/image.h"
#include "runtime/line/snapshot.h"
#include "runtime/network/network.h"

#define FG_PICTURES_MOST 65536 /* pictures of the ring; more are deleted whatever the quota is */
#define FG_PICTURES_PATH 1024  /* bytes of a file's path */

/* What is stored of one view of a part. */
struct fg_picture {
    struct fg_result result;
    uint32_t view;
    const char *view_name;
    bool asked;            /* by command 2 */
    struct fg_frame frame; /* with the view's region and rotation */
    const float *map;      /* {map_height, map_width}; NULL: there is none */
    int32_t map_height, map_width;
    char bundle[FG_BUNDLE_NAME_SIZE + 1];
    uint32_t checksum;
};

/* An entry of the ring; the name of its files is made of it. */
struct fg_picture_entry {
    int64_t unix_ms;
    uint64_t bytes;
    uint32_t sequence, part;
    uint8_t view, kind;
};

struct fg_pictures {
    char folder[FG_PICTURES_PATH / 2];
    uint64_t quota; /* bytes */
    int64_t age_ms;
    struct fg_picture_entry *entry; /* {FG_PICTURES_MOST}, a ring from the oldest on */
    uint32_t first, count;
    uint32_t next; /* sequence of the next picture */
    uint64_t bytes;
    struct fg_image_memory encoder;
    uint8_t *rgb, *row; /* the largest picture, and a row of the largest frame, as RGB */
};

/* Bytes of memory for frames up to this size. */
size_t fg_pictures_memory(int32_t max_width, int32_t max_height);
/* Divides that memory; the folder is looked at by fg_pictures_open. */
void fg_pictures_begin(struct fg_pictures *pictures, void *memory, int32_t max_width, int32_t max_height,
                       const char *folder, uint32_t quota_mib, uint32_t days);

/* Makes the folder where it is not there, finds the pictures that it has, and removes what a power cut has
 * left of others. Takes memory from the system for the time of the call. */
FG_MUST_USE enum fg_status fg_pictures_open(struct fg_pictures *pictures, struct fg_message *message);
/* Writes a picture's files; after a failure none of them stays. */
FG_MUST_USE enum fg_status fg_pictures_write(struct fg_pictures *pictures, const struct fg_picture *picture,
                                             struct fg_message *message);
/* Deletes the oldest while there are too many bytes, or while they are too old. */
void fg_pictures_trim(struct fg_pictures *pictures, int64_t now_unix_ms);

#endif
