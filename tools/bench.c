/* flawgate bench NAME.fgb|BACKBONE: how fast this machine judges, and (for a backbone, with random weights at 256 px) how
 * fast it trains, and how far that is from what the device could do. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/json.h"
#include "runtime/station.h"
#include "tools/arguments.h"
#include "tools/floor.h"
#include "tools/judging.h"
#include "tools/tool.h"
#include "trainer/train.h"

#define SIDE 256
#define BATCH 16
#define WARM_UP 3
#define MOST_RUNS 2000
#define TRAINING_STEPS 5
#define BATCHES 3
static const int32_t BATCH_OF[BATCHES] = {1, 8, 32};

const char fg_help_bench[] =
    "usage: flawgate bench NAME.fgb|BACKBONE [--floor[=DEVICE]] [--device NAME] [--threads N] [--json]\n"
    "BACKBONE is resnet18, resnet34, resnet50 or wide_resnet50_2.\n"
    "  --floor            for a backbone, also the least time that this device could need, from rates "
    "measured on\n"
    "                     it; with DEVICE (h200, h100, rtx4090, orin64) only that, from its data sheet\n";

/* Of one batch size. */
struct timing {
    int32_t batch;
    uint32_t runs;
    double p50_ms, p99_ms, max_ms, images_per_second;
    double floor_ms; /* 0: not asked */
};

struct bench {
    struct fg_arguments common;
    const char *subject;
    struct fg_backend *backend;
    bool floor;
    struct fg_rates rates;
    struct timing timing[BATCHES];
    uint32_t timings;
    size_t memory;                     /* bytes for batch 1; 0: not known */
    double training_images_per_second; /* 0: not measured */
    char load[128];                    /* of a bundle */
};

static enum fg_status read_arguments(int argc, char **argv, struct bench *b, struct fg_message *message) {
    enum { FLOOR = FG_OPTION_OWN };
    static const struct option names[] = {
        FG_COMMON_OPTIONS, {"floor", optional_argument, NULL, FLOOR}, {NULL, 0, NULL, 0}};
    memset(b, 0, sizeof *b);
    fg_arguments_begin(&b->common);
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == FLOOR) {
            b->floor = true;
            if (optarg && !fg_rates_find(optarg, &b->rates))
                return fg_fail(message, FG_USAGE, "--floor=%.50s: give h200, h100, rtx4090 or orin64",
                               optarg);
            continue;
        }
        enum fg_status status = fg_arguments_take(&b->common, option, argv, message);
        if (status != FG_OK)
            return status;
    }
    if (argc - optind != 1)
        return fg_fail(message, FG_USAGE, "one bundle or backbone is needed");
    b->subject = argv[optind];
    if (b->floor && fg_backbone_find(b->subject) == FG_BACKBONES)
        return fg_fail(message, FG_USAGE, "--floor is of a backbone");
    return FG_OK;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Times run until enough runs or time are spent: of one picture, 20 runs and 15 s; of a batch, 3 and 5. */
static enum fg_status time_runs(struct bench *b, int32_t batch,
                                enum fg_status (*run)(void *, struct fg_message *), void *argument,
                                struct fg_message *message) {
    const uint32_t least = batch == 1 ? 20 : 3;
    const int64_t budget = (batch == 1 ? 15 : 5) * FG_S;
    struct timing *t = &b->timing[b->timings++];
    static double ms[MOST_RUNS];
    double sum = 0;
    enum fg_status status = FG_OK;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "judging batches of %d for about %d s\n", batch, (int)(budget / FG_S));
    for (int i = 0; i < WARM_UP && status == FG_OK; i++)
        status = run(argument, message);
    *t = (struct timing){.batch = batch};
    const int64_t begin = fg_clock_ns();
    while (status == FG_OK && t->runs < MOST_RUNS && (t->runs < least || fg_clock_ns() - begin < budget)) {
        const int64_t start = fg_clock_ns();
        status = run(argument, message);
        ms[t->runs] = (double)(fg_clock_ns() - start) / 1e6;
        sum += ms[t->runs++];
    }
    if (status != FG_OK)
        return status;
    qsort(ms, t->runs, sizeof *ms, by_value);
    t->p50_ms = ms[t->runs / 2];
    t->p99_ms = ms[(t->runs - 1) * 99 / 100];
    t->max_ms = ms[t->runs - 1];
    t->images_per_second = 1000.0 * batch * t->runs / sum;
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
    fg_load_times_text(fg_engine_times(station.engine), b->load, sizeof b->load);
    b->memory = fg_arena_size(station.arena) + fg_arena_size(station.device);
    status = time_runs(b, 1, run_self_test, &station, message);
    fg_station_close(&station);
    return status;
}

/* ---- Judging ---- */

static enum fg_status run_judging(void *argument, struct fg_message *message) {
    return fg_judging_run(argument, message);
}

static enum fg_status bench_judging(struct bench *b, const struct fg_weights *weights,
                                    struct fg_message *message) {
    struct fg_folded folded;
    enum fg_status status = fg_folded_open(&folded, weights, message);
    for (int i = 0; i < BATCHES && status == FG_OK; i++) {
        struct fg_judging j;
        status = fg_judging_open(&j, b->backend, weights->network, &folded, BATCH_OF[i], message);
        for (int r = 0; r < FG_REGIONS && status == FG_OK && !i; r++)
            b->memory += j.inference.program->bytes[r];
        if (status == FG_OK)
            status = time_runs(b, BATCH_OF[i], run_judging, &j, message);
        if (status == FG_OK && b->floor)
            b->timing[i].floor_ms = 1000 * fg_floor_seconds(j.inference.program, &b->rates);
        fg_judging_close(&j);
    }
    fg_folded_close(&folded);
    return status;
}

/* ---- Training ---- */

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
    enum fg_status status = fg_trainer_open(&training, weights, &pictures, &b->backend, 1, &trainer, message);
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

static enum fg_status make_network(enum fg_backbone backbone, struct fg_network *network,
                                   struct fg_message *message) {
    const struct fg_network_spec spec = {.backbone = backbone,
                                         .height = SIDE,
                                         .width = SIDE,
                                         .base = 64,
                                         .scconv = true,
                                         .simam = true,
                                         .fmm = true,
                                         .levels = 7};
    return fg_network_init(network, &spec, message);
}

static enum fg_status bench_backbone(struct bench *b, enum fg_backbone backbone, struct fg_message *message) {
    static struct fg_network network;
    struct fg_weights weights = {0};
    uint8_t *pixels = malloc((size_t)BATCH * SIDE * SIDE * 3);
    enum fg_status status = pixels ? make_network(backbone, &network, message)
                                   : fg_fail(message, FG_ENVIRONMENT, "bench: no memory for pictures");
    for (size_t i = 0; pixels && i < (size_t)BATCH * SIDE * SIDE * 3; i++)
        pixels[i] = (uint8_t)(i * 2654435761u >> 13);
    if (status == FG_OK && b->floor)
        status = fg_rates_measure(b->backend, &b->rates, message);
    if (status == FG_OK)
        status = fg_weights_open(&weights, &network, message);
    if (status == FG_OK) {
        fg_weights_draw(&weights, 0, true);
        status = bench_judging(b, &weights, message);
    }
    if (status == FG_OK)
        status = bench_training(b, &weights, pixels, message);
    fg_weights_close(&weights);
    free(pixels);
    return status;
}

/* The floor on a data sheet's device, which need not be here. */
static enum fg_status floor_of_sheet(struct bench *b, enum fg_backbone backbone, struct fg_message *message) {
    static struct fg_network network;
    enum fg_status status = make_network(backbone, &network, message);
    for (int i = 0; i < BATCHES && status == FG_OK; i++) {
        struct fg_inference inference;
        status = fg_inference_open(&inference, &network, b->backend, BATCH_OF[i], SIDE, SIDE, message);
        if (status != FG_OK)
            break;
        b->timing[b->timings++] = (struct timing){
            .batch = BATCH_OF[i], .floor_ms = 1000 * fg_floor_seconds(inference.program, &b->rates)};
        fg_inference_close(&inference);
    }
    return status;
}

/* ---- Output ---- */

static double or_nan(double value) {
    return value > 0 ? value : NAN;
}

static void print_json(const struct bench *b) {
    const struct fg_device *device = &b->backend->device;
    printf("{\"subject\": ");
    fg_json_text(stdout, b->subject);
    printf(", \"backend\": \"%s\", \"device\": ", b->backend->name);
    fg_json_text(stdout, device->name);
    printf(", \"version\": ");
    fg_json_text(stdout, b->backend->version);
    printf(", \"threads\": %u, \"memory_bytes\": %zu, \"judging\": [", device->threads, b->memory);
    for (uint32_t i = 0; i < b->timings; i++) {
        const struct timing *t = &b->timing[i];
        printf("%s{\"batch\": %d, \"runs\": %u, \"p50_ms\": ", i ? ", " : "", t->batch, t->runs);
        fg_json_number(stdout, or_nan(t->p50_ms));
        printf(", \"p99_ms\": ");
        fg_json_number(stdout, or_nan(t->p99_ms));
        printf(", \"max_ms\": ");
        fg_json_number(stdout, or_nan(t->max_ms));
        printf(", \"images_per_second\": ");
        fg_json_number(stdout, or_nan(t->images_per_second));
        printf(", \"floor_ms\": ");
        fg_json_number(stdout, or_nan(t->floor_ms));
        printf("}");
    }
    printf("], \"training_images_per_second\": ");
    fg_json_number(stdout, or_nan(b->training_images_per_second));
    printf(", \"operations_per_second\": ");
    fg_json_number(stdout, or_nan(b->rates.operations));
    printf(", \"bytes_per_second\": ");
    fg_json_number(stdout, or_nan(b->rates.bytes));
    printf(", \"node_us\": ");
    fg_json_number(stdout, or_nan(1e6 * b->rates.node_s));
    printf("}\n");
}

static void print(const struct bench *b) {
    const struct fg_device *device = &b->backend->device;
    if (b->common.json) {
        print_json(b);
        return;
    }
    if (b->timing[0].runs)
        printf("%s on %s (%s, %u threads), %.0f MiB\n", b->subject, device->name, b->backend->name,
               device->threads, (double)b->memory / 1048576);
    if (*b->load)
        printf("loading: %s\n", b->load);
    if (b->floor)
        printf("%s: %.3g operations/s, %.3g bytes/s, %.2g us for an empty step\n", b->rates.source,
               b->rates.operations, b->rates.bytes, 1e6 * b->rates.node_s);
    for (uint32_t i = 0; i < b->timings; i++) {
        const struct timing *t = &b->timing[i];
        printf("judging, batch %d:", t->batch);
        if (t->runs)
            printf(" median %.2f ms, 99th percentile %.2f ms, maximum %.2f ms of %u runs; %.1f images/s",
                   t->p50_ms, t->p99_ms, t->max_ms, t->runs, t->images_per_second);
        if (b->floor)
            printf("%s floor %.3f ms", t->runs ? ";" : "", t->floor_ms);
        if (b->floor && t->runs)
            printf(", %.2f times it", t->p50_ms / t->floor_ms);
        printf("\n");
    }
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
        status = backbone == FG_BACKBONES ? bench_bundle(&b, &message)
                 : b.rates.source         ? floor_of_sheet(&b, backbone, &message)
                                          : bench_backbone(&b, backbone, &message);
    }
    if (status == FG_OK)
        print(&b);
    else
        fprintf(stderr, "flawgate bench: %s\n", message.text);
    if (b.backend)
        b.backend->close(b.backend);
    return fg_exit_status(status);
}
