/* The strap: its geometry, and how table, woven cloth and brass look. The weave lies anywhere: no two straps
 * are cut at the same yarn. */
#include "tools/demo/picture_kind.h"

#include <math.h>

/* The strap, in units of half a picture's side. It is longer than the picture. */
#define HALF 0.64f
#define SELVEDGE 0.06f
#define YARN 0.125f
#define TURNS 8 /* yarns after which the weave's ridges turn back */
#define EYELETS 2
#define EYELET_X 0.43f
#define EYELET 0.155f
#define EYELET_HOLE 0.085f
#define PUNCH 0.012f /* how far an eyelet lies from its place */

static void draw_flaw(struct fg_dice *dice, struct fg_flaw *flaw) {
    flaw->salt = fg_dice_word(dice);
    flaw->x = fg_dice_uniform(dice, -0.7f, 0.7f);
    flaw->y = fg_dice_uniform(dice, -0.45f, 0.45f);
    if (flaw->defect == FG_PICTURE_CHIP)
        flaw->y = flaw->y < 0 ? -HALF - 0.01f : HALF + 0.01f;
    else if (flaw->defect != FG_PICTURE_MISSING_HOLE)
        flaw->x *= 0.3f; /* between the eyelets, where cloth is seen */
    fg_flaw_shape(dice, EYELETS, flaw);
}

static void shade_table(const struct fg_scene *scene, float x, float y, float rgb[3]) {
    const float u = x + scene->slip_x, v = y + scene->slip_y;
    float light =
        0.24f + 0.10f * (fg_noise(4 * u, 70 * v, 91) - 0.5f) + 0.05f * (fg_noise(2 * u, 2 * v, 92) - 0.5f);
    /* The strap throws a soft shadow on the side away from the lamp. */
    const float distance = fabsf(y - scene->y + 0.04f * scene->light_y) - HALF;
    light *= fg_mix(0.4f, 1, fg_smooth(-0.04f, 0.08f, distance));
    rgb[0] = 0.96f * light;
    rgb[1] = light;
    rgb[2] = 1.05f * light;
}

/* Gives the light from cloth at a place whose surface leans by slope beside what its yarns do. */
static float shade_cloth(const struct fg_scene *scene, float x, float y, const float slope[2]) {
    const float wave = 0.25f * (fg_noise(2.5f * x, 2.5f * y, scene->salt) - 0.5f);
    const float u = (x + scene->slip_x) / YARN + wave, v = (y + scene->slip_y) / YARN - wave;
    const int32_t i = fg_noise_floor(u), j = fg_noise_floor(v);
    const int32_t ridge = i / TURNS % 2 ? i - j : i + j;
    const bool along = (ridge & 3) < 2; /* the yarn on top runs along the strap, or across it */
    const float across = along ? v - (float)j - 0.5f : u - (float)i - 0.5f;
    const float tone = fg_noise_point(along ? j : i, along, scene->salt + 1);
    const float fibre = along ? fg_noise(6 * v, u, scene->salt + 2) : fg_noise(6 * u, v, scene->salt + 2);
    const float lean_x = slope[0] + (along ? 0 : 1.5f * across),
                lean_y = slope[1] + (along ? 1.5f * across : 0);
    const float lean = lean_x * scene->light_x + lean_y * scene->light_y;
    const float steep = lean_x * lean_x + lean_y * lean_y;
    const float gap = 1 - 0.5f * fg_smooth(0.3f, 0.5f, fabsf(across));
    return (0.46f + 0.24f * lean) / sqrtf(1 + 0.7f * steep) * gap * (0.95f + 0.10f * scene->marks * tone) +
           0.08f * (fibre - 0.5f) + 0.04f * (fg_noise_octaves(2 * x, 2 * y, 2, scene->salt + 3) - 0.5f);
}

static void put_cloth(float light, const float tint[3], float rgb[3]) {
    rgb[0] = 0.86f * light * tint[0];
    rgb[1] = 0.80f * light * tint[1];
    rgb[2] = 0.52f * light * tint[2];
}

/* Gives the light from an eyelet's ring, a bead of brass; dx, dy: the place seen from its middle. */
static void put_brass(const struct fg_scene *scene, float dx, float dy, float rgb[3]) {
    const float r = sqrtf(dx * dx + dy * dy) + 1e-6f, middle = 0.5f * (EYELET + EYELET_HOLE);
    const float bead = 1.1f * (r - middle) / (EYELET - middle);
    const float lean = bead * (dx * scene->light_x + dy * scene->light_y) / r;
    const float light = (0.45f + 0.35f * lean) / sqrtf(1 + 0.7f * bead * bead) +
                        0.4f * expf(-(lean - 0.45f) * (lean - 0.45f) / 0.05f) +
                        0.05f * (fg_noise(20 * dx, 20 * dy, scene->salt + 4) - 0.5f);
    rgb[0] = 1.00f * light;
    rgb[1] = 0.84f * light;
    rgb[2] = 0.50f * light;
}

/* Finds the eyelet of a half of the strap: its number, and the place seen from its middle. */
static int32_t find_eyelet(const struct fg_scene *scene, float x, float y, float *dx, float *dy) {
    const int32_t eyelet = x > 0;
    *dx =
        x - (eyelet ? EYELET_X : -EYELET_X) - 2 * PUNCH * (fg_noise_point(eyelet, 0, scene->salt + 6) - 0.5f);
    *dy = y - 2 * PUNCH * (fg_noise_point(eyelet, 1, scene->salt + 6) - 0.5f);
    return eyelet;
}

/* Traces a ray to where a piece is torn out: loose ends, and the table. */
static struct fg_ray trace_tear(const struct fg_scene *scene, float x, float y, float px, float py,
                                float distance) {
    struct fg_ray ray = {.flawed = true};
    const float ends = fg_noise(40 * x, 6 * y, scene->flaw.salt + 5);
    if (fabsf(y) - HALF > -0.6f * scene->flaw.reach * (1 - distance) - 0.06f * ends) {
        shade_table(scene, px, py, ray.rgb);
        return ray;
    }
    const float slope[2] = {2.5f * (ends - 0.5f), y < 0 ? -1.0f : 1.0f};
    put_cloth((0.4f + 0.9f * ends) * shade_cloth(scene, x, y, slope), (const float[3]){1, 1, 1.2f}, ray.rgb);
    return ray;
}

/* Traces a ray that meets the strap. */
static struct fg_ray trace_part(const struct fg_scene *scene, float x, float y, float px, float py) {
    const struct fg_flaw *flaw = &scene->flaw;
    struct fg_ray ray = {.flawed = false};
    float dx, dy;
    const int32_t eyelet = find_eyelet(scene, x, y, &dx, &dy);
    const float r = sqrtf(dx * dx + dy * dy);
    if (r < EYELET && flaw->defect == FG_PICTURE_MISSING_HOLE && flaw->hole == eyelet) {
        ray.flawed = true;
    } else if (r < EYELET_HOLE) {
        for (int i = 0; i < 3; i++)
            ray.rgb[i] = 0.03f + 0.1f * fg_smooth(0.6f * EYELET_HOLE, EYELET_HOLE, r);
        return ray;
    } else if (r < EYELET) {
        put_brass(scene, dx, dy, ray.rgb);
        return ray;
    }
    if (flaw->defect == FG_PICTURE_CHIP) {
        const float distance = fg_flaw_distance(flaw, x, y);
        if (distance < 1)
            return trace_tear(scene, x, y, px, py, distance);
    }
    const float edge = fg_smooth(HALF - SELVEDGE, HALF, fabsf(y));
    float slope[2] = {0, y < 0 ? -edge : edge}, tint[3] = {1, 1, 1}, roughness = 0;
    ray.flawed |= fg_flaw_mark(flaw, x, y, slope, tint, &roughness);
    put_cloth(shade_cloth(scene, x, y, slope), tint, ray.rgb);
    return ray;
}

static struct fg_ray trace_ray(const struct fg_scene *scene, float x, float y, float px, float py) {
    if (fabsf(y) < HALF)
        return trace_part(scene, x, y, px, py);
    struct fg_ray ray = {.flawed = false};
    shade_table(scene, px, py, ray.rgb);
    return ray;
}

const struct fg_kind fg_kind_strap = {.name = "strap",
                                      .turn = 0.04f,
                                      .shift = 0.02f,
                                      .slip_x = 200,
                                      .slip_y = 0.5f,
                                      .draw_flaw = draw_flaw,
                                      .trace = trace_ray};
