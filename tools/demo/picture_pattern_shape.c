/* Patterns of objects: strokes, letters, polygons, and metal things seen from above. A function has its
 * pattern's name.
 *
 * A cell has one object, turned and shifted inside it, so that a place asks its own cell only. A distance to
 * an object's border is negative inside. */
#include <math.h>
#include <stddef.h>

#include "tools/demo/picture_noise.h"
#include "tools/demo/picture_pattern.h"

/* The object in a place's cell. */
struct object {
    float x, y; /* the place, seen from the object's middle and turned with it; the object may reach 0.48 */
    float a, b; /* the object's random numbers, uniform in [0, 1) */
    uint32_t hash; /* the object's random bits */
};

static struct object find_object(float x, float y, const struct fg_look *k) {
    const int32_t i = fg_noise_floor(x), j = fg_noise_floor(y);
    const uint32_t hash = fg_noise_hash(i, j, k->salt), more = fg_noise_hash(i, j, k->salt + 1);
    const float angle = FG_TURN * (float)(hash & 0xff) / 256, c = cosf(angle), s = sinf(angle);
    const float dx = x - (float)i - 0.5f - 0.12f * ((float)(more & 0xff) / 128 - 1),
                dy = y - (float)j - 0.5f - 0.12f * ((float)(more >> 8 & 0xff) / 128 - 1);
    return (struct object){c * dx + s * dy, c * dy - s * dx, (float)(hash >> 8 & 0xff) / 256,
                           (float)(hash >> 16 & 0xff) / 256, more};
}

static float measure_length(float x, float y) {
    return sqrtf(x * x + y * y);
}

/* Gives the distance to a rectangle's border, nearly. */
static float measure_box(float x, float y, float half_width, float half_height) {
    return fmaxf(fabsf(x) - half_width, fabsf(y) - half_height);
}

/* Gives the distance to the straight line from a to b. */
static float measure_bar(float x, float y, float ax, float ay, float bx, float by) {
    const float dx = bx - ax, dy = by - ay;
    const float t = fg_clamp(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0, 1);
    return measure_length(x - ax - t * dx, y - ay - t * dy);
}

/* Gives the distance to a regular polygon's border; radius ends at the middle of a side. */
static float measure_polygon(float x, float y, float sides, float radius) {
    const float sector = FG_TURN / sides;
    float angle = atan2f(y, x);
    angle -= sector * floorf(angle / sector + 0.5f);
    return measure_length(x, y) * cosf(angle) - radius;
}

static float draw_discs(float x, float y, const struct fg_look *k) {
    struct object o = find_object(x, y, k);
    return fg_cover(measure_length(o.x, o.y) - 0.12f - 0.24f * o.a, k) * (0.5f + 0.5f * o.b);
}

static float draw_balls(float x, float y, const struct fg_look *k) {
    struct object o = find_object(x, y, k);
    float r = measure_length(o.x, o.y) / (0.18f + 0.18f * o.a);
    return r < 1 ? 0.2f + 0.8f * sqrtf(1 - r * r) : 0.3f * fg_smooth(1, 1.6f, r) * k->a;
}

static float draw_polygons(float x, float y, const struct fg_look *k) {
    struct object o = find_object(x, y, k);
    return fg_cover(measure_polygon(o.x, o.y, 3 + floorf(3 * o.b), 0.14f + 0.1f * o.a), k) *
           (0.4f + 0.6f * o.b);
}

static float draw_stars(float x, float y, const struct fg_look *k) {
    struct object o = find_object(x, y, k);
    const float sector = FG_TURN / (4 + floorf(4 * k->a));
    float angle = atan2f(o.y, o.x);
    angle = fabsf(angle - sector * floorf(angle / sector + 0.5f));
    return fg_cover(measure_length(o.x, o.y) * (1 + 2.2f * angle) - 0.26f - 0.16f * o.a, k);
}

static float draw_crosses(float x, float y, const struct fg_look *k) {
    struct object o = find_object(x, y, k);
    float arm = 0.2f + 0.15f * o.a, width = 0.04f + 0.06f * k->a;
    return fg_cover(fminf(measure_box(o.x, o.y, arm, width), measure_box(o.x, o.y, width, arm)), k);
}

static float draw_frames(float x, float y, const struct fg_look *k) {
    struct object o = find_object(x, y, k);
    return fg_cover(
        fabsf(measure_box(o.x, o.y, 0.14f + 0.14f * o.a, 0.14f + 0.14f * o.b)) - 0.03f - 0.03f * k->a, k);
}

static float draw_crescents(float x, float y, const struct fg_look *k) {
    struct object o = find_object(x, y, k);
    float radius = 0.22f + 0.14f * o.a;
    return fg_cover(fmaxf(measure_length(o.x, o.y) - radius,
                          0.85f * radius - measure_length(o.x - 0.1f - 0.08f * o.b, o.y)),
                    k);
}

static float draw_washers(float x, float y, const struct fg_look *k) {
    struct object o = find_object(x, y, k);
    float r = measure_length(o.x, o.y), radius = 0.26f + 0.12f * o.a;
    float metal = fg_cover(fabsf(r - 0.72f * radius) - 0.28f * radius, k);
    return metal * (0.6f + 0.25f * fg_noise(40 * r, (float)(o.hash & 0xff), k->salt) +
                    0.15f * fg_smooth(0.7f, 1, r / radius));
}

static float draw_nuts(float x, float y, const struct fg_look *k) {
    struct object o = find_object(x, y, k);
    float radius = 0.24f + 0.12f * o.a, r = measure_length(o.x, o.y);
    float body = fmaxf(measure_polygon(o.x, o.y, 6, radius), 0.55f * radius - r);
    return fg_cover(body, k) * (0.6f + 0.4f * fg_smooth(1.15f, 0.9f, r / radius));
}

static float draw_screws(float x, float y, const struct fg_look *k) {
    struct object o = find_object(x, y, k);
    float radius = 0.24f + 0.12f * o.a, r = measure_length(o.x, o.y), slot = 0.12f * radius;
    float recess = k->a < 0.5f ? measure_box(o.x, o.y, 0.8f * radius, slot)
                               : fminf(measure_box(o.x, o.y, 0.6f * radius, slot),
                                       measure_box(o.x, o.y, slot, 0.6f * radius));
    return fg_cover(r - radius, k) * (1 - 0.35f * r / radius) * (1 - 0.9f * fg_cover(recess, k));
}

static float draw_gears(float x, float y, const struct fg_look *k) {
    struct object o = find_object(x, y, k);
    float r = measure_length(o.x, o.y), teeth = 8 + floorf(8 * o.b);
    float radius = 0.34f + 0.05f * fg_clamp(2.5f * cosf(teeth * atan2f(o.y, o.x)), -1, 1);
    return fg_cover(fmaxf(r - radius, 0.08f + 0.12f * o.a - r), k) *
           (0.75f + 0.25f * fg_smooth(0.3f, 0.22f, r));
}

static float draw_flanges(float x, float y, const struct fg_look *k) {
    struct object o = find_object(x, y, k);
    float r = measure_length(o.x, o.y), holes = 3 + floorf(5 * k->a), sector = FG_TURN / holes;
    float angle = atan2f(o.y, o.x);
    angle -= sector * floorf(angle / sector + 0.5f);
    float hole = measure_length(r * cosf(angle) - 0.28f, r * sinf(angle)) - 0.05f;
    float body = fmaxf(fmaxf(r - 0.4f, 0.1f + 0.05f * o.a - r), -hole);
    return fg_cover(body, k) * (r < 0.19f ? 1.0f : 0.7f);
}

static float draw_brackets(float x, float y, const struct fg_look *k) {
    struct object o = find_object(x, y, k);
    float leg = 0.3f, width = 0.08f + 0.05f * o.a;
    float body = fminf(measure_box(o.x, o.y + leg - width, leg, width),
                       measure_box(o.x + leg - width, o.y, width, leg));
    float hole = fminf(measure_length(o.x - 0.18f, o.y + leg - width),
                       measure_length(o.x + leg - width, o.y - 0.18f)) -
                 0.45f * width;
    return fg_cover(fmaxf(body, -hole), k) * 0.9f;
}

static float draw_pins(float x, float y, const struct fg_look *k) {
    struct object o = find_object(x, y, k);
    float across = measure_bar(o.x, o.y, -0.26f, 0, 0.26f, 0) / (0.06f + 0.08f * o.a);
    return across < 1 ? 0.15f + 0.85f * sqrtf(1 - across * across) : 0.0f;
}

static float draw_springs(float x, float y, const struct fg_look *k) {
    struct object o = find_object(x, y, k);
    float wire = fabsf(o.y - 0.12f * sinf((30 + 20 * k->a) * o.x)) * 0.5f;
    return fg_cover(fmaxf(wire - 0.035f, fabsf(o.x) - 0.36f), k);
}

/* Gives the distance to the stroke between two points of a 3 x 3 grid, numbered row by row. */
static float measure_stroke(float x, float y, int32_t from, int32_t to) {
    const int32_t from_row = from / 3, to_row = to / 3;
    return measure_bar(x, y, 0.24f * (float)(from % 3 - 1), 0.32f * (float)(from_row - 1),
                       0.24f * (float)(to % 3 - 1), 0.32f * (float)(to_row - 1));
}

static float draw_letters(float x, float y, const struct fg_look *k) {
    /* A sign has four joined strokes; signs stand upright in rows. */
    const int32_t i = fg_noise_floor(x), j = fg_noise_floor(y);
    const float px = x - (float)i - 0.5f, py = y - (float)j - 0.5f;
    float d = 9;
    int32_t from = (int32_t)(fg_noise_hash(i, j, k->salt) % 9);
    for (uint32_t s = 0; s < 4; s++) {
        const int32_t to = (from + 1 + (int32_t)(fg_noise_hash(i, j, k->salt + 2 + s) % 8)) % 9;
        d = fminf(d, measure_stroke(px, py, from, to));
        from = to;
    }
    return fg_cover(d - 0.035f - 0.035f * k->a, k);
}

static float draw_digits(float x, float y, const struct fg_look *k) {
    /* A digit has seven bars, each lit or not. */
    const uint32_t lit = fg_noise_hash(fg_noise_floor(x), fg_noise_floor(y), k->salt);
    const float px = x - floorf(x) - 0.5f, py = y - floorf(y) - 0.5f;
    float d = 9;
    for (int s = 0; s < 7; s++)
        if (lit >> s & 1) {
            float mx = s < 3   ? 0
                       : s & 1 ? -0.22f
                               : 0.22f,
                  my = s < 3   ? 0.36f * (float)(s - 1)
                       : s < 5 ? -0.18f
                               : 0.18f;
            d = fminf(d, s < 3 ? measure_box(px - mx, py - my, 0.18f, 0)
                               : measure_box(px - mx, py - my, 0, 0.14f));
        }
    return fg_cover(d - 0.04f - 0.03f * k->a, k);
}

/* Gives the least distance to the strokes that start in the nine cells about a place. */
static float measure_strokes(float x, float y, float bend, const struct fg_look *k) {
    const int32_t i = fg_noise_floor(x), j = fg_noise_floor(y);
    float least = 9;
    for (int32_t b = j - 1; b <= j + 1; b++)
        for (int32_t a = i - 1; a <= i + 1; a++) {
            const uint32_t h = fg_noise_hash(a, b, k->salt);
            const float mx = (float)a + (float)(h & 0xff) / 256, my = (float)b + (float)(h >> 8 & 0xff) / 256;
            const float angle = FG_TURN * (float)(h >> 16 & 0xff) / 256,
                        half = 0.3f + 0.6f * (float)(h >> 24) / 256;
            const float c = cosf(angle), s = sinf(angle);
            float along = c * (x - mx) + s * (y - my), across = c * (y - my) - s * (x - mx);
            across += bend * (along * along - 0.2f);
            least = fminf(least, measure_length(fmaxf(fabsf(along) - half, 0), across));
        }
    return least;
}

static float draw_scratches(float x, float y, const struct fg_look *k) {
    float ground = 0.25f + 0.25f * fg_noise(6 * x, 6 * y, k->salt + 3);
    return fg_mix(ground, 1, fg_cover(measure_strokes(x, y, 0, k) - 0.02f - 0.02f * k->a, k));
}

static float draw_fibres(float x, float y, const struct fg_look *k) {
    return fg_cover(measure_strokes(x, y, 0.9f, k) - 0.03f - 0.04f * k->a, k);
}

static float draw_sticks(float x, float y, const struct fg_look *k) {
    float d = measure_strokes(x, y, 0, k) / (0.1f + 0.06f * k->a);
    return d < 1 ? sqrtf(1 - d * d) : 0.0f;
}

static float draw_target(float x, float y, const struct fg_look *k) {
    float r = measure_length(x - k->centre_x, y - k->centre_y);
    return fg_cover(fabsf(r - floorf(r) - 0.5f) - 0.15f - 0.2f * k->a, k);
}

static float draw_spokes(float x, float y, const struct fg_look *k) {
    float dx = x - k->centre_x, dy = y - k->centre_y, arms = 6 + floorf(10 * k->a);
    return fg_clamp(0.5f + measure_length(dx, dy) * sinf(arms * atan2f(dy, dx)) / (arms * k->pixel), 0, 1);
}

static float draw_spiral(float x, float y, const struct fg_look *k) {
    float dx = x - k->centre_x, dy = y - k->centre_y;
    float turn = measure_length(dx, dy) + (1 + floorf(3 * k->a)) * atan2f(dy, dx) / FG_TURN;
    return fg_cover(fabsf(turn - floorf(turn) - 0.5f) - 0.22f, k);
}

static float draw_edge(float x, float y, const struct fg_look *k) {
    float bend = 0.5f * (k->a - 0.5f) * (y - k->centre_y) * (y - k->centre_y);
    float soft = k->pixel * (1 + 20 * k->b * k->b);
    return fg_smooth(-soft, soft, x - k->centre_x + bend);
}

static float draw_corner(float x, float y, const struct fg_look *k) {
    float dx = x - k->centre_x, dy = y - k->centre_y;
    return fg_cover(fmaxf(dx, dy + (1.6f * k->a - 0.8f) * dx), k);
}

/* Broad shading and nothing else. */
static float draw_slopes(float x, float y, const struct fg_look *k) {
    return fg_clamp(0.5f + 0.5f * (x - k->centre_x) + (k->a - 0.5f) * (y - k->centre_y) * (y - k->centre_y),
                    0, 1);
}

static float draw_dents(float x, float y, const struct fg_look *k) {
    struct object o = find_object(0.8f * x, 0.8f * y, k);
    float r = measure_length(o.x, o.y) / (0.16f + 0.2f * o.a);
    float dent = o.hash & 0x30000 ? 0 : expf(-2.5f * r * r);
    return 0.75f - 0.6f * dent + 0.12f * fg_noise(8 * x, 8 * y, k->salt + 4);
}

static float draw_stains(float x, float y, const struct fg_look *k) {
    float shape = fg_noise_octaves(x, y, 3, k->salt);
    float inside = fg_smooth(0.5f, 0.58f, shape), rim = fg_smooth(0.05f, 0, fabsf(shape - 0.55f));
    return 0.7f - 0.25f * inside - 0.25f * rim + 0.15f * fg_noise(9 * x, 9 * y, k->salt + 5) * (1 + k->a);
}

const struct fg_pattern_entry fg_patterns_shape[] = {
    {"discs", draw_discs, 14, 40},
    {"balls", draw_balls, 14, 40},
    {"polygons", draw_polygons, 16, 44},
    {"stars", draw_stars, 18, 44},
    {"crosses", draw_crosses, 14, 40},
    {"frames", draw_frames, 16, 44},
    {"crescents", draw_crescents, 18, 44},
    {"washers", draw_washers, 22, 64},
    {"nuts", draw_nuts, 22, 64},
    {"screws", draw_screws, 22, 64},
    {"gears", draw_gears, 28, 72},
    {"flanges", draw_flanges, 32, 90},
    {"brackets", draw_brackets, 26, 64},
    {"pins", draw_pins, 20, 56},
    {"springs", draw_springs, 26, 60},
    {"letters", draw_letters, 12, 36},
    {"digits", draw_digits, 12, 36},
    {"scratches", draw_scratches, 18, 50},
    {"fibres", draw_fibres, 16, 44},
    {"sticks", draw_sticks, 14, 36},
    {"target", draw_target, 8, 28},
    {"spokes", draw_spokes, 8, 28},
    {"spiral", draw_spiral, 9, 28},
    {"edge", draw_edge, 30, 80},
    {"corner", draw_corner, 30, 80},
    {"slopes", draw_slopes, 60, 130},
    {"dents", draw_dents, 16, 36},
    {"stains", draw_stains, 18, 50},
    {NULL, NULL, 0, 0},
};
