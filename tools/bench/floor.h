/* The least time that a program can take on a device: for each step the larger of its multiply-adds at the device's rate
 * and its bytes at the device's bandwidth, one after the other, and for each step what an empty one costs. */
#ifndef FG_TOOLS_BENCH_FLOOR_H
#define FG_TOOLS_BENCH_FLOOR_H

#include "kernels/backend.h"

struct fg_rates {
    const char *source; /* "measured here", or whose data sheet */
    double operations;  /* multiplications and additions a second, in the type that the device judges with */
    double bytes;       /* a second, read and written */
    double node_s;      /* an empty step; 0 in a data sheet's */
    double value_bytes; /* of a value; 0: as the program has it */
};

/* Measures a backend's: the fastest of some large convolutions and copies, and a chain of steps with nothing to do. Takes
 * some seconds and up to 1 GiB of its memory. */
FG_MUST_USE enum fg_status fg_rates_measure(struct fg_backend *backend, struct fg_rates *rates,
                                            struct fg_message *message);

/* Of a device by its name (h200, h100, rtx4090, orin64), from public data sheets, in float16; false for another. */
bool fg_rates_find(const char *name, struct fg_rates *rates);

/* Seconds for one run. */
double fg_floor_seconds(const struct fg_program *program, const struct fg_rates *rates);

#endif
