/* The reference backend, with which tests compare every other backend's operators: the whole table of
 * kernels/backend.h, slow and obvious, on one thread, in double precision (FG_F64; pictures are FG_U8).
 * Central differences check its own backward (tests/kernels/test_reference.c).
 *
 * Errors: FG_ENVIRONMENT without memory. Owner: who opens the backend closes it. Thread: one at a time. NULL:
 * only a message may be. */
#ifndef FG_TESTS_REFERENCE_REFERENCE_H
#define FG_TESTS_REFERENCE_REFERENCE_H

#include "kernels/backend.h"

/* submit runs the steps in the order given and returns when the last has ended; poll answers its status. */
FG_MUST_USE enum fg_status fg_reference_open(struct fg_backend **backend, struct fg_message *message);

#endif
