/* What the processor's cores could do at best, to hold beside what a program does: multiply-adds in registers
 * with the sets of micro-kernels in use, and STREAM's triad (McCalpin) on arrays that no cache holds.
 *
 * Errors: FG_ENVIRONMENT from fg_peak_open. Owner: who opens a peak closes it. Thread: one at a time. NULL:
 * fg_peak_close takes it; no other argument may be, but for a message. */
#ifndef FG_KERNELS_CPU_PEAK_H
#define FG_KERNELS_CPU_PEAK_H

#include <stdint.h>

#include "runtime/base/status.h"

struct fg_peak;

/* Takes threads of its own (1 to 64) and 192 MiB. */
FG_MUST_USE enum fg_status fg_peak_open(uint32_t threads, struct fg_peak **peak, struct fg_message *message);
void fg_peak_close(struct fg_peak *peak);

/* Multiplies and adds float32, or numbers of 8 bits, for about a millisecond on all threads. Gives
 * multiply-adds a second. */
double fg_peak_multiply_adds(struct fg_peak *peak);
double fg_peak_int8_multiply_adds(struct fg_peak *peak);

/* Runs the triad once on all threads. Gives bytes a second, counted as STREAM does: two arrays read and one
 * written. */
double fg_peak_bytes(struct fg_peak *peak);

#endif
