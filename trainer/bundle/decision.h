/* The decision: a threshold from the scores of all good pictures.
 *
 * Pictures that training saw and pictures that it did not see have the same spread of scores, but unseen ones
 * lie higher. So the spread comes from all pictures, each about the mean of its group, and the place from the
 * unseen ones: those of the folder where a bundle is calibrated anew, else those that training held out.
 *
 * threshold = exp(m + K s) for a log-normal tail, m + K s for a Gumbel tail; the likelier of the two. A local
 * score is a distance from a mean: its 0 is no end, so it has no logarithm and its tail is Gumbel's. K
 * allows for m and s being estimates (tail.h). The rate of false rejects that it stands for is the one asked
 * for, but at least 1 / (pictures + 1): a smaller one is not seen in so few pictures.
 *
 * Errors: FG_INPUT says what is wrong with the scores. Owner: the caller, of pictures and results. Thread:
 * any. NULL: only a message may be. */
#ifndef FG_TRAINER_BUNDLE_DECISION_H
#define FG_TRAINER_BUNDLE_DECISION_H

#include "runtime/bundle/bundle.h"

#define FG_DECISION_LEAST 4 /* unseen pictures that a decision takes */

/* Finds the threshold. odd {count}: true for a picture that is left out of mean and spread. Marks that are
 * there stay, and a picture whose score lies far above those of its group gets one. FG_INPUT: fewer than
 * FG_DECISION_LEAST unseen pictures, a score that is not finite, no spread, or a threshold that is not above
 * 0. */
FG_MUST_USE enum fg_status fg_decide(const struct fg_good *good, uint32_t count, enum fg_score_form form,
                                     float false_rejects, bool *odd, struct fg_calibration *calibration,
                                     struct fg_message *message);

/* Sets a threshold by hand: nothing is expected of it but what the unseen pictures show. */
void fg_decide_by_hand(const struct fg_good *good, uint32_t count, float threshold,
                       struct fg_calibration *calibration);

/* What another threshold would do. */
struct fg_decision_row {
    float expected; /* the share of good parts above it */
    float threshold;
    uint32_t rejected; /* unseen pictures above it */
};
#define FG_DECISION_ROWS 5

/* Gives thresholds from fg_decide's own down: for its rate, and for those of 1, 3, 10 and 30 % that are
 * larger. The arguments are those that fg_decide had and gave. Returns the number of rows. */
uint32_t fg_decision_table(const struct fg_good *good, uint32_t count, const bool *odd,
                           const struct fg_calibration *calibration,
                           struct fg_decision_row row[FG_DECISION_ROWS]);

/* Says whether this number of odd pictures is more than a folder of good parts has: more than one, and more
 * than one in twenty. */
bool fg_decision_are_many(uint32_t odd, uint32_t pictures);

/* Writes two to four sentences: what the threshold rejects, what the unseen pictures show by themselves, how
 * many pictures the wished rate takes where there were too few, and what is found, where that is known. */
void fg_decision_sentence(const struct fg_calibration *calibration, char *text, size_t size);

#endif
