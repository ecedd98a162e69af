/* The least time that a program can take on a device: for each step the larger of its multiply-adds at the
 * device's rate and its bytes at the device's bandwidth, one after the other, and for each step the time of
 * an empty one.
 *
 * Errors: FG_ENVIRONMENT for memory, FG_DEVICE_LOST for the device. Owner: the caller, of all arguments.
 * Thread: one at a time on one backend. NULL: only a message may be. */
#ifndef FG_TOOLS_BENCH_FLOOR_H
#define FG_TOOLS_BENCH_FLOOR_H

#include "kernels/backend.h"

struct fg_rates {
    const char *source; /* "measured here", or the device whose data sheet it is */
    double operations;  /* multiplications and additions a second, in the type that the device judges with */
    double bytes;       /* bytes a second, read and written */
    double node_s;      /* seconds that an empty step takes; 0 where a data sheet is the source */
    double value_bytes; /* bytes of a value; 0: the size that the program's tensors have */
};

/* Measures a backend's rates: the fastest of some large convolutions and copies, and a chain of steps with
 * nothing to do. Takes some seconds and up to 1 GiB of its memory. */
FG_MUST_USE enum fg_status fg_rates_measure(struct fg_backend *backend, struct fg_rates *rates,
                                            struct fg_message *message);

/* Devices whose public data sheets are known, as the words of an option. */
#define FG_SHEETS "h200|h100|rtx4090|orin64"

/* Gives the rates in float16 from the data sheet of word i of FG_SHEETS. */
struct fg_rates fg_rates_of_sheet(uint32_t i);

/* Gives the multiply-adds of a convolution's definition; 0 for other steps. */
double fg_floor_multiply_adds(const struct fg_step *step);

/* Gives the bytes of all operands, each moved once; value_bytes as in struct fg_rates. */
double fg_floor_bytes(const struct fg_step *step, double value_bytes);

/* Gives the least seconds for one run of the program. */
double fg_floor_seconds(const struct fg_program *program, const struct fg_rates *rates);

#endif
