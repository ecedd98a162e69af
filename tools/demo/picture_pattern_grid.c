/* Patterns with order: stripes, weaves, tiles and lattices. A function has its pattern's name. */
#include <math.h>
#include <stddef.h>

#include "tools/demo/picture_noise.h"
#include "tools/demo/picture_pattern.h"

static float take_fraction(float x) {
    return x - floorf(x);
}

/* Gives the distance to the nearest whole number. */
static float measure_whole(float x) {
    return fabsf(x - floorf(x + 0.5f));
}

/* Gives 1 when the whole number below x is odd, else 0. */
static int32_t is_odd(float x) {
    return fg_noise_floor(x) & 1;
}

static float draw_stripes(float x, float y, const struct fg_look *k) {
    (void)y;
    return fg_cover(measure_whole(x) - 0.12f - 0.22f * k->a, k);
}

static float draw_barcode(float x, float y, const struct fg_look *k) {
    (void)y;
    float i = floorf(x), f = x - i;
    float here = fg_noise_point((int32_t)i, 7, k->salt) < 0.5f,
          left = fg_noise_point((int32_t)i - 1, 7, k->salt) < 0.5f;
    return fg_mix(left, here, fg_clamp(f / k->pixel, 0, 1));
}

static float draw_ripples(float x, float y, const struct fg_look *k) {
    return 0.5f + 0.5f * sinf(FG_TURN * (x + 0.3f * k->a * sinf(FG_TURN * 0.13f * y)));
}

static float draw_waves(float x, float y, const struct fg_look *k) {
    return fg_cover(measure_whole(x + (0.25f + 0.3f * k->a) * sinf(FG_TURN * 0.4f * y)) - 0.22f, k);
}

static float draw_zigzag(float x, float y, const struct fg_look *k) {
    return fg_cover(measure_whole(x + (1 + k->a) * measure_whole(0.5f * y)) - 0.22f, k);
}

static float draw_checker(float x, float y, const struct fg_look *k) {
    float d = fminf(measure_whole(x), measure_whole(y)) / k->pixel; /* soft at the borders */
    return 0.5f + (is_odd(x) ^ is_odd(y) ? 0.5f : -0.5f) * fg_clamp(2 * d, 0, 1);
}

static float draw_plaid(float x, float y, const struct fg_look *k) {
    float wide = 0.15f + 0.15f * k->a;
    return 0.45f * fg_cover(measure_whole(x) - wide, k) + 0.45f * fg_cover(measure_whole(y) - wide, k) +
           0.1f * fg_cover(measure_whole(3 * x + 0.5f) - 0.1f, k);
}

static float draw_bricks(float x, float y, const struct fg_look *k) {
    float row = floorf(y), along = 0.5f * x + 0.5f * (float)(is_odd(y));
    float joint = 0.04f + 0.05f * k->a;
    float d = fmaxf(joint - measure_whole(y), joint - 2 * measure_whole(along));
    return fg_cover(d, k) * (0.65f + 0.35f * fg_noise_point(fg_noise_floor(along), (int32_t)row, k->salt));
}

static float draw_parquet(float x, float y, const struct fg_look *k) {
    float across = is_odd(x) ^ is_odd(y) ? x : y;
    float strip = 3 + floorf(2 * k->a);
    float id =
        fg_noise_point(fg_noise_floor(strip * across), fg_noise_floor(x) * 31 + fg_noise_floor(y), k->salt);
    float d = fminf(measure_whole(strip * across) / strip, fminf(measure_whole(x), measure_whole(y)));
    return fg_cover(0.03f - d, k) * (0.4f + 0.6f * id);
}

/* Gives the distance to the borders of a lattice of hexagons of unit width, and the place's cell. */
static float measure_hexagon(float x, float y, int32_t *column, int32_t *row) {
    const float height = 1.7320508f;
    float ax = take_fraction(x) - 0.5f, ay = (take_fraction(y / height) - 0.5f) * height;
    float bx = take_fraction(x - 0.5f) - 0.5f, by = (take_fraction(y / height - 0.5f) - 0.5f) * height;
    int second = bx * bx + by * by < ax * ax + ay * ay;
    float px = fabsf(second ? bx : ax), py = fabsf(second ? by : ay);
    *column = fg_noise_floor(second ? x - 0.5f : x);
    *row = 2 * fg_noise_floor(second ? y / height - 0.5f : y / height) + second;
    return 0.5f - fmaxf(px, 0.5f * px + 0.8660254f * py);
}

static float draw_honeycomb(float x, float y, const struct fg_look *k) {
    int32_t i, j;
    return fg_cover(measure_hexagon(x, y, &i, &j) - 0.04f - 0.08f * k->a, k);
}

static float draw_hexagon_tiles(float x, float y, const struct fg_look *k) {
    int32_t i, j;
    float d = measure_hexagon(x, y, &i, &j);
    return fg_cover(0.03f - d, k) * (0.3f + 0.7f * fg_noise_point(i, j, k->salt));
}

static float draw_perforated(float x, float y, const struct fg_look *k) {
    float row = floorf(y / 0.866f);
    float dx = take_fraction(x + 0.5f * (float)((int32_t)row & 1)) - 0.5f, dy = y - (row + 0.5f) * 0.866f;
    return 1 - fg_cover(sqrtf(dx * dx + dy * dy) - 0.22f - 0.14f * k->a, k);
}

static float draw_triangles(float x, float y, const struct fg_look *k) {
    float u = y / 0.8660254f, v = x - 0.5f * u;
    float s = take_fraction(u), t = take_fraction(v);
    float d = fabsf(s + t - 1);
    float shade = s + t > 1 ? 1.0f : 0.15f + 0.3f * k->a;
    return fg_mix(0.5f, shade,
                  fg_clamp(fminf(d, fminf(measure_whole(u), measure_whole(v))) / k->pixel, 0, 1));
}

static float draw_dots(float x, float y, const struct fg_look *k) {
    float dx = measure_whole(x), dy = measure_whole(y);
    return fg_cover(sqrtf(dx * dx + dy * dy) - 0.15f - 0.2f * k->a, k);
}

static float draw_halftone(float x, float y, const struct fg_look *k) {
    float dx = measure_whole(x), dy = measure_whole(y);
    float radius =
        0.55f * fg_noise(0.12f * floorf(x + 0.5f), 0.12f * floorf(y + 0.5f), k->salt) + 0.1f * k->a;
    return fg_cover(sqrtf(dx * dx + dy * dy) - radius, k);
}

static float draw_rings(float x, float y, const struct fg_look *k) {
    float dx = measure_whole(x), dy = measure_whole(y);
    return fg_cover(fabsf(sqrtf(dx * dx + dy * dy) - 0.3f) - 0.05f - 0.06f * k->a, k);
}

static float draw_mesh(float x, float y, const struct fg_look *k) {
    return fg_cover(fminf(measure_whole(x), measure_whole(y)) - 0.05f - 0.1f * k->a, k);
}

static float draw_diamonds(float x, float y, const struct fg_look *k) {
    return fg_cover(measure_whole(x) + measure_whole(y) - 0.2f - 0.2f * k->a, k);
}

static float draw_plain_weave(float x, float y, const struct fg_look *k) {
    int over = is_odd(x) ^ is_odd(y);
    float across = take_fraction(over ? x : y) - 0.5f, along = take_fraction(over ? y : x) - 0.5f;
    float thread = (1 - 3.2f * across * across) * (0.65f + 0.35f * cosf(FG_TURN * 0.5f * along));
    return fg_clamp(thread * (0.8f + 0.2f * fg_noise(9 * (over ? x : y), over ? y : x, k->salt)) -
                        0.15f * (float)over * k->a,
                    0, 1);
}

static float draw_twill_weave(float x, float y, const struct fg_look *k) {
    float step = y - floorf(x);
    float along = take_fraction(step / 4) * 4;
    float across = take_fraction(x) - 0.5f;
    float warp = (1 - 3.4f * across * across) * fg_smooth(0, 0.6f, along) * fg_smooth(3, 2.4f, along);
    float weft = (0.25f + 0.2f * k->a) * (1 - 3 * (take_fraction(y) - 0.5f) * (take_fraction(y) - 0.5f));
    return fg_clamp(fmaxf(warp, weft), 0, 1);
}

static float draw_basket(float x, float y, const struct fg_look *k) {
    int over = is_odd(0.5f * x) ^ is_odd(0.5f * y);
    float strands = 3 + floorf(2 * k->a), across = take_fraction(strands * 0.5f * (over ? x : y)) - 0.5f;
    float along = take_fraction(0.5f * (over ? y : x)) - 0.5f;
    return fg_clamp((1 - 3.4f * across * across) * (1 - 2.2f * along * along), 0, 1);
}

static float draw_knit(float x, float y, const struct fg_look *k) {
    float side = take_fraction(x) - 0.5f;
    float loop = take_fraction(y + (0.8f + 0.5f * k->a) * fabsf(side)) - 0.5f;
    return fg_clamp((1 - 3.6f * loop * loop) * (1 - fg_smooth(0.38f, 0.5f, fabsf(side))) *
                        fg_smooth(0, 0.1f, fabsf(side)),
                    0, 1);
}

static float draw_braid(float x, float y, const struct fg_look *k) {
    float strand = floorf(x), f = take_fraction(x) - 0.5f;
    float twist = take_fraction(1.3f * y + (is_odd(strand) ? f : -f) * (0.8f + 0.6f * k->a)) - 0.5f;
    return fg_clamp((1 - 3.6f * f * f) * (1 - 3 * twist * twist), 0, 1);
}

static float draw_scales(float x, float y, const struct fg_look *k) {
    /* Rows of discs overlap; the lower row lies on top. */
    for (int32_t down = 1; down >= -1; down--) {
        float row = floorf(2 * y) + (float)down;
        float dx = take_fraction(x + 0.5f * (float)((int32_t)row & 1)) - 0.5f, dy = y - 0.5f * row;
        float r = sqrtf(dx * dx + dy * dy);
        if (r < 0.56f && dy <= 0.56f)
            return fg_clamp(0.25f + 1.1f * r - fg_cover(0.52f - r, k) * (0.4f + 0.3f * k->a), 0, 1);
    }
    return 0;
}

static float draw_tread_plate(float x, float y, const struct fg_look *k) {
    int flip = is_odd(x) ^ is_odd(y);
    float fx = take_fraction(x) - 0.5f, fy = take_fraction(y) - 0.5f;
    float along = 0.7071068f * (fx + (flip ? fy : -fy)), across = 0.7071068f * (fx - (flip ? fy : -fy));
    float d = across * across / (0.012f + 0.01f * k->a) + along * along / 0.14f;
    return fg_smooth(1.3f, 0.5f, d);
}

static float draw_corrugated(float x, float y, const struct fg_look *k) {
    (void)y;
    float f = measure_whole(x);
    return fg_smooth(0.1f + 0.1f * k->a, 0.32f + 0.1f * k->a, f);
}

static float draw_truchet(float x, float y, const struct fg_look *k) {
    float fx = take_fraction(x), fy = take_fraction(y);
    if (fg_noise_hash(fg_noise_floor(x), fg_noise_floor(y), k->salt) & 1)
        fx = 1 - fx;
    float near = sqrtf(fx * fx + fy * fy), far = sqrtf((1 - fx) * (1 - fx) + (1 - fy) * (1 - fy));
    return fg_cover(fminf(fabsf(near - 0.5f), fabsf(far - 0.5f)) - 0.08f - 0.1f * k->a, k);
}

static float draw_maze(float x, float y, const struct fg_look *k) {
    float fx = take_fraction(x), fy = take_fraction(y);
    int lean = fg_noise_hash(fg_noise_floor(x), fg_noise_floor(y), k->salt) & 1;
    float d = lean ? fabsf(fx - fy) : fabsf(fx + fy - 1);
    d = fminf(d, lean ? 2 - fabsf(fx - fy) - 1 : fminf(fx + fy, 2 - fx - fy));
    return fg_cover(0.7071068f * d - 0.08f - 0.08f * k->a, k);
}

static float draw_mosaic(float x, float y, const struct fg_look *k) {
    float shade = fg_noise_point(fg_noise_floor(x), fg_noise_floor(y), k->salt);
    return fg_cover(0.02f + 0.06f * k->a - fminf(measure_whole(x), measure_whole(y)), k) *
           (0.2f + 0.8f * shade);
}

static float draw_circuit(float x, float y, const struct fg_look *k) {
    /* In each cell a track runs along one axis, and some cells have a round pad. */
    uint32_t h = fg_noise_hash(fg_noise_floor(x), fg_noise_floor(y), k->salt);
    float fx = take_fraction(x) - 0.5f, fy = take_fraction(y) - 0.5f;
    float track = h & 1 ? fabsf(fx) : fabsf(fy);
    float pad = h & 6 ? 1 : fabsf(sqrtf(fx * fx + fy * fy) - 0.25f);
    return fg_cover(fminf(track, pad) - 0.07f - 0.06f * k->a, k);
}

const struct fg_pattern_entry fg_patterns_grid[] = {
    {"stripes", draw_stripes, 5, 24},
    {"barcode", draw_barcode, 3, 8},
    {"ripples", draw_ripples, 6, 24},
    {"waves", draw_waves, 8, 22},
    {"zigzag", draw_zigzag, 8, 22},
    {"checker", draw_checker, 5, 22},
    {"plaid", draw_plaid, 12, 32},
    {"bricks", draw_bricks, 8, 22},
    {"parquet", draw_parquet, 16, 40},
    {"honeycomb", draw_honeycomb, 10, 30},
    {"hexagon-tiles", draw_hexagon_tiles, 10, 30},
    {"perforated", draw_perforated, 8, 26},
    {"triangles", draw_triangles, 10, 28},
    {"dots", draw_dots, 7, 22},
    {"halftone", draw_halftone, 5, 12},
    {"rings", draw_rings, 10, 28},
    {"mesh", draw_mesh, 6, 22},
    {"diamonds", draw_diamonds, 7, 24},
    {"plain-weave", draw_plain_weave, 6, 18},
    {"twill-weave", draw_twill_weave, 4, 10},
    {"basket", draw_basket, 8, 20},
    {"knit", draw_knit, 7, 18},
    {"braid", draw_braid, 8, 20},
    {"scales", draw_scales, 10, 26},
    {"tread-plate", draw_tread_plate, 9, 22},
    {"corrugated", draw_corrugated, 8, 26},
    {"truchet", draw_truchet, 9, 24},
    {"maze", draw_maze, 8, 20},
    {"mosaic", draw_mosaic, 6, 20},
    {"circuit", draw_circuit, 8, 18},
    {NULL, NULL, 0, 0},
};
