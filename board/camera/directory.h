/* The directory camera: a folder of pictures instead of a sensor, one a trigger, in the order of their names.
 *
 * The pictures are decoded once, when it is opened, into memory that the caller hands in and keeps; after
 * that it reads no file. The decoder is the caller's, since board/ knows no file format. */
#ifndef FG_BOARD_CAMERA_DIRECTORY_H
#define FG_BOARD_CAMERA_DIRECTORY_H

#include "board/camera/camera.h"

#define FG_DIRECTORY_PICTURES 8192 /* more in one folder are refused */

struct fg_decoded {
    uint8_t *pixels; /* height * width * channels bytes, freed by the decoder's free */
    int32_t width, height, channels;
};

struct fg_decoder {
    bool (*accepts)(const char *name); /* whether a file's name is a picture's */
    FG_MUST_USE enum fg_status (*read)(const char *path, struct fg_decoded *picture,
                                       struct fg_message *message);
    void (*free)(struct fg_decoded *picture);
};

struct fg_directory_settings {
    const char *folder;
    bool cycle;                    /* begins again after the last picture; else it then has none */
    int32_t max_width, max_height; /* a larger picture is refused */
    void *memory;                  /* for the decoded pictures; borrowed until close */
    size_t memory_bytes;
};

/* FG_INPUT: no pictures, one that cannot be decoded, or more than the memory holds; the message names the
 * file. */
FG_MUST_USE enum fg_status fg_directory_open(const struct fg_directory_settings *settings,
                                             const struct fg_decoder *decoder, struct fg_camera **camera,
                                             struct fg_message *message);

#endif
