/* Runs the epochs: order, batches, gradients of every device, Adam, validation, and the best epoch. */
#include "trainer/loop/train.h"

#include <assert.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/philox.h"
#include "trainer/loop/features.h"
#include "trainer/loop/state.h"

#define LEAST_STEPS 1000 /* steps before training may stop early */
#define FULL_STEPS 1500  /* steps that a small folder gets, however many epochs they are */
#define FULL_EPOCHS 200
#define IMPROVEMENT 0.999f

struct fg_trainer {
    struct fg_training training;
    struct fg_pictures pictures;
    struct fg_weights weights, best;
    struct fg_graph graph[FG_STAGES]; /* each for one device's share of a batch; plan NULL: not needed */
    const struct fg_tensor *schedule;
    struct fg_replica replica[FG_MAX_DEVICES]; /* the first one validates, and its weights are kept */
    uint32_t replicas;
    struct fg_features *features; /* of the teacher; NULL: each program makes its own */
    /* The host's copies, or the first replica's own segments where these are the host's memory. */
    void *frozen, *moments;
    uint32_t *order; /* {pictures.trains}: this epoch's order of pictures */
    struct fg_trainer_counters counters;
    size_t bytes;
};

struct fg_training fg_training_defaults(void) {
    return (struct fg_training){.patience = FG_TRAINING_PATIENCE,
                                .batch = FG_TRAINING_BATCH,
                                .learning_rate = (float)FG_TRAINING_RATE,
                                .l2 = (float)FG_TRAINING_L2,
                                .cache_mib = FG_TRAINING_CACHE_MIB,
                                .recipe = {.mask_rate = (float)FG_TRAINING_MASK_RATE, .global_loss = true}};
}

/* Counts the pictures of the last batch, an equal number for each device. 0: none are left, or each device
 * would have one, and batch norm needs two. */
static uint32_t count_rest(const struct fg_trainer *t, uint32_t count) {
    const uint32_t rest = count % t->training.batch / t->replicas;
    return rest < 2 ? 0 : rest * t->replicas;
}

/* Plans the graphs once, because those of every device are alike. A GPU has no features kept for it: they
 * would cross the bus in every step, and it makes them faster in a batch than picture by picture. */
static enum fg_status make_graphs(struct fg_trainer *t, struct fg_message *message) {
    const uint32_t batch = t->training.batch, share = batch / t->replicas, trains = t->pictures.trains,
                   held_outs = t->pictures.held_outs;
    const uint32_t rest = count_rest(t, trains) / t->replicas, held_rest = held_outs % batch;
    const struct fg_recipe *recipe = &t->training.recipe;
    const struct fg_backend *backend = t->replica[0].backend;
    const uint32_t pictures = backend->device.host_memory ? 0 : t->pictures.count;
    struct fg_reading reading[FG_NETWORK_PARAMS] = {{0}};
    for (int i = 0; i < FG_NETWORK_PARAMS && t->training.teacher; i++)
        reading[i] = t->training.teacher[i].reading;
    enum fg_status status = FG_OK;
    if (trains >= batch)
        status = fg_graph_training(&t->graph[FG_TRAIN], &t->weights, recipe, backend, reading, pictures,
                                   (int32_t)share, message);
    if (status == FG_OK && rest)
        status = fg_graph_training(&t->graph[FG_TRAIN_REST], &t->weights, recipe, backend, reading, pictures,
                                   (int32_t)rest, message);
    if (status == FG_OK && held_outs >= batch)
        status = fg_graph_validation(&t->graph[FG_VALIDATE], t->weights.network, recipe, backend, reading,
                                     pictures, (int32_t)batch, message);
    if (status == FG_OK && held_rest)
        status = fg_graph_validation(&t->graph[FG_VALIDATE_REST], t->weights.network, recipe, backend,
                                     reading, pictures, (int32_t)held_rest, message);
    if (status == FG_OK && !pictures)
        status = fg_graph_teacher(&t->graph[FG_TEACH], t->weights.network, backend, reading,
                                  t->pictures.count, message);
    if (status == FG_OK)
        status = fg_graph_adam(&t->graph[FG_UPDATE], &t->weights, backend, &t->schedule, message);
    return status;
}

/* Takes the host's copies of what the first replica's device computes with. */
static enum fg_status take_copies(struct fg_trainer *t, struct fg_message *message) {
    const struct fg_replica *first = &t->replica[0];
    if (first->lent) {
        t->frozen = first->memory.segment[FG_SEGMENT_FROZEN];
        t->moments = first->memory.segment[FG_SEGMENT_MOMENTS];
        return FG_OK;
    }
    t->frozen =
        calloc(1, first->program[FG_VALIDATE] ? first->program[FG_VALIDATE]->bytes[FG_SEGMENT_FROZEN]
                                              : first->program[FG_VALIDATE_REST]->bytes[FG_SEGMENT_FROZEN]);
    t->moments = calloc(2, t->weights.trained);
    return t->frozen && t->moments
               ? FG_OK
               : fg_fail(message, FG_ENVIRONMENT, "training: no memory for the host's copy of the weights");
}

static enum fg_status open_replicas(struct fg_trainer *t, struct fg_message *message) {
    const struct fg_network_spec *spec = &t->weights.network->spec;
    const struct fg_lent lent = {.weights = &t->weights,
                                 .pictures = t->pictures.pixels,
                                 .picture_bytes =
                                     t->pictures.count * (size_t)spec->height * (size_t)spec->width * 3};
    const struct fg_program *program[FG_STAGES];
    for (int s = 0; s < FG_STAGES; s++)
        program[s] = t->graph[s].program;
    enum fg_status status = FG_OK;
    for (uint32_t i = 0; i < t->replicas && status == FG_OK; i++) {
        status = fg_replica_open(&t->replica[i], t->replica[i].backend, program, &lent, i > 0, message);
        t->bytes += t->replica[i].bytes;
        program[FG_VALIDATE] = program[FG_VALIDATE_REST] = NULL; /* only the first replica validates */
    }
    t->bytes += t->weights.bytes + t->weights.moving;
    return status == FG_OK ? take_copies(t, message) : status;
}

/* Finds a validation's graph; both lay the frozen parameters out alike. */
static const struct fg_graph *find_validation(const struct fg_trainer *t) {
    return &t->graph[t->graph[FG_VALIDATE].program ? FG_VALIDATE : FG_VALIDATE_REST];
}

static enum fg_status push_frozen(const struct fg_trainer *t, uint32_t replica, struct fg_message *message) {
    const struct fg_replica *r = &t->replica[replica];
    const size_t validated = find_validation(t)->program->bytes[FG_SEGMENT_FROZEN];
    return fg_replica_push(r, FG_SEGMENT_FROZEN, t->frozen, validated, message);
}

/* Copies the teacher's int8 weights to their places. */
static void put_int8(const struct fg_trainer *t) {
    const struct fg_graph *graph = find_validation(t);
    const struct fg_memory memory = {.segment = {[FG_SEGMENT_FROZEN] = t->frozen}};
    for (uint32_t i = 0; i < t->weights.network->params; i++)
        if (graph->scale[i]) {
            memcpy(fg_tensor_data(graph->frozen[i], &memory), t->training.teacher[i].weight,
                   fg_tensor_bytes(graph->frozen[i]));
            memcpy(fg_tensor_data(graph->scale[i], &memory), t->training.teacher[i].scale,
                   fg_tensor_bytes(graph->scale[i]));
        }
}

/* Folds and prepares the teacher, once for every replica. */
static enum fg_status start_replicas(struct fg_trainer *t, struct fg_message *message) {
    enum fg_status status = FG_OK;
    fg_weights_fold(&t->weights, find_validation(t)->frozen, FG_TEACHER, t->frozen);
    put_int8(t);
    for (uint32_t i = 0; i < t->replicas && status == FG_OK; i++) {
        const struct fg_replica *r = &t->replica[i];
        status = fg_replica_push(r, FG_SEGMENT_TRAINED, t->weights.block, t->weights.moving, message);
        if (status == FG_OK)
            status = fg_replica_push(r, FG_SEGMENT_MOMENTS, t->moments, 2 * t->weights.trained, message);
        if (status == FG_OK)
            status = push_frozen(t, i, message);
        for (int s = 0; s < FG_STAGES && status == FG_OK; s++)
            if (s != FG_VALIDATE && s != FG_VALIDATE_REST)
                status = fg_replica_prepare(r, (enum fg_stage)s, message);
    }
    return status;
}

static uint32_t count_epochs(const struct fg_trainer *t) {
    if (t->training.epochs)
        return t->training.epochs;
    const uint32_t batch = t->training.batch, trains = t->pictures.trains;
    const uint32_t steps = trains / batch + (count_rest(t, trains) ? 1 : 0);
    const uint32_t needed = (FULL_STEPS + steps - 1) / steps;
    return needed > FULL_EPOCHS ? needed : FULL_EPOCHS;
}

enum fg_status fg_trainer_open(const struct fg_training *training, struct fg_weights *weights,
                               const struct fg_pictures *pictures, struct fg_backend *const *backends,
                               uint32_t count, struct fg_trainer **trainer, struct fg_message *message) {
    assert(training->batch >= 2 * count && training->batch <= FG_MAX_BATCH && training->batch % count == 0 &&
           pictures->trains >= 2 * count && pictures->held_outs && count >= 1 && count <= FG_MAX_DEVICES);
    struct fg_trainer *t = calloc(1, sizeof *t);
    if (!t)
        return fg_fail(message, FG_ENVIRONMENT, "training: no memory");
    t->training = *training;
    t->pictures = *pictures;
    t->replicas = count;
    for (uint32_t i = 0; i < count; i++)
        t->replica[i].backend = backends[i];
    t->weights = *weights;
    weights->block = NULL;
    enum fg_status status = fg_weights_open(&t->best, t->weights.network, message);
    if (status == FG_OK)
        status = make_graphs(t, message);
    if (status == FG_OK)
        status = open_replicas(t, message);
    if (status == FG_OK && t->graph[FG_TEACH].program)
        status =
            fg_features_open(t->weights.network, pictures->count, training->cache_mib, &t->features, message);
    if (status == FG_OK) {
        memcpy(t->best.block, t->weights.block, t->weights.bytes);
        status = start_replicas(t, message);
    }
    t->order = calloc(pictures->trains, sizeof *t->order);
    if (status == FG_OK && !t->order)
        status = fg_fail(message, FG_ENVIRONMENT, "training: no memory");
    if (status != FG_OK) {
        fg_trainer_close(t);
        return status;
    }
    t->counters = (struct fg_trainer_counters){
        .loss = INFINITY, .best_loss = INFINITY, .reference_loss = INFINITY, .limit = count_epochs(t)};
    *trainer = t;
    return FG_OK;
}

void fg_trainer_close(struct fg_trainer *trainer) {
    if (!trainer)
        return;
    if (!trainer->replica[0].lent) {
        free(trainer->frozen);
        free(trainer->moments);
    }
    for (uint32_t i = 0; i < trainer->replicas; i++)
        fg_replica_close(&trainer->replica[i]);
    fg_features_close(trainer->features);
    for (int s = 0; s < FG_STAGES; s++)
        fg_graph_close(&trainer->graph[s]);
    fg_weights_close(&trainer->weights);
    fg_weights_close(&trainer->best);
    free(trainer->order);
    free(trainer);
}

/* Shuffles the pictures (Fisher-Yates) with the epoch's own draws. */
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

/* Chooses the pictures of a stage's next run. index: those of the first replica first, then those of the
 * next. */
static enum fg_status draw_batch(const struct fg_trainer *t, enum fg_stage stage, uint32_t replicas,
                                 const uint32_t *index, struct fg_message *message) {
    const uint32_t share = (uint32_t)t->graph[stage].batch;
    enum fg_status status = FG_OK;
    if (t->features)
        status = fg_features_give(t->features, t->graph, stage, t->replica, replicas, index, message);
    for (uint32_t i = 0; i < replicas; i++) {
        struct fg_draw *draw = fg_tensor_data(t->graph[stage].draw, &t->replica[i].memory);
        draw->seed = t->training.seed;
        draw->epoch = t->counters.epoch;
        memcpy(draw->image, index + i * share, share * sizeof *index);
    }
    return status;
}

/* Gives every device the mean of all devices' gradients; each device had the same number of pictures. */
static enum fg_status share_gradients(const struct fg_trainer *t, struct fg_message *message) {
    struct fg_backend *backend[FG_MAX_DEVICES] = {t->replica[0].backend};
    float *values[FG_MAX_DEVICES];
    if (t->replicas < 2)
        return FG_OK;
    for (uint32_t i = 0; i < t->replicas; i++) {
        backend[i] = t->replica[i].backend;
        values[i] = t->replica[i].memory.segment[FG_SEGMENT_GRADIENTS];
    }
    return backend[0]->share(backend, values, t->replicas, t->weights.trained / sizeof(float), message);
}

/* Trains on one batch. index: its pictures, those of the first replica first, then those of the next. */
static enum fg_status train_step(struct fg_trainer *t, enum fg_stage stage, const uint32_t *index,
                                 struct fg_message *message) {
    enum fg_status status = draw_batch(t, stage, t->replicas, index, message);
    if (status == FG_OK)
        status = fg_replica_run(t->replica, t->replicas, stage, message);
    if (status == FG_OK)
        status = share_gradients(t, message);
    if (status != FG_OK)
        return status;
    t->counters.step++;
    for (uint32_t i = 0; i < t->replicas; i++) {
        const struct fg_memory memory = fg_replica_memory(&t->replica[i], FG_UPDATE);
        float *schedule = fg_tensor_data(t->schedule, &memory);
        schedule[0] = t->training.learning_rate;
        schedule[1] = (float)(1 / (1 - pow(FG_ADAM_FIRST, (double)t->counters.step)));
        schedule[2] = (float)(1 / (1 - pow(FG_ADAM_SECOND, (double)t->counters.step)));
        schedule[3] = t->training.l2;
    }
    return fg_replica_run(t->replica, t->replicas, FG_UPDATE, message);
}

static enum fg_status fold_all(struct fg_trainer *t, struct fg_message *message) {
    const struct fg_replica *first = &t->replica[0];
    enum fg_status status =
        fg_replica_pull(first, FG_SEGMENT_TRAINED, t->weights.block, t->weights.moving, message);
    if (status != FG_OK)
        return status;
    fg_weights_fold(&t->weights, find_validation(t)->frozen, -1, t->frozen);
    status = push_frozen(t, 0, message);
    if (status == FG_OK)
        status = fg_replica_prepare(first, FG_VALIDATE, message);
    return status == FG_OK ? fg_replica_prepare(first, FG_VALIDATE_REST, message) : status;
}

static enum fg_status validate_epoch(struct fg_trainer *t, float *loss, struct fg_message *message) {
    const struct fg_replica *first = &t->replica[0];
    enum fg_status status = fold_all(t, message);
    double sum = 0;
    const uint32_t count = t->pictures.held_outs;
    for (uint32_t at = 0; at < count && status == FG_OK;) {
        const enum fg_stage stage = count - at >= t->training.batch ? FG_VALIDATE : FG_VALIDATE_REST;
        const struct fg_graph *graph = &t->graph[stage];
        const struct fg_memory memory = fg_replica_memory(first, stage);
        status = draw_batch(t, stage, 1, t->pictures.held_out + at, message);
        if (status == FG_OK)
            status = fg_replica_run(first, 1, stage, message);
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
    struct fg_trainer_counters *c = &t->counters;
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
        const enum fg_stage stage = count - at >= batch ? FG_TRAIN : FG_TRAIN_REST;
        if (!t->graph[stage].program) /* the pictures left over are too few, and are dropped */
            break;
        uint32_t index[FG_MAX_BATCH];
        const uint32_t pictures = (uint32_t)t->graph[stage].batch * t->replicas;
        for (uint32_t i = 0; i < pictures; i++)
            index[i] = t->pictures.train[t->order[at + i]];
        enum fg_status status = train_step(t, stage, index, message);
        if (status != FG_OK)
            return status;
        at += stage == FG_TRAIN ? pictures : count - at;
        step(argument, at);
    }
    t->counters.epoch++;
    float loss;
    enum fg_status status = validate_epoch(t, &loss, message);
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

const struct fg_trainer_counters *fg_trainer_counters(const struct fg_trainer *trainer) {
    return &trainer->counters;
}

size_t fg_trainer_memory(const struct fg_trainer *trainer) {
    return trainer->bytes + fg_features_memory(trainer->features);
}

const struct fg_weights *fg_trainer_best(const struct fg_trainer *trainer) {
    return &trainer->best;
}

static struct fg_state make_state(const struct fg_trainer *t, const uint8_t *data_hash) {
    const struct fg_network_spec *spec = &t->weights.network->spec;
    const struct fg_training *training = &t->training;
    const struct fg_trainer_counters *c = &t->counters;
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
                 (training->teacher ? FG_STATE_INT8 : 0u) | (c->finished ? FG_STATE_FINISHED : 0u);
    memcpy(s.data_hash, data_hash, sizeof s.data_hash);
    return s;
}

static struct fg_state_contents list_contents(const struct fg_trainer *t) {
    return (struct fg_state_contents){.weights = &t->weights, .best = t->best.block, .moments = t->moments};
}

enum fg_status fg_trainer_save(const struct fg_trainer *trainer, const char *path, const uint8_t *data_hash,
                               struct fg_message *message) {
    const struct fg_state state = make_state(trainer, data_hash);
    const struct fg_state_contents contents = list_contents(trainer);
    enum fg_status status = fg_replica_pull(&trainer->replica[0], FG_SEGMENT_MOMENTS, trainer->moments,
                                            2 * trainer->weights.trained, message);
    return status == FG_OK ? fg_state_write(path, &state, &contents, message) : status;
}

/* Finds the option in which a stored state differs from this run; NULL: none. The limit of epochs may
 * differ. */
static const char *find_difference(const struct fg_state *stored, const struct fg_state *own) {
    if (memcmp(stored->data_hash, own->data_hash, sizeof own->data_hash))
        return "the pictures";
    if (stored->backbone != own->backbone || stored->base != own->base)
        return "--backbone";
    if (stored->height != own->height || stored->width != own->width)
        return "--size";
    if (stored->levels != own->levels)
        return "--levels";
    const uint32_t differs = stored->switches ^ own->switches;
    if (differs & FG_STATE_INT8)
        return "--precision (or with a GPU, where the teacher is not int8, instead of a CPU)";
    if (differs & ~(uint32_t)FG_STATE_FINISHED)
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

/* Hashes the teacher, which is the last section of the weights' block. */
static void hash_teacher(const struct fg_trainer *t, uint8_t hash[FG_HASH_SIZE]) {
    crypto_generichash(hash, FG_HASH_SIZE, (const unsigned char *)t->weights.block + t->weights.moving,
                       t->weights.bytes - t->weights.moving, NULL, 0);
}

enum fg_status fg_trainer_resume(struct fg_trainer *trainer, const char *path, const uint8_t *data_hash,
                                 struct fg_message *message) {
    struct fg_trainer *t = trainer;
    struct fg_state stored, own = make_state(t, data_hash);
    enum fg_status status = fg_state_peek(path, &stored, message);
    if (status != FG_OK)
        return status;
    const char *differs = find_difference(&stored, &own);
    if (differs)
        return fg_fail(
            message, FG_INPUT,
            "%.300s: was trained with another value of %s; give the same one, or leave --resume out", path,
            differs);
    uint8_t given[FG_HASH_SIZE], kept[FG_HASH_SIZE];
    hash_teacher(t, given);
    const struct fg_state_contents contents = list_contents(t);
    status = fg_state_read(path, &stored, &contents, message);
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
    t->counters = (struct fg_trainer_counters){.epoch = stored.epoch,
                                               .step = stored.step,
                                               .loss = stored.loss,
                                               .best_loss = stored.best_loss,
                                               .best_epoch = stored.best_epoch,
                                               .reference_loss = stored.reference_loss,
                                               .stale = stored.stale,
                                               .limit = limit};
    t->counters.finished =
        stored.epoch >= limit || (stored.stale >= t->training.patience && stored.step >= LEAST_STEPS);
    return start_replicas(t, message);
}
