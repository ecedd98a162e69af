/* flawgate-teach OUT.safetensors [STEPS]: trains the demo's teacher, for developers.
 *
 * The backbone of ResNet-18 up to layer3, with a head that classifies procedural textures at every
 * position: a 1x1 convolution to one channel a class, whose cosine distance to the class's unit vector is
 * the loss. Everything is the trainer's own: network description, graph, operators, Adam. What is written
 * is a teacher file with torchvision's names, in float16. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/philox.h"
#include "runtime/base/progress.h"
#include "runtime/base/usage.h"
#include "runtime/engine/device.h"
#include "runtime/weights/safetensors.h"
#include "tools/demo/picture_texture.h"
#include "trainer/loop/graph.h"

#define SIDE 128
#define BATCH 32
#define SEED 1
#define RATE 2e-3

struct teach {
    struct fg_backend *backend;
    struct fg_network network;
    struct fg_weights weights;
    struct fg_graph graph, adam;
    const struct fg_tensor *schedule;
    struct fg_memory memory;
    void *adam_io;
    uint8_t *pixels; /* pictures of the next batch, made while the last one trains */
    uint32_t classes[BATCH];
    uint32_t step, steps;
    struct fg_message message;
};

static const struct fg_usage USAGE = {
    .name = "flawgate-teach",
    .takes = "OUT.safetensors [STEPS]",
    .least = 1,
    .most = 2,
    .about = "Trains the demo's teacher to tell procedural textures apart, in STEPS steps (1500), and writes "
             "it.\n",
};
static const struct fg_option STEPS = {"STEPS", FG_OPTION_NUMBER, offsetof(struct teach, steps), "1500", 1,
                                       1e6,     .value = "N"};

/* Makes a network of the teacher's nodes, now to be trained, and the head. */
static enum fg_status make_network(struct fg_network *net, struct fg_message *message) {
    const struct fg_network_spec spec = {
        .backbone = FG_RESNET18, .height = SIDE, .width = SIDE, .base = FG_NETWORK_BASE, .levels = 4};
    enum fg_status status = fg_network_init(net, &spec, message);
    if (status != FG_OK)
        return status;
    const int32_t feature = net->teacher[0], classes = (int32_t)fg_picture_classes();
    uint32_t kept = 0;
    for (uint32_t n = 0; n < net->nodes; n++)
        if (net->node[n].module == FG_TEACHER) {
            net->node[kept] = net->node[n];
            net->node[kept++].module = FG_STUDENT;
        }
    uint32_t params = 0;
    while (net->param[params].module == FG_TEACHER)
        net->param[params++].module = FG_STUDENT;
    const struct fg_value v = net->value[feature];
    net->param[params] = (struct fg_param){.name = "head.weight",
                                           .kind = FG_PARAM_CONV,
                                           .module = FG_STUDENT,
                                           .rank = 4,
                                           .shape = {classes, v.c, 1, 1}};
    const int32_t out = (int32_t)net->values++, target = (int32_t)net->values++;
    net->value[out] = net->value[target] = (struct fg_value){v.h, v.w, classes};
    net->node[kept++] = (struct fg_node){.op = FG_CONV,
                                         .in = {feature, -1, -1},
                                         .out = {out, -1},
                                         .residual = -1,
                                         .weight = (int32_t)params,
                                         .bias = -1,
                                         .bn = -1,
                                         .stride = 1,
                                         .groups = 1,
                                         .module = FG_STUDENT};
    net->params = params + 1;
    net->nodes = kept;
    net->teacher[0] = target;
    net->student[0] = out;
    return FG_OK;
}

static enum fg_status prepare_training(struct teach *t) {
    struct fg_message *message = &t->message;
    struct fg_message said;
    enum fg_status status = make_network(&t->network, message);
    if (status == FG_OK)
        status =
            fg_device_open(&(struct fg_device_choice){.device = FG_COMPUTE_CPU}, &t->backend, &said, message);
    if (status == FG_OK)
        status = fg_weights_open(&t->weights, &t->network, message);
    if (status != FG_OK)
        return status;
    fg_weights_draw(&t->weights, SEED, true);
    const struct fg_recipe recipe = {.mask_rate = 0};
    status = fg_graph_training(&t->graph, &t->weights, &recipe, t->backend, NULL, BATCH, BATCH, message);
    if (status == FG_OK)
        status = fg_graph_adam(&t->adam, &t->weights, t->backend, &t->schedule, message);
    if (status != FG_OK)
        return status;
    size_t bytes[FG_SEGMENTS];
    memcpy(bytes, t->graph.program->bytes, sizeof bytes);
    bytes[FG_SEGMENT_TRAINED] = bytes[FG_SEGMENT_FRAME] = 0;
    bytes[FG_SEGMENT_GRADIENTS] = t->weights.trained;
    bytes[FG_SEGMENT_MOMENTS] = 2 * t->weights.trained;
    for (int s = 0; s < FG_SEGMENTS && status == FG_OK; s++)
        if (bytes[s])
            status = t->backend->reserve(t->backend, FG_STORE_HOST, fg_size_align(bytes[s]),
                                         &t->memory.segment[s], message);
    if (status == FG_OK)
        status = t->backend->reserve(t->backend, FG_STORE_HOST, t->adam.program->bytes[FG_SEGMENT_IO],
                                     &t->adam_io, message);
    t->memory.segment[FG_SEGMENT_TRAINED] = t->weights.block;
    t->pixels = malloc((size_t)BATCH * SIDE * SIDE * 3);
    if (status == FG_OK && !t->pixels)
        status = fg_fail(message, FG_ENVIRONMENT, "no memory for pictures");
    return status;
}

/* Draws the classes of the next batch and makes its pictures. */
static void *make_batch(void *argument) {
    struct teach *t = argument;
    for (uint32_t i = 0; i < BATCH; i++) {
        const uint32_t index = t->step * BATCH + i;
        const struct fg_philox r = fg_philox(SEED, index, (uint32_t)FG_DRAW_ORDER << 16, 0, 0);
        t->classes[i] = (uint32_t)((uint64_t)r.word[0] * fg_picture_classes() >> 32);
        if (fg_picture_texture(SEED, t->classes[i], index, SIDE, t->pixels + (size_t)i * SIDE * SIDE * 3,
                               &t->message) != FG_OK)
            return t;
    }
    return NULL;
}

/* Hands the batch to the graph: its pictures, and the class's unit vector at every position. */
static void put_batch(const struct teach *t) {
    memcpy(fg_tensor_data(t->graph.pictures, &t->memory), t->pixels, fg_tensor_bytes(t->graph.pictures));
    struct fg_draw *draw = fg_tensor_data(t->graph.draw, &t->memory);
    for (uint32_t i = 0; i < BATCH; i++)
        draw->image[i] = i;
    const struct fg_tensor *target = t->graph.target[0];
    float *values = fg_tensor_data(target, &t->memory);
    memset(values, 0, fg_tensor_bytes(target));
    const size_t positions = (size_t)target->h * (size_t)target->w, classes = (size_t)target->c;
    for (uint32_t i = 0; i < BATCH; i++)
        for (size_t p = 0; p < positions; p++)
            values[(i * positions + p) * classes + t->classes[i]] = 1;
}

static enum fg_status train_step(struct teach *t, double *loss) {
    enum fg_status status = fg_backend_run(t->backend, t->graph.program, &t->memory, &t->message);
    if (status != FG_OK)
        return status;
    const float *losses = fg_tensor_data(t->graph.loss[0], &t->memory);
    *loss = 0;
    for (int i = 0; i < BATCH; i++)
        *loss += losses[i] / BATCH;
    struct fg_memory memory = t->memory;
    memory.segment[FG_SEGMENT_IO] = t->adam_io;
    float *schedule = fg_tensor_data(t->schedule, &memory);
    /* The rate falls to nothing along half a cosine. */
    schedule[0] = (float)(RATE * 0.5 * (1 + cos(3.14159265358979 * (t->step - 1) / t->steps)));
    schedule[1] = (float)(1 / (1 - pow(0.9, t->step)));
    schedule[2] = (float)(1 / (1 - pow(0.999, t->step)));
    schedule[3] = 1e-5f;
    return fg_backend_run(t->backend, t->adam.program, &memory, &t->message);
}

static enum fg_status train_teacher(struct teach *t) {
    double mean = 0;
    struct fg_progress progress;
    fg_progress_begin(&progress, "", false);
    if (make_batch(t))
        return FG_ENVIRONMENT;
    while (t->step < t->steps) {
        put_batch(t);
        t->step++;
        pthread_t maker;
        const bool apart = !pthread_create(&maker, NULL, make_batch, t);
        double loss = 0;
        enum fg_status status = train_step(t, &loss);
        void *failed = NULL;
        if (apart)
            pthread_join(maker, &failed);
        else
            failed = make_batch(t);
        if (status != FG_OK || failed)
            return status != FG_OK ? status : FG_ENVIRONMENT;
        mean = t->step == 1 ? loss : 0.98 * mean + 0.02 * loss;
        fg_progress_say(&progress, (double)t->step / t->steps, "step %u of %u, loss %.4f", t->step, t->steps,
                        mean);
    }
    fg_progress_clear(&progress);
    return FG_OK;
}

/* Writes the teacher without the head, under torchvision's names. */
static enum fg_status write_teacher(struct teach *t, const char *path) {
    const float *values[FG_NETWORK_PARAMS] = {NULL};
    for (uint32_t i = 0; i < t->network.params; i++)
        values[i] = fg_weights_values(&t->weights, i);
    return fg_safetensors_write_teacher(path, &t->network, values, &t->message);
}

int main(int argc, char **argv) {
    struct fg_message message;
    bool over;
    struct teach *t = calloc(1, sizeof *t);
    if (!t)
        return fg_usage_fail(&USAGE, FG_ENVIRONMENT, &(struct fg_message){"no memory"});
    enum fg_status status = fg_usage_read(&USAGE, &argc, argv, t, &over, &t->message);
    if (status == FG_OK && !over) {
        status = fg_option_put(&STEPS, t, argc > 2 ? argv[2] : STEPS.fallback, &t->message);
        if (status != FG_OK)
            fg_say_in(&t->message, STEPS.name);
        if (status == FG_OK)
            status = prepare_training(t);
        if (status == FG_OK)
            status = train_teacher(t);
        if (status == FG_OK)
            status = write_teacher(t, argv[1]);
    }
    message = t->message;
    free(t);
    return status == FG_OK ? 0 : fg_usage_fail(&USAGE, status, &message);
}
