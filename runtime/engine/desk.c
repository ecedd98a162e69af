/* Judges picture files with one bundle: the arena, the engine in it, and a frame for each decoded picture. */
#include "runtime/engine/desk.h"

#include <string.h>

/* Makes an arena of one bank, and the engine in it, in place of those that there are. */
static enum fg_status load_engine(struct fg_desk *s, int32_t max_width, int32_t max_height,
                                  struct fg_message *message) {
    fg_engine_close(s->engine);
    fg_arena_close(s->arena);
    fg_arena_close(s->device);
    s->engine = NULL;
    s->arena = s->device = NULL;
    s->max_width = s->max_height = 0;
    struct fg_engine_need need;
    enum fg_status status = fg_engine_need(s->bundle, s->backend, max_width, max_height, &need, message);
    if (status == FG_OK)
        status = fg_arena_open(s->backend, FG_STORE_HOST, 0, need.host, 1, &s->arena, message);
    if (status == FG_OK && need.device)
        status = fg_arena_open(s->backend, FG_STORE_DEVICE, 0, need.device, 1, &s->device, message);
    if (status == FG_OK) {
        const struct fg_engine_bank bank = {fg_arena_bank(s->arena, 0), fg_arena_bank(s->device, 0)};
        status = fg_engine_open(s->bundle, s->backend, &bank, max_width, max_height, s->self_test, &s->engine,
                                message);
    }
    if (status == FG_OK) {
        s->max_width = max_width;
        s->max_height = max_height;
    }
    return status;
}

enum fg_status fg_desk_take(struct fg_desk *desk, struct fg_bundle *bundle, struct fg_backend *backend,
                            bool self_test, struct fg_message *message) {
    *desk = (struct fg_desk){.backend = backend, .bundle = bundle, .self_test = self_test};
    const struct fg_contract *contract = &fg_bundle_header(bundle)->contract;
    enum fg_status status = load_engine(desk, contract->width, contract->height, message);
    if (status != FG_OK)
        fg_desk_close(desk);
    return status;
}

enum fg_status fg_desk_open(struct fg_desk *desk, const char *path, struct fg_backend *backend,
                            bool self_test, struct fg_message *message) {
    struct fg_bundle *bundle = NULL;
    memset(desk, 0, sizeof *desk);
    enum fg_status status = fg_bundle_open(path, &bundle, message);
    return status == FG_OK ? fg_desk_take(desk, bundle, backend, self_test, message) : status;
}

void fg_desk_close(struct fg_desk *desk) {
    fg_engine_close(desk->engine);
    fg_arena_close(desk->arena);
    fg_arena_close(desk->device);
    fg_bundle_close(desk->bundle);
    memset(desk, 0, sizeof *desk);
}

enum fg_status fg_desk_judge(struct fg_desk *desk, const char *name, const struct fg_image *image,
                             float threshold, struct fg_judgement *judgement, struct fg_message *message) {
    const struct fg_frame frame = {.pixels = image->pixels,
                                   .width = image->width,
                                   .height = image->height,
                                   .format = fg_pixel_decoded(image->channels),
                                   .pitch = (size_t)image->width * (size_t)image->channels};
    enum fg_status status = FG_OK;
    /* No engine: there was no memory for the last picture's; this one may be smaller. */
    if (!desk->engine || (!fg_bundle_header(desk->bundle)->contract.width &&
                          (image->width > desk->max_width || image->height > desk->max_height)))
        status = load_engine(desk, image->width > desk->max_width ? image->width : desk->max_width,
                             image->height > desk->max_height ? image->height : desk->max_height, message);
    if (status == FG_OK)
        status = fg_engine_submit(desk->engine, &frame, message);
    if (status == FG_OK)
        status = fg_engine_finish(desk->engine, INT64_MAX, threshold, judgement, message);
    return status == FG_OK ? status : fg_fail_in(message, status, name);
}
