/* A camera for tests: it does what a test wants, good and bad, at the moment that the test says.
 *
 * Errors: those of board/camera/camera.h, when the test wants them; where the system fails, the process ends.
 * Owner: who opens a camera closes it; a frame is lent until release. Thread: any. NULL: never. */
#ifndef FG_TESTS_SUPPORT_CAMERA_H
#define FG_TESTS_SUPPORT_CAMERA_H

#include "board/camera/camera.h"

/* What a trigger gives. */
enum test_frame {
    TEST_WHOLE,
    TEST_DAMAGED,
    TEST_LOST,    /* nothing */
    TEST_DELAYED, /* its frame waits for test_camera_deliver */
    TEST_DOUBLED, /* its frame, and once more at the next trigger, as if it were that one's */
};

/* Draws picture i, height rows of width RGB pixels. */
typedef void (*test_draw)(uint8_t *pixels, int i);

/* Picture i is the i-th trigger's, modulo pictures. The camera's own close closes it; tests assert that
 * memory is there. All other calls are allowed to any thread. */
struct fg_camera *test_camera_open(int32_t width, int32_t height, test_draw draw, int pictures);

/* What the next trigger that has none yet gives; without, it is TEST_WHOLE. */
void test_camera_plan(struct fg_camera *camera, enum test_frame frame);
/* Frames that are delayed come now, after those that came already. */
void test_camera_deliver(struct fg_camera *camera);
/* The plug is pulled: calls fail, the descriptor hangs up; and put back: reopen succeeds. */
void test_camera_vanish(struct fg_camera *camera);
void test_camera_return(struct fg_camera *camera);

struct test_camera_counts {
    uint32_t triggers, looks, reopens; /* calls of trigger, next and reopen */
    uint32_t lent;                     /* frames that are not given back */
};
struct test_camera_counts test_camera_count(struct fg_camera *camera);

#endif
