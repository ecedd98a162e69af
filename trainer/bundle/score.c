/* Tries forms of the score on kept level maps, and measures their bumps. */
#include "trainer/bundle/score.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/bytes.h"
#include "trainer/bundle/decision.h"
#include "trainer/bundle/places.h"

#define LEAST_LOCAL 10 /* training pictures that a local form takes: two of each fold */
#define SAFE_LOCAL 50  /* training pictures from which auto tries a local form: of fewer it is often wrong */
/* A local form is worth its cruder tail only where places differ in all pictures alike. Its bump is then
 * about half of a plain form's; where they do not, it is about the same. */
#define LOCAL_GAIN 0.8f
#define MEDIAN 0.5
#define ANYWHERE 0.9
#define BINS (1u << 20) /* of a float that is not negative, by its exponent and 11 bits behind the point */

struct fg_scorer {
    struct fg_backend *backend; /* borrowed */
    int32_t height, width;
    struct fg_tensor level[FG_NETWORK_LEVELS]; /* extents of the used levels' maps */
    uint32_t number[FG_NETWORK_LEVELS];        /* the used levels, 1 to 3 */
    uint32_t levels;
    size_t values; /* of all level maps of a picture */
    float *kept;   /* {most, values} */
    uint32_t count, most;
};

static size_t count_places(const struct fg_scorer *s) {
    return (size_t)s->height * (size_t)s->width;
}

static const float *find_levels(const struct fg_scorer *s, uint32_t picture) {
    return s->kept + (size_t)picture * s->values;
}

enum fg_status fg_scorer_open(const struct fg_network *network, uint32_t most, struct fg_backend *backend,
                              struct fg_scorer **scorer, struct fg_message *message) {
    struct fg_scorer *s = calloc(1, sizeof *s);
    if (!s)
        return fg_fail(message, FG_ENVIRONMENT, "calibration: no memory");
    s->backend = backend;
    s->height = network->spec.height;
    s->width = network->spec.width;
    s->levels = network->levels;
    s->most = most;
    for (uint32_t l = 0; l < network->levels; l++) {
        const struct fg_value *feature = &network->value[network->teacher[l]];
        s->level[l] = (struct fg_tensor){.h = feature->h, .w = feature->w};
        s->number[l] = network->level[l];
        s->values += (size_t)feature->h * (size_t)feature->w;
    }
    s->kept = malloc(((size_t)most + 1) * s->values * sizeof *s->kept);
    if (!s->kept) {
        fg_scorer_close(s);
        return fg_fail(message, FG_ENVIRONMENT, "calibration: no memory for the maps of %u pictures", most);
    }
    *scorer = s;
    return FG_OK;
}

enum fg_status fg_scorer_accepts(enum fg_score_form wished, uint32_t training, struct fg_message *message) {
    if (!fg_score_is_local(wished) || training >= LEAST_LOCAL)
        return FG_OK;
    return fg_fail(message, FG_INPUT,
                   "--score %s takes %d pictures to train with, and there are %u; give more, or --score sum",
                   fg_score_name(wished), LEAST_LOCAL, training);
}

void fg_scorer_close(struct fg_scorer *scorer) {
    if (!scorer)
        return;
    free(scorer->kept);
    free(scorer);
}

enum fg_status fg_scorer_add(struct fg_scorer *scorer, const struct fg_engine *engine,
                             struct fg_message *message) {
    assert(scorer->count < scorer->most);
    float *to = scorer->kept + (size_t)scorer->count * scorer->values;
    for (uint32_t l = 0; l < scorer->levels; l++) {
        const enum fg_status status = fg_engine_level_map(engine, scorer->number[l], to, message);
        if (status != FG_OK)
            return status;
        to += (size_t)scorer->level[l].h * (size_t)scorer->level[l].w;
    }
    scorer->count++;
    return FG_OK;
}

static enum fg_status open_join(const struct fg_scorer *s, enum fg_score_form form, struct fg_join *join,
                                struct fg_message *message) {
    return fg_join_open(join, s->backend, s->level, s->levels, s->height, s->width, form, message);
}

static void set_places(const struct fg_scorer *s, struct fg_join *join, const float *mean,
                       const float *scale) {
    memcpy(join->place_mean, mean, count_places(s) * sizeof *mean);
    memcpy(join->place_scale, scale, count_places(s) * sizeof *scale);
}

/* Bumps by the bin that their bits fall into: a fixed memory, however many places there are. */
struct bumps {
    uint64_t *bin; /* {BINS} */
    uint64_t count;
};

static void add_bumps(struct bumps *bumps, const struct fg_bump *b, const float *decision, size_t places) {
    for (size_t i = 0; i < places; i++) {
        const float distance = fmaxf(b->threshold - decision[i], 0) * (b->scale ? b->scale[i] : 1);
        assert(distance >= 0); /* fg_decide has refused what is not finite */
        bumps->bin[fg_float_bits(distance) >> 11]++;
    }
    bumps->count += places;
}

static float find_quantile(const struct bumps *bumps, double share) {
    const uint64_t rank = (uint64_t)(share * (double)(bumps->count - 1));
    uint64_t below = 0;
    uint32_t bin = 0;
    while (bin < BINS - 1 && below + bumps->bin[bin] <= rank)
        below += bumps->bin[bin++];
    return fg_bits_float(bin << 11);
}

/* Sums a map's values. */
static double sum_map(const float *map, size_t places) {
    double sum = 0;
    for (size_t i = 0; i < places; i++)
        sum += (double)map[i];
    return sum;
}

enum fg_status fg_scorer_bump(struct fg_scorer *scorer, struct fg_bump *b, struct fg_message *message) {
    const size_t places = count_places(scorer);
    struct bumps bumps = {.bin = calloc(BINS, sizeof *bumps.bin)};
    struct fg_join join = {.plan = NULL};
    enum fg_status status = bumps.bin ? open_join(scorer, b->form, &join, message)
                                      : fg_fail(message, FG_ENVIRONMENT, "calibration: no memory for bumps");
    if (status == FG_OK && b->scale)
        set_places(scorer, &join, b->mean, b->scale);
    double sum = 0;
    uint32_t counted = 0;
    for (uint32_t i = 0; i < scorer->count && status == FG_OK; i++) {
        if (b->odd[i])
            continue;
        status = fg_join_run(&join, find_levels(scorer, i), message);
        if (status != FG_OK)
            break;
        sum += sum_map(join.map, places);
        counted++;
        if (b->good[i].group != FG_GOOD_TRAINING)
            add_bumps(&bumps, b, join.decision, places);
    }
    if (status == FG_OK) {
        const float unit = (float)(sum / ((double)places * counted));
        b->median = bumps.count ? find_quantile(&bumps, MEDIAN) / unit : 0;
        b->anywhere = bumps.count ? find_quantile(&bumps, ANYWHERE) / unit : 0;
    }
    fg_join_close(&join);
    free(bumps.bin);
    return status;
}

/* One form that is tried. */
struct candidate {
    enum fg_score_form form;
    float *score;        /* {count}: of each picture */
    float *mean, *scale; /* {height, width}, over all training pictures; NULL: it is not local */
    float bump;
};

static void close_candidate(struct candidate *c) {
    free(c->score);
    free(c->mean);
    free(c->scale);
    *c = (struct candidate){.score = NULL};
}

static enum fg_status open_candidate(const struct fg_scorer *s, enum fg_score_form form, struct candidate *c,
                                     struct fg_message *message) {
    *c = (struct candidate){.form = form, .score = calloc(s->count + 1, sizeof *c->score)};
    bool right = c->score;
    if (fg_score_is_local(form)) {
        c->mean = malloc(count_places(s) * sizeof *c->mean);
        c->scale = malloc(count_places(s) * sizeof *c->scale);
        right = right && c->mean && c->scale;
    }
    return right ? FG_OK : fg_fail(message, FG_ENVIRONMENT, "calibration: no memory for a form of the score");
}

/* Scores the pictures in a form that is not local. */
static enum fg_status score_plainly(const struct fg_scorer *s, struct candidate *c,
                                    struct fg_message *message) {
    struct fg_join join;
    enum fg_status status = open_join(s, c->form, &join, message);
    for (uint32_t i = 0; i < s->count && status == FG_OK; i++) {
        status = fg_join_run(&join, find_levels(s, i), message);
        if (status == FG_OK)
            c->score[i] = *join.score;
    }
    fg_join_close(&join);
    return status;
}

/* Adds up the maps of training's pictures, but for odd ones. */
static enum fg_status add_places(const struct fg_scorer *s, enum fg_score_form plain,
                                 const struct fg_good *good, const bool *odd, struct fg_places *places,
                                 struct fg_message *message) {
    struct fg_join join;
    enum fg_status status = open_join(s, plain, &join, message);
    uint32_t seen = 0;
    for (uint32_t i = 0; i < s->count && status == FG_OK; i++) {
        if (good[i].group != FG_GOOD_TRAINING)
            continue;
        const uint32_t fold = seen++ % FG_PLACES_FOLDS;
        if (odd[i])
            continue;
        status = fg_join_run(&join, find_levels(s, i), message);
        if (status == FG_OK)
            fg_places_add(places, join.map, fold);
    }
    fg_join_close(&join);
    return status;
}

/* Scores the pictures of one fold of training, or where that is FG_PLACES_FOLDS all that training did not
 * see, by mean and scale of the others. */
static enum fg_status score_fold(const struct fg_scorer *s, const struct fg_good *good, struct candidate *c,
                                 struct fg_places *places, struct fg_join *join, uint32_t fold,
                                 struct fg_message *message) {
    enum fg_status status = fg_places_find(places, fold, c->mean, c->scale, message);
    if (status != FG_OK)
        return status;
    set_places(s, join, c->mean, c->scale);
    uint32_t seen = 0;
    for (uint32_t i = 0; i < s->count && status == FG_OK; i++) {
        const uint32_t own = good[i].group == FG_GOOD_TRAINING ? seen++ % FG_PLACES_FOLDS : FG_PLACES_FOLDS;
        if (own != fold)
            continue;
        status = fg_join_run(join, find_levels(s, i), message);
        c->score[i] = *join->score;
    }
    return status;
}

/* Scores the pictures in a local form; mean and scale are then those over all of training. */
static enum fg_status score_locally(const struct fg_scorer *s, const struct fg_good *good,
                                    struct candidate *c, struct fg_places *places,
                                    struct fg_message *message) {
    struct fg_join join;
    enum fg_status status = open_join(s, c->form, &join, message);
    for (uint32_t fold = 0; fold <= FG_PLACES_FOLDS && status == FG_OK; fold++)
        status = score_fold(s, good, c, places, &join, fold, message);
    fg_join_close(&join);
    return status;
}

/* A choice that is under way. */
struct choice {
    struct fg_scorer *scorer;
    enum fg_score_form wished;
    float false_rejects;
    struct fg_good *good;
    bool *odd;      /* {count} */
    bool *best_odd; /* {count}: the caller's */
    struct candidate best;
    struct fg_message refusal; /* of the first form that gives no threshold */
};

/* Finds the threshold that a candidate would have, and the odd pictures. */
static enum fg_status decide_candidate(struct choice *choice, const struct candidate *c, float *threshold,
                                       struct fg_message *message) {
    struct fg_calibration calibration = {.threshold = 0};
    const uint32_t count = choice->scorer->count;
    for (uint32_t i = 0; i < count; i++)
        choice->good[i].score = c->score[i];
    const enum fg_status status =
        fg_decide(choice->good, count, c->form, choice->false_rejects, choice->odd, &calibration, message);
    *threshold = calibration.threshold;
    return status;
}

bool fg_scorer_prefers(enum fg_score_form form, float bump, enum fg_score_form other, float other_bump) {
    return bump * (fg_score_is_local(form) ? 1 : LOCAL_GAIN) <
           other_bump * (fg_score_is_local(other) ? 1 : LOCAL_GAIN);
}

/* Measures a candidate's bump, and keeps the candidate where it is the best so far. */
static enum fg_status compare_candidate(struct choice *choice, struct candidate *c, float threshold,
                                        struct fg_message *message) {
    struct fg_bump bump = {.form = c->form,
                           .mean = c->mean,
                           .scale = c->scale,
                           .threshold = threshold,
                           .good = choice->good,
                           .odd = choice->odd};
    const enum fg_status status = fg_scorer_bump(choice->scorer, &bump, message);
    c->bump = bump.median;
    const struct candidate *best = &choice->best;
    if (status == FG_OK && (!best->score || fg_scorer_prefers(c->form, c->bump, best->form, best->bump))) {
        const struct candidate worse = choice->best;
        choice->best = *c;
        *c = worse;
        memcpy(choice->best_odd, choice->odd, choice->scorer->count * sizeof *choice->odd);
    }
    return status;
}

/* Scores the pictures in a form, marks more of them as odd, and keeps it where it may be taken and is the
 * best so far. A form that gives no threshold is left out. places: NULL where the form is not local. */
static enum fg_status try_form(struct choice *choice, enum fg_score_form form, struct fg_places *places,
                               struct fg_message *message) {
    struct candidate c;
    struct fg_message why = {{0}};
    float threshold = 0;
    enum fg_status status = open_candidate(choice->scorer, form, &c, &why);
    if (status == FG_OK)
        status = places ? score_locally(choice->scorer, choice->good, &c, places, &why)
                        : score_plainly(choice->scorer, &c, &why);
    if (status == FG_OK)
        status = decide_candidate(choice, &c, &threshold, &why);
    if (status == FG_OK && (choice->wished == FG_SCORE_AUTO || choice->wished == form))
        status = compare_candidate(choice, &c, threshold, &why);
    close_candidate(&c);
    if (status == FG_INPUT && !*choice->refusal.text)
        choice->refusal = why;
    return status == FG_OK || status == FG_INPUT ? FG_OK : fg_fail(message, status, "%s", why.text);
}

/* Says whether a local form is to be tried. */
static bool is_tried(struct choice *choice, enum fg_score_form local) {
    uint32_t training = 0;
    for (uint32_t i = 0; i < choice->scorer->count; i++)
        training += choice->good[i].group == FG_GOOD_TRAINING;
    if (choice->wished == FG_SCORE_AUTO)
        return training >= SAFE_LOCAL;
    return choice->wished == local && fg_scorer_accepts(local, training, &choice->refusal) == FG_OK;
}

/* Tries the forms of one joining: plain, and then by place. What the plain form marks as odd has no part in
 * the places, so it does not count in the local form either. */
static enum fg_status try_joining(struct choice *choice, enum fg_score_form plain, enum fg_score_form local,
                                  struct fg_message *message) {
    const struct fg_scorer *s = choice->scorer;
    if (choice->wished != FG_SCORE_AUTO && choice->wished != plain && choice->wished != local)
        return FG_OK;
    memset(choice->odd, 0, s->count * sizeof *choice->odd);
    enum fg_status status = try_form(choice, plain, NULL, message);
    if (status != FG_OK || !is_tried(choice, local))
        return status;
    struct fg_places places;
    status = fg_places_open(&places, s->backend, s->height, s->width, message);
    if (status == FG_OK)
        status = add_places(s, plain, choice->good, choice->odd, &places, message);
    if (status == FG_OK)
        status = try_form(choice, local, &places, message);
    fg_places_close(&places);
    return status;
}

enum fg_status fg_scorer_choose(struct fg_scorer *s, enum fg_score_form wished, float false_rejects,
                                struct fg_good *good, enum fg_score_form *form, float *mean, float *scale,
                                bool *odd, struct fg_message *message) {
    struct choice choice = {.scorer = s,
                            .wished = wished,
                            .false_rejects = false_rejects,
                            .good = good,
                            .odd = calloc(s->count + 1, sizeof *choice.odd),
                            .best_odd = odd};
    enum fg_status status = choice.odd ? FG_OK : fg_fail(message, FG_ENVIRONMENT, "calibration: no memory");
    if (status == FG_OK)
        status = try_joining(&choice, FG_SCORE_SUM, FG_SCORE_SUM_LOCAL, message);
    if (status == FG_OK)
        status = try_joining(&choice, FG_SCORE_PRODUCT, FG_SCORE_PRODUCT_LOCAL, message);
    if (status == FG_OK && !choice.best.score)
        status = fg_fail(message, FG_INPUT, "%s", choice.refusal.text);
    if (status == FG_OK) {
        *form = choice.best.form;
        for (uint32_t i = 0; i < s->count; i++)
            good[i].score = choice.best.score[i];
        if (fg_score_is_local(*form)) {
            memcpy(mean, choice.best.mean, count_places(s) * sizeof *mean);
            memcpy(scale, choice.best.scale, count_places(s) * sizeof *scale);
        }
    }
    close_candidate(&choice.best);
    free(choice.odd);
    return status;
}
