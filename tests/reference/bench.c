/* Draws a bench's values, guards them, runs a step on both backends and compares. */
#include "tests/reference/bench.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/philox.h"
#include "runtime/base/half.h"
#include "tests/reference/reference.h"

#define GUARD 0xA5

void fg_bench_open(struct fg_bench *bench, uint64_t seed) {
    *bench = (struct fg_bench){.seed = seed};
    assert_int_equal(fg_reference_open(&bench->reference, NULL), FG_OK);
    void *narrow = NULL, *wide = NULL;
    assert_int_equal(
        bench->reference->reserve(bench->reference, FG_STORE_DEVICE, FG_BENCH_BYTES, &narrow, NULL), FG_OK);
    assert_int_equal(
        bench->reference->reserve(bench->reference, FG_STORE_DEVICE, 2 * FG_BENCH_BYTES, &wide, NULL), FG_OK);
    memset(narrow, GUARD, FG_BENCH_BYTES);
    for (int r = 0; r < FG_SEGMENTS; r++) {
        bench->narrow_memory.segment[r] = narrow;
        bench->wide_memory.segment[r] = wide;
    }
}

void fg_bench_close(struct fg_bench *bench) {
    bench->reference->release(bench->reference, bench->narrow_memory.segment[FG_SEGMENT_FROZEN]);
    bench->reference->release(bench->reference, bench->wide_memory.segment[FG_SEGMENT_FROZEN]);
    bench->reference->close(bench->reference);
}

float fg_bench_draw(struct fg_bench *bench, float low, float high) {
    const struct fg_philox r = fg_philox(bench->seed, bench->drawn++, 0, 0, 0);
    return low + (high - low) * fg_philox_uniform(r.word[0]);
}

int32_t fg_bench_pick(struct fg_bench *bench, int32_t low, int32_t high) {
    const struct fg_philox r = fg_philox(bench->seed, bench->drawn++, 0, 0, 0);
    return low + (int32_t)(r.word[0] % (uint32_t)(high - low + 1));
}

/* Whether a type's values are whole numbers, the same on both backends. */
static bool is_whole(enum fg_dtype dtype) {
    return dtype == FG_U8 || dtype == FG_I8;
}

/* All segments but scratch are one block. */
static const struct fg_tensor *add(struct fg_bench *bench, enum fg_dtype dtype, int32_t n, int32_t h,
                                   int32_t w, int32_t c) {
    assert_true(bench->tensors < FG_BENCH_TENSORS);
    struct fg_tensor *narrow = &bench->narrow[bench->tensors], *wide = &bench->wide[bench->tensors];
    bench->tensors++;
    *narrow = (struct fg_tensor){.dtype = dtype,
                                 .n = n,
                                 .h = h,
                                 .w = w,
                                 .c = c,
                                 .segment = FG_SEGMENT_ACTIVATIONS,
                                 .offset = bench->narrow_bytes};
    *wide = *narrow;
    wide->dtype = is_whole(dtype) ? dtype : FG_F64;
    wide->offset = bench->wide_bytes;
    bench->narrow_bytes += fg_size_align(fg_tensor_bytes(narrow) + FG_ALIGNMENT);
    bench->wide_bytes += fg_size_align(fg_tensor_bytes(wide) + FG_ALIGNMENT);
    assert_true(bench->narrow_bytes <= FG_BENCH_BYTES && bench->wide_bytes <= 2 * FG_BENCH_BYTES);
    return narrow;
}

const struct fg_tensor *fg_bench_values(struct fg_bench *bench, int32_t n, int32_t h, int32_t w, int32_t c,
                                        float low, float high) {
    const struct fg_tensor *t = add(bench, FG_F32, n, h, w, c);
    float *value = fg_bench_narrow(bench, t);
    for (size_t i = 0; i < fg_tensor_count(t); i++) {
        value[i] = fg_bench_draw(bench, low, high);
    }
    return t;
}

const struct fg_tensor *fg_bench_empty(struct fg_bench *bench, int32_t n, int32_t h, int32_t w, int32_t c) {
    const struct fg_tensor *t = add(bench, FG_F32, n, h, w, c);
    memset(fg_bench_narrow(bench, t), 0xff, fg_tensor_bytes(t));
    return t;
}

const struct fg_tensor *fg_bench_bytes(struct fg_bench *bench, int32_t n, int32_t h, int32_t w, int32_t c) {
    const struct fg_tensor *t = add(bench, FG_U8, n, h, w, c);
    memset(fg_bench_narrow(bench, t), 0, fg_tensor_bytes(t));
    return t;
}

const struct fg_tensor *fg_bench_whole(struct fg_bench *bench, enum fg_dtype dtype, int32_t n, int32_t h,
                                       int32_t w, int32_t c, int32_t low, int32_t high) {
    const struct fg_tensor *t = add(bench, dtype, n, h, w, c);
    uint8_t *value = fg_bench_narrow(bench, t);
    for (size_t i = 0; i < fg_tensor_count(t); i++) {
        value[i] = (uint8_t)fg_bench_pick(bench, low, high);
    }
    return t;
}

void fg_bench_quantise(struct fg_bench *bench, const struct fg_tensor *tensor, float scale, int32_t zero) {
    struct fg_tensor *both[] = {&bench->narrow[tensor - bench->narrow], &bench->wide[tensor - bench->narrow]};
    for (int i = 0; i < 2; i++) {
        both[i]->scale = scale;
        both[i]->zero = zero;
    }
}

const struct fg_tensor *fg_bench_half(struct fg_bench *bench, const struct fg_tensor *tensor) {
    const struct fg_tensor *t = add(bench, FG_F16, tensor->n, tensor->h, tensor->w, tensor->c);
    uint16_t *half = fg_bench_narrow(bench, t);
    float *value = fg_bench_narrow(bench, tensor);
    for (size_t i = 0; i < fg_tensor_count(t); i++) {
        half[i] = fg_float_to_half(value[i]);
        value[i] = fg_half_to_float(half[i]);
    }
    return t;
}

const struct fg_tensor *fg_bench_empty_half(struct fg_bench *bench, int32_t n, int32_t h, int32_t w,
                                            int32_t c) {
    const struct fg_tensor *t = add(bench, FG_F16, n, h, w, c);
    memset(fg_bench_narrow(bench, t), 0xff, fg_tensor_bytes(t));
    return t;
}

void fg_bench_freeze(struct fg_bench *bench, const struct fg_tensor *weight) {
    bench->narrow[weight - bench->narrow].segment = FG_SEGMENT_FROZEN;
}

void *fg_bench_narrow(const struct fg_bench *bench, const struct fg_tensor *tensor) {
    return fg_tensor_data(tensor, &bench->narrow_memory);
}

static const struct fg_tensor *widened(const struct fg_bench *bench, const struct fg_tensor *tensor) {
    return tensor ? &bench->wide[tensor - bench->narrow] : NULL;
}

double *fg_bench_wide(const struct fg_bench *bench, const struct fg_tensor *tensor) {
    return fg_tensor_data(widened(bench, tensor), &bench->wide_memory);
}

/* A value of a tensor that is not bytes. */
static double value_at(const struct fg_bench *bench, const struct fg_tensor *tensor, size_t i) {
    const void *values = fg_bench_narrow(bench, tensor);
    return tensor->dtype == FG_F16 ? (double)fg_half_to_float(((const uint16_t *)values)[i])
                                   : (double)((const float *)values)[i];
}

void fg_bench_widen(const struct fg_bench *bench) {
    for (uint32_t t = 0; t < bench->tensors; t++) {
        const struct fg_tensor *tensor = &bench->narrow[t];
        double *to = fg_bench_wide(bench, tensor);
        if (is_whole(tensor->dtype)) {
            memcpy(to, fg_bench_narrow(bench, tensor), fg_tensor_bytes(tensor));
            continue;
        }
        for (size_t i = 0; i < fg_tensor_count(tensor); i++) {
            to[i] = value_at(bench, tensor, i);
        }
    }
}

static void check_guards(const struct fg_bench *bench) {
    for (uint32_t t = 0; t < bench->tensors; t++) {
        const struct fg_tensor *tensor = &bench->narrow[t];
        const uint8_t *byte = fg_bench_narrow(bench, tensor);
        const size_t end = fg_size_align(fg_tensor_bytes(tensor) + FG_ALIGNMENT);
        for (size_t i = fg_tensor_bytes(tensor); i < end; i++) {
            assert_int_equal(byte[i], GUARD);
        }
    }
}

/* Takes exactly this number of bytes, so that the address sanitizer sees the first one too many; all NaN. */
static void *scratch(size_t bytes) {
    const size_t padded = bytes > 0 ? bytes : 1;
    void *block = NULL;
    assert_int_equal(posix_memalign(&block, FG_ALIGNMENT, padded), 0);
    memset(block, 0xff, padded);
    return block;
}

static void ok(enum fg_status status, const struct fg_message *message) {
    if (status != FG_OK) {
        fail_msg("%s", message->text);
    }
}

static void run_here(struct fg_backend *backend, const struct fg_program *program,
                     const struct fg_memory *memory) {
    struct fg_message message = {""};
    ok(backend->prepare(backend, program, memory, &message), &message);
    ok(fg_backend_run(backend, program, memory, &message), &message);
    backend->forget(backend, program);
}

/* On a device with memory of its own: all that the host's holds goes there and comes back. */
static void run_there(const struct fg_bench *bench, struct fg_backend *backend,
                      const struct fg_program *program) {
    struct fg_message message = {""};
    struct fg_memory memory = {{NULL}};
    const struct fg_step *step = &program->step[0];
    void *values = NULL, *host = bench->narrow_memory.segment[FG_SEGMENT_FROZEN];
    ok(backend->reserve(backend, FG_STORE_DEVICE, FG_BENCH_BYTES, &values, &message), &message);
    for (int r = 0; r < FG_SEGMENTS; r++) {
        memory.segment[r] = values;
    }
    void **workspace = &memory.segment[FG_SEGMENT_WORKSPACE],
         **prepared = &memory.segment[FG_SEGMENT_PREPARED];
    ok(backend->reserve(backend, FG_STORE_DEVICE, step->workspace_bytes, workspace, &message), &message);
    ok(backend->reserve(backend, FG_STORE_DEVICE, step->prepared_bytes, prepared, &message), &message);
    ok(backend->upload(backend, values, host, FG_BENCH_BYTES, &message), &message);
    ok(backend->prepare(backend, program, &memory, &message), &message);
    /* Measuring has run the step, on what it is to be given. */
    ok(backend->upload(backend, values, host, FG_BENCH_BYTES, &message), &message);
    ok(fg_backend_run(backend, program, &memory, &message), &message);
    ok(backend->download(backend, host, values, FG_BENCH_BYTES, &message), &message);
    backend->forget(backend, program);
    backend->release(backend, values);
    backend->release(backend, *workspace);
    backend->release(backend, *prepared);
}

void fg_bench_run(struct fg_bench *bench, struct fg_backend *backend, const struct fg_step *step) {
    fg_bench_widen(bench);
    const struct fg_kernel *kernel = &backend->kernel[step->op];
    struct fg_step planned = *step;
    assert_true(kernel->supports(backend, &planned));
    planned.prepared_bytes = kernel->prepared && planned.param[0] && planned.pass == FG_FORWARD
                                 ? kernel->prepared(backend, &planned)
                                 : 0;
    planned.workspace_bytes = kernel->workspace ? kernel->workspace(backend, &planned) : 0;
    const struct fg_program program = {.step = &planned, .steps = 1, .lanes = 1};
    if (backend->device.host_memory) {
        struct fg_memory memory = bench->narrow_memory;
        memory.segment[FG_SEGMENT_PREPARED] = scratch(planned.prepared_bytes);
        memory.segment[FG_SEGMENT_WORKSPACE] = scratch(planned.workspace_bytes);
        run_here(backend, &program, &memory);
        free(memory.segment[FG_SEGMENT_PREPARED]);
        free(memory.segment[FG_SEGMENT_WORKSPACE]);
    } else {
        run_there(bench, backend, &program);
    }
    check_guards(bench);
    fg_bench_run_reference(bench, step);
}

void fg_bench_run_reference(const struct fg_bench *bench, const struct fg_step *step) {
    struct fg_step wide = *step;
    for (int i = 0; i < FG_MAX_IN; i++) {
        wide.in[i] = widened(bench, step->in[i]);
        wide.d_in[i] = widened(bench, step->d_in[i]);
    }
    for (int i = 0; i < FG_MAX_PARAM; i++) {
        wide.param[i] = widened(bench, step->param[i]);
        wide.d_param[i] = widened(bench, step->d_param[i]);
    }
    for (int i = 0; i < FG_MAX_OUT; i++) {
        wide.out[i] = widened(bench, step->out[i]);
        wide.d_out[i] = widened(bench, step->d_out[i]);
    }
    assert_true(bench->reference->kernel[step->op].supports(bench->reference, &wide));
    const struct fg_program program = {.step = &wide, .steps = 1, .lanes = 1};
    assert_int_equal(fg_backend_run(bench->reference, &program, &bench->wide_memory, NULL), FG_OK);
}

double fg_bench_error(const struct fg_bench *bench, const struct fg_tensor *tensor) {
    const double *b = fg_bench_wide(bench, tensor);
    double error = 0, largest = 0;
    for (size_t i = 0; i < fg_tensor_count(tensor); i++) {
        const double a = value_at(bench, tensor, i);
        if (isnan(a) || isnan(b[i])) {
            error = isnan(a) && isnan(b[i]) ? error : INFINITY;
            continue;
        }
        error = fmax(error, fabs(a - b[i]));
        largest = fmax(largest, fabs(b[i]));
    }
    return error > 0 ? error / largest : 0;
}
