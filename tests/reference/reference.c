/* The reference backend: its table, which runs a program's steps one by one. */
#include "tests/reference/reference.h"

#include <stdlib.h>

#include "tests/reference/operators.h"

struct reference {
    struct fg_backend base;
    struct fg_kernel kernel[FG_OPERATORS];
    enum fg_status status;
    struct fg_message message;
};

#define KERNEL(constant, name) [FG_##constant] = &fg_reference_##name,
static const struct fg_kernel *const kernels[FG_OPERATORS] = {FG_OPERATOR_TABLE(KERNEL)};

/* Whether a tensor has doubles, or where int8 convolutions are, quantised bytes. */
static bool has_values(const struct fg_tensor *t, bool int8) {
    return !t || t->dtype == FG_F64 || (int8 && t->dtype == FG_U8 && t->scale > 0);
}

/* Values are doubles, but for pictures, what MASK draws from, and what is quantised. The shapes are the
 * tests' own. */
bool fg_reference_supports(const struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    const bool picture = step->op == FG_RESIZE || step->op == FG_NORMALISE,
               int8 = step->param[0] && step->param[0]->dtype == FG_I8;
    bool right = picture ? !step->in[0] || step->in[0]->dtype == FG_U8
                         : has_values(step->in[0], int8) && (!int8 || has_values(step->in[1], int8));
    for (int i = int8; i < FG_MAX_PARAM; i++) {
        right = right && has_values(step->param[i], false);
    }
    for (int i = 0; i < FG_MAX_OUT; i++) {
        right = right && (step->op == FG_RESIZE ? !step->out[i] || step->out[i]->dtype == FG_U8
                                                : has_values(step->out[i], int8));
    }
    return right;
}

static enum fg_status reference_reserve(struct fg_backend *backend, enum fg_store store, size_t bytes,
                                        void **block, struct fg_message *message) {
    (void)backend;
    (void)store;
    const size_t padded = fg_size_align(bytes > 0 ? bytes : 1);
    *block = aligned_alloc(FG_ALIGNMENT, padded);
    if (!*block) {
        return fg_fail(message, FG_ENVIRONMENT, "no memory for %zu bytes of doubles", bytes);
    }
    memset(*block, 0, padded);
    return FG_OK;
}

static void reference_release(struct fg_backend *backend, void *block) {
    (void)backend;
    free(block);
}

static bool reference_reaches(const struct fg_backend *backend, const void *memory, size_t bytes) {
    (void)backend;
    (void)memory;
    (void)bytes;
    return true;
}

static enum fg_status reference_upload(struct fg_backend *backend, void *device, const void *host,
                                       size_t bytes, struct fg_message *message) {
    (void)backend;
    (void)message;
    memcpy(device, host, bytes);
    return FG_OK;
}

static enum fg_status reference_download(struct fg_backend *backend, void *host, const void *device,
                                         size_t bytes, struct fg_message *message) {
    return reference_upload(backend, host, device, bytes, message);
}

static enum fg_status reference_prepare(struct fg_backend *backend, const struct fg_program *program,
                                        const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)program;
    (void)memory;
    (void)message;
    return FG_OK;
}

static enum fg_status reference_submit(struct fg_backend *backend, const struct fg_program *program,
                                       const struct fg_memory *memory, struct fg_message *message) {
    (void)message;
    struct reference *reference = (struct reference *)backend;
    reference->status = FG_OK;
    for (uint32_t i = 0; i < program->steps && reference->status == FG_OK; i++) {
        const struct fg_step *step = &program->step[i];
        const struct fg_kernel *kernel = &backend->kernel[step->op];
        reference->status = (step->pass == FG_FORWARD ? kernel->forward : kernel->backward)(
            backend, step, memory, &reference->message);
    }
    return FG_OK;
}

static enum fg_status reference_poll(struct fg_backend *backend, int64_t deadline_ns,
                                     struct fg_message *message) {
    (void)deadline_ns;
    struct reference *reference = (struct reference *)backend;
    const enum fg_status status = reference->status;
    if (status != FG_OK && message) {
        *message = reference->message;
    }
    reference->status = FG_OK;
    return status;
}

static void reference_forget(struct fg_backend *backend, const struct fg_program *program) {
    (void)backend;
    (void)program;
}

static void reference_close(struct fg_backend *backend) {
    free(backend);
}

enum fg_status fg_reference_open(struct fg_backend **backend, struct fg_message *message) {
    struct reference *reference = calloc(1, sizeof *reference);
    if (!reference) {
        return fg_fail(message, FG_ENVIRONMENT, "no memory for the reference backend");
    }
    for (int op = 0; op < FG_OPERATORS; op++) {
        reference->kernel[op] = *kernels[op];
    }
    reference->base = (struct fg_backend){
        .name = "reference",
        .version = "1",
        .compute = FG_F64,
        .quantised = true,
        .device = {.name = "one thread, doubles", .threads = 1, .lanes = FG_MAX_LANES, .host_memory = true},
        .kernel = reference->kernel,
        .reserve = reference_reserve,
        .release = reference_release,
        .reaches = reference_reaches,
        .upload = reference_upload,
        .download = reference_download,
        .prepare = reference_prepare,
        .forget = reference_forget,
        .submit = reference_submit,
        .poll = reference_poll,
        .close = reference_close};
    *backend = &reference->base;
    return FG_OK;
}
