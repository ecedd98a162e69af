/* The plate: its geometry, and how tray and moulded plastic look. */
#include "tools/demo/picture_kind.h"

#include <math.h>

/* The plate, in units of half a picture's side. */
#define HALF_X 0.82f
#define HALF_Y 0.60f
#define CORNER 0.12f
#define BEVEL 0.045f
#define RIB_APART 0.42f /* from one of the three ribs to the next */
#define RIB_HALF 0.40f
#define RIB 0.045f
#define SLOTS 4
#define SLOT_X 0.21f
#define SLOT_Y 0.22f
#define SLOT_HALF 0.09f
#define SLOT 0.052f
#define SLOT_SINK 0.078f
#define BOSS_X 0.64f
#define BOSS 0.10f
#define BOSS_TOP 0.078f
#define BOSS_HOLE 0.048f

#define MOULD 98 /* salt of the texture that the mould gives every part */

/* How far a place lies from a border, below 0 inside, and the way out. */
struct border {
    float distance, out[2];
};

static void draw_flaw(struct fg_dice *dice, struct fg_flaw *flaw) {
    flaw->salt = fg_dice_word(dice);
    flaw->x = fg_dice_uniform(dice, -0.6f, 0.6f);
    flaw->y = fg_dice_uniform(dice, -0.36f, 0.36f);
    const float side = fg_dice_uniform(dice, 0, 1) < 0.5f ? -1.0f : 1.0f;
    if (flaw->defect == FG_PICTURE_CHIP && fg_dice_uniform(dice, 0, 1) < 0.6f)
        flaw->y = side * HALF_Y;
    else if (flaw->defect == FG_PICTURE_CHIP)
        flaw->x = side * HALF_X;
    fg_flaw_shape(dice, SLOTS, flaw);
}

/* Finds the plate's outline, a rectangle with round corners. */
static struct border find_outline(float x, float y) {
    const float qx = fabsf(x) - HALF_X + CORNER, qy = fabsf(y) - HALF_Y + CORNER;
    const float right = x < 0 ? -1.0f : 1.0f, down = y < 0 ? -1.0f : 1.0f;
    if (qx > 0 && qy > 0) {
        const float r = sqrtf(qx * qx + qy * qy) + 1e-6f;
        return (struct border){r - CORNER, {right * qx / r, down * qy / r}};
    }
    return qx > qy ? (struct border){qx - CORNER, {right, 0}} : (struct border){qy - CORNER, {0, down}};
}

/* Finds an upright line's surroundings, half as long as twice half; x, y: seen from its middle. */
static struct border find_line(float x, float y, float half) {
    const float along = y - fg_clamp(y, -half, half), r = sqrtf(x * x + along * along) + 1e-6f;
    return (struct border){r, {x / r, along / r}};
}

/* Adds a flank that leans by steep between two distances from a line or point. */
static void add_flank(const struct border *border, float near, float far, float steep, float slope[2]) {
    const float soft = 0.3f * (far - near);
    const float weight = fg_smooth(near - soft, near + soft, border->distance) *
                         fg_smooth(far + soft, far - soft, border->distance);
    slope[0] += steep * weight * border->out[0];
    slope[1] += steep * weight * border->out[1];
}

static void shade_tray(const struct fg_scene *scene, float x, float y, float rgb[3]) {
    const float u = x + scene->slip_x, v = y + scene->slip_y;
    float light = 0.52f + 0.10f * (fg_noise_octaves(22 * u, 22 * v, 3, 81) - 0.5f) +
                  0.06f * (fg_noise(1.5f * u, 1.5f * v, 82) - 0.5f);
    /* The plate throws a soft shadow on the side away from the lamp. */
    const struct border border =
        find_outline(x - scene->x + 0.06f * scene->light_x, y - scene->y + 0.06f * scene->light_y);
    light *= fg_mix(0.4f, 1, fg_smooth(-0.05f, 0.10f, border.distance));
    rgb[0] = 1.02f * light;
    rgb[1] = light;
    rgb[2] = 0.94f * light;
}

/* Gives the light from plastic whose surface leans by slope: matte, with the lamp's reflection on what leans
 * towards it, the mould's texture, and the marks of the flow from the middle. */
static float shade_plastic(const struct fg_scene *scene, float x, float y, const float slope[2],
                           float roughness) {
    const float lean = slope[0] * scene->light_x + slope[1] * scene->light_y;
    const float steep = slope[0] * slope[0] + slope[1] * slope[1];
    const float gx = slope[0] - 0.5f * scene->light_x, gy = slope[1] - 0.5f * scene->light_y;
    const float gloss = (1 - roughness) * 0.5f * expf(-(gx * gx + gy * gy) / 0.08f);
    const float flow = sqrtf(x * x + y * y) + 0.25f * fg_noise(3 * x, 3 * y, scene->salt);
    return (0.42f + 0.30f * lean) / sqrtf(1 + 0.7f * steep) + gloss +
           0.10f * (fg_noise_octaves(34 * x, 34 * y, 2, MOULD) - 0.5f) +
           0.05f * scene->marks * (fg_noise(9 * flow, 0, scene->salt + 1) - 0.5f) +
           0.04f * (fg_noise_octaves(2.5f * x, 2.5f * y, 2, scene->salt + 3) - 0.5f);
}

static void put_plastic(float light, const float tint[3], float rgb[3]) {
    rgb[0] = 0.30f * light * tint[0];
    rgb[1] = 0.72f * light * tint[1];
    rgb[2] = 0.98f * light * tint[2];
}

/* Gives the light from the bottom of a hole: the side towards the lamp lies in its own shadow. */
static void put_hole(const struct fg_scene *scene, const struct border *border, float radius, float rgb[3]) {
    const float facing = -(border->out[0] * scene->light_x + border->out[1] * scene->light_y);
    const float light =
        0.04f + 0.14f * fg_smooth(0.5f, 1, border->distance / radius) * fg_clamp(0.5f + facing, 0, 1.5f);
    for (int i = 0; i < 3; i++)
        rgb[i] = light;
}

/* Traces a ray to where a piece has broken out: pale plastic that falls away to the tray. */
static struct fg_ray trace_chip(const struct fg_scene *scene, float x, float y, float px, float py,
                                float distance) {
    struct fg_ray ray = {.flawed = true};
    const struct border outline = find_outline(x, y);
    const float grain = fg_noise_octaves(26 * x, 26 * y, 3, scene->flaw.salt + 5);
    if (outline.distance > -0.5f * scene->flaw.reach * (1 - distance) - 0.03f * grain) {
        shade_tray(scene, px, py, ray.rgb);
        return ray;
    }
    const float slope[2] = {outline.out[0] + 3 * (grain - 0.5f), outline.out[1] - 3 * (grain - 0.5f)};
    const float light = (0.7f + 0.9f * grain) * shade_plastic(scene, x, y, slope, 1);
    put_plastic(light, (const float[3]){2.2f, 1.2f, 1}, ray.rgb);
    return ray;
}

/* Adds what the mould has made of a place without a hole: border, ribs and bosses. */
static void add_relief(float x, float y, const struct border *outline, float slope[2]) {
    add_flank(outline, -BEVEL, 0.1f, 0.9f, slope);
    const float rib = RIB_APART * fg_clamp((float)fg_noise_floor(x / RIB_APART + 0.5f), -1, 1);
    const struct border line = find_line(x - rib, y, RIB_HALF);
    add_flank(&line, 0.35f * RIB, RIB, 0.9f, slope);
    const struct border boss = find_line(fabsf(x) - BOSS_X, y, 0);
    const float mirrored[2] = {x < 0 ? -boss.out[0] : boss.out[0], boss.out[1]};
    const struct border round = {boss.distance, {mirrored[0], mirrored[1]}};
    add_flank(&round, BOSS_TOP, BOSS, 1.0f, slope);
}

/* Traces a ray that meets the plate. */
static struct fg_ray trace_part(const struct fg_scene *scene, float x, float y, float px, float py,
                                const struct border *outline) {
    const struct fg_flaw *flaw = &scene->flaw;
    struct fg_ray ray = {.flawed = false};
    const float slot_x = x < 0 ? -SLOT_X : SLOT_X, slot_y = y < 0 ? -SLOT_Y : SLOT_Y;
    const struct border slot = find_line(x - slot_x, y - slot_y, SLOT_HALF),
                        boss = find_line(x - (x < 0 ? -BOSS_X : BOSS_X), y, 0);
    const bool missing =
        flaw->defect == FG_PICTURE_MISSING_HOLE && flaw->hole == (x < 0 ? 0 : 1) + (y < 0 ? 0 : 2);
    if ((slot.distance < SLOT && !missing) || boss.distance < BOSS_HOLE) {
        const bool round = boss.distance < BOSS_HOLE;
        put_hole(scene, round ? &boss : &slot, round ? BOSS_HOLE : SLOT, ray.rgb);
        return ray;
    }
    if (flaw->defect == FG_PICTURE_CHIP) {
        const float distance = fg_flaw_distance(flaw, x, y);
        if (distance < 1)
            return trace_chip(scene, x, y, px, py, distance);
    }
    float slope[2] = {0, 0}, tint[3] = {1, 1, 1}, roughness = 0;
    add_relief(x, y, outline, slope);
    if (slot.distance < SLOT_SINK && missing) {
        ray.flawed = true;
    } else if (slot.distance < SLOT_SINK) {
        slope[0] -= 0.9f * slot.out[0];
        slope[1] -= 0.9f * slot.out[1];
    }
    ray.flawed |= fg_flaw_mark(flaw, x, y, slope, tint, &roughness);
    put_plastic(shade_plastic(scene, x, y, slope, roughness), tint, ray.rgb);
    return ray;
}

static struct fg_ray trace_ray(const struct fg_scene *scene, float x, float y, float px, float py) {
    const struct border outline = find_outline(x, y);
    if (outline.distance < 0)
        return trace_part(scene, x, y, px, py, &outline);
    struct fg_ray ray = {.flawed = false};
    shade_tray(scene, px, py, ray.rgb);
    return ray;
}

const struct fg_kind fg_kind_plate = {.name = "plate",
                                      .turn = 0.03f,
                                      .shift = 0.03f,
                                      .slip_x = 500,
                                      .slip_y = 50,
                                      .draw_flaw = draw_flaw,
                                      .trace = trace_ray};
