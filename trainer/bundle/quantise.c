/* Looks at what convolutions read, makes their weights int8, and tries which of them may be. */
#include "trainer/bundle/quantise.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/bundle/probe.h"

#define BINS 4096       /* of a value's histogram */
#define LEFT_OUT 0.0001 /* share of numbers that the narrower range leaves out at each end */
#define HEADROOM 1.25f  /* defects may reach further than what good pictures have */
/* The least and the most that NORMALISE makes: a defect can have any colour. */
#define PICTURE_LEAST (-FG_MEAN_RED / FG_DEVIATION_RED)
#define PICTURE_MOST ((1 - FG_MEAN_BLUE) / FG_DEVIATION_BLUE)
#define ALONE_PICTURES 2 /* pictures that say how much a convolution alone disturbs */

/* What a value is on good pictures: from least to most, 0 among them, and from low to high without the
 * numbers that are left out at the ends. */
struct range {
    float least, most, low, high;
    uint32_t *histogram; /* {BINS} from least to most; NULL: no convolution to quantise reads the value */
};

/* A convolution, and what it becomes. */
struct candidate {
    const struct fg_node *node;
    struct fg_quantised quantised; /* owned until it is used */
    bool used;
    double alone; /* the error where nothing else is quantised */
};

struct search {
    const struct fg_quantising *q;
    struct fg_int8 *int8;
    struct fg_read_value before[FG_NETWORK_VALUES]; /* by what is quantised already */
    struct range range[FG_NETWORK_VALUES];
    struct candidate candidate[FG_NETWORK_NODES];
    uint32_t candidates;
    float *wanted;      /* {pictures, outputs}: what the network gives before */
    size_t outputs;     /* numbers that a picture is compared by */
    uint32_t run, runs; /* pictures that were judged, and will be */
};

static size_t count_value(const struct fg_network *network, int32_t value) {
    const struct fg_value *v = &network->value[value];
    return (size_t)v->h * (size_t)v->w * (size_t)v->c;
}

/* Counts the numbers that a picture is compared by: the map's, or those of the teacher's features. */
static size_t count_outputs(const struct fg_quantising *q) {
    const struct fg_network *network = q->network;
    size_t count = 0;
    if (!q->teacher)
        return (size_t)network->spec.height * (size_t)network->spec.width;
    for (int i = 0; i < FG_NETWORK_LEVELS; i++)
        count += count_value(network, network->feature[i]);
    return count;
}

static void copy_outputs(const struct search *s, const struct fg_probe *probe, float *to) {
    const struct fg_network *network = s->q->network;
    if (!s->q->teacher)
        memcpy(to, fg_probe_map(probe), s->outputs * sizeof *to);
    for (int i = 0; i < FG_NETWORK_LEVELS && s->q->teacher; i++) {
        const size_t count = count_value(network, network->feature[i]);
        memcpy(to, fg_probe_value(probe, network->feature[i]), count * sizeof *to);
        to += count;
    }
}

static enum fg_status run_picture(struct search *s, struct fg_probe *probe, uint32_t picture,
                                  struct fg_message *message) {
    const enum fg_status status = fg_probe_run(probe, s->q->picture[picture], message);
    if (status == FG_OK && s->q->progress)
        s->q->progress(s->q->argument, ++s->run, s->runs);
    return status;
}

static bool are_finite(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

/* Makes a weight's numbers and scales. A channel's weights lie side by side, or apart where the convolution
 * is transposed. */
static void quantise_weight(const struct fg_param *param, const float *value, struct fg_quantised *to) {
    const struct fg_tensor t = fg_param_tensor(param);
    const size_t channels = (size_t)fg_param_channels(param), each = fg_tensor_count(&t) / channels,
                 step = param->transposed ? channels : 1;
    for (size_t c = 0; c < channels; c++) {
        const size_t first = param->transposed ? c : c * each;
        float most = 0;
        for (size_t i = 0; i < each; i++)
            most = fmaxf(most, fabsf(value[first + i * step]));
        const float scale = most > FLT_MIN * 127 ? most / 127 : 1;
        to->scale[c] = scale;
        for (size_t i = 0; i < each; i++)
            to->weight[first + i * step] = (int8_t)lrintf(value[first + i * step] / scale);
    }
}

/* Lists the convolutions to quantise, with their weights as int8. */
static enum fg_status list_candidates(struct search *s, struct fg_message *message) {
    const struct fg_network *network = s->q->network;
    s->int8->convolutions = 0;
    for (uint32_t n = 0; n < network->nodes; n++) {
        const struct fg_node *node = &network->node[n];
        if (!fg_node_is_convolution(node))
            continue;
        s->int8->convolutions++;
        if (!fg_node_can_be_int8(network, node) || s->int8->param[node->weight].weight ||
            (node->module == FG_TEACHER ? s->int8->teacher : s->q->teacher))
            continue;
        const struct fg_param *param = &network->param[node->weight];
        const struct fg_tensor t = fg_param_tensor(param);
        struct candidate *c = &s->candidate[s->candidates++];
        *c = (struct candidate){.node = node, .used = true};
        c->quantised.weight = malloc(fg_tensor_count(&t));
        c->quantised.scale = malloc((size_t)fg_param_channels(param) * sizeof *c->quantised.scale);
        struct range *r = &s->range[node->in[0]];
        if (!r->histogram)
            r->histogram = calloc(BINS, sizeof *r->histogram);
        if (!c->quantised.weight || !c->quantised.scale || !r->histogram)
            return fg_fail(message, FG_ENVIRONMENT, "no memory to quantise %s", param->name);
        if (!are_finite(s->q->folded->value[node->weight], fg_tensor_count(&t)))
            return fg_fail(message, FG_INPUT, "%s is not all finite, so it cannot become int8", param->name);
        quantise_weight(param, s->q->folded->value[node->weight], &c->quantised);
    }
    return FG_OK;
}

static void find_extremes(struct range *r, const float *value, size_t count) {
    for (size_t i = 0; i < count; i++) {
        r->least = fminf(r->least, value[i]);
        r->most = fmaxf(r->most, value[i]);
    }
}

static void count_numbers(struct range *r, const float *value, size_t count) {
    const float bins = r->most > r->least ? (float)BINS / (r->most - r->least) : 0;
    for (size_t i = 0; i < count; i++) {
        const size_t bin = (size_t)((value[i] - r->least) * bins);
        r->histogram[bin < BINS ? bin : BINS - 1]++;
    }
}

/* Finds the ends of the narrower range. It has 0 too. */
static void find_ends(struct range *r, size_t count) {
    const double leave = LEFT_OUT * (double)count;
    const float width = (r->most - r->least) / BINS;
    double seen = 0;
    int first = 0, end = BINS;
    while (first < BINS && (seen += r->histogram[first]) <= leave)
        first++;
    seen = 0;
    while (end > first && (seen += r->histogram[end - 1]) <= leave)
        end--;
    r->low = fminf(r->least + (float)first * width, 0);
    r->high = fmaxf(r->least + (float)end * width, 0);
}

/* Looks at all pictures twice: for the extremes, and for what lies between. Keeps what the network gives. */
static enum fg_status look_at_values(struct search *s, struct fg_probe *probe, struct fg_message *message) {
    const struct fg_network *network = s->q->network;
    enum fg_status status = FG_OK;
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < s->q->pictures && status == FG_OK; i++) {
            status = run_picture(s, probe, i, message);
            if (pass == 0 && status == FG_OK)
                copy_outputs(s, probe, s->wanted + i * s->outputs);
            for (uint32_t v = 0; v < network->values && status == FG_OK; v++) {
                if (!s->range[v].histogram)
                    continue;
                const float *value = fg_probe_value(probe, (int32_t)v);
                const size_t count = count_value(network, (int32_t)v);
                if (!are_finite(value, count))
                    return fg_fail(message, FG_INPUT,
                                   "the network makes values that are not finite, so it cannot become int8");
                (pass ? count_numbers : find_extremes)(&s->range[v], value, count);
            }
        }
    for (uint32_t v = 0; v < network->values && status == FG_OK; v++)
        if (s->range[v].histogram)
            find_ends(&s->range[v], s->q->pictures * count_value(network, (int32_t)v));
    return status;
}

static struct fg_reading span_range(float low, float high) {
    const float scale = (high - low) / 255;
    struct fg_reading reading = {.scale = scale > FLT_MIN ? scale : 1};
    reading.zero = (int32_t)lrintf(-low / reading.scale);
    return reading;
}

/* Says how candidates read their inputs. What the teacher reads already is read as it does. */
static void set_readings(struct search *s, bool narrow) {
    for (uint32_t i = 0; i < s->candidates; i++) {
        struct fg_reading *reading = &s->candidate[i].quantised.reading;
        const int32_t value = s->candidate[i].node->in[0];
        const struct range *r = &s->range[value];
        *reading = s->before[value].reading;
        if (value == s->q->network->input)
            *reading = span_range(PICTURE_LEAST, PICTURE_MOST);
        else if (reading->scale == 0)
            *reading =
                span_range(HEADROOM * (narrow ? r->low : r->least), HEADROOM * (narrow ? r->high : r->most));
    }
}

/* Gives the squares of what differs, in units of what was wanted: of the mean's square for a map, which is
 * never far from 0, of its own squares for a feature. */
static double compare_numbers(const float *got, const float *wanted, size_t count, bool map) {
    double error = 0, sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        const double away = (double)got[i] - (double)wanted[i];
        error += away * away;
        sum += (double)wanted[i];
        squares += (double)wanted[i] * (double)wanted[i];
    }
    return error / fmax(map ? sum * sum / (double)count : squares, DBL_MIN);
}

/* Compares the map, or the feature that differs most: each has its own cosines. */
static double compare_outputs(const struct search *s, const float *got, const float *wanted) {
    const struct fg_network *network = s->q->network;
    if (!s->q->teacher)
        return compare_numbers(got, wanted, s->outputs, true);
    double most = 0;
    for (int i = 0; i < FG_NETWORK_LEVELS; i++) {
        const size_t count = count_value(network, network->feature[i]);
        most = fmax(most, compare_numbers(got, wanted, count, false));
        got += count;
        wanted += count;
    }
    return most;
}

/* Finds the error of those candidates that are used, over the first pictures. */
static enum fg_status find_error(struct search *s, uint32_t pictures, double *error,
                                 struct fg_message *message) {
    struct fg_quantised quantised[FG_NETWORK_PARAMS];
    memcpy(quantised, s->int8->param, sizeof quantised);
    for (uint32_t i = 0; i < s->candidates; i++)
        if (s->candidate[i].used)
            quantised[s->candidate[i].node->weight] = s->candidate[i].quantised;
    struct fg_probe *probe = NULL;
    enum fg_status status =
        fg_probe_open(s->q->network, s->q->folded, quantised, false, s->q->backend, &probe, message);
    float *got = malloc(s->outputs * sizeof *got);
    if (status == FG_OK && !got)
        status = fg_fail(message, FG_ENVIRONMENT, "no memory to quantise the network");
    double sum = 0;
    for (uint32_t i = 0; i < pictures && status == FG_OK; i++) {
        status = run_picture(s, probe, i, message);
        if (status == FG_OK) {
            copy_outputs(s, probe, got);
            sum += compare_outputs(s, got, s->wanted + i * s->outputs);
        }
    }
    *error = sqrt(sum / pictures);
    if (status == FG_OK && !isfinite(*error))
        status = fg_fail(message, FG_INPUT, "the network's map is not finite, so it cannot become int8");
    free(got);
    fg_probe_close(probe);
    return status;
}

/* Takes the range with the smaller error for all values. */
static enum fg_status choose_range(struct search *s, double *error, struct fg_message *message) {
    double wide = 0;
    set_readings(s, false);
    enum fg_status status = find_error(s, s->q->pictures, &wide, message);
    set_readings(s, true);
    if (status == FG_OK)
        status = find_error(s, s->q->pictures, error, message);
    if (wide > *error)
        return status;
    set_readings(s, false);
    *error = wide;
    return status;
}

/* Finds the error of each candidate alone. */
static enum fg_status try_alone(struct search *s, struct fg_message *message) {
    const uint32_t pictures = s->q->pictures < ALONE_PICTURES ? s->q->pictures : ALONE_PICTURES;
    enum fg_status status = FG_OK;
    s->runs += s->candidates * pictures;
    for (uint32_t i = 0; i < s->candidates; i++)
        s->candidate[i].used = false;
    for (uint32_t i = 0; i < s->candidates && status == FG_OK; i++) {
        s->candidate[i].used = true;
        status = find_error(s, pictures, &s->candidate[i].alone, message);
        s->candidate[i].used = false;
    }
    for (uint32_t i = 0; i < s->candidates; i++)
        s->candidate[i].used = true;
    return status;
}

/* Leaves the worst ones float until the error is small enough. */
static enum fg_status leave_worst(struct search *s, double *error, struct fg_message *message) {
    enum fg_status status = try_alone(s, message);
    while (status == FG_OK && *error > (double)FG_QUANTISE_MOST) {
        struct candidate *worst = NULL;
        for (uint32_t i = 0; i < s->candidates; i++)
            if (s->candidate[i].used && (!worst || s->candidate[i].alone > worst->alone))
                worst = &s->candidate[i];
        if (!worst)
            break;
        worst->used = false;
        s->runs += s->q->pictures;
        status = find_error(s, s->q->pictures, error, message);
    }
    return status;
}

static enum fg_status quantise(struct search *s, struct fg_message *message) {
    struct fg_reading reading[FG_NETWORK_PARAMS];
    for (int i = 0; i < FG_NETWORK_PARAMS; i++)
        reading[i] = s->int8->param[i].reading;
    enum fg_status status = fg_network_read(s->q->network, reading, s->before, message);
    if (status == FG_OK)
        status = list_candidates(s, message);
    struct fg_probe *probe = NULL;
    s->outputs = count_outputs(s->q);
    s->runs = 4 * s->q->pictures;
    s->wanted = malloc(s->q->pictures * s->outputs * sizeof *s->wanted);
    if (status == FG_OK && !s->wanted)
        status = fg_fail(message, FG_ENVIRONMENT, "no memory to quantise the network: %zu MiB",
                         s->q->pictures * s->outputs * sizeof *s->wanted >> 20);
    if (status == FG_OK)
        status =
            fg_probe_open(s->q->network, s->q->folded, s->int8->param, true, s->q->backend, &probe, message);
    if (status == FG_OK)
        status = look_at_values(s, probe, message);
    fg_probe_close(probe);
    double error = 0;
    if (status == FG_OK)
        status = choose_range(s, &error, message);
    if (status == FG_OK && error > (double)FG_QUANTISE_MOST)
        status = leave_worst(s, &error, message);
    s->int8->error = (float)error;
    return status;
}

static void free_quantised(struct fg_quantised *quantised) {
    free(quantised->weight);
    free(quantised->scale);
    *quantised = (struct fg_quantised){.weight = NULL};
}

enum fg_status fg_int8_make(struct fg_int8 *int8, const struct fg_quantising *quantising,
                            struct fg_message *message) {
    assert(quantising->pictures >= 1 && quantising->pictures <= FG_QUANTISE_PICTURES);
    struct search *s = calloc(1, sizeof *s);
    if (!s)
        return fg_fail(message, FG_ENVIRONMENT, "no memory to quantise the network");
    s->q = quantising;
    s->int8 = int8;
    const enum fg_status status = quantise(s, message);
    for (uint32_t i = 0; i < s->candidates; i++) {
        struct candidate *c = &s->candidate[i];
        if (status == FG_OK && c->used) {
            int8->param[c->node->weight] = c->quantised;
            int8->quantised++;
        } else {
            free_quantised(&c->quantised);
        }
    }
    int8->teacher |= quantising->teacher;
    for (int v = 0; v < FG_NETWORK_VALUES; v++)
        free(s->range[v].histogram);
    free(s->wanted);
    free(s);
    if (status != FG_OK)
        fg_int8_close(int8);
    return status;
}

void fg_int8_close(struct fg_int8 *int8) {
    for (int i = 0; i < FG_NETWORK_PARAMS; i++)
        free_quantised(&int8->param[i]);
    memset(int8, 0, sizeof *int8);
}
