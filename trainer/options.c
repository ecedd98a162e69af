#include "trainer/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char FG_OPTIONS_HELP[] =
    "usage: flawgate-train DIR --out NAME.fgb --teacher FILE|random [options]\n"
    "DIR is a category in MVTec layout (train/good, test/..., ground_truth/...) or a folder of good "
    "pictures.\n"
    "  --backbone NAME     resnet18, resnet34, resnet50 or wide_resnet50_2; default: the teacher file's\n"
    "  --size SIZE         auto, one side (256) or HEIGHTxWIDTH, multiples of 32 from 64 to 1024 (auto)\n"
    "  --epochs N          exact limit (200, or as many as 1,500 steps need)\n"
    "  --patience N        epochs without 0.1 % improvement before stopping (20)\n"
    "  --batch N           pictures a step, 2 to 64 (16)\n"
    "  --lr X              learning rate (1e-3)\n"
    "  --l2 X              weight of the sum of squares of the convolutions, 0 for none (1e-5)\n"
    "  --mask-rate X       share of positions that FMM hides, 0 to 1 (0.4)\n"
    "  --loss KIND         position (the paper's) or global\n"
    "  --gate KIND         hard (the paper's) or soft\n"
    "  --without LIST      of scconv, simam, fmm, separated by commas\n"
    "  --levels LIST       of 1, 2, 3, separated by commas (1,2,3)\n"
    "  --seed N            of weights, order, masks and the held-out choice (0)\n"
    "  --threads N         processors to use (all)\n"
    "  --device NAME       auto, cuda or cpu (auto: an NVIDIA GPU where there is one)\n"
    "  --devices N         GPUs, or parts of the CPU, to train on, each with its share of a batch (1)\n"
    "  --false-rejects X   rate that the threshold is set for (0.001)\n"
    "  --resume            go on from NAME.state\n"
    "  --json              one object a line on standard output\n";

static enum fg_status read_number(const char *option, const char *text, double low, double high, bool whole,
                                  double *value, struct fg_message *message) {
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    if (errno || end == text || *end || !isfinite(*value) || *value < low || *value > high ||
        (whole && *value != floor(*value)))
        return fg_fail(message, FG_USAGE, "--%s %.50s: must be a %snumber from %g to %g", option, text,
                       whole ? "whole " : "", low, high);
    return FG_OK;
}

/* Seeds keep all their 64 bits. */
static enum fg_status read_seed(const char *text, uint64_t *seed, struct fg_message *message) {
    char *end;
    errno = 0;
    *seed = strtoull(text, &end, 10);
    if (errno || *text < '0' || *text > '9' || *end)
        return fg_fail(message, FG_USAGE, "--seed %.50s: must be a whole number from 0 to 2^64 - 1", text);
    return FG_OK;
}

static enum fg_status read_size(const char *text, struct fg_options *o, struct fg_message *message) {
    char x, rest;
    if (!strcmp(text, "auto")) {
        o->height = o->width = 0;
        return FG_OK;
    }
    int count = sscanf(text, "%d%c%d%c", &o->height, &x, &o->width, &rest);
    if (count == 1)
        o->width = o->height;
    if ((count != 1 && (count != 3 || x != 'x')) || o->height < 64 || o->height > 1024 || o->height % 32 ||
        o->width < 64 || o->width > 1024 || o->width % 32)
        return fg_fail(message, FG_USAGE,
                       "--size %.50s: must be auto, a side or HEIGHTxWIDTH, multiples of 32 from 64 to 1024",
                       text);
    return FG_OK;
}

/* Calls take for each word between commas; false from it is an unknown word. */
static enum fg_status read_list(const char *option, const char *text, const char *words, struct fg_options *o,
                                bool (*take)(struct fg_options *, const char *, size_t),
                                struct fg_message *message) {
    for (const char *at = text;; at++) {
        size_t length = strcspn(at, ",");
        if (!take(o, at, length))
            return fg_fail(message, FG_USAGE, "--%s %.50s: must be a list of %s, separated by commas", option,
                           text, words);
        at += length;
        if (!*at)
            return FG_OK;
    }
}

static bool is(const char *word, size_t length, const char *expected) {
    return strlen(expected) == length && !memcmp(word, expected, length);
}

static bool take_switch(struct fg_options *o, const char *word, size_t length) {
    bool *const off = is(word, length, "scconv")  ? &o->scconv
                      : is(word, length, "simam") ? &o->simam
                      : is(word, length, "fmm")   ? &o->fmm
                                                  : NULL;
    if (off)
        *off = false;
    return off != NULL;
}

static bool take_level(struct fg_options *o, const char *word, size_t length) {
    if (length != 1 || *word < '1' || *word > '3')
        return false;
    o->levels |= 1u << (*word - '1');
    return true;
}

static enum fg_status read_choice(const char *option, const char *text, const char *first, const char *second,
                                  bool *is_second, struct fg_message *message) {
    *is_second = !strcmp(text, second);
    if (*is_second || !strcmp(text, first))
        return FG_OK;
    return fg_fail(message, FG_USAGE, "--%s %.50s: must be %s or %s", option, text, first, second);
}

static enum fg_status read_backbone(const char *text, struct fg_options *o, struct fg_message *message) {
    o->backbone = fg_backbone_find(text);
    if (o->backbone != FG_BACKBONES)
        return FG_OK;
    return fg_fail(message, FG_USAGE,
                   "--backbone %.50s: must be resnet18, resnet34, resnet50 or wide_resnet50_2", text);
}

static enum fg_status check(const struct fg_options *o, struct fg_message *message) {
    if (o->training.batch % o->devices || o->training.batch / o->devices < 2)
        return fg_fail(message, FG_USAGE,
                       "--batch %u on %u devices: each must have the same share, of 2 pictures or more",
                       o->training.batch, o->devices);
    if (!o->folder)
        return fg_fail(message, FG_USAGE,
                       "which folder? flawgate-train DIR --out NAME.fgb --teacher FILE|random");
    if (!o->out)
        return fg_fail(message, FG_USAGE, "--out NAME.fgb is missing: the bundle to write");
    const size_t length = strlen(o->out);
    if (length <= 4 || strcmp(o->out + length - 4, ".fgb"))
        return fg_fail(message, FG_USAGE, "--out %.300s: the name must end in .fgb", o->out);
    if (!o->teacher)
        return fg_fail(message, FG_USAGE,
                       "--teacher FILE is missing. Fetch an ImageNet-trained backbone as safetensors (timm's "
                       "resnet18.tv_in1k or wide_resnet50_2.tv_in1k: model.safetensors; or torchvision's "
                       "wide_resnet50_2-95faca4d.pth, converted), or give --teacher random to try without");
    if (!strcmp(o->teacher, "random") && o->backbone == FG_BACKBONES)
        return fg_fail(message, FG_USAGE, "--teacher random needs --backbone NAME");
    return FG_OK;
}

enum fg_status fg_options_read(int argc, char **argv, struct fg_options *o, bool *help,
                               struct fg_message *message) {
    enum {
        OUT = 256,
        TEACHER,
        BACKBONE,
        SIZE,
        EPOCHS,
        PATIENCE,
        BATCH,
        LR,
        L2,
        MASK_RATE,
        LOSS,
        GATE,
        WITHOUT,
        LEVELS,
        SEED,
        THREADS,
        DEVICE,
        DEVICES,
        FALSE_REJECTS,
        RESUME,
        JSON,
        HELP
    };
    static const struct option names[] = {
        {"out", required_argument, NULL, OUT},
        {"teacher", required_argument, NULL, TEACHER},
        {"backbone", required_argument, NULL, BACKBONE},
        {"size", required_argument, NULL, SIZE},
        {"epochs", required_argument, NULL, EPOCHS},
        {"patience", required_argument, NULL, PATIENCE},
        {"batch", required_argument, NULL, BATCH},
        {"lr", required_argument, NULL, LR},
        {"l2", required_argument, NULL, L2},
        {"mask-rate", required_argument, NULL, MASK_RATE},
        {"loss", required_argument, NULL, LOSS},
        {"gate", required_argument, NULL, GATE},
        {"without", required_argument, NULL, WITHOUT},
        {"levels", required_argument, NULL, LEVELS},
        {"seed", required_argument, NULL, SEED},
        {"threads", required_argument, NULL, THREADS},
        {"device", required_argument, NULL, DEVICE},
        {"devices", required_argument, NULL, DEVICES},
        {"false-rejects", required_argument, NULL, FALSE_REJECTS},
        {"resume", no_argument, NULL, RESUME},
        {"json", no_argument, NULL, JSON},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    *o = (struct fg_options){.backbone = FG_BACKBONES,
                             .device = "auto",
                             .devices = 1,
                             .scconv = true,
                             .simam = true,
                             .fmm = true,
                             .training = fg_training_defaults(),
                             .false_rejects = 1e-3f};
    *help = false;
    opterr = 0;
    optind = 1;
    int option, at = 0;
    while ((option = getopt_long(argc, argv, ":", names, &at)) != -1) {
        enum fg_status status = FG_OK;
        const char *name = option >= OUT ? names[at].name : "";
        double x = 0;
        switch (option) {
        case OUT:
            o->out = optarg;
            break;
        case TEACHER:
            o->teacher = optarg;
            break;
        case BACKBONE:
            status = read_backbone(optarg, o, message);
            break;
        case SIZE:
            status = read_size(optarg, o, message);
            break;
        case EPOCHS:
            status = read_number(name, optarg, 1, 1e6, true, &x, message);
            o->training.epochs = (uint32_t)x;
            break;
        case PATIENCE:
            status = read_number(name, optarg, 1, 1e6, true, &x, message);
            o->training.patience = (uint32_t)x;
            break;
        case BATCH:
            status = read_number(name, optarg, 2, FG_MAX_BATCH, true, &x, message);
            o->training.batch = (uint32_t)x;
            break;
        case LR:
            status = read_number(name, optarg, 1e-9, 1, false, &x, message);
            o->training.learning_rate = (float)x;
            break;
        case L2:
            status = read_number(name, optarg, 0, 1, false, &x, message);
            o->training.l2 = (float)x;
            break;
        case MASK_RATE:
            status = read_number(name, optarg, 0, 1, false, &x, message);
            o->training.recipe.mask_rate = (float)x;
            break;
        case LOSS:
            status =
                read_choice(name, optarg, "position", "global", &o->training.recipe.global_loss, message);
            break;
        case GATE:
            status = read_choice(name, optarg, "hard", "soft", &o->soft_gate, message);
            break;
        case WITHOUT:
            status = read_list(name, optarg, "scconv, simam, fmm", o, take_switch, message);
            break;
        case LEVELS:
            o->levels = 0;
            status = read_list(name, optarg, "1, 2, 3", o, take_level, message);
            break;
        case SEED:
            status = read_seed(optarg, &o->training.seed, message);
            break;
        case THREADS:
            status = read_number(name, optarg, 1, 64, true, &x, message);
            o->threads = (uint32_t)x;
            break;
        case DEVICE:
            o->device = optarg;
            break;
        case DEVICES:
            status = read_number(name, optarg, 1, FG_MAX_DEVICES, true, &x, message);
            o->devices = (uint32_t)x;
            break;
        case FALSE_REJECTS:
            status = read_number(name, optarg, 1e-9, 0.5, false, &x, message);
            o->false_rejects = (float)x;
            break;
        case RESUME:
            o->resume = true;
            break;
        case JSON:
            o->json = true;
            break;
        case HELP:
            *help = true;
            return FG_OK;
        case ':':
            status = fg_fail(message, FG_USAGE, "%.50s needs a value", argv[optind - 1]);
            break;
        default:
            status = fg_fail(message, FG_USAGE, "unknown option %.50s; see --help", argv[optind - 1]);
        }
        if (status != FG_OK)
            return status;
    }
    if (optind < argc)
        o->folder = argv[optind++];
    if (optind < argc)
        return fg_fail(message, FG_USAGE, "one folder at a time: %.200s is a second one", argv[optind]);
    if (!o->levels)
        o->levels = 7;
    return check(o, message);
}
