/* A decoded picture at the network's size: what training sees, and the self-test's input. */
#ifndef FG_TRAINER_DATA_PICTURE_H
#define FG_TRAINER_DATA_PICTURE_H

#include "kernels/backend.h"
#include "runtime/image/image.h"

/* Resizes a picture by the RESIZE of a backend whose device is the host's memory: the same bytes as on the
 * line. out: {height, width, 3}, the caller's. FG_ENVIRONMENT: no memory. One thread at a time on one
 * backend. */
FG_MUST_USE enum fg_status fg_picture_resize(struct fg_backend *backend, const struct fg_image *image,
                                             int32_t height, int32_t width, uint8_t *out,
                                             struct fg_message *message);

#endif
