/* The command line of flawgate-train.
 *
 * Errors: FG_USAGE names the option and what it takes. Owner: the caller; folder points into argv. Thread:
 * the main thread. NULL: no argument may be. */
#ifndef FG_TRAINER_OPTIONS_H
#define FG_TRAINER_OPTIONS_H

#include "runtime/base/usage.h"
#include "runtime/engine/device.h"
#include "trainer/loop/train.h"

#define FG_TRAIN_PATH 4096 /* bytes of a path */

struct fg_train_options {
    const char *folder;                              /* borrowed from argv */
    char out[FG_TRAIN_PATH], teacher[FG_TRAIN_PATH]; /* teacher "random": drawn from the seed */
    enum fg_backbone backbone;                       /* FG_BACKBONES: that of the teacher's file */
    int32_t size[2];                                 /* height, width; 0: auto */
    bool scconv, simam, fmm, soft_gate;
    uint32_t levels; /* bit i - 1 is set where level i is used */
    struct fg_training training;
    uint32_t devices; /* 1 to FG_MAX_DEVICES */
    enum fg_compute device;
    uint32_t threads; /* 0: one for each processor of the machine */
    float false_rejects;
    char defective[FG_TRAIN_PATH]; /* a folder of pictures of defective parts; empty: none are known */
    enum fg_score_form score;      /* or FG_SCORE_AUTO */
    bool int8;                     /* the line judges with int8 convolutions */
    bool resume, json, quiet;
    uint32_t without, loss, gate, recipe, precision; /* the words that were given, as option.h stores them */
};

/* What --help prints. */
extern const struct fg_usage FG_TRAIN_USAGE;

/* Reads the command line. *over: help or the version was printed. */
FG_MUST_USE enum fg_status fg_train_options_read(int argc, char **argv, struct fg_train_options *options,
                                                 bool *over, struct fg_message *message);

#endif
