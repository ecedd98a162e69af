/* Takes one device's memory for training, and moves weights, moments and pictures to and from it. */
#include "trainer/loop/replica.h"

#include <string.h>

static enum fg_status take_memory(struct fg_replica *r, enum fg_store store, size_t bytes, const char *what,
                                  void **block, struct fg_message *message) {
    *block = NULL;
    if (!bytes)
        return FG_OK;
    enum fg_status status = r->backend->reserve(r->backend, store, fg_size_align(bytes), block, message);
    r->bytes += status == FG_OK ? bytes : 0;
    return status == FG_OK ? status : fg_fail_in(message, status, what);
}

static enum fg_status take_segments(struct fg_replica *r, size_t trained, struct fg_message *message) {
    size_t largest[FG_SEGMENTS] = {0};
    enum fg_status status = FG_OK;
    for (int s = 0; s < FG_UPDATE && status == FG_OK; s++) {
        if (!r->program[s])
            continue;
        for (int i = 0; i < FG_SEGMENTS; i++)
            if (r->program[s]->bytes[i] > largest[i])
                largest[i] = r->program[s]->bytes[i];
        status = take_memory(r, FG_STORE_DEVICE, r->program[s]->bytes[FG_SEGMENT_PREPARED],
                             "prepared weights", &r->prepared[s], message);
    }
    const struct {
        enum fg_segment segment;
        enum fg_store store;
        size_t bytes;
        const char *what;
    } segments[] = {
        {FG_SEGMENT_FROZEN, FG_STORE_DEVICE, largest[FG_SEGMENT_FROZEN], "folded weights"},
        {FG_SEGMENT_ACTIVATIONS, FG_STORE_DEVICE, largest[FG_SEGMENT_ACTIVATIONS], "activations"},
        {FG_SEGMENT_WORKSPACE, FG_STORE_DEVICE, largest[FG_SEGMENT_WORKSPACE], "workspace"},
        {FG_SEGMENT_IO, FG_STORE_HOST, largest[FG_SEGMENT_IO], "draws, losses and the teacher's features"},
        {FG_SEGMENT_GRADIENTS, FG_STORE_DEVICE, trained, "gradients"},
        {FG_SEGMENT_MOMENTS, FG_STORE_DEVICE, 2 * trained, "moments"}};
    for (size_t i = 0; i < sizeof segments / sizeof *segments && status == FG_OK; i++)
        status = take_memory(r, segments[i].store, segments[i].bytes, segments[i].what,
                             &r->memory.segment[segments[i].segment], message);
    if (status == FG_OK)
        status = take_memory(r, FG_STORE_HOST, r->program[FG_UPDATE]->bytes[FG_SEGMENT_IO], "schedule",
                             &r->update_io, message);
    return status;
}

/* Copies the pictures to the device's own memory where they fit, else to host memory that it can read. */
static enum fg_status copy_pictures(struct fg_replica *r, const struct fg_lent *lent,
                                    struct fg_message *message) {
    void **segment = &r->memory.segment[FG_SEGMENT_PICTURES];
    enum fg_status status =
        take_memory(r, FG_STORE_DEVICE, lent->picture_bytes, "pictures", segment, message);
    if (status == FG_ENVIRONMENT)
        status = take_memory(r, FG_STORE_HOST, lent->picture_bytes, "pictures", segment, message);
    return status == FG_OK
               ? fg_replica_push(r, FG_SEGMENT_PICTURES, lent->pictures, lent->picture_bytes, message)
               : status;
}

enum fg_status fg_replica_open(struct fg_replica *replica, struct fg_backend *backend,
                               const struct fg_program *const program[FG_STAGES], const struct fg_lent *lent,
                               bool copy, struct fg_message *message) {
    memset(replica, 0, sizeof *replica);
    replica->backend = backend;
    memcpy(replica->program, program, sizeof replica->program);
    enum fg_status status = take_segments(replica, lent->weights->trained, message);
    if (status != FG_OK)
        return status;
    void **segment = replica->memory.segment;
    if (backend->device.host_memory && !copy) {
        replica->lent = true;
        segment[FG_SEGMENT_TRAINED] = lent->weights->block;
        segment[FG_SEGMENT_PICTURES] = (void *)(uintptr_t)lent->pictures;
        return FG_OK;
    }
    status = take_memory(replica, FG_STORE_DEVICE, lent->weights->moving, "weights",
                         &segment[FG_SEGMENT_TRAINED], message);
    if (status == FG_OK)
        status = fg_replica_push(replica, FG_SEGMENT_TRAINED, lent->weights->block, lent->weights->moving,
                                 message);
    return status == FG_OK ? copy_pictures(replica, lent, message) : status;
}

void fg_replica_close(struct fg_replica *replica) {
    struct fg_backend *backend = replica->backend;
    void **segment = replica->memory.segment;
    if (replica->lent)
        segment[FG_SEGMENT_TRAINED] = segment[FG_SEGMENT_PICTURES] = NULL;
    for (int s = 0; s < FG_STAGES; s++) {
        if (replica->program[s])
            backend->forget(backend, replica->program[s]);
        if (replica->prepared[s])
            backend->release(backend, replica->prepared[s]);
    }
    for (int r = 0; r < FG_SEGMENTS; r++)
        if (segment[r])
            backend->release(backend, segment[r]);
    if (replica->update_io)
        backend->release(backend, replica->update_io);
    memset(replica, 0, sizeof *replica);
}

enum fg_status fg_replica_push(const struct fg_replica *replica, enum fg_segment segment, const void *host,
                               size_t bytes, struct fg_message *message) {
    void *device = replica->memory.segment[segment];
    return device == host ? FG_OK : replica->backend->upload(replica->backend, device, host, bytes, message);
}

enum fg_status fg_replica_pull(const struct fg_replica *replica, enum fg_segment segment, void *host,
                               size_t bytes, struct fg_message *message) {
    const void *device = replica->memory.segment[segment];
    return device == host ? FG_OK
                          : replica->backend->download(replica->backend, host, device, bytes, message);
}

struct fg_memory fg_replica_memory(const struct fg_replica *replica, enum fg_stage stage) {
    struct fg_memory memory = replica->memory;
    memory.segment[FG_SEGMENT_PREPARED] = replica->prepared[stage];
    if (stage == FG_UPDATE)
        memory.segment[FG_SEGMENT_IO] = replica->update_io;
    return memory;
}

enum fg_status fg_replica_prepare(const struct fg_replica *replica, enum fg_stage stage,
                                  struct fg_message *message) {
    if (!replica->program[stage])
        return FG_OK;
    const struct fg_memory memory = fg_replica_memory(replica, stage);
    return replica->backend->prepare(replica->backend, replica->program[stage], &memory, message);
}

enum fg_status fg_replica_run(const struct fg_replica *replica, uint32_t count, enum fg_stage stage,
                              struct fg_message *message) {
    struct fg_memory memory[FG_MAX_DEVICES];
    enum fg_status status = FG_OK;
    uint32_t begun = 0;
    while (begun < count && status == FG_OK) {
        const struct fg_replica *r = &replica[begun];
        memory[begun] = fg_replica_memory(r, stage);
        status = r->backend->submit(r->backend, r->program[stage], &memory[begun], message);
        begun += status == FG_OK;
    }
    for (uint32_t i = 0; i < begun; i++) {
        struct fg_backend *backend = replica[i].backend;
        struct fg_message later;
        const enum fg_status ended = backend->poll(backend, INT64_MAX, status == FG_OK ? message : &later);
        status = status == FG_OK ? ended : status;
    }
    return status;
}
