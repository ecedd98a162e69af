/* flawgate bench NAME.fgb|BACKBONE: measures how fast this machine judges, on a CPU layer by layer, and (for
 * a backbone, with random weights at 256 px) how fast it trains, and how far that is from what the device
 * could do. Each figure is printed as soon as it is there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/json.h"
#include "runtime/engine/desk.h"
#include "runtime/engine/device.h"
#include "tools/bench/floor.h"
#include "tools/bench/trial.h"
#include "tools/commands/bench_layers.h"
#include "tools/commands/common.h"
#include "tools/commands/tool.h"
#include "trainer/loop/train.h"

#define SIDE 256
#define TUNE_S 20 /* seconds of tuning for each of a backbone's five programs, so that all ends in minutes */
#define BATCH 16  /* pictures in a step of training */
#define WARM_UP 3
#define MOST_RUNS 2000
#define BATCHES 3
static const int32_t BATCH_OF[BATCHES] = {1, 8, 32};

/* Values of --floor; the data sheets follow SHEET_FLOOR in the order of FG_SHEETS. */
enum { NO_FLOOR, MEASURED_FLOOR, SHEET_FLOOR };

struct bench {
    struct fg_common common;
    const char *subject;
    struct fg_backend *backend;
    uint32_t floor;
    struct fg_rates rates;
};

/* The times of runs, one by one. */
struct timing {
    const char *what;
    int32_t batch;
    size_t memory; /* bytes that the program takes */
    uint32_t runs;
    double ms[MOST_RUNS];
};

static const struct fg_option OPTIONS[] = {
    {"floor", FG_OPTION_CHOICE, offsetof(struct bench, floor), "none", .words = "none|measured|" FG_SHEETS,
     .alone = "measured", .value = "DEVICE",
     .help = "for a backbone, also the least time that this device could need, from rates measured on it; "
             "or, for "
             "a device that need not be here, only that, from its data sheet"},
    FG_DEVICE_OPTIONS(struct bench),
    FG_OUTPUT_OPTIONS(struct bench),
};
static const struct fg_usage USAGE = {
    .name = "flawgate bench",
    .takes = "NAME.fgb|BACKBONE",
    .least = 1,
    .most = 1,
    .about =
        "Measures how fast this machine judges with a bundle; or how fast it judges and trains with a\n"
        "backbone and random weights. On a CPU it measures the layers too, with 1 thread and with all: it\n"
        "says how each is computed, its multiply-adds, how much of the processor's peak they reach (for\n"
        "Winograd, the fewer ones that it does), and its bytes, moved once, beside what STREAM's triad\n"
        "moves. Times are the shortest of some rounds. --json prints one object a line for each figure, as\n"
        "soon as it is there.\n",
    .options = FG_OPTIONS(OPTIONS),
    .computes = true,
};

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

static int compare_values(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Prints the quantiles and gives the median, in milliseconds. */
static double print_timing(const struct bench *b, struct timing *t) {
    double sum = 0;
    for (uint32_t i = 0; i < t->runs; i++)
        sum += t->ms[i];
    qsort(t->ms, t->runs, sizeof *t->ms, compare_values);
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

/* Prints the least time of judging a batch, beside its median; median_ms 0: it was not timed. */
static enum fg_status print_floor(const struct bench *b, const struct fg_network *network, int32_t batch,
                                  double median_ms, struct fg_message *message) {
    struct fg_inference inference;
    enum fg_status status =
        fg_inference_open(&inference, network, NULL, b->backend, batch, SIDE, SIDE, message);
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

/* Times runs until enough runs and time are spent: 20 runs and 15 s of one picture, 3 runs and 5 s of a
 * batch. */
static enum fg_status time_runs(const struct bench *b, struct timing *t,
                                enum fg_status (*run)(void *, struct fg_message *), void *argument,
                                struct fg_message *message) {
    const uint32_t least = t->batch == 1 ? 20 : 3;
    const int64_t budget = (t->batch == 1 ? 15 : 5) * FG_S;
    enum fg_status status = FG_OK;
    struct fg_progress progress;
    for (int i = 0; i < WARM_UP && status == FG_OK; i++)
        status = run(argument, message);
    fg_progress_begin(&progress, "", b->common.quiet);
    const int64_t begin = fg_clock_ns();
    int64_t now = begin;
    while (status == FG_OK && t->runs < MOST_RUNS && (t->runs < least || now - begin < budget)) {
        const int64_t start = fg_clock_ns();
        status = run(argument, message);
        now = fg_clock_ns();
        t->ms[t->runs++] = (double)(now - start) / 1e6;
        const double time = (double)(now - begin) / (double)budget, runs = (double)t->runs / least;
        fg_progress_say(&progress,
                        time < runs ? time
                        : runs < 1  ? runs
                                    : 1,
                        "judging batches of %d: %u runs", t->batch, t->runs);
    }
    fg_progress_clear(&progress);
    return status;
}

static enum fg_status run_self_test(void *argument, struct fg_message *message) {
    struct fg_desk *desk = argument;
    return fg_engine_self_test(desk->engine, message);
}

/* Says whether layers can be timed: only the CPU has steps that can be run one by one. */
static bool times_layers(const struct bench *b) {
    if (!b->backend->device.host_memory)
        fg_common_remark(&b->common, "Layers are timed on a CPU only: give --device cpu.");
    return b->backend->device.host_memory;
}

static enum fg_status bench_layers(const struct bench *b, const struct fg_network *network,
                                   const struct fg_folded *folded, struct fg_message *message) {
    return fg_bench_layers(network, folded, b->backend->device.threads, b->common.json, message);
}

static enum fg_status bench_bundle_layers(const struct bench *b, struct fg_message *message) {
    struct fg_bundle *bundle = NULL;
    struct fg_folded folded = {.block = NULL};
    enum fg_status status = fg_bundle_open(b->subject, &bundle, message);
    if (status == FG_OK)
        status = fg_folded_load(&folded, bundle, message);
    if (status == FG_OK)
        status = bench_layers(b, fg_bundle_network(bundle), &folded, message);
    fg_folded_close(&folded);
    fg_bundle_close(bundle);
    return status;
}

static enum fg_status bench_bundle(struct bench *b, struct fg_message *message) {
    struct fg_desk desk;
    enum fg_status status = fg_common_device(&b->common, 0, 0, &b->backend, message);
    if (status == FG_OK)
        status = fg_desk_open(&desk, b->subject, b->backend, true, message);
    if (status != FG_OK)
        return status;
    char load[128];
    fg_load_times_text(fg_engine_times(desk.engine), load, sizeof load);
    print_device(b);
    printf(b->common.json ? "{\"of\": \"loading\", \"took\": \"%s\"}\n" : "loading: %s\n", load);
    fflush(stdout);
    static struct timing timing = {.what = "judging", .batch = 1};
    timing.memory = fg_arena_size(desk.arena) + fg_arena_size(desk.device);
    status = time_runs(b, &timing, run_self_test, &desk, message);
    fg_desk_close(&desk);
    if (status != FG_OK)
        return status;
    print_timing(b, &timing);
    return times_layers(b) ? bench_bundle_layers(b, message) : FG_OK;
}

static enum fg_status run_judging(void *argument, struct fg_message *message) {
    return fg_trial_run(argument, message);
}

static enum fg_status bench_batch(struct bench *b, const struct fg_network *network,
                                  const struct fg_folded *folded, int32_t batch, struct fg_message *message) {
    static struct timing timing;
    struct fg_trial j;
    timing = (struct timing){.what = "judging", .batch = batch};
    enum fg_status status = fg_trial_open(&j, b->backend, network, folded, batch, message);
    for (int s = 0; s < FG_SEGMENTS && status == FG_OK; s++)
        timing.memory += j.inference.program->bytes[s];
    if (status == FG_OK)
        status = time_runs(b, &timing, run_judging, &j, message);
    fg_trial_close(&j);
    if (status != FG_OK)
        return status;
    const double median_ms = print_timing(b, &timing);
    if (b->floor == NO_FLOOR)
        return FG_OK;
    if (!b->rates.source) { /* measured late, because there may be time for the first figure only */
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
    for (int i = 0; i < BATCHES && status == FG_OK; i++) {
        status = bench_batch(b, weights->network, &folded, BATCH_OF[i], message);
        if (status == FG_OK && BATCH_OF[i] == 1 && times_layers(b))
            status = bench_layers(b, weights->network, &folded, message);
    }
    fg_folded_close(&folded);
    return status;
}

/* ---- Training ---- */

/* Steps, timed from the end of one to the end of the next. What comes after an epoch's last step is not
 * timed. */
struct steps {
    struct timing timing;
    uint32_t done, of_epoch;
    int64_t last_ns, all_ns;
    struct fg_progress progress; /* one epoch's; more epochs follow where a step takes little time */
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
    fg_progress_count(&s->progress, pictures, BATCH * s->of_epoch);
}

/* Trains epochs until 5 s of steps were timed. */
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
    training.cache_mib = 0; /* a step is timed as the first epoch has it */
    struct fg_trainer *trainer;
    enum fg_status status = fg_trainer_open(&training, weights, &pictures, &b->backend, 1, &trainer, message);
    if (status != FG_OK)
        return status;
    steps.timing.memory = fg_trainer_memory(trainer);
    while (status == FG_OK && steps.all_ns < 5 * FG_S && steps.timing.runs < MOST_RUNS) {
        fg_progress_begin(&steps.progress, "training: picture", b->common.quiet);
        status = fg_trainer_epoch(trainer, time_step, &steps, message);
        fg_progress_clear(&steps.progress);
    }
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
                                         .base = FG_NETWORK_BASE,
                                         .scconv = true,
                                         .simam = true,
                                         .fmm = true,
                                         .levels = 7};
    return fg_network_init(network, &spec, message);
}

/* Opens the device. It is opened again for training, because its workspace is set when it is opened. */
static enum fg_status open_device(struct bench *b, uint32_t workspace_mib, struct fg_message *message) {
    if (b->backend)
        b->backend->close(b->backend);
    b->backend = NULL;
    return fg_common_device(&b->common, TUNE_S, workspace_mib, &b->backend, message);
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

/* Prints the floor on the device of a data sheet, which need not be here. */
static enum fg_status print_sheet_floor(struct bench *b, enum fg_backbone backbone,
                                        struct fg_message *message) {
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
    static struct bench b;
    struct fg_message message;
    bool over;
    enum fg_status status = fg_usage_read(&USAGE, &argc, argv, &b, &over, &message);
    if (over)
        return 0;
    b.subject = argv[1];
    const enum fg_backbone backbone = status == FG_OK ? fg_backbone_find(b.subject) : FG_BACKBONES;
    if (b.floor >= SHEET_FLOOR)
        b.rates = fg_rates_of_sheet(b.floor - SHEET_FLOOR);
    if (status == FG_OK && b.floor != NO_FLOOR && backbone == FG_BACKBONES)
        status = fg_fail(&message, FG_USAGE, "--floor takes a backbone: %s", FG_BACKBONE_WORDS);
    else if (status == FG_OK && backbone == FG_BACKBONES && access(b.subject, F_OK) != 0)
        status =
            fg_fail(&message, FG_INPUT, "%.200s: there is no such file, nor a backbone of that name (%s)",
                    b.subject, FG_BACKBONE_WORDS);
    if (status == FG_OK)
        status = backbone == FG_BACKBONES ? bench_bundle(&b, &message)
                 : b.rates.source         ? print_sheet_floor(&b, backbone, &message)
                                          : bench_backbone(&b, backbone, &message);
    if (b.backend)
        b.backend->close(b.backend);
    return status == FG_OK ? 0 : fg_usage_fail(&USAGE, status, &message);
}
