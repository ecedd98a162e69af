/* Prints what each layer of a judging program does with the processor. */
#include "tools/commands/bench_layers.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/json.h"
#include "tools/bench/layers.h"

#define BUDGET_NS (8 * FG_S) /* for the rounds of each number of threads */
#define GOOD_PERCENT 85      /* of the peak, which a convolution should reach */

struct table {
    const struct fg_layers *layers;
    uint32_t threads;
    bool json;
    struct fg_layer sum; /* of all layers */
};

static void add_layer(struct fg_layer *sum, const struct fg_layer *layer) {
    sum->steps += layer->steps;
    sum->ms += layer->ms;
    sum->multiply_adds += layer->multiply_adds;
    sum->done += layer->done;
    sum->bytes += layer->bytes;
}

/* Gives a rate in units of 10^9 a second. */
static double find_rate(double count, double ms) {
    return count / ms / 1e6;
}

static double find_peak_share(const struct fg_layers *layers, const struct fg_layer *layer) {
    return 1e3 * layer->done / layer->ms / (layer->int8 ? layers->int8_multiply_adds : layers->multiply_adds);
}

static double find_triad_share(const struct fg_layers *layers, const struct fg_layer *layer) {
    return 1e3 * layer->bytes / layer->ms / layers->bytes;
}

static void print_object(const struct table *t, const struct fg_layer *layer) {
    printf("{\"of\": \"layer\", \"threads\": %u, \"name\": ", t->threads);
    fg_json_text(stdout, layer->name);
    printf(", \"shape\": \"%s\", \"way\": \"%s\", \"steps\": %u, \"ms\": %.4f, \"share\": %.4f, "
           "\"multiply_adds\": %.0f, \"done\": %.0f, \"peak_share\": %.4f, \"bytes\": %.0f, "
           "\"triad_share\": %.4f}\n",
           layer->shape, layer->way, layer->steps, layer->ms, layer->ms / t->sum.ms, layer->multiply_adds,
           layer->done, find_peak_share(t->layers, layer), layer->bytes, find_triad_share(t->layers, layer));
}

static void print_line(const struct table *t, const struct fg_layer *layer, const char *name) {
    printf("%9.3f %6.1f %%  %-10s", layer->ms, 100 * layer->ms / t->sum.ms, layer->way);
    if (layer->multiply_adds > 0)
        printf(" %7.0f %7.1f %6.0f %%", layer->multiply_adds / 1e6,
               find_rate(layer->multiply_adds, layer->ms), 100 * find_peak_share(t->layers, layer));
    else
        printf(" %24s", "");
    printf(" %6.1f %6.0f %%  %s", find_rate(layer->bytes, layer->ms),
           100 * find_triad_share(t->layers, layer), name);
    printf(*layer->shape ? " (%s)\n" : "\n", layer->shape);
}

/* Prints the layers of each way together, in the order of their first ones. */
static void print_ways(const struct table *t) {
    const struct fg_layers *l = t->layers;
    for (uint32_t i = 0; i < l->layers; i++) {
        struct fg_layer sum = {.way = l->layer[i].way, .int8 = l->layer[i].int8};
        uint32_t first = l->layers;
        for (uint32_t k = 0; k < l->layers; k++) {
            if (strcmp(l->layer[k].way, sum.way) != 0)
                continue;
            first = k < first ? k : first;
            add_layer(&sum, &l->layer[k]);
        }
        char name[32];
        snprintf(name, sizeof name, *sum.way ? "all %u" : "all %u others", sum.steps);
        if (first == i)
            print_line(t, &sum, name);
    }
}

static void print_layers(const struct table *t) {
    const struct fg_layers *l = t->layers;
    if (!t->json)
        printf("%9s %8s  %-10s %7s %7s %8s %6s %8s  %u thread%s\n", "ms", "of all", "way", "MMAC", "GMAC/s",
               "of peak", "GB/s", "of triad", t->threads, t->threads > 1 ? "s" : "");
    for (uint32_t i = 0; i < l->layers; i++)
        if (t->json)
            print_object(t, &l->layer[i]);
        else
            print_line(t, &l->layer[i], l->layer[i].name);
    if (!t->json)
        print_ways(t);
}

static void print_whole(const struct table *t) {
    const struct fg_layers *l = t->layers;
    struct fg_layer slow = {.steps = 0};
    for (uint32_t i = 0; i < l->layers; i++)
        if (l->layer[i].done > 0 && find_peak_share(l, &l->layer[i]) * 100 < GOOD_PERCENT)
            add_layer(&slow, &l->layer[i]);
    printf(t->json
               ? "{\"of\": \"layers\", \"threads\": %u, \"rounds\": %u, \"sum_ms\": %.4f, "
                 "\"whole_ms\": %.4f, \"multiply_adds\": %.0f, \"peak_multiply_adds_per_second\": %.4g, "
                 "\"peak_int8_multiply_adds_per_second\": %.4g, \"triad_bytes_per_second\": %.4g, \"slow\": "
                 "%u, \"slow_percent\": %d, "
                 "\"slow_share\": %.4f}\n"
               : "threads: %u; shortest of %u rounds: all layers %.2f ms, as a whole %.2f ms, %.0f MMAC; the "
                 "peak is %.1f GMAC/s in float32 and %.1f in int8, the triad %.1f GB/s; %u convolutions are "
                 "below %d %% of the "
                 "peak and take %.0f %% of the time\n",
           t->threads, l->rounds, t->sum.ms, l->whole_ms, t->sum.multiply_adds / (t->json ? 1 : 1e6),
           l->multiply_adds / (t->json ? 1 : 1e9), l->int8_multiply_adds / (t->json ? 1 : 1e9),
           l->bytes / (t->json ? 1 : 1e9), slow.steps, GOOD_PERCENT,
           slow.ms / t->sum.ms * (t->json ? 1 : 100));
    fflush(stdout);
}

static enum fg_status bench_threads(const struct fg_network *network, const struct fg_folded *folded,
                                    uint32_t threads, bool json, struct fg_message *message) {
    struct fg_backend *backend;
    struct fg_trial trial;
    struct fg_layers layers;
    enum fg_status status = fg_cpu_open(threads, 1, &backend, message);
    if (status != FG_OK)
        return status;
    status = fg_trial_open(&trial, backend, network, folded, 1, message);
    if (status == FG_OK)
        status = fg_layers_measure(&trial, network, BUDGET_NS, &layers, message);
    if (status == FG_OK) {
        struct table table = {.layers = &layers, .threads = threads, .json = json};
        for (uint32_t i = 0; i < layers.layers; i++)
            add_layer(&table.sum, &layers.layer[i]);
        print_layers(&table);
        print_whole(&table);
        fg_layers_free(&layers);
    }
    fg_trial_close(&trial);
    backend->close(backend);
    return status;
}

enum fg_status fg_bench_layers(const struct fg_network *network, const struct fg_folded *folded,
                               uint32_t threads, bool json, struct fg_message *message) {
    enum fg_status status = bench_threads(network, folded, 1, json, message);
    return status == FG_OK && threads > 1 ? bench_threads(network, folded, threads, json, message) : status;
}
