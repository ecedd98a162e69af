/* The line's cameras: they are triggered together, and opened again while they are gone.
 *
 * Errors: FG_ENVIRONMENT from arming, for a camera that is gone; later a camera that fails becomes a fault of
 * the line. Owner: the line owns what it keeps of a camera; its caller owns the cameras. Thread: the line's
 * alone. NULL: never, but for a message. */
#ifndef FG_RUNTIME_LINE_CAMERAS_H
#define FG_RUNTIME_LINE_CAMERAS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/clock.h"
#include "runtime/base/status.h"

/* A camera that is gone is opened again after this time, which doubles up to the longest. */
#define FG_CAMERA_FIRST_WAIT (100 * FG_MS)
#define FG_CAMERA_LONGEST_WAIT (10 * FG_S)

/* What the line keeps of a camera. */
struct fg_line_camera {
    bool gone;         /* its descriptor is not waited for */
    int64_t retry_ns;  /* when it is opened again */
    int64_t wait_ns;   /* from one try to the next; 0: it has given a frame since it was opened */
    bool counted;      /* a frame has come since it was opened */
    uint32_t sequence; /* the last frame's, where counted */
};

struct fg_line;

/* Makes all cameras ready, once. */
FG_MUST_USE enum fg_status fg_cameras_arm(struct fg_line *l, struct fg_message *message);
/* Takes a picture with each camera of this mask. One that fails gives its views of the exposed part no
 * frame. */
void fg_cameras_trigger(struct fg_line *l, uint32_t mask);
/* Takes the frames that a camera has. dead: its descriptor reported an error or a hang-up. */
void fg_cameras_take(struct fg_line *l, uint32_t camera, bool dead);

/* Whether any camera is gone. */
/* Counts, latches and logs what is wrong with a camera. */
void fg_cameras_report(struct fg_line *l, uint32_t camera, const char *what);

bool fg_cameras_gone(const struct fg_line *l);
/* When a camera that is gone is opened again; INT64_MAX: none is gone. */
int64_t fg_cameras_due(const struct fg_line *l);
/* Opens the cameras again whose time has come. */
void fg_cameras_retry(struct fg_line *l, int64_t now_ns);

#endif
