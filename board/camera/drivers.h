/* The cameras that this program can drive. The list is constant and ends with NULL. */
#ifndef FG_BOARD_CAMERA_DRIVERS_H
#define FG_BOARD_CAMERA_DRIVERS_H

#include "board/camera/camera.h"

extern const struct fg_camera_driver *const fg_camera_drivers[];

#endif
