/* From trained weights to a bundle: fold, quantise, open with the engine, calibrate, write. What is judged on
 * the line is what was calibrated. */
#ifndef FG_TRAINER_BUNDLE_FINISH_H
#define FG_TRAINER_BUNDLE_FINISH_H

#include "trainer/bundle/calibrate.h"
#include "trainer/loop/weights.h"

/* Folded weights: float32 in NHWC order, by parameter index; NULL where a folded network has none. */
struct fg_folded {
    const float *value[FG_NETWORK_PARAMS];
    void *block;
};

FG_MUST_USE enum fg_status fg_folded_open(struct fg_folded *folded, const struct fg_weights *weights,
                                          struct fg_message *message);
void fg_folded_close(struct fg_folded *folded);

/* Writes the folded weights as a bundle. header->calibrated false: without threshold and self-test. */
FG_MUST_USE enum fg_status fg_finish_write(const char *path, const struct fg_weights *weights,
                                           const struct fg_bundle_header *header, struct fg_message *message);

/* The whole way: an uncalibrated bundle beside path, calibrated on the held-out pictures' files into path. */
FG_MUST_USE enum fg_status fg_finish(const char *path, const struct fg_weights *weights,
                                     const struct fg_bundle_header *header, const char *const *held_out,
                                     uint32_t held_outs, float false_rejects, struct fg_backend *backend,
                                     fg_calibrate_function *progress, void *argument,
                                     struct fg_calibration *calibration, struct fg_message *message);

#endif
