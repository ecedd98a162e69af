/* Loads a bundle into a bank, and judges frames with it. */
#include "runtime/engine/engine.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/engine/defect.h"
#include "runtime/network/inference.h"

#define MAX_LOADERS 16
#define SELF_TEST_SCORE 0.01f /* shares of the map's largest value that what was made elsewhere may differ */
#define SELF_TEST_MAP 0.02f
#define SELF_TEST_INT8 5.0f /* times as much where int8 made it and this device computes in float */

struct fg_engine {
    struct fg_bundle_header header;
    uint32_t checksum;
    struct fg_network network;
    struct fg_backend *backend;
    struct fg_engine_bank bank;
    struct fg_inference inference;
    struct fg_memory memory;
    struct fg_engine_need need;
    int32_t max_width, max_height;

    uint8_t *frame;       /* room for a frame that the device cannot reach where it is */
    uint8_t *test_input;  /* height * width * 3 */
    float *test_map;      /* height * width */
    float *scene_mean;    /* {descriptors}; NULL: the bundle does not know the scene */
    float *scene_scale;   /* {descriptors} */
    void *search;         /* fg_defect_scratch */
    float lenience;       /* what the self-test's allowances are multiplied by */
    float unit;           /* the mean scale of places: what 1 of a local score is on the map; else 1 */
    struct fg_frame seen; /* what was submitted last; its pixels may be gone */
    int64_t submitted_ns;
    bool running;
    struct fg_load_times times;
};

static uint32_t count_loaders(const struct fg_backend *backend) {
    const uint32_t threads = backend->device.threads;
    return threads < 1 ? 1 : threads < MAX_LOADERS ? threads : MAX_LOADERS;
}

/* Gives the bytes of one array of the scene; 0: the bundle does not know it. */
static size_t measure_scene(const struct fg_engine *engine) {
    return engine->header.scene_limit > 0 ? fg_size_align(engine->network.descriptors * sizeof(float)) : 0;
}

static enum fg_status make_plan(struct fg_engine *engine, const struct fg_reading *reading,
                                struct fg_message *message) {
    const int32_t height = engine->network.spec.height, width = engine->network.spec.width;
    enum fg_status status = fg_inference_open(&engine->inference, &engine->network, reading, engine->backend,
                                              1, engine->max_height, engine->max_width, message);
    if (status != FG_OK)
        return status;
    fg_plan_key(engine->inference.plan, engine->checksum);
    const size_t *bytes = engine->inference.program->bytes;
    struct fg_engine_need *need = &engine->need;
    const size_t pixels = (size_t)height * (size_t)width;
    need->weights = bytes[FG_SEGMENT_FROZEN];
    need->prepared = fg_size_align(bytes[FG_SEGMENT_PREPARED]);
    need->activations = bytes[FG_SEGMENT_ACTIVATIONS];
    need->workspace = bytes[FG_SEGMENT_WORKSPACE];
    need->io = bytes[FG_SEGMENT_IO];
    need->frame = engine->backend->device.host_memory ? 0 : fg_size_align(bytes[FG_SEGMENT_FRAME]);
    need->load = count_loaders(engine->backend) * fg_size_align(fg_bundle_scratch());
    need->search = fg_size_align(pixels * 3) + fg_size_align(pixels * sizeof(float)) +
                   fg_size_align(fg_defect_scratch(height, width)) + 2 * measure_scene(engine);
    need->device = need->weights + need->prepared + need->activations + need->workspace;
    need->host = need->io + need->frame + need->load + need->search;
    if (engine->backend->device.host_memory) {
        need->host += need->device;
        need->device = 0;
    }
    return FG_OK;
}

/* Makes the engine without memory, which is enough to say what it needs. */
static enum fg_status make_engine(const struct fg_bundle *bundle, struct fg_backend *backend,
                                  int32_t max_frame_width, int32_t max_frame_height,
                                  struct fg_engine **engine, struct fg_message *message) {
    struct fg_engine *e = calloc(1, sizeof *e);
    if (!e)
        return fg_fail(message, FG_ENVIRONMENT, "engine: no memory for %zu bytes", sizeof *e);
    e->header = *fg_bundle_header(bundle);
    e->checksum = fg_bundle_checksum(bundle);
    e->network = *fg_bundle_network(bundle);
    e->backend = backend;
    e->lenience = fg_bundle_is_int8(bundle) && !backend->quantised ? SELF_TEST_INT8 : 1;
    /* The engine judges the self-test's picture as a frame, so it has room for one. */
    e->max_width = max_frame_width > e->network.spec.width ? max_frame_width : e->network.spec.width;
    e->max_height = max_frame_height > e->network.spec.height ? max_frame_height : e->network.spec.height;
    enum fg_status status = make_plan(e, fg_bundle_readings(bundle), message);
    if (status != FG_OK) {
        fg_engine_close(e);
        return status;
    }
    *engine = e;
    return FG_OK;
}

enum fg_status fg_engine_need(const struct fg_bundle *bundle, struct fg_backend *backend,
                              int32_t max_frame_width, int32_t max_frame_height, struct fg_engine_need *need,
                              struct fg_message *message) {
    struct fg_engine *engine = NULL;
    enum fg_status status = make_engine(bundle, backend, max_frame_width, max_frame_height, &engine, message);
    if (status != FG_OK)
        return status;
    *need = engine->need;
    fg_engine_close(engine);
    return FG_OK;
}

/* Loading: threads take the next tensor until none is left or one has failed. */
struct loading {
    const struct fg_bundle *bundle;
    struct fg_engine *engine;
    atomic_uint next;
    atomic_bool failed;
    struct loader {
        struct loading *loading;
        void *scratch;
        pthread_t thread;
        int64_t read_ns;
        enum fg_status status;
        struct fg_message message;
    } loader[MAX_LOADERS];
};

/* The tensor that a loader is at. */
struct destination {
    struct fg_backend *backend;
    char *data;
    enum fg_dtype dtype;
    bool int8; /* int8 convolutions read what the values make, and their numbers cannot carry a NaN on */
    const char *path, *name; /* of bundle and tensor, for messages */
};

static bool are_finite(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

static enum fg_status put_values(void *argument, size_t at, size_t count, const void *values,
                                 struct fg_message *message) {
    const struct destination *to = argument;
    const size_t size = fg_dtype_size(to->dtype);
    if (to->int8 && to->dtype == FG_F32 && !are_finite(values, count))
        return fg_fail(
            message, FG_INPUT,
            "%.250s: %s is not all finite, which int8 would hide; copy the bundle again, or train it "
            "again",
            to->path, to->name);
    return to->backend->upload(to->backend, to->data + at * size, values, count * size, message);
}

static void *load_tensors(void *argument) {
    struct loader *loader = argument;
    struct loading *loading = loader->loading;
    while (!atomic_load(&loading->failed)) {
        uint32_t i = atomic_fetch_add(&loading->next, 1);
        if (i >= fg_bundle_tensors(loading->bundle))
            break;
        const struct fg_engine *engine = loading->engine;
        const struct fg_bundle_tensor *stored = fg_bundle_tensor(loading->bundle, i);
        const struct fg_tensor *t = engine->inference.frozen[stored->param],
                               *scale = engine->inference.scale[stored->param];
        struct destination to = {engine->backend,
                                 fg_tensor_data(t, &engine->memory),
                                 t->dtype,
                                 fg_bundle_is_int8(loading->bundle) && engine->backend->quantised,
                                 fg_bundle_path(loading->bundle),
                                 engine->network.param[stored->param].name};
        const struct fg_bundle_sink sink = {t->dtype, put_values, &to, &loader->read_ns};
        loader->status = fg_bundle_send(loading->bundle, i, &sink, loader->scratch, &loader->message);
        if (loader->status == FG_OK && scale)
            loader->status = engine->backend->upload(engine->backend, fg_tensor_data(scale, &engine->memory),
                                                     stored->scale, fg_tensor_bytes(scale), &loader->message);
        if (loader->status != FG_OK)
            atomic_store(&loading->failed, true);
    }
    return NULL;
}

static enum fg_status load_weights(struct fg_engine *engine, const struct fg_bundle *bundle, void *scratch,
                                   struct fg_message *message) {
    const int64_t begin = fg_clock_ns();
    struct loading loading = {.bundle = bundle, .engine = engine};
    const uint32_t count = count_loaders(engine->backend);
    for (uint32_t i = 0; i < count; i++) {
        loading.loader[i] = (struct loader){
            .loading = &loading, .scratch = (char *)scratch + i * fg_size_align(fg_bundle_scratch())};
    }
    uint32_t started = 1;
    while (started < count &&
           !pthread_create(&loading.loader[started].thread, NULL, load_tensors, &loading.loader[started]))
        started++;
    /* The first loader is this thread: loading works, if slower, where no thread could be started. */
    load_tensors(&loading.loader[0]);
    for (uint32_t i = 1; i < started; i++)
        pthread_join(loading.loader[i].thread, NULL);
    for (uint32_t i = 0; i < started; i++)
        engine->times.read_ns += loading.loader[i].read_ns / started;
    engine->times.inflate_ns = fg_clock_ns() - begin - engine->times.read_ns;
    for (uint32_t i = 0; i < started; i++)
        if (loading.loader[i].status != FG_OK) {
            if (message)
                *message = loading.loader[i].message;
            return loading.loader[i].status;
        }
    return FG_OK;
}

static float find_mean(const float *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)values[i];
    return (float)(sum / (double)count);
}

/* Loads what each place has in good pictures, by way of the room for the self-test's map: that is as large,
 * and filled later. */
static enum fg_status load_places(struct fg_engine *engine, const struct fg_bundle *bundle, void *scratch,
                                  struct fg_message *message) {
    const struct fg_tensor *const place[] = {engine->inference.anomaly.place_mean,
                                             engine->inference.anomaly.place_scale};
    struct fg_backend *backend = engine->backend;
    float *room = engine->test_map;
    enum fg_status status = FG_OK;
    engine->unit = 1;
    for (int i = 0; i < 2 && place[i] && status == FG_OK; i++) {
        status = fg_bundle_places(bundle, i ? NULL : room, i ? room : NULL, scratch, message);
        if (status == FG_OK)
            status = backend->upload(backend, fg_tensor_data(place[i], &engine->memory), room,
                                     fg_tensor_bytes(place[i]), message);
    }
    if (status == FG_OK && place[1])
        engine->unit = find_mean(room, fg_tensor_count(place[1]));
    return status;
}

/* Divides the bank, piece by piece in the order of fg_engine_need. */
static enum fg_status take_memory(struct fg_engine *engine, void **scratch, struct fg_message *message) {
    const struct fg_engine_need *need = &engine->need;
    const size_t pixels = (size_t)engine->network.spec.height * (size_t)engine->network.spec.width;
    struct fg_bank *host = engine->bank.host,
                   *device = engine->backend->device.host_memory ? host : engine->bank.device;
    void **segment = engine->memory.segment;
    const struct {
        struct fg_bank *bank;
        size_t bytes;
        const char *what;
        void **piece;
    } pieces[] = {
        {device, need->weights, "weights", &segment[FG_SEGMENT_FROZEN]},
        {device, need->prepared, "prepared weights", &segment[FG_SEGMENT_PREPARED]},
        {device, need->activations, "activations", &segment[FG_SEGMENT_ACTIVATIONS]},
        {device, need->workspace, "workspace", &segment[FG_SEGMENT_WORKSPACE]},
        {host, need->io, "results", &segment[FG_SEGMENT_IO]},
        {host, need->frame, "a frame", (void **)&engine->frame},
        {host, need->load, "inflate windows", scratch},
        {host, fg_size_align(pixels * 3), "self-test picture", (void **)&engine->test_input},
        {host, fg_size_align(pixels * sizeof(float)), "self-test map", (void **)&engine->test_map},
        {host, fg_size_align(fg_defect_scratch(engine->network.spec.height, engine->network.spec.width)),
         "search for the defect's box", &engine->search},
        {host, measure_scene(engine), "the scene's mean", (void **)&engine->scene_mean},
        {host, measure_scene(engine), "the scene's scale", (void **)&engine->scene_scale},
    };
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        if (!pieces[i].bytes)
            continue;
        enum fg_status status =
            fg_bank_take(pieces[i].bank, pieces[i].bytes, pieces[i].what, pieces[i].piece, message);
        if (status != FG_OK)
            return status;
    }
    return FG_OK;
}

/* Judges frames of the size that will come, so that the first part is judged as fast as any. */
static enum fg_status warm_engine(struct fg_engine *engine, struct fg_message *message) {
    const struct fg_contract *contract = &engine->header.contract;
    const enum fg_pixel_format format = fg_pixel_decoded(contract->channels ? contract->channels : 3);
    struct fg_frame frame = {.pixels = engine->frame,
                             .width = contract->width ? contract->width : engine->max_width,
                             .height = contract->height ? contract->height : engine->max_height,
                             .format = format};
    frame.pitch = fg_pixel_row_bytes(format, frame.width);
    struct fg_judgement judgement;
    enum fg_status status = FG_OK;
    for (uint32_t i = 0; i < engine->backend->device.warm_ups && status == FG_OK; i++) {
        status = fg_engine_submit(engine, &frame, message);
        if (status == FG_OK)
            status = fg_engine_finish(engine, INT64_MAX, INFINITY, &judgement, message);
    }
    return status;
}

enum fg_status fg_engine_open(const struct fg_bundle *bundle, struct fg_backend *backend,
                              const struct fg_engine_bank *bank, int32_t max_frame_width,
                              int32_t max_frame_height, bool self_test, struct fg_engine **engine,
                              struct fg_message *message) {
    const struct fg_bundle_header *header = fg_bundle_header(bundle);
    if (self_test && !header->calibrated)
        return fg_fail(
            message, FG_INPUT,
            "%s: it is not calibrated: it has no threshold and no self-test; run flawgate calibrate on it",
            fg_bundle_path(bundle));
    const int64_t begin = fg_clock_ns();
    struct fg_engine *e = NULL;
    enum fg_status status = make_engine(bundle, backend, max_frame_width, max_frame_height, &e, message);
    if (status != FG_OK)
        return status;
    e->bank = *bank;
    void *scratch;
    status = take_memory(e, &scratch, message);
    if (status == FG_OK)
        status = load_weights(e, bundle, scratch, message);
    if (status == FG_OK)
        status = load_places(e, bundle, scratch, message);
    if (status == FG_OK)
        status = backend->prepare(backend, e->inference.program, &e->memory, message);
    if (status == FG_OK && e->scene_mean)
        status = fg_bundle_scene(bundle, e->scene_mean, e->scene_scale, scratch, message);
    if (status == FG_OK && self_test)
        status = fg_bundle_self_test(bundle, e->test_input, e->test_map, scratch, message);
    if (status == FG_OK && self_test) {
        status = fg_engine_self_test(e, message);
        if (status != FG_OK)
            fg_say_in(message, fg_bundle_path(bundle));
    }
    if (status == FG_OK)
        status = warm_engine(e, message);
    if (status != FG_OK) {
        fg_engine_close(e);
        return status;
    }
    e->times.device = backend->times;
    e->times.all_ns = fg_clock_ns() - begin;
    *engine = e;
    return FG_OK;
}

const struct fg_load_times *fg_engine_times(const struct fg_engine *engine) {
    return &engine->times;
}

void fg_load_times_text(const struct fg_load_times *times, char *text, size_t size) {
    snprintf(text, size, "%.0f ms (read %.0f, inflate %.0f, finalise %.0f, tune %.0f, capture %.0f)",
             (double)times->all_ns / 1e6, (double)times->read_ns / 1e6, (double)times->inflate_ns / 1e6,
             (double)times->device.finalise_ns / 1e6, (double)times->device.tune_ns / 1e6,
             (double)times->device.capture_ns / 1e6);
}

void fg_engine_close(struct fg_engine *engine) {
    if (!engine)
        return;
    if (engine->running) /* it waits for the end alone, since nobody asks for the result */
        fg_ignore(engine->backend->poll(engine->backend, INT64_MAX, NULL));
    if (engine->inference.program)
        engine->backend->forget(engine->backend, engine->inference.program);
    fg_inference_close(&engine->inference);
    if (engine->bank.host)
        fg_bank_empty(engine->bank.host);
    if (engine->bank.device)
        fg_bank_empty(engine->bank.device);
    free(engine);
}

const struct fg_bundle_header *fg_engine_header(const struct fg_engine *engine) {
    return &engine->header;
}

uint32_t fg_engine_checksum(const struct fg_engine *engine) {
    return engine->checksum;
}

enum fg_status fg_engine_accepts(const struct fg_engine *engine, const struct fg_frame *frame,
                                 struct fg_message *message) {
    const struct fg_contract *contract = &engine->header.contract;
    if (frame->width < 1 || frame->height < 1 || frame->width > engine->max_width ||
        frame->height > engine->max_height)
        return fg_fail(message, FG_INPUT, "frame of %dx%d: the engine was planned for at most %dx%d",
                       frame->width, frame->height, engine->max_width, engine->max_height);
    const char *format = fg_pixel_name(frame->format),
               *lacks = fg_pixel_lacks(frame->format, frame->width, frame->height);
    if (lacks)
        return fg_fail(message, FG_INPUT, "frame of %dx%d: format %s %s; set another size at the camera",
                       frame->width, frame->height, format, lacks);
    const size_t row = fg_pixel_row_bytes(frame->format, frame->width);
    if (frame->pitch < row)
        return fg_fail(message, FG_INPUT, "frame of %dx%d: rows %zu bytes apart, but format %s takes %zu",
                       frame->width, frame->height, frame->pitch, format, row);
    const struct fg_region region = fg_region_of(frame->region, frame->width, frame->height);
    if (!fg_region_fits(region, frame->width, frame->height))
        return fg_fail(
            message, FG_INPUT,
            "frame of %dx%d: region %d,%d %dx%d is not inside it; set another region for this view",
            frame->width, frame->height, region.x, region.y, region.width, region.height);
    if (!fg_rotation_is_known(frame->rotation))
        return fg_fail(message, FG_INPUT, "frame of %dx%d: rotation %d: must be 0, 90, 180 or 270 degrees",
                       frame->width, frame->height, frame->rotation);
    int32_t width, height;
    fg_frame_seen(frame, &width, &height);
    if (contract->width && (width != contract->width || height != contract->height))
        return fg_fail(message, FG_INPUT,
                       "frame of %dx%d, seen as %dx%d: bundle %s was trained on %dx%d; train on pictures of "
                       "this view, or set its region and rotation as they were",
                       frame->width, frame->height, width, height, engine->header.provenance.name,
                       contract->width, contract->height);
    const int32_t channels = fg_pixel_channels(frame->format);
    if (contract->channels && channels != contract->channels)
        return fg_fail(message, FG_INPUT, "%s frame (%s): bundle %s was trained on %s pictures",
                       channels == 1 ? "grey" : "colour", format, engine->header.provenance.name,
                       contract->channels == 1 ? "grey" : "colour");
    return FG_OK;
}

/* Copies a frame that the device cannot read, or whose rows lie further apart than was planned, with its rows
 * side by side. */
static void stage_frame(struct fg_engine *engine, struct fg_frame *frame) {
    const size_t row = fg_pixel_row_bytes(frame->format, frame->width);
    const size_t rows = fg_pixel_frame_bytes(frame->format, frame->height, 1); /* with those of colour */
    for (size_t y = 0; y < rows; y++)
        memcpy(engine->frame + y * row, frame->pixels + y * frame->pitch, row);
    frame->pixels = engine->frame;
    frame->pitch = row;
}

static enum fg_status submit_frame(struct fg_engine *engine, const struct fg_frame *given,
                                   struct fg_message *message) {
    struct fg_backend *backend = engine->backend;
    struct fg_frame frame = *given;
    engine->submitted_ns = fg_clock_ns();
    const size_t bytes = fg_pixel_span(frame.format, frame.width, frame.height, frame.pitch);
    if (!backend->device.host_memory &&
        (bytes > engine->inference.frame_bytes || !backend->reaches(backend, frame.pixels, bytes)))
        stage_frame(engine, &frame);
    fg_inference_set_frame(&engine->inference, &engine->memory, &frame);
    engine->seen = frame;
    enum fg_status status = backend->submit(backend, engine->inference.program, &engine->memory, message);
    engine->running = status == FG_OK;
    return status;
}

enum fg_status fg_engine_submit(struct fg_engine *engine, const struct fg_frame *frame,
                                struct fg_message *message) {
    assert(!engine->running);
    enum fg_status status = fg_engine_accepts(engine, frame, message);
    return status == FG_OK ? submit_frame(engine, frame, message) : status;
}

/* Measures how far the last frame's descriptor lies from training's (runtime/network/network.h, section 11).
 */
static double measure_distance(const struct fg_engine *engine) {
    double sum = 0;
    uint32_t at = 0;
    for (int i = 0; i < FG_NETWORK_LEVELS; i++) {
        const struct fg_tensor *moments = engine->inference.moments[i];
        const float *value = fg_tensor_data(moments, &engine->memory);
        for (int32_t k = 0; k < moments->c; k++, at++) {
            const double z =
                ((double)value[k] - (double)engine->scene_mean[at]) / (double)engine->scene_scale[at];
            sum += z * z;
        }
    }
    return sqrt(sum / at);
}

enum fg_status fg_engine_finish(struct fg_engine *engine, int64_t deadline_ns, float threshold,
                                struct fg_judgement *judgement, struct fg_message *message) {
    enum fg_status status = engine->backend->poll(engine->backend, deadline_ns, message);
    if (status == FG_TIMEOUT)
        return status;
    engine->running = false;
    if (status != FG_OK)
        return status;
    const float *score = fg_tensor_data(engine->inference.anomaly.score, &engine->memory);
    *judgement = (struct fg_judgement){.score = *score,
                                       .finite = isfinite(*score) != 0,
                                       .scene = engine->scene_mean ? (float)measure_distance(engine) : 0};
    /* NaN is not within a limit. */
    judgement->alike = !engine->scene_mean || judgement->scene <= engine->header.scene_limit;
    if (judgement->finite && *score > threshold)
        judgement->box =
            fg_defect_find(fg_engine_decision_map(engine), engine->inference.anomaly.map->h,
                           engine->inference.anomaly.map->w, threshold, &engine->seen, engine->search);
    judgement->inference_ns = fg_clock_ns() - engine->submitted_ns;
    return FG_OK;
}

enum fg_status fg_engine_judge_picture(struct fg_engine *engine, const uint8_t *picture,
                                       struct fg_judgement *judgement, struct fg_message *message) {
    const int32_t height = engine->network.spec.height, width = engine->network.spec.width;
    const struct fg_frame frame = {
        .pixels = picture, .width = width, .height = height, .format = FG_RGB8, .pitch = (size_t)width * 3};
    enum fg_status status = submit_frame(engine, &frame, message);
    return status == FG_OK ? fg_engine_finish(engine, INT64_MAX, INFINITY, judgement, message) : status;
}

enum fg_status fg_engine_self_test(struct fg_engine *engine, struct fg_message *message) {
    const size_t pixels = (size_t)engine->network.spec.height * (size_t)engine->network.spec.width;
    struct fg_judgement judgement;
    enum fg_status status = fg_engine_judge_picture(engine, engine->test_input, &judgement, message);
    if (status != FG_OK)
        return status;
    const float *map = fg_engine_map(engine), expected = engine->header.self_test_score;
    float largest = 0, difference = 0;
    bool finite = judgement.finite; /* fmaxf drops a NaN, so each value is checked */
    for (size_t i = 0; i < pixels; i++) {
        const float d = fabsf(map[i] - engine->test_map[i]);
        finite = finite && isfinite(d);
        largest = fmaxf(largest, fabsf(engine->test_map[i]));
        difference = fmaxf(difference, d);
    }
    const float least = engine->lenience * largest, allowed = SELF_TEST_SCORE * least / engine->unit,
                allowed_map = SELF_TEST_MAP * least;
    if (finite && fabsf(judgement.score - expected) <= allowed && difference <= allowed_map)
        return FG_OK;
    return fg_fail(
        message, FG_INPUT,
        "self-test failed on backend %s: score %g, expected %g within %g; largest difference of the "
        "map %g, allowed %g; the bundle or this machine's arithmetic is damaged",
        engine->backend->name, (double)judgement.score, (double)expected, (double)allowed, (double)difference,
        (double)allowed_map);
}

void fg_engine_descriptor(const struct fg_engine *engine, float *descriptor) {
    for (int i = 0; i < FG_NETWORK_LEVELS; i++) {
        const struct fg_tensor *moments = engine->inference.moments[i];
        memcpy(descriptor, fg_tensor_data(moments, &engine->memory), fg_tensor_bytes(moments));
        descriptor += moments->c;
    }
}

const float *fg_engine_map(const struct fg_engine *engine) {
    return fg_tensor_data(engine->inference.anomaly.map, &engine->memory);
}

const float *fg_engine_decision_map(const struct fg_engine *engine) {
    return fg_tensor_data(engine->inference.anomaly.decision, &engine->memory);
}

/* Finds the index of a used level; -1: it is not used. */
static int32_t find_level(const struct fg_engine *engine, uint32_t level) {
    for (uint32_t l = 0; l < engine->network.levels; l++)
        if (engine->network.level[l] == level)
            return (int32_t)l;
    return -1;
}

bool fg_engine_level(const struct fg_engine *engine, uint32_t level, int32_t *height, int32_t *width) {
    const int32_t l = find_level(engine, level);
    if (l < 0)
        return false;
    *height = engine->inference.level[l]->h;
    *width = engine->inference.level[l]->w;
    return true;
}

enum fg_status fg_engine_level_map(const struct fg_engine *engine, uint32_t level, float *map,
                                   struct fg_message *message) {
    const struct fg_tensor *t = engine->inference.level[find_level(engine, level)];
    return engine->backend->download(engine->backend, map, fg_tensor_data(t, &engine->memory),
                                     fg_tensor_bytes(t), message);
}
