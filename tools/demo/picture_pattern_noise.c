/* Patterns without order: noise, grain, fibres and cells. A function has its pattern's name. */
#include <math.h>
#include <stddef.h>

#include "tools/demo/picture_noise.h"
#include "tools/demo/picture_pattern.h"

static float draw_grain(float x, float y, const struct fg_look *k) {
    return fg_noise(x, y, k->salt);
}

static float draw_clouds(float x, float y, const struct fg_look *k) {
    return fg_smooth(0.2f, 0.8f, fg_noise_octaves(x, y, 5, k->salt));
}

static float draw_ridges(float x, float y, const struct fg_look *k) {
    float sum = 0, weight = 0.6f;
    for (uint32_t o = 0; o < 3; o++) {
        float r = 1 - fabsf(2 * fg_noise(x, y, k->salt + o) - 1);
        sum += weight * r * r * r;
        weight *= 0.5f;
        x = 2 * x + 3.1f;
        y = 2 * y + 7.7f;
    }
    return fg_clamp(sum, 0, 1);
}

static float draw_marble(float x, float y, const struct fg_look *k) {
    float turbulence = fg_noise_octaves(x, y, 4, k->salt);
    return powf(0.5f + 0.5f * sinf(FG_TURN * (0.5f * x + (1.5f + 2 * k->a) * turbulence)), 0.4f + 2 * k->b);
}

static float draw_wood(float x, float y, const struct fg_look *k) {
    float bend = fg_noise_octaves(0.7f * x, 0.12f * y, 3, k->salt);
    float ring = x + (1 + 2 * k->a) * bend;
    ring -= floorf(ring);
    float fibre = fg_noise(14 * x, 0.6f * y, k->salt + 9);
    return fg_clamp(0.75f * ring * ring + 0.3f * fibre, 0, 1);
}

static float draw_brushed(float x, float y, const struct fg_look *k) {
    float stretch = 0.03f + 0.05f * k->a;
    return fg_clamp(0.6f * fg_noise(3 * x, stretch * y, k->salt) +
                        0.6f * fg_noise(7 * x, stretch * 2 * y, k->salt + 1) - 0.1f,
                    0, 1);
}

static float draw_cross_brushed(float x, float y, const struct fg_look *k) {
    float lean = 0.3f + 0.7f * k->a; /* the second direction's angle to the first */
    return fg_clamp(fg_noise(5 * x, 0.1f * y, k->salt) + fg_noise(0.1f * x, 5 * (y + lean * x), k->salt + 1) -
                        0.5f,
                    0, 1);
}

static float draw_turned(float x, float y, const struct fg_look *k) {
    const float dx = x - k->centre_x, dy = y - k->centre_y;
    const float r = sqrtf(dx * dx + dy * dy), angle = atan2f(dy, dx);
    float groove = 0.5f * fg_noise(6 * r, 2 + cosf(angle), k->salt) + 0.3f * fg_noise(2 * r, 0, k->salt + 1);
    float shine = fabsf(cosf(angle + FG_TURN * k->a)); /* grooves across the light are bright */
    return fg_clamp(groove + 0.35f * shine * shine * shine * shine, 0, 1);
}

static float draw_swirled(float x, float y, const struct fg_look *k) {
    /* Round polishing marks overlap, as on a polished plate. */
    struct fg_cell cell = fg_noise_cell(x, y, 0.25f, k->salt);
    float shine = cell.dx * cosf(FG_TURN * k->a) + cell.dy * sinf(FG_TURN * k->a);
    shine = fabsf(shine) / (cell.near + 0.05f);
    return fg_clamp(0.6f * shine + 0.4f * fg_noise(12 * cell.near, (float)(cell.id & 0xff), k->salt + 1), 0,
                    1);
}

static float draw_blobs(float x, float y, const struct fg_look *k) {
    float n = fg_noise_octaves(x, y, 2, k->salt);
    return fg_clamp((n - 0.42f - 0.16f * k->a) / (0.8f * k->pixel + 0.01f), 0, 1);
}

static float draw_camouflage(float x, float y, const struct fg_look *k) {
    float n = fg_noise_octaves(x, y, 2, k->salt);
    float steps = 4 + floorf(3 * k->a), level = n * steps, whole = floorf(level);
    return fg_clamp((whole + fg_smooth(0, 0.15f, level - whole)) / steps * 1.4f - 0.2f, 0, 1);
}

static float draw_flow(float x, float y, const struct fg_look *k) {
    float p = fg_noise(x, y, k->salt), q = fg_noise(x + 5.2f, y + 1.3f, k->salt + 1);
    return fg_smooth(0.15f, 0.85f, fg_noise_octaves(x + (3 + 2 * k->a) * p, y + 4 * q, 3, k->salt + 2));
}

static float draw_contours(float x, float y, const struct fg_look *k) {
    float n = (5 + 4 * k->a) * fg_noise_octaves(0.6f * x, 0.6f * y, 2, k->salt);
    return fg_smooth(0.08f, 0.2f, fabsf(n - floorf(n) - 0.5f));
}

static float draw_speckle(float x, float y, const struct fg_look *k) {
    struct fg_cell cell = fg_noise_cell(x, y, 1, k->salt);
    float radius = (float)(cell.id & 3) ? 0.0f : 0.12f + 0.16f * k->a;
    return 0.25f * fg_noise_octaves(3 * x, 3 * y, 2, k->salt + 1) +
           0.75f * fg_clamp((radius - cell.near) / k->pixel + 0.5f, 0, 1);
}

static float draw_terrazzo(float x, float y, const struct fg_look *k) {
    struct fg_cell cell = fg_noise_cell(x, y, 1, k->salt);
    float inside = fg_clamp((cell.second - cell.near - 0.12f - 0.1f * k->a) / k->pixel, 0, 1);
    return 0.15f + inside * (cell.id >> 8 & 1 ? 0.0f : 0.2f + 0.6f * (float)(cell.id & 0xff) / 255);
}

static float draw_facets(float x, float y, const struct fg_look *k) {
    struct fg_cell cell = fg_noise_cell(x, y, 1, k->salt);
    return (float)(cell.id & 0xff) / 255;
}

static float draw_crystals(float x, float y, const struct fg_look *k) {
    /* Each cell has its own slope, as on galvanised sheet. */
    struct fg_cell cell = fg_noise_cell(x, y, 1, k->salt);
    float angle = FG_TURN * (float)(cell.id & 0xff) / 256;
    float stripe = sinf((18 + 8 * k->a) * (cell.dx * cosf(angle) + cell.dy * sinf(angle)));
    return fg_clamp(0.3f + 0.4f * (float)(cell.id >> 8 & 0xff) / 255 + 0.2f * stripe, 0, 1);
}

static float draw_cracks(float x, float y, const struct fg_look *k) {
    float wx = x + 0.35f * fg_noise(2 * x, 2 * y, k->salt + 5),
          wy = y + 0.35f * fg_noise(2 * x, 2 * y, k->salt + 6);
    struct fg_cell cell = fg_noise_cell(wx, wy, 1, k->salt);
    float width = 0.03f + 0.06f * k->a;
    return fg_clamp((cell.second - cell.near - width) / (1.5f * k->pixel), 0, 1) *
           (0.8f + 0.2f * fg_noise(6 * x, 6 * y, k->salt + 7));
}

static float draw_lone_crack(float x, float y, const struct fg_look *k) {
    float path = 3.0f * (fg_noise_octaves(0.7f * y, 3.3f, 4, k->salt) - 0.5f);
    float branch = path + (y - k->centre_y > 0 ? (0.5f + k->a) * (y - k->centre_y) : 0);
    float d = fminf(fabsf(x - k->centre_x - path), fabsf(x - k->centre_x - branch));
    float width = (0.02f + 0.05f * k->b) * (0.4f + fg_noise(2 * y, 0, k->salt + 8));
    return 0.25f + 0.2f * fg_noise_octaves(5 * x, 5 * y, 3, k->salt + 9) +
           0.5f * fg_clamp((d - width) / k->pixel, 0, 1);
}

static float draw_craters(float x, float y, const struct fg_look *k) {
    struct fg_cell cell = fg_noise_cell(x, y, 0.9f, k->salt);
    float radius = 0.2f + 0.25f * (float)(cell.id & 0xff) / 255;
    float t = cell.near / radius;
    return t < 1 ? 0.1f + 0.6f * t * t : 0.55f + 0.3f * expf(-5 * (t - 1)) - 0.1f * k->a;
}

static float draw_pebbles(float x, float y, const struct fg_look *k) {
    struct fg_cell cell = fg_noise_cell(x, y, 0.85f, k->salt);
    float edge = fg_smooth(0, 0.3f + 0.3f * k->a, cell.second - cell.near);
    return edge * (0.5f + 0.5f * (float)(cell.id & 0xff) / 255);
}

static float draw_leather(float x, float y, const struct fg_look *k) {
    struct fg_cell coarse = fg_noise_cell(x, y, 1, k->salt),
                   fine = fg_noise_cell(2.3f * x, 2.3f * y, 1, k->salt + 1);
    return fg_clamp(0.9f - 0.7f * coarse.near * coarse.near - 0.4f * fine.near * (0.5f + k->a), 0, 1);
}

static float draw_foam(float x, float y, const struct fg_look *k) {
    struct fg_cell big = fg_noise_cell(0.6f * x, 0.6f * y, 1, k->salt),
                   small = fg_noise_cell(2 * x, 2 * y, 1, k->salt + 1);
    float wall = fminf(big.second - big.near, 0.5f * (small.second - small.near) + 0.12f * k->a);
    return 1 - fg_smooth(0.02f, 0.25f, wall);
}

static float draw_rust(float x, float y, const struct fg_look *k) {
    float patch = fg_noise_octaves(0.5f * x, 0.5f * y, 4, k->salt) - 0.47f + 0.1f * (k->a - 0.5f);
    float cover = fg_clamp(patch * 20, 0, 1);
    return fg_mix(0.15f, 0.5f + 0.5f * fg_noise_octaves(5 * x, 5 * y, 2, k->salt + 7), cover);
}

static float draw_crumpled(float x, float y, const struct fg_look *k) {
    /* The folds are a sum of ramps that turn at noisy lines. */
    float sum = 0;
    for (uint32_t o = 0; o < 4; o++) {
        float angle = FG_TURN * (0.13f * (float)o + fg_noise_point((int32_t)o, 0, k->salt));
        float along = x * cosf(angle) + y * sinf(angle), across = y * cosf(angle) - x * sinf(angle);
        sum += fabsf(2 * fg_noise(0.9f * along, 0.25f * across, k->salt + o) - 1);
    }
    return fg_clamp(sum / 2.2f, 0, 1);
}

static float draw_streaks(float x, float y, const struct fg_look *k) {
    /* Drips and rolling marks are few long dark lines over a quiet ground. */
    float lines = fg_noise(2 * x, 0.05f * y, k->salt) * fg_noise(0.7f * x, 0.2f * y, k->salt + 1);
    return fg_smooth(0.1f + 0.1f * k->a, 0.45f, lines);
}

static float draw_fur(float x, float y, const struct fg_look *k) {
    float turn = 1.2f * (fg_noise(0.25f * x, 0.25f * y, k->salt) - 0.5f);
    float along = y + turn * x, across = x - turn * y;
    return fg_clamp(0.5f * fg_noise(5 * across, 0.5f * along, k->salt + 1) +
                        0.6f * fg_noise(9 * across, 0.9f * along, k->salt + 2) - 0.05f,
                    0, 1);
}

const struct fg_pattern_entry fg_patterns_noise[] = {
    {"grain", draw_grain, 1.5f, 5},
    {"clouds", draw_clouds, 20, 60},
    {"ridges", draw_ridges, 14, 40},
    {"marble", draw_marble, 14, 40},
    {"wood", draw_wood, 10, 28},
    {"brushed", draw_brushed, 6, 16},
    {"cross-brushed", draw_cross_brushed, 8, 20},
    {"turned", draw_turned, 8, 24},
    {"swirled", draw_swirled, 16, 36},
    {"blobs", draw_blobs, 10, 30},
    {"camouflage", draw_camouflage, 18, 44},
    {"flow", draw_flow, 18, 50},
    {"contours", draw_contours, 16, 44},
    {"speckle", draw_speckle, 6, 14},
    {"terrazzo", draw_terrazzo, 8, 26},
    {"facets", draw_facets, 8, 28},
    {"crystals", draw_crystals, 16, 40},
    {"cracks", draw_cracks, 14, 44},
    {"lone-crack", draw_lone_crack, 24, 50},
    {"craters", draw_craters, 10, 30},
    {"pebbles", draw_pebbles, 8, 26},
    {"leather", draw_leather, 8, 20},
    {"foam", draw_foam, 10, 26},
    {"rust", draw_rust, 14, 40},
    {"crumpled", draw_crumpled, 20, 50},
    {"streaks", draw_streaks, 6, 18},
    {"fur", draw_fur, 8, 20},
    {NULL, NULL, 0, 0},
};
