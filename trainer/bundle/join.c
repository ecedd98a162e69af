/* A plan of one step that joins level maps, and the memory that it runs on. */
#include "trainer/bundle/join.h"

#include <assert.h>
#include <string.h>

static enum fg_status reserve_memory(struct fg_join *join, struct fg_message *message) {
    const enum fg_segment segments[] = {FG_SEGMENT_IO, FG_SEGMENT_FROZEN, FG_SEGMENT_WORKSPACE};
    struct fg_backend *backend = join->backend;
    enum fg_status status = FG_OK;
    for (size_t i = 0; i < sizeof segments / sizeof *segments && status == FG_OK; i++)
        if (join->program->bytes[segments[i]])
            status = backend->reserve(backend, FG_STORE_HOST, join->program->bytes[segments[i]],
                                      &join->memory.segment[segments[i]], message);
    return status == FG_OK ? backend->prepare(backend, join->program, &join->memory, message) : status;
}

static float *find_values(const struct fg_join *join, const struct fg_tensor *tensor) {
    return tensor ? fg_tensor_data(tensor, &join->memory) : NULL;
}

enum fg_status fg_join_open(struct fg_join *join, struct fg_backend *backend, const struct fg_tensor *level,
                            uint32_t levels, int32_t height, int32_t width, enum fg_score_form form,
                            struct fg_message *message) {
    assert(backend->device.host_memory && levels >= 1 && levels <= FG_NETWORK_LEVELS);
    memset(join, 0, sizeof *join);
    join->backend = backend;
    enum fg_status status = fg_plan_open(FG_NETWORK_LEVELS + 5, 1, 1, &join->plan, message);
    if (status != FG_OK)
        return status;
    const struct fg_tensor *place[FG_NETWORK_LEVELS] = {NULL};
    for (uint32_t l = 0; l < levels; l++)
        place[l] = fg_plan_tensor(join->plan, FG_SEGMENT_IO, FG_F32, 1, level[l].h, level[l].w, 1);
    const struct fg_anomaly a = fg_anomaly_add(join->plan, place, height, width, form);
    struct fg_plan_report report;
    status = fg_plan_finish(join->plan, backend, &join->program, &report, message);
    if (status == FG_OK)
        status = reserve_memory(join, message);
    if (status != FG_OK) {
        fg_join_close(join);
        return status;
    }
    for (uint32_t l = 0; l < levels; l++) {
        join->level[l] = find_values(join, place[l]);
        join->values[l] = fg_tensor_count(place[l]);
    }
    join->place_mean = find_values(join, a.place_mean);
    join->place_scale = find_values(join, a.place_scale);
    join->map = find_values(join, a.map);
    join->decision = find_values(join, a.decision);
    join->score = find_values(join, a.score);
    return FG_OK;
}

void fg_join_close(struct fg_join *join) {
    if (!join->plan)
        return;
    if (join->program)
        join->backend->forget(join->backend, join->program);
    for (int s = 0; s < FG_SEGMENTS; s++)
        if (join->memory.segment[s])
            join->backend->release(join->backend, join->memory.segment[s]);
    fg_plan_close(join->plan);
    memset(join, 0, sizeof *join);
}

enum fg_status fg_join_run(struct fg_join *join, const float *levels, struct fg_message *message) {
    for (int l = 0; l < FG_NETWORK_LEVELS; l++) {
        if (join->values[l])
            memcpy(join->level[l], levels, join->values[l] * sizeof *levels);
        levels += join->values[l];
    }
    return fg_backend_run(join->backend, join->program, &join->memory, message);
}
