/* The directory camera: a folder of pictures instead of a sensor, one a trigger, in the order of their names.
 *
 * The pictures are decoded once, when it is opened, into memory that the caller hands in and keeps; after
 * that it reads no file, and it is never gone. */
#ifndef FG_BOARD_CAMERA_DIRECTORY_H
#define FG_BOARD_CAMERA_DIRECTORY_H

#include "board/camera/camera.h"

#define FG_DIRECTORY_PICTURES 8192 /* more in one folder are refused */

/* What its keys fill. */
struct fg_directory_settings {
    char path[FG_CAMERA_PATH]; /* the folder */
    bool cycle;                /* begins again after the last picture; else it then has none */
    uint32_t memory_mib;       /* for the decoded pictures */
};

/* open, FG_INPUT: no pictures, one that cannot be decoded or is too large, or more than the memory holds; the
 * message names the file. */
extern const struct fg_camera_driver fg_directory_driver;

#endif
