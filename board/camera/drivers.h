/* The cameras that this program can drive. The list is constant and ends with NULL.
 *
 * Errors: none. Owner: nobody; all is constant. Thread: any. NULL: the end of the list. */
#ifndef FG_BOARD_CAMERA_DRIVERS_H
#define FG_BOARD_CAMERA_DRIVERS_H

#include "board/camera/camera.h"

extern const struct fg_camera_driver *const fg_camera_drivers[];

#endif
