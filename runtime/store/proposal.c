/* Keeps a view's scores in order, and proposes a threshold at three of their counts. */
#include "runtime/store/proposal.h"

#include <math.h>
#include <string.h>

#include "runtime/base/log.h"
#include "runtime/store/refit.h"

static const uint32_t STEPS[] = {200, 1000, FG_PROPOSAL_MOST};
#define STEP_COUNT (sizeof STEPS / sizeof *STEPS)

void fg_proposal_begin(struct fg_proposal *proposal, float in_use, float false_rejects, bool local) {
    proposal->count = proposal->step = 0;
    proposal->in_use = in_use;
    proposal->false_rejects = false_rejects;
    proposal->local = local;
    atomic_store(&proposal->threshold, 0);
}

static void propose(struct fg_proposal *p) {
    struct fg_calibration found;
    struct fg_message message;
    if (fg_refit(p->score, p->count, p->local, p->false_rejects, &found, &message) != FG_OK) {
        fg_log(FG_LOG_WARNING, "%sno threshold is proposed after %u parts: %s", p->view, p->count,
               message.text);
        return;
    }
    atomic_store(&p->threshold, (uint32_t)lrint(fmin((double)found.threshold * 10000, 4e9)));
    fg_log(FG_LOG_INFO,
           "%safter %u parts their scores propose the threshold %.4f; the bundle's is %.4f, and stays until "
           "somebody runs flawgate calibrate with --from-line",
           p->view, p->count, (double)found.threshold, (double)p->in_use);
}

void fg_proposal_add(struct fg_proposal *proposal, float score) {
    struct fg_proposal *p = proposal;
    if (!isfinite(score) || p->count == FG_PROPOSAL_MOST)
        return;
    uint32_t low = 0, high = p->count; /* its place lies between them */
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (p->score[middle] <= score)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(p->score + low + 1, p->score + low, (p->count - low) * sizeof *p->score);
    p->score[low] = score;
    p->count++;
    if (p->step < STEP_COUNT && p->count == STEPS[p->step]) {
        p->step++;
        propose(p);
    }
}
