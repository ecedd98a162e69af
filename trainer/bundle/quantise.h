/* Quantises a network's convolutions (runtime/network/network.h, section 12): weights by output channel, the
 * values that they read by what these are on good pictures.
 *
 * A channel's largest weight becomes 127 or -127. A value's numbers reach a quarter further than the smallest
 * and the largest that were seen (0 is among them), or than what is left without one in 10,000 at each end:
 * whichever makes the smaller error. What a defect makes beyond that becomes the smallest or largest number.
 * The error is that of what the network is for: of the map or, where only the teacher is quantised, of its
 * features. Where it is above FG_QUANTISE_MOST, the convolutions that cause most of it stay float, one after
 * the other, until it is not.
 *
 * Errors: FG_ENVIRONMENT for memory, FG_INPUT for weights or values that are not finite. Owner: who makes it
 * closes it. Thread: one at a time on one backend. NULL: a message, and what a member says. */
#ifndef FG_TRAINER_BUNDLE_QUANTISE_H
#define FG_TRAINER_BUNDLE_QUANTISE_H

#include "runtime/base/progress.h"
#include "trainer/bundle/folded.h"

#define FG_QUANTISE_PICTURES 16 /* good pictures that it looks at; more say nothing new */
#define FG_QUANTISE_MOST 0.05f  /* the error that is allowed */

struct fg_quantising {
    const struct fg_network *network;
    const struct fg_folded *folded;
    struct fg_backend *backend;     /* one whose device is the host's memory */
    const uint8_t *const *picture;  /* {pictures}: each {height, width, 3}, good parts */
    uint32_t pictures;              /* 1 to FG_QUANTISE_PICTURES */
    bool teacher;                   /* quantises the teacher alone */
    fg_progress_function *progress; /* called after each picture; NULL: it is not shown */
    void *argument;
};

/* A network whose convolutions are quantised. */
struct fg_int8 {
    struct fg_quantised param[FG_NETWORK_PARAMS]; /* owned; by the weight's parameter */
    uint32_t convolutions, quantised;             /* convolutions that judge, and those of them as int8 */
    bool teacher; /* it is done: what it has as float stays so, because the student learned from it */
    float error; /* of the last making: root mean square of the map's error, in units of the map's mean; where
                   * only the teacher was quantised, of the worst feature's, in units of the feature's own */
};

/* Quantises all that is not quantised yet: int8 is zeroed, or holds a quantised teacher, which stays as it
 * is. After a failure there is nothing to close, and closing does no harm. */
FG_MUST_USE enum fg_status fg_int8_make(struct fg_int8 *int8, const struct fg_quantising *quantising,
                                        struct fg_message *message);
void fg_int8_close(struct fg_int8 *int8);

#endif
