/* Calibration: judges good pictures as the line will, lets score.h choose the form of the score, decision.h
 * find the threshold from their scores and scene.h what they have in common, and makes the self-test from one
 * of them. A bundle that is calibrated anew keeps the form of its score, and its scene where it knows it;
 * only the limit grows to what new good pictures are like.
 *
 * Errors: FG_INPUT names the picture or what is wrong with the scores. Owner: the caller, of draft, pictures
 * and remarks. Thread: one at a time for one draft or backend. NULL: a message, and what a member says. */
#ifndef FG_TRAINER_BUNDLE_CALIBRATE_H
#define FG_TRAINER_BUNDLE_CALIBRATE_H

#include "runtime/base/progress.h"
#include "runtime/base/report.h"
#include "trainer/bundle/decision.h"
#include "trainer/bundle/draft.h"

/* Good pictures, and what is wished. */
struct fg_calibrating {
    const char *const *path;         /* {count}: files */
    const enum fg_good_group *group; /* {count}; NULL: added, but for those that the bundle knows already */
    uint32_t count;
    float false_rejects;            /* the wished rate, 0 to 1 */
    enum fg_score_form score;       /* wished by who gives groups, or FG_SCORE_AUTO */
    float threshold;                /* set by hand; 0: it is found */
    struct fg_report *remarks;      /* a line for each odd picture, and for each that cannot be read */
    bool skips;                     /* goes on without a picture that cannot be read */
    fg_progress_function *progress; /* called after each picture; NULL: it is not shown */
    void *argument;
};

/* What a calibration of a bundle's file found about the pictures. */
struct fg_calibrated {
    struct fg_calibration calibration; /* the new one */
    float old_threshold;               /* 0: the bundle had none */
    uint32_t judged;                   /* pictures that were judged */
    uint32_t known;                    /* pictures that training had; a file's calibration leaves them out */
    uint32_t skipped;                  /* pictures that could not be read */
    struct fg_decision_row row[FG_DECISION_ROWS]; /* what other thresholds would do */
    uint32_t rows;
    float largest;   /* the largest score of an unseen picture that is not odd */
    uint32_t odd;    /* judged pictures whose score lies far above the others */
    uint32_t unlike; /* judged pictures that are not like the scene that training saw */
    uint32_t above;  /* judged pictures with a score above the old threshold */
};

/* Gives the draft its threshold, its self-test and its good pictures. A picture that breaks the contract is
 * an error that names it, as is one that cannot be read, unless those are skipped. A draft is calibrated
 * once; after a failure it can only be closed. found may be NULL. */
FG_MUST_USE enum fg_status fg_calibrate_draft(struct fg_draft *draft,
                                              const struct fg_calibrating *calibrating,
                                              struct fg_calibrated *found, struct fg_message *message);

#endif
