/* flawgate bench NAME.fgb|BACKBONE: how fast this machine judges, and (for a backbone, with random weights at 256 px) how
 * fast it trains, and how far that is from what the device could do. Each figure is printed as soon as it is there. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/json.h"
#include "runtime/engine/device.h"
#include "runtime/engine/station.h"
#include "tools/bench/floor.h"
#include "tools/bench/judging.h"
#include "tools/commands/arguments.h"
#include "tools/commands/tool.h"
#include "trainer/loop/train.h"

#define SIDE 256
#define TUNE_S 20 /* for each of a backbone's five programs: all of it is to end in minutes */
#define BATCH 16  /* of training */
#define WARM_UP 3
#define MOST_RUNS 2000
#define BATCHES 3
static const int32_t BATCH_OF[BATCHES] = {1, 8, 32};

const char fg_help_bench[] =
    "usage: flawgate bench NAME.fgb|BACKBONE [--floor[=DEVICE]] [--device NAME] [--threads N] [--json]\n"
    "BACKBONE is resnet18, resnet34, resnet50 or wide_resnet50_2.\n"
    "  --floor            for a backbone, also the least time that this device could need, from rates "
    "measured on\n"
    "                     it; with DEVICE (h200, h100, rtx4090, orin64) only that, from its data sheet\n"
    "  --json             an object a line for each figure\n";

struct bench {
    struct fg_arguments common;
    const char *subject;
    struct fg_backend *backend;
    bool floor;
    struct fg_rates rates;
};

/* What was timed, one by one. */
struct timing {
    const char *what;
    int32_t batch;
    size_t memory; /* bytes that it takes */
    uint32_t runs;
    double ms[MOST_RUNS];
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

/* ---- Output, a line for each figure ---- */

static void print_device(const struct bench *b) {
    const struct fg_device *device = &b->backend->device;
    if (!b->common.json) {
        printf("%s on %s (%s, %u threads)\n", b->subject, device->name, b->backend->name, device->threads);
    } else {
        printf("{\"of\": \"device\", \"subject\": ");
        fg_json_text(stdout, b->subject);
        printf(", \"backend\": \"%s\", \"device\": ", b->backend->name);
        fg_json_text(stdout, device->name);
        printf(", \"version\": ");
        fg_json_text(stdout, b->backend->version);
        printf(", \"threads\": %u}\n", device->threads);
    }
    fflush(stdout);
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Gives the median. */
static double print_timing(const struct bench *b, struct timing *t) {
    double sum = 0;
    for (uint32_t i = 0; i < t->runs; i++)
        sum += t->ms[i];
    qsort(t->ms, t->runs, sizeof *t->ms, by_value);
    const double p50 = t->ms[t->runs / 2], p99 = t->ms[(t->runs - 1) * 99 / 100], most = t->ms[t->runs - 1],
                 images = 1000.0 * t->batch * t->runs / sum;
    printf(b->common.json
               ? "{\"of\": \"%s\", \"batch\": %d, \"memory_mib\": %.0f, \"runs\": %u, \"p50_ms\": %.4f, "
                 "\"p99_ms\": %.4f, \"max_ms\": %.4f, \"images_per_second\": %.3f}\n"
               : "%s, batch %d, %.0f MiB: %u runs, median %.2f ms, 99th percentile %.2f ms, maximum %.2f ms; "
                 "%.2f images/s\n",
           t->what, t->batch, (double)t->memory / 1048576, t->runs, p50, p99, most, images);
    fflush(stdout);
    return p50;
}

static void print_rates(const struct bench *b) {
    printf(b->common.json ? "{\"of\": \"rates\", \"source\": \"%s\", \"operations_per_second\": %.4g, "
                            "\"bytes_per_second\": %.4g, \"node_us\": %.3g}\n"
                          : "%s: %.3g operations/s, %.3g bytes/s, %.2g us for an empty step\n",
           b->rates.source, b->rates.operations, b->rates.bytes, 1e6 * b->rates.node_s);
    fflush(stdout);
}

/* Of judging a batch, which took median_ms; 0: it was not timed. */
static enum fg_status print_floor(const struct bench *b, const struct fg_network *network, int32_t batch,
                                  double median_ms, struct fg_message *message) {
    struct fg_inference inference;
    enum fg_status status = fg_inference_open(&inference, network, b->backend, batch, SIDE, SIDE, message);
    if (status != FG_OK)
        return status;
    const double ms = 1000 * fg_floor_seconds(inference.program, &b->rates);
    fg_inference_close(&inference);
    printf(b->common.json ? "{\"of\": \"floor\", \"batch\": %d, \"ms\": %.4f}\n" : "floor, batch %d: %.3f ms",
           batch, ms);
    if (!b->common.json && median_ms > 0)
        printf("; the median is %.2f times it", median_ms / ms);
    if (!b->common.json)
        printf("\n");
    fflush(stdout);
    return FG_OK;
}

/* ---- Judging ---- */

/* Times runs until enough runs or time are spent: of one picture, 20 runs and 15 s; of a batch, 3 and 5. */
static enum fg_status time_runs(struct timing *t, enum fg_status (*run)(void *, struct fg_message *),
                                void *argument, struct fg_message *message) {
    const uint32_t least = t->batch == 1 ? 20 : 3;
    const int64_t budget = (t->batch == 1 ? 15 : 5) * FG_S;
    enum fg_status status = FG_OK;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "judging batches of %d for about %d s\n", t->batch, (int)(budget / FG_S));
    for (int i = 0; i < WARM_UP && status == FG_OK; i++)
        status = run(argument, message);
    const int64_t begin = fg_clock_ns();
    while (status == FG_OK && t->runs < MOST_RUNS && (t->runs < least || fg_clock_ns() - begin < budget)) {
        const int64_t start = fg_clock_ns();
        status = run(argument, message);
        t->ms[t->runs++] = (double)(fg_clock_ns() - start) / 1e6;
    }
    return status;
}

static enum fg_status run_self_test(void *argument, struct fg_message *message) {
    struct fg_station *station = argument;
    return fg_engine_self_test(station->engine, message);
}

static enum fg_status bench_bundle(struct bench *b, struct fg_message *message) {
    struct fg_station station;
    enum fg_status status = fg_arguments_device(&b->common, &b->backend, message);
    if (status == FG_OK)
        status = fg_station_open(&station, b->subject, b->backend, true, message);
    if (status != FG_OK)
        return status;
    char load[128];
    fg_load_times_text(fg_engine_times(station.engine), load, sizeof load);
    print_device(b);
    printf(b->common.json ? "{\"of\": \"loading\", \"took\": \"%s\"}\n" : "loading: %s\n", load);
    fflush(stdout);
    static struct timing timing = {.what = "judging", .batch = 1};
    timing.memory = fg_arena_size(station.arena) + fg_arena_size(station.device);
    status = time_runs(&timing, run_self_test, &station, message);
    if (status == FG_OK)
        print_timing(b, &timing);
    fg_station_close(&station);
    return status;
}

static enum fg_status run_judging(void *argument, struct fg_message *message) {
    return fg_judging_run(argument, message);
}

static enum fg_status bench_batch(struct bench *b, const struct fg_network *network,
                                  const struct fg_folded *folded, int32_t batch, struct fg_message *message) {
    static struct timing timing;
    struct fg_judging j;
    timing = (struct timing){.what = "judging", .batch = batch};
    enum fg_status status = fg_judging_open(&j, b->backend, network, folded, batch, message);
    for (int r = 0; r < FG_SEGMENTS && status == FG_OK; r++)
        timing.memory += j.inference.program->bytes[r];
    if (status == FG_OK)
        status = time_runs(&timing, run_judging, &j, message);
    fg_judging_close(&j);
    if (status != FG_OK)
        return status;
    const double median_ms = print_timing(b, &timing);
    if (!b->floor)
        return FG_OK;
    if (!b->rates.source) { /* behind the first figure, which may be all that there is time for */
        status = fg_rates_measure(b->backend, &b->rates, message);
        if (status != FG_OK)
            return status;
        print_rates(b);
    }
    return print_floor(b, network, batch, median_ms, message);
}

static enum fg_status bench_judging(struct bench *b, const struct fg_weights *weights,
                                    struct fg_message *message) {
    struct fg_folded folded;
    enum fg_status status = fg_folded_open(&folded, weights, message);
    for (int i = 0; i < BATCHES && status == FG_OK; i++)
        status = bench_batch(b, weights->network, &folded, BATCH_OF[i], message);
    fg_folded_close(&folded);
    return status;
}

/* ---- Training ---- */

/* Steps, timed from the end of one to the end of the next: what an epoch ends with is not among them. */
struct steps {
    struct timing timing;
    uint32_t done, of_epoch;
    int64_t last_ns, all_ns;
};

static void time_step(void *argument, uint32_t pictures) {
    struct steps *s = argument;
    struct timing *t = &s->timing;
    const int64_t now = fg_clock_ns();
    if (s->done++ >= WARM_UP && pictures > BATCH && t->runs < MOST_RUNS) {
        t->ms[t->runs++] = (double)(now - s->last_ns) / 1e6;
        s->all_ns += now - s->last_ns;
    }
    s->last_ns = now;
    /* On a terminal only; a step of a large backbone takes many seconds. */
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\rtraining: %u of %u pictures  %s", pictures, BATCH * s->of_epoch,
                pictures == BATCH * s->of_epoch ? "\n" : "");
}

/* Epochs until steps were timed for 5 s. */
static enum fg_status bench_training(struct bench *b, struct fg_weights *weights, const uint8_t *pixels,
                                     struct fg_message *message) {
    enum { MOST_STEPS = 40 };
    static struct steps steps;
    uint32_t train[BATCH * MOST_STEPS], held_out = 0;
    for (uint32_t i = 0; i < BATCH * MOST_STEPS; i++)
        train[i] = i % BATCH;
    steps = (struct steps){.timing = {.what = "training", .batch = BATCH},
                           .of_epoch = b->backend->device.host_memory ? WARM_UP + 5 : MOST_STEPS};
    const struct fg_pictures pictures = {.pixels = pixels,
                                         .count = BATCH,
                                         .train = train,
                                         .trains = BATCH * steps.of_epoch,
                                         .held_out = &held_out,
                                         .held_outs = 1};
    struct fg_training training = fg_training_defaults();
    training.batch = BATCH;
    struct fg_trainer *trainer;
    enum fg_status status = fg_trainer_open(&training, weights, &pictures, &b->backend, 1, &trainer, message);
    if (status != FG_OK)
        return status;
    steps.timing.memory = fg_trainer_memory(trainer);
    while (status == FG_OK && steps.all_ns < 5 * FG_S && steps.timing.runs < MOST_RUNS)
        status = fg_trainer_epoch(trainer, time_step, &steps, message);
    if (status == FG_OK)
        print_timing(b, &steps.timing);
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

/* Again for training: a device has as much workspace as it was opened with. */
static enum fg_status open_device(struct bench *b, uint32_t workspace_mib, struct fg_message *message) {
    const struct fg_device_choice choice = {
        .device = b->common.device, .threads = b->common.threads, .workspace_mib = workspace_mib};
    const bool again = b->backend != NULL;
    struct fg_message said;
    if (again)
        b->backend->close(b->backend);
    b->backend = NULL;
    enum fg_status status = fg_device_open_within(&choice, TUNE_S, &b->backend, &said, message);
    if (status == FG_OK && !again && !b->common.json)
        fprintf(stderr, "%s\n", said.text);
    return status;
}

static enum fg_status bench_backbone(struct bench *b, enum fg_backbone backbone, struct fg_message *message) {
    static struct fg_network network;
    struct fg_weights weights = {0};
    uint8_t *pixels = malloc((size_t)BATCH * SIDE * SIDE * 3);
    enum fg_status status = pixels ? make_network(backbone, &network, message)
                                   : fg_fail(message, FG_ENVIRONMENT, "bench: no memory for pictures");
    for (size_t i = 0; pixels && i < (size_t)BATCH * SIDE * SIDE * 3; i++)
        pixels[i] = (uint8_t)(i * 2654435761u >> 13);
    if (status == FG_OK)
        status = open_device(b, 0, message);
    if (status == FG_OK)
        status = fg_weights_open(&weights, &network, message);
    if (status == FG_OK) {
        print_device(b);
        fg_weights_draw(&weights, 0, true);
        status = bench_judging(b, &weights, message);
    }
    if (status == FG_OK)
        status = open_device(b, FG_TRAINING_WORKSPACE_MIB, message);
    if (status == FG_OK)
        status = bench_training(b, &weights, pixels, message);
    fg_weights_close(&weights);
    free(pixels);
    return status;
}

/* The floor on a data sheet's device, which need not be here. */
static enum fg_status floor_of_sheet(struct bench *b, enum fg_backbone backbone, struct fg_message *message) {
    static struct fg_network network;
    enum fg_status status = fg_cpu_open(1, 1, &b->backend, message);
    if (status == FG_OK)
        status = make_network(backbone, &network, message);
    if (status == FG_OK)
        print_rates(b);
    for (int i = 0; i < BATCHES && status == FG_OK; i++)
        status = print_floor(b, &network, BATCH_OF[i], 0, message);
    return status;
}

int fg_tool_bench(int argc, char **argv) {
    struct bench b;
    struct fg_message message;
    enum fg_status status = read_arguments(argc, argv, &b, &message);
    if (status != FG_OK) {
        fprintf(stderr, "flawgate bench: %s\n%s", message.text, fg_help_bench);
        return fg_exit_status(status);
    }
    const enum fg_backbone backbone = fg_backbone_find(b.subject);
    status = backbone == FG_BACKBONES ? bench_bundle(&b, &message)
             : b.rates.source         ? floor_of_sheet(&b, backbone, &message)
                                      : bench_backbone(&b, backbone, &message);
    if (status != FG_OK)
        fprintf(stderr, "flawgate bench: %s\n", message.text);
    if (b.backend)
        b.backend->close(b.backend);
    return fg_exit_status(status);
}
