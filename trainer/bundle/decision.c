/* Finds a bundle's threshold from the scores of good pictures. */
#include "trainer/bundle/decision.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/bundle/tail.h"

/* So many deviations above the middle of its group a score is odd: its logarithm; or the score itself, where
 * scores may be below 0 and have a Gumbel tail, which is longer. */
#define ODD_LOGARITHM 4.0
#define ODD_SCORE 8.0
#define MAD_DEVIATION 1.4826    /* a normal deviation in median absolute deviations */
#define EULER 0.57721566490153  /* the mean of a Gumbel distribution at 0 with scale 1 */
#define GUMBEL_SCALE 0.77969680 /* sqrt(6) / pi: its scale in deviations */
#define DOUBTFUL_LEAST 0.01     /* a score that one good part in a hundred exceeds is doubtful */
#define DOUBTFUL_TIMES 3.0      /* and one that good parts exceed three times as often as the threshold */
#define RATE_MOST 0.5

_Static_assert(FG_GOOD_GROUPS == FG_TAIL_GROUPS, "a tail's sample has the groups of good pictures");

/* Scores, or their logarithms, by group. */
struct sample {
    const struct fg_good *good;
    const bool *odd;
    uint32_t count;
    double *value; /* {count} */
    struct fg_tail_sample size;
    double mean[FG_GOOD_GROUPS], spread;
};

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Sorts the values and gives their median. */
static double find_median(double *value, uint32_t count) {
    qsort(value, count, sizeof *value, compare_doubles);
    return count % 2 ? value[count / 2] : (value[count / 2 - 1] + value[count / 2]) / 2;
}

/* Counts the unseen pictures above a limit, odd ones too. */
static uint32_t count_above(const struct fg_good *good, uint32_t count, float limit) {
    const enum fg_good_group unseen = fg_bundle_unseen(good, count);
    uint32_t above = 0;
    for (uint32_t i = 0; i < count; i++)
        above += good[i].group == unseen && good[i].score > limit;
    return above;
}

static enum fg_status check_scores(const struct fg_good *good, uint32_t count, struct fg_message *message) {
    for (uint32_t i = 0; i < count; i++)
        if (!isfinite(good[i].score))
            return fg_fail(message, FG_INPUT,
                           "calibration: the score of good picture %u is %g, but must be finite; the weights "
                           "are damaged or training went wrong",
                           i + 1, (double)good[i].score);
    return FG_OK;
}

/* Finds the middle of each group. */
static void find_middles(const struct sample *s, double *scratch, double middle[FG_GOOD_GROUPS]) {
    for (int g = 0; g < FG_GOOD_GROUPS; g++) {
        uint32_t members = 0;
        for (uint32_t i = 0; i < s->count; i++)
            if (s->good[i].group == (enum fg_good_group)g)
                scratch[members++] = s->value[i];
        middle[g] = members ? find_median(scratch, members) : 0;
    }
}

/* Marks scores that lie far above the middle of their group. The distance of all groups together says what is
 * far, because that of a few pictures alone is often far too small. The median of few distances may be too
 * small as well. Then many scores lie far below the middle, where defects do not bring them. A single one
 * that lies very far below counts no more than what would be odd above. */
static void mark_odd(const struct sample *s, double deviations, double *scratch, bool *odd) {
    double middle[FG_GOOD_GROUPS], squares = 0;
    find_middles(s, scratch, middle);
    for (uint32_t i = 0; i < s->count; i++)
        scratch[i] = fabs(s->value[i] - middle[s->good[i].group]);
    const double usual = MAD_DEVIATION * find_median(scratch, s->count);
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        const double below = fmin(middle[s->good[i].group] - s->value[i], deviations * usual);
        squares += below > 0 ? below * below : 0;
        count += below > 0;
    }
    const double spread = fmax(usual, sqrt(squares / fmax(count, 1)));
    for (uint32_t i = 0; i < s->count; i++)
        odd[i] |= spread > 0 && s->value[i] - middle[s->good[i].group] > deviations * spread;
}

/* Finds the groups' means and their common spread, without odd pictures. */
static void measure_sample(struct sample *s) {
    double squares = 0;
    uint32_t values = 0, groups = 0;
    for (int g = 0; g < FG_GOOD_GROUPS; g++) {
        uint32_t members = 0;
        double mean = 0, about = 0;
        for (uint32_t i = 0; i < s->count; i++)
            if (s->good[i].group == (enum fg_good_group)g && !s->odd[i]) {
                const double away = s->value[i] - mean;
                mean += away / ++members;
                about += away * (s->value[i] - mean);
            }
        s->size.count[g] = members;
        s->mean[g] = mean;
        squares += about;
        values += members;
        groups += members > 0;
    }
    s->spread = values > groups ? sqrt(squares / (values - groups)) : 0;
}

/* Gives the logarithm of the likelihood of all scores under a tail, training's moved to where unseen ones
 * lie. logs: the sample of logarithms; tail: of what the family is made on. */
static double find_likelihood(enum fg_tail_family family, const struct sample *logs,
                              const struct sample *tail) {
    const uint32_t located = tail->size.located;
    const double scale = GUMBEL_SCALE * tail->spread, at = tail->mean[located] - EULER * scale;
    double sum = 0;
    for (uint32_t i = 0; i < logs->count; i++) {
        if (logs->odd[i])
            continue;
        const double y = logs->value[i] - logs->mean[logs->good[i].group] + logs->mean[located];
        const double z =
            family == FG_TAIL_GUMBEL ? (exp(y) - at) / scale : (y - tail->mean[located]) / tail->spread;
        sum += family == FG_TAIL_GUMBEL
                   ? -log(scale) - z - exp(-z)
                   : -y - log(tail->spread) - 0.5 * log(2 * 3.14159265358979) - z * z / 2;
    }
    return sum;
}

/* Gives the threshold of a rate under the family, location and spread that were found. */
static float find_threshold(const struct fg_calibration *c, const struct fg_tail_sample *size, double rate) {
    return c->family == FG_TAIL_GUMBEL
               ? (float)((double)c->location + fg_tail_gumbel(size, rate) * (double)c->spread)
               : (float)exp((double)c->location + fg_tail_normal(size, rate) * (double)c->spread);
}

/* Enters what the likelier family gives. */
static enum fg_status enter_family(const struct sample *logs, const struct sample *raw, bool positive,
                                   struct fg_calibration *c, struct fg_message *message) {
    c->family = positive && find_likelihood(FG_TAIL_LOG_NORMAL, logs, logs) >=
                                find_likelihood(FG_TAIL_GUMBEL, logs, raw)
                    ? FG_TAIL_LOG_NORMAL
                    : FG_TAIL_GUMBEL;
    const struct sample *s = c->family == FG_TAIL_GUMBEL ? raw : logs;
    c->location = (float)s->mean[s->size.located];
    c->spread = (float)s->spread;
    c->threshold = find_threshold(c, &s->size, (double)c->expected);
    const double often = fmax(DOUBTFUL_LEAST, DOUBTFUL_TIMES * c->expected);
    c->doubtful = fminf(find_threshold(c, &s->size, fmin(often, RATE_MOST)), c->threshold);
    if (!isfinite(c->threshold) || c->threshold <= 0)
        return fg_fail(message, FG_INPUT,
                       "calibration: the threshold would be %g; the scores' spread is too large to set one",
                       (double)c->threshold);
    return FG_OK;
}

/* Enters what the unseen pictures show by themselves. */
static void enter_bound(const struct fg_good *good, uint32_t count, struct fg_calibration *c) {
    c->unseen = count_above(good, count, -INFINITY);
    c->rejected = count_above(good, count, c->threshold);
    c->bound = (float)fg_tail_bound(c->rejected, c->unseen);
}

static enum fg_status decide_in(struct sample *logs, struct sample *raw, enum fg_score_form form,
                                double *scratch, bool *odd, float false_rejects, struct fg_calibration *c,
                                struct fg_message *message) {
    bool positive = !fg_score_is_local(form);
    for (uint32_t i = 0; i < raw->count; i++) {
        positive &= raw->good[i].score > 0;
        raw->value[i] = (double)raw->good[i].score;
    }
    for (uint32_t i = 0; i < raw->count; i++)
        logs->value[i] = positive ? log(raw->value[i]) : raw->value[i];
    const enum fg_good_group located = fg_bundle_unseen(raw->good, raw->count);
    const uint32_t unseen = count_above(raw->good, raw->count, -INFINITY);
    if (unseen < FG_DECISION_LEAST)
        return fg_fail(message, FG_INPUT,
                       "calibration: %u good pictures that training did not see, but it takes at least %d",
                       unseen, FG_DECISION_LEAST);
    mark_odd(logs, positive ? ODD_LOGARITHM : ODD_SCORE, scratch, odd);
    logs->size.located = raw->size.located = located;
    measure_sample(logs);
    measure_sample(raw);
    /* Rounding leaves equal scores a spread. */
    if (!(raw->spread > 1e-6 * fabs(raw->mean[located])))
        return fg_fail(message, FG_INPUT,
                       "calibration: all %u scores are the same; are the pictures copies of one?",
                       raw->count);
    *c = (struct fg_calibration){.false_rejects = false_rejects};
    for (uint32_t i = 0; i < raw->count; i++)
        c->odd += odd[i];
    c->pictures = raw->count - c->odd;
    c->expected = (float)fmin(fmax((double)false_rejects, 1.0 / (c->pictures + 1)), RATE_MOST);
    const enum fg_status status = enter_family(logs, raw, positive, c, message);
    if (status == FG_OK)
        enter_bound(raw->good, raw->count, c);
    return status;
}

enum fg_status fg_decide(const struct fg_good *good, uint32_t count, enum fg_score_form form,
                         float false_rejects, bool *odd, struct fg_calibration *calibration,
                         struct fg_message *message) {
    enum fg_status status = check_scores(good, count, message);
    if (status != FG_OK)
        return status;
    double *values = calloc(3 * (size_t)count + 1, sizeof *values);
    if (!values)
        return fg_fail(message, FG_ENVIRONMENT, "calibration: no memory for %u scores", count);
    struct sample logs = {.good = good, .odd = odd, .count = count, .value = values}, raw = logs;
    raw.value = values + count;
    status =
        decide_in(&logs, &raw, form, values + 2 * (size_t)count, odd, false_rejects, calibration, message);
    free(values);
    return status;
}

void fg_decide_by_hand(const struct fg_good *good, uint32_t count, float threshold,
                       struct fg_calibration *c) {
    c->threshold = threshold;
    c->doubtful = fminf(c->doubtful, threshold);
    c->expected = 0;
    enter_bound(good, count, c);
}

uint32_t fg_decision_table(const struct fg_good *good, uint32_t count, const bool *odd,
                           const struct fg_calibration *c, struct fg_decision_row row[FG_DECISION_ROWS]) {
    const float rate[FG_DECISION_ROWS] = {c->expected, 0.01f, 0.03f, 0.1f, 0.3f};
    struct fg_tail_sample size = {.located = fg_bundle_unseen(good, count)};
    uint32_t rows = 0;
    for (uint32_t i = 0; i < count; i++)
        size.count[good[i].group] += !odd[i];
    for (int i = 0; i < FG_DECISION_ROWS; i++)
        if (i == 0 || rate[i] > c->expected) {
            const float threshold = i ? find_threshold(c, &size, (double)rate[i]) : c->threshold;
            row[rows++] = (struct fg_decision_row){
                .expected = rate[i], .threshold = threshold, .rejected = count_above(good, count, threshold)};
        }
    return rows;
}

bool fg_decision_are_many(uint32_t odd, uint32_t pictures) {
    return odd > 1 && odd > pictures / 20;
}

/* Writes behind the text; what has no room is cut. */
static void add_text(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void add_text(char *text, size_t size, const char *format, ...) {
    const size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, size - used, format, args);
    va_end(args);
}

void fg_decision_sentence(const struct fg_calibration *c, char *text, size_t size) {
    text[0] = 0;
    if (c->expected <= 0 && !c->unseen) {
        add_text(text, size, "Threshold %.4f, found by an older program: calibrate the bundle anew.",
                 (double)c->threshold);
        return;
    }
    if (c->expected <= 0)
        add_text(text, size, "Threshold %.4f, set by hand.", (double)c->threshold);
    else
        add_text(text, size,
                 "Threshold %.4f: about %.2g %% of good parts are above it, by the %s tail of %u good "
                 "pictures.",
                 (double)c->threshold, 100 * (double)c->expected,
                 c->family == FG_TAIL_GUMBEL ? "Gumbel" : "log-normal", c->pictures);
    add_text(text, size,
             " Of the %u that training did not see %u are above it: by themselves they show less than "
             "%.2g %% (95 %% confidence).",
             c->unseen, c->rejected, 100 * (double)c->bound);
    if (c->expected > c->false_rejects)
        add_text(text, size, " The wished %.2g %% takes %.0f good pictures.", 100 * (double)c->false_rejects,
                 ceil(1 / (double)c->false_rejects - 1.001)); /* float32 holds few rates exactly */
    if (c->bump > 0)
        add_text(text, size,
                 " It finds what stands out by %.1f times the usual unevenness of a good part; %.1f times "
                 "nearly anywhere.",
                 (double)c->bump, (double)c->bump_anywhere);
}
