/* The flange: its geometry, and how belt and turned metal look. */
#include "tools/demo/picture_kind.h"

#include <math.h>

/* The flange, in units of half a picture's side. */
#define RIM 0.80f
#define RIM_CHAMFER 0.765f
#define HUB_FOOT 0.445f
#define HUB_TOP 0.405f
#define BORE_CHAMFER 0.228f
#define BORE 0.200f
#define KEY_HALF_WIDTH 0.042f
#define KEY_DEPTH 0.275f
#define HOLES 6
#define HOLE_CIRCLE 0.605f
#define HOLE_SINK 0.088f
#define HOLE 0.058f

#define TURNING 99 /* salt of the marks that the turning program leaves on every part */

static void draw_flaw(struct fg_dice *dice, struct fg_flaw *flaw) {
    const float angle = fg_dice_uniform(dice, 0, FG_TURN);
    float radius = 0;
    flaw->salt = fg_dice_word(dice);
    if (flaw->defect == FG_PICTURE_SCRATCH)
        radius = fg_dice_uniform(dice, 0.34f, 0.66f);
    else if (flaw->defect == FG_PICTURE_CHIP)
        radius = RIM + 0.01f;
    else if (flaw->defect == FG_PICTURE_STAIN)
        radius = fg_dice_uniform(dice, 0.5f, 0.68f);
    fg_flaw_shape(dice, HOLES, flaw);
    flaw->x = radius * cosf(angle);
    flaw->y = radius * sinf(angle);
}

static void shade_belt(const struct fg_scene *scene, float x, float y, float rgb[3]) {
    const float u = x + scene->slip_x, v = y + scene->slip_y;
    const float fabric = sinf(78 * u + 40 * v) * sinf(78 * u - 40 * v);
    float light = 0.15f + 0.02f * fabric + 0.05f * (fg_noise_octaves(18 * u, 18 * v, 3, 77) - 0.5f) +
                  0.05f * (fg_noise(2 * u, 2 * v, 78) - 0.5f);
    /* The part throws a soft shadow on the side away from the lamp. */
    const float dx = x - scene->x + 0.05f * scene->light_x, dy = y - scene->y + 0.05f * scene->light_y;
    light *= fg_mix(0.3f, 1, fg_smooth(-0.05f, 0.13f, sqrtf(dx * dx + dy * dy) - RIM));
    rgb[0] = 0.88f * light;
    rgb[1] = 1.02f * light;
    rgb[2] = 1.10f * light;
}

/* Finds the nearest bolt hole: its number, and the place seen from its middle. */
static int32_t find_hole(float x, float y, float *dx, float *dy) {
    const float sector = FG_TURN / HOLES;
    const int32_t hole = fg_noise_floor(atan2f(y, x) / sector + 0.5f);
    const float angle = sector * (float)hole;
    *dx = x - HOLE_CIRCLE * cosf(angle);
    *dy = y - HOLE_CIRCLE * sinf(angle);
    return (hole + HOLES) % HOLES;
}

/* Says whether a place was drilled. Then slope is the sink's, and inside says that the ray falls through the
 * hole. flawed says that the hole is the missing one. */
static bool is_drilled(const struct fg_scene *scene, float x, float y, float slope[2], bool *inside,
                       bool *flawed) {
    float dx, dy;
    const int32_t hole = find_hole(x, y, &dx, &dy);
    const float r = sqrtf(dx * dx + dy * dy);
    if (r >= HOLE_SINK)
        return false;
    if (scene->flaw.defect == FG_PICTURE_MISSING_HOLE && scene->flaw.hole == hole) {
        *flawed = true;
        return false;
    }
    *inside = r < HOLE;
    slope[0] = -0.9f * dx / r;
    slope[1] = -0.9f * dy / r;
    return true;
}

/* Gives the light from the wall of the bore or a hole: the side towards the lamp lies in its own shadow. */
static float shade_wall(const struct fg_scene *scene, float dx, float dy, float radius) {
    const float facing = -(dx * scene->light_x + dy * scene->light_y) / radius;
    const float depth = sqrtf(dx * dx + dy * dy) / radius;
    return 0.035f + 0.11f * fg_smooth(0.55f, 1, depth) * fg_clamp(0.5f + facing, 0.1f, 1.5f);
}

/* Gives the light from metal whose surface leans by slope, with tool marks around the part's middle. */
static float shade_metal(const struct fg_scene *scene, float x, float y, const float slope[2],
                         float roughness) {
    const float r = sqrtf(x * x + y * y) + 1e-6f;
    const bool hub = r < HUB_TOP;
    const float grooves = hub ? 130 : 95, around = fg_noise(3 * x, 3 * y, scene->salt + 2);
    const float mark = fg_noise(grooves * r, 1.5f * around, scene->salt) +
                       0.6f * fg_noise(0.3f * grooves * r, around, TURNING) - 0.8f;
    /* Grooves across the lamp's direction throw its light into the camera, as two bright fans. */
    const float sine = (x * scene->light_y - y * scene->light_x) / r, cosine2 = 1 - sine * sine;
    const float fan = expf(-sine * sine / 0.10f) + 0.45f * expf(-cosine2 / 0.07f);
    const float lean = slope[0] * scene->light_x + slope[1] * scene->light_y;
    const float steep = slope[0] * slope[0] + slope[1] * slope[1];
    const float smooth_light = (0.40f + 0.30f * lean) / sqrtf(1 + 0.7f * steep);
    const float flat = 1 / (1 + 12 * steep);
    return smooth_light +
           flat * (1 - roughness) * (0.26f * fan * (1 + 0.4f * mark) + 0.12f * scene->marks * mark) +
           0.03f * (fg_noise_octaves(9 * x, 9 * y, 2, scene->salt + 3) - 0.5f);
}

/* Gives the slope of the turned body at radius r, along the radius: positive leans outward. */
static float get_slope(float r) {
    return 0.95f * fg_smooth(RIM_CHAMFER - 0.005f, RIM_CHAMFER + 0.005f, r) +
           0.9f * fg_smooth(HUB_TOP - 0.006f, HUB_TOP + 0.004f, r) *
               fg_smooth(HUB_FOOT + 0.004f, HUB_FOOT - 0.004f, r) -
           0.9f * fg_smooth(BORE_CHAMFER + 0.004f, BORE_CHAMFER - 0.004f, r);
}

static bool is_in_bore(float x, float y, float r) {
    return r < BORE || (x > 0 && x < KEY_DEPTH && fabsf(y) < KEY_HALF_WIDTH);
}

/* Traces a ray to where a piece has broken out: rough metal that falls away to the belt. */
static struct fg_ray trace_chip(const struct fg_scene *scene, float x, float y, float px, float py,
                                float distance) {
    struct fg_ray ray = {.flawed = true};
    const float r = sqrtf(x * x + y * y), grain = fg_noise_octaves(28 * x, 28 * y, 3, scene->flaw.salt + 5);
    if (r > RIM - 0.45f * scene->flaw.reach * (1 - distance) - 0.02f * grain) {
        shade_belt(scene, px, py, ray.rgb);
        return ray;
    }
    const float slope[2] = {0.9f * x / r + 3.0f * (grain - 0.5f), 0.9f * y / r - 3.0f * (grain - 0.5f)};
    const float light = (0.5f + 1.0f * grain) * shade_metal(scene, x, y, slope, 1);
    for (int i = 0; i < 3; i++)
        ray.rgb[i] = light;
    return ray;
}

/* Traces a ray that meets the part at x, y in the part's coordinates, which is px, py in the picture. */
static struct fg_ray trace_part(const struct fg_scene *scene, float x, float y, float px, float py) {
    const struct fg_flaw *flaw = &scene->flaw;
    struct fg_ray ray = {.flawed = false};
    const float r = sqrtf(x * x + y * y);
    if (is_in_bore(x, y, r)) {
        for (int i = 0; i < 3; i++)
            ray.rgb[i] = shade_wall(scene, x, y, r < BORE ? BORE : KEY_DEPTH);
        return ray;
    }
    float slope[2], tint[3] = {1, 1, 1.015f}, roughness = 0;
    bool through = false;
    if (is_drilled(scene, x, y, slope, &through, &ray.flawed)) {
        if (through) {
            float dx, dy;
            find_hole(x, y, &dx, &dy);
            for (int i = 0; i < 3; i++)
                ray.rgb[i] = shade_wall(scene, dx, dy, HOLE);
            return ray;
        }
    } else {
        slope[0] = get_slope(r) * x / r;
        slope[1] = get_slope(r) * y / r;
    }
    if (flaw->defect == FG_PICTURE_CHIP) {
        const float distance = fg_flaw_distance(flaw, x, y);
        if (distance < 1)
            return trace_chip(scene, x, y, px, py, distance);
    }
    ray.flawed |= fg_flaw_mark(flaw, x, y, slope, tint, &roughness);
    const float light = shade_metal(scene, x, y, slope, roughness);
    for (int i = 0; i < 3; i++)
        ray.rgb[i] = light * tint[i];
    return ray;
}

static struct fg_ray trace_ray(const struct fg_scene *scene, float x, float y, float px, float py) {
    if (x * x + y * y < RIM * RIM)
        return trace_part(scene, x, y, px, py);
    struct fg_ray ray = {.flawed = false};
    shade_belt(scene, px, py, ray.rgb);
    return ray;
}

const struct fg_kind fg_kind_flange = {.name = "flange",
                                       .turn = 0.045f,
                                       .shift = 0.02f,
                                       .slip_x = 500,
                                       .slip_y = 0.05f,
                                       .draw_flaw = draw_flaw,
                                       .trace = trace_ray};
