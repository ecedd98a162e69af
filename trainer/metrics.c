#include "trainer/metrics.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/size.h"

#define PRO_LIMIT 0.3
#define RD4AD_THRESHOLDS 200

/* A score as a key whose order is the score's, and which pixel (or picture) it is of. */
struct entry {
    uint32_t key, of;
};

struct fg_metrics {
    uint32_t room, images;
    int32_t height, width;
    size_t pixels; /* of one picture */
    bool sorted;
    struct entry *entry, *spare; /* [room * pixels]; by pixel until sorted, then by descending score */
    float *weight;               /* [room * pixels]: 1 / pixels of the defect region there, 0 where good */
    struct picture {
        float score;
        uint8_t group;
        uint32_t regions;
        double rd4ad; /* NaN where it has none */
    } * picture;
    int32_t *stack, *label; /* [pixels] */
};

/* Floats in an order-preserving coding; what is not finite is the largest. */
static uint32_t key_of(float score) {
    if (!isfinite(score))
        return UINT32_MAX;
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

enum fg_status fg_metrics_open(uint32_t images, int32_t height, int32_t width, struct fg_metrics **metrics,
                               struct fg_message *message) {
    struct fg_metrics *m = calloc(1, sizeof *m);
    if (!m)
        return fg_fail(message, FG_ENVIRONMENT, "metrics: no memory");
    m->room = images;
    m->height = height;
    m->width = width;
    m->pixels = (size_t)height * (size_t)width;
    size_t all;
    if (fg_size_mul(images, m->pixels, &all) && all < UINT32_MAX) {
        m->entry = malloc((all + 1) * sizeof *m->entry);
        m->spare = malloc((all + 1) * sizeof *m->spare);
        m->weight = malloc((all + 1) * sizeof *m->weight);
        m->picture = malloc((images + 1) * sizeof *m->picture);
        m->stack = malloc(m->pixels * sizeof *m->stack);
        m->label = malloc(m->pixels * sizeof *m->label);
    }
    if (!m->entry || !m->spare || !m->weight || !m->picture || !m->stack || !m->label) {
        fg_metrics_close(m);
        return fg_fail(message, FG_ENVIRONMENT, "metrics: no memory for %u pictures of %dx%d", images, width,
                       height);
    }
    *metrics = m;
    return FG_OK;
}

void fg_metrics_close(struct fg_metrics *metrics) {
    if (!metrics)
        return;
    free(metrics->entry);
    free(metrics->spare);
    free(metrics->weight);
    free(metrics->picture);
    free(metrics->stack);
    free(metrics->label);
    free(metrics);
}

/* Marks the 8-connected region around start with a label and returns its size. */
static uint32_t fill(struct fg_metrics *m, const uint8_t *mask, int32_t start, int32_t label) {
    int32_t top = 0;
    uint32_t size = 0;
    m->stack[top++] = start;
    m->label[start] = label;
    while (top) {
        const int32_t i = m->stack[--top], y = i / m->width, x = i % m->width;
        size++;
        for (int32_t ny = y > 0 ? y - 1 : 0; ny <= y + 1 && ny < m->height; ny++)
            for (int32_t nx = x > 0 ? x - 1 : 0; nx <= x + 1 && nx < m->width; nx++) {
                const int32_t k = ny * m->width + nx;
                if (!mask[k] || m->label[k] >= 0)
                    continue;
                m->label[k] = label;
                m->stack[top++] = k;
            }
    }
    return size;
}

/* Weights of one picture's pixels; returns how many regions there are. */
static uint32_t weigh(struct fg_metrics *m, const uint8_t *mask, float *weight) {
    memset(weight, 0, m->pixels * sizeof *weight);
    if (!mask)
        return 0;
    int32_t regions = 0;
    memset(m->label, 0xff, m->pixels * sizeof *m->label);
    for (int32_t i = 0; i < (int32_t)m->pixels; i++) {
        if (!mask[i] || m->label[i] >= 0)
            continue;
        const uint32_t size = fill(m, mask, i, regions);
        for (int32_t k = i; k < (int32_t)m->pixels; k++)
            if (m->label[k] == regions)
                weight[k] = 1 / (float)size;
        regions++;
    }
    return (uint32_t)regions;
}

static double rd4ad(const struct fg_metrics *m, const float *map, const float *weight, uint32_t regions) {
    float low = INFINITY, high = -INFINITY;
    double background = 0;
    for (size_t i = 0; i < m->pixels; i++) {
        low = fminf(low, map[i]);
        high = fmaxf(high, map[i]);
        background += weight[i] == 0;
    }
    if (!regions || !(high > low) || !isfinite(high) || background == 0)
        return NAN;
    /* Rates fall as the threshold rises: the first row kept has the largest. */
    double area = 0, largest = NAN, last_rate = 0, last_overlap = 0;
    for (int t = 0; t < RD4AD_THRESHOLDS; t++) {
        const double threshold = low + (double)t * ((double)high - low) / RD4AD_THRESHOLDS;
        double overlap = 0, false_pixels = 0;
        for (size_t i = 0; i < m->pixels; i++)
            if (map[i] > threshold) {
                overlap += weight[i];
                false_pixels += weight[i] == 0;
            }
        const double rate = false_pixels / background;
        if (rate >= PRO_LIMIT)
            continue;
        overlap /= regions;
        if (isnan(largest))
            largest = rate;
        else
            area += (last_rate - rate) * (last_overlap + overlap) / 2;
        last_rate = rate;
        last_overlap = overlap;
    }
    return largest > 0 ? area / largest : NAN;
}

void fg_metrics_add(struct fg_metrics *metrics, const float *map, float score, uint8_t group,
                    const uint8_t *mask) {
    assert(metrics->images < metrics->room && !metrics->sorted);
    struct fg_metrics *m = metrics;
    const size_t at = m->images * m->pixels;
    struct picture *p = &m->picture[m->images++];
    *p = (struct picture){.score = score, .group = group, .regions = weigh(m, mask, m->weight + at)};
    p->rd4ad = rd4ad(m, map, m->weight + at, p->regions);
    for (size_t i = 0; i < m->pixels; i++)
        m->entry[at + i] = (struct entry){key_of(map[i]), (uint32_t)(at + i)};
}

/* Radix sort by descending key, a byte at a time. Stable, so the result does not depend on anything else. */
static void sort(struct entry *entry, struct entry *spare, size_t count) {
    for (int shift = 0; shift < 32; shift += 8) {
        size_t start[256] = {0}, sum = 0;
        for (size_t i = 0; i < count; i++)
            start[255 - (entry[i].key >> shift & 255)]++;
        for (int b = 0; b < 256; b++) {
            const size_t size = start[b];
            start[b] = sum;
            sum += size;
        }
        for (size_t i = 0; i < count; i++)
            spare[start[255 - (entry[i].key >> shift & 255)]++] = entry[i];
        struct entry *swap = entry;
        entry = spare;
        spare = swap;
    }
    /* Four passes: the result is back where it began. */
}

/* Walks thresholds from the highest down. */
struct curve {
    double positives, negatives; /* in all */
    double hits, alarms;         /* above the threshold */
    double last_hits, last_alarms;
    double auroc, ap, f1max;
    double overlap, last_overlap, regions, pro, last_rate; /* of PRO */
};

/* All entries of one score have been taken in. */
static void close_threshold(struct curve *c) {
    c->auroc += (c->alarms - c->last_alarms) * (c->hits + c->last_hits) / 2;
    if (c->hits > c->last_hits)
        c->ap += (c->hits - c->last_hits) / c->positives * c->hits / (c->hits + c->alarms);
    const double f1 = 2 * c->hits / (c->hits + c->alarms + c->positives);
    c->f1max = f1 > c->f1max ? f1 : c->f1max;

    const double rate = c->alarms / c->negatives, overlap = c->overlap / c->regions;
    if (c->last_rate < PRO_LIMIT && rate > c->last_rate) {
        const double end = rate < PRO_LIMIT ? rate : PRO_LIMIT;
        const double at_end =
            c->last_overlap + (overlap - c->last_overlap) * (end - c->last_rate) / (rate - c->last_rate);
        c->pro += (end - c->last_rate) * (c->last_overlap + at_end) / 2;
    }
    c->last_rate = rate;
    c->last_overlap = overlap;
    c->last_hits = c->hits;
    c->last_alarms = c->alarms;
}

static void finish_curve(struct curve *c) {
    const bool both = c->positives > 0 && c->negatives > 0;
    c->auroc = both ? c->auroc / (c->positives * c->negatives) : NAN;
    c->pro = both && c->regions > 0 ? c->pro / PRO_LIMIT : NAN;
    if (!(c->positives > 0))
        c->ap = c->f1max = NAN;
}

static bool counts(const struct picture *p, uint8_t group) {
    return !group || !p->group || p->group == group;
}

static struct curve pixel_curve(const struct fg_metrics *m, uint8_t group) {
    struct curve c = {0};
    const size_t all = m->images * m->pixels;
    for (uint32_t i = 0; i < m->images; i++) {
        if (!counts(&m->picture[i], group))
            continue;
        c.regions += m->picture[i].regions;
        for (size_t k = 0; k < m->pixels; k++) {
            const bool defective = m->weight[i * m->pixels + k] > 0;
            c.positives += defective;
            c.negatives += !defective;
        }
    }
    uint32_t key = 0;
    bool open = false;
    for (size_t i = 0; i < all; i++) {
        const struct entry e = m->entry[i];
        if (!counts(&m->picture[e.of / m->pixels], group))
            continue;
        if (open && e.key != key)
            close_threshold(&c);
        open = true;
        key = e.key;
        const float weight = m->weight[e.of];
        c.overlap += weight;
        c.hits += weight > 0;
        c.alarms += !(weight > 0);
    }
    if (open)
        close_threshold(&c);
    finish_curve(&c);
    return c;
}

static int by_key(const void *a, const void *b) {
    const uint32_t x = ((const struct entry *)a)->key, y = ((const struct entry *)b)->key;
    return x > y ? -1 : x < y;
}

static struct curve image_curve(const struct fg_metrics *m, uint8_t group, struct entry *entry) {
    struct curve c = {0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->images; i++) {
        if (!counts(&m->picture[i], group))
            continue;
        entry[count++] = (struct entry){key_of(m->picture[i].score), i};
        c.positives += m->picture[i].group != 0;
        c.negatives += m->picture[i].group == 0;
    }
    qsort(entry, count, sizeof *entry, by_key);
    for (uint32_t i = 0; i < count; i++) {
        const bool defective = m->picture[entry[i].of].group != 0;
        c.hits += defective;
        c.alarms += !defective;
        if (i + 1 == count || entry[i + 1].key != entry[i].key)
            close_threshold(&c);
    }
    finish_curve(&c);
    return c;
}

enum fg_status fg_metrics_figures(struct fg_metrics *metrics, uint8_t group, struct fg_figures *figures,
                                  struct fg_message *message) {
    struct fg_metrics *m = metrics;
    if (!m->sorted)
        sort(m->entry, m->spare, m->images * m->pixels);
    m->sorted = true;
    struct entry *entry = malloc((m->images + 1) * sizeof *entry);
    if (!entry)
        return fg_fail(message, FG_ENVIRONMENT, "metrics: no memory");
    const struct curve image = image_curve(m, group, entry), pixel = pixel_curve(m, group);
    free(entry);
    double sum = 0;
    uint32_t number = 0, images = 0;
    for (uint32_t i = 0; i < m->images; i++) {
        if (!counts(&m->picture[i], group))
            continue;
        images++;
        if (isnan(m->picture[i].rd4ad))
            continue;
        sum += m->picture[i].rd4ad;
        number++;
    }
    *figures = (struct fg_figures){.image_auroc = image.auroc,
                                   .pixel_auroc = pixel.auroc,
                                   .pro = pixel.pro,
                                   .pro_rd4ad = number ? sum / number : NAN,
                                   .image_ap = image.ap,
                                   .pixel_ap = pixel.ap,
                                   .image_f1max = image.f1max,
                                   .pixel_f1max = pixel.f1max,
                                   .images = images};
    return FG_OK;
}
