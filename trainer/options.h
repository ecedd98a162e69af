/* The command line of flawgate-train. */
#ifndef FG_TRAINER_OPTIONS_H
#define FG_TRAINER_OPTIONS_H

#include "trainer/loop/train.h"

struct fg_options {
    const char *folder, *out, *teacher; /* teacher "random": drawn from the seed */
    enum fg_backbone backbone;          /* FG_BACKBONES: the teacher file's */
    int32_t height, width;              /* 0: auto */
    bool scconv, simam, fmm, soft_gate;
    uint32_t levels;
    struct fg_training training;
    uint32_t devices;   /* GPUs; 1 to FG_MAX_DEVICES */
    const char *device; /* "auto", "cuda", "cpu" */
    uint32_t threads;   /* 0: as many as the machine has processors */
    float false_rejects;
    bool resume, json;
};

/* FG_USAGE with the option and what it takes. help is set, and nothing else, when --help was given. */
FG_MUST_USE enum fg_status fg_options_read(int argc, char **argv, struct fg_options *options, bool *help,
                                           struct fg_message *message);

extern const char FG_OPTIONS_HELP[];

#endif
