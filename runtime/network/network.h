/* The network, written down once: parameters with their public names, values, and nodes in order
 * (network.md).
 *
 * Planner, engine, trainer, bundle and safetensors all walk these lists. Adding a backbone or a module
 * changes network.c and the operator that it needs, nothing else.
 *
 * A convolution node carries its batch norm, residual and ReLU. Folded (inference, the frozen teacher) it is
 * one CONV step with a bias; unfolded (training) it is CONV and BATCH_NORM. */
#ifndef FG_RUNTIME_NETWORK_NETWORK_H
#define FG_RUNTIME_NETWORK_NETWORK_H

#include "kernels/step.h"
#include "runtime/base/status.h"

#define FG_NETWORK_PARAMS 768
#define FG_NETWORK_VALUES 256
#define FG_NETWORK_NODES 256
#define FG_NETWORK_LEVELS 3
#define FG_NAME_SIZE 64

/* All backbones, which are torchvision's ResNets: constant, name, blocks of each stage (the fourth is
 * OCE's), whether a block is a bottleneck (1x1, 3x3 and 1x1 convolutions, 4 times its planes as channels),
 * and the width of a bottleneck's inner convolutions in planes. To add one, add a line at the end: bundles
 * and training states store its number. */
#define FG_BACKBONE_TABLE(BACKBONE)                                                                          \
    BACKBONE(RESNET18, "resnet18", 2, 2, 2, 2, false, 1)                                                     \
    BACKBONE(RESNET34, "resnet34", 3, 4, 6, 3, false, 1)                                                     \
    BACKBONE(RESNET50, "resnet50", 3, 4, 6, 3, true, 1)                                                      \
    BACKBONE(WIDE_RESNET50_2, "wide_resnet50_2", 3, 4, 6, 3, true, 2)

#define FG_BACKBONE_CONSTANT(constant, ...) FG_##constant,
enum fg_backbone { FG_BACKBONE_TABLE(FG_BACKBONE_CONSTANT) FG_BACKBONES };

/* Their names with a bar between, as option tables take words. */
#define FG_BACKBONE_WORD(constant, name, ...) "|" name
#define FG_BACKBONE_WORDS (&FG_BACKBONE_TABLE(FG_BACKBONE_WORD)[1])

struct fg_backbone_shape {
    const char *name;
    int32_t blocks[4];
    bool bottleneck;
    int32_t width;
};

/* What a bundle records to build its network again. */
struct fg_network_spec {
    enum fg_backbone backbone;
    int32_t height, width;   /* of the input: multiples of 32 from 64 to 1024 */
    int32_t base;            /* channels of layer1 before expansion: 64; the tests use 4 */
    bool scconv, simam, fmm; /* the paper's ablations */
    bool soft_gate;          /* sru_gate = soft */
    uint32_t levels;         /* bit i-1: F_E^i is used; 1 to 7 */
};

enum fg_param_kind {
    FG_PARAM_CONV, /* weight of a convolution or transposed convolution: decays by l2 */
    FG_PARAM_BIAS, /* of a convolution */
    FG_PARAM_BN_WEIGHT,
    FG_PARAM_BN_BIAS,
    FG_PARAM_BN_MEAN,
    FG_PARAM_BN_VAR,
    FG_PARAM_GN_WEIGHT,
    FG_PARAM_GN_BIAS,
};

enum fg_module { FG_TEACHER, FG_BOTTLENECK, FG_STUDENT, FG_FMM };

struct fg_param {
    char name[FG_NAME_SIZE]; /* "teacher.layer1.0.conv1.weight" */
    enum fg_param_kind kind;
    enum fg_module module;
    bool transposed;  /* a DECONV's weight: stored in x out x 2 x 2 */
    uint32_t rank;    /* 1 or 4 */
    int32_t shape[4]; /* as stored in files: PyTorch's order; tensor() gives the NHWC one */
};

struct fg_value {
    int32_t h, w, c;
};

/* -1 where there is none. */
struct fg_node {
    enum fg_operator op;
    int32_t in[FG_MAX_IN], out[FG_MAX_OUT]; /* values */
    int32_t residual;                       /* value added before the ReLU */
    int32_t weight, bias;                   /* params; SRU: gamma, beta */
    int32_t bn;                             /* first of weight, bias, running_mean, running_var */
    int32_t stride, groups;
    bool relu;
    uint32_t level;  /* MASK, COSINE: 1 to 3 */
    uint32_t branch; /* 0 is the trunk; others may run beside it on a lane of their own */
    enum fg_module module;
};

/* A batch norm and the convolution before it, which it is folded into. */
struct fg_fold {
    uint32_t weight,
        bn; /* params: the convolution's weight; first of weight, bias, running_mean, running_var */
    enum fg_module module;
};

struct fg_network {
    struct fg_network_spec spec;
    struct fg_param param[FG_NETWORK_PARAMS];
    uint32_t params;
    struct fg_value value[FG_NETWORK_VALUES];
    uint32_t values;
    struct fg_node node[FG_NETWORK_NODES]; /* without resize and normalise, with FMM's masks, up to F_G^i */
    uint32_t nodes;
    struct fg_fold fold[FG_NETWORK_NODES]; /* of all params, those that no used level needs too */
    uint32_t folds;
    int32_t input;                      /* value 0: the normalised picture */
    uint32_t levels;                    /* how many are used, and for each: */
    uint32_t level[FG_NETWORK_LEVELS];  /* i of F^i, ascending */
    int32_t teacher[FG_NETWORK_LEVELS]; /* value F_E^i */
    int32_t student[FG_NETWORK_LEVELS]; /* value F_G^i */
};

/* Builds the lists. FG_INPUT when the spec is out of range (from a hostile bundle, or a command line); FG_USAGE when
 * the network does not fit into the lists, which a new backbone or module can cause. */
enum fg_status fg_network_init(struct fg_network *network, const struct fg_network_spec *spec,
                               struct fg_message *message);

/* A backbone's line of the table. */
const struct fg_backbone_shape *fg_backbone_shape(enum fg_backbone backbone);
const char *fg_backbone_name(enum fg_backbone backbone);
/* FG_BACKBONES for an unknown name. */
enum fg_backbone fg_backbone_find(const char *name);

/* A parameter's tensor in NHWC order, segment and offset 0. */
struct fg_tensor fg_param_tensor(const struct fg_param *param);

/* Whether a folded network (a bundle, an engine) has this parameter: everything but batch norm's weight, mean
 * and variance, whose effect is in the convolution's weight and the batch norm's bias. */
bool fg_param_folded(const struct fg_param *param);

/* Index of the parameter with this name, or -1. */
int32_t fg_network_find(const struct fg_network *network, const char *name);

/* Multiply-adds of one forward pass of one picture. */
double fg_network_cost(const struct fg_network *network);

#endif
