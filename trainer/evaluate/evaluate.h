/* How well a bundle tells a category's test pictures apart, judged by the engine as on the line. */
#ifndef FG_TRAINER_EVALUATE_EVALUATE_H
#define FG_TRAINER_EVALUATE_EVALUATE_H

#include "runtime/engine/station.h"
#include "trainer/data/files.h"
#include "trainer/evaluate/metrics.h"

#define FG_EVALUATION_GROUPS 255 /* kinds of defect */

struct fg_evaluation {
    struct fg_test_set set;
    struct fg_metrics *metrics;
    const char *group[FG_EVALUATION_GROUPS + 1]; /* names of the kinds of defect, from 1; the set's own */
    uint32_t groups;
    /* At the bundle's threshold, a score that is not finite counting as a reject: */
    uint32_t good, rejected_good, defective, detected;
    double seconds;
};

/* Called after each picture. */
typedef void fg_evaluate_function(void *argument, uint32_t done, uint32_t count);

/* Judges all of folder/test with the station's bundle. FG_INPUT names what cannot be read. evaluation is to be
 * closed in either case. */
FG_MUST_USE enum fg_status fg_evaluate(struct fg_evaluation *evaluation, struct fg_station *station,
                                       const char *folder, fg_evaluate_function *progress, void *argument,
                                       struct fg_message *message);
void fg_evaluation_close(struct fg_evaluation *evaluation);

#endif
