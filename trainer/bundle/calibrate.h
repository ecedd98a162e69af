/* The threshold, from good pictures that training did not see.
 *
 * threshold = max(tail, largest): the log-normal tail quantile of the scores at the wanted rate of false
 * rejects, and the largest score seen. What the number of pictures supports is said with it: when none of n
 * exceeds the threshold, the rate is below 3/n with 95 % confidence, whatever the quantile says. */
#ifndef FG_TRAINER_BUNDLE_CALIBRATE_H
#define FG_TRAINER_BUNDLE_CALIBRATE_H

#include "runtime/base/report.h"
#include "runtime/engine/engine.h"

#define FG_CALIBRATION_LEAST 4 /* pictures */

/* FG_INPUT: fewer than FG_CALIBRATION_LEAST scores, one that is not finite or not positive, or no spread. */
FG_MUST_USE enum fg_status fg_calibrate_scores(const float *scores, uint32_t count, float false_rejects,
                                               struct fg_calibration *calibration,
                                               struct fg_message *message);

/* One sentence: "Threshold 0.1234 (...) from 20 held-out pictures, none of which exceeds it: ..." */
void fg_calibration_sentence(const struct fg_calibration *calibration, char *text, size_t size);

/* Called after each picture. */
typedef void fg_calibrate_function(void *argument, uint32_t done, uint32_t count);

/* Opens a bundle (calibrated or not), judges good pictures as the line will (decode, contract, network), sets
 * the threshold, makes the self-test from the first of them, and writes the result to path (which may be the
 * bundle's own). A picture that cannot be read is listed in skipped, and an error where skipped is NULL; one that
 * breaks the contract is an error that names it. */
FG_MUST_USE enum fg_status fg_calibrate_bundle(const char *bundle_path, const char *path,
                                               const char *const *pictures, uint32_t count,
                                               float false_rejects, struct fg_backend *backend,
                                               fg_calibrate_function *progress, void *argument,
                                               struct fg_report *skipped, struct fg_calibration *calibration,
                                               struct fg_message *message);

#endif
