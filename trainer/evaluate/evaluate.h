/* How well a bundle tells a category's test pictures apart, judged by the engine as on the line.
 *
 * Errors: FG_INPUT for what cannot be read, FG_ENVIRONMENT for memory, and the engine's own; every message
 * names the folder or the picture. Owner: who evaluates closes the evaluation, after a failure too. Thread:
 * one at a time on one desk. NULL: a message, and what a function says. */
#ifndef FG_TRAINER_EVALUATE_EVALUATE_H
#define FG_TRAINER_EVALUATE_EVALUATE_H

#include "runtime/base/progress.h"
#include "runtime/engine/desk.h"
#include "trainer/data/files.h"
#include "trainer/evaluate/metrics.h"

#define FG_EVALUATION_GROUPS 255 /* kinds of defect */

struct fg_evaluation {
    struct fg_test_set set;                      /* owned */
    struct fg_metrics *metrics;                  /* owned */
    const char *group[FG_EVALUATION_GROUPS + 1]; /* from 1: names of the kinds of defect, owned by set */
    uint32_t groups;
    /* Pictures of each kind, 0: good ones; and those that do not pass: the score is above the threshold or
     * not finite, or the picture is unlike training's. */
    uint32_t pictures[FG_EVALUATION_GROUPS + 1], rejected[FG_EVALUATION_GROUPS + 1];
    uint32_t defective, detected; /* the sums over the kinds of defect */
    double seconds;
};

/* Judges all of folder/test with the desk's bundle at a threshold, which may be one that the bundle does not
 * have yet. FG_INPUT names what cannot be read. progress is called after each picture; NULL: it is not
 * shown. */
FG_MUST_USE enum fg_status fg_evaluate(struct fg_evaluation *evaluation, struct fg_desk *desk,
                                       const char *folder, float threshold, fg_progress_function *progress,
                                       void *argument, struct fg_message *message);
void fg_evaluation_close(struct fg_evaluation *evaluation);

/* Enters the figures that a bundle keeps; -1 stands for one without a definition. */
void fg_evaluation_enter(const struct fg_figures *figures, struct fg_provenance *provenance);

/* Writes one sentence: "61 of 63 defective pictures are detected, 1 of 20 good ones rejected; by kind:
 * contamination 20 of 21, ..." */
void fg_evaluation_verdicts(const struct fg_evaluation *evaluation, char *text, size_t size);

/* Says whether so few defective pictures are detected that the bundle should not go to a line as it is. */
bool fg_evaluation_is_weak(const struct fg_evaluation *evaluation);

/* Writes one sentence without its full stop: "Of 12 test pictures, image AUROC 99.31 %, no PRO". */
void fg_evaluation_sentence(const struct fg_figures *figures, char *text, size_t size);

#endif
