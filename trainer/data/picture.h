/* A decoded picture at the network's size: what training sees, and the self-test's input.
 *
 * Errors: FG_ENVIRONMENT without memory. Owner: the caller, of both pictures. Thread: one at a time on one
 * backend. NULL: only a message may be. */
#ifndef FG_TRAINER_DATA_PICTURE_H
#define FG_TRAINER_DATA_PICTURE_H

#include "kernels/backend.h"
#include "runtime/image/image.h"

/* Resizes a picture by RESIZE, so that its bytes are those on the line. backend: one whose device is the
 * host's memory. out: {height, width, 3}. */
FG_MUST_USE enum fg_status fg_picture_resize(struct fg_backend *backend, const struct fg_image *image,
                                             int32_t height, int32_t width, uint8_t *out,
                                             struct fg_message *message);

#endif
