/* The emulated backend: its table of kernels, and memory that is the host's. */
#include <cstdlib>

#include <cuda_runtime.h>

extern "C" {
#include "kernels/cuda/host/cuda.h"
#include "tests/cuda/emulated.h"
}

struct emulated {
    struct fg_backend base; /* first: the table's functions are given it */
    struct fg_kernel kernel[FG_OPERATORS];
    uint64_t seed;
    enum fg_status status; /* the last run's */
};

cudaStream_t fg_cuda_stream(struct fg_backend *backend, const struct fg_step *step) {
    (void)backend;
    (void)step;
    return nullptr;
}

static enum fg_status prepare(struct fg_backend *backend, const struct fg_program *program,
                              const struct fg_memory *memory, struct fg_message *message) {
    (void)backend;
    (void)program;
    (void)memory;
    (void)message;
    return FG_OK;
}

static enum fg_status submit(struct fg_backend *backend, const struct fg_program *program,
                             const struct fg_memory *memory, struct fg_message *message) {
    struct emulated *e = reinterpret_cast<struct emulated *>(backend);
    e->status = FG_OK;
    fg_emulator::seed(e->seed);
    for (uint32_t i = 0; i < program->steps && e->status == FG_OK; i++) {
        const struct fg_step *step = &program->step[i];
        const struct fg_kernel *kernel = &backend->kernel[step->op];
        e->status =
            (step->pass == FG_FORWARD ? kernel->forward : kernel->backward)(backend, step, memory, message);
    }
    return e->status;
}

static void forget(struct fg_backend *backend, const struct fg_program *program) {
    (void)backend;
    (void)program;
}

static enum fg_status poll(struct fg_backend *backend, int64_t deadline_ns, struct fg_message *message) {
    (void)deadline_ns;
    (void)message;
    return reinterpret_cast<struct emulated *>(backend)->status;
}

static void close(struct fg_backend *backend) {
    free(backend);
}

enum fg_status fg_emulated_open(uint64_t seed, struct fg_backend **backend, struct fg_message *message) {
    struct emulated *e = static_cast<struct emulated *>(calloc(1, sizeof *e));
    if (!e)
        return fg_fail(message, FG_ENVIRONMENT, "no memory for a backend");
    e->seed = seed;
    e->kernel[FG_MAX_POOL] = fg_cuda_max_pool;
    e->kernel[FG_CONCAT] = fg_cuda_concat;
    e->kernel[FG_MASK] = fg_cuda_mask;
    e->kernel[FG_COSINE] = fg_cuda_cosine;
    e->kernel[FG_DISTILL] = fg_cuda_distill;
    e->kernel[FG_ADAM] = fg_cuda_adam;
    e->kernel[FG_SIMAM] = fg_cuda_simam;
    e->kernel[FG_MOMENTS] = fg_cuda_moments;
    e->kernel[FG_SRU] = fg_cuda_sru;
    e->kernel[FG_CRU] = fg_cuda_cru;
    e->kernel[FG_BATCH_NORM] = fg_cuda_batch_norm;
    e->kernel[FG_ANOMALY_MAP] = fg_cuda_anomaly_map;
    e->kernel[FG_NORMALISE] = fg_cuda_normalise;
    e->kernel[FG_RESIZE] = fg_cuda_resize;
    e->base.name = "emulated";
    e->base.version = "1";
    e->base.compute = FG_F32;
    e->base.device.lanes = 1;
    e->base.device.host_memory = true;
    e->base.kernel = e->kernel;
    e->base.prepare = prepare;
    e->base.forget = forget;
    e->base.submit = submit;
    e->base.poll = poll;
    e->base.close = close;
    *backend = &e->base;
    return FG_OK;
}
