/* A camera: lends frames of its own memory until they are given back.
 *
 * A driver fills this table and keeps its state behind it. All calls come from one thread; none of them takes
 * memory. Arming, triggering and fetching are separate, because they fail for different reasons and real
 * cameras do them at different times. */
#ifndef FG_BOARD_CAMERA_CAMERA_H
#define FG_BOARD_CAMERA_CAMERA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/pixel.h"
#include "runtime/base/status.h"

enum fg_frame_status {
    FG_FRAME_WHOLE,
    FG_FRAME_DAMAGED, /* incomplete or overrun: not to be judged */
};

struct fg_camera_frame {
    const uint8_t *pixels; /* lent until release */
    size_t bytes;          /* fg_pixel_frame_bytes */
    enum fg_pixel_format format;
    size_t pitch; /* bytes from one row to the next */
    int32_t width, height;
    uint32_t sequence;  /* counts the camera's frames; a gap is a lost frame */
    int64_t exposed_ns; /* fg_clock_ns at the exposure */
    enum fg_frame_status status;
    const char *name; /* what it shows, when the driver knows: a file's name; else NULL */
};

struct fg_camera {
    const char *driver;
    int descriptor; /* readable when next would give a frame at once */

    /* Ready to take pictures; frames of before are dropped. */
    FG_MUST_USE enum fg_status (*arm)(struct fg_camera *camera, struct fg_message *message);
    /* Takes one picture. FG_INPUT: there is none to take; FG_ENVIRONMENT: the camera is gone. */
    FG_MUST_USE enum fg_status (*trigger)(struct fg_camera *camera, struct fg_message *message);
    /* The oldest frame not yet fetched; waits until deadline_ns (fg_clock_ns; 0: only looks). FG_TIMEOUT:
     * none came. */
    FG_MUST_USE enum fg_status (*next)(struct fg_camera *camera, int64_t deadline_ns,
                                       struct fg_camera_frame *frame, struct fg_message *message);
    /* Gives a frame back. */
    void (*release)(struct fg_camera *camera, const struct fg_camera_frame *frame);
    /* Closes and opens the device again, after an error. Frames lent before stay readable until released. */
    FG_MUST_USE enum fg_status (*reopen)(struct fg_camera *camera, struct fg_message *message);
    void (*close)(struct fg_camera *camera);
};

#endif
