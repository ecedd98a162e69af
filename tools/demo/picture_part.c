/* Draws a part of any kind: its scene, then pixel by pixel the rays that its kind traces. */
#include "tools/demo/picture_part.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

#include "tools/demo/picture_kind.h"

#define SUBSAMPLES 3 /* rays through a pixel along each axis */

enum { KIND_PART = 2, KIND_DEFECT = 3 }; /* kinds of dice */

static const struct fg_kind *const KINDS[FG_PICTURE_KINDS] = {&fg_kind_flange, &fg_kind_plate,
                                                              &fg_kind_strap};

const char *fg_picture_kind_name(enum fg_picture_kind kind) {
    return KINDS[kind]->name;
}

const char *fg_picture_defect_name(enum fg_picture_defect defect) {
    static const char *const NAMES[FG_PICTURE_DEFECTS] = {"good", "scratch", "chip", "stain", "missing_hole"};
    return NAMES[defect];
}

/* Gives the dice of one picture of a kind, for a purpose; detail: 0 to 15. */
static struct fg_dice take_dice(uint32_t purpose, enum fg_picture_kind kind, uint32_t detail, uint64_t seed,
                                uint32_t index) {
    return (struct fg_dice){
        .seed = seed, .kind = purpose << 8 | (uint32_t)kind << 4 | detail, .picture = index};
}

static struct fg_scene draw_scene(enum fg_picture_kind number, uint64_t seed, uint32_t index,
                                  enum fg_picture_defect defect) {
    const struct fg_kind *kind = KINDS[number];
    struct fg_dice dice = take_dice(KIND_PART, number, 0, seed, index),
                   flaw = take_dice(KIND_DEFECT, number, defect, seed, index);
    struct fg_scene s = {.flaw.defect = defect};
    const float turn = fg_dice_uniform(&dice, -kind->turn, kind->turn);
    const float lamp = fg_dice_uniform(&dice, 3.8f, 4.0f);
    s.x = fg_dice_uniform(&dice, -kind->shift, kind->shift);
    s.y = fg_dice_uniform(&dice, -kind->shift, kind->shift);
    s.cosine = cosf(turn);
    s.sine = sinf(turn);
    s.slip_x = fg_dice_uniform(&dice, 0, kind->slip_x);
    s.slip_y = fg_dice_uniform(&dice, -kind->slip_y, kind->slip_y);
    s.light_x = cosf(lamp);
    s.light_y = sinf(lamp);
    s.gain = fg_dice_uniform(&dice, 0.95f, 1.05f);
    s.slope_x = fg_dice_uniform(&dice, -0.05f, 0.01f);
    s.slope_y = fg_dice_uniform(&dice, -0.07f, -0.02f);
    s.warmth = fg_dice_uniform(&dice, -0.01f, 0.01f);
    s.marks = fg_dice_uniform(&dice, 0.8f, 1.2f);
    s.noise = fg_dice_uniform(&dice, 0.012f, 0.02f);
    s.salt = fg_dice_word(&dice);
    kind->draw_flaw(&flaw, &s.flaw);
    return s;
}

/* Traces a ray through a place of the picture. */
static struct fg_ray trace_ray(const struct fg_kind *kind, const struct fg_scene *scene, float px, float py) {
    const float dx = px - scene->x, dy = py - scene->y;
    return kind->trace(scene, scene->cosine * dx + scene->sine * dy, scene->cosine * dy - scene->sine * dx,
                       px, py);
}

/* Draws a pixel as the mean of its rays; true where the defect has changed one of them. */
static bool draw_pixel(const struct fg_kind *kind, const struct fg_scene *scene, int32_t row, int32_t column,
                       int32_t size, uint8_t *rgb) {
    float sum[3] = {0, 0, 0};
    bool flawed = false;
    const float step = 2.0f / (float)(size * SUBSAMPLES);
    for (int32_t b = 0; b < SUBSAMPLES; b++)
        for (int32_t a = 0; a < SUBSAMPLES; a++) {
            const float x = ((float)(column * SUBSAMPLES + a) + 0.5f) * step - 1,
                        y = ((float)(row * SUBSAMPLES + b) + 0.5f) * step - 1;
            const struct fg_ray ray = trace_ray(kind, scene, x, y);
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

void fg_picture_part(enum fg_picture_kind kind, uint64_t seed, uint32_t index, enum fg_picture_defect defect,
                     int32_t size, uint8_t *rgb, uint8_t *mask) {
    assert(size >= 32 && size <= 4096);
    const struct fg_scene scene = draw_scene(kind, seed, index, defect);
    for (int32_t row = 0; row < size; row++)
        for (int32_t column = 0; column < size; column++) {
            const bool flawed = draw_pixel(KINDS[kind], &scene, row, column, size, rgb);
            rgb += 3;
            if (mask)
                *mask++ = flawed ? 255 : 0;
        }
}
