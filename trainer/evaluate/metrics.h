/* How well a bundle tells good from defective, computed exactly: every distinct score is a threshold.
 *
 * Image and pixel AUROC, AP (sum over thresholds of the gain in recall times precision) and F1-max. PRO: each
 * 8-connected component of the ground truth has the same weight; it is the area under the mean overlap
 * against the false-positive rate of all good pixels of the data set, up to 0.3, divided by 0.3 (Bergmann et
 * al. 2021). pro_rd4ad, as most papers report: for each defective picture 200 thresholds over its own range
 * and its own background; rows with a rate below 0.3 are kept, their rates divided by the largest; the mean
 * of the areas.
 *
 * A value that is not finite counts as the largest; pro_rd4ad leaves such a picture out. A figure that has no
 * definition (no defective picture, no component) is NaN.
 *
 * Memory: 4 bytes for each good pixel and 8 for each defective one (8 a pixel are reserved; the memory that
 * is left over is never touched). Pictures of one group that come one after the other are sorted together,
 * once, in place; the sorted runs are merged.
 *
 * Errors: FG_ENVIRONMENT without memory. Owner: who opens metrics closes them. Thread: one at a time. NULL: a
 * message, a mask, and metrics that are closed. */
#ifndef FG_TRAINER_EVALUATE_METRICS_H
#define FG_TRAINER_EVALUATE_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/status.h"

struct fg_metrics;

struct fg_figures {
    double image_auroc, pixel_auroc, pro, pro_rd4ad, image_ap, pixel_ap, image_f1max, pixel_f1max;
    uint32_t images;
};

/* Takes room for a number of pictures, all of one size. */
FG_MUST_USE enum fg_status fg_metrics_open(uint32_t images, int32_t height, int32_t width,
                                           struct fg_metrics **metrics, struct fg_message *message);
void fg_metrics_close(struct fg_metrics *metrics);

/* Adds one picture: its map {height, width} and score. group: 0 good, 1 to 255 a kind of defect. mask:
 * {height, width}, 1 where the ground truth is defective, else 0; NULL: 0 everywhere. All is copied. */
void fg_metrics_add(struct fg_metrics *metrics, const float *map, float score, uint8_t group,
                    const uint8_t *mask);

/* Computes the figures over all pictures (group 0), or over the good ones and one kind of defect. After the
 * first call no picture can be added. */
FG_MUST_USE enum fg_status fg_metrics_figures(struct fg_metrics *metrics, uint8_t group,
                                              struct fg_figures *figures, struct fg_message *message);

#endif
