/* Drift: whether the scores of good parts rise, though each of them still passes. One struct watches one
 * view.
 *
 * Each score is ranked among those of the bundle's pictures that training did not see and all that came
 * before: p is the share of scores that are not lower, drawn at random among equal ones. While nothing
 * changes, every p is uniform in (0, 1], whatever the distribution of the scores is; where the scores rise,
 * it is small. The statistic R = (1 + R) 0.92 p^-0.08 begins at 0 and grows by 1 a part on average while
 * nothing changes, so at least FG_DRIFT_ALARM parts lie between false alarms, on average. Scores are kept as
 * a histogram: equal are those of one bin.
 *
 * After a few hundred parts a rise by one deviation is seen some 60 parts later. One that was there before
 * the first part is seen only where the bundle has some 200 unseen pictures: fewer are soon outnumbered.
 *
 * Errors: none. Owner: the caller, of a struct that may be zeroed (nothing is watched) or begun. Thread: one
 * at a time. NULL: never, but for the pictures where there are none. */
#ifndef FG_RUNTIME_LINE_DRIFT_H
#define FG_RUNTIME_LINE_DRIFT_H

#include "runtime/bundle/bundle.h"
#include "runtime/line/snapshot.h"

#define FG_DRIFT_ALARM 1e5 /* R of a view that has drifted */
#define FG_DRIFT_LEAST 4   /* unseen pictures without which a view is not watched */
#define FG_DRIFT_BINS 1024

struct fg_drift {
    enum fg_drift_state state;
    enum fg_tail_family family; /* log-normal: the bins divide logarithms of scores */
    double location, spread;    /* the middle of the bins, and the unit of their width */
    uint64_t seed, draws;       /* of the random numbers, and how many were drawn */
    double statistic;           /* R */
    uint64_t scores;            /* in all bins */
    uint64_t bin[FG_DRIFT_BINS];
    uint32_t unseen[FG_DRIFT_BINS]; /* what the bins begin with */
};

/* Begins to watch the scores of a bundle, which has these good pictures; the watch ends where they are too
 * few, as in a bundle of an older program. Each view has a seed of its own. */
void fg_drift_begin(struct fg_drift *drift, const struct fg_calibration *calibration,
                    const struct fg_good *good, uint32_t count, uint64_t seed);

/* Begins anew with the same bundle: what came since is forgotten. */
void fg_drift_begin_anew(struct fg_drift *drift);

/* Adds the score of a part that passed; one that is not finite does not count. True, once, when the view has
 * drifted by it. That stays until the watch begins anew. */
bool fg_drift_add(struct fg_drift *drift, float score);

/* Gives log10 of the statistic, 0 to 65. */
float fg_drift_level(const struct fg_drift *drift);

#endif
