/* Draws the shapes of defects, and marks surfaces with them. */
#include "tools/demo/picture_kind.h"

#include <math.h>

void fg_flaw_shape(struct fg_dice *dice, int32_t holes, struct fg_flaw *flaw) {
    switch (flaw->defect) {
    case FG_PICTURE_SCRATCH:
        flaw->angle = fg_dice_uniform(dice, 0, FG_TURN);
        flaw->bend = fg_dice_uniform(dice, -0.5f, 0.5f);
        flaw->reach = fg_dice_uniform(dice, 0.2f, 0.34f);
        flaw->width = fg_dice_uniform(dice, 0.018f, 0.028f);
        flaw->strength = fg_dice_uniform(dice, 0.8f, 1.2f);
        break;
    case FG_PICTURE_CHIP:
        flaw->reach = fg_dice_uniform(dice, 0.11f, 0.16f);
        break;
    case FG_PICTURE_STAIN:
        flaw->reach = fg_dice_uniform(dice, 0.15f, 0.23f);
        flaw->strength = fg_dice_uniform(dice, 0.22f, 0.3f);
        break;
    case FG_PICTURE_MISSING_HOLE:
        flaw->hole = (int32_t)fg_dice_uniform(dice, 0, (float)holes);
        break;
    case FG_PICTURE_GOOD:
    case FG_PICTURE_DEFECTS:
        break;
    }
}

/* Gives the distance of a place from a stain's or chip's middle: 1 at its uneven border. */
float fg_flaw_distance(const struct fg_flaw *flaw, float x, float y) {
    const float dx = x - flaw->x, dy = y - flaw->y, r = sqrtf(dx * dx + dy * dy);
    if (r > 1.5f * flaw->reach)
        return 2;
    const float uneven =
        fg_noise_octaves(5 * x / flaw->reach * 0.3f, 5 * y / flaw->reach * 0.3f, 3, flaw->salt);
    return r / (flaw->reach * (0.6f + 0.8f * uneven));
}

/* Gives the place across a scratch, -1 to 1 between its lips and 2 outside. side becomes the unit vector
 * across the scratch. */
static float get_place_across(const struct fg_flaw *flaw, float x, float y, float side[2]) {
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

bool fg_flaw_mark(const struct fg_flaw *flaw, float x, float y, float slope[2], float tint[3],
                  float *roughness) {
    if (flaw->defect == FG_PICTURE_SCRATCH) {
        float side[2];
        const float across = get_place_across(flaw, x, y, side);
        if (across >= 2)
            return false;
        const float lean = -1.7f * flaw->strength * sinf(0.5f * FG_TURN * across);
        slope[0] += lean * side[0];
        slope[1] += lean * side[1];
        const float shade = 0.5f + 0.4f * across * across; /* little light reaches the bottom */
        for (int i = 0; i < 3; i++)
            tint[i] *= shade;
        return true;
    }
    if (flaw->defect != FG_PICTURE_STAIN)
        return false;
    const float weight = fg_smooth(1, 0.6f, fg_flaw_distance(flaw, x, y)) * flaw->strength;
    if (weight <= 0)
        return false;
    *roughness = 1.6f * weight;
    tint[0] *= 1 - 0.75f * weight;
    tint[1] *= 1 - 0.95f * weight;
    tint[2] *= 1 - 1.35f * weight;
    return true;
}
