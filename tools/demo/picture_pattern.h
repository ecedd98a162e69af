/* The patterns of procedural textures: each is a scalar field over the plane.
 *
 * One unit of the plane is one period or cell of the pattern. A field's value, 0 to 1, is the share of the
 * second of two colours, and a height.
 *
 * Errors: none. Owner: the tables are constant. Thread: any. NULL: never. */
#ifndef FG_TOOLS_DEMO_PICTURE_PATTERN_H
#define FG_TOOLS_DEMO_PICTURE_PATTERN_H

#include <stdint.h>

#include "tools/demo/picture_noise.h"

/* What varies from one picture of a pattern to the next. */
struct fg_look {
    float pixel;              /* units per pixel: the width of an antialiased edge */
    float a, b, c;            /* shape parameters, each uniform in [0, 1): a pattern uses them as it likes */
    uint32_t salt;            /* makes the noise of two pictures differ */
    float centre_x, centre_y; /* the point that patterns about a point lie around */
};

/* Gives the field's value at a place. */
typedef float fg_pattern(float x, float y, const struct fg_look *look);

/* Gives 1 inside a shape and 0 outside, antialiased over a pixel. distance to its border is below 0
 * inside. */
static inline float fg_cover(float distance, const struct fg_look *look) {
    return fg_clamp(0.5f - distance / look->pixel, 0, 1);
}

struct fg_pattern_entry {
    const char *name;
    fg_pattern *field;
    float min_period, max_period; /* pixels in a unit, for a picture of 128 x 128 pixels */
};

/* The three families of patterns. An entry whose name is NULL ends each. */
extern const struct fg_pattern_entry fg_patterns_noise[]; /* grain, clouds, brushed, cells, cracks */
extern const struct fg_pattern_entry fg_patterns_grid[];  /* stripes, weaves, tiles, lattices */
extern const struct fg_pattern_entry fg_patterns_shape[]; /* strokes, letters, polygons, metal parts */

#endif
