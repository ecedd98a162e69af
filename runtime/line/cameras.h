/* The line's cameras: they are triggered together, and opened again while they are gone.
 *
 * Errors: none; a camera that fails becomes a fault of the line. Owner: the line owns what it keeps of a
 * camera; its caller owns the cameras. Thread: the line's alone. NULL: never, but for a message. */
#ifndef FG_RUNTIME_LINE_CAMERAS_H
#define FG_RUNTIME_LINE_CAMERAS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/clock.h"
#include "runtime/base/status.h"

/* A camera that is gone is opened again after this time, which doubles up to the longest. */
#define FG_CAMERA_FIRST_WAIT (100 * FG_MS)
#define FG_CAMERA_LONGEST_WAIT (10 * FG_S)
#define FG_CAMERA_TEST (5 * FG_S) /* a camera that works gives a frame within it */

/* What the line keeps of a camera. */
struct fg_line_camera {
    bool gone;         /* its descriptor is not waited for */
    int64_t retry_ns;  /* when it is opened again */
    int64_t wait_ns;   /* from one try to the next; 0: it has given a frame since it was opened */
    bool counted;      /* a frame has come since it was opened */
    uint32_t sequence; /* the last frame's, where counted */
    bool testing;      /* a frame is awaited that shows that it works */
    bool tested;       /* it has come since the camera was opened */
    int64_t asked_ns;  /* when the test began */
};

struct fg_line;

/* Makes all cameras ready, once. One that is not there is opened again later. */
void fg_cameras_arm(struct fg_line *l);
/* Takes a picture with each camera of this mask. One that fails gives its views of the exposed part no
 * frame. */
void fg_cameras_trigger(struct fg_line *l, uint32_t mask);
/* Takes the frames that a camera has. dead: its descriptor reported an error or a hang-up. */
void fg_cameras_take(struct fg_line *l, uint32_t camera, bool dead);

/* Counts, latches and logs what is wrong with a camera. */
void fg_cameras_report(struct fg_line *l, uint32_t camera, const char *what);

/* Tests the cameras that have not been, or that failed: each takes a picture, which must come within
 * FG_CAMERA_TEST and be one that the bundles in use take. Failing is a fault, and no trigger is taken. While
 * the judge loads, and before the first bundles are there, it does nothing. */
void fg_cameras_test(struct fg_line *l);
/* Whether any camera is being tested, and whether all have been, with success. */
bool fg_cameras_testing(const struct fg_line *l);
bool fg_cameras_tested(const struct fg_line *l);
/* How long the slowest camera took for its test's frame. */
int64_t fg_cameras_exposure(const struct fg_line *l);

/* Whether any camera is gone. */
bool fg_cameras_gone(const struct fg_line *l);
/* When a camera that is gone is opened again, or a test ends; INT64_MAX: neither. */
int64_t fg_cameras_due(const struct fg_line *l);
/* Opens the cameras again whose time has come, and ends tests. */
void fg_cameras_retry(struct fg_line *l, int64_t now_ns);

#endif
