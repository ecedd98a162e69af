/* The directory camera: a folder of pictures instead of a sensor, one a trigger, in the order of their names.
 *
 * The pictures are decoded once, when it is opened, into memory that the caller hands in and keeps; after
 * that it reads no file, and it is never gone.
 *
 * Errors: FG_INPUT from open for a folder without pictures, a picture that cannot be decoded or is too large,
 * or more pictures than the memory holds; the message names the folder or the file. FG_INPUT from trigger
 * after the last picture. Owner: as camera.h says. Thread: as camera.h says. NULL: as camera.h says. */
#ifndef FG_BOARD_CAMERA_DIRECTORY_H
#define FG_BOARD_CAMERA_DIRECTORY_H

#include "board/camera/camera.h"

#define FG_DIRECTORY_PICTURES 8192 /* more in one folder are refused */

/* What its keys fill. */
struct fg_directory_settings {
    char path[FG_CAMERA_PATH]; /* the folder */
    bool cycle;                /* begins again after the last picture; else it then has none */
    uint32_t memory_mib;       /* MiB for the decoded pictures */
};

extern const struct fg_camera_driver fg_directory_driver;

#endif
