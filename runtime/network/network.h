/* The network, written down once: parameters with their public names, values, and nodes in order.
 *
 * Planner, engine, trainer, bundle and safetensors all walk these lists. What follows here is the definition
 * that the lists, the operators (kernels/step.h) and the trainer keep to, so that weights can move between
 * this project and a PyTorch script and give the same numbers. Names in quotes are tensor names, which
 * belong to the public format.
 *
 * To add a backbone: a row of FG_BACKBONE_TABLE.
 * To add a module: its nodes in network.c, and its operator in kernels/step.h and each backend where it needs
 * one. Nothing else names either; fg_network_init says so where a list is too short for it.
 *
 * Feature maps are written N x C x H x W here, as in PyTorch; in memory they are NHWC (kernels/tensor.h). The
 * picture is H x W, two numbers everywhere, multiples of 32 from 64 to 1024. B is the block's expansion: 1
 * for ResNet-18 and ResNet-34 (basic block), 4 for ResNet-50 and WideResNet-50-2 (bottleneck block). F_E are
 * the teacher's features, F_D the student's, F_G what the feature mask module (FMM) makes of F_D; a number
 * behind them is the level.
 *
 * 1. Input. An 8-bit picture as RGB, a grey one repeated three times, is resized to H x W without keeping its
 *    aspect, by an antialiased triangle filter, to the byte as Pillow's BILINEAR. Each value is divided by
 *    255, less (0.485, 0.456, 0.406), divided by (0.229, 0.224, 0.225) for red, green and blue. In picture
 *    files 16-bit samples become round(v / 257), alpha is dropped, a palette is expanded, CMYK is refused,
 *    EXIF orientation is ignored. What a camera's formats show is in kernels/step.h. Trainer, tools and line
 *    go this one way. The trainer takes, where no size is asked for, of the sizes with 0.85 to 1.0 times
 *    65,536 pixels the one whose aspect is nearest to the training pictures' median: 256 x 256 for square
 *    ones, 160 x 384 for pictures of 500 x 1270.
 *
 * 2. Teacher "teacher.*", frozen: torchvision's ResNet up to its layer3, with torchvision's names behind the
 *    prefix ("teacher.layer1.0.conv1.weight"); layer4 and fc of a file are skipped, and so are counts of
 *    batches. A bottleneck block has its stride on the 3 x 3 convolution. Batch norm (eps 1e-5) is always in
 *    inference mode. Stages 1 to 4 have 2 2 2 2 blocks (ResNet-18) or 3 4 6 3 (the others); the inner width
 *    of a bottleneck block is the stage's planes, twice that for WideResNet-50-2. F_E1 is 64B x H/4 x W/4,
 *    F_E2 128B x H/8 x W/8, F_E3 256B x H/16 x W/16.
 *
 * 3. Bottleneck "bottleneck.*", trained. A convolution has no bias unless this says so, and k x k pads k/2
 *    zeros; each "bn" is batch norm (eps 1e-5, momentum 0.1).
 *
 *    Fusion: "down1a" (3 x 3, stride 2, to 128B), "bn1a", ReLU, "down1b" (3 x 3, stride 2, to 256B), "bn1b",
 *    ReLU on F_E1; "down2" (3 x 3, stride 2, to 256B), "bn2", ReLU on F_E2; both and F_E3 side by side,
 *    "fuse" (1 x 1, to 256B), "bnf", ReLU. With fewer levels only those that are used, in their order.
 *
 *    Attention: SCConv, then "point" (1 x 1), "bnp", ReLU, then SimAM. SCConv on X of C channels is SRU, then
 *    CRU.
 *
 *    SRU: r = sigmoid(w_c GN(X)), GN the group norm "scconv.gn" (16 groups, eps 1e-5, affine gamma and beta),
 *    w_c = gamma_c / sum of gamma. The hard gate gives X1 = X where r > 0.5 and 0 elsewhere, X2 = X less X1;
 *    no gradient flows through it, so gamma and beta keep 1 and 0. The soft gate gives
 *    X1 = X (r > 0.5 ? 1 : r) and X2 = X (r > 0.5 ? 0 : r). With h = C/2, X^w is X1[:h] + X2[h:] followed by
 *    X1[h:] + X2[:h].
 *
 *    CRU: the upper half of X^w goes through "squeeze1", the lower through "squeeze2" (1 x 1, C/2 to C/4),
 *    giving u and l. Y1 = "gwc"(u) + "pwc1"(u), gwc 3 x 3 in 2 groups with a bias, pwc1 1 x 1, both to C.
 *    Y2 = "pwc2"(l) followed by l, pwc2 1 x 1 to 3C/4. Y = b1 Y1 + b2 Y2, where (b1, b2) is the softmax of
 *    each channel's two spatial means.
 *
 *    SimAM, per channel with n = H W - 1 of the map: d = (x - mean)^2, v = sum of d / n,
 *    y = x sigmoid(d / (4 (v + 1e-4)) + 0.5).
 *
 *    Embedding "oce.*": the backbone's own stage 4 (planes 512, stride 2), 256B to 512B.
 *
 * 4. Student "student.*", trained: the teacher's mirror, "layer3" (512B to 256B), "layer2" (to 128B),
 *    "layer1" (to 64B) with the first, second and third number of blocks. The first block of each doubles the
 *    sides: its strided convolution and its "downsample.0" are transposed 2 x 2 with stride 2, stored in x
 *    out x 2 x 2. F_D3, F_D2, F_D1 have the sizes of F_E3, F_E2, F_E1.
 *
 * 5. FMM "fmm.0.*" to "fmm.2.*", trained, for levels 1 to 3: "align" (1 x 1), times the mask, "gen1" (3 x 3),
 *    ReLU, "gen2" (3 x 3), all with a bias and as many channels as F_D. The mask has one value for each place
 *    of each image: 0 where a uniform number is below the mask rate, else 1. Judging has no mask. Without
 *    FMM, F_G is F_D.
 *
 * 6. Loss, map, score. M(h, w) = 1 - cos(F_E(h, w), F_G(h, w)) over channels, norms of at least 1e-8. The
 *    loss is the sum over the used levels of the mean of M (position), or of 1 - cos over an image's whole
 *    flattened feature (global). The anomaly map is each M resized to H x W (bilinear, corners aligned),
 *    joined, blurred by a Gaussian of sigma 4: 33 taps, mirrored without repeating the edge. k maps are
 *    joined as their sum or as k times the k-th root of their product, M floored at 0. The decision map is
 *    the anomaly map or, in a local form of the score, (map - mean) / scale: mean and dev are those of each
 *    place over training's pictures, both smoothed by the same Gaussian; scale = dev + the mean of dev over
 *    all places. Mean and scale are rounded to float16, as a bundle stores them. The score is the largest
 *    value of the decision map, not finite when any value is not finite: ReLU, max pool and every maximum
 *    keep a NaN. A defect is the 8-connected set of pixels of the decision map above the threshold that holds
 *    the largest one.
 *
 * 7. Training, by the global loss; the paper's is position. Adam (0.9, 0.999). To the gradient of the trained
 *    convolutions' weights 2 l2 w is added (the paper's equation 14), not to biases and batch norm. Every
 *    loss that is printed, compared or stopped on is that of section 6 alone, without masks, batch norm in
 *    inference mode. At most 200 epochs, or as many as 1,500 steps take where that is more; it stops after
 *    epochs without 0.1 % improvement on the held-out pictures, never before 1,000 steps, and the best
 *    epoch's weights stay. A last batch of one image is dropped. Weights begin as normal numbers of deviation
 *    sqrt(2 / (n0 kh kw)), n0 the stored tensor's first dimension; biases as 0; batch and group norm as 1 and
 *    0. All that is drawn comes from kernels/philox.h, keyed by seed, epoch, image, level and place.
 *
 * 8. Figures of a bundle: AUROC, average precision and best F1 of pictures and of pixels; PRO, the area under
 *    the curve of mean overlap with each 8-connected region of the ground truth, up to 0.3 false positives,
 *    divided by 0.3. They are exact (every distinct score is a threshold) and taken at H x W, masks resized
 *    to the nearest pixel.
 *
 * 9. Cost of one picture of 256 x 256, in multiply-adds: resnet18 5.2 G, resnet34 9.7 G, resnet50 30.6 G,
 *    wide_resnet50_2 46.5 G. The last has 24.9 M parameters in the teacher, 58.7 M in the bottleneck, 24.9 M
 *    in the student, 26.2 M in the FMM. When judging, batch norm is folded into the convolution before it;
 *    statistics (group norm, SimAM, softmax, cosine) and the gate's comparison are float32 in every mode.
 *
 * 11. Scene. A frame that shows no part at all (lamp off, wrong part) can be rebuilt perfectly, and would
 *    pass. Its descriptor g is the mean and the deviation over positions of each channel of F_E1 to F_E3,
 *    used levels or not. mu and s are mean and deviation of g over good pictures, scale = max(s
 *    + median(s) / 2, 1e-6), and d = sqrt(mean(((g - mu) / scale)^2)) is a frame's distance. The limit is
 *    exp(mean + 5 deviations of ln d) of good pictures, each measured with mu and s of the other four of
 *    five folds. A frame beyond the limit is not like training's.
 *
 * 12. int8. A folded convolution can have weights of 8 bits: w = scale of its output channel times -127 to
 *    127. Its input is then quantised (kernels/tensor.h): a number of 0 to 255 stands for scale (number -
 *    zero). All that reads a value as int8 shares one scale and zero. A value that only int8 convolutions
 *    read, as input or residual, is kept as such numbers; any other value stays float32, and so do the scene,
 *    statistics, gates, attention, cosines and the map. Of the picture's values, all that a picture can have
 *    lies within the numbers. Sums are int32 and exact. Such a number cannot say that a value is not finite,
 *    so weights that are not are refused; what lies beyond the numbers becomes the smallest or the largest.
 *
 * A convolution node carries its batch norm, residual and ReLU. Folded (inference, the frozen teacher) it is
 * one CONV step with a bias; unfolded (training) it is CONV and BATCH_NORM.
 *
 * Errors: fg_network_init only, with a message that may be NULL. Owner: the caller, who makes room for the
 * struct; it holds no memory of its own and needs no end. Thread: any; a network that is built is only read.
 * NULL: no argument may be, but for a message. */
#ifndef FG_RUNTIME_NETWORK_NETWORK_H
#define FG_RUNTIME_NETWORK_NETWORK_H

#include "kernels/step.h"
#include "runtime/base/status.h"

#define FG_NETWORK_PARAMS 768
#define FG_NETWORK_VALUES 256
#define FG_NETWORK_NODES 256
#define FG_NETWORK_LEVELS 3
#define FG_NETWORK_BASE 64 /* channels of layer1 in a ResNet, and the most that a spec may have */
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

/* The backbones' names with a bar between them, as option tables take words. */
#define FG_BACKBONE_WORD(constant, name, ...) "|" name
#define FG_BACKBONE_WORDS (&FG_BACKBONE_TABLE(FG_BACKBONE_WORD)[1])

struct fg_backbone_shape {
    const char *name;
    int32_t blocks[4];
    bool bottleneck;
    int32_t width;
};

/* How level maps become a score (section 6): constant and name. Bundles store the number. */
#define FG_SCORE_TABLE(SCORE)                                                                                \
    SCORE(SUM, "sum")                                                                                        \
    SCORE(PRODUCT, "product")                                                                                \
    SCORE(SUM_LOCAL, "sum-local")                                                                            \
    SCORE(PRODUCT_LOCAL, "product-local")

#define FG_SCORE_CONSTANT(constant, name) FG_SCORE_##constant,
enum fg_score_form { FG_SCORE_TABLE(FG_SCORE_CONSTANT) FG_SCORE_FORMS };

/* The forms' names with a bar before each, as option tables take words. */
#define FG_SCORE_WORD(constant, name) "|" name
#define FG_SCORE_WORDS FG_SCORE_TABLE(FG_SCORE_WORD)

#define FG_SCORE_AUTO FG_SCORE_FORMS /* a wish for the best of them */

const char *fg_score_name(enum fg_score_form form);

static inline bool fg_score_is_product(enum fg_score_form form) {
    return form == FG_SCORE_PRODUCT || form == FG_SCORE_PRODUCT_LOCAL;
}

/* Whether each place of the map is compared with what it has in good pictures. */
static inline bool fg_score_is_local(enum fg_score_form form) {
    return form == FG_SCORE_SUM_LOCAL || form == FG_SCORE_PRODUCT_LOCAL;
}

/* What a bundle records to build its network again. */
struct fg_network_spec {
    enum fg_backbone backbone;
    int32_t height, width;    /* pixels of the input: multiples of 32 from 64 to 1024 */
    int32_t base;             /* the channels of layer1 before expansion: FG_NETWORK_BASE; the tests use 4 */
    bool scconv, simam, fmm;  /* the paper's ablations */
    bool soft_gate;           /* sru_gate = soft */
    uint32_t levels;          /* bit i - 1: level i is used; 1 to 7 */
    enum fg_score_form score; /* how level maps become a score */
};

enum fg_param_kind {
    FG_PARAM_CONV, /* weight of a convolution or transposed convolution: decays by l2 */
    FG_PARAM_BIAS, /* bias of a convolution */
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
    int32_t shape[4]; /* as stored in files: PyTorch's order; fg_param_tensor gives the NHWC one */
};

struct fg_value {
    int32_t h, w, c;
};

/* A node of the network. An index is -1 where the node has no such value or parameter. */
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

/* Whether a node is a convolution, transposed or not. */
static inline bool fg_node_is_convolution(const struct fg_node *node) {
    return node->op == FG_CONV || node->op == FG_DECONV;
}

/* A batch norm and the convolution before it, which it is folded into. */
struct fg_fold {
    uint32_t weight; /* parameter: the convolution's weight */
    uint32_t bn;     /* parameter: the first of weight, bias, running_mean, running_var */
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
    struct fg_fold fold[FG_NETWORK_NODES]; /* folds of all params, those that no used level needs too */
    uint32_t folds;
    int32_t input;                      /* value 0: the normalised picture */
    uint32_t levels;                    /* the number of levels that are used */
    uint32_t level[FG_NETWORK_LEVELS];  /* [levels] the used levels, 1 to 3, ascending */
    int32_t teacher[FG_NETWORK_LEVELS]; /* [levels] the used levels' values F_E */
    int32_t student[FG_NETWORK_LEVELS]; /* [levels] the used levels' values F_G */
    int32_t feature[FG_NETWORK_LEVELS]; /* values F_E of levels 1 to 3, used or not */
    uint32_t descriptors;               /* values of the scene's descriptor (section 11) */
};

/* Builds the lists. FG_INPUT when the spec is out of range (from a hostile bundle, or a command line);
 * FG_USAGE when the network does not fit into the lists, which a new backbone or module can cause. */
FG_MUST_USE enum fg_status fg_network_init(struct fg_network *network, const struct fg_network_spec *spec,
                                           struct fg_message *message);

/* Gives a backbone's line of the table. */
const struct fg_backbone_shape *fg_backbone_shape(enum fg_backbone backbone);
const char *fg_backbone_name(enum fg_backbone backbone);
/* Finds a backbone by its name; FG_BACKBONES for an unknown one. */
enum fg_backbone fg_backbone_find(const char *name);

/* Gives a parameter's tensor in NHWC order, with segment and offset 0. */
struct fg_tensor fg_param_tensor(const struct fg_param *param);

/* Whether a folded network (a bundle, an engine) has this parameter: everything but batch norm's weight, mean
 * and variance, whose effect is in the convolution's weight and the batch norm's bias. */
bool fg_param_folded(const struct fg_param *param);

/* Finds the index of the parameter with this name; -1: there is none. */
int32_t fg_network_find(const struct fg_network *network, const char *name);

/* Gives the output channels of a convolution's weight. */
int32_t fg_param_channels(const struct fg_param *param);

/* Gives the multiply-adds of one forward pass of one picture. */
double fg_network_cost(const struct fg_network *network);

#endif
