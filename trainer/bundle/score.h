/* The form of the score: keeps the level maps of good pictures, tries every form on them, and takes the one
 * that finds the smallest bump, a local one only where its bump is at most 0.8 of the best plain one's.
 *
 * The bump of a place is what must be added to a good picture's map there to reach the threshold, in units of
 * what good pictures' maps have on average. Its median over all places of unseen pictures says how good a
 * form is without any defective picture.
 *
 * Errors: FG_INPUT for scores that give no threshold, FG_ENVIRONMENT without memory, and the engine's own.
 * Owner: who opens closes; the backend must outlive it. Thread: one at a time on one backend. NULL: a
 * message; closing takes it; and what a function says. */
#ifndef FG_TRAINER_BUNDLE_SCORE_H
#define FG_TRAINER_BUNDLE_SCORE_H

#include "runtime/engine/engine.h"

struct fg_scorer;

/* Says whether a form can be had from that many training pictures: few say nothing about each place.
 * FG_INPUT says how many it takes. Any form but a local one, and FG_SCORE_AUTO, can be had from all. */
FG_MUST_USE enum fg_status fg_scorer_accepts(enum fg_score_form wished, uint32_t training,
                                             struct fg_message *message);

/* Opens one for at most that many pictures of a network, on a backend whose device is the host's memory. */
FG_MUST_USE enum fg_status fg_scorer_open(const struct fg_network *network, uint32_t most,
                                          struct fg_backend *backend, struct fg_scorer **scorer,
                                          struct fg_message *message);
void fg_scorer_close(struct fg_scorer *scorer);

/* Keeps the level maps of the engine's finished run as those of the next picture. */
FG_MUST_USE enum fg_status fg_scorer_add(struct fg_scorer *scorer, const struct fg_engine *engine,
                                         struct fg_message *message);

/* Chooses the form for the pictures that were added, good {count} in their order, and writes their scores in
 * it. A training picture's local score takes mean and scale from the other folds. wished: a form, or
 * FG_SCORE_AUTO. mean, scale {height, width}: of all training pictures but odd ones, where the form is local.
 * odd {count}: true for a picture that the decision must leave out. FG_INPUT where not even the sum, or the
 * wished form, gives a threshold. */
FG_MUST_USE enum fg_status fg_scorer_choose(struct fg_scorer *scorer, enum fg_score_form wished,
                                            float false_rejects, struct fg_good *good,
                                            enum fg_score_form *form, float *mean, float *scale, bool *odd,
                                            struct fg_message *message);

/* Says whether a form with its bump is chosen before another: the smaller bump is, but a local form takes 0.8
 * of a plain one's. */
bool fg_scorer_prefers(enum fg_score_form form, float bump, enum fg_score_form other, float other_bump);

/* What a bump is measured with. */
struct fg_bump {
    enum fg_score_form form;
    const float *mean, *scale; /* {height, width}; NULL where the form is not local */
    float threshold;
    const struct fg_good *good; /* of each picture that was added */
    const bool *odd;            /* of each: it does not count */
    float median;               /* out: at half of all places this much is found, or less */
    float anywhere;             /* out: and at nine of ten places this much */
};

/* Measures the bump of a threshold over all places of the pictures that training did not see, in units of the
 * mean of all pictures' maps; 0 where there are none. */
FG_MUST_USE enum fg_status fg_scorer_bump(struct fg_scorer *scorer, struct fg_bump *bump,
                                          struct fg_message *message);

#endif
