/* The reference backend: the whole table of kernels/backend.h, slow and obvious, on one thread, in double
 * precision (FG_F64; pictures are FG_U8). Every other backend's operators are compared with it, and its own
 * backward with central differences (tests/kernels/test_reference.c). */
#ifndef FG_TESTS_REFERENCE_REFERENCE_H
#define FG_TESTS_REFERENCE_REFERENCE_H

#include "kernels/backend.h"

/* submit runs the steps in the order given and returns when the last has ended; poll answers its status. */
FG_MUST_USE enum fg_status fg_reference_open(struct fg_backend **backend, struct fg_message *message);

#endif
