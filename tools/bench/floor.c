/* Computes the least time of a program, from rates that were measured or stand in a data sheet. */
#include "tools/bench/floor.h"

#include <assert.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/network/plan.h"

/* ---- Data sheets ---- */

/* Operations a second (dense float16 with float32 sums on tensor cores) and bytes a second, in the order of
 * FG_SHEETS. */
static const struct {
    double operations, bytes;
} sheets[] = {
    {989e12, 4.8e12},   /* H200 */
    {989e12, 3.35e12},  /* H100 */
    {165e12, 1.008e12}, /* RTX 4090 */
    {42.5e12, 204.8e9}, /* Jetson Orin 64 GB */
};

struct fg_rates fg_rates_of_sheet(uint32_t i) {
    assert(i < sizeof sheets / sizeof *sheets);
    return (struct fg_rates){.source = "data sheet",
                             .operations = sheets[i].operations,
                             .bytes = sheets[i].bytes,
                             .value_bytes = 2};
}

/* ---- The floor ---- */

double fg_floor_multiply_adds(const struct fg_step *step) {
    if (step->op != FG_CONV && step->op != FG_DECONV)
        return 0;
    /* Every weight is used once at each position of the output, or of a transposed convolution's input. */
    const struct fg_tensor *at = step->op == FG_CONV ? step->out[0] : step->in[0];
    return (double)fg_tensor_count(step->param[0]) * at->n * at->h * at->w;
}

double fg_floor_bytes(const struct fg_step *step, double value_bytes) {
    const struct fg_tensor *operand[FG_MAX_IN + FG_MAX_PARAM + FG_MAX_OUT];
    memcpy(operand, step->in, sizeof step->in);
    memcpy(operand + FG_MAX_IN, step->param, sizeof step->param);
    memcpy(operand + FG_MAX_IN + FG_MAX_PARAM, step->out, sizeof step->out);
    double bytes = 0;
    for (size_t i = 0; i < sizeof operand / sizeof *operand; i++)
        if (operand[i])
            bytes += value_bytes > 0 && operand[i]->dtype != FG_U8
                         ? value_bytes * (double)fg_tensor_count(operand[i])
                         : (double)fg_tensor_bytes(operand[i]);
    return bytes;
}

/* What is not a convolution is limited by its bytes. */
static double count_operations(const struct fg_step *step) {
    return 2 * fg_floor_multiply_adds(step);
}

double fg_floor_seconds(const struct fg_program *program, const struct fg_rates *rates) {
    double sum = program->steps * rates->node_s;
    for (uint32_t s = 0; s < program->steps; s++) {
        const double computing = count_operations(&program->step[s]) / rates->operations,
                     moving = fg_floor_bytes(&program->step[s], rates->value_bytes) / rates->bytes;
        sum += computing > moving ? computing : moving;
    }
    return sum;
}

/* ---- Measuring ---- */

#define CHAIN 64            /* steps in the longer chain */
#define LEAST_NS (FG_S / 5) /* time for which a program is run at least */

/* A program that is only timed, with its memory. */
struct probe {
    struct fg_backend *backend;
    struct fg_plan *plan;
    const struct fg_program *program;
    struct fg_memory memory;
};

static enum fg_status open_probe(struct probe *p, struct fg_message *message) {
    struct fg_plan_report report;
    enum fg_status status = fg_plan_finish(p->plan, p->backend, &p->program, &report, message);
    for (int s = 0; s < FG_SEGMENTS && status == FG_OK; s++)
        if (p->program->bytes[s])
            status = p->backend->reserve(p->backend, FG_STORE_DEVICE, p->program->bytes[s],
                                         &p->memory.segment[s], message);
    return status == FG_OK ? p->backend->prepare(p->backend, p->program, &p->memory, message) : status;
}

static void close_probe(struct probe *p) {
    if (p->program)
        p->backend->forget(p->backend, p->program);
    for (int s = 0; s < FG_SEGMENTS; s++)
        if (p->memory.segment[s])
            p->backend->release(p->backend, p->memory.segment[s]);
    fg_plan_close(p->plan);
}

/* Gives the seconds of the shortest run. */
static enum fg_status time_probe(struct probe *p, double *seconds, struct fg_message *message) {
    enum fg_status status = FG_OK;
    const int64_t end = fg_clock_ns() + LEAST_NS;
    *seconds = 1e9;
    for (int i = 0; status == FG_OK && (i < 5 || fg_clock_ns() < end); i++) {
        const int64_t begin = fg_clock_ns();
        status = fg_backend_run(p->backend, p->program, &p->memory, message);
        const double spent = (double)(fg_clock_ns() - begin) / 1e9;
        *seconds = spent < *seconds ? spent : *seconds;
    }
    return status;
}

static enum fg_status begin_probe(struct probe *p, struct fg_backend *backend, struct fg_message *message) {
    *p = (struct probe){.backend = backend};
    return fg_plan_open(4 * CHAIN, CHAIN + 1, 1, &p->plan, message);
}

static const struct fg_tensor *take_values(struct probe *p, int32_t n, int32_t side, int32_t c) {
    return fg_plan_tensor(p->plan, FG_SEGMENT_ACTIVATIONS, p->backend->compute, n, side, side, c);
}

/* Measures the operations a second of a convolution, and raises *best to it where it is more. */
static enum fg_status measure_conv(struct fg_backend *backend, int32_t n, int32_t side, int32_t c,
                                   int32_t kernel, double *best, struct fg_message *message) {
    struct probe p;
    double seconds = 0;
    enum fg_status status = begin_probe(&p, backend, message);
    if (status != FG_OK)
        return status;
    struct fg_step step = {.op = FG_CONV, .stride = 1, .groups = 1, .in = {take_values(&p, n, side, c)}};
    step.param[0] = fg_plan_tensor(p.plan, FG_SEGMENT_FROZEN, backend->compute, c, kernel, kernel, c);
    step.out[0] = take_values(&p, n, side, c);
    fg_plan_step(p.plan, &step, 0);
    status = open_probe(&p, message);
    if (status == FG_OK)
        status = time_probe(&p, &seconds, message);
    if (status == FG_OK && count_operations(&step) / seconds > *best)
        *best = count_operations(&step) / seconds;
    close_probe(&p);
    return status;
}

/* Measures the seconds of one copy, *a_step, which moves *bytes bytes. Two chains of copies are timed, so
 * that the start of a program does not count. */
static enum fg_status measure_copies(struct fg_backend *backend, int32_t n, int32_t side, int32_t c,
                                     double *a_step, double *bytes, struct fg_message *message) {
    double seconds[2] = {0};
    const uint32_t lengths[2] = {CHAIN / 8, CHAIN};
    for (int i = 0; i < 2; i++) {
        struct probe p;
        enum fg_status status = begin_probe(&p, backend, message);
        if (status != FG_OK)
            return status;
        const struct fg_tensor *ends[2] = {take_values(&p, n, side, c), take_values(&p, n, side, c)};
        for (uint32_t s = 0; s < lengths[i]; s++) {
            const struct fg_step step = {.op = FG_CONCAT, .in = {ends[s % 2]}, .out = {ends[(s + 1) % 2]}};
            *bytes = fg_floor_bytes(&step, 0);
            fg_plan_step(p.plan, &step, 0);
        }
        status = open_probe(&p, message);
        if (status == FG_OK)
            status = time_probe(&p, &seconds[i], message);
        close_probe(&p);
        if (status != FG_OK)
            return status;
    }
    *a_step = (seconds[1] - seconds[0]) / (lengths[1] - lengths[0]);
    return FG_OK;
}

enum fg_status fg_rates_measure(struct fg_backend *backend, struct fg_rates *rates,
                                struct fg_message *message) {
    const bool host = backend->device.host_memory; /* a processor has a thousandth of a GPU's rate */
    const int32_t batch = host ? 1 : 32;
    *rates = (struct fg_rates){.source = "measured here"};
    double seconds = 0, bytes = 0;
    enum fg_status status =
        measure_conv(backend, batch, 32, host ? 256 : 1024, 1, &rates->operations, message);
    if (status == FG_OK)
        status = measure_conv(backend, batch, 32, host ? 256 : 1024, 3, &rates->operations, message);
    if (status == FG_OK)
        status = measure_copies(backend, batch, 256, 128, &seconds, &bytes, message);
    if (status != FG_OK)
        return status;
    rates->bytes = bytes / seconds;
    status = measure_copies(backend, 1, 1, 1, &seconds, &bytes, message);
    rates->node_s = seconds > 0 ? seconds : 0;
    return status;
}
