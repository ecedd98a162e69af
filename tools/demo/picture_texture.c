/* Draws a class: its style from the class, the rest from the picture. */
#include "tools/demo/picture_texture.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/demo/picture_noise.h"
#include "tools/demo/picture_pattern.h"

enum { KIND_STYLE = 4, KIND_TEXTURE = 5 }; /* of the dice */

#define STYLES 6 /* of each pattern */

struct colour {
    float rgb[3];
};

/* What the pictures of one class have in common. */
struct style {
    const struct fg_pattern_entry *pattern;
    float period;          /* pixels in a unit, in a picture of 128 pixels */
    float stretch, angle;  /* of the plane */
    float a, b, c;         /* the pattern's shape */
    float softness;        /* how often the field is smoothed */
    float relief, azimuth; /* strength and direction of the light across it */
    struct colour low, high;
};

/* How the plane lies under one picture. */
struct view {
    float xx, xy, yx, yy, x0, y0; /* pixel to unit */
    float warp;                   /* strength of a slow bend, in units */
};

/* The pattern of a number, or NULL behind the last. */
static const struct fg_pattern_entry *pattern_of(uint32_t number) {
    static const struct fg_pattern_entry *const families[] = {fg_patterns_noise, fg_patterns_grid,
                                                              fg_patterns_shape};
    for (int f = 0; f < 3; f++)
        for (const struct fg_pattern_entry *e = families[f]; e->name; e++)
            if (!number--)
                return e;
    return NULL;
}

uint32_t fg_picture_classes(void) {
    uint32_t patterns = 0;
    while (pattern_of(patterns))
        patterns++;
    return patterns * STYLES;
}

const char *fg_picture_class_pattern(uint32_t class) {
    assert(class < fg_picture_classes());
    return pattern_of(class / STYLES)->name;
}

static struct colour draw_colour(struct fg_dice *dice, float light, float chroma) {
    struct colour colour;
    const float hue = fg_dice_uniform(dice, 0, FG_TURN);
    for (int i = 0; i < 3; i++)
        colour.rgb[i] = light + chroma * cosf(hue - FG_TURN * (float)i / 3);
    return colour;
}

static struct style draw_style(uint64_t seed, uint32_t class) {
    struct fg_dice dice = {.seed = seed, .kind = KIND_STYLE, .picture = class};
    const struct fg_pattern_entry *pattern = pattern_of(class / STYLES);
    const float ratio = pattern->max_period / pattern->min_period;
    struct style style = {.pattern = pattern,
                          .period = pattern->min_period * powf(ratio, fg_dice_uniform(&dice, 0, 1)),
                          .stretch = powf(1.3f, fg_dice_uniform(&dice, -1, 1)),
                          .angle = fg_dice_uniform(&dice, 0, FG_TURN),
                          .a = fg_dice_uniform(&dice, 0, 1),
                          .b = fg_dice_uniform(&dice, 0, 1),
                          .c = fg_dice_uniform(&dice, 0, 1),
                          .softness = fmaxf(0, fg_dice_uniform(&dice, -1, 2.5f)),
                          .relief = fmaxf(0, fg_dice_uniform(&dice, -0.6f, 0.9f)),
                          .azimuth = fg_dice_uniform(&dice, 0, FG_TURN)};
    /* Grey as metal, or coloured; the two colours near each other or far apart. */
    const float chroma = fmaxf(0, fg_dice_uniform(&dice, -0.15f, 0.25f));
    const float middle = fg_dice_uniform(&dice, 0.3f, 0.7f), contrast = fg_dice_uniform(&dice, 0.08f, 0.35f);
    const float sign = fg_dice_uniform(&dice, 0, 1) < 0.5f ? -1.0f : 1.0f;
    style.low = draw_colour(&dice, middle - sign * contrast, chroma);
    style.high = draw_colour(&dice, middle + sign * contrast, chroma);
    return style;
}

static struct view draw_view(struct fg_dice *dice, const struct style *style, int32_t size,
                             struct fg_look *look) {
    const float period = style->period * powf(1.1f, fg_dice_uniform(dice, -1, 1)) * (float)size / 128;
    const float angle = style->angle + fg_dice_uniform(dice, -0.3f, 0.3f);
    const float c = cosf(angle) / period, s = sinf(angle) / period;
    struct view view = {.xx = c * style->stretch,
                        .xy = s * style->stretch,
                        .yx = -s / style->stretch,
                        .yy = c / style->stretch,
                        .x0 = fg_dice_uniform(dice, 0, 1000),
                        .y0 = fg_dice_uniform(dice, 0, 1000),
                        .warp = fmaxf(0, fg_dice_uniform(dice, -0.5f, 0.5f))};
    const float middle_x = fg_dice_uniform(dice, 0.25f, 0.75f) * (float)size,
                middle_y = fg_dice_uniform(dice, 0.25f, 0.75f) * (float)size;
    *look = (struct fg_look){.pixel = 1 / period,
                             .a = style->a,
                             .b = style->b,
                             .c = style->c,
                             .salt = fg_dice_word(dice),
                             .centre_x = view.x0 + view.xx * middle_x + view.xy * middle_y,
                             .centre_y = view.y0 + view.yx * middle_x + view.yy * middle_y};
    return view;
}

static void evaluate(fg_pattern *field_at, const struct view *view, const struct fg_look *look, int32_t size,
                     float *field) {
    for (int32_t row = 0; row < size; row++)
        for (int32_t column = 0; column < size; column++) {
            float x = view->x0 + view->xx * (float)column + view->xy * (float)row,
                  y = view->y0 + view->yx * (float)column + view->yy * (float)row;
            if (view->warp > 0) {
                float bend = view->warp * fg_noise(0.4f * x, 0.4f * y, look->salt ^ 0xffff);
                x += bend;
                y -= bend;
            }
            field[row * size + column] = field_at(x, y, look);
        }
}

/* One pass of the 1 2 1 kernel along a row or a column, in place; the ends repeat. */
static void soften_line(float *line, int32_t count, int32_t step) {
    float before = line[0];
    for (int32_t i = 0; i < count; i++) {
        float here = line[i * step], after = line[(i + 1 < count ? i + 1 : i) * step];
        line[i * step] = 0.25f * (before + after) + 0.5f * here;
        before = here;
    }
}

static void soften(float *field, int32_t size) {
    for (int32_t i = 0; i < size; i++)
        soften_line(field + i * size, size, 1);
    for (int32_t i = 0; i < size; i++)
        soften_line(field + i, size, size);
}

/* Colours the field, lights it as relief and as a sheet under a lamp, and adds the sensor's noise. */
static void paint(struct fg_dice *dice, const struct style *style, const float *field, int32_t size,
                  uint8_t *rgb) {
    const float azimuth = style->azimuth + fg_dice_uniform(dice, -0.4f, 0.4f);
    const float light_x = style->relief * cosf(azimuth), light_y = style->relief * sinf(azimuth);
    const float gain = fg_dice_uniform(dice, 0.92f, 1.08f);
    const float slope = fg_dice_uniform(dice, 0, 0.15f), lamp = fg_dice_uniform(dice, 0, FG_TURN);
    const float slope_x = slope * cosf(lamp) / (float)size, slope_y = slope * sinf(lamp) / (float)size;
    const float noise = fmaxf(0, fg_dice_uniform(dice, -0.02f, 0.05f));
    const uint32_t salt = fg_dice_word(dice);
    for (int32_t y = 0; y < size; y++)
        for (int32_t x = 0; x < size; x++) {
            const float *f = field + y * size + x;
            const float dx = f[x + 1 < size ? 1 : 0] - f[x ? -1 : 0],
                        dy = f[y + 1 < size ? size : 0] - f[y ? -size : 0];
            const float light = gain + slope_x * (float)(2 * x - size) + slope_y * (float)(2 * y - size) +
                                fg_clamp(light_x * dx + light_y * dy, -0.5f, 0.5f);
            const uint32_t h = fg_noise_hash(x, y, salt);
            const float grain = noise * ((float)(h & 0xffff) + (float)(h >> 16) - 65535) * 0x1p-16f;
            for (int i = 0; i < 3; i++) {
                float value = fg_mix(style->low.rgb[i], style->high.rgb[i], *f) * light + grain;
                *rgb++ = (uint8_t)(255 * fg_clamp(value, 0, 1) + 0.5f);
            }
        }
}

enum fg_status fg_picture_texture(uint64_t seed, uint32_t class, uint32_t index, int32_t size, uint8_t *rgb,
                                  struct fg_message *message) {
    assert(class < fg_picture_classes() && size >= 16 && size <= 1024);
    float *field = malloc((size_t)size * (size_t)size * sizeof *field);
    if (!field)
        return fg_fail(message, FG_ENVIRONMENT, "no memory for a texture of %d x %d pixels", size, size);
    const struct style style = draw_style(seed, class);
    struct fg_dice dice = {.seed = seed, .kind = (uint32_t)KIND_TEXTURE << 12 | class, .picture = index};
    struct fg_look look;
    const struct view view = draw_view(&dice, &style, size, &look);
    evaluate(style.pattern->field, &view, &look, size, field);
    for (int32_t pass = (int32_t)((style.softness + fg_dice_uniform(&dice, 0, 1)) * (float)size / 128);
         pass > 0; pass--)
        soften(field, size);
    paint(&dice, &style, field, size, rgb);
    free(field);
    return FG_OK;
}
