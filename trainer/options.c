/* Reads the options of flawgate-train, and checks what they may be together. */
#include "trainer/options.h"

#include <string.h>

#include "runtime/bundle/bundle.h"

#define AT(member) offsetof(struct fg_train_options, member)
#define NOT_GIVEN UINT32_MAX /* a choice that the recipe makes */

enum { WITHOUT_SCCONV = 1, WITHOUT_SIMAM = 2, WITHOUT_FMM = 4 }; /* bits in the order of the option's words */

static const struct fg_option OPTIONS[] = {
    {"out", FG_OPTION_PATH, AT(out), .size = FG_TRAIN_PATH, .value = "NAME.fgb",
     .help = "writes this bundle, and NAME.state after every epoch"},
    {"teacher", FG_OPTION_PATH, AT(teacher), .size = FG_TRAIN_PATH, .value = "FILE",
     .help = "takes the teacher from FILE.safetensors, a backbone trained on ImageNet; random judges badly"},
    {"backbone", FG_OPTION_CHOICE, AT(backbone), .words = FG_BACKBONE_WORDS, .value = "NAME",
     .help = "the teacher's network, the teacher file's where it is not given"},
    {"size", FG_OPTION_SIZE, AT(size), "auto", FG_SIDE_LEAST, FG_SIDE_MOST, .value = "SIZE",
     .help = "of pictures as the network sees them"},
    {"epochs", FG_OPTION_NUMBER, AT(training.epochs), .min = 1, .max = 1e6, .value = "N",
     .help = "most epochs; where it is not given 200, or as many as 1,500 steps need"},
    {"patience", FG_OPTION_NUMBER, AT(training.patience), FG_OPTION_TEXT(FG_TRAINING_PATIENCE), 1, 1e6,
     .value = "N", .help = "epochs without 0.1 % improvement before stopping"},
    {"batch", FG_OPTION_NUMBER, AT(training.batch), FG_OPTION_TEXT(FG_TRAINING_BATCH), 2, FG_MAX_BATCH,
     .value = "N", .help = "pictures a step"},
    {"lr", FG_OPTION_FLOAT, AT(training.learning_rate), FG_OPTION_TEXT(FG_TRAINING_RATE), 1e-9, 1,
     .value = "X", .help = "learning rate"},
    {"l2", FG_OPTION_FLOAT, AT(training.l2), FG_OPTION_TEXT(FG_TRAINING_L2), 0, 1, .value = "X",
     .help = "weight of the sum of squares of the convolutions"},
    {"mask-rate", FG_OPTION_FLOAT, AT(training.recipe.mask_rate), FG_OPTION_TEXT(FG_TRAINING_MASK_RATE), 0, 1,
     .value = "X", .help = "share of positions that FMM hides"},
    {"recipe", FG_OPTION_CHOICE, AT(recipe), "default", .words = "default|paper", .value = "KIND",
     .help = "what --loss and --score are where they are not given: global and auto, or the paper's "
             "position and sum"},
    {"loss", FG_OPTION_CHOICE, AT(loss), .words = "position|global", .value = "KIND",
     .help = "how levels are compared: place by place, or as a whole"},
    {"gate", FG_OPTION_CHOICE, AT(gate), "hard", .words = "hard|soft", .value = "KIND",
     .help = "how SRU weighs channels; hard is the paper's"},
    {"without", FG_OPTION_SET, AT(without), .words = "scconv|simam|fmm", .value = "LIST",
     .help = "leaves these out of the network"},
    {"levels", FG_OPTION_SET, AT(levels), "1,2,3", .words = "1|2|3", .value = "LIST",
     .help = "compares these levels of features"},
    {"score", FG_OPTION_CHOICE, AT(score), .words = &FG_SCORE_WORDS "|auto"[1], .value = "FORM",
     .help = "how levels become a score; auto takes what finds the smallest flaw on good pictures"},
    {"seed", FG_OPTION_SEED, AT(training.seed), "0", .value = "N",
     .help = "of weights, order, masks and the held-out choice"},
    {"cache-mib", FG_OPTION_NUMBER, AT(training.cache_mib), FG_OPTION_TEXT(FG_TRAINING_CACHE_MIB), 0, 1e6,
     .value = "N",
     .help = "MiB that a CPU may take to keep the teacher's features for all epochs; changes the time, not "
             "the result"},
    FG_THREADS_OPTION(AT(threads)),
    FG_DEVICE_OPTION(AT(device)),
    {"devices", FG_OPTION_NUMBER, AT(devices), "1", 1, FG_MAX_DEVICES, .value = "N",
     .help = "GPUs to train on, or parts of the CPU, each with its share of a batch"},
    {"false-rejects", FG_OPTION_FLOAT, AT(false_rejects), "0.001", 1e-9, 0.5, .value = "X",
     .help = "share of good parts that the threshold may reject"},
    {"defective", FG_OPTION_PATH, AT(defective), .size = FG_TRAIN_PATH, .value = "DIR",
     .help = "says what thresholds find of the defective parts in DIR, which do not set it"},
    {"precision", FG_OPTION_CHOICE, AT(precision), "float16", .words = "float16|int8", .value = "KIND",
     .help = "of the weights that the line judges with; int8 is for a CPU with VNNI or dot-product "
             "instructions"},
    {"resume", FG_OPTION_BOOL, AT(resume), .help = "goes on from NAME.state"},
    FG_JSON_OPTION(AT(json)),
    FG_QUIET_OPTION(AT(quiet)),
};
const struct fg_usage FG_TRAIN_USAGE = {
    .name = "flawgate-train",
    .takes = "DIR --out NAME.fgb --teacher FILE|random",
    .least = 1,
    .most = 1,
    .about =
        "Makes a bundle from pictures of good parts. DIR is a category in MVTec layout (train/good, "
        "test/...,\n"
        "ground_truth/...) or a folder of good pictures. --json prints an object a line, for each epoch and\n"
        "for the bundle.\n",
    .options = FG_OPTIONS(OPTIONS),
    .computes = true,
};

_Static_assert(sizeof(enum fg_backbone) == sizeof(uint32_t) && sizeof(enum fg_score_form) == sizeof(uint32_t),
               "a choice is stored as 32 bits");

static bool ends_in(const char *path, const char *ending) {
    const size_t length = strlen(path), end = strlen(ending);
    return length > end && !strcmp(path + length - end, ending);
}

static enum fg_status check_options(const struct fg_train_options *o, struct fg_message *message) {
    if (o->training.batch % o->devices || o->training.batch / o->devices < 2)
        return fg_fail(message, FG_USAGE,
                       "--batch %u on %u devices: each must have the same share, of 2 pictures or more",
                       o->training.batch, o->devices);
    if (!*o->out)
        return fg_fail(message, FG_USAGE, "--out NAME.fgb is missing: the bundle to write");
    if (!ends_in(o->out, FG_BUNDLE_ENDING))
        return fg_fail(message, FG_USAGE, "--out %.300s: the name must end in " FG_BUNDLE_ENDING, o->out);
    if (!*o->teacher)
        return fg_fail(message, FG_USAGE,
                       "--teacher FILE is missing. Fetch an ImageNet-trained backbone as safetensors (timm's "
                       "resnet18.tv_in1k or wide_resnet50_2.tv_in1k: model.safetensors; or torchvision's "
                       "wide_resnet50_2-95faca4d.pth, converted), or give --teacher random to try without");
    if (!strcmp(o->teacher, "random") && o->backbone == FG_BACKBONES)
        return fg_fail(message, FG_USAGE, "--teacher random needs --backbone NAME");
    return FG_OK;
}

enum fg_status fg_train_options_read(int argc, char **argv, struct fg_train_options *o, bool *over,
                                     struct fg_message *message) {
    *o = (struct fg_train_options){.backbone = FG_BACKBONES, .loss = NOT_GIVEN, .score = NOT_GIVEN};
    enum fg_status status = fg_usage_read(&FG_TRAIN_USAGE, &argc, argv, o, over, message);
    if (status != FG_OK || *over)
        return status;
    o->folder = argv[1];
    o->scconv = !(o->without & WITHOUT_SCCONV);
    o->simam = !(o->without & WITHOUT_SIMAM);
    o->fmm = !(o->without & WITHOUT_FMM);
    o->soft_gate = o->gate;
    o->int8 = o->precision;
    const bool paper = o->recipe;
    o->training.recipe.global_loss = o->loss == NOT_GIVEN ? !paper : o->loss;
    if ((uint32_t)o->score == NOT_GIVEN)
        o->score = paper ? FG_SCORE_SUM : FG_SCORE_AUTO;
    return check_options(o, message);
}
