/* How well a bundle tells a category's test pictures apart, judged by the engine as on the line.
 *
 * Thread: one at a time. Errors: every message names the folder or the picture. */
#ifndef FG_TRAINER_EVALUATE_EVALUATE_H
#define FG_TRAINER_EVALUATE_EVALUATE_H

#include "runtime/base/progress.h"
#include "runtime/engine/desk.h"
#include "trainer/data/files.h"
#include "trainer/evaluate/metrics.h"

#define FG_EVALUATION_GROUPS 255 /* kinds of defect */

struct fg_evaluation {
    struct fg_test_set set;     /* owned */
    struct fg_metrics *metrics; /* owned */
    const char
        *group[FG_EVALUATION_GROUPS + 1]; /* names of the kinds of defect, from 1; they are the set's */
    uint32_t groups;
    /* Pictures, good and defective, and those of them whose score is above the threshold or not finite. */
    uint32_t good, rejected_good, defective, detected;
    double seconds;
};

/* Judges all of folder/test with the desk's bundle at a threshold, which may be one that the bundle does
 * not have yet. FG_INPUT names what cannot be read. progress NULL: nobody looks. evaluation is to be closed
 * in either case. */
FG_MUST_USE enum fg_status fg_evaluate(struct fg_evaluation *evaluation, struct fg_desk *desk,
                                       const char *folder, float threshold, fg_progress_function *progress,
                                       void *argument, struct fg_message *message);
void fg_evaluation_close(struct fg_evaluation *evaluation);

/* Enters the figures that a bundle keeps; -1 stands for one without a definition. */
void fg_evaluation_enter(const struct fg_figures *figures, struct fg_provenance *provenance);

/* One sentence without its full stop: "Of 12 test pictures, image AUROC 99.31 %, no PRO". */
void fg_evaluation_sentence(const struct fg_figures *figures, char *text, size_t size);

#endif
