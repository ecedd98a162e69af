/* The threshold, from good pictures that training did not see.
 *
 * threshold = max(tail, largest): the log-normal tail quantile of the scores at the wanted rate of false
 * rejects, and the largest score seen. What the number of pictures supports is said with it: when none of n
 * exceeds the threshold, the rate is below 3/n with 95 % confidence, whatever the quantile says. */
#ifndef FG_TRAINER_BUNDLE_CALIBRATE_H
#define FG_TRAINER_BUNDLE_CALIBRATE_H

#include "runtime/base/progress.h"
#include "runtime/base/report.h"
#include "trainer/bundle/draft.h"

#define FG_CALIBRATION_LEAST 4 /* pictures */

/* FG_INPUT: fewer than FG_CALIBRATION_LEAST scores, one that is not finite or not positive, or no spread. */
FG_MUST_USE enum fg_status fg_calibrate_scores(const float *scores, uint32_t count, float false_rejects,
                                               struct fg_calibration *calibration,
                                               struct fg_message *message);

/* One sentence: "Threshold 0.1234 (...) from 20 held-out pictures, none of which exceeds it: ..." */
void fg_calibration_sentence(const struct fg_calibration *calibration, char *text, size_t size);

/* Judges good pictures as the line will (decode, contract, network), and gives the draft its threshold and
 * its self-test, which is made from the first of them. A picture that cannot be read is listed in skipped,
 * and an error where skipped is NULL; one that breaks the contract is an error that names it. progress
 * NULL: nobody looks. Once for a draft; after a failure it can only be closed. */
FG_MUST_USE enum fg_status fg_calibrate_draft(struct fg_draft *draft, const char *const *pictures,
                                              uint32_t count, float false_rejects,
                                              fg_progress_function *progress, void *argument,
                                              struct fg_report *skipped, struct fg_message *message);

/* The same for a bundle file (calibrated or not), which is then written to path (which may be its own).
 * calibration: what was found. */
FG_MUST_USE enum fg_status fg_calibrate_bundle(const char *bundle_path, const char *path,
                                               const char *const *pictures, uint32_t count,
                                               float false_rejects, struct fg_backend *backend,
                                               fg_progress_function *progress, void *argument,
                                               struct fg_report *skipped, struct fg_calibration *calibration,
                                               struct fg_message *message);

#endif
