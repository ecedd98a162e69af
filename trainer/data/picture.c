/* Resizes pictures through a plan of one step, as the engine's first step does it on the line. */
#include "trainer/data/picture.h"

#include <assert.h>

#include "runtime/network/plan.h"

static enum fg_status run_plan(struct fg_backend *backend, const struct fg_program *program,
                               struct fg_memory *memory, struct fg_message *message) {
    void **workspace = &memory->segment[FG_SEGMENT_WORKSPACE];
    enum fg_status status = FG_OK;
    if (program->bytes[FG_SEGMENT_WORKSPACE])
        status = backend->reserve(backend, FG_STORE_DEVICE, program->bytes[FG_SEGMENT_WORKSPACE], workspace,
                                  message);
    if (status == FG_OK)
        status = backend->prepare(backend, program, memory, message);
    if (status == FG_OK)
        status = fg_backend_run(backend, program, memory, message);
    backend->forget(backend, program);
    if (*workspace)
        backend->release(backend, *workspace);
    return status;
}

enum fg_status fg_picture_resize(struct fg_backend *backend, const struct fg_image *image, int32_t height,
                                 int32_t width, uint8_t *out, struct fg_message *message) {
    assert(backend->device.host_memory);
    struct fg_plan *plan;
    enum fg_status status = fg_plan_open(2, 1, 1, &plan, message);
    if (status != FG_OK)
        return status;
    const struct fg_tensor *frame = fg_plan_tensor(plan, FG_SEGMENT_FRAME, FG_U8, 1, image->height,
                                                   image->width, image->channels),
                           *picture = fg_plan_tensor(plan, FG_SEGMENT_IO, FG_U8, 1, height, width, 3);
    fg_plan_step(plan,
                 &(struct fg_step){.op = FG_RESIZE,
                                   .pitch = (size_t)image->width * (size_t)image->channels,
                                   .format = fg_pixel_decoded(image->channels),
                                   .in = {frame},
                                   .out = {picture}},
                 0);
    struct fg_memory memory = {.segment = {[FG_SEGMENT_FRAME] = image->pixels, [FG_SEGMENT_IO] = out}};
    const struct fg_program *program;
    struct fg_plan_report report;
    status = fg_plan_finish(plan, backend, &program, &report, message);
    if (status == FG_OK)
        status = run_plan(backend, program, &memory, message);
    fg_plan_close(plan);
    return status;
}
