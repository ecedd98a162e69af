/* Builds the lists of network.h: a builder adds a module's nodes one behind the other. */
#include "runtime/network/network.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SHAPE(constant, name, one, two, three, four, bottleneck, width)                                      \
    [FG_##constant] = {name, {one, two, three, four}, bottleneck, width},
static const struct fg_backbone_shape BACKBONES[FG_BACKBONES] = {FG_BACKBONE_TABLE(SHAPE)};

const struct fg_backbone_shape *fg_backbone_shape(enum fg_backbone backbone) {
    assert(backbone < FG_BACKBONES);
    return &BACKBONES[backbone];
}

const char *fg_backbone_name(enum fg_backbone backbone) {
    return fg_backbone_shape(backbone)->name;
}

enum fg_backbone fg_backbone_find(const char *name) {
    for (int i = 0; i < FG_BACKBONES; i++)
        if (!strcmp(name, BACKBONES[i].name))
            return (enum fg_backbone)i;
    return FG_BACKBONES;
}

const char *fg_score_name(enum fg_score_form form) {
#define FG_SCORE_NAME(constant, name) name,
    static const char *const NAMES[FG_SCORE_FORMS] = {FG_SCORE_TABLE(FG_SCORE_NAME)};
#undef FG_SCORE_NAME
    return NAMES[form];
}

struct fg_tensor fg_param_tensor(const struct fg_param *param) {
    struct fg_tensor t = {.dtype = FG_F32, .n = 1, .h = 1, .w = 1, .c = param->shape[0]};
    if (param->rank == 4)
        t = (struct fg_tensor){.dtype = FG_F32,
                               .n = param->shape[0],
                               .h = param->shape[2],
                               .w = param->shape[3],
                               .c = param->shape[1]};
    return t;
}

int32_t fg_param_channels(const struct fg_param *param) {
    return param->shape[param->transposed];
}

bool fg_param_folded(const struct fg_param *param) {
    return param->kind != FG_PARAM_BN_WEIGHT && param->kind != FG_PARAM_BN_MEAN &&
           param->kind != FG_PARAM_BN_VAR;
}

int32_t fg_network_find(const struct fg_network *network, const char *name) {
    for (uint32_t i = 0; i < network->params; i++)
        if (!strcmp(network->param[i].name, name))
            return (int32_t)i;
    return -1;
}

/* While the lists grow: the module and branch that new nodes belong to. The first list or name that has no
 * room left is in status and message; from then on indices stay inside the lists, but mean nothing. */
struct builder {
    struct fg_network *network;
    enum fg_module module;
    uint32_t branch;
    int32_t expansion, width;
    enum fg_status status;
    struct fg_message *message;
};

/* Whether one more fits into a list; says so where it does not. */
static bool check_room(struct builder *b, uint32_t count, uint32_t room, const char *list) {
    if (count < room)
        return true;
    if (b->status == FG_OK)
        b->status =
            fg_fail(b->message, FG_USAGE,
                    "network: backbone %s needs more than %u %s; runtime/network/network.h sets how many fit",
                    BACKBONES[b->network->spec.backbone].name, room, list);
    return false;
}

__attribute__((format(printf, 3, 4))) static void make_name(struct builder *b, char name[FG_NAME_SIZE],
                                                            const char *format, ...) {
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(name, FG_NAME_SIZE, format, args);
    va_end(args);
    if ((length < 0 || length >= FG_NAME_SIZE) && b->status == FG_OK)
        b->status = fg_fail(b->message, FG_USAGE, "network: name %s... has more than %d characters", name,
                            FG_NAME_SIZE - 1);
}

static int32_t add_value(struct builder *b, int32_t h, int32_t w, int32_t c) {
    struct fg_network *net = b->network;
    if (!check_room(b, net->values, FG_NETWORK_VALUES, "values"))
        return 0;
    net->value[net->values] = (struct fg_value){h, w, c};
    return (int32_t)net->values++;
}

static int32_t add_param(struct builder *b, enum fg_param_kind kind, const char *prefix, const char *suffix,
                         int32_t d0) {
    struct fg_network *net = b->network;
    if (!check_room(b, net->params, FG_NETWORK_PARAMS, "parameters"))
        return 0;
    struct fg_param *p = &net->param[net->params];
    *p = (struct fg_param){.kind = kind, .module = b->module, .rank = 1, .shape = {d0, 1, 1, 1}};
    make_name(b, p->name, "%s%s", prefix, suffix);
    return (int32_t)net->params++;
}

static struct fg_node *add_node(struct builder *b, enum fg_operator op) {
    struct fg_network *net = b->network;
    struct fg_node *node = &net->node[0];
    if (check_room(b, net->nodes, FG_NETWORK_NODES, "nodes"))
        node = &net->node[net->nodes++];
    *node = (struct fg_node){.op = op,
                             .in = {-1, -1, -1},
                             .out = {-1, -1, -1},
                             .residual = -1,
                             .weight = -1,
                             .bias = -1,
                             .bn = -1,
                             .stride = 1,
                             .groups = 1,
                             .branch = b->branch,
                             .module = b->module};
    return node;
}

/* A convolution with all that belongs to it. bn NULL: none. */
struct conv {
    const char *name, *bn; /* prefixes: "teacher.conv1", "teacher.bn1" */
    int32_t in, channels, kernel, stride, groups;
    bool transposed, bias, relu;
    int32_t residual; /* value, or -1 */
};

static int32_t add_conv(struct builder *b, const struct conv *conv) {
    struct fg_network *net = b->network;
    const struct fg_value x = net->value[conv->in];
    struct fg_node *node = add_node(b, conv->transposed ? FG_DECONV : FG_CONV);
    node->in[0] = conv->in;
    node->stride = conv->transposed ? 2 : conv->stride;
    node->groups = conv->groups;
    node->relu = conv->relu;
    node->residual = conv->residual;
    node->weight = add_param(b, FG_PARAM_CONV, conv->name, ".weight", conv->channels);
    struct fg_param *weight = &net->param[node->weight];
    weight->rank = 4;
    weight->transposed = conv->transposed;
    weight->shape[0] = conv->transposed ? x.c : conv->channels;
    weight->shape[1] = conv->transposed ? conv->channels : x.c / conv->groups;
    weight->shape[2] = weight->shape[3] = conv->kernel;
    if (conv->bias)
        node->bias = add_param(b, FG_PARAM_BIAS, conv->name, ".bias", conv->channels);
    if (conv->bn) {
        node->bn = add_param(b, FG_PARAM_BN_WEIGHT, conv->bn, ".weight", conv->channels);
        add_param(b, FG_PARAM_BN_BIAS, conv->bn, ".bias", conv->channels);
        add_param(b, FG_PARAM_BN_MEAN, conv->bn, ".running_mean", conv->channels);
        add_param(b, FG_PARAM_BN_VAR, conv->bn, ".running_var", conv->channels);
    }
    if (conv->transposed)
        return node->out[0] = add_value(b, x.h * 2, x.w * 2, conv->channels);
    return node->out[0] = add_value(b, (x.h + conv->stride - 1) / conv->stride,
                                    (x.w + conv->stride - 1) / conv->stride, conv->channels);
}

/* One block of a ResNet stage. grow: it is the student's first block of a stage, where the strided
 * convolution is a transposed one. */
static int32_t add_block(struct builder *b, const char *prefix, int32_t x, int32_t planes, int32_t stride,
                         bool grow) {
    const bool bottleneck = b->expansion == 4;
    const int32_t channels = planes * b->expansion, inner = planes * b->width;
    char name[FG_NAME_SIZE], bn[FG_NAME_SIZE];
    int32_t residual = x;
    if (stride != 1 || grow || b->network->value[x].c != channels) {
        make_name(b, name, "%s.downsample.0", prefix);
        make_name(b, bn, "%s.downsample.1", prefix);
        residual = add_conv(b, &(struct conv){.name = name,
                                              .bn = bn,
                                              .in = x,
                                              .channels = channels,
                                              .kernel = grow ? 2 : 1,
                                              .stride = stride,
                                              .groups = 1,
                                              .transposed = grow,
                                              .residual = -1});
    }
    const int32_t last = bottleneck ? 3 : 2, strided = bottleneck ? 2 : 1;
    for (int32_t i = 1; i <= last; i++) {
        make_name(b, name, "%s.conv%d", prefix, i);
        make_name(b, bn, "%s.bn%d", prefix, i);
        const bool transposed = grow && i == strided;
        x = add_conv(b, &(struct conv){.name = name,
                                       .bn = bn,
                                       .in = x,
                                       .channels = i == last ? channels : inner,
                                       .kernel = transposed             ? 2
                                                 : bottleneck && i != 2 ? 1
                                                                        : 3,
                                       .stride = i == strided ? stride : 1,
                                       .groups = 1,
                                       .transposed = transposed,
                                       .relu = true,
                                       .residual = i == last ? residual : -1});
    }
    return x;
}

static int32_t add_stage(struct builder *b, const char *prefix, int32_t x, int32_t planes, int32_t blocks,
                         int32_t stride, bool grow) {
    for (int32_t i = 0; i < blocks; i++) {
        char name[FG_NAME_SIZE];
        make_name(b, name, "%s.%d", prefix, i);
        x = add_block(b, name, x, planes, i ? 1 : stride, grow && i == 0);
    }
    return x;
}

/* network.h, section 2: F_E^1..3 into feature[0..2]. */
static void add_teacher(struct builder *b, const int32_t blocks[4], int32_t base, int32_t feature[3]) {
    b->module = FG_TEACHER;
    int32_t x = add_conv(b, &(struct conv){.name = "teacher.conv1",
                                           .bn = "teacher.bn1",
                                           .in = b->network->input,
                                           .channels = base,
                                           .kernel = 7,
                                           .stride = 2,
                                           .groups = 1,
                                           .relu = true,
                                           .residual = -1});
    struct fg_node *pool = add_node(b, FG_MAX_POOL);
    const struct fg_value v = b->network->value[x];
    pool->in[0] = x;
    x = pool->out[0] = add_value(b, (v.h + 1) / 2, (v.w + 1) / 2, v.c);
    for (int32_t i = 0; i < 3; i++) {
        char name[FG_NAME_SIZE];
        make_name(b, name, "teacher.layer%d", i + 1);
        x = feature[i] = add_stage(b, name, x, base << i, blocks[i], i ? 2 : 1, false);
    }
}

/* network.h, section 3, fusion: brings the used levels to the size of F_E^3 and fuses them. Level 1's two
 * convolutions and level 2's one have branches of their own, because they only wait for their F_E. */
static int32_t add_msff(struct builder *b, uint32_t levels, const int32_t feature[3], int32_t channels) {
    int32_t input[3] = {0}, inputs = 0;
    struct conv conv = {.kernel = 3, .stride = 2, .groups = 1, .relu = true, .residual = -1};
    if (levels & 1) {
        b->branch = 1;
        conv.name = "bottleneck.down1a";
        conv.bn = "bottleneck.bn1a";
        conv.in = feature[0];
        conv.channels = channels / 2;
        conv.in = add_conv(b, &conv);
        conv.name = "bottleneck.down1b";
        conv.bn = "bottleneck.bn1b";
        conv.channels = channels;
        input[inputs++] = add_conv(b, &conv);
    }
    if (levels & 2) {
        b->branch = 2;
        conv.name = "bottleneck.down2";
        conv.bn = "bottleneck.bn2";
        conv.in = feature[1];
        conv.channels = channels;
        input[inputs++] = add_conv(b, &conv);
    }
    if (levels & 4)
        input[inputs++] = feature[2];
    b->branch = 0;
    int32_t x = input[0];
    if (inputs > 1) {
        struct fg_node *concat = add_node(b, FG_CONCAT);
        memcpy(concat->in, input, sizeof input[0] * (size_t)inputs);
        const struct fg_value v = b->network->value[x];
        x = concat->out[0] = add_value(b, v.h, v.w, channels * inputs);
    }
    return add_conv(b, &(struct conv){.name = "bottleneck.fuse",
                                      .bn = "bottleneck.bnf",
                                      .in = x,
                                      .channels = channels,
                                      .kernel = 1,
                                      .stride = 1,
                                      .groups = 1,
                                      .relu = true,
                                      .residual = -1});
}

/* network.h, section 3: SCConv. */
static int32_t add_scconv(struct builder *b, int32_t x) {
    const struct fg_value v = b->network->value[x];
    struct fg_node *sru = add_node(b, FG_SRU);
    sru->in[0] = x;
    sru->weight = add_param(b, FG_PARAM_GN_WEIGHT, "bottleneck.scconv.gn", ".weight", v.c);
    sru->bias = add_param(b, FG_PARAM_GN_BIAS, "bottleneck.scconv.gn", ".bias", v.c);
    const int32_t upper = sru->out[0] = add_value(b, v.h, v.w, v.c / 2);
    const int32_t lower = sru->out[1] = add_value(b, v.h, v.w, v.c / 2);

    struct conv conv = {.kernel = 1, .stride = 1, .groups = 1, .residual = -1};
    conv.name = "bottleneck.scconv.squeeze1";
    conv.in = upper;
    conv.channels = v.c / 4;
    const int32_t u = add_conv(b, &conv);
    conv.name = "bottleneck.scconv.squeeze2";
    conv.in = lower;
    const int32_t l = add_conv(b, &conv);
    conv.name = "bottleneck.scconv.pwc1";
    conv.in = u;
    conv.channels = v.c;
    const int32_t pwc1 = add_conv(b, &conv);
    conv.name = "bottleneck.scconv.pwc2";
    conv.in = l;
    conv.channels = v.c / 4 * 3;
    const int32_t pwc2 = add_conv(b, &conv);
    conv = (struct conv){.name = "bottleneck.scconv.gwc",
                         .in = u,
                         .channels = v.c,
                         .kernel = 3,
                         .stride = 1,
                         .groups = 2,
                         .bias = true,
                         .residual = pwc1};
    const int32_t y1 = add_conv(b, &conv);

    struct fg_node *cru = add_node(b, FG_CRU);
    cru->in[0] = y1;
    cru->in[1] = pwc2;
    cru->in[2] = l;
    return cru->out[0] = add_value(b, v.h, v.w, v.c);
}

static int32_t add_bottleneck(struct builder *b, const int32_t blocks[4], const int32_t feature[3]) {
    const struct fg_network_spec *spec = &b->network->spec;
    const int32_t channels = spec->base * 4 * b->expansion;
    b->module = FG_BOTTLENECK;
    int32_t x = add_msff(b, spec->levels, feature, channels);
    if (spec->scconv)
        x = add_scconv(b, x);
    x = add_conv(b, &(struct conv){.name = "bottleneck.point",
                                   .bn = "bottleneck.bnp",
                                   .in = x,
                                   .channels = channels,
                                   .kernel = 1,
                                   .stride = 1,
                                   .groups = 1,
                                   .relu = true,
                                   .residual = -1});
    if (spec->simam) {
        const struct fg_value v = b->network->value[x];
        struct fg_node *simam = add_node(b, FG_SIMAM);
        simam->in[0] = x;
        x = simam->out[0] = add_value(b, v.h, v.w, v.c);
    }
    return add_stage(b, "bottleneck.oce", x, spec->base * 8, blocks[3], 2, false);
}

/* network.h, section 5: F_G^i from F_D^i. */
static int32_t add_fmm(struct builder *b, uint32_t level, int32_t x) {
    char name[FG_NAME_SIZE];
    const struct fg_value v = b->network->value[x];
    struct conv conv = {.name = name,
                        .in = x,
                        .channels = v.c,
                        .kernel = 1,
                        .stride = 1,
                        .groups = 1,
                        .bias = true,
                        .residual = -1};
    make_name(b, name, "fmm.%u.align", level - 1);
    x = add_conv(b, &conv);
    struct fg_node *mask = add_node(b, FG_MASK);
    mask->in[0] = x;
    mask->level = level;
    conv.in = mask->out[0] = add_value(b, v.h, v.w, v.c);
    make_name(b, name, "fmm.%u.gen1", level - 1);
    conv.kernel = 3;
    conv.relu = true;
    conv.in = add_conv(b, &conv);
    make_name(b, name, "fmm.%u.gen2", level - 1);
    conv.relu = false;
    return add_conv(b, &conv);
}

/* network.h, sections 4 and 5: layer3 has the first number of blocks, layer1 the third. Each level's FMM runs
 * beside the student's next stage. */
static void add_student(struct builder *b, const int32_t blocks[4], int32_t x, int32_t generated[3]) {
    const struct fg_network_spec *spec = &b->network->spec;
    for (uint32_t level = 3; level >= 1; level--) {
        char name[FG_NAME_SIZE];
        make_name(b, name, "student.layer%u", level);
        b->module = FG_STUDENT;
        b->branch = 0;
        x = generated[level - 1] =
            add_stage(b, name, x, spec->base << (level - 1), blocks[3 - level], 1, true);
        if (!spec->fmm || !(spec->levels >> (level - 1) & 1))
            continue;
        b->module = FG_FMM;
        b->branch = level == 1 ? 0 : 4 - level; /* levels 3, 2, 1: branches 1, 2 and the trunk */
        generated[level - 1] = add_fmm(b, level, x);
    }
}

/* Drops nodes that neither a used level nor the scene needs: without level 1 the student's layer1. Their
 * parameters stay, because files carry every name. The scene takes all of the teacher. */
static void drop_unused(struct fg_network *net) {
    bool needed[FG_NETWORK_VALUES] = {false};
    for (uint32_t i = 0; i < net->levels; i++)
        needed[net->student[i]] = true;
    for (int i = 0; i < FG_NETWORK_LEVELS; i++)
        needed[net->feature[i]] = true;
    bool keep[FG_NETWORK_NODES];
    for (uint32_t n = net->nodes; n-- > 0;) {
        const struct fg_node *node = &net->node[n];
        keep[n] = false;
        for (int i = 0; i < FG_MAX_OUT; i++)
            keep[n] = keep[n] || (node->out[i] >= 0 && needed[node->out[i]]);
        if (!keep[n])
            continue;
        for (int i = 0; i < FG_MAX_IN; i++)
            if (node->in[i] >= 0)
                needed[node->in[i]] = true;
        if (node->residual >= 0)
            needed[node->residual] = true;
    }
    uint32_t kept = 0;
    for (uint32_t n = 0; n < net->nodes; n++)
        if (keep[n])
            net->node[kept++] = net->node[n];
    net->nodes = kept;
}

static void list_folds(struct fg_network *net) {
    for (uint32_t n = 0; n < net->nodes; n++) {
        const struct fg_node *node = &net->node[n];
        if (node->bn >= 0)
            net->fold[net->folds++] =
                (struct fg_fold){(uint32_t)node->weight, (uint32_t)node->bn, node->module};
    }
}

static bool is_side(int32_t side) {
    return side >= FG_SIDE_LEAST && side <= FG_SIDE_MOST && side % FG_SIDE_STEP == 0;
}

static enum fg_status check_spec(const struct fg_network_spec *spec, struct fg_message *message) {
    if (spec->backbone < 0 || spec->backbone >= FG_BACKBONES)
        return fg_fail(message, FG_INPUT, "network: backbone %d is unknown", (int)spec->backbone);
    if (!is_side(spec->height) || !is_side(spec->width))
        return fg_fail(message, FG_INPUT,
                       "network: size %dx%d: height and width must be multiples of %d from %d to %d",
                       spec->height, spec->width, FG_SIDE_STEP, FG_SIDE_LEAST, FG_SIDE_MOST);
    if (spec->base < 4 || spec->base > FG_NETWORK_BASE || spec->base % 4)
        return fg_fail(message, FG_INPUT, "network: %d base channels: must be a multiple of 4 from 4 to %d",
                       spec->base, FG_NETWORK_BASE);
    if (spec->levels < 1 || spec->levels > 7)
        return fg_fail(message, FG_INPUT, "network: level set %u: must name one or more of levels 1, 2, 3",
                       spec->levels);
    if (spec->score < 0 || spec->score >= FG_SCORE_FORMS)
        return fg_fail(message, FG_INPUT, "network: form %d of the score is unknown", (int)spec->score);
    return FG_OK;
}

enum fg_status fg_network_init(struct fg_network *network, const struct fg_network_spec *spec,
                               struct fg_message *message) {
    enum fg_status status = check_spec(spec, message);
    if (status != FG_OK)
        return status;
    memset(network, 0, sizeof *network);
    network->spec = *spec;
    struct builder b = {.network = network,
                        .expansion = BACKBONES[spec->backbone].bottleneck ? 4 : 1,
                        .width = BACKBONES[spec->backbone].width,
                        .message = message};
    network->input = add_value(&b, spec->height, spec->width, 3);

    const int32_t *blocks = BACKBONES[spec->backbone].blocks;
    int32_t feature[3], generated[3];
    add_teacher(&b, blocks, spec->base, feature);
    add_student(&b, blocks, add_bottleneck(&b, blocks, feature), generated);
    if (b.status != FG_OK)
        return b.status;
    for (uint32_t i = 0; i < FG_NETWORK_LEVELS; i++) {
        network->feature[i] = feature[i];
        network->descriptors += 2 * (uint32_t)network->value[feature[i]].c;
        if (!(spec->levels >> i & 1))
            continue;
        network->level[network->levels] = i + 1;
        network->teacher[network->levels] = feature[i];
        network->student[network->levels++] = generated[i];
    }
    list_folds(network);
    drop_unused(network);
    return FG_OK;
}

double fg_network_cost(const struct fg_network *network) {
    double sum = 0;
    for (uint32_t i = 0; i < network->nodes; i++) {
        const struct fg_node *node = &network->node[i];
        if (!fg_node_is_convolution(node))
            continue;
        /* Every stored weight meets each position once: of the output, or of a transposed convolution's
         * input. */
        const struct fg_value *at = &network->value[node->op == FG_CONV ? node->out[0] : node->in[0]];
        struct fg_tensor weight = fg_param_tensor(&network->param[node->weight]);
        sum += (double)fg_tensor_count(&weight) * at->h * at->w;
    }
    return sum;
}
