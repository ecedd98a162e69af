/* How far out a value must lie to be rare, where mean and spread are only estimated.
 *
 * A sample has groups. Each group has a mean of its own, all groups have one spread: s^2 = sum of squares
 * about each group's mean / (values - groups). A new value comes from the group whose mean is m.
 *
 * Errors: none; the callers' counts and rates are in range. Owner: nothing is kept. Thread: any. NULL:
 * never. */
#ifndef FG_TRAINER_BUNDLE_TAIL_H
#define FG_TRAINER_BUNDLE_TAIL_H

#include <stdint.h>

#define FG_TAIL_GROUPS 3

struct fg_tail_sample {
    uint32_t count[FG_TAIL_GROUPS]; /* values of each group; 0: there is no such group */
    uint32_t located;               /* the group that the new value comes from; it has at least one value */
};

/* Gives K with P(x > m + K s) = rate for a new normal value x: t(values - groups) sqrt(1 + 1/k), exactly.
 * The sample has more values than groups; 0 < rate <= 0.5. */
double fg_tail_normal(const struct fg_tail_sample *sample, double rate);

/* Gives the same K for a new value of a Gumbel distribution (of maxima), over simulated samples; the same
 * arguments give the same K. */
double fg_tail_gumbel(const struct fg_tail_sample *sample, double rate);

/* Gives the largest rate at which no more than seen of count values exceed a limit with a probability of 5 %
 * (Clopper and Pearson): so the true rate is below it with 95 % confidence. count 0: 1. */
double fg_tail_bound(uint32_t seen, uint32_t count);

#endif
