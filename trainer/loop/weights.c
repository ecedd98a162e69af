/* Lays out a network's weights for training, draws them, and folds batch norms into convolutions. */
#include "trainer/loop/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/philox.h"

/* Finds the section of the block that a parameter is in. */
static int find_section(const struct fg_param *param) {
    if (param->module == FG_TEACHER)
        return 3;
    if (param->kind == FG_PARAM_CONV)
        return 0;
    return param->kind == FG_PARAM_BN_MEAN || param->kind == FG_PARAM_BN_VAR ? 2 : 1;
}

enum fg_status fg_weights_open(struct fg_weights *weights, const struct fg_network *network,
                               struct fg_message *message) {
    memset(weights, 0, sizeof *weights);
    weights->network = network;
    size_t *const ends[] = {&weights->decayed, &weights->trained, &weights->moving, &weights->bytes};
    size_t offset = 0;
    for (int s = 0; s < 4; s++) {
        for (uint32_t i = 0; i < network->params; i++) {
            if (find_section(&network->param[i]) != s)
                continue;
            struct fg_tensor *t = &weights->param[i];
            *t = fg_param_tensor(&network->param[i]);
            t->segment = FG_SEGMENT_TRAINED;
            t->offset = offset;
            offset += fg_size_align(fg_tensor_bytes(t));
        }
        *ends[s] = offset;
    }
    weights->block = aligned_alloc(FG_ALIGNMENT, weights->bytes);
    if (!weights->block)
        return fg_fail(message, FG_ENVIRONMENT, "training: no memory for %zu MiB of weights",
                       weights->bytes >> 20);
    memset(weights->block, 0, weights->bytes);
    return FG_OK;
}

void fg_weights_close(struct fg_weights *weights) {
    free(weights->block);
    weights->block = NULL;
}

float *fg_weights_values(const struct fg_weights *weights, uint32_t param) {
    return (float *)(void *)(weights->block + weights->param[param].offset);
}

static void fill_values(float *values, size_t count, float value) {
    for (size_t i = 0; i < count; i++)
        values[i] = value;
}

/* Draws normal values: Box-Muller on one Philox block gives two of them. */
static void draw_normal(float *values, size_t count, uint64_t seed, uint32_t param, double deviation) {
    for (size_t i = 0; i < count; i += 2) {
        struct fg_philox r = fg_philox(seed, (uint32_t)(i / 2), (uint32_t)FG_DRAW_INIT << 16 | param, 0, 0);
        double radius = sqrt(-2 * log(1 - (double)r.word[0] * 0x1p-32));
        double angle = 2 * 3.14159265358979323846 * ((double)r.word[1] * 0x1p-32);
        values[i] = (float)(deviation * radius * cos(angle));
        if (i + 1 < count)
            values[i + 1] = (float)(deviation * radius * sin(angle));
    }
}

void fg_weights_draw(struct fg_weights *weights, uint64_t seed, bool teacher) {
    const struct fg_network *network = weights->network;
    for (uint32_t i = 0; i < network->params; i++) {
        const struct fg_param *param = &network->param[i];
        if (param->module == FG_TEACHER && !teacher)
            continue;
        float *values = fg_weights_values(weights, i);
        const size_t count = fg_tensor_count(&weights->param[i]);
        switch (param->kind) {
        case FG_PARAM_CONV:
            draw_normal(values, count, seed, i,
                        sqrt(2.0 / ((double)param->shape[0] * param->shape[2] * param->shape[3])));
            break;
        case FG_PARAM_BN_WEIGHT:
        case FG_PARAM_BN_VAR:
        case FG_PARAM_GN_WEIGHT:
            fill_values(values, count, 1);
            break;
        case FG_PARAM_BIAS:
        case FG_PARAM_BN_BIAS:
        case FG_PARAM_BN_MEAN:
        case FG_PARAM_GN_BIAS:
            fill_values(values, count, 0);
            break;
        }
    }
}

/* w' = w gamma / sqrt(var + eps), b' = beta - mean gamma / sqrt(var + eps), for each output channel: the
 * first dimension of a convolution's weight, the last of a transposed one's. */
static void fold_conv(const struct fg_weights *weights, const struct fg_fold *fold,
                      const struct fg_tensor *const *frozen, const struct fg_memory *memory) {
    const uint32_t w = fold->weight, bn = fold->bn;
    const struct fg_tensor *t = &weights->param[w];
    const float *weight = fg_weights_values(weights, w), *gamma = fg_weights_values(weights, bn),
                *beta = fg_weights_values(weights, bn + 1), *mean = fg_weights_values(weights, bn + 2),
                *var = fg_weights_values(weights, bn + 3);
    float *folded = frozen[w]->dtype == FG_F32 ? fg_tensor_data(frozen[w], memory) : NULL,
          *bias = fg_tensor_data(frozen[bn + 1], memory);
    const bool transposed = weights->network->param[w].transposed;
    const size_t count = fg_tensor_count(t), channels = (size_t)(transposed ? t->c : t->n),
                 row = count / (size_t)t->n;
    for (size_t k = 0; k < channels; k++) {
        const double scale = gamma[k] / sqrt(var[k] + FG_EPSILON);
        bias[k] = (float)(beta[k] - mean[k] * scale);
        const size_t first = transposed ? k : k * row, step = transposed ? channels : 1;
        for (size_t i = 0; folded && i < count / channels; i++)
            folded[first + i * step] = (float)(weight[first + i * step] * scale);
    }
}

void fg_weights_fold(const struct fg_weights *weights, const struct fg_tensor *const *frozen, int module,
                     void *segment) {
    const struct fg_network *network = weights->network;
    struct fg_memory memory = {.segment = {[FG_SEGMENT_FROZEN] = segment}};
    for (uint32_t i = 0; i < network->params; i++)
        if (frozen[i] && frozen[i]->dtype == FG_F32 &&
            (module < 0 || network->param[i].module == (enum fg_module)module))
            memcpy(fg_tensor_data(frozen[i], &memory), fg_weights_values(weights, i),
                   fg_tensor_bytes(frozen[i]));
    for (uint32_t i = 0; i < network->folds; i++)
        if (frozen[network->fold[i].weight] &&
            (module < 0 || network->fold[i].module == (enum fg_module)module))
            fold_conv(weights, &network->fold[i], frozen, &memory);
}
