/* The metrics against their definitions, computed the slow way on every threshold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/evaluate/metrics.h"

#define H 9
#define W 11
#define PIXELS (H * W)
#define IMAGES 8

static float map[IMAGES][PIXELS], score[IMAGES];
static uint8_t mask[IMAGES][PIXELS], group[IMAGES];
static int32_t component[IMAGES][PIXELS]; /* from 1 */
static int components;
static uint32_t state_of_draw = 1;

static uint32_t draw(uint32_t below) {
    state_of_draw = state_of_draw * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)state_of_draw * below >> 32);
}

static void spread(int i, int y, int x) {
    if (y < 0 || x < 0 || y >= H || x >= W || !mask[i][y * W + x] || component[i][y * W + x])
        return;
    component[i][y * W + x] = components;
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++)
            spread(i, y + dy, x + dx);
}

/* Rectangles of defects, scores of few values so that there are ties. */
static void make(uint32_t seed, uint32_t values) {
    state_of_draw = seed;
    components = 0;
    memset(mask, 0, sizeof mask);
    memset(component, 0, sizeof component);
    for (int i = 0; i < IMAGES; i++) {
        group[i] = (uint8_t)(i % 3);
        score[i] = 0;
        for (int r = 0; group[i] && r < 2; r++) {
            const uint32_t y = draw(H - 3), x = draw(W - 4), h = 1 + draw(3), w = 1 + draw(4);
            for (uint32_t k = 0; k < h * w; k++)
                mask[i][(y + k / w) * W + x + k % w] = 1;
        }
        for (int p = 0; p < PIXELS; p++) {
            map[i][p] = (float)draw(values) / (float)values + (mask[i][p] ? 0.3f : 0);
            score[i] = fmaxf(score[i], map[i][p]);
        }
        for (int p = 0; p < PIXELS; p++)
            if (mask[i][p] && !component[i][p]) {
                components++;
                spread(i, p / W, p % W);
            }
    }
}

static bool counts(int i, int kind) {
    return !kind || !group[i] || group[i] == kind;
}

/* P(defective above good) + P(equal) / 2. */
static double slow_auroc(int kind) {
    double wins = 0, pairs = 0;
    for (int a = 0; a < IMAGES * PIXELS; a++)
        for (int b = 0; b < IMAGES * PIXELS; b++) {
            if (!counts(a / PIXELS, kind) || !counts(b / PIXELS, kind) || !mask[a / PIXELS][a % PIXELS] ||
                mask[b / PIXELS][b % PIXELS])
                continue;
            const float x = map[a / PIXELS][a % PIXELS], y = map[b / PIXELS][b % PIXELS];
            wins += x > y ? 1 : x == y ? 0.5 : 0;
            pairs++;
        }
    return wins / pairs;
}

static int by_float_down(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return x > y ? -1 : x < y;
}

struct slow {
    double pro, ap, f1;
};

static struct slow slow_curves(int kind) {
    static float thresholds[IMAGES * PIXELS];
    int count = 0;
    for (int a = 0; a < IMAGES * PIXELS; a++)
        if (counts(a / PIXELS, kind))
            thresholds[count++] = map[a / PIXELS][a % PIXELS];
    qsort(thresholds, (size_t)count, sizeof *thresholds, by_float_down);
    struct slow s = {0, 0, 0};
    double last_rate = 0, last_overlap = 0, last_recall = 0;
    for (int t = 0; t < count; t++) {
        if (t && thresholds[t] == thresholds[t - 1])
            continue;
        double hits = 0, alarms = 0, positives = 0, negatives = 0, overlap = 0;
        int number = 0;
        for (int r = 1; r <= components; r++) {
            double size = 0, above = 0;
            for (int a = 0; a < IMAGES * PIXELS; a++)
                if (counts(a / PIXELS, kind) && component[a / PIXELS][a % PIXELS] == r) {
                    size++;
                    above += map[a / PIXELS][a % PIXELS] >= thresholds[t];
                }
            number += size > 0;
            overlap += size > 0 ? above / size : 0;
        }
        for (int a = 0; a < IMAGES * PIXELS; a++) {
            if (!counts(a / PIXELS, kind))
                continue;
            const bool above = map[a / PIXELS][a % PIXELS] >= thresholds[t],
                       bad = mask[a / PIXELS][a % PIXELS];
            positives += bad;
            negatives += !bad;
            hits += above && bad;
            alarms += above && !bad;
        }
        overlap /= number;
        const double rate = alarms / negatives, recall = hits / positives, precision = hits / (hits + alarms);
        s.ap += (recall - last_recall) * precision;
        if (hits > 0)
            s.f1 = fmax(s.f1, 2 * precision * recall / (precision + recall));
        if (last_rate < 0.3) {
            const double end = fmin(rate, 0.3);
            const double height = rate > last_rate ? last_overlap + (overlap - last_overlap) *
                                                                        (end - last_rate) / (rate - last_rate)
                                                   : overlap;
            s.pro += (end - last_rate) * (last_overlap + height) / 2;
        }
        last_rate = rate;
        last_overlap = overlap;
        last_recall = recall;
    }
    s.pro /= 0.3;
    return s;
}

static struct fg_figures figures_of(int kind) {
    struct fg_metrics *metrics;
    struct fg_message message;
    struct fg_figures figures;
    assert_int_equal(fg_metrics_open(IMAGES, H, W, &metrics, &message), FG_OK);
    for (int i = 0; i < IMAGES; i++)
        fg_metrics_add(metrics, map[i], score[i], group[i], group[i] ? mask[i] : NULL);
    assert_int_equal(fg_metrics_figures(metrics, (uint8_t)kind, &figures, &message), FG_OK);
    fg_metrics_close(metrics);
    return figures;
}

static void close_to(const char *what, double a, double b) {
    if (!(fabs(a - b) < 1e-6))
        fail_msg("%s: %.9f, by definition %.9f", what, a, b);
}

static void test_definitions(void **state) {
    (void)state;
    static const uint32_t values[] = {1000000, 20, 3};
    for (uint32_t seed = 1; seed <= 3; seed++)
        for (int kind = 0; kind <= 2; kind++) {
            make(seed, values[seed - 1]);
            const struct fg_figures f = figures_of(kind);
            const struct slow s = slow_curves(kind);
            close_to("pixel AUROC", f.pixel_auroc, slow_auroc(kind));
            close_to("PRO", f.pro, s.pro);
            close_to("pixel AP", f.pixel_ap, s.ap);
            close_to("pixel F1-max", f.pixel_f1max, s.f1);
        }
}

/* Scores 4 3 2 2 1 of bad good bad good good: one pair of six ties, one loses. */
static void test_images(void **state) {
    (void)state;
    make(1, 100);
    static const float scores[IMAGES] = {3, 4, 2, 2, 0, 0, 1, 0};
    static const uint8_t kinds[IMAGES] = {0, 1, 1, 0, 0, 0, 0, 0};
    memcpy(score, scores, sizeof score);
    memcpy(group, kinds, sizeof group);
    const struct fg_figures f = figures_of(0);
    close_to("image AUROC", f.image_auroc, (6 + 4 + 0.5) / 12);
    close_to("image AP", f.image_ap, 0.5 * 1 + 0.5 * 2 / 4);
    close_to("image F1-max", f.image_f1max, 2.0 / 3);
    assert_int_equal(f.images, IMAGES);
}

static void test_degenerate(void **state) {
    (void)state;
    make(2, 50);
    memset(group, 0, sizeof group); /* nothing defective */
    struct fg_figures f = figures_of(0);
    assert_true(isnan(f.image_auroc) && isnan(f.pixel_auroc) && isnan(f.pro) && isnan(f.pro_rd4ad));
    make(2, 50);
    for (int i = 0; i < IMAGES; i++) /* everything the same */
        for (int p = 0; p < PIXELS; p++)
            map[i][p] = 1;
    f = figures_of(0);
    close_to("pixel AUROC of equal scores", f.pixel_auroc, 0.5);
    close_to("PRO of equal scores", f.pro, 0.15);
}

static void test_not_finite_is_the_largest(void **state) {
    (void)state;
    make(3, 50);
    for (int i = 0; i < IMAGES; i++)
        score[i] = group[i] ? NAN : 1e30f;
    close_to("image AUROC", figures_of(0).image_auroc, 1);
}

static void test_minus_zero_is_zero(void **state) {
    (void)state;
    make(3, 50);
    for (int i = 0; i < IMAGES; i++) {
        score[i] = group[i] ? 0.0f : -0.0f;
        for (int p = 0; p < PIXELS; p++)
            map[i][p] = mask[i][p] ? 0.0f : -0.0f;
    }
    close_to("image AUROC", figures_of(0).image_auroc, 0.5);
    close_to("pixel AUROC", figures_of(0).pixel_auroc, 0.5);
}

/* By its definition: a row for each of 200 thresholds over the picture's own range. */
static double slow_rd4ad(int i) {
    float low = INFINITY, high = -INFINITY;
    for (int p = 0; p < PIXELS; p++) {
        low = fminf(low, map[i][p]);
        high = fmaxf(high, map[i][p]);
    }
    double rates[200], overlaps[200], area = 0;
    int rows = 0;
    for (int t = 0; t < 200; t++) {
        const double threshold = low + t * ((double)high - low) / 200;
        double alarms = 0, good = 0, overlap = 0;
        int own = 0;
        for (int r = 1; r <= components; r++) {
            double size = 0, above = 0;
            for (int p = 0; p < PIXELS; p++)
                if (component[i][p] == r) {
                    size++;
                    above += map[i][p] > threshold;
                }
            own += size > 0;
            overlap += size > 0 ? above / size : 0;
        }
        for (int p = 0; p < PIXELS; p++)
            if (!mask[i][p]) {
                good++;
                alarms += map[i][p] > threshold;
            }
        if (alarms / good >= 0.3)
            continue;
        rates[rows] = alarms / good;
        overlaps[rows++] = overlap / own;
    }
    for (int k = 1; k < rows; k++)
        area += (rates[k - 1] - rates[k]) / rates[0] * (overlaps[k - 1] + overlaps[k]) / 2;
    return area;
}

static void test_rd4ad(void **state) {
    (void)state;
    for (uint32_t seed = 1; seed <= 4; seed++) {
        make(seed, 100000);
        double sum = 0;
        int count = 0;
        for (int i = 0; i < IMAGES; i++)
            if (group[i]) {
                sum += slow_rd4ad(i);
                count++;
            }
        close_to("PRO as RD4AD has it", figures_of(0).pro_rd4ad, sum / count);
    }
}

/* Single pixels that touch at corners are one component; single pixels one pixel apart are one each. */
static void test_regions(void **state) {
    (void)state;
    for (int apart = 0; apart < 2; apart++) {
        memset(mask, 0, sizeof mask);
        memset(map, 0, sizeof map);
        memset(group, 0, sizeof group);
        group[0] = 1;
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                mask[0][y * W + x] = apart ? y % 2 == 0 && x % 2 == 0 : (y + x) % 2 == 0;
        map[0][0] = 1; /* one pixel of one component is found without an alarm, then everything alarms */
        const double first = 1.0 / (apart ? ((H + 1) / 2) * ((W + 1) / 2) : (H * W + 1) / 2);
        /* The overlap rises in one line from first at rate 0 to 1 at rate 1. */
        close_to("PRO", figures_of(0).pro, first + (1 - first) * 0.3 / 2);
    }
}

/* A defective picture whose mask is empty counts as a picture, and its pixels as good ones. */
static void test_empty_mask(void **state) {
    (void)state;
    make(5, 1000);
    memset(mask[1], 0, sizeof mask[1]);
    memset(component[1], 0, sizeof component[1]);
    const struct fg_figures f = figures_of(0);
    close_to("PRO", f.pro, slow_curves(0).pro);
    close_to("pixel AUROC", f.pixel_auroc, slow_auroc(0));
    assert_true(f.pro_rd4ad >= 0); /* the mean of those that have a component */
    assert_true(f.image_auroc >= 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definitions),
        cmocka_unit_test(test_images),
        cmocka_unit_test(test_degenerate),
        cmocka_unit_test(test_not_finite_is_the_largest),
        cmocka_unit_test(test_minus_zero_is_zero),
        cmocka_unit_test(test_rd4ad),
        cmocka_unit_test(test_regions),
        cmocka_unit_test(test_empty_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
