/* The command line of flawgate-train. */
#ifndef FG_TRAINER_OPTIONS_H
#define FG_TRAINER_OPTIONS_H

#include "runtime/base/usage.h"
#include "runtime/engine/device.h"
#include "trainer/loop/train.h"

#define FG_TRAIN_PATH 4096 /* bytes of a path */

struct fg_train_options {
    const char *folder;                              /* one of argv's */
    char out[FG_TRAIN_PATH], teacher[FG_TRAIN_PATH]; /* teacher "random": drawn from the seed */
    enum fg_backbone backbone;                       /* FG_BACKBONES: the teacher file's */
    int32_t size[2];                                 /* height, width; 0: auto */
    bool scconv, simam, fmm, soft_gate;
    uint32_t levels; /* bit i - 1: level i */
    struct fg_training training;
    uint32_t devices;            /* 1 to FG_MAX_DEVICES */
    char device[FG_DEVICE_NAME]; /* "auto", "cuda", "cpu" */
    uint32_t threads;            /* 0: as many as the machine has processors */
    float false_rejects;
    bool resume, json, quiet;
    uint32_t without, loss, gate; /* as given */
};

/* What --help prints. */
extern const struct fg_usage FG_TRAIN_USAGE;

/* Reads the command line. *over: help or the version was printed. FG_USAGE names the option and what it
 * takes. */
FG_MUST_USE enum fg_status fg_train_options_read(int argc, char **argv, struct fg_train_options *options,
                                                 bool *over, struct fg_message *message);

#endif
