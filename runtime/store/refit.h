/* A threshold from the scores of a line, of which a few may be defects'.
 *
 * Middle and spread are those of the half of the scores in the middle, so that one score in twenty that lies
 * far out moves them little: of the logarithms, m is the median and s the interquartile range / 1.349, and
 * the threshold is exp(m + K s). A local score, whose 0 is no end, and any scores that are not all above 0
 * have a Gumbel tail instead, laid through the same three quartiles. The rate that it stands for is the
 * wished one, but at least 1 / (scores + 1).
 *
 * Errors: FG_INPUT for too few scores, or for scores without spread. Owner: the caller. Thread: any. NULL:
 * only a message may be. */
#ifndef FG_RUNTIME_STORE_REFIT_H
#define FG_RUNTIME_STORE_REFIT_H

#include "runtime/bundle/bundle.h"

#define FG_REFIT_LEAST 200 /* scores that a threshold takes */

/* Finds the threshold, and what is doubtful below it. scores: {count}, finite, in rising order. Of the
 * calibration it sets threshold, doubtful, family, location, spread, false_rejects and expected. */
FG_MUST_USE enum fg_status fg_refit(const float *scores, uint32_t count, bool local, float false_rejects,
                                    struct fg_calibration *calibration, struct fg_message *message);

#endif
