/* The table of cameras: one line for each driver. */
#include "board/camera/drivers.h"

#include "board/camera/directory.h"

const struct fg_camera_driver *const fg_camera_drivers[] = {
    &fg_directory_driver,
    NULL,
};
