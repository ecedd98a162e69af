/* The probe: a network with some of its convolutions as int8, outside of an engine. It judges pictures of the
 * network's size and shows the values that convolutions read, which an engine does not keep.
 *
 * Errors: FG_ENVIRONMENT for memory, FG_INPUT for readings that the network cannot have. Owner: who opens a
 * probe closes it; the network must outlive it, the weights need not. Thread: one at a time on one backend.
 * NULL: a message, and what a function says. */
#ifndef FG_TRAINER_BUNDLE_PROBE_H
#define FG_TRAINER_BUNDLE_PROBE_H

#include "trainer/bundle/folded.h"

struct fg_probe;

/* Opens one on a backend whose device is the host's memory. quantised: {FG_NETWORK_PARAMS}; NULL: all stays
 * float. keeps: what convolutions read can be looked at. */
FG_MUST_USE enum fg_status fg_probe_open(const struct fg_network *network, const struct fg_folded *folded,
                                         const struct fg_quantised *quantised, bool keeps,
                                         struct fg_backend *backend, struct fg_probe **probe,
                                         struct fg_message *message);
/* Closes a probe; does nothing with NULL. */
void fg_probe_close(struct fg_probe *probe);

/* Judges a picture {height, width, 3}. */
FG_MUST_USE enum fg_status fg_probe_run(struct fg_probe *probe, const uint8_t *picture,
                                        struct fg_message *message);

/* Gives the last picture's value of the network {h, w, c}: one of the teacher's features or, where these are
 * kept, what a convolution reads; NULL: it is kept as int8 numbers. */
const float *fg_probe_value(const struct fg_probe *probe, int32_t value);
/* Gives the last picture's map {height, width}: the sum of levels. */
const float *fg_probe_map(const struct fg_probe *probe);

#endif
