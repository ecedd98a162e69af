/* Descriptors 0 to 2, which a program may be started without.
 *
 * Errors: none. Owner: nothing is kept. Thread: the first of a program, before anything else. NULL: never. */
#ifndef FG_RUNTIME_BASE_DESCRIPTORS_H
#define FG_RUNTIME_BASE_DESCRIPTORS_H

/* Opens /dev/null for each of descriptors 0 to 2 that is closed. Otherwise the next file that is opened would
 * get that number, and what is said on standard output or standard error would be written into it. */
void fg_descriptors_fill(void);

#endif
