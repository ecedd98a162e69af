/* The threshold that a view's scores propose, after 200, 1,000 and 5,000 of them (refit.h). Nothing takes it
 * by itself: a person runs flawgate calibrate.
 *
 * Errors: none; scores that give no threshold are logged. Owner: the caller. Thread: one, but any reads the
 * threshold. NULL: never. */
#ifndef FG_RUNTIME_STORE_PROPOSAL_H
#define FG_RUNTIME_STORE_PROPOSAL_H

#include <stdatomic.h>

#include "runtime/line/setup.h"

#define FG_PROPOSAL_MOST 5000 /* scores, and the last of them that propose */

struct fg_proposal {
    char view[FG_SETUP_VIEW];      /* how lines of the log about it begin */
    _Atomic uint32_t threshold;    /* x 10000; 0: none is proposed yet */
    float score[FG_PROPOSAL_MOST]; /* in rising order */
    uint32_t count, step;          /* scores, and steps of the three that were reached */
    float in_use, false_rejects;   /* the bundle's threshold and rate */
    bool local;                    /* the form of its score */
};

/* Begins anew with a bundle. */
void fg_proposal_begin(struct fg_proposal *proposal, float in_use, float false_rejects, bool local);
/* Adds a score; one that is not finite does not count. */
void fg_proposal_add(struct fg_proposal *proposal, float score);

#endif
