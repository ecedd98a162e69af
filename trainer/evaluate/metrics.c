/* Walks all distinct scores from the highest down, over pictures and over pixels, and sums the figures. */
#include "trainer/evaluate/metrics.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/size.h"

#define PRO_LIMIT 0.3
#define RD4AD_THRESHOLDS 200

/* Pictures of one group that were added one after the other: their pixels are sorted together. */
struct run {
    uint8_t group;
    size_t good, goods; /* index of the first in good[], and how many they are */
    /* Index of the first in slot[], which counts from the end until sorted is true, and how many they are. */
    size_t defective, defectives;
    uint32_t components;
};

/* Good pixels are keys (make_key), from the front of slot; defective ones are key << 32 | bits of their
 * weight, 1 / pixels of their component, from its end. They never meet, and memory between them is never
 * touched. */
struct fg_metrics {
    uint32_t room, images, runs;
    int32_t height, width;
    size_t pixels; /* pixels of one picture */
    size_t slots;  /* pixels of all pictures */
    bool sorted;
    uint64_t *slot; /* [slots] */
    uint32_t *good; /* [2 * slots], in slot's memory */
    size_t goods, defectives;
    struct run *run; /* [room] */
    struct picture {
        float score;
        uint8_t group;
        double rd4ad; /* NaN where the picture has no such figure */
    } * picture;
    int32_t *stack, *label; /* [pixels] */
    uint32_t *size;         /* [pixels]: pixels of each component of a picture */
    float *weight;          /* [pixels] of one picture: 1 / pixels of the component there, 0 where good */
};

/* Codes a float so that keys have the floats' order; what is not finite is the largest. */
static uint32_t make_key(float score) {
    if (!isfinite(score))
        return UINT32_MAX;
    score = score == 0 ? 0 : score; /* -0 is 0 */
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
    size_t bytes;
    if (fg_size_mul(images, m->pixels, &m->slots) && fg_size_mul(m->slots, sizeof *m->slot, &bytes)) {
        m->slot = malloc(bytes ? bytes : 1);
        m->good = (uint32_t *)m->slot;
        m->run = malloc((images + 1) * sizeof *m->run);
        m->picture = malloc((images + 1) * sizeof *m->picture);
        m->stack = malloc(m->pixels * sizeof *m->stack);
        m->label = malloc(m->pixels * sizeof *m->label);
        m->size = malloc(m->pixels * sizeof *m->size);
        m->weight = malloc(m->pixels * sizeof *m->weight);
    }
    if (!m->slot || !m->run || !m->picture || !m->stack || !m->label || !m->size || !m->weight) {
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
    free(metrics->slot);
    free(metrics->run);
    free(metrics->picture);
    free(metrics->stack);
    free(metrics->label);
    free(metrics->size);
    free(metrics->weight);
    free(metrics);
}

/* Marks the 8-connected component around start with a label and returns its size. */
static uint32_t mark_component(struct fg_metrics *m, const uint8_t *mask, int32_t start, int32_t label) {
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

/* Fills weight for one picture; returns how many components there are. */
static uint32_t weigh_pixels(struct fg_metrics *m, const uint8_t *mask) {
    memset(m->weight, 0, m->pixels * sizeof *m->weight);
    if (!mask)
        return 0;
    int32_t components = 0;
    memset(m->label, 0xff, m->pixels * sizeof *m->label);
    for (int32_t i = 0; i < (int32_t)m->pixels; i++)
        if (mask[i] && m->label[i] < 0) {
            m->size[components] = mark_component(m, mask, i, components);
            components++;
        }
    for (size_t i = 0; i < m->pixels; i++)
        if (mask[i])
            m->weight[i] = 1 / (float)m->size[m->label[i]];
    return (uint32_t)components;
}

/* Finds the least t whose threshold the value is not above. */
static int find_threshold(double value, double low, double step) {
    int t = (int)((value - low) / step);
    while (t > 0 && !(value > low + (t - 1) * step))
        t--;
    while (t < RD4AD_THRESHOLDS && value > low + t * step)
        t++;
    return t;
}

static double measure_rd4ad(const struct fg_metrics *m, const float *map, uint32_t components) {
    float low = INFINITY, high = -INFINITY;
    size_t background = 0;
    for (size_t i = 0; i < m->pixels; i++) {
        if (!isfinite(map[i]))
            return NAN;
        low = fminf(low, map[i]);
        high = fmaxf(high, map[i]);
        background += m->weight[i] == 0;
    }
    if (!components || !(high > low) || background == 0)
        return NAN;
    /* Weights and pixels that are no longer above a threshold; summed from the highest down they are the
     * rows. */
    double hits[RD4AD_THRESHOLDS + 1] = {0}, alarms[RD4AD_THRESHOLDS + 1] = {0};
    const double step = ((double)high - low) / RD4AD_THRESHOLDS;
    for (size_t i = 0; i < m->pixels; i++) {
        const int t = find_threshold(map[i], low, step);
        hits[t] += m->weight[i];
        alarms[t] += m->weight[i] == 0;
    }
    double area = 0, last_rate = 0, last_overlap = 0, hit = 0, alarm = 0;
    for (int t = RD4AD_THRESHOLDS - 1; t >= 0; t--) {
        hit += hits[t + 1];
        alarm += alarms[t + 1];
        const double overlap = hit / components, rate = alarm / (double)background;
        if (rate >= PRO_LIMIT)
            break;
        if (t < RD4AD_THRESHOLDS - 1)
            area += (rate - last_rate) * (last_overlap + overlap) / 2;
        last_rate = rate;
        last_overlap = overlap;
    }
    return last_rate > 0 ? area / last_rate : NAN;
}

void fg_metrics_add(struct fg_metrics *metrics, const float *map, float score, uint8_t group,
                    const uint8_t *mask) {
    assert(metrics->images < metrics->room && !metrics->sorted);
    struct fg_metrics *m = metrics;
    if (!m->runs || m->run[m->runs - 1].group != group)
        m->run[m->runs++] = (struct run){.group = group, .good = m->goods, .defective = m->defectives};
    struct run *run = &m->run[m->runs - 1];
    const uint32_t components = weigh_pixels(m, mask);
    run->components += components;
    m->picture[m->images++] = (struct picture){score, group, measure_rd4ad(m, map, components)};
    for (size_t i = 0; i < m->pixels; i++) {
        const uint32_t key = make_key(map[i]);
        if (m->weight[i] > 0) {
            uint32_t bits;
            memcpy(&bits, &m->weight[i], sizeof bits);
            m->slot[m->slots - ++m->defectives] = (uint64_t)key << 32 | bits;
        } else {
            m->good[m->goods++] = key;
        }
    }
    run->goods = m->goods - run->good;
    run->defectives = m->defectives - run->defective;
}

/* Sorts in descending order, in place: each key goes to the bin of its leading byte, then each bin is
 * sorted by the next. */
static void sort_keys(uint32_t *key, size_t count, int shift) {
    size_t next[256] = {0}, end[256], sum = 0;
    for (size_t i = 0; i < count; i++)
        next[255 - (key[i] >> shift & 255)]++;
    for (int b = 0; b < 256; b++) {
        sum += next[b];
        end[b] = sum;
        next[b] = sum - next[b];
    }
    for (int b = 0; b < 256; b++)
        while (next[b] < end[b]) {
            const uint32_t k = key[next[b]];
            const uint32_t bin = 255 - (k >> shift & 255);
            key[next[b]] = key[next[bin]];
            key[next[bin]++] = k;
        }
    for (int b = 0; b < 256 && shift; b++) {
        const size_t begin = b ? end[b - 1] : 0;
        if (end[b] - begin > 1)
            sort_keys(key + begin, end[b] - begin, shift - 8);
    }
}

static int compare_slots(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x > y ? -1 : x < y;
}

static void sort_runs(struct fg_metrics *m) {
    for (uint32_t i = 0; i < m->runs; i++) {
        struct run *run = &m->run[i];
        run->defective = m->slots - run->defective - run->defectives;
        sort_keys(m->good + run->good, run->goods, 24);
        qsort(m->slot + run->defective, run->defectives, sizeof *m->slot, compare_slots);
    }
    m->sorted = true;
}

/* The next pixel of one sorted run; a heap of cursors gives the pixels of all runs in order. */
struct cursor {
    uint32_t key;
    bool defective;
    size_t next, end;
};

static void read_key(const struct fg_metrics *m, struct cursor *c) {
    c->key = c->defective ? (uint32_t)(m->slot[c->next] >> 32) : m->good[c->next];
}

static void sift_down(struct cursor *heap, size_t count, size_t at) {
    for (;;) {
        size_t largest = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
            if (heap[child].key > heap[largest].key)
                largest = child;
        if (largest == at)
            return;
        const struct cursor swap = heap[at];
        heap[at] = heap[largest];
        heap[largest] = swap;
        at = largest;
    }
}

/* Walks thresholds from the highest down. */
struct curve {
    double positives, negatives; /* entries that are defective, and good */
    double hits, alarms;         /* entries above the threshold that are defective, and good */
    double last_hits, last_alarms;
    double auroc, ap, f1max;
    double overlap, last_overlap, components, pro, last_rate; /* sums for PRO */
};

/* Adds a threshold's share to the figures, once all entries of its score have been taken in. */
static void add_threshold(struct curve *c) {
    c->auroc += (c->alarms - c->last_alarms) * (c->hits + c->last_hits) / 2;
    if (c->hits > c->last_hits)
        c->ap += (c->hits - c->last_hits) / c->positives * c->hits / (c->hits + c->alarms);
    const double f1 = 2 * c->hits / (c->hits + c->alarms + c->positives);
    c->f1max = f1 > c->f1max ? f1 : c->f1max;

    const double rate = c->alarms / c->negatives, overlap = c->overlap / c->components;
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
    c->pro = both && c->components > 0 ? c->pro / PRO_LIMIT : NAN;
    if (!(c->positives > 0))
        c->ap = c->f1max = NAN;
}

static bool is_counted(uint8_t of, uint8_t group) {
    return !group || !of || of == group;
}

static size_t fill_heap(const struct fg_metrics *m, uint8_t group, struct cursor *heap, struct curve *c) {
    size_t count = 0;
    for (uint32_t i = 0; i < m->runs; i++) {
        const struct run *run = &m->run[i];
        if (!is_counted(run->group, group))
            continue;
        c->components += run->components;
        c->positives += (double)run->defectives;
        c->negatives += (double)run->goods;
        if (run->goods)
            heap[count++] = (struct cursor){.next = run->good, .end = run->good + run->goods};
        if (run->defectives)
            heap[count++] = (struct cursor){
                .defective = true, .next = run->defective, .end = run->defective + run->defectives};
    }
    for (size_t i = 0; i < count; i++)
        read_key(m, &heap[i]);
    for (size_t i = count / 2; i-- > 0;)
        sift_down(heap, count, i);
    return count;
}

/* Walks the pixels of a group from the highest score down. heap: [2 * runs], its contents are overwritten. */
static struct curve walk_pixels(const struct fg_metrics *m, uint8_t group, struct cursor *heap) {
    struct curve c = {0};
    size_t count = fill_heap(m, group, heap, &c);
    while (count) {
        const uint32_t key = heap[0].key;
        while (count && heap[0].key == key) {
            if (heap[0].defective) {
                const uint32_t bits = (uint32_t)m->slot[heap[0].next];
                float weight;
                memcpy(&weight, &bits, sizeof weight);
                c.overlap += weight;
                c.hits++;
            } else {
                c.alarms++;
            }
            if (++heap[0].next == heap[0].end)
                heap[0] = heap[--count];
            else
                read_key(m, &heap[0]);
            sift_down(heap, count, 0);
        }
        add_threshold(&c);
    }
    finish_curve(&c);
    return c;
}

/* A score as a key, and the picture that has it. */
struct entry {
    uint32_t key, picture;
};

static int compare_entries(const void *a, const void *b) {
    const uint32_t x = ((const struct entry *)a)->key, y = ((const struct entry *)b)->key;
    return x > y ? -1 : x < y;
}

static struct curve walk_images(const struct fg_metrics *m, uint8_t group, struct entry *entry) {
    struct curve c = {0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->images; i++) {
        if (!is_counted(m->picture[i].group, group))
            continue;
        entry[count++] = (struct entry){make_key(m->picture[i].score), i};
        c.positives += m->picture[i].group != 0;
        c.negatives += m->picture[i].group == 0;
    }
    qsort(entry, count, sizeof *entry, compare_entries);
    for (uint32_t i = 0; i < count; i++) {
        const bool defective = m->picture[entry[i].picture].group != 0;
        c.hits += defective;
        c.alarms += !defective;
        if (i + 1 == count || entry[i + 1].key != entry[i].key)
            add_threshold(&c);
    }
    finish_curve(&c);
    return c;
}

enum fg_status fg_metrics_figures(struct fg_metrics *metrics, uint8_t group, struct fg_figures *figures,
                                  struct fg_message *message) {
    struct fg_metrics *m = metrics;
    if (!m->sorted)
        sort_runs(m);
    struct entry *entry = malloc((m->images + 1) * sizeof *entry);
    struct cursor *heap = malloc((2 * (size_t)m->runs + 1) * sizeof *heap);
    if (!entry || !heap) {
        free(entry);
        free(heap);
        return fg_fail(message, FG_ENVIRONMENT, "metrics: no memory");
    }
    const struct curve image = walk_images(m, group, entry), pixel = walk_pixels(m, group, heap);
    free(entry);
    free(heap);
    double sum = 0;
    uint32_t number = 0, images = 0;
    for (uint32_t i = 0; i < m->images; i++) {
        if (!is_counted(m->picture[i].group, group))
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
