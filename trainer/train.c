#include "trainer/train.h"

#include <assert.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/philox.h"
#include "runtime/bundle.h"
#include "trainer/state.h"

#define LEAST_STEPS 1000 /* before early stopping */
#define FULL_STEPS 1500  /* that a small folder gets however many epochs they are */
#define FULL_EPOCHS 200
#define IMPROVEMENT 0.999f

/* A graph for each batch size that occurs: a full batch and what is left over. */
struct sized {
    struct fg_graph full, rest;
    void *prepared[2]; /* FG_REGION_PREPARED of each */
};

struct fg_trainer {
    struct fg_training training;
    struct fg_pictures pictures;
    struct fg_backend *backend;
    struct fg_weights weights, best;
    struct sized train, validate;
    struct fg_graph adam;
    const struct fg_tensor *schedule[2];
    struct fg_memory memory; /* all regions but PREPARED, each for the largest graph */
    void *adam_io;
    void *frozen, *moments; /* the host's copies, where the device has memory of its own; else the regions */
    uint32_t *order;
    struct fg_progress counters;
    size_t bytes;
};

struct fg_training fg_training_defaults(void) {
    return (struct fg_training){
        .patience = 20, .batch = 16, .learning_rate = 1e-3f, .l2 = 1e-5f, .recipe = {.mask_rate = 0.4f}};
}

/* Pictures in the last batch of count; 0 when there is none, or one of a single picture that is dropped. */
static uint32_t rest_of(uint32_t count, uint32_t batch, bool drop_single) {
    uint32_t rest = count % batch;
    return rest == 1 && drop_single ? 0 : rest;
}

static enum fg_status take(struct fg_trainer *t, enum fg_store store, size_t bytes, const char *what,
                           void **block, struct fg_message *message) {
    *block = NULL;
    if (!bytes)
        return FG_OK;
    enum fg_status status = t->backend->reserve(t->backend, store, fg_size_align(bytes), block, message);
    t->bytes += status == FG_OK ? bytes : 0;
    return status == FG_OK ? status : fg_fail_in(message, status, what);
}

static enum fg_status make_graphs(struct fg_trainer *t, struct fg_message *message) {
    const uint32_t batch = t->training.batch, trains = t->pictures.trains, held_outs = t->pictures.held_outs;
    const uint32_t rest = rest_of(trains, batch, true), held_rest = rest_of(held_outs, batch, false);
    const struct fg_recipe *recipe = &t->training.recipe;
    enum fg_status status = FG_OK;
    if (trains >= batch)
        status = fg_graph_training(&t->train.full, &t->weights, recipe, t->backend, t->pictures.count,
                                   (int32_t)batch, message);
    if (status == FG_OK && rest)
        status = fg_graph_training(&t->train.rest, &t->weights, recipe, t->backend, t->pictures.count,
                                   (int32_t)rest, message);
    if (status == FG_OK && held_outs >= batch)
        status = fg_graph_validation(&t->validate.full, t->weights.network, recipe, t->backend,
                                     t->pictures.count, (int32_t)batch, message);
    if (status == FG_OK && held_rest)
        status = fg_graph_validation(&t->validate.rest, t->weights.network, recipe, t->backend,
                                     t->pictures.count, (int32_t)held_rest, message);
    if (status == FG_OK)
        status = fg_graph_adam(&t->adam, &t->weights, t->backend, t->schedule, message);
    return status;
}

/* The pictures stay in the device's own memory where they fit, else in the host's, which it reads too. */
static enum fg_status take_pictures(struct fg_trainer *t, struct fg_message *message) {
    const struct fg_network_spec *spec = &t->weights.network->spec;
    const size_t bytes = t->pictures.count * (size_t)spec->height * (size_t)spec->width * 3;
    void **region = &t->memory.region[FG_REGION_PICTURES];
    enum fg_status status = take(t, FG_STORE_DEVICE, bytes, "pictures", region, message);
    if (status == FG_ENVIRONMENT)
        status = take(t, FG_STORE_HOST, bytes, "pictures", region, message);
    return status == FG_OK ? t->backend->upload(t->backend, *region, t->pictures.pixels, bytes, message)
                           : status;
}

/* What is the host's own memory where the device has none, and else is kept on both. */
static enum fg_status take_host(struct fg_trainer *t, size_t frozen, struct fg_message *message) {
    if (t->backend->device.host_memory) {
        t->frozen = t->memory.region[FG_REGION_FROZEN];
        t->moments = t->memory.region[FG_REGION_MOMENTS];
        t->memory.region[FG_REGION_TRAINED] = t->weights.block;
        t->memory.region[FG_REGION_PICTURES] = (void *)(uintptr_t)t->pictures.pixels;
        return FG_OK;
    }
    t->frozen = calloc(1, frozen);
    t->moments = calloc(2, t->weights.trained);
    if (!t->frozen || !t->moments)
        return fg_fail(message, FG_ENVIRONMENT, "training: no memory for the host's copy of the weights");
    enum fg_status status =
        take(t, FG_STORE_DEVICE, t->weights.moving, "weights", &t->memory.region[FG_REGION_TRAINED], message);
    return status == FG_OK ? take_pictures(t, message) : status;
}

static enum fg_status take_memory(struct fg_trainer *t, struct fg_message *message) {
    const struct fg_graph *graphs[] = {&t->train.full, &t->train.rest, &t->validate.full, &t->validate.rest};
    void **prepared[] = {&t->train.prepared[0], &t->train.prepared[1], &t->validate.prepared[0],
                         &t->validate.prepared[1]};
    size_t largest[FG_REGIONS] = {0};
    enum fg_status status = FG_OK;
    for (int i = 0; i < 4 && status == FG_OK; i++) {
        if (!graphs[i]->program)
            continue;
        for (int r = 0; r < FG_REGIONS; r++)
            if (graphs[i]->program->bytes[r] > largest[r])
                largest[r] = graphs[i]->program->bytes[r];
        status = take(t, FG_STORE_DEVICE, graphs[i]->program->bytes[FG_REGION_PREPARED], "prepared weights",
                      prepared[i], message);
    }
    const struct {
        enum fg_region region;
        enum fg_store store;
        size_t bytes;
        const char *what;
    } regions[] = {{FG_REGION_FROZEN, FG_STORE_DEVICE, largest[FG_REGION_FROZEN], "folded weights"},
                   {FG_REGION_ACTIVATIONS, FG_STORE_DEVICE, largest[FG_REGION_ACTIVATIONS], "activations"},
                   {FG_REGION_WORKSPACE, FG_STORE_DEVICE, largest[FG_REGION_WORKSPACE], "workspace"},
                   {FG_REGION_IO, FG_STORE_HOST, largest[FG_REGION_IO], "draws and losses"},
                   {FG_REGION_GRADIENTS, FG_STORE_DEVICE, t->weights.trained, "gradients"},
                   {FG_REGION_MOMENTS, FG_STORE_DEVICE, 2 * t->weights.trained, "moments"}};
    for (size_t i = 0; i < sizeof regions / sizeof *regions && status == FG_OK; i++)
        status = take(t, regions[i].store, regions[i].bytes, regions[i].what,
                      &t->memory.region[regions[i].region], message);
    if (status == FG_OK)
        status =
            take(t, FG_STORE_HOST, t->adam.program->bytes[FG_REGION_IO], "schedule", &t->adam_io, message);
    t->bytes += t->weights.bytes + t->weights.moving;
    return status == FG_OK ? take_host(t, largest[FG_REGION_FROZEN], message) : status;
}

static struct fg_memory memory_of(const struct fg_trainer *t, void *prepared) {
    struct fg_memory memory = t->memory;
    memory.region[FG_REGION_PREPARED] = prepared;
    return memory;
}

static struct fg_memory adam_memory(const struct fg_trainer *t) {
    struct fg_memory memory = t->memory;
    memory.region[FG_REGION_IO] = t->adam_io;
    return memory;
}

/* The teacher is folded and prepared once. All graphs lay the frozen parameters out alike. */
static enum fg_status prepare(struct fg_trainer *t, struct sized *sized, struct fg_message *message) {
    const struct fg_graph *graph[] = {&sized->full, &sized->rest};
    for (int i = 0; i < 2; i++) {
        if (!graph[i]->program)
            continue;
        struct fg_memory memory = memory_of(t, sized->prepared[i]);
        enum fg_status status = t->backend->prepare(t->backend, graph[i]->program, &memory, message);
        if (status != FG_OK)
            return status;
    }
    return FG_OK;
}

static const struct fg_graph *any(const struct sized *sized) {
    return sized->full.program ? &sized->full : &sized->rest;
}

/* Between the host's copy and the device's; nothing where they are the same. */
static enum fg_status push(const struct fg_trainer *t, enum fg_region region, const void *host, size_t bytes,
                           struct fg_message *message) {
    void *device = t->memory.region[region];
    return device == host ? FG_OK : t->backend->upload(t->backend, device, host, bytes, message);
}

static enum fg_status pull(const struct fg_trainer *t, enum fg_region region, void *host, size_t bytes,
                           struct fg_message *message) {
    const void *device = t->memory.region[region];
    return device == host ? FG_OK : t->backend->download(t->backend, host, device, bytes, message);
}

static enum fg_status fold(struct fg_trainer *t, int part, struct fg_message *message) {
    const struct fg_graph *graph = any(&t->validate);
    fg_weights_fold(&t->weights, graph->frozen, part, t->frozen);
    return push(t, FG_REGION_FROZEN, t->frozen, graph->program->bytes[FG_REGION_FROZEN], message);
}

static uint32_t epochs_for(const struct fg_trainer *t) {
    if (t->training.epochs)
        return t->training.epochs;
    const uint32_t batch = t->training.batch, trains = t->pictures.trains;
    const uint32_t steps = trains / batch + (rest_of(trains, batch, true) ? 1 : 0);
    const uint32_t needed = (FULL_STEPS + steps - 1) / steps;
    return needed > FULL_EPOCHS ? needed : FULL_EPOCHS;
}

enum fg_status fg_trainer_open(const struct fg_training *training, struct fg_weights *weights,
                               const struct fg_pictures *pictures, struct fg_backend *backend,
                               struct fg_trainer **trainer, struct fg_message *message) {
    assert(training->batch >= 2 && training->batch <= FG_MAX_BATCH && pictures->trains >= 2 &&
           pictures->held_outs);
    struct fg_trainer *t = calloc(1, sizeof *t);
    if (!t)
        return fg_fail(message, FG_ENVIRONMENT, "training: no memory");
    t->training = *training;
    t->pictures = *pictures;
    t->backend = backend;
    t->weights = *weights;
    weights->block = NULL;
    enum fg_status status = fg_weights_open(&t->best, t->weights.network, message);
    if (status == FG_OK)
        status = make_graphs(t, message);
    if (status == FG_OK)
        status = take_memory(t, message);
    if (status == FG_OK) {
        memcpy(t->best.block, t->weights.block, t->weights.bytes);
        status = push(t, FG_REGION_TRAINED, t->weights.block, t->weights.moving, message);
    }
    if (status == FG_OK)
        status = fold(t, FG_TEACHER, message);
    if (status == FG_OK)
        status = prepare(t, &t->train, message);
    if (status == FG_OK) {
        const struct fg_memory memory = adam_memory(t);
        status = backend->prepare(backend, t->adam.program, &memory, message);
    }
    t->order = calloc(pictures->trains, sizeof *t->order);
    if (status == FG_OK && !t->order)
        status = fg_fail(message, FG_ENVIRONMENT, "training: no memory");
    if (status != FG_OK) {
        fg_trainer_close(t);
        return status;
    }
    t->counters = (struct fg_progress){
        .loss = INFINITY, .best_loss = INFINITY, .reference_loss = INFINITY, .limit = epochs_for(t)};
    *trainer = t;
    return FG_OK;
}

void fg_trainer_close(struct fg_trainer *trainer) {
    if (!trainer)
        return;
    struct fg_backend *backend = trainer->backend;
    struct fg_graph *graphs[] = {&trainer->train.full, &trainer->train.rest, &trainer->validate.full,
                                 &trainer->validate.rest, &trainer->adam};
    for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++) {
        if (graphs[i]->program)
            backend->forget(backend, graphs[i]->program);
        fg_graph_close(graphs[i]);
    }
    void **region = trainer->memory.region;
    if (backend->device.host_memory) {
        region[FG_REGION_TRAINED] = region[FG_REGION_PICTURES] = NULL; /* not taken here */
    } else {
        free(trainer->frozen);
        free(trainer->moments);
    }
    void *blocks[] = {trainer->train.prepared[0], trainer->train.prepared[1], trainer->validate.prepared[0],
                      trainer->validate.prepared[1], trainer->adam_io};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (blocks[i])
            backend->release(backend, blocks[i]);
    for (int r = 0; r < FG_REGIONS; r++)
        if (region[r])
            backend->release(backend, region[r]);
    fg_weights_close(&trainer->weights);
    fg_weights_close(&trainer->best);
    free(trainer->order);
    free(trainer);
}

/* Fisher-Yates from the epoch's own draws. */
static void draw_order(struct fg_trainer *t) {
    const uint32_t count = t->pictures.trains;
    for (uint32_t i = 0; i < count; i++)
        t->order[i] = i;
    for (uint32_t i = count - 1; i > 0; i--) {
        struct fg_philox r =
            fg_philox(t->training.seed, i, (uint32_t)FG_DRAW_ORDER << 16, 0, t->counters.epoch);
        uint32_t k = (uint32_t)((uint64_t)r.word[0] * (i + 1) >> 32), swap = t->order[i];
        t->order[i] = t->order[k];
        t->order[k] = swap;
    }
}

/* The pictures of the next batch. */
static void draw_batch(const struct fg_trainer *t, const struct fg_graph *graph, const uint32_t *index) {
    struct fg_draw *draw = fg_tensor_data(graph->draw, &t->memory);
    draw->seed = t->training.seed;
    draw->epoch = t->counters.epoch;
    memcpy(draw->image, index, (size_t)graph->batch * sizeof *index);
}

static enum fg_status train_step(struct fg_trainer *t, const struct fg_graph *graph, void *prepared,
                                 const uint32_t *index, struct fg_message *message) {
    draw_batch(t, graph, index);
    struct fg_memory memory = memory_of(t, prepared);
    enum fg_status status = fg_backend_run(t->backend, graph->program, &memory, message);
    if (status != FG_OK)
        return status;
    t->counters.step++;
    memory = adam_memory(t);
    for (int i = 0; i < 2; i++) {
        float *schedule = fg_tensor_data(t->schedule[i], &memory);
        schedule[0] = t->training.learning_rate;
        schedule[1] = (float)(1 / (1 - pow(0.9, (double)t->counters.step)));
        schedule[2] = (float)(1 / (1 - pow(0.999, (double)t->counters.step)));
        schedule[3] = i ? 0 : t->training.l2;
    }
    return fg_backend_run(t->backend, t->adam.program, &memory, message);
}

static enum fg_status validate(struct fg_trainer *t, float *loss, struct fg_message *message) {
    enum fg_status status = pull(t, FG_REGION_TRAINED, t->weights.block, t->weights.moving, message);
    if (status == FG_OK)
        status = fold(t, -1, message);
    if (status == FG_OK)
        status = prepare(t, &t->validate, message);
    double sum = 0;
    const uint32_t count = t->pictures.held_outs;
    for (uint32_t at = 0; at < count && status == FG_OK;) {
        const bool full = count - at >= t->training.batch;
        const struct fg_graph *graph = full ? &t->validate.full : &t->validate.rest;
        struct fg_memory memory = memory_of(t, t->validate.prepared[!full]);
        draw_batch(t, graph, t->pictures.held_out + at);
        status = fg_backend_run(t->backend, graph->program, &memory, message);
        for (uint32_t l = 0; l < t->weights.network->levels && status == FG_OK; l++) {
            const float *losses = fg_tensor_data(graph->loss[l], &memory);
            for (int32_t i = 0; i < graph->batch; i++)
                sum += losses[i];
        }
        at += (uint32_t)graph->batch;
    }
    *loss = (float)(sum / count);
    return status;
}

static void judge_epoch(struct fg_trainer *t, float loss) {
    struct fg_progress *c = &t->counters;
    c->loss = loss;
    if (loss < c->best_loss) {
        c->best_loss = loss;
        c->best_epoch = c->epoch;
        memcpy(t->best.block, t->weights.block, t->weights.moving);
    }
    if (loss < c->reference_loss * IMPROVEMENT) {
        c->reference_loss = loss;
        c->stale = 0;
    } else {
        c->stale++;
    }
    c->finished = c->epoch >= c->limit || (c->stale >= t->training.patience && c->step >= LEAST_STEPS);
}

enum fg_status fg_trainer_epoch(struct fg_trainer *trainer, fg_step_function *step, void *argument,
                                struct fg_message *message) {
    struct fg_trainer *t = trainer;
    const uint32_t count = t->pictures.trains, batch = t->training.batch;
    assert(!t->counters.finished);
    draw_order(t);
    for (uint32_t at = 0; at < count;) {
        const bool full = count - at >= batch;
        const struct fg_graph *graph = full ? &t->train.full : &t->train.rest;
        if (!graph->program) /* a single picture is left: dropped */
            break;
        uint32_t index[FG_MAX_BATCH];
        for (int32_t i = 0; i < graph->batch; i++)
            index[i] = t->pictures.train[t->order[at + (uint32_t)i]];
        enum fg_status status = train_step(t, graph, t->train.prepared[!full], index, message);
        if (status != FG_OK)
            return status;
        at += (uint32_t)graph->batch;
        step(argument, at);
    }
    t->counters.epoch++;
    float loss;
    enum fg_status status = validate(t, &loss, message);
    if (status != FG_OK)
        return status;
    if (!isfinite(loss))
        return fg_fail(message, FG_INPUT,
                       "training: the held-out loss of epoch %u is not finite; start anew with a lower --lr, "
                       "or look at the pictures",
                       t->counters.epoch);
    judge_epoch(t, loss);
    return FG_OK;
}

const struct fg_progress *fg_trainer_counters(const struct fg_trainer *trainer) {
    return &trainer->counters;
}

size_t fg_trainer_memory(const struct fg_trainer *trainer) {
    return trainer->bytes;
}

const struct fg_weights *fg_trainer_best(const struct fg_trainer *trainer) {
    return &trainer->best;
}

static struct fg_state state_of(const struct fg_trainer *t, const uint8_t *data_hash) {
    const struct fg_network_spec *spec = &t->weights.network->spec;
    const struct fg_training *training = &t->training;
    const struct fg_progress *c = &t->counters;
    struct fg_state s = {.seed = training->seed,
                         .step = c->step,
                         .backbone = (uint32_t)spec->backbone,
                         .height = (uint32_t)spec->height,
                         .width = (uint32_t)spec->width,
                         .base = (uint32_t)spec->base,
                         .levels = spec->levels,
                         .epochs = training->epochs,
                         .patience = training->patience,
                         .batch = training->batch,
                         .limit = c->limit,
                         .learning_rate = training->learning_rate,
                         .l2 = training->l2,
                         .mask_rate = training->recipe.mask_rate,
                         .loss = c->loss,
                         .best_loss = c->best_loss,
                         .reference_loss = c->reference_loss,
                         .epoch = c->epoch,
                         .best_epoch = c->best_epoch,
                         .stale = c->stale};
    s.switches = (spec->scconv ? FG_STATE_SCCONV : 0u) | (spec->simam ? FG_STATE_SIMAM : 0u) |
                 (spec->fmm ? FG_STATE_FMM : 0u) | (spec->soft_gate ? FG_STATE_SOFT_GATE : 0u) |
                 (training->recipe.global_loss ? FG_STATE_GLOBAL_LOSS : 0u) |
                 (c->finished ? FG_STATE_FINISHED : 0u);
    memcpy(s.data_hash, data_hash, sizeof s.data_hash);
    return s;
}

static struct fg_state_parts parts_of(const struct fg_trainer *t) {
    return (struct fg_state_parts){.weights = &t->weights, .best = t->best.block, .moments = t->moments};
}

enum fg_status fg_trainer_save(const struct fg_trainer *trainer, const char *path, const uint8_t *data_hash,
                               struct fg_message *message) {
    const struct fg_state state = state_of(trainer, data_hash);
    const struct fg_state_parts parts = parts_of(trainer);
    enum fg_status status =
        pull(trainer, FG_REGION_MOMENTS, trainer->moments, 2 * trainer->weights.trained, message);
    return status == FG_OK ? fg_state_write(path, &state, &parts, message) : status;
}

/* What of a stored state does not agree with this run, or NULL. The limit of epochs may be raised. */
static const char *difference(const struct fg_state *stored, const struct fg_state *own) {
    if (memcmp(stored->data_hash, own->data_hash, sizeof own->data_hash))
        return "the pictures";
    if (stored->backbone != own->backbone || stored->base != own->base)
        return "--backbone";
    if (stored->height != own->height || stored->width != own->width)
        return "--size";
    if (stored->levels != own->levels)
        return "--levels";
    if ((stored->switches ^ own->switches) & ~(uint32_t)FG_STATE_FINISHED)
        return "--without, --gate or --loss";
    if (stored->seed != own->seed)
        return "--seed";
    if (stored->batch != own->batch)
        return "--batch";
    if (stored->learning_rate != own->learning_rate)
        return "--lr";
    if (stored->l2 != own->l2)
        return "--l2";
    if (stored->mask_rate != own->mask_rate)
        return "--mask-rate";
    return NULL;
}

/* The teacher lies behind what moves. */
static void hash_teacher(const struct fg_trainer *t, uint8_t hash[FG_HASH_SIZE]) {
    crypto_generichash(hash, FG_HASH_SIZE, (const unsigned char *)t->weights.block + t->weights.moving,
                       t->weights.bytes - t->weights.moving, NULL, 0);
}

enum fg_status fg_trainer_resume(struct fg_trainer *trainer, const char *path, const uint8_t *data_hash,
                                 struct fg_message *message) {
    struct fg_trainer *t = trainer;
    struct fg_state stored, own = state_of(t, data_hash);
    enum fg_status status = fg_state_peek(path, &stored, message);
    if (status != FG_OK)
        return status;
    const char *differs = difference(&stored, &own);
    if (differs)
        return fg_fail(
            message, FG_INPUT,
            "%.300s: was trained with another value of %s; give the same one, or leave --resume out", path,
            differs);
    uint8_t given[FG_HASH_SIZE], kept[FG_HASH_SIZE];
    hash_teacher(t, given);
    const struct fg_state_parts parts = parts_of(t);
    status = fg_state_read(path, &stored, &parts, message);
    if (status != FG_OK)
        return status;
    hash_teacher(t, kept);
    if (memcmp(given, kept, sizeof kept))
        return fg_fail(message, FG_INPUT,
                       "%.300s: was trained with another --teacher; give the same one, or leave --resume out",
                       path);
    memcpy(t->best.block + t->best.moving, t->weights.block + t->weights.moving,
           t->weights.bytes - t->weights.moving);
    const uint32_t limit = t->counters.limit;
    t->counters = (struct fg_progress){.epoch = stored.epoch,
                                       .step = stored.step,
                                       .loss = stored.loss,
                                       .best_loss = stored.best_loss,
                                       .best_epoch = stored.best_epoch,
                                       .reference_loss = stored.reference_loss,
                                       .stale = stored.stale,
                                       .limit = limit};
    t->counters.finished =
        stored.epoch >= limit || (stored.stale >= t->training.patience && stored.step >= LEAST_STEPS);
    status = push(t, FG_REGION_TRAINED, t->weights.block, t->weights.moving, message);
    if (status == FG_OK)
        status = push(t, FG_REGION_MOMENTS, t->moments, 2 * t->weights.trained, message);
    if (status == FG_OK)
        status = fold(t, FG_TEACHER, message);
    return status == FG_OK ? prepare(t, &t->train, message) : status;
}
