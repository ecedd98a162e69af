/* Draws the flange ray by ray, with a defect or without. */
#include "tools/demo/picture_part.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "tools/demo/picture_noise.h"

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

#define SUBSAMPLES 3 /* of a pixel along each axis */

#define TURNING 99 /* salt of the marks that the turning program leaves on every part */

enum { KIND_PART = 2, KIND_DEFECT = 3 }; /* of the dice */

struct flaw {
    enum fg_picture_defect defect;
    float x, y;        /* middle, in the part's coordinates */
    float angle, bend; /* SCRATCH: direction, and curvature in 1 / unit */
    float reach;       /* SCRATCH: half its length; CHIP, STAIN: mean radius */
    float width;       /* SCRATCH: half its width */
    float strength;    /* STAIN: of the darkening; SCRATCH: of the groove's slope */
    int32_t hole;      /* MISSING_HOLE: which */
    uint32_t salt;
};

struct scene {
    float x, y, cosine, sine; /* pose: the part's middle and turn */
    float belt_x, belt_y;     /* where the belt is */
    float light_x, light_y;   /* direction to the lamp, in the picture's plane, unit length */
    float gain, slope_x, slope_y, warmth;
    float marks, noise; /* strength of tool marks and of the sensor's noise */
    uint32_t salt;
    struct flaw flaw;
};

/* What one ray sees. */
struct ray {
    float rgb[3];
    bool flawed; /* the defect has changed it */
};

const char *fg_picture_defect_name(enum fg_picture_defect defect) {
    static const char *const NAMES[FG_PICTURE_DEFECTS] = {"good", "scratch", "chip", "stain", "missing_hole"};
    return NAMES[defect];
}

static struct flaw draw_flaw(uint64_t seed, uint32_t index, enum fg_picture_defect defect) {
    struct fg_dice dice = {.seed = seed, .kind = (uint32_t)KIND_DEFECT << 8 | defect, .picture = index};
    const float angle = fg_dice_uniform(&dice, 0, FG_TURN);
    struct flaw flaw = {.defect = defect, .salt = fg_dice_word(&dice)};
    float radius = 0;
    switch (defect) {
    case FG_PICTURE_SCRATCH:
        radius = fg_dice_uniform(&dice, 0.34f, 0.66f);
        flaw.angle = fg_dice_uniform(&dice, 0, FG_TURN);
        flaw.bend = fg_dice_uniform(&dice, -0.5f, 0.5f);
        flaw.reach = fg_dice_uniform(&dice, 0.2f, 0.34f);
        flaw.width = fg_dice_uniform(&dice, 0.018f, 0.028f);
        flaw.strength = fg_dice_uniform(&dice, 0.8f, 1.2f);
        break;
    case FG_PICTURE_CHIP:
        radius = RIM + 0.01f;
        flaw.reach = fg_dice_uniform(&dice, 0.11f, 0.16f);
        break;
    case FG_PICTURE_STAIN:
        radius = fg_dice_uniform(&dice, 0.5f, 0.68f);
        flaw.reach = fg_dice_uniform(&dice, 0.15f, 0.23f);
        flaw.strength = fg_dice_uniform(&dice, 0.22f, 0.3f);
        break;
    case FG_PICTURE_MISSING_HOLE:
        flaw.hole = (int32_t)fg_dice_uniform(&dice, 0, HOLES);
        break;
    case FG_PICTURE_GOOD:
    case FG_PICTURE_DEFECTS:
        break;
    }
    flaw.x = radius * cosf(angle);
    flaw.y = radius * sinf(angle);
    return flaw;
}

static struct scene draw_scene(uint64_t seed, uint32_t index, enum fg_picture_defect defect) {
    struct fg_dice dice = {.seed = seed, .kind = (uint32_t)KIND_PART << 8, .picture = index};
    const float turn = fg_dice_uniform(&dice, -0.045f, 0.045f), lamp = fg_dice_uniform(&dice, 3.8f, 4.0f);
    return (struct scene){.x = fg_dice_uniform(&dice, -0.02f, 0.02f),
                          .y = fg_dice_uniform(&dice, -0.02f, 0.02f),
                          .cosine = cosf(turn),
                          .sine = sinf(turn),
                          .belt_x = fg_dice_uniform(&dice, 0, 500),
                          .belt_y = fg_dice_uniform(&dice, -0.05f, 0.05f),
                          .light_x = cosf(lamp),
                          .light_y = sinf(lamp),
                          .gain = fg_dice_uniform(&dice, 0.95f, 1.05f),
                          .slope_x = fg_dice_uniform(&dice, -0.05f, 0.01f),
                          .slope_y = fg_dice_uniform(&dice, -0.07f, -0.02f),
                          .warmth = fg_dice_uniform(&dice, -0.01f, 0.01f),
                          .marks = fg_dice_uniform(&dice, 0.8f, 1.2f),
                          .noise = fg_dice_uniform(&dice, 0.012f, 0.02f),
                          .salt = fg_dice_word(&dice),
                          .flaw = draw_flaw(seed, index, defect)};
}

/* How far a place is from a stain's or chip's middle, 1 at its uneven border. */
static float flaw_distance(const struct flaw *flaw, float x, float y) {
    const float dx = x - flaw->x, dy = y - flaw->y, r = sqrtf(dx * dx + dy * dy);
    if (r > 1.5f * flaw->reach)
        return 2;
    const float uneven =
        fg_noise_octaves(5 * x / flaw->reach * 0.3f, 5 * y / flaw->reach * 0.3f, 3, flaw->salt);
    return r / (flaw->reach * (0.6f + 0.8f * uneven));
}

/* Across a scratch, -1 to 1 between its lips; 2 outside. side is the unit vector across it. */
static float scratch_across(const struct flaw *flaw, float x, float y, float side[2]) {
    const float c = cosf(flaw->angle), s = sinf(flaw->angle), dx = x - flaw->x, dy = y - flaw->y;
    const float along = c * dx + s * dy, end = 1 - along * along / (flaw->reach * flaw->reach);
    side[0] = -s;
    side[1] = c;
    if (end <= 0)
        return 2;
    const float across = c * dy - s * dx + flaw->bend * (along * along - 0.5f * flaw->reach * flaw->reach);
    const float width =
        flaw->width * fg_clamp(3 * end, 0, 1) * (0.7f + 0.5f * fg_noise(30 * along, 0, flaw->salt));
    return fabsf(across) < width ? across / width : 2;
}

static void belt(const struct scene *scene, float x, float y, float rgb[3]) {
    const float u = x + scene->belt_x, v = y + scene->belt_y;
    const float fabric = sinf(78 * u + 40 * v) * sinf(78 * u - 40 * v);
    float light = 0.15f + 0.02f * fabric + 0.05f * (fg_noise_octaves(18 * u, 18 * v, 3, 77) - 0.5f) +
                  0.05f * (fg_noise(2 * u, 2 * v, 78) - 0.5f);
    /* The part's soft shadow, on the side away from the lamp. */
    const float dx = x - scene->x + 0.05f * scene->light_x, dy = y - scene->y + 0.05f * scene->light_y;
    light *= fg_mix(0.3f, 1, fg_smooth(-0.05f, 0.13f, sqrtf(dx * dx + dy * dy) - RIM));
    rgb[0] = 0.88f * light;
    rgb[1] = 1.02f * light;
    rgb[2] = 1.10f * light;
}

/* The nearest bolt hole: its number, and the place seen from its middle. */
static int32_t nearest_hole(float x, float y, float *dx, float *dy) {
    const float sector = FG_TURN / HOLES;
    const int32_t hole = fg_noise_floor(atan2f(y, x) / sector + 0.5f);
    const float angle = sector * (float)hole;
    *dx = x - HOLE_CIRCLE * cosf(angle);
    *dy = y - HOLE_CIRCLE * sinf(angle);
    return (hole + HOLES) % HOLES;
}

/* The drilled surfaces at a place: inside says that the ray falls through; slope is the sink's. */
static bool drilled(const struct scene *scene, float x, float y, float slope[2], bool *inside, bool *flawed) {
    float dx, dy;
    const int32_t hole = nearest_hole(x, y, &dx, &dy);
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

/* What the ray sees of the bore's and the holes' walls: the side towards the lamp lies in its own shadow. */
static float hollow(const struct scene *scene, float dx, float dy, float radius) {
    const float facing = -(dx * scene->light_x + dy * scene->light_y) / radius;
    const float depth = sqrtf(dx * dx + dy * dy) / radius;
    return 0.035f + 0.11f * fg_smooth(0.55f, 1, depth) * fg_clamp(0.5f + facing, 0.1f, 1.5f);
}

/* Light from metal whose surface leans by slope, with tool marks around the part's middle. */
static float metal(const struct scene *scene, float x, float y, const float slope[2], float roughness) {
    const float r = sqrtf(x * x + y * y) + 1e-6f;
    const bool hub = r < HUB_TOP;
    const float pitch = hub ? 130 : 95, around = fg_noise(3 * x, 3 * y, scene->salt + 2);
    const float mark = fg_noise(pitch * r, 1.5f * around, scene->salt) +
                       0.6f * fg_noise(0.3f * pitch * r, around, TURNING) - 0.8f;
    /* Grooves across the lamp's direction throw its light into the camera: two bright fans. */
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

/* The slope of the turned body at radius r, along the radius: positive leans outward. */
static float turned_slope(float r) {
    return 0.95f * fg_smooth(RIM_CHAMFER - 0.005f, RIM_CHAMFER + 0.005f, r) +
           0.9f * fg_smooth(HUB_TOP - 0.006f, HUB_TOP + 0.004f, r) *
               fg_smooth(HUB_FOOT + 0.004f, HUB_FOOT - 0.004f, r) -
           0.9f * fg_smooth(BORE_CHAMFER + 0.004f, BORE_CHAMFER - 0.004f, r);
}

static bool in_bore(float x, float y, float r) {
    return r < BORE || (x > 0 && x < KEY_DEPTH && fabsf(y) < KEY_HALF_WIDTH);
}

/* What lies where a piece has broken out: rough metal falling away to the belt. */
static struct ray chip_ray(const struct scene *scene, float x, float y, float px, float py, float distance) {
    struct ray ray = {.flawed = true};
    const float r = sqrtf(x * x + y * y), grain = fg_noise_octaves(28 * x, 28 * y, 3, scene->flaw.salt + 5);
    if (r > RIM - 0.45f * scene->flaw.reach * (1 - distance) - 0.02f * grain) {
        belt(scene, px, py, ray.rgb);
        return ray;
    }
    const float slope[2] = {0.9f * x / r + 3.0f * (grain - 0.5f), 0.9f * y / r - 3.0f * (grain - 0.5f)};
    const float light = (0.5f + 1.0f * grain) * metal(scene, x, y, slope, 1);
    for (int i = 0; i < 3; i++)
        ray.rgb[i] = light;
    return ray;
}

/* A ray that meets the part, in its own coordinates. */
static struct ray body_ray(const struct scene *scene, float x, float y, float px, float py) {
    const struct flaw *flaw = &scene->flaw;
    struct ray ray = {.flawed = false};
    const float r = sqrtf(x * x + y * y);
    if (in_bore(x, y, r)) {
        for (int i = 0; i < 3; i++)
            ray.rgb[i] = hollow(scene, x, y, r < BORE ? BORE : KEY_DEPTH);
        return ray;
    }
    float slope[2], tint[3] = {1, 1, 1.015f}, roughness = 0;
    bool through = false;
    if (drilled(scene, x, y, slope, &through, &ray.flawed)) {
        if (through) {
            float dx, dy;
            nearest_hole(x, y, &dx, &dy);
            for (int i = 0; i < 3; i++)
                ray.rgb[i] = hollow(scene, dx, dy, HOLE);
            return ray;
        }
    } else {
        slope[0] = turned_slope(r) * x / r;
        slope[1] = turned_slope(r) * y / r;
    }
    if (flaw->defect == FG_PICTURE_CHIP) {
        const float distance = flaw_distance(flaw, x, y);
        if (distance < 1)
            return chip_ray(scene, x, y, px, py, distance);
    } else if (flaw->defect == FG_PICTURE_SCRATCH) {
        float side[2];
        const float across = scratch_across(flaw, x, y, side);
        if (across < 2) {
            ray.flawed = true;
            const float lean = -1.7f * flaw->strength * sinf(0.5f * FG_TURN * across);
            slope[0] += lean * side[0];
            slope[1] += lean * side[1];
            const float shade = 0.5f + 0.4f * across * across; /* little light reaches the bottom */
            for (int i = 0; i < 3; i++)
                tint[i] *= shade;
        }
    } else if (flaw->defect == FG_PICTURE_STAIN) {
        const float weight = fg_smooth(1, 0.6f, flaw_distance(flaw, x, y)) * flaw->strength;
        if (weight > 0) {
            ray.flawed = true;
            roughness = 1.6f * weight;
            tint[0] *= 1 - 0.75f * weight;
            tint[1] *= 1 - 0.95f * weight;
            tint[2] *= 1 - 1.35f * weight;
        }
    }
    const float light = metal(scene, x, y, slope, roughness);
    for (int i = 0; i < 3; i++)
        ray.rgb[i] = light * tint[i];
    return ray;
}

static struct ray part_ray(const struct scene *scene, float px, float py) {
    const float dx = px - scene->x, dy = py - scene->y;
    const float x = scene->cosine * dx + scene->sine * dy, y = scene->cosine * dy - scene->sine * dx;
    if (x * x + y * y < RIM * RIM)
        return body_ray(scene, x, y, px, py);
    struct ray ray = {.flawed = false};
    belt(scene, px, py, ray.rgb);
    return ray;
}

/* Rays through a pixel, averaged; true where the defect has changed one of them. */
static bool pixel(const struct scene *scene, int32_t row, int32_t column, int32_t size, uint8_t *rgb) {
    float sum[3] = {0, 0, 0};
    bool flawed = false;
    const float step = 2.0f / (float)(size * SUBSAMPLES);
    for (int32_t b = 0; b < SUBSAMPLES; b++)
        for (int32_t a = 0; a < SUBSAMPLES; a++) {
            const float x = ((float)(column * SUBSAMPLES + a) + 0.5f) * step - 1,
                        y = ((float)(row * SUBSAMPLES + b) + 0.5f) * step - 1;
            const struct ray ray = part_ray(scene, x, y);
            for (int i = 0; i < 3; i++)
                sum[i] += ray.rgb[i];
            flawed |= ray.flawed;
        }
    const float x = 2 * (float)column / (float)size - 1, y = 2 * (float)row / (float)size - 1;
    const float light = scene->gain * (1 + scene->slope_x * x + scene->slope_y * y - 0.05f * (x * x + y * y));
    for (int i = 0; i < 3; i++) {
        const uint32_t h = fg_noise_hash(3 * column + i, row, scene->salt + 9);
        const float grain = scene->noise * ((float)(h & 0xffff) + (float)(h >> 16) - 65535) * 0x1p-16f;
        float value = sum[i] / (SUBSAMPLES * SUBSAMPLES) * light * (1 + scene->warmth * (float)(1 - i));
        value =
            sqrtf(fg_clamp(value, 0, 1)) * 0.35f + fg_clamp(value, 0, 1) * 0.65f; /* a camera's soft gamma */
        rgb[i] = (uint8_t)(255 * fg_clamp(value + grain, 0, 1) + 0.5f);
    }
    return flawed;
}

void fg_picture_part(uint64_t seed, uint32_t index, enum fg_picture_defect defect, int32_t size, uint8_t *rgb,
                     uint8_t *mask) {
    assert(size >= 32 && size <= 4096);
    const struct scene scene = draw_scene(seed, index, defect);
    for (int32_t row = 0; row < size; row++)
        for (int32_t column = 0; column < size; column++) {
            const bool flawed = pixel(&scene, row, column, size, rgb);
            rgb += 3;
            if (mask)
                *mask++ = flawed ? 255 : 0;
        }
}
