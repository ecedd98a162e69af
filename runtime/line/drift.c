/* The watch for drift: a rank among all scores so far, and the statistic that bets on small ranks. */
#include "runtime/line/drift.h"

#include <math.h>

#include "kernels/philox.h"

#define BINS_PER_SPREAD 64.0 /* so that the bins reach 8 spreads to either side */
#define SHARE 0.92           /* SHARE p^(SHARE - 1) has the mean 1 where p is uniform */
#define MOST 1e65            /* of the statistic: its logarithm x 1000 is a register */

/* The end bins take all that lies beyond them, the first one also what has no logarithm. */
static uint32_t find_bin(const struct fg_drift *d, float score) {
    const double value = d->family == FG_TAIL_LOG_NORMAL ? log((double)score) : (double)score;
    const double place = FG_DRIFT_BINS / 2.0 + (value - d->location) / d->spread * BINS_PER_SPREAD;
    if (place >= FG_DRIFT_BINS)
        return FG_DRIFT_BINS - 1;
    return place > 0 ? (uint32_t)place : 0;
}

void fg_drift_begin(struct fg_drift *drift, const struct fg_calibration *calibration,
                    const struct fg_good *good, uint32_t count, uint64_t seed) {
    struct fg_drift *d = drift;
    const enum fg_good_group unseen = fg_bundle_unseen(good, count);
    uint32_t known = 0;
    *d = (struct fg_drift){.family = calibration->family,
                           .location = (double)calibration->location,
                           .spread = (double)calibration->spread,
                           .seed = seed};
    for (uint32_t i = 0; i < count; i++)
        if (good[i].group == unseen) {
            d->unseen[find_bin(d, good[i].score)]++;
            known++;
        }
    if (known < FG_DRIFT_LEAST || !(d->spread > 0))
        return;
    d->state = FG_DRIFT_AS_CALIBRATED;
    fg_drift_begin_anew(d);
}

void fg_drift_begin_anew(struct fg_drift *drift) {
    struct fg_drift *d = drift;
    if (d->state == FG_DRIFT_NOT_WATCHED)
        return;
    d->state = FG_DRIFT_AS_CALIBRATED;
    d->statistic = 0;
    d->scores = 0;
    for (uint32_t i = 0; i < FG_DRIFT_BINS; i++) {
        d->bin[i] = d->unseen[i];
        d->scores += d->unseen[i];
    }
}

/* Draws a number in (0, 1]. */
static double draw_tie(struct fg_drift *d) {
    const uint64_t draw = d->draws++;
    const struct fg_philox random =
        fg_philox(d->seed, (uint32_t)draw, (uint32_t)FG_DRAW_TIE << 16, (uint32_t)(draw >> 32), 0);
    return 1 - (double)fg_philox_uniform(random.word[0]);
}

bool fg_drift_add(struct fg_drift *drift, float score) {
    struct fg_drift *d = drift;
    if (d->state == FG_DRIFT_NOT_WATCHED || !isfinite(score))
        return false;
    const uint32_t own = find_bin(d, score);
    uint64_t higher = 0;
    for (uint32_t i = own + 1; i < FG_DRIFT_BINS; i++)
        higher += d->bin[i];
    d->bin[own]++; /* its own score is among the equal ones */
    d->scores++;
    const double p = ((double)higher + draw_tie(d) * (double)d->bin[own]) / (double)d->scores;
    d->statistic = fmin((1 + d->statistic) * SHARE * pow(p, SHARE - 1), MOST);
    if (d->state == FG_DRIFT_DRIFTED || d->statistic < FG_DRIFT_ALARM)
        return false;
    d->state = FG_DRIFT_DRIFTED;
    return true;
}

float fg_drift_level(const struct fg_drift *drift) {
    return (float)log10(fmax(drift->statistic, 1));
}
