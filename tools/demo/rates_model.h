/* One model of flawgate-rates: trained as a user would train it, and judged by parts that it has not seen.
 *
 * Errors: FG_ENVIRONMENT for a program, file or memory, and what a bundle's desk gives; messages name the
 * model's files. Owner: the caller, of plan, model and backend. Thread: any, one for each model and backend.
 * NULL: only a message may be. */
#ifndef FG_TOOLS_DEMO_RATES_MODEL_H
#define FG_TOOLS_DEMO_RATES_MODEL_H

#include "kernels/backend.h"
#include "runtime/bundle/bundle.h"
#include "tools/demo/picture_part.h"
#include "tools/demo/teacher.h"

/* What all models have in common. */
struct fg_rates_plan {
    const char *folder; /* where pictures, states and bundles are */
    char teacher[FG_TEACHER_PATH];
    const char *score;  /* the form of the score that flawgate-train is asked for */
    uint32_t size;      /* pixels of a picture's side */
    uint32_t steps;     /* of each training, about */
    uint32_t parts;     /* good parts to judge */
    uint32_t defective; /* parts to judge for each defect */
};

struct fg_rates_model {
    enum fg_picture_kind kind;
    uint32_t train, seed; /* good parts to train with, and what they are drawn with */
    /* What was found. */
    enum fg_score_form form;
    struct fg_calibration calibration;
    uint32_t above;                        /* good parts above the threshold */
    uint32_t unlike;                       /* good parts that are not above it, but unlike the scene */
    uint32_t detected[FG_PICTURE_DEFECTS]; /* parts of each defect that are one or the other */
};

/* Trains the model, unless the folder has its bundle, and judges its parts. A training that was stopped goes
 * on. */
FG_MUST_USE enum fg_status fg_rates_model_run(const struct fg_rates_plan *plan, struct fg_rates_model *model,
                                              struct fg_backend *backend, struct fg_message *message);

#endif
