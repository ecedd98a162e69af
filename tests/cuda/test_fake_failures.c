/* A failure at every call of CUDA and cuDNN in turn, from opening the backend to closing it: each run ends
 * with a status that says so or with the right judgement, gives back all that it took, and a device that is
 * lost is called lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/cuda/fake.h"
#include "tests/cuda/judged.h"

static struct fg_message message;
static char bundle[64], folder[] = "/tmp/flawgate-test-XXXXXX";
static float right; /* the score without a failure */

static uint8_t picture[FG_JUDGED_SIDE * FG_JUDGED_SIDE * 3];
static const struct fg_frame frame = {.pixels = picture,
                                      .width = FG_JUDGED_SIDE,
                                      .height = FG_JUDGED_SIDE,
                                      .format = FG_RGB8,
                                      .pitch = FG_JUDGED_SIDE * 3};

static void empty_folder(void) {
    DIR *list = opendir(folder);
    if (!list)
        return;
    for (struct dirent *entry; (entry = readdir(list));) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    closedir(list);
}

static int set_up(void **state) {
    (void)state;
    snprintf(bundle, sizeof bundle, "/tmp/flawgate-test-%d.fgb", (int)getpid());
    fg_judged_write(bundle, -1, 0);
    for (size_t i = 0; i < sizeof picture; i++)
        picture[i] = (uint8_t)(i * i >> 5);
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state) {
    (void)state;
    empty_folder();
    rmdir(folder);
    unlink(bundle);
    return 0;
}

/* ---- What fails ---- */

/* Whether the backend was had; the rest may fail as the device does. */
struct outcome {
    enum fg_status status;
    bool opened, finite;
    float score;
};

static enum fg_status open_cuda(uint32_t lanes, int64_t tune_ns, struct fg_backend **backend) {
    const struct fg_cuda_settings settings = {.lanes = lanes,
                                              .workspace = FG_JUDGED_WORKSPACE,
                                              .exact = true,
                                              .tune_ns = tune_ns,
                                              .folder = folder};
    return fg_cuda_open(&settings, backend, &message);
}

/* Open, load, judge a frame, close. */
static struct outcome judge(void) {
    struct fg_backend *backend = NULL;
    struct outcome o = {.status = open_cuda(2, FG_JUDGED_TUNE, &backend)};
    if (o.status != FG_OK)
        return o;
    o.opened = true;
    struct fg_judged j;
    struct fg_judgement judgement;
    o.status = fg_judged_open(&j, bundle, backend, true, &message);
    if (o.status == FG_OK) {
        o.status = fg_judged_frame(&j, &frame, &judgement, &message);
        if (o.status == FG_OK) {
            o.score = judgement.score;
            o.finite = judgement.finite;
        }
        fg_judged_close(&j);
    }
    backend->close(backend);
    return o;
}

/* Two convolutions, whose engines are measured: the sum of what the last one gives. */
static struct outcome convolve(void) {
    struct fg_backend *backend = NULL;
    struct outcome o = {.status = open_cuda(1, FG_JUDGED_TUNE, &backend)};
    if (o.status != FG_OK)
        return o;
    o.opened = true;
    const struct fg_tensor x = {.dtype = FG_F32,
                                .n = 1,
                                .h = 4,
                                .w = 4,
                                .c = 4,
                                .segment = FG_SEGMENT_ACTIVATIONS},
                           w = {.dtype = FG_F32,
                                .n = 4,
                                .h = 3,
                                .w = 3,
                                .c = 4,
                                .segment = FG_SEGMENT_ACTIVATIONS,
                                .offset = 1024},
                           b = {.dtype = FG_F32,
                                .n = 1,
                                .h = 1,
                                .w = 1,
                                .c = 4,
                                .segment = FG_SEGMENT_ACTIVATIONS,
                                .offset = 2048},
                           y = {.dtype = FG_F32,
                                .n = 1,
                                .h = 4,
                                .w = 4,
                                .c = 4,
                                .segment = FG_SEGMENT_ACTIVATIONS,
                                .offset = 2304},
                           z = {.dtype = FG_F32,
                                .n = 1,
                                .h = 4,
                                .w = 4,
                                .c = 4,
                                .segment = FG_SEGMENT_ACTIVATIONS,
                                .offset = 3328};
    float values[4352 / sizeof(float)] = {0};
    for (size_t i = 0; i < 2304 / sizeof(float); i++)
        values[i] = (float)(i * i % 17) / 16 - 0.5f;
    struct fg_step step[2] = {{.op = FG_CONV, .stride = 1, .groups = 1},
                              {.op = FG_CONV, .stride = 1, .groups = 1}};
    for (int i = 0; i < 2; i++) {
        step[i].in[0] = i ? &y : &x;
        step[i].in[1] = i ? &x : NULL;
        step[i].param[0] = &w;
        step[i].param[1] = i ? &b : NULL;
        step[i].out[0] = i ? &z : &y;
        step[i].relu = i;
    }
    const struct fg_program program = {.step = step, .steps = 2, .lanes = 1, .key = 7};
    void *block = NULL, *scratch = NULL;
    o.status = backend->reserve(backend, FG_STORE_DEVICE, sizeof values, &block, &message);
    if (o.status == FG_OK)
        o.status = backend->reserve(backend, FG_STORE_DEVICE, FG_JUDGED_WORKSPACE, &scratch, &message);
    const struct fg_memory memory = {
        .segment = {[FG_SEGMENT_ACTIVATIONS] = block, [FG_SEGMENT_WORKSPACE] = scratch}};
    if (o.status == FG_OK)
        o.status = backend->upload(backend, block, values, sizeof values, &message);
    if (o.status == FG_OK)
        o.status = backend->prepare(backend, &program, &memory, &message);
    if (o.status == FG_OK)
        o.status = fg_backend_run(backend, &program, &memory, &message);
    if (o.status == FG_OK)
        o.status = backend->download(backend, values, block, sizeof values, &message);
    for (size_t i = z.offset / sizeof(float); i < sizeof values / sizeof(float) && o.status == FG_OK; i++)
        o.score += values[i];
    o.finite = isfinite(o.score);
    backend->close(backend);
    return o;
}

/* ---- Every call in turn ---- */

static const char *const names[FG_FAKE_FAILURES] = {"no memory", "not supported", "lost"};

static void hold(struct outcome o, uint64_t call, enum fg_fake_failure failure) {
    char text[256];
    if (o.status == FG_OK && !(o.finite && fabsf(o.score - right) <= 1e-3f * fabsf(right)))
        fail_msg("call %llu, %s: score %g, without a failure it is %g", (unsigned long long)call,
                 names[failure], (double)o.score, (double)right);
    if (o.status != FG_OK && o.opened && failure == FG_FAKE_LOST && o.status != FG_DEVICE_LOST)
        fail_msg("call %llu, lost: status %d, %s", (unsigned long long)call, (int)o.status, message.text);
    /* What cuDNN refuses, the device has not lost. */
    if (failure != FG_FAKE_LOST && o.status == FG_DEVICE_LOST && strstr(message.text, "cuDNN"))
        fail_msg("call %llu, %s: as if the device were lost: %s", (unsigned long long)call, names[failure],
                 message.text);
    if (fg_fake_left(text, sizeof text))
        fail_msg("call %llu, %s, status %d: left alive: %s", (unsigned long long)call, names[failure],
                 (int)o.status, text);
}

static void fail_each(struct outcome (*run)(void), bool keep, uint64_t apart) {
    empty_folder();
    fg_fake_fail(0, FG_FAKE_LOST);
    const struct outcome first = run();
    if (first.status != FG_OK)
        fail_msg("%s (last refusal: %s)", message.text, fg_fake_refusal());
    right = first.score;
    for (int failure = 0; failure < FG_FAKE_FAILURES; failure++) {
        uint64_t call = 1 + (uint64_t)failure % apart;
        bool beyond = false;
        for (; !beyond; call += apart) {
            if (!keep)
                empty_folder();
            fg_fake_fail(call, (enum fg_fake_failure)failure);
            const struct outcome o = run();
            beyond = fg_fake_calls() < call;
            hold(o, call, (enum fg_fake_failure)failure);
        }
        print_message("%s: every %llu. call of %llu\n", names[failure], (unsigned long long)apart,
                      (unsigned long long)fg_fake_calls());
    }
    fg_fake_fail(0, FG_FAKE_LOST);
}

static void test_choosing(void **state) {
    (void)state;
    fail_each(convolve, false, 1);
}

#ifdef __SANITIZE_ADDRESS__ /* ten times slower */
#define APART 577
#else
#define APART 29
#endif

/* All of an engine's calls take minutes: FG_EVERY=1 in the environment tries them. */
static void test_judging(void **state) {
    (void)state;
    const char *apart = getenv("FG_EVERY");
    fail_each(judge, true, apart ? strtoull(apart, NULL, 10) : APART);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choosing),
        cmocka_unit_test(test_judging),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
