/* flawgate bench NAME.fgb|BACKBONE: how fast this machine judges, and (for a
 * backbone, with random weights at 256 px) how fast it trains. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/inference.h"
#include "runtime/json.h"
#include "runtime/station.h"
#include "tools/arguments.h"
#include "tools/tool.h"
#include "trainer/graph.h"
#include "trainer/train.h"

#define SIDE 256
#define BATCH 16
#define WARM_UP 3
#define LEAST_RUNS 20
#define MOST_RUNS 500
#define BUDGET_NS (15 * FG_S)
#define TRAINING_STEPS 5

const char fg_help_bench[] = "usage: flawgate bench NAME.fgb|BACKBONE [--device NAME] [--threads N] "
                             "[--json]\n"
                             "BACKBONE is resnet18, resnet34, resnet50 or wide_resnet50_2.\n";

struct bench {
    struct fg_arguments common;
    const char *subject;
    struct fg_backend *backend;
    double p50_ms, p99_ms, max_ms, images_per_second;
    double training_images_per_second; /* 0: not measured */
    uint32_t runs;
};

static enum fg_status read_arguments(int argc, char **argv, struct bench *b, struct fg_message *message) {
    static const struct option names[] = {FG_COMMON_OPTIONS, {NULL, 0, NULL, 0}};
    memset(b, 0, sizeof *b);
    fg_arguments_begin(&b->common);
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        enum fg_status status = fg_arguments_take(&b->common, option, argv, message);
        if (status != FG_OK)
            return status;
    }
    if (argc - optind != 1)
        return fg_fail(message, FG_USAGE, "one bundle or backbone is needed");
    b->subject = argv[optind];
    return FG_OK;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Times run until enough runs or time are spent. */
static enum fg_status time_runs(struct bench *b, enum fg_status (*run)(void *, struct fg_message *),
                                void *argument, struct fg_message *message) {
    double ms[MOST_RUNS], sum = 0;
    enum fg_status status = FG_OK;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "judging for about %d s\n", (int)(BUDGET_NS / FG_S));
    for (int i = 0; i < WARM_UP && status == FG_OK; i++)
        status = run(argument, message);
    const int64_t begin = fg_clock_ns();
    while (status == FG_OK && b->runs < MOST_RUNS &&
           (b->runs < LEAST_RUNS || fg_clock_ns() - begin < BUDGET_NS)) {
        const int64_t start = fg_clock_ns();
        status = run(argument, message);
        ms[b->runs] = (double)(fg_clock_ns() - start) / 1e6;
        sum += ms[b->runs++];
    }
    if (status != FG_OK)
        return status;
    qsort(ms, b->runs, sizeof *ms, by_value);
    b->p50_ms = ms[b->runs / 2];
    b->p99_ms = ms[(b->runs - 1) * 99 / 100];
    b->max_ms = ms[b->runs - 1];
    b->images_per_second = 1000 * b->runs / sum;
    return FG_OK;
}

static enum fg_status run_self_test(void *argument, struct fg_message *message) {
    struct fg_station *station = argument;
    return fg_engine_self_test(station->engine, message);
}

static enum fg_status bench_bundle(struct bench *b, struct fg_message *message) {
    struct fg_station station;
    enum fg_status status = fg_station_open(&station, b->subject, b->backend, true, message);
    if (status != FG_OK)
        return status;
    status = time_runs(b, run_self_test, &station, message);
    fg_station_close(&station);
    return status;
}

struct judging {
    struct fg_backend *backend;
    struct fg_inference inference;
    struct fg_memory memory;
};

static enum fg_status run_judging(void *argument, struct fg_message *message) {
    struct judging *j = argument;
    return fg_backend_run(j->backend, j->inference.program, &j->memory, message);
}

static enum fg_status bench_judging(struct bench *b, const struct fg_weights *weights, const uint8_t *picture,
                                    struct fg_message *message) {
    struct judging j = {.backend = b->backend};
    enum fg_status status =
        fg_inference_open(&j.inference, weights->network, b->backend, 1, SIDE, SIDE, message);
    if (status != FG_OK)
        return status;
    const size_t *bytes = j.inference.program->bytes;
    for (int r = 0; r < FG_REGIONS && status == FG_OK; r++)
        if (bytes[r] && r != FG_REGION_FRAME)
            status = b->backend->reserve(b->backend, r == FG_REGION_IO ? FG_STORE_HOST : FG_STORE_DEVICE,
                                         bytes[r], &j.memory.region[r], message);
    if (status == FG_OK) {
        fg_weights_fold(weights, j.inference.frozen, -1, j.memory.region[FG_REGION_FROZEN]);
        fg_inference_set_frame(&j.inference, &j.memory, picture, SIDE, SIDE, FG_RGB8, SIDE * 3);
        status = b->backend->prepare(b->backend, j.inference.program, &j.memory, message);
    }
    if (status == FG_OK)
        status = time_runs(b, run_judging, &j, message);
    b->backend->forget(b->backend, j.inference.program);
    j.memory.region[FG_REGION_FRAME] = NULL;
    for (int r = 0; r < FG_REGIONS; r++)
        if (j.memory.region[r])
            b->backend->release(b->backend, j.memory.region[r]);
    fg_inference_close(&j.inference);
    return status;
}

/* On a terminal only; a training step of a large backbone takes many seconds. */
static void show(const char *what, uint32_t done, uint32_t of) {
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%s: %u of %u pictures  %s", what, done, of, done == of ? "\n" : "");
}

static void show_warm_up(void *argument, uint32_t pictures) {
    (void)argument;
    show("training, to warm up", pictures, BATCH * TRAINING_STEPS);
}

static void show_timed(void *argument, uint32_t pictures) {
    (void)argument;
    show("training, timed", pictures, BATCH * TRAINING_STEPS);
}

/* Two epochs, the second timed. Validation is of one picture. */
static enum fg_status bench_training(struct bench *b, struct fg_weights *weights, const uint8_t *pixels,
                                     struct fg_message *message) {
    uint32_t train[BATCH * TRAINING_STEPS], held_out = 0;
    for (uint32_t i = 0; i < BATCH * TRAINING_STEPS; i++)
        train[i] = i % BATCH;
    const struct fg_pictures pictures = {.pixels = pixels,
                                         .count = BATCH,
                                         .train = train,
                                         .trains = BATCH * TRAINING_STEPS,
                                         .held_out = &held_out,
                                         .held_outs = 1};
    struct fg_training training = fg_training_defaults();
    training.batch = BATCH;
    struct fg_trainer *trainer;
    enum fg_status status = fg_trainer_open(&training, weights, &pictures, b->backend, &trainer, message);
    if (status != FG_OK)
        return status;
    status = fg_trainer_epoch(trainer, show_warm_up, NULL, message);
    if (status == FG_OK) {
        const int64_t start = fg_clock_ns();
        status = fg_trainer_epoch(trainer, show_timed, NULL, message);
        b->training_images_per_second = BATCH * TRAINING_STEPS / ((double)(fg_clock_ns() - start) / 1e9);
    }
    fg_trainer_close(trainer);
    return status;
}

static enum fg_status bench_backbone(struct bench *b, enum fg_backbone backbone, struct fg_message *message) {
    static struct fg_network network;
    const struct fg_network_spec spec = {.backbone = backbone,
                                         .height = SIDE,
                                         .width = SIDE,
                                         .base = 64,
                                         .scconv = true,
                                         .simam = true,
                                         .fmm = true,
                                         .levels = 7};
    struct fg_weights weights = {0};
    uint8_t *pixels = malloc((size_t)BATCH * SIDE * SIDE * 3);
    enum fg_status status = pixels ? fg_network_init(&network, &spec, message)
                                   : fg_fail(message, FG_ENVIRONMENT, "bench: no memory for pictures");
    for (size_t i = 0; pixels && i < (size_t)BATCH * SIDE * SIDE * 3; i++)
        pixels[i] = (uint8_t)(i * 2654435761u >> 13);
    if (status == FG_OK)
        status = fg_weights_open(&weights, &network, message);
    if (status == FG_OK) {
        fg_weights_draw(&weights, 0, true);
        status = bench_judging(b, &weights, pixels, message);
    }
    if (status == FG_OK)
        status = bench_training(b, &weights, pixels, message);
    fg_weights_close(&weights);
    free(pixels);
    return status;
}

static void print(const struct bench *b) {
    const struct fg_device *device = &b->backend->device;
    if (b->common.json) {
        printf("{\"subject\": ");
        fg_json_text(stdout, b->subject);
        printf(", \"backend\": \"%s\", \"device\": ", b->backend->name);
        fg_json_text(stdout, device->name);
        printf(", \"threads\": %u, \"runs\": %u, \"p50_ms\": %.3f, \"p99_ms\": "
               "%.3f, \"max_ms\": %.3f, "
               "\"images_per_second\": %.3f, \"training_images_per_second\": ",
               device->threads, b->runs, b->p50_ms, b->p99_ms, b->max_ms, b->images_per_second);
        fg_json_number(stdout, b->training_images_per_second > 0 ? b->training_images_per_second : NAN);
        printf("}\n");
        return;
    }
    printf("%s on %s (%s, %u threads)\n", b->subject, device->name, b->backend->name, device->threads);
    printf("judging, batch 1: median %.1f ms, 99th percentile %.1f ms, maximum "
           "%.1f ms of %u runs; %.1f "
           "images/s\n",
           b->p50_ms, b->p99_ms, b->max_ms, b->runs, b->images_per_second);
    if (b->training_images_per_second > 0)
        printf("training, batch %d: %.2f images/s\n", BATCH, b->training_images_per_second);
}

int fg_tool_bench(int argc, char **argv) {
    struct bench b;
    struct fg_message message;
    enum fg_status status = read_arguments(argc, argv, &b, &message);
    if (status != FG_OK) {
        fprintf(stderr, "flawgate bench: %s\n%s", message.text, fg_help_bench);
        return fg_exit_status(status);
    }
    status = fg_arguments_device(&b.common, &b.backend, &message);
    if (status == FG_OK) {
        const enum fg_backbone backbone = fg_backbone_find(b.subject);
        status =
            backbone == FG_BACKBONES ? bench_bundle(&b, &message) : bench_backbone(&b, backbone, &message);
    }
    if (status == FG_OK)
        print(&b);
    else
        fprintf(stderr, "flawgate bench: %s\n", message.text);
    if (b.backend)
        b.backend->close(b.backend);
    return fg_exit_status(status);
}
