/* Finds a threshold from quartiles. */
#include "runtime/store/refit.h"

#include <math.h>

#define IQR_NORMAL 1.349         /* interquartile range of a normal distribution, in deviations */
#define IQR_GUMBEL 1.5725339     /* the same of a Gumbel distribution, in scales */
#define MEDIAN_GUMBEL 0.36651292 /* its median, in scales above its mode */
#define EULER 0.57721566490153   /* its mean */
#define GUMBEL_SCALE 0.77969680  /* sqrt(6) / pi: its scale in deviations */
#define RATE_MOST 0.5
#define DOUBTFUL_LEAST 0.01
#define DOUBTFUL_TIMES 3.0
/* An interquartile range tells of the spread what 0.37 times as many scores tell by their squares. */
#define EFFICIENCY 0.37

/* Gives the quantile of the scores, or of their logarithms. */
static double find_quantile(const float *scores, uint32_t count, double share, bool logs) {
    const double place = share * (count - 1);
    const uint32_t below = (uint32_t)place, above = below + 1 < count ? below + 1 : below;
    const double a = (double)scores[below], b = (double)scores[above];
    return logs ? log(a) + (place - below) * (log(b) - log(a)) : a + (place - below) * (b - a);
}

/* Gives z with P(x > z) = rate for a normal x. */
static double find_normal(double rate) {
    double low = 0, high = 40;
    for (int i = 0; i < 100; i++) {
        const double z = (low + high) / 2;
        if (erfc(z * M_SQRT1_2) / 2 > rate)
            low = z;
        else
            high = z;
    }
    return low;
}

/* Gives the threshold of a rate. The spread is an estimate, which makes the tail wider: the first term of
 * Student's. */
static float find_threshold(const struct fg_calibration *c, double rate, uint32_t count) {
    const double z = find_normal(rate), wider = 1 + (z * z + 1) / (4 * EFFICIENCY * count);
    if (c->family == FG_TAIL_LOG_NORMAL)
        return (float)exp((double)c->location + z * wider * (double)c->spread);
    const double scale = GUMBEL_SCALE * (double)c->spread, mode = (double)c->location - EULER * scale;
    return (float)(mode - log(-log1p(-rate)) * wider * scale);
}

enum fg_status fg_refit(const float *scores, uint32_t count, bool local, float false_rejects,
                        struct fg_calibration *calibration, struct fg_message *message) {
    struct fg_calibration *c = calibration;
    if (count < FG_REFIT_LEAST)
        return fg_fail(message, FG_INPUT, "%u scores of this bundle, but a threshold takes at least %d",
                       count, FG_REFIT_LEAST);
    const bool logs = !local && scores[0] > 0;
    const double median = find_quantile(scores, count, 0.5, logs);
    const double range = find_quantile(scores, count, 0.75, logs) - find_quantile(scores, count, 0.25, logs);
    if (!(range > 1e-6 * fabs(median)))
        return fg_fail(message, FG_INPUT,
                       "half of the %u scores are the same; did the camera show the same picture again and "
                       "again?",
                       count);
    const double scale = range / IQR_GUMBEL;
    c->family = logs ? FG_TAIL_LOG_NORMAL : FG_TAIL_GUMBEL;
    c->location = (float)(logs ? median : median + (EULER - MEDIAN_GUMBEL) * scale);
    c->spread = (float)(logs ? range / IQR_NORMAL : scale / GUMBEL_SCALE);
    c->false_rejects = false_rejects;
    c->expected = (float)fmin(fmax((double)false_rejects, 1.0 / (count + 1.0)), RATE_MOST);
    c->threshold = find_threshold(c, (double)c->expected, count);
    const double often = fmin(fmax(DOUBTFUL_LEAST, DOUBTFUL_TIMES * (double)c->expected), RATE_MOST);
    c->doubtful = fminf(find_threshold(c, often, count), c->threshold);
    if (!isfinite(c->threshold) || c->threshold <= 0)
        return fg_fail(message, FG_INPUT, "the threshold would be %g; the scores spread too far to set one",
                       (double)c->threshold);
    return FG_OK;
}
