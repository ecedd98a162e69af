#include "trainer/loop/replica.h"

#include <string.h>

static enum fg_status take(struct fg_replica *r, enum fg_store store, size_t bytes, const char *what,
                           void **block, struct fg_message *message) {
    *block = NULL;
    if (!bytes)
        return FG_OK;
    enum fg_status status = r->backend->reserve(r->backend, store, fg_size_align(bytes), block, message);
    r->bytes += status == FG_OK ? bytes : 0;
    return status == FG_OK ? status : fg_fail_in(message, status, what);
}

static enum fg_status take_regions(struct fg_replica *r, size_t trained, struct fg_message *message) {
    size_t largest[FG_REGIONS] = {0};
    enum fg_status status = FG_OK;
    for (int s = 0; s < FG_UPDATE && status == FG_OK; s++) {
        if (!r->program[s])
            continue;
        for (int i = 0; i < FG_REGIONS; i++)
            if (r->program[s]->bytes[i] > largest[i])
                largest[i] = r->program[s]->bytes[i];
        status = take(r, FG_STORE_DEVICE, r->program[s]->bytes[FG_REGION_PREPARED], "prepared weights",
                      &r->prepared[s], message);
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
                   {FG_REGION_GRADIENTS, FG_STORE_DEVICE, trained, "gradients"},
                   {FG_REGION_MOMENTS, FG_STORE_DEVICE, 2 * trained, "moments"}};
    for (size_t i = 0; i < sizeof regions / sizeof *regions && status == FG_OK; i++)
        status = take(r, regions[i].store, regions[i].bytes, regions[i].what,
                      &r->memory.region[regions[i].region], message);
    if (status == FG_OK)
        status = take(r, FG_STORE_HOST, r->program[FG_UPDATE]->bytes[FG_REGION_IO], "schedule", &r->update_io,
                      message);
    return status;
}

/* The pictures stay in the device's own memory where they fit, else in the host's, which it reads too. */
static enum fg_status copy_pictures(struct fg_replica *r, const struct fg_lent *lent,
                                    struct fg_message *message) {
    void **region = &r->memory.region[FG_REGION_PICTURES];
    enum fg_status status = take(r, FG_STORE_DEVICE, lent->picture_bytes, "pictures", region, message);
    if (status == FG_ENVIRONMENT)
        status = take(r, FG_STORE_HOST, lent->picture_bytes, "pictures", region, message);
    return status == FG_OK
               ? fg_replica_push(r, FG_REGION_PICTURES, lent->pictures, lent->picture_bytes, message)
               : status;
}

enum fg_status fg_replica_open(struct fg_replica *replica, struct fg_backend *backend,
                               const struct fg_program *const program[FG_STAGES], const struct fg_lent *lent,
                               bool copy, struct fg_message *message) {
    memset(replica, 0, sizeof *replica);
    replica->backend = backend;
    memcpy(replica->program, program, sizeof replica->program);
    enum fg_status status = take_regions(replica, lent->weights->trained, message);
    if (status != FG_OK)
        return status;
    void **region = replica->memory.region;
    if (backend->device.host_memory && !copy) {
        replica->lent = true;
        region[FG_REGION_TRAINED] = lent->weights->block;
        region[FG_REGION_PICTURES] = (void *)(uintptr_t)lent->pictures;
        return FG_OK;
    }
    status =
        take(replica, FG_STORE_DEVICE, lent->weights->moving, "weights", &region[FG_REGION_TRAINED], message);
    if (status == FG_OK)
        status =
            fg_replica_push(replica, FG_REGION_TRAINED, lent->weights->block, lent->weights->moving, message);
    return status == FG_OK ? copy_pictures(replica, lent, message) : status;
}

void fg_replica_close(struct fg_replica *replica) {
    struct fg_backend *backend = replica->backend;
    void **region = replica->memory.region;
    if (replica->lent)
        region[FG_REGION_TRAINED] = region[FG_REGION_PICTURES] = NULL;
    for (int s = 0; s < FG_STAGES; s++) {
        if (replica->program[s])
            backend->forget(backend, replica->program[s]);
        if (replica->prepared[s])
            backend->release(backend, replica->prepared[s]);
    }
    for (int r = 0; r < FG_REGIONS; r++)
        if (region[r])
            backend->release(backend, region[r]);
    if (replica->update_io)
        backend->release(backend, replica->update_io);
    memset(replica, 0, sizeof *replica);
}

enum fg_status fg_replica_push(const struct fg_replica *replica, enum fg_region region, const void *host,
                               size_t bytes, struct fg_message *message) {
    void *device = replica->memory.region[region];
    return device == host ? FG_OK : replica->backend->upload(replica->backend, device, host, bytes, message);
}

enum fg_status fg_replica_pull(const struct fg_replica *replica, enum fg_region region, void *host,
                               size_t bytes, struct fg_message *message) {
    const void *device = replica->memory.region[region];
    return device == host ? FG_OK
                          : replica->backend->download(replica->backend, host, device, bytes, message);
}

struct fg_memory fg_replica_memory(const struct fg_replica *replica, enum fg_stage stage) {
    struct fg_memory memory = replica->memory;
    memory.region[FG_REGION_PREPARED] = replica->prepared[stage];
    if (stage == FG_UPDATE)
        memory.region[FG_REGION_IO] = replica->update_io;
    return memory;
}

enum fg_status fg_replica_prepare(const struct fg_replica *replica, enum fg_stage stage,
                                  struct fg_message *message) {
    if (!replica->program[stage])
        return FG_OK;
    const struct fg_memory memory = fg_replica_memory(replica, stage);
    return replica->backend->prepare(replica->backend, replica->program[stage], &memory, message);
}
